//! Payments of orders. The provider's versions only move forward; money that no order can take is recorded as surplus.

use rusqlite::{Connection, OptionalExtension, params};
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId},
    money::AmountFen,
    order::{ClosingCause, Order, OrderEvent, OrderState},
    ports::{HoldUpdate, NewPayment, Payment, PaymentState, PaymentStep, PaymentUpdate, StepReply},
};

use super::steps::{self, Movement, Step};
use crate::embedded::codec::{id, int, text, whole, word};

/// A payment, and whether its money was beyond what the order could take.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) payment: Payment,
    surplus: bool,
}

pub(super) fn payment(
    connection: &Connection,
    payment: PaymentId,
) -> rusqlite::Result<Option<Known>> {
    let mut statement = connection.prepare_cached(sql!("orders/payment"))?;
    let known = statement.query_row([payment.as_bytes().as_slice()], |row| {
        let payment = Payment {
            id: payment,
            order: id(row, 0, OrderId::from_bytes)?,
            provider: row.get(1)?,
            state: word(row, 2, PaymentState::parse)?,
            version: whole(row, 3)?,
            amount: AmountFen(row.get(4)?),
            currency: text(row, 5)?,
        };
        Ok(Known { payment, surplus: row.get(6)? })
    });
    known.optional()
}

/// Opens a payment for an order that awaits one, or finds its live one.
pub(super) fn begin(
    connection: &Connection,
    now: UnixMillis,
    order: OrderId,
    new: PaymentId,
    provider: &str,
) -> rusqlite::Result<NewPayment> {
    let Some(order) = steps::order(connection, order)? else { return Ok(NewPayment::NoSuchOrder) };
    // What the shop's own order backend made is paid there.
    if order.state != OrderState::AwaitingPayment || order.shop.is_some() {
        return Ok(NewPayment::WrongState(order.state));
    }
    // The id itself finds its payment too, should the call be repeated after that payment has failed.
    for live in order.payment.into_iter().chain([new]) {
        if let Some(known) = payment(connection, live)?
            && known.payment.order == order.id
        {
            return Ok(NewPayment::Live(known.payment));
        }
    }
    let payment = Payment {
        id: new,
        order: order.id,
        provider: provider.to_owned(),
        state: PaymentState::Pending,
        version: 0,
        amount: order.amount,
        currency: order.currency,
    };
    connection.prepare_cached(sql!("orders/payment_begin"))?.execute(params![
        payment.id.as_bytes().as_slice(),
        payment.order.as_bytes().as_slice(),
        payment.provider,
        payment.state.as_str(),
        payment.amount.0,
        payment.currency.as_str(),
        now.0,
    ])?;
    Ok(NewPayment::New(payment))
}

/// The order is closed: its payment is no longer awaited.
pub(super) fn close_pending(
    connection: &Connection,
    now: UnixMillis,
    order: OrderId,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("orders/payment_close"))?;
    statement.execute(params![order.as_bytes().as_slice(), now.0])?;
    Ok(())
}

/// Applies the provider's word.
pub(super) fn apply(
    connection: &Connection,
    now: UnixMillis,
    update: &PaymentUpdate,
) -> rusqlite::Result<PaymentStep> {
    let known = payment(connection, update.payment)?;
    let Some(known) = known.filter(|known| known.payment.order == update.order) else {
        return Ok(PaymentStep::Unknown);
    };
    if (update.amount, update.currency) != (known.payment.amount, known.payment.currency) {
        return Ok(PaymentStep::WrongAmount);
    }
    let order =
        steps::order(connection, update.order)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    if update.version <= known.payment.version || !moves_on(known.payment.state, update.state) {
        let gate = steps::last_word(connection, &order)?;
        return Ok(PaymentStep::Ignored { order, gate });
    }
    let news = known.payment.state != update.state;
    let step = match update.state {
        PaymentState::Succeeded if news => return succeed(connection, now, update, order),
        PaymentState::Refunded if news && !known.surplus => refunded(&order),
        PaymentState::Pending
        | PaymentState::Succeeded
        | PaymentState::Failed
        | PaymentState::Closed
        | PaymentState::Refunded => None,
    };
    write(connection, now, update, known.surplus)?;
    applied(connection, now, order, step)
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
fn succeed(
    connection: &Connection,
    now: UnixMillis,
    update: &PaymentUpdate,
    order: Order,
) -> rusqlite::Result<PaymentStep> {
    let cancelled = order.closing_cause == Some(ClosingCause::Cancelled);
    let step = match order.state {
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
    write(connection, now, update, step.is_none())?;
    if step.is_none() {
        return Ok(PaymentStep::Surplus(order));
    }
    applied(connection, now, order, step)
}

/// The order's own money went back.
fn refunded(order: &Order) -> Option<Step> {
    (order.state == OrderState::Refunding).then_some(Step {
        event: OrderEvent::Refunded,
        hold: None,
        reason: "The money went back.",
    })
}

fn applied(
    connection: &Connection,
    now: UnixMillis,
    order: Order,
    step: Option<Step>,
) -> rusqlite::Result<PaymentStep> {
    let Some(step) = step else {
        // As it is after the payment moved: its live payment may be another.
        let order =
            steps::order(connection, order.id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        return Ok(PaymentStep::Applied { order, gate: None });
    };
    let (order, gate): (Order, Option<HoldUpdate>) =
        match steps::take(connection, now, order, step)? {
            StepReply::Done { order, gate } => (order, gate),
            StepReply::Already(order) | StepReply::Wrong(order) => (order, None),
            StepReply::NoSuchOrder => return Ok(PaymentStep::Unknown),
        };
    Ok(PaymentStep::Applied { order, gate })
}

fn write(
    connection: &Connection,
    now: UnixMillis,
    update: &PaymentUpdate,
    surplus: bool,
) -> rusqlite::Result<()> {
    connection.prepare_cached(sql!("orders/payment_step"))?.execute(params![
        update.payment.as_bytes().as_slice(),
        update.state.as_str(),
        int(update.version),
        surplus,
        now.0,
    ])?;
    Ok(())
}
