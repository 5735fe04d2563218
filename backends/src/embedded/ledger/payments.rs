//! Payments of orders. The provider's versions only move forward; money that no order can take goes back.

use rusqlite::{Connection, OptionalExtension, params};
use sluice_core::{
    clock::UnixMillis,
    ids::{HoldId, OrderId, PaymentId},
    late::{HeldAgain, Success},
    money::AmountFen,
    order::{Order, OrderEvent, OrderState},
    ports::{
        HoldPhase, HoldUpdate, NewPayment, OncePaid, Payment, PaymentState, PaymentStep,
        PaymentUpdate, StepReply,
    },
    refund::{NewRefund, RefundCause},
};

use super::{
    goods, hold, refunds, sales, seats,
    steps::{self, Become, Movement, Step},
};
use crate::{
    embedded::codec::{id, int, text, whole, word},
    shifts::{Shift, Shifts},
};

/// A payment, and whether its money was beyond what the order could take.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) payment: Payment,
    surplus: bool,
    /// What its refunds come to.
    refunding: AmountFen,
}

impl Known {
    /// What can still be sent back of it.
    pub(super) fn left(&self) -> AmountFen {
        AmountFen(self.payment.amount.0 - self.refunding.0)
    }
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
        Ok(Known { payment, surplus: row.get(6)?, refunding: AmountFen(row.get(7)?) })
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

/// Applies the provider's word; an order that it pays goes on as far as it shall.
pub(super) fn apply(
    connection: &Connection,
    now: UnixMillis,
    update: &PaymentUpdate,
    once_paid: OncePaid,
) -> rusqlite::Result<PaymentStep> {
    let mut applied = apply_word(connection, now, update)?;
    if let PaymentStep::Applied { order, gate: Some(_) } = &mut applied
        && order.state == OrderState::Paid
    {
        for step in once_paid.steps() {
            let StepReply::Done { order: next, .. } =
                steps::take(connection, now, order.clone(), Step::of(*step))?
            else {
                break;
            };
            *order = next;
        }
    }
    Ok(applied)
}

fn apply_word(
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
    if update.state == PaymentState::Succeeded && news {
        return succeed(connection, now, update, order);
    }
    write(connection, now, update, known.surplus)?;
    if update.state == PaymentState::Refunded && news {
        refunds::sent_back(connection, now, &order, &known)?;
    }
    applied(connection, now, order, None)
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

/// The money is there. It pays an order that awaits it, or goes back.
fn succeed(
    connection: &Connection,
    now: UnixMillis,
    update: &PaymentUpdate,
    order: Order,
) -> rusqlite::Result<PaymentStep> {
    match order.success() {
        Success::Pays => {
            let closing = order.state == OrderState::Closing;
            let reason = if closing { "Paid just in time." } else { "Paid." };
            write(connection, now, update, false)?;
            let step = Step { event: OrderEvent::Paid, hold: Some(Movement::Sold), reason };
            applied(connection, now, order, Some(step))
        }
        Success::FoundCancelled => {
            write(connection, now, update, false)?;
            back(connection, now, update, &order, RefundCause::Cancelled)?;
            let step = Step {
                event: OrderEvent::Paid,
                hold: Some(Movement::Released),
                reason: "It was paid after it was cancelled; the money goes back.",
            };
            applied(connection, now, order, Some(step))
        }
        Success::Late => late(connection, now, update, order),
        Success::Surplus => surplus(connection, now, update, order),
    }
}

/// Money for a closed order: its goods are held again, or it goes back.
fn late(
    connection: &Connection,
    now: UnixMillis,
    update: &PaymentUpdate,
    order: Order,
) -> rusqlite::Result<PaymentStep> {
    let live = hold::has_live_order(connection, &order.sale, &order.buyer)?;
    let available = goods::available(connection, &order.sale)?;
    let sale = sales::sale(connection, &order.sale)?;
    let left = |sku: &_| available.get(sku).copied().unwrap_or_default();
    let basket = order.basket().ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let seats_free = seats::taken_by(connection, &order.sale, &basket)?.is_empty();
    match order.held_again(sale.as_ref(), now, live, left, seats_free) {
        HeldAgain::Yes => {
            write(connection, now, update, false)?;
            hold_again(connection, now, update, &order)
        }
        HeldAgain::No => {
            write(connection, now, update, false)?;
            back(connection, now, update, &order, RefundCause::Late)?;
            let reason = "Your payment came late; the money goes back.";
            let step = Step { event: OrderEvent::RefundBegan, hold: None, reason };
            applied(connection, now, order, Some(step))
        }
        HeldAgain::StaysClosed => surplus(connection, now, update, order),
    }
}

/// Holds the goods of a closed order once more, and sells them.
fn hold_again(
    connection: &Connection,
    now: UnixMillis,
    update: &PaymentUpdate,
    order: &Order,
) -> rusqlite::Result<PaymentStep> {
    let basket = order.basket().ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    let (hold, units) = (HoldId::of_late_payment(update.payment), basket.units());
    let next = Become { hold, amount: order.amount, units };
    let reason = "Your payment came late; the goods were still there.";
    steps::become_other(connection, now, order, OrderEvent::Paid, reason, next)?;
    goods::write(connection, &order.sale, &Shifts::of(&order.lines, Shift::sell))?;
    seats::take(connection, &order.sale, (order.id, hold), &basket)?;
    steps::movement(connection, now, &order.sale, hold, Movement::Held)?;
    let movement = steps::movement(connection, now, &order.sale, hold, Movement::Sold)?;
    let gate = Some(HoldUpdate { hold, movement, phase: HoldPhase::Sold, basket });
    let order = steps::order(connection, order.id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(PaymentStep::Applied { order, gate })
}

/// No order can take it.
fn surplus(
    connection: &Connection,
    now: UnixMillis,
    update: &PaymentUpdate,
    order: Order,
) -> rusqlite::Result<PaymentStep> {
    write(connection, now, update, true)?;
    back(connection, now, update, &order, RefundCause::Surplus)?;
    Ok(PaymentStep::Surplus(order))
}

/// All of it goes back.
fn back(
    connection: &Connection,
    now: UnixMillis,
    update: &PaymentUpdate,
    order: &Order,
    cause: RefundCause,
) -> rusqlite::Result<()> {
    let new = NewRefund::of_payment(update.payment, update.amount, cause);
    refunds::record(connection, now, order, &new)
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
            StepReply::Already { order, .. } | StepReply::Wrong(order) => (order, None),
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
