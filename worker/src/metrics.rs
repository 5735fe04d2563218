//! The worker's metrics. No label ever carries a buyer, an entry or an order.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use sluice_core::{ids::SaleId, order::OrderState, ports::Occasion, reconcile::Reconciliation};

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

/// Calls of the payment provider, by what became of them.
pub(crate) const PROVIDER_CALLS: &str = "sluice_provider_calls_total";
/// How long the payment provider takes.
pub(crate) const PROVIDER_SECONDS: &str = "sluice_provider_seconds";
/// Whether the payment provider is called at all.
pub(crate) const PROVIDER_UP: &str = "sluice_provider_up";
/// Tries to have the shop fulfil an order.
pub(crate) const FULFILMENTS: &str = "sluice_fulfilment_calls_total";
/// What buyers were to be told, by what became of it.
pub(crate) const NOTIFICATIONS: &str = "sluice_notifications_total";
/// Calls of the channels by which buyers are told.
pub(crate) const NOTIFICATION_CALLS: &str = "sluice_notification_calls_total";
/// How long a channel takes.
pub(crate) const NOTIFICATION_SECONDS: &str = "sluice_notification_seconds";
/// Units by which gate and ledger were found to differ.
pub(crate) const STOCK_DRIFT: &str = "sluice_stock_drift";
/// Holds of the gate that were set right from the ledger.
pub(crate) const HOLDS_MENDED: &str = "sluice_holds_mended_total";

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
    describe_counter!(
        PROVIDER_CALLS,
        Unit::Count,
        "Calls of the payment provider, by call and result: answered, refused, unreachable, or resting where none was made."
    );
    describe_histogram!(
        PROVIDER_SECONDS,
        Unit::Seconds,
        "Time from a call of the payment provider to its answer, or to the end of our patience."
    );
    describe_gauge!(
        PROVIDER_UP,
        Unit::Count,
        "1 while the payment provider is called, 0 while it is left alone because it did not answer."
    );
    describe_counter!(
        FULFILMENTS,
        Unit::Count,
        "Webhooks that asked the shop to fulfil an order, by result: done, refused, later, or resting where none was sent."
    );
    describe_counter!(
        NOTIFICATIONS,
        Unit::Count,
        "What buyers were to be told, by occasion and result: delivered, undeliverable, unavailable, shed because too many waited, or left because the process ended."
    );
    describe_counter!(
        NOTIFICATION_CALLS,
        Unit::Count,
        "Calls of the channels by which buyers are told, by channel and result: sent, away, later, never, barred, or resting where none was made."
    );
    describe_histogram!(
        NOTIFICATION_SECONDS,
        Unit::Seconds,
        "Time from a call of a channel to its answer, or to the end of our patience."
    );
    describe_gauge!(
        STOCK_DRIFT,
        Unit::Count,
        "Units the stock gate had beyond the ledger when they were last reconciled (below 0: lacked). Anything but 0 is an alarm."
    );
    describe_counter!(
        HOLDS_MENDED,
        Unit::Count,
        "Holds of the stock gate that were set right from the ledger, by remedy: `set` to its word, or `released` as a leak."
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

pub(crate) fn reconciled(found: &Reconciliation) {
    let sale = || found.sale.to_string();
    for sku in &found.skus {
        #[expect(clippy::cast_precision_loss, reason = "units are far below 2^53")]
        gauge!(STOCK_DRIFT, "sale" => sale(), "sku" => sku.sku.to_string()).set(sku.drift as f64);
    }
    for (remedy, count) in [("set", found.repaired), ("released", found.leaks)] {
        counter!(HOLDS_MENDED, "sale" => sale(), "remedy" => remedy).increment(count);
    }
}

pub(crate) fn dead(count: u64) {
    gauge!(DEAD, "queue" => "dead").set(f64::from(u32::try_from(count).unwrap_or(u32::MAX)));
}

pub(crate) fn provider_call(provider: &'static str, call: &'static str, result: &'static str) {
    counter!(PROVIDER_CALLS, "provider" => provider, "call" => call, "result" => result)
        .increment(1);
}

pub(crate) fn provider_took(provider: &'static str, call: &'static str, took: Duration) {
    histogram!(PROVIDER_SECONDS, "provider" => provider, "call" => call).record(took);
}

pub(crate) fn provider_up(provider: &'static str, up: bool) {
    gauge!(PROVIDER_UP, "provider" => provider).set(if up { 1.0 } else { 0.0 });
}

pub(crate) fn fulfilment(result: &'static str) {
    counter!(FULFILMENTS, "result" => result).increment(1);
}

pub(crate) fn notification(occasion: Occasion, result: &'static str) {
    counter!(NOTIFICATIONS, "occasion" => occasion.as_str(), "result" => result).increment(1);
}

pub(crate) fn notification_call(channel: &'static str, result: &'static str) {
    counter!(NOTIFICATION_CALLS, "channel" => channel, "result" => result).increment(1);
}

pub(crate) fn notification_took(channel: &'static str, took: Duration) {
    histogram!(NOTIFICATION_SECONDS, "channel" => channel).record(took);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names are part of the contract; dashboards and alarms use them.
    #[test]
    fn the_names_are_the_published_ones() {
        assert_eq!(
            [
                ORDERS,
                CALLBACKS,
                BATCH,
                DEAD,
                RELEASED_AGAIN,
                PROVIDER_CALLS,
                PROVIDER_SECONDS,
                PROVIDER_UP,
                FULFILMENTS,
                NOTIFICATIONS,
                NOTIFICATION_CALLS,
                NOTIFICATION_SECONDS,
                STOCK_DRIFT,
                HOLDS_MENDED,
            ],
            [
                "sluice_orders_total",
                "sluice_payment_callbacks_total",
                "sluice_hold_batch_turns",
                "sluice_dead_letters",
                "sluice_turns_released_again_total",
                "sluice_provider_calls_total",
                "sluice_provider_seconds",
                "sluice_provider_up",
                "sluice_fulfilment_calls_total",
                "sluice_notifications_total",
                "sluice_notification_calls_total",
                "sluice_notification_seconds",
                "sluice_stock_drift",
                "sluice_holds_mended_total",
            ]
        );
    }
}
