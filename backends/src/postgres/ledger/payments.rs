//! Payments of orders. The provider's versions only move forward; money that no order can take is recorded as surplus.
//! Whoever touches a payment has locked its order.

use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId},
    money::AmountFen,
    order::{ClosingCause, Order, OrderEvent, OrderState},
    ports::{NewPayment, Payment, PaymentState, PaymentStep, PaymentUpdate, StepReply},
};
use sqlx::{PgConnection, Row};

use super::steps::{self, Locked, Movement, Step};
use crate::postgres::{
    codec::{ToUuid, id, int, plain, text, whole, word},
    fault::Fault,
};

/// A payment, and whether its money was beyond what the order could take.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) payment: Payment,
    surplus: bool,
}

pub(super) async fn payment(
    connection: &mut PgConnection,
    payment: PaymentId,
) -> Result<Option<Known>, Fault> {
    let asked = sqlx::query(sql!("payments/get")).bind(payment.uuid());
    let Some(row) = asked.fetch_optional(connection).await? else { return Ok(None) };
    let payment = Payment {
        id: payment,
        order: id(&row, 0, OrderId::from_bytes)?,
        provider: row.try_get(1)?,
        state: word(&row, 2, PaymentState::parse)?,
        version: whole(&row, 3)?,
        amount: AmountFen(row.try_get(4)?),
        currency: text(&row, 5)?,
    };
    Ok(Some(Known { payment, surplus: row.try_get(6)? }))
}

/// Opens a payment for an order that awaits one, or finds its live one.
pub(super) async fn begin(
    connection: &mut PgConnection,
    order: OrderId,
    new: PaymentId,
    provider: &str,
) -> Result<NewPayment, Fault> {
    let Some(Locked { order, now }) = steps::lock(connection, order).await? else {
        return Ok(NewPayment::NoSuchOrder);
    };
    // What the shop's own order backend made is paid there.
    if order.state != OrderState::AwaitingPayment || order.shop.is_some() {
        return Ok(NewPayment::WrongState(order.state));
    }
    // The id itself finds its payment too, should the call be repeated after that payment has failed.
    for live in order.payment.into_iter().chain([new]) {
        if let Some(known) = payment(connection, live).await?
            && known.payment.order == order.id
        {
            return Ok(NewPayment::Live(known.payment));
        }
    }
    let payment = Payment {
        id: new,
        order: order.id,
        provider: plain(provider.to_owned()),
        state: PaymentState::Pending,
        version: 0,
        amount: order.amount,
        currency: order.currency,
    };
    sqlx::query(sql!("payments/begin"))
        .bind(payment.id.uuid())
        .bind(payment.order.uuid())
        .bind(payment.provider.as_str())
        .bind(payment.state.as_str())
        .bind(payment.amount.0)
        .bind(payment.currency.as_str())
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(NewPayment::New(payment))
}

/// The order is closed: its payment is no longer awaited.
pub(super) async fn close_pending(
    connection: &mut PgConnection,
    now: UnixMillis,
    order: OrderId,
) -> Result<(), Fault> {
    let close = sqlx::query(sql!("payments/close")).bind(order.uuid()).bind(now.0);
    close.execute(connection).await?;
    Ok(())
}

/// Applies the provider's word.
pub(super) async fn apply(
    connection: &mut PgConnection,
    update: &PaymentUpdate,
) -> Result<PaymentStep, Fault> {
    let Some(locked) = steps::lock(connection, update.order).await? else {
        return Ok(PaymentStep::Unknown);
    };
    let known = payment(connection, update.payment).await?;
    let Some(known) = known.filter(|known| known.payment.order == update.order) else {
        return Ok(PaymentStep::Unknown);
    };
    if (update.amount, update.currency) != (known.payment.amount, known.payment.currency) {
        return Ok(PaymentStep::WrongAmount);
    }
    if update.version <= known.payment.version || !moves_on(known.payment.state, update.state) {
        let gate = steps::last_word(connection, &locked.order).await?;
        return Ok(PaymentStep::Ignored { order: locked.order, gate });
    }
    let news = known.payment.state != update.state;
    let step = match update.state {
        PaymentState::Succeeded if news => return succeed(connection, update, locked).await,
        PaymentState::Refunded if news && !known.surplus => refunded(&locked.order),
        PaymentState::Pending
        | PaymentState::Succeeded
        | PaymentState::Failed
        | PaymentState::Closed
        | PaymentState::Refunded => None,
    };
    write(connection, locked.now, update, known.surplus).await?;
    applied(connection, locked, step).await
}

