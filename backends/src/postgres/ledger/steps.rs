//! The steps of an order, each a compare-and-swap on its version under a lock of its row, with a change in its history; and
//! the movements of its hold.

use sluice_core::{
    clock::UnixMillis,
    ids::{HoldId, OrderId, SaleId},
    money::AmountFen,
    order::{Order, OrderEvent, OrderLine, OrderState},
    ports::{HoldPhase, HoldUpdate, OrderStep, StepReply},
};
use sqlx::{PgConnection, postgres::PgQueryResult};

use super::{
    row::{self, change_text, lines_text},
    seats,
};
use crate::postgres::{
    codec::{ToUuid, Unknown, damaged, int, small_int, whole, word},
    fault::Fault,
};

/// What becomes of the hold of an order.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Movement {
    Held,
    Sold,
    Released,
}

impl Movement {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Sold => "sold",
            Self::Released => "released",
        }
    }

    /// What it does to a balance.
    pub(super) fn statement(self) -> &'static str {
        match self {
            Self::Held => sql!("hold/take_stock"),
            Self::Sold => sql!("orders/stock_sell"),
            Self::Released => sql!("orders/stock_release"),
        }
    }

    pub(super) fn phase(self) -> HoldPhase {
        match self {
            Self::Held => HoldPhase::Held,
            Self::Sold => HoldPhase::Sold,
            Self::Released => HoldPhase::Released,
        }
    }
}

/// An order that nobody else changes until the transaction ends, and the time, which is not before its last change.
#[derive(Debug)]
pub(super) struct Locked {
    pub(super) order: Order,
    pub(super) now: UnixMillis,
}

/// Locks an order, then reads it: a reading that began before the lock was had would show it as it was.
pub(super) async fn lock(
    connection: &mut PgConnection,
    order: OrderId,
) -> Result<Option<Locked>, Fault> {
    let lock = sqlx::query(sql!("orders/lock")).bind(order.uuid());
    if lock.fetch_optional(&mut *connection).await?.is_none() {
        return Ok(None);
    }
    Ok(row::locked(connection, &[order]).await?.pop())
}

/// A step to take: what happens, what becomes of the hold with it, and what the buyer is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) event: OrderEvent,
    pub(super) hold: Option<Movement>,
    pub(super) reason: &'static str,
}

impl Step {
    pub(super) fn of(asked: OrderStep) -> Self {
        let (event, reason) = asked.change();
        Self { event, hold: movement_of(asked), reason }
    }
}

/// Takes a step. The state it leads to must be one that the order machine allows; if not, nothing changes.
pub(super) async fn take(
    connection: &mut PgConnection,
    locked: Locked,
    step: Step,
) -> Result<StepReply, Fault> {
    if swap(connection, &locked, step.event, step.reason).await?.is_none() {
        return Ok(StepReply::Wrong(locked.order));
    }
    let Locked { order: before, now } = locked;
    let gate = match step.hold {
        Some(kind) => Some(move_hold(connection, now, &before, kind).await?),
        None => None,
    };
    // The gate does not know the shop's goods.
    let gate = gate.filter(|_| before.shop.is_none());
    let after = row::order(connection, before.id).await?.ok_or(Fault::Raced)?;
    Ok(StepReply::Done { order: after, gate })
}

/// One of the steps that are taken of many orders, of one.
pub(super) async fn take_alone(
    connection: &mut PgConnection,
    order: OrderId,
    asked: OrderStep,
) -> Result<StepReply, Fault> {
    let Some(locked) = lock(connection, order).await? else { return Ok(StepReply::NoSuchOrder) };
    if locked.order.state == asked.leads_to() {
        let gate = last_word(connection, &locked.order).await?;
        return Ok(StepReply::Already { order: locked.order, gate });
    }
    let (at, step) = (locked.now, Step::of(asked));
    let reply = take(connection, locked, step).await?;
    let (OrderStep::CloseUnpaid, StepReply::Done { gate, .. }) = (asked, &reply) else {
        return Ok(reply);
    };
    let close = sqlx::query(sql!("settle/close_payments"));
    close.bind(vec![order.uuid()]).bind(vec![at.0]).execute(&mut *connection).await?;
    let order = row::order(connection, order).await?.ok_or(Fault::Raced)?;
    Ok(StepReply::Done { order, gate: gate.clone() })
}

/// What a step makes of a hold.
pub(super) fn movement_of(step: OrderStep) -> Option<Movement> {
    match step {
        OrderStep::CloseUnpaid => Some(Movement::Released),
        OrderStep::BeginFulfilment | OrderStep::EndFulfilment => None,
    }
}

/// Brings an order into the state that an event leads to; `None` where it leads nowhere.
pub(super) async fn swap(
    connection: &mut PgConnection,
    locked: &Locked,
    event: OrderEvent,
    reason: &str,
) -> Result<Option<OrderState>, Fault> {
    let Locked { order: before, .. } = locked;
    let Ok(to) = before.state.step(event, before.closing_cause) else { return Ok(None) };
    stay_or_go(connection, locked, to, cause(event), reason).await?;
    Ok(Some(to))
}

async fn stay_or_go(
    connection: &mut PgConnection,
    locked: &Locked,
    to: OrderState,
    cause: Option<&str>,
    reason: &str,
) -> Result<(), Fault> {
    let Locked { order: before, now } = locked;
    let swapped = sqlx::query(sql!("orders/step"))
        .bind(before.id.uuid())
        .bind(int(before.version.0))
        .bind(to.as_str())
        .bind(cause)
        .bind(now.0)
        .bind(change_text(to, *now, reason))
        .execute(connection)
        .await?;
    one(swapped)
}

