//! A buyer's class, as the shop names it, and the head start it gives among those who stand by. A class that is not listed
//! gives none, and so does none.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};
use sluice_http::{Exchange, Problem};

use crate::config::HeadStarts;

#[derive(Debug)]
pub(crate) struct Classes {
    /// The header or the claim that names the class.
    from: String,
    head_starts: BTreeMap<String, Duration>,
}

impl Classes {
    /// `None` where no class has a head start.
    pub(super) fn build(config: &HeadStarts) -> Option<Self> {
        let HeadStarts { class, of } = config;
        let listed = !class.is_empty() && !of.is_empty();
        listed.then(|| Self { from: class.clone(), head_starts: of.clone() })
    }

    /// By a header of the proxy that names the buyer, too.
    pub(super) fn by_header(&self, exchange: &Exchange) -> Result<Duration, Problem> {
        Ok(exchange.only_header(&self.from)?.map_or(Duration::ZERO, |class| self.of(class)))
    }

    /// By a claim: a text, or a number as it is written.
    pub(super) fn by_claim(&self, claims: &Map<String, Value>) -> Duration {
        match claims.get(&self.from) {
            Some(Value::String(class)) => self.of(class),
            Some(Value::Number(class)) => self.of(&class.to_string()),
            Some(_) | None => Duration::ZERO,
        }
    }

    fn of(&self, class: &str) -> Duration {
        self.head_starts.get(class).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_names_a_listed_class_or_gives_nothing() {
        let of = BTreeMap::from([
            ("gold".into(), Duration::from_secs(600)),
            ("1".into(), Duration::from_secs(60)),
        ]);
        let classes = Classes::build(&HeadStarts { class: "tier".into(), of }).unwrap();
        for (claims, seconds) in [
            (json!({ "tier": "gold" }), 600),
            (json!({ "tier": 1 }), 60),
            (json!({ "tier": "Gold" }), 0),
            (json!({ "tier": ["gold"] }), 0),
            (json!({ "class": "gold" }), 0),
        ] {
            let head_start = classes.by_claim(claims.as_object().unwrap());
            assert_eq!(head_start, Duration::from_secs(seconds), "{claims}");
        }
        assert!(Classes::build(&HeadStarts::default()).is_none());
    }
}
