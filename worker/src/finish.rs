//! The steps that see one order through: `closing` to `closed` or `paid`, `paid` to `fulfilled` or back, `changing` to its end. Each is a compare-and-swap
//! in the ledger, so any number of workers may try; who comes second goes on from where the first one left it.

use std::time::Duration;

use sluice_core::{
    ids::PaymentId,
    order::{Order, OrderState},
    ports::{
        ChangeEnd, ChangeReply, OrderStep, PaymentState, PaymentStep, PortResult, ProviderStatus,
        RefundReply, StepReply,
    },
};
use sluice_http::Throttle;
use tokio::time::{Instant, timeout};

use crate::{FulfilmentError, aftermath::Goods, metrics, shared::Shared};

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
            OrderState::Changing => change(shared, &order).await,
            OrderState::AwaitingPayment
            | OrderState::Closed
            | OrderState::Fulfilled
            | OrderState::Failed
            | OrderState::Refunding
            | OrderState::Refunded => return Finished::Done,
        };
        match step {
            Ok(Step::Now(next)) => order = *next,
            Ok(Step::Later) => break,
            Err(error) => {
                static AWAY: Throttle = Throttle::new(1);
                later(
                    &AWAY,
                    &order,
                    &error,
                    "an order cannot be seen through now: the ledger is away",
                );
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

/// Says that an order is tried again. Whoever is away is away for every order: a line a second says so as well as all of them.
fn later(
    throttle: &Throttle,
    order: &Order,
    error: &(dyn std::error::Error + 'static),
    what: &'static str,
) {
    if let Some(held_back) = throttle.pass() {
        tracing::warn!(sale = %order.sale, order = %order.id, held_back, error, "{what}");
    }
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
            static AWAY: Throttle = Throttle::new(1);
            later(
                &AWAY,
                order,
                &error,
                "the payment provider cannot be asked to close a payment; trying again",
            );
            Ok(Step::Later)
        }
    }
}

async fn close_unpaid(shared: &Shared, order: &Order) -> PortResult<Step> {
    let reply = shared.step(order.id, OrderStep::CloseUnpaid).await?;
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
    let mut asked = 0;
    let step = shared.ask(|| {
        asked += 1;
        shared.words.ask(update.clone())
    });
    match step.await? {
        PaymentStep::Applied { order, gate } => {
            shared.entered_by_payment(&order, gate);
            Ok(Step::Now(Box::new(order)))
        }
        // The callback came in between, or the money is another's: the order says how to go on.
        PaymentStep::Ignored { order: now, gate } if now.state != OrderState::Closing => {
            // An answer of ours that was lost is told by the repeat.
            if asked > 1 {
                shared.tell_entered(&now);
            }
            shared.follow(&now, gate);
            Ok(Step::Now(Box::new(now)))
        }
        PaymentStep::Surplus(now) if now.state != OrderState::Closing => {
            tracing::warn!(sale = %now.sale, order = %now.id, "surplus money goes back");
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
    if order.state == OrderState::Paid {
        let reply = shared.step(order.id, OrderStep::BeginFulfilment).await?;
        return Ok(took(shared, order, reply));
    }
    match issue(shared, order).await {
        Issued::Yes => {
            let reply = shared.step(order.id, OrderStep::EndFulfilment).await?;
            Ok(took(shared, order, reply))
        }
        Issued::Later => Ok(Step::Later),
        Issued::Never => fail(shared, order).await,
    }
}

/// What the fulfilment said.
enum Issued {
    Yes,
    Later,
    Never,
}

async fn issue(shared: &Shared, order: &Order) -> Issued {
    let limit = shared.config.fulfilment_timeout;
    match timeout(limit, shared.fulfilment.fulfil(order)).await {
        Ok(Ok(())) => Issued::Yes,
        Ok(Err(error @ FulfilmentError::Refused(_))) => {
            tracing::error!(sale = %order.sale, order = %order.id, error = &error as &dyn std::error::Error,
                "an order will never be fulfilled");
            Issued::Never
        }
        Ok(Err(error @ FulfilmentError::Unreachable(_))) => {
            static AWAY: Throttle = Throttle::new(1);
            later(&AWAY, order, &error, "an order cannot be fulfilled now; trying again");
            Issued::Later
        }
        Err(elapsed) => {
            static SLOW: Throttle = Throttle::new(1);
            later(&SLOW, order, &elapsed, "the fulfilment of an order took too long; trying again");
            Issued::Later
        }
    }
}

/// It will never be fulfilled: goods and money go back.
async fn fail(shared: &Shared, order: &Order) -> PortResult<Step> {
    match shared.ask(|| shared.ports.ledger.fail_fulfilment(order.id)).await? {
        RefundReply::Begun(_, now) => {
            // Both states in one transaction.
            metrics::orders_entered(&now.sale, OrderState::Failed, 1);
            shared.entered_with(&now, None, Goods::CameBack);
            Ok(Step::Now(Box::new(now)))
        }
        RefundReply::Already(_, now) => {
            shared.follow_with(&now, None, Goods::CameBack);
            Ok(Step::Now(Box::new(now)))
        }
        RefundReply::Refused(now, _) if now.state != order.state => Ok(Step::Now(Box::new(now))),
        // What the shop's own order backend made, or has no payment of ours: only the shop can end it.
        RefundReply::Refused(..) => Ok(Step::Later),
        RefundReply::NoSuchOrder => Ok(gone(order)),
    }
}

/// Has the new goods issued, then sells them and frees the old; or gives the new ones back.
async fn change(shared: &Shared, order: &Order) -> PortResult<Step> {
    let ledger = &shared.ports.ledger;
    let Some(changed) = shared.ask(|| ledger.changed(order.id)).await? else {
        let now = shared.ask(|| ledger.order(order.id)).await?;
        return Ok(now.map_or_else(|| gone(order), |now| Step::Now(Box::new(now))));
    };
    let end = match issue(shared, &changed).await {
        Issued::Yes => ChangeEnd::Made,
        Issued::Later => return Ok(Step::Later),
        Issued::Never => ChangeEnd::Undone,
    };
    match shared.ask(|| ledger.end_change(order.id, end)).await? {
        ChangeReply::Done { order, gate } => {
            shared.entered_with(&order, Some(gate), Goods::CameBack);
            Ok(Step::Now(Box::new(order)))
        }
        ChangeReply::Already(now) | ChangeReply::Refused(now, _) => {
            shared.follow_with(&now, None, Goods::CameBack);
            Ok(Step::Now(Box::new(now)))
        }
        ChangeReply::NoSuchOrder => Ok(gone(order)),
    }
}

/// Its sale was deleted, which only final orders allow.
fn gone(before: &Order) -> Step {
    Step::Now(Box::new(Order { state: OrderState::Closed, ..before.clone() }))
}

/// Goes on from the ledger's reply; a step that did not move the order is not tried again at once.
fn took(shared: &Shared, before: &Order, reply: StepReply) -> Step {
    match reply {
        StepReply::Done { order, gate } => {
            shared.entered(&order, gate);
            Step::Now(Box::new(order))
        }
        StepReply::Already { order, gate } => {
            // Whoever took it may have died before the gate heard.
            shared.follow(&order, gate);
            if order.state == before.state { Step::Later } else { Step::Now(Box::new(order)) }
        }
        StepReply::Wrong(order) if order.state != before.state => Step::Now(Box::new(order)),
        StepReply::Wrong(_) => Step::Later,
        StepReply::NoSuchOrder => gone(before),
    }
}