/// Nobody else changes an order that is locked: it is where it was.
fn one(swapped: PgQueryResult) -> Result<(), Fault> {
    if swapped.rows_affected() == 1 { Ok(()) } else { Err(Fault::Raced) }
}

/// A step with which goods of the order go back: its lines as they are then.
pub(super) async fn give_back(
    connection: &mut PgConnection,
    locked: &Locked,
    to: OrderState,
    reason: &str,
    lines: &[OrderLine],
) -> Result<(), Fault> {
    let Locked { order: before, now } = locked;
    let swapped = sqlx::query(sql!("aftersales/step"))
        .bind(before.id.uuid())
        .bind(int(before.version.0))
        .bind(to.as_str())
        .bind(now.0)
        .bind(change_text(to, *now, reason))
        .bind(lines_text(lines)?)
        .execute(connection)
        .await?;
    one(swapped)
}

/// What an order takes with a step beside its state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Become<'a> {
    pub(super) hold: HoldId,
    pub(super) lines: &'a [OrderLine],
    pub(super) amount: AmountFen,
    pub(super) units: u32,
}

/// Brings an order into the state that an event leads to, under another hold.
pub(super) async fn become_other(
    connection: &mut PgConnection,
    locked: &Locked,
    event: OrderEvent,
    reason: &str,
    next: Become<'_>,
) -> Result<(), Fault> {
    let Locked { order: before, now } = locked;
    let to = before.state.step(event, before.closing_cause).map_err(|_| Fault::Raced)?;
    let swapped = sqlx::query(sql!("aftersales/become"))
        .bind(before.id.uuid())
        .bind(int(before.version.0))
        .bind(to.as_str())
        .bind(now.0)
        .bind(change_text(to, *now, reason))
        .bind(next.hold.uuid())
        .bind(next.amount.0)
        .bind(small_int(next.units))
        .bind(lines_text(next.lines)?)
        .execute(connection)
        .await?;
    one(swapped)
}

fn cause(event: OrderEvent) -> Option<&'static str> {
    match event {
        OrderEvent::Close(cause) => Some(cause.as_str()),
        OrderEvent::Paid
        | OrderEvent::ClosedUnpaid
        | OrderEvent::FulfilmentBegan
        | OrderEvent::Fulfilled
        | OrderEvent::FulfilmentFailed
        | OrderEvent::RefundBegan
        | OrderEvent::Refunded
        | OrderEvent::ChangeBegan
        | OrderEvent::ChangeEnded => None,
    }
}

/// Moves what an order holds to sold, or back to available: once, or its movement is refused. Balances come late, ascending
/// by SKU, each a statement of its own, and the movement last.
async fn move_hold(
    connection: &mut PgConnection,
    now: UnixMillis,
    order: &Order,
    kind: Movement,
) -> Result<HoldUpdate, Fault> {
    let statement = match kind {
        Movement::Released if order.shop.is_some() => sql!("shop/release_stock"),
        Movement::Held | Movement::Sold | Movement::Released => kind.statement(),
    };
    if kind == Movement::Released {
        seats::free(connection, std::iter::once((order.id, order.hold))).await?;
    }
    for line in &order.lines {
        sqlx::query(statement)
            .bind(order.sale.as_str())
            .bind(line.sku.as_str())
            .bind(int(line.units()))
            .execute(&mut *connection)
            .await?;
    }
    let movement = movement(connection, now, &order.sale, order.hold, kind).await?;
    let basket = order.basket().ok_or_else(|| damaged(12, Unknown))?;
    Ok(HoldUpdate { hold: order.hold, movement, phase: kind.phase(), basket })
}

/// Whether a hold was ever set aside.
pub(super) async fn was_moved(connection: &mut PgConnection, hold: HoldId) -> Result<bool, Fault> {
    let asked = sqlx::query(sql!("orders/word")).bind(hold.uuid());
    Ok(asked.fetch_optional(connection).await?.is_some())
}

/// Writes a movement of a hold; its number. The last that a transaction locks.
pub(super) async fn movement(
    connection: &mut PgConnection,
    now: UnixMillis,
    sale: &SaleId,
    hold: HoldId,
    kind: Movement,
) -> Result<u64, Fault> {
    let written = sqlx::query(sql!("orders/movement"))
        .bind(sale.as_str())
        .bind(hold.uuid())
        .bind(kind.as_str())
        .bind(now.0)
        .fetch_one(connection)
        .await?;
    Ok(whole(&written, 0)?)
}

/// The latest word on what an order holds, as the gate was told it.
pub(super) async fn last_word(
    connection: &mut PgConnection,
    order: &Order,
) -> Result<Option<HoldUpdate>, Fault> {
    // The gate does not know the shop's goods.
    let Some(basket) = order.basket().filter(|_| order.shop.is_none()) else { return Ok(None) };
    let asked = sqlx::query(sql!("orders/word")).bind(order.hold.uuid());
    let Some(row) = asked.fetch_optional(connection).await? else { return Ok(None) };
    let (movement, phase) = (whole(&row, 0)?, word(&row, 1, phase)?);
    Ok(Some(HoldUpdate { hold: order.hold, movement, phase, basket }))
}

/// What a kind of movement makes of a hold.
pub(super) fn phase(kind: &str) -> Option<HoldPhase> {
    match kind {
        "held" => Some(HoldPhase::Held),
        "sold" => Some(HoldPhase::Sold),
        "released" => Some(HoldPhase::Released),
        _ => None,
    }
}
