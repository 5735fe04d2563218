//! What one shopper was told, and the contradictions in it. Judged when all is over.

use std::collections::BTreeMap;

use serde_json::Value;

/// Seconds since the crowd began, by the crowd's own clock.
pub(crate) type Seconds = f64;

/// How a shopper's visit ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Ending {
    /// Still under way when the crowd was called off.
    #[default]
    Unfinished,
    /// Never got a place: refused with a code of the contract.
    TurnedAway,
    /// Has an outcome, and everything after it is done.
    Done,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) shopper: u32,
    pub(crate) ending: Ending,
    /// When the first join was sent that may have been recorded.
    pub(crate) join_first_sent: Option<Seconds>,
    /// When the join that was answered was sent, and when its answer was there.
    pub(crate) join_sent: Option<Seconds>,
    pub(crate) join_answered: Option<Seconds>,
    pub(crate) entry: Option<String>,
    /// `None` for one that joined beyond the line's cap.
    pub(crate) seq: Option<u64>,
    /// Whether it stood by when it was last heard of.
    pub(crate) standby: bool,
    pub(crate) called: Option<Seconds>,
    pub(crate) outcome: Option<String>,
    pub(crate) outcome_at: Option<Seconds>,
    pub(crate) order: Option<String>,
    /// Whether the provider said that it took the money.
    pub(crate) paid: bool,
    pub(crate) paid_fen: u64,
    /// Payments that the provider refused to take.
    pub(crate) declined: u32,
    /// Where it was paid.
    pub(crate) pay_url: Option<String>,
    /// What the provider said of the payment when it was last asked.
    pub(crate) statement: Option<String>,
    /// When the goods were given back for the money.
    pub(crate) refund_asked: Option<Seconds>,
    pub(crate) order_state: Option<String>,
    /// Whether the order was closed, at its deadline and not before, while this shopper could not pay it.
    pub(crate) lapsed: bool,
    /// Refusals by code of the problem.
    pub(crate) refusals: BTreeMap<String, u32>,
    /// What contradicted a promise, by its name.
    pub(crate) contradictions: Vec<(&'static str, String)>,
    position: Option<u64>,
    serving: u64,
    version: u64,
}

impl Record {
    pub(crate) fn of(shopper: u32) -> Self {
        Self { shopper, ..Self::default() }
    }

    /// The highest `serving` seen.
    pub(crate) fn seen(&self) -> u64 {
        self.serving
    }

    pub(crate) fn refused(&mut self, code: &str) {
        *self.refusals.entry(code.to_owned()).or_default() += 1;
    }

    /// Takes in an entry object, and returns whether it was news.
    pub(crate) fn take_entry(&mut self, object: &Value, now: Seconds) -> bool {
        let (Some(entry), Some(version), Some(state)) =
            (object["entry"].as_str(), object["version"].as_u64(), object["state"].as_str())
        else {
            self.contradict(
                "never-backwards",
                "an entry object without entry, version or state".to_owned(),
            );
            return false;
        };
        let seq = object["seq"].as_u64();
        if self.entry.as_deref().is_some_and(|known| known != entry || self.seq != seq) {
            self.contradict(
                "no-lost-place",
                format!("entry {entry} with seq {seq:?} is not the place that was given"),
            );
        }
        if self.entry.is_none() {
            (self.entry, self.seq) = (Some(entry.to_owned()), seq);
        }
        if version < self.version {
            return false; // an older one, overtaken: clients ignore it
        }
        self.version = version;
        self.take_serving(object["serving"].as_u64().unwrap_or(0));
        if let Some(position) = object["position"].as_u64() {
            self.take_position(position);
        }
        self.standby = state == "standby";
        if !matches!(state, "waiting" | "standby") && self.called.is_none() {
            self.called = Some(now);
        }
        if !matches!(state, "waiting" | "called" | "standby") {
            self.take_outcome(state, object, now);
        }
        true
    }

    fn take_position(&mut self, position: u64) {
        if let Some(shown) = self.position
            && position > shown
        {
            self.contradict("never-backwards", format!("position {shown} rose to {position}"));
        }
        self.position = Some(position);
    }

    /// A `serving` from any source; clients keep the highest.
    pub(crate) fn take_serving(&mut self, serving: u64) {
        self.serving = self.serving.max(serving);
    }

    fn take_outcome(&mut self, state: &str, object: &Value, now: Seconds) {
        match &self.outcome {
            Some(known) if known != state => {
                self.contradict("no-lost-place", format!("outcome {known} became {state}"));
            }
            Some(_) => {}
            None => {
                self.outcome = Some(state.to_owned());
                self.outcome_at = Some(now);
            }
        }
        if let Some(order) = object["order"].as_str() {
            if self.order.as_deref().is_some_and(|known| known != order) {
                self.contradict("no-double-order", format!("a second order {order}"));
            }
            self.order.get_or_insert_with(|| order.to_owned());
        }
    }

    pub(crate) fn contradict(&mut self, promise: &'static str, what: String) {
        if self.contradictions.len() < 20 {
            self.contradictions.push((promise, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(version: u64, state: &str, position: Option<u64>) -> Value {
        json!({ "entry": "e", "seq": 9, "version": version, "state": state, "position": position, "serving": 3 })
    }

    #[test]
    fn a_rise_is_noticed() {
        let mut record = Record::default();
        record.take_entry(&object(1, "waiting", Some(5)), 0.0);
        record.take_entry(&object(1, "waiting", Some(4)), 1.0);
        assert!(record.contradictions.is_empty());
        record.take_entry(&object(1, "waiting", Some(6)), 2.0);
        assert_eq!(record.contradictions[0].0, "never-backwards");
    }

    #[test]
    fn a_changed_outcome_is_noticed() {
        let mut record = Record::default();
        record.take_entry(&object(3, "sold_out", None), 0.0);
        record.take_entry(&object(3, "reserved", None), 1.0);
        assert_eq!(record.contradictions[0].0, "no-lost-place");
        assert_eq!(record.outcome.as_deref(), Some("sold_out"));
    }

    #[test]
    fn what_was_overtaken_is_ignored() {
        let mut record = Record::default();
        assert!(record.take_entry(&object(3, "sold_out", None), 0.0));
        assert!(!record.take_entry(&object(1, "waiting", Some(9)), 1.0));
        assert!(record.contradictions.is_empty());
    }
}
