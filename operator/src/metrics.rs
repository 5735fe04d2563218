//! The operator role's metrics. Labels never carry a token's name, an address or a buyer.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use sluice_core::{ids::SaleId, order::OrderState};

const CHANGES: &str = "sluice_operator_changes_total";
const AUTH_FAILURES: &str = "sluice_operator_auth_failures_total";
const ORDERS: &str = "sluice_orders_total";
const STREAMS: &str = "sluice_operator_streams";

/// Help texts. Repeating it is harmless.
pub(crate) fn describe() {
    describe_counter!(
        CHANGES,
        Unit::Count,
        "Attempts to change something, by verb and result (`ok`, or the code of the problem)."
    );
    describe_counter!(AUTH_FAILURES, Unit::Count, "Requests without a right admin token.");
    describe_gauge!(STREAMS, Unit::Count, "Statistics streams open now.");
}

pub(crate) fn changed(verb: &'static str, result: &'static str) {
    counter!(CHANGES, "verb" => verb, "result" => result).increment(1);
}

/// Orders of the shop's that entered a state; the worker counts the others under the same name.
pub(crate) fn order_entered(sale: &SaleId, state: OrderState) {
    counter!(ORDERS, "sale" => sale.to_string(), "state" => state.as_str()).increment(1);
}

pub(crate) fn auth_failed() {
    counter!(AUTH_FAILURES).increment(1);
}

pub(crate) fn stream_opened() {
    gauge!(STREAMS).increment(1);
}

pub(crate) fn stream_closed() {
    gauge!(STREAMS).decrement(1);
}
