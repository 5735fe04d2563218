//! The steps of an order, each a compare-and-swap on its version under a lock of its row, with a row of history; and the
//! movements of its hold.

use sluice_core::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, HoldId, OrderId, PaymentId, SaleId, Version},
    money::AmountFen,
    order::{ClosingCause, Order, OrderChange, OrderEvent, OrderLine, OrderState},
    ports::{HoldPhase, HoldUpdate, OrderStep, StepReply},
    seats::{Seat, SeatNo, Stretch},
};
use sqlx::{PgConnection, Row, postgres::PgRow, types::Uuid};

use super::{entries::shop_order, seats};
use crate::postgres::{
    codec::{
        ToUuid, Unknown, damaged, id, int, small_int, some_id, some_json, text, time, uuids, whole,
        word,
    },
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

/// Orders with their lines, live payments and histories, in the order of asking; unknown ones are left out.
pub(super) async fn orders(
    connection: &mut PgConnection,
    orders: &[OrderId],
) -> Result<Vec<Order>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let asked = sqlx::query(sql!("orders/get")).bind(uuids(orders));
    let rows = asked.fetch_all(connection).await?;
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}

pub(super) async fn order(
    connection: &mut PgConnection,
    order: OrderId,
) -> Result<Option<Order>, Fault> {
    Ok(orders(connection, &[order]).await?.pop())
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
    let asked = sqlx::query(sql!("orders/get")).bind(uuids(&[order]));
    let row = asked.fetch_one(connection).await?;
    let (order, now) = (read(&row)?, time(&row, 18)?);
    let now = order.history.last().map_or(now, |last| now.max(last.at));
    Ok(Some(Locked { order, now }))
}

/// An order from the columns of `orders/get`.
pub(super) fn read(row: &PgRow) -> sqlx::Result<Order> {
    let cause: Option<&str> = row.try_get(7)?;
    Ok(Order {
        id: id(row, 0, OrderId::from_bytes)?,
        sale: text(row, 1)?,
        entry: id(row, 2, EntryId::from_bytes)?,
        buyer: text::<BuyerId>(row, 3)?,
        hold: id(row, 4, HoldId::from_bytes)?,
        state: word(row, 5, OrderState::parse)?,
        version: Version(whole(row, 6)?),
        closing_cause: cause.and_then(ClosingCause::parse),
        lines: lines(row)?,
        amount: AmountFen(row.try_get(8)?),
        currency: text(row, 9)?,
        pay_by: time(row, 10)?,
        payment: some_id(row, 11, PaymentId::from_bytes)?,
        shop: shop_order(row, 19)?,
        reach: some_json(row, 26)?,
        history: history(row)?,
    })
}

fn lines(row: &PgRow) -> sqlx::Result<Vec<OrderLine>> {
    let skus: Vec<String> = row.try_get(12)?;
    let (quantities, amounts): (Vec<i32>, Vec<i64>) = (row.try_get(13)?, row.try_get(14)?);
    let refunded: Vec<i32> = row.try_get(21)?;
    let (from, to): (Vec<Option<i32>>, Vec<Option<i32>>) = (row.try_get(22)?, row.try_get(23)?);
    let (numbers, labels): (Vec<Option<i32>>, Vec<Option<String>>) =
        (row.try_get(24)?, row.try_get(25)?);
    let ends = from.into_iter().zip(to);
    let seats = numbers.into_iter().zip(labels);
    let lines = skus.iter().zip(quantities).zip(amounts).zip(refunded).zip(ends).zip(seats);
    let lines = lines.map(|(((((sku, quantity), amount), refunded), ends), seat)| {
        Ok(OrderLine {
            sku: sku.parse().map_err(|error| damaged(12, error))?,
            quantity: u32::try_from(quantity).map_err(|error| damaged(13, error))?,
            amount: AmountFen(amount),
            refunded: u32::try_from(refunded).map_err(|error| damaged(21, error))?,
            stretch: stretch(ends)?,
            seat: seat_of(seat)?,
        })
    });
    lines.collect()
}

/// Writes the lines of orders, each with its place.
pub(super) async fn write_lines<'a>(
    connection: &mut PgConnection,
    lines: impl Iterator<Item = (OrderId, &'a [OrderLine])>,
) -> Result<(), Fault> {
    let (mut orders, mut skus) = (Vec::<Uuid>::new(), Vec::<&str>::new());
    let (mut places, mut quantities, mut amounts) = (Vec::new(), Vec::new(), Vec::<i64>::new());
    let (mut from, mut to) = (Vec::<Option<i32>>::new(), Vec::<Option<i32>>::new());
    let (mut numbers, mut labels) = (Vec::<Option<i32>>::new(), Vec::<Option<&str>>::new());
    for (order, lines) in lines {
        for (place, line) in (0_i32..).zip(lines) {
            orders.push(order.uuid());
            skus.push(line.sku.as_str());
            places.push(place);
            quantities.push(small_int(line.quantity));
            amounts.push(line.amount.0);
            from.push(line.stretch.map(|stretch| stretch.from().into()));
            to.push(line.stretch.map(|stretch| stretch.to().into()));
            numbers.push(line.seat.as_ref().map(|seat| seat.no.0.into()));
            labels.push(line.seat.as_ref().map(|seat| seat.label.as_str()));
        }
    }
    sqlx::query(sql!("orders/lines_add"))
        .bind(orders)
        .bind(skus)
        .bind(places)
        .bind(quantities)
        .bind(amounts)
        .bind(from)
        .bind(to)
        .bind(numbers)
        .bind(labels)
        .execute(connection)
        .await?;
    Ok(())
}

