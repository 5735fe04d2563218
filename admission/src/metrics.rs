//! The numbers admission tells. Labels are closed: ids of known sales and the names below.

use metrics::{Counter, counter, describe_counter, describe_gauge, gauge};
use sluice_core::ids::SaleId;

const JOINS: &str = "sluice_joins_total";
const MOVES: &str = "sluice_moves_total";
const SEEN_WAITING: &str = "sluice_seen_waiting";

/// Tells the recorder what each number means; called once when admission is built.
pub(crate) fn describe() {
    describe_counter!(
        JOINS,
        "Joins answered, by sale and result: new, found, or the code of the refusal."
    );
    describe_counter!(
        MOVES,
        "Places that were taken to another device, or found again by their buyer after that, by sale."
    );
    describe_gauge!(SEEN_WAITING, "Renewed places that wait to be noted as seen.");
}

/// The counters of one sale; the two busy ones are looked up once.
#[derive(Debug)]
pub(crate) struct JoinCounters {
    sale: String,
    new: Counter,
    found: Counter,
}

/// How a join ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum JoinResult {
    New,
    Found,
    /// By the code of its problem.
    Refused(&'static str),
}

impl JoinCounters {
    pub(crate) fn of(sale: &SaleId) -> Self {
        let sale = sale.to_string();
        let count =
            |result: &'static str| counter!(JOINS, "sale" => sale.clone(), "result" => result);
        let (new, found) = (count("new"), count("found"));
        Self { sale, new, found }
    }

    pub(crate) fn count(&self, result: JoinResult) {
        match result {
            JoinResult::New => self.new.increment(1),
            JoinResult::Found => self.found.increment(1),
            JoinResult::Refused(code) => {
                counter!(JOINS, "sale" => self.sale.clone(), "result" => code).increment(1);
            }
        }
    }
}

/// A place was taken over. Rare: its counter is looked up each time.
pub(crate) fn moved(sale: &SaleId) {
    counter!(MOVES, "sale" => sale.to_string()).increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub(crate) fn seen_waiting(entries: usize) {
    gauge!(SEEN_WAITING).set(entries as f64);
}
