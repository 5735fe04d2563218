//! What the shop's own order backend sends, and what is checked of it before the ledger is asked.

use serde::Deserialize;
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, ShopOrderId},
    order::ShopOrder,
    policy::OutOfRange,
    ports::{ShopOutcome, ShopWord},
};
use sluice_http::Problem;

use super::{Whole, present};

/// Longest buyer-facing link, in bytes.
const LINK_BYTES_MAX: usize = 2_048;
/// How far ahead an order may be payable: a line stands while goods are held for it.
const PAY_BY_AHEAD_MAX: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

/// The body of `POST /v1/turns/{entry}/outcome`: an outcome, or later the state of the order it made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShopBody {
    #[serde(default, deserialize_with = "present")]
    outcome: Option<OutcomeWord>,
    #[serde(default, deserialize_with = "present")]
    state: Option<StateWord>,
    #[serde(default)]
    order: Option<String>,
    #[serde(default)]
    pay_by: Option<UnixMillis>,
    #[serde(default)]
    url: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeWord {
    Reserved,
    SoldOut,
    Refused,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StateWord {
    Paid,
    Closed,
}

/// The body of `PUT …/remaining`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemainingBody {
    pub(crate) remaining: Whole,
}

/// What the shop says.
#[derive(Debug)]
pub(crate) enum ShopSays {
    Outcome(ShopOutcome),
    State { order: ShopOrderId, word: ShopWord },
}

impl ShopBody {
    /// Checks what was sent. `id` is what a new order would be called by us.
    pub(crate) fn read(
        self,
        link_hosts: &[String],
        now: UnixMillis,
        id: OrderId,
    ) -> Result<ShopSays, Problem> {
        match (self.outcome, self.state) {
            (Some(OutcomeWord::Reserved), None) => {
                let order = self.order()?;
                let latest = now.plus(PAY_BY_AHEAD_MAX);
                if self.pay_by.is_some_and(|pay_by| pay_by > latest) {
                    return Err(broken(
                        "pay_by",
                        format!("must be at most 30 days ahead: {latest}"),
                    ));
                }
                if let Some(link) = &self.url {
                    check_link(link, link_hosts)?;
                }
                let order = ShopOrder { id: order, link: self.url };
                Ok(ShopSays::Outcome(ShopOutcome::Reserved { id, order, pay_by: self.pay_by }))
            }
            (Some(OutcomeWord::SoldOut), None) => {
                self.nothing_else().map(|()| ShopSays::Outcome(ShopOutcome::SoldOut))
            }
            (Some(OutcomeWord::Refused), None) => {
                self.nothing_else().map(|()| ShopSays::Outcome(ShopOutcome::Refused))
            }
            (None, Some(word)) => {
                let order = self.order()?;
                self.without(
                    "state",
                    [("pay_by", self.pay_by.is_some()), ("url", self.url.is_some())],
                )?;
                let word = match word {
                    StateWord::Paid => ShopWord::Paid,
                    StateWord::Closed => ShopWord::Closed,
                };
                Ok(ShopSays::State { order, word })
            }
            (Some(_), Some(_)) => {
                Err(broken("state", "comes later, in a report without `outcome`"))
            }
            (None, None) => Err(broken(
                "outcome",
                "is missing: send `outcome` (reserved, sold_out or refused), or later `order` and `state` (paid or closed)",
            )),
        }
    }

    fn order(&self) -> Result<ShopOrderId, Problem> {
        let text = self.order.as_deref().ok_or_else(|| {
            broken(
                "order",
                "is missing: what the shop calls the order, 1 to 128 visible ASCII characters",
            )
        })?;
        ShopOrderId::new(text).map_err(|bad| broken("order", bad.to_string()))
    }

    /// An entry that got nothing has nothing to pay.
    fn nothing_else(&self) -> Result<(), Problem> {
        self.without(
            "outcome",
            [
                ("order", self.order.is_some()),
                ("pay_by", self.pay_by.is_some()),
                ("url", self.url.is_some()),
            ],
        )
    }

    fn without<const N: usize>(
        &self,
        with: &str,
        fields: [(&str, bool); N],
    ) -> Result<(), Problem> {
        match fields.into_iter().find(|(_, is_there)| *is_there) {
            Some((field, _)) => Err(broken(
                field,
                format!("belongs to `outcome`: `reserved`, not to this `{with}`"),
            )),
            None => Ok(()),
        }
    }
}

