//! The operator role's metrics. Labels never carry a token's name, an address or a buyer.

use metrics::{counter, gauge};
use sluice_core::ids::{SaleId, SkuId};

/// Attempts to change something, by verb and result (`ok`, or the code of the problem).
pub(crate) const CHANGES: &str = "sluice_operator_changes_total";
/// Requests without a right admin token.
pub(crate) const AUTH_FAILURES: &str = "sluice_operator_auth_failures_total";
/// Units the stock gate has beyond the ledger (below 0: lacks), available and held together.
pub(crate) const STOCK_DRIFT: &str = "sluice_stock_drift";
/// Buried messages, by queue.
pub(crate) const DEAD_LETTERS: &str = "sluice_dead_letters";
/// Statistics streams open now.
pub(crate) const STREAMS: &str = "sluice_operator_streams";

pub(crate) fn changed(verb: &'static str, result: &'static str) {
    counter!(CHANGES, "verb" => verb, "result" => result).increment(1);
}

pub(crate) fn auth_failed() {
    counter!(AUTH_FAILURES).increment(1);
}

pub(crate) fn stock_drift(sale: &SaleId, sku: &SkuId, units: i64) {
    #[expect(clippy::cast_precision_loss, reason = "units are far below 2^53")]
    gauge!(STOCK_DRIFT, "sale" => sale.to_string(), "sku" => sku.to_string()).set(units as f64);
}

pub(crate) fn dead_letters(count: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a count of messages is far below 2^53")]
    gauge!(DEAD_LETTERS, "queue" => "sluice.dead").set(count as f64);
}

pub(crate) fn stream_opened() {
    gauge!(STREAMS).increment(1);
}

pub(crate) fn stream_closed() {
    gauge!(STREAMS).decrement(1);
}