/// Whether a payment may pass from one state to another. Money that came in can only go back.
fn moves_on(from: PaymentState, to: PaymentState) -> bool {
    match from {
        PaymentState::Pending => true,
        PaymentState::Failed | PaymentState::Closed => to != PaymentState::Pending,
        PaymentState::Succeeded => {
            matches!(to, PaymentState::Succeeded | PaymentState::Refunded)
        }
        PaymentState::Refunded => to == PaymentState::Refunded,
    }
}

/// The money is there. It pays an order that awaits it, or is recorded for the refund.
async fn succeed(
    connection: &mut PgConnection,
    update: &PaymentUpdate,
    locked: Locked,
) -> Result<PaymentStep, Fault> {
    let cancelled = locked.order.closing_cause == Some(ClosingCause::Cancelled);
    let step = match locked.order.state {
        OrderState::AwaitingPayment => {
            Some(Step { event: OrderEvent::Paid, hold: Some(Movement::Sold), reason: "Paid." })
        }
        OrderState::Closing if cancelled => Some(Step {
            event: OrderEvent::Paid,
            hold: Some(Movement::Released),
            reason: "It was paid after it was cancelled; the money goes back.",
        }),
        OrderState::Closing => Some(Step {
            event: OrderEvent::Paid,
            hold: Some(Movement::Sold),
            reason: "Paid just in time.",
        }),
        OrderState::Closed
        | OrderState::Paid
        | OrderState::Fulfilling
        | OrderState::Fulfilled
        | OrderState::Failed
        | OrderState::Refunding
        | OrderState::Refunded
        | OrderState::Changing => None,
    };
    write(connection, locked.now, update, step.is_none()).await?;
    if step.is_none() {
        return Ok(PaymentStep::Surplus(locked.order));
    }
    applied(connection, locked, step).await
}

/// The order's own money went back.
fn refunded(order: &Order) -> Option<Step> {
    (order.state == OrderState::Refunding).then_some(Step {
        event: OrderEvent::Refunded,
        hold: None,
        reason: "The money went back.",
    })
}

async fn applied(
    connection: &mut PgConnection,
    locked: Locked,
    step: Option<Step>,
) -> Result<PaymentStep, Fault> {
    let Some(step) = step else {
        // As it is after the payment moved: its live payment may be another.
        let order = steps::order(connection, locked.order.id).await?.ok_or(Fault::Raced)?;
        return Ok(PaymentStep::Applied { order, gate: None });
    };
    match steps::take(connection, locked, step).await? {
        StepReply::Done { order, gate } => Ok(PaymentStep::Applied { order, gate }),
        StepReply::Already(order) | StepReply::Wrong(order) => {
            Ok(PaymentStep::Applied { order, gate: None })
        }
        StepReply::NoSuchOrder => Ok(PaymentStep::Unknown),
    }
}

async fn write(
    connection: &mut PgConnection,
    now: UnixMillis,
    update: &PaymentUpdate,
    surplus: bool,
) -> Result<(), Fault> {
    sqlx::query(sql!("payments/step"))
        .bind(update.payment.uuid())
        .bind(update.state.as_str())
        .bind(int(update.version))
        .bind(surplus)
        .bind(now.0)
        .execute(connection)
        .await?;
    Ok(())
}