/// Where buyers are sent must be `https`, on a host of the shop's; whatever a browser might read otherwise is refused.
fn check_link(link: &str, hosts: &[String]) -> Result<(), Problem> {
    if link.len() > LINK_BYTES_MAX {
        return Err(broken("url", format!("must have at most {LINK_BYTES_MAX} characters")));
    }
    let is_odd = |b: u8| !b.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&b);
    let Some(rest) = link.strip_prefix("https://").filter(|_| !link.bytes().any(is_odd)) else {
        return Err(broken(
            "url",
            "must be an https address, its other characters percent-encoded",
        ));
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, "443"));
    let known = hosts.iter().any(|known| known.eq_ignore_ascii_case(host));
    if known && port.parse::<u16>().is_ok() {
        return Ok(());
    }
    Err(broken(
        "url",
        "must point to a host that `worker.link_hosts` names in the configuration of the operator role",
    ))
}

/// 422, naming the field.
fn broken(field: &str, rule: impl Into<String>) -> Problem {
    Problem::out_of_range(&OutOfRange::new(field, rule))
}

#[cfg(test)]
mod tests {
    use sluice_core::random::Random;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn read(json: &str) -> Result<ShopSays, Problem> {
        let body: ShopBody = serde_json::from_str(json).unwrap();
        let id = OrderId::generate(NOW, &Random::seeded(1));
        body.read(&["shop.example.com".to_owned()], NOW, id)
    }

    fn field_of(json: &str) -> String {
        let problem = read(json).unwrap_err();
        assert_eq!(problem.status(), 422, "{json}");
        problem.field_path().unwrap().to_owned()
    }

    #[test]
    fn the_two_kinds_of_report() {
        let said = read(
            r#"{"outcome":"reserved","order":"A-1","url":"https://Shop.example.com/pay?o=1#x"}"#,
        );
        let ShopSays::Outcome(ShopOutcome::Reserved { order, pay_by, .. }) = said.unwrap() else {
            panic!("it is an outcome")
        };
        assert_eq!((order.id.as_str(), pay_by), ("A-1", None));
        let said = read(r#"{"order":"A-1","state":"paid"}"#).unwrap();
        assert!(matches!(said, ShopSays::State { word: ShopWord::Paid, .. }));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, field) in [
            ("{}", "outcome"),
            (r#"{"outcome":"reserved"}"#, "order"),
            (r#"{"outcome":"reserved","order":""}"#, "order"),
            (r#"{"outcome":"reserved","order":"a b"}"#, "order"),
            (r#"{"outcome":"reserved","order":"a","state":"paid"}"#, "state"),
            (r#"{"outcome":"reserved","order":"a","pay_by":"2099-01-01T00:00:00Z"}"#, "pay_by"),
            (r#"{"outcome":"sold_out","order":"a"}"#, "order"),
            (r#"{"outcome":"refused","url":"https://shop.example.com/"}"#, "url"),
            (r#"{"state":"paid"}"#, "order"),
            (r#"{"order":"a","state":"paid","pay_by":"2027-01-01T00:00:00Z"}"#, "pay_by"),
        ] {
            assert_eq!(field_of(json), field, "{json}");
        }
    }

    #[test]
    fn buyers_are_sent_to_the_shop_and_nowhere_else() {
        for link in [
            "http://shop.example.com/",
            "https://evil.example.com/",
            "https://shop.example.com.evil.example/",
            "https://shop.example.com@evil.example/",
            "https://evil.example/https://shop.example.com/",
            "https://evil.example\\\\@shop.example.com/",
            "https://shop.example.com:x/",
            "//shop.example.com/",
            "https://",
            "javascript:alert(1)",
            "https://shop.example.com/\\u0000",
        ] {
            let json = format!(r#"{{"outcome":"reserved","order":"a","url":"{link}"}}"#);
            assert_eq!(field_of(&json), "url", "{link}");
        }
        let long = format!("https://shop.example.com/{}", "x".repeat(LINK_BYTES_MAX));
        let json = format!(r#"{{"outcome":"reserved","order":"a","url":"{long}"}}"#);
        assert_eq!(field_of(&json), "url");
        for link in ["https://shop.example.com", "https://shop.example.com:8443/pay/1?a=b&c=%20"] {
            let json = format!(r#"{{"outcome":"reserved","order":"a","url":"{link}"}}"#);
            assert!(read(&json).is_ok(), "{link}");
        }
    }
}