fn stretch(ends: (Option<i32>, Option<i32>)) -> sqlx::Result<Option<Stretch>> {
    let (Some(from), Some(to)) = ends else { return Ok(None) };
    let stretch = u8::try_from(from).ok().zip(u8::try_from(to).ok());
    let stretch = stretch.and_then(|(from, to)| Stretch::new(from, to));
    stretch.map(Some).ok_or_else(|| damaged(22, Unknown))
}

fn seat_of(seat: (Option<i32>, Option<String>)) -> sqlx::Result<Option<Seat>> {
    let (Some(no), Some(label)) = seat else { return Ok(None) };
    let no = u16::try_from(no).map_err(|error| damaged(24, error))?;
    let label = label.parse().map_err(|error| damaged(25, error))?;
    Ok(Some(Seat { no: SeatNo(no), label }))
}

fn history(row: &PgRow) -> sqlx::Result<Vec<OrderChange>> {
    let (states, times): (Vec<String>, Vec<i64>) = (row.try_get(15)?, row.try_get(16)?);
    let reasons: Vec<String> = row.try_get(17)?;
    let changes = states.iter().zip(times).zip(reasons).map(|((state, at), reason)| {
        let state = OrderState::parse(state).ok_or_else(|| damaged(15, Unknown))?;
        Ok(OrderChange { state, at: UnixMillis(at), reason })
    });
    changes.collect()
}

/// A step to take: what happens, what becomes of the hold with it, and what the buyer is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) event: OrderEvent,
    pub(super) hold: Option<Movement>,
    pub(super) reason: &'static str,
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
    let after = order(connection, before.id).await?.ok_or(Fault::Raced)?;
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
    let (hold, reason, at) = (movement_of(asked), asked.reason(), locked.now);
    let step = Step { event: asked.event(), hold, reason };
    let reply = take(connection, locked, step).await?;
    let (OrderStep::CloseUnpaid, StepReply::Done { gate, .. }) = (asked, &reply) else {
        return Ok(reply);
    };
    let close = sqlx::query(sql!("settle/close_payments"));
    close.bind(vec![order.uuid()]).bind(vec![at.0]).execute(&mut *connection).await?;
    let order = self::order(connection, order).await?.ok_or(Fault::Raced)?;
    Ok(StepReply::Done { order, gate: gate.clone() })
}

/// What a step makes of a hold.
pub(super) fn movement_of(step: OrderStep) -> Option<Movement> {
    match step {
        OrderStep::CloseUnpaid => Some(Movement::Released),
        OrderStep::BeginFulfilment | OrderStep::EndFulfilment => None,
    }
}

/// Brings an order into the state that an event leads to, with a row of history; `None` where it leads nowhere.
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

/// A version and a row of history for what leaves an order in its state.
pub(super) async fn note(
    connection: &mut PgConnection,
    locked: &Locked,
    reason: &str,
) -> Result<(), Fault> {
    stay_or_go(connection, locked, locked.order.state, None, reason).await
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
        .execute(&mut *connection)
        .await?;
    if swapped.rows_affected() != 1 {
        return Err(Fault::Raced);
    }
    write_history(connection, locked, to, reason).await
}

async fn write_history(
    connection: &mut PgConnection,
    locked: &Locked,
    to: OrderState,
    reason: &str,
) -> Result<(), Fault> {
    sqlx::query(sql!("orders/history_add"))
        .bind(locked.order.id.uuid())
        .bind(int(locked.order.version.next().0))
        .bind(to.as_str())
        .bind(locked.now.0)
        .bind(reason)
        .execute(connection)
        .await?;
    Ok(())
}

/// What an order takes with a step beside its state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Become {
    pub(super) hold: HoldId,
    pub(super) amount: AmountFen,
    pub(super) units: u32,
}

/// Brings an order into the state that an event leads to, under another hold, with a row of history.
pub(super) async fn become_other(
    connection: &mut PgConnection,
    locked: &Locked,
    event: OrderEvent,
    reason: &str,
    next: Become,
) -> Result<(), Fault> {
    let Locked { order: before, now } = locked;
    let to = before.state.step(event, before.closing_cause).map_err(|_| Fault::Raced)?;
    let swapped = sqlx::query(sql!("aftersales/become"))
        .bind(before.id.uuid())
        .bind(int(before.version.0))
        .bind(to.as_str())
        .bind(now.0)
        .bind(next.hold.uuid())
        .bind(next.amount.0)
        .bind(small_int(next.units))
        .execute(&mut *connection)
        .await?;
    if swapped.rows_affected() != 1 {
        return Err(Fault::Raced);
    }
    write_history(connection, locked, to, reason).await
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
