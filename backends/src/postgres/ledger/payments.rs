//! Payments of orders. The provider's versions only move forward; money that no order can take goes back.
//! Whoever touches a payment has locked its order.

use std::collections::HashMap;

use sluice_core::{
    clock::UnixMillis,
    ids::{HoldId, OrderId, PaymentId},
    late::{HeldAgain, Success},
    money::AmountFen,
    order::{OrderEvent, OrderState},
    ports::{
        HoldPhase, HoldUpdate, NewPayment, OncePaid, Payment, PaymentState, PaymentStep,
        PaymentUpdate, StepReply,
    },
    refund::{NewRefund, RefundCause},
};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    goods, refunds, row, seats,
    steps::{self, Become, Locked, Movement, Step},
};
use crate::{
    postgres::{
        codec::{ToUuid, id, int, plain, text, uuids, whole, word},
        fault::Fault,
    },
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

pub(super) async fn payment(
    connection: &mut PgConnection,
    payment: PaymentId,
) -> Result<Option<Known>, Fault> {
    Ok(all(connection, &[payment]).await?.remove(&payment))
}

pub(super) async fn all(
    connection: &mut PgConnection,
    payments: &[PaymentId],
) -> Result<HashMap<PaymentId, Known>, Fault> {
    let asked = sqlx::query(sql!("payments/get")).bind(uuids(payments));
    let known = |row: &PgRow| {
        let payment = Payment {
            id: id(row, 8, PaymentId::from_bytes)?,
            order: id(row, 0, OrderId::from_bytes)?,
            provider: row.try_get(1)?,
            state: word(row, 2, PaymentState::parse)?,
            version: whole(row, 3)?,
            amount: AmountFen(row.try_get(4)?),
            currency: text(row, 5)?,
        };
        let (surplus, refunding) = (row.try_get(6)?, AmountFen(row.try_get(7)?));
        Ok((payment.id, Known { payment, surplus, refunding }))
    };
    let rows = asked.fetch_all(connection).await?;
    Ok(rows.iter().map(known).collect::<sqlx::Result<_>>()?)
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

/// Applies the provider's word; an order that it pays goes on as far as it shall.
pub(super) async fn apply(
    connection: &mut PgConnection,
    update: &PaymentUpdate,
    once_paid: OncePaid,
) -> Result<PaymentStep, Fault> {
    let mut applied = apply_word(connection, update).await?;
    if let PaymentStep::Applied { order, gate: Some(_) } = &mut applied
        && order.state == OrderState::Paid
    {
        for step in once_paid.steps() {
            let now = order.history.last().ok_or(Fault::Raced)?.at;
            let locked = Locked { order: order.clone(), now };
            let StepReply::Done { order: next, .. } =
                steps::take(connection, locked, Step::of(*step)).await?
            else {
                return Err(Fault::Raced);
            };
            *order = next;
        }
    }
    Ok(applied)
}

async fn apply_word(
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
    if update.state == PaymentState::Succeeded && news {
        return succeed(connection, update, locked).await;
    }
    write(connection, locked.now, update, known.surplus).await?;
    if update.state == PaymentState::Refunded && news {
        refunds::sent_back(connection, &locked, &known).await?;
    }
    applied(connection, locked, None).await
}

/// Whether a payment may pass from one state to another. Money that came in can only go back.
pub(super) fn moves_on(from: PaymentState, to: PaymentState) -> bool {
    match from {
        PaymentState::Pending => true,
        PaymentState::Failed | PaymentState::Closed => to != PaymentState::Pending,
        PaymentState::Succeeded => {
            matches!(to, PaymentState::Succeeded | PaymentState::Refunded)
        }
        PaymentState::Refunded => to == PaymentState::Refunded,
    }
}

/// What the buyer of an order in this state is told when it is paid.
pub(super) fn paid(state: OrderState) -> &'static str {
    if state == OrderState::Closing { "Paid just in time." } else { "Paid." }
}

/// The money is there. It pays an order that awaits it, or goes back.
async fn succeed(
    connection: &mut PgConnection,
    update: &PaymentUpdate,
    locked: Locked,
) -> Result<PaymentStep, Fault> {
    match locked.order.success() {
        Success::Pays => {
            write(connection, locked.now, update, false).await?;
            let (hold, reason) = (Some(Movement::Sold), paid(locked.order.state));
            applied(connection, locked, Some(Step { event: OrderEvent::Paid, hold, reason })).await
        }
        Success::FoundCancelled => {
            write(connection, locked.now, update, false).await?;
            back(connection, &locked, update, RefundCause::Cancelled).await?;
            let step = Step {
                event: OrderEvent::Paid,
                hold: Some(Movement::Released),
                reason: "It was paid after it was cancelled; the money goes back.",
            };
            applied(connection, locked, Some(step)).await
        }
        Success::Late => late(connection, update, locked).await,
        Success::Surplus => surplus(connection, update, locked).await,
    }
}

/// Money for a closed order: its goods are held again, or it goes back.
async fn late(
    connection: &mut PgConnection,
    update: &PaymentUpdate,
    locked: Locked,
) -> Result<PaymentStep, Fault> {
    let books = goods::look(connection, &locked.order).await?;
    let left = |sku: &_| books.available.get(sku).copied().unwrap_or_default();
    let (sale, live) = (books.sale.as_ref(), books.has_live_order);
    let basket = locked.order.basket().ok_or(Fault::Raced)?;
    let seats_free = seats::are_free(connection, &locked.order.sale, &basket).await?;
    match locked.order.held_again(sale, locked.now, live, left, seats_free) {
        HeldAgain::Yes => {
            write(connection, locked.now, update, false).await?;
            hold_again(connection, update, &locked).await
        }
        HeldAgain::No => {
            write(connection, locked.now, update, false).await?;
            back(connection, &locked, update, RefundCause::Late).await?;
            let reason = "Your payment came late; the money goes back.";
            let step = Step { event: OrderEvent::RefundBegan, hold: None, reason };
            applied(connection, locked, Some(step)).await
        }
        HeldAgain::StaysClosed => surplus(connection, update, locked).await,
    }
}

/// Holds the goods of a closed order once more, and sells them. Another live order of its buyer that came since we looked is
/// met at the index, before any balance is touched; goods that went since, at the balance.
async fn hold_again(
    connection: &mut PgConnection,
    update: &PaymentUpdate,
    locked: &Locked,
) -> Result<PaymentStep, Fault> {
    let Locked { order, now } = locked;
    let basket = order.basket().ok_or(Fault::Raced)?;
    let (hold, units) = (HoldId::of_late_payment(update.payment), basket.units());
    let next = Become { hold, lines: &order.lines, amount: order.amount, units };
    let reason = "Your payment came late; the goods were still there.";
    let became = steps::become_other(connection, locked, OrderEvent::Paid, reason, next).await;
    became.map_err(raced)?;
    // Seats before stock, as a hold takes them.
    let seated = std::iter::once((order.id, hold, &basket));
    seats::take(connection, &order.sale, seated).await.map_err(raced)?;
    goods::write(connection, &order.sale, &Shifts::of(&order.lines, Shift::sell)).await?;
    steps::movement(connection, *now, &order.sale, hold, Movement::Held).await?;
    let movement = steps::movement(connection, *now, &order.sale, hold, Movement::Sold).await?;
    let gate = Some(HoldUpdate { hold, movement, phase: HoldPhase::Sold, basket });
    let order = row::order(connection, order.id).await?.ok_or(Fault::Raced)?;
    Ok(PaymentStep::Applied { order, gate })
}

/// A constraint that our look had let pass: look again.
fn raced(fault: Fault) -> Fault {
    if fault.is_constraint() { Fault::Raced } else { fault }
}

/// No order can take it.
async fn surplus(
    connection: &mut PgConnection,
    update: &PaymentUpdate,
    locked: Locked,
) -> Result<PaymentStep, Fault> {
    write(connection, locked.now, update, true).await?;
    back(connection, &locked, update, RefundCause::Surplus).await?;
    Ok(PaymentStep::Surplus(locked.order))
}

/// All of it goes back.
async fn back(
    connection: &mut PgConnection,
    locked: &Locked,
    update: &PaymentUpdate,
    cause: RefundCause,
) -> Result<(), Fault> {
    let new = NewRefund::of_payment(update.payment, update.amount, cause);
    refunds::record(connection, locked, &new).await
}

async fn applied(
    connection: &mut PgConnection,
    locked: Locked,
    step: Option<Step>,
) -> Result<PaymentStep, Fault> {
    let Some(step) = step else {
        // As it is after the payment moved: its live payment may be another.
        let order = row::order(connection, locked.order.id).await?.ok_or(Fault::Raced)?;
        return Ok(PaymentStep::Applied { order, gate: None });
    };
    match steps::take(connection, locked, step).await.map_err(raced)? {
        StepReply::Done { order, gate } => Ok(PaymentStep::Applied { order, gate }),
        StepReply::Already { order, .. } | StepReply::Wrong(order) => {
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
