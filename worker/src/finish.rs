//! The steps that see one order through: `closing` to `closed` or `paid`, `paid` to `fulfilled`. Each is a compare-and-swap
//! in the ledger, so any number of workers may try; who comes second goes on from where the first one left it.

use std::time::Duration;

use sluice_core::{
    ids::PaymentId,
    order::{Order, OrderState},
    ports::{PaymentState, PaymentStep, PortResult, ProviderStatus, StepReply},
};
use tokio::time::{Instant, timeout};

use crate::shared::Shared;

/// Tries after which an order that is not finished is worth an alarm.
const ALARM_AFTER: u32 = 8;
/// Longest path of steps an order can take here.
const STEPS_MAX: usize = 8;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Finished {
    /// Nothing more to do, for us.
    Done,
    /// Somebody did not answer: try again.
    Later,
}

/// What one step came to.
enum Step {
    /// The order as it is now.
    Now(Box<Order>),
    Later,
}

/// Sees an order through as far as it goes now. `since` is when we took it up, `tries` how often we tried before.
pub(crate) async fn finish(shared: &Shared, order: Order, since: Instant, tries: u32) -> Finished {
    let mut order = order;
    for _ in 0..STEPS_MAX {
        let step = match order.state {
            OrderState::Closing => close(shared, &order, since.elapsed()).await,
            OrderState::Paid | OrderState::Fulfilling => fulfil(shared, &order).await,
            OrderState::AwaitingPayment
            | OrderState::Closed
            | OrderState::Fulfilled
            | OrderState::Failed
            | OrderState::Refunding
            | OrderState::Refunded
            | OrderState::Changing => return Finished::Done,
        };
        match step {
            Ok(Step::Now(next)) => order = *next,
            Ok(Step::Later) => break,
            Err(error) => {
                tracing::warn!(sale = %order.sale, order = %order.id, tries, error = &error as &dyn std::error::Error,
                    "an order cannot be seen through now: the ledger is away");
                return Finished::Later;
            }
        }
    }
    if tries == ALARM_AFTER {
        tracing::error!(sale = %order.sale, order = %order.id, state = order.state.as_str(), tries,
            "an order cannot be seen through; it is tried on");
    }
    Finished::Later
}

/// Asks the provider before stock is given away, and gives it away without its word only after `closing_max`.
async fn close(shared: &Shared, order: &Order, closing_for: Duration) -> PortResult<Step> {
    // The shop has closed it, and says how many it has now: a moment later, if its two calls overtook each other.
    if order.shop.is_some() && closing_for < shared.config.shop_closing_grace {
        return Ok(Step::Later);
    }
    let Some(payment) = order.payment else { return close_unpaid(shared, order).await };
    match shared.provider.close(payment).await {
        Ok(ProviderStatus::Succeeded) => found_paid(shared, order, payment).await,
        Ok(ProviderStatus::Closed | ProviderStatus::Failed | ProviderStatus::Refunded) => {
            close_unpaid(shared, order).await
        }
        answer if closing_for >= shared.config.closing_max => {
            tracing::error!(sale = %order.sale, order = %order.id, ?answer,
                "the payment provider did not say in time whether an order is paid: closed without its word");
            close_unpaid(shared, order).await
        }
        Ok(ProviderStatus::Pending) => Ok(Step::Later),
        Err(error) => {
            tracing::warn!(sale = %order.sale, order = %order.id, error = &error as &dyn std::error::Error,
                "the payment provider cannot be asked to close a payment; trying again");
            Ok(Step::Later)
        }
    }
}

async fn close_unpaid(shared: &Shared, order: &Order) -> PortResult<Step> {
    let reply = shared.ask(|| shared.ports.ledger.close_unpaid(order.id)).await?;
    Ok(took(shared, order, reply))
}

/// The buyer was faster than the deadline: the provider's word is applied as if it had called back.
async fn found_paid(shared: &Shared, order: &Order, id: PaymentId) -> PortResult<Step> {
    let ledger = &shared.ports.ledger;
    let Some(payment) = shared.ask(|| ledger.payment(id)).await? else {
        tracing::error!(sale = %order.sale, order = %order.id, "the payment of an order is not in the ledger");
        return Ok(Step::Later);
    };
    let update = payment.found(PaymentState::Succeeded);
    match shared.ask(|| ledger.apply_payment(update.clone())).await? {
        PaymentStep::Applied { order, gate } => {
            shared.entered(&order, gate);
            Ok(Step::Now(Box::new(order)))
        }
        // The callback came in between, or the money is another's: the order says how to go on.
        PaymentStep::Ignored { order: now, gate } if now.state != OrderState::Closing => {
            // An answer of ours that was lost is told by the repeat.
            shared.follow(&now, gate);
            Ok(Step::Now(Box::new(now)))
        }
        PaymentStep::Surplus(now) if now.state != OrderState::Closing => {
            tracing::error!(sale = %now.sale, order = %now.id, "surplus money waits for its refund");
            Ok(Step::Now(Box::new(now)))
        }
        step @ (PaymentStep::Ignored { .. }
        | PaymentStep::Surplus(_)
        | PaymentStep::WrongAmount
        | PaymentStep::Unknown) => {
            tracing::error!(sale = %order.sale, order = %order.id, ?step,
                "the provider says that an order is paid, the ledger does not take it");
            Ok(Step::Later)
        }
    }
}

async fn fulfil(shared: &Shared, order: &Order) -> PortResult<Step> {
    let ledger = &shared.ports.ledger;
    if order.state == OrderState::Paid {
        let reply = shared.ask(|| ledger.fulfil(order.id, OrderState::Fulfilling)).await?;
        return Ok(took(shared, order, reply));
    }
    let limit = shared.config.fulfilment_timeout;
    let fulfilled = match timeout(limit, shared.fulfilment.fulfil(order)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(sale = %order.sale, order = %order.id, error = &error as &dyn std::error::Error,
                "an order cannot be fulfilled now; trying again");
            false
        }
        Err(_) => {
            tracing::warn!(sale = %order.sale, order = %order.id, "the fulfilment of an order took too long; trying again");
            false
        }
    };
    if !fulfilled {
        return Ok(Step::Later);
    }
    let reply = shared.ask(|| ledger.fulfil(order.id, OrderState::Fulfilled)).await?;
    Ok(took(shared, order, reply))
}

/// Goes on from the ledger's reply; a step that did not move the order is not tried again at once.
fn took(shared: &Shared, before: &Order, reply: StepReply) -> Step {
    match reply {
        StepReply::Done { order, gate } => {
            shared.entered(&order, gate);
            Step::Now(Box::new(order))
        }
        StepReply::Already(order) | StepReply::Wrong(order) if order.state != before.state => {
            Step::Now(Box::new(order))
        }
        StepReply::Already(_) | StepReply::Wrong(_) => Step::Later,
        StepReply::NoSuchOrder => {
            // Its sale was deleted, which only final orders allow.
            let mut gone = before.clone();
            gone.state = OrderState::Closed;
            Step::Now(Box::new(gone))
        }
    }
}
