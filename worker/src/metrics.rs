//! The worker's metrics. No label ever carries a buyer, an entry or an order.

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use sluice_core::{ids::SaleId, order::OrderState};

/// Orders that entered a state.
pub(crate) const ORDERS: &str = "sluice_orders_total";
/// Payment callbacks, by what became of them.
pub(crate) const CALLBACKS: &str = "sluice_payment_callbacks_total";
/// Turns settled in one transaction of the ledger.
pub(crate) const BATCH: &str = "sluice_hold_batch_turns";
/// Messages set aside for an operator, turns and callbacks alike.
pub(crate) const DEAD: &str = "sluice_dead_letters";

/// Turns released once more because the shop's order backend said nothing about them.
pub(crate) const RELEASED_AGAIN: &str = "sluice_turns_released_again_total";

/// Help texts, and what is shown before anything happened. Call it once a recorder is installed.
pub(crate) fn describe() {
    describe_counter!(ORDERS, Unit::Count, "Orders that entered a state, by sale and state.");
    describe_counter!(CALLBACKS, Unit::Count, "Payment callbacks, by what became of them.");
    describe_histogram!(BATCH, Unit::Count, "Turns settled in one transaction of the ledger.");
    describe_gauge!(
        DEAD,
        Unit::Count,
        "Messages set aside for an operator, turns and callbacks alike."
    );
    describe_counter!(
        RELEASED_AGAIN,
        Unit::Count,
        "Turns released once more because the shop's order backend said nothing about them."
    );
    dead(0);
    for result in ["applied", "kept", "buried", "wrong_amount"] {
        counter!(CALLBACKS, "result" => result).increment(0);
    }
}

pub(crate) fn orders_entered(sale: &SaleId, state: OrderState, count: u64) {
    if count > 0 {
        counter!(ORDERS, "sale" => sale.to_string(), "state" => state.as_str()).increment(count);
    }
}

pub(crate) fn callback(result: &'static str) {
    counter!(CALLBACKS, "result" => result).increment(1);
}

pub(crate) fn batch(sale: &SaleId, turns: usize) {
    histogram!(BATCH, "sale" => sale.to_string())
        .record(f64::from(u32::try_from(turns).unwrap_or(u32::MAX)));
}

pub(crate) fn released_again(sale: &SaleId, turns: usize) {
    counter!(RELEASED_AGAIN, "sale" => sale.to_string()).increment(turns as u64);
}

pub(crate) fn dead(count: u64) {
    gauge!(DEAD, "queue" => "dead").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are part of the contract; dashboards and alarms use them.
    #[test]
    fn the_names_are_the_published_ones() {
        assert_eq!(
            [ORDERS, CALLBACKS, BATCH, DEAD, RELEASED_AGAIN],
            [
                "sluice_orders_total",
                "sluice_payment_callbacks_total",
                "sluice_hold_batch_turns",
                "sluice_dead_letters",
                "sluice_turns_released_again_total",
            ]
        );
    }
}
