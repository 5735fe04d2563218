//! `no-swallowed-money`, from what shoppers saw: what they paid is either in an order they keep, or back with them, or
//! visibly on its way. What the order says is laid beside what the payment provider says.

use serde::Serialize;

use super::record::Record;

/// What a crowd paid, and where it is, in the currency's smallest unit: `paid = kept + refunded + in_flight + swallowed`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub(crate) struct Money {
    pub(crate) payments: u64,
    pub(crate) paid_fen: u64,
    /// Of orders that are paid, on their way or fulfilled.
    pub(crate) kept_fen: u64,
    pub(crate) refunded_fen: u64,
    /// Of orders that said that their money goes back, and had not when the crowd went.
    pub(crate) in_flight_fen: u64,
    pub(crate) swallowed_fen: u64,
}

/// Where the money of one shopper is.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Whereabouts {
    Kept,
    Refunded,
    InFlight,
    Swallowed(String),
}

/// Sums up, and tells of what does not fit.
pub(crate) fn count(records: &[Record]) -> (Money, Vec<String>) {
    let (mut money, mut broken) = (Money::default(), Vec::new());
    for record in records.iter().filter(|record| record.paid) {
        money.payments += 1;
        money.paid_fen += record.paid_fen;
        let place = match whereabouts(record) {
            Whereabouts::Kept => &mut money.kept_fen,
            Whereabouts::Refunded => &mut money.refunded_fen,
            Whereabouts::InFlight => &mut money.in_flight_fen,
            Whereabouts::Swallowed(what) => {
                broken.push(format!("shopper {} paid and {what}", record.shopper));
                &mut money.swallowed_fen
            }
        };
        *place += record.paid_fen;
    }
    (money, broken)
}

fn whereabouts(record: &Record) -> Whereabouts {
    let state = record.order_state.as_deref();
    match (state, record.statement.as_deref()) {
        (Some("refunded"), Some("refunded") | None) => Whereabouts::Refunded,
        (Some("refunded"), Some(other)) => Whereabouts::Swallowed(format!(
            "the order says refunded, while the payment is {other} at the provider"
        )),
        (Some("paid" | "fulfilling" | "fulfilled" | "changing"), _) => Whereabouts::Kept,
        (_, Some("refunded")) => Whereabouts::Refunded,
        (Some("failed" | "refunding"), _) => Whereabouts::InFlight,
        (state, _) => {
            Whereabouts::Swallowed(format!("the order is {}", state.unwrap_or("unknown")))
        }
    }
}

/// Whether a shopper has goods, by the last that was heard: they count against the stock.
pub(crate) fn keeps_goods(record: &Record) -> bool {
    record.paid && whereabouts(record) == Whereabouts::Kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(paid: bool, state: Option<&str>, statement: Option<&str>) -> Record {
        let mut record = Record::of(1);
        record.paid = paid;
        record.paid_fen = 100;
        record.order_state = state.map(str::to_owned);
        record.statement = statement.map(str::to_owned);
        record
    }

    #[test]
    fn every_payment_is_in_one_place() {
        let records = [
            record(true, Some("fulfilled"), None),
            record(true, Some("paid"), Some("succeeded")),
            record(true, Some("refunded"), Some("refunded")),
            record(true, Some("refunded"), None),
            // Surplus: the order stays closed, and the provider gave the money back.
            record(true, Some("closed"), Some("refunded")),
            record(true, Some("refunding"), Some("succeeded")),
            record(false, Some("closed"), None),
        ];
        let (money, broken) = count(&records);
        assert!(broken.is_empty(), "{broken:?}");
        let due = Money {
            payments: 6,
            paid_fen: 600,
            kept_fen: 200,
            refunded_fen: 300,
            in_flight_fen: 100,
            swallowed_fen: 0,
        };
        assert_eq!(money, due);
        assert_eq!(records.iter().filter(|record| keeps_goods(record)).count(), 2);
    }

    #[test]
    fn money_that_is_nowhere_is_told() {
        for (state, statement) in [
            (None, None),
            (Some("closed"), None),
            (Some("closed"), Some("succeeded")),
            (Some("awaiting_payment"), None),
            (Some("closing"), Some("succeeded")),
            (Some("refunded"), Some("succeeded")),
        ] {
            let (money, broken) = count(&[record(true, state, statement)]);
            assert_eq!((money.swallowed_fen, broken.len()), (100, 1), "{state:?} {statement:?}");
        }
    }
}
