//! The steps of an order, each a compare-and-swap on its version with a row of history; and the movements of its hold.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sluice_core::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, HoldId, OrderId, PaymentId, SaleId, Version},
    money::AmountFen,
    order::{ClosingCause, Order, OrderChange, OrderEvent, OrderLine, OrderState},
    ports::{HoldPhase, HoldUpdate, OrderStep, StepReply},
    seats::{Seat, SeatNo, Stretch},
};

use super::{entries::shop_order, seats};
use crate::embedded::codec::{id, int, json_or_null, small, text, time, whole, word};

/// What became of a hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Movement {
    Held,
    Sold,
    Released,
}

impl Movement {
    fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Sold => "sold",
            Self::Released => "released",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        [Self::Held, Self::Sold, Self::Released].into_iter().find(|kind| kind.as_str() == text)
    }

    pub(super) fn phase(self) -> HoldPhase {
        match self {
            Self::Held => HoldPhase::Held,
            Self::Sold => HoldPhase::Sold,
            Self::Released => HoldPhase::Released,
        }
    }
}

/// An order with its lines, its live payment and its history.
pub(super) fn order(connection: &Connection, order: OrderId) -> rusqlite::Result<Option<Order>> {
    let key = order.as_bytes().as_slice();
    let found = connection
        .prepare_cached(sql!("orders/get"))?
        .query_row([key], |row| bare(row, order))
        .optional()?;
    let Some(mut order) = found else { return Ok(None) };
    let mut statement = connection.prepare_cached(sql!("orders/lines"))?;
    let lines = statement.query_map([key], line)?;
    order.lines = lines.collect::<rusqlite::Result<_>>()?;
    let mut statement = connection.prepare_cached(sql!("orders/history"))?;
    let history = statement.query_map([key], |row| {
        let state = word(row, 0, OrderState::parse)?;
        Ok(OrderChange { state, at: time(row, 1)?, reason: row.get(2)? })
    })?;
    order.history = history.collect::<rusqlite::Result<_>>()?;
    Ok(Some(order))
}

fn line(row: &Row<'_>) -> rusqlite::Result<OrderLine> {
    let stretch = row.get::<_, Option<u8>>(3)?.zip(row.get::<_, Option<u8>>(4)?);
    let seat = match row.get::<_, Option<u16>>(5)? {
        Some(no) => Some(Seat { no: SeatNo(no), label: text(row, 6)? }),
        None => None,
    };
    Ok(OrderLine {
        sku: text(row, 0)?,
        quantity: small(row, 1)?,
        amount: AmountFen(row.get(2)?),
        refunded: small(row, 7)?,
        stretch: stretch.and_then(|(from, to)| Stretch::new(from, to)),
        seat,
    })
}

/// Writes the lines of a new order.
pub(super) fn write_lines(
    connection: &Connection,
    order: OrderId,
    lines: &[OrderLine],
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("orders/line"))?;
    for (place, line) in lines.iter().enumerate() {
        statement.execute(params![
            order.as_bytes().as_slice(),
            line.sku.as_str(),
            int(place as u64),
            line.quantity,
            line.amount.0,
            line.stretch.map(Stretch::from),
            line.stretch.map(Stretch::to),
            line.seat.as_ref().map(|seat| seat.no.0),
            line.seat.as_ref().map(|seat| seat.label.as_str()),
        ])?;
    }
    Ok(())
}

fn bare(row: &Row<'_>, order: OrderId) -> rusqlite::Result<Order> {
    let cause: Option<String> = row.get(6)?;
    Ok(Order {
        id: order,
        sale: text(row, 0)?,
        entry: id(row, 1, EntryId::from_bytes)?,
        buyer: text::<BuyerId>(row, 2)?,
        hold: id(row, 3, HoldId::from_bytes)?,
        state: word(row, 4, OrderState::parse)?,
        version: Version(whole(row, 5)?),
        closing_cause: cause.as_deref().and_then(ClosingCause::parse),
        lines: Vec::new(),
        amount: AmountFen(row.get(7)?),
        currency: text(row, 8)?,
        pay_by: time(row, 9)?,
        payment: row.get::<_, Option<[u8; 16]>>(10)?.map(PaymentId::from_bytes),
        shop: shop_order(row, 11)?,
        reach: json_or_null(row, 13)?,
        history: Vec::new(),
    })
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
        let hold = match asked {
            OrderStep::CloseUnpaid => Some(Movement::Released),
            OrderStep::BeginFulfilment | OrderStep::EndFulfilment => None,
        };
        Self { event, hold, reason }
    }
}

/// Takes a step. The state it leads to must be one that the order machine allows; if not, nothing changes.
pub(super) fn take(
    connection: &Connection,
    now: UnixMillis,
    before: Order,
    step: Step,
) -> rusqlite::Result<StepReply> {
    if swap(connection, now, &before, step.event, step.reason)?.is_none() {
        return Ok(StepReply::Wrong(before));
    }
    let gate = match step.hold {
        Some(kind) => Some(move_hold(connection, now, &before, kind)?),
        None => None,
    };
    // The gate does not know the shop's goods.
    let gate = gate.filter(|_| before.shop.is_none());
    let after = order(connection, before.id)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(StepReply::Done { order: after, gate })
}

/// Brings an order into the state that an event leads to, with a row of history; `None` where it leads nowhere.
pub(super) fn swap(
    connection: &Connection,
    now: UnixMillis,
    before: &Order,
    event: OrderEvent,
    reason: &str,
) -> rusqlite::Result<Option<OrderState>> {
    let Ok(to) = before.state.step(event, before.closing_cause) else { return Ok(None) };
    let cause = match event {
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
    };
    stay_or_go(connection, now, before, to, cause, reason)?;
    Ok(Some(to))
}

/// A version and a row of history for what leaves an order in its state.
pub(super) fn note(
    connection: &Connection,
    now: UnixMillis,
    before: &Order,
    reason: &str,
) -> rusqlite::Result<()> {
    stay_or_go(connection, now, before, before.state, None, reason)
}

fn stay_or_go(
    connection: &Connection,
    now: UnixMillis,
    before: &Order,
    to: OrderState,
    cause: Option<&str>,
    reason: &str,
) -> rusqlite::Result<()> {
    let swapped = connection.prepare_cached(sql!("orders/step"))?.execute(params![
        before.id.as_bytes().as_slice(),
        int(before.version.0),
        to.as_str(),
        cause,
        now.0,
    ])?;
    if swapped != 1 {
        // There is one writer: the order was read in this very transaction.
        return Err(rusqlite::Error::StatementChangedRows(swapped));
    }
    history(connection, now, before.id, before.version.next().0, to, reason)
}

/// What an order takes with a step beside its state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Become {
    pub(super) hold: HoldId,
    pub(super) amount: AmountFen,
    pub(super) units: u32,
}

/// Brings an order into the state that an event leads to, under another hold, with a row of history.
pub(super) fn become_other(
    connection: &Connection,
    now: UnixMillis,
    before: &Order,
    event: OrderEvent,
    reason: &str,
    next: Become,
) -> rusqlite::Result<()> {
    let to = before.state.step(event, before.closing_cause);
    let to = to.map_err(|_| rusqlite::Error::QueryReturnedNoRows)?;
    let swapped = connection.prepare_cached(sql!("aftersales/become"))?.execute(params![
        before.id.as_bytes().as_slice(),
        int(before.version.0),
        to.as_str(),
        now.0,
        next.hold.as_bytes().as_slice(),
        next.amount.0,
        next.units,
    ])?;
    if swapped != 1 {
        return Err(rusqlite::Error::StatementChangedRows(swapped));
    }
    history(connection, now, before.id, before.version.next().0, to, reason)
}

/// Moves what an order holds to sold, or back to available: once, because its movement is written first.
fn move_hold(
    connection: &Connection,
    now: UnixMillis,
    order: &Order,
    kind: Movement,
) -> rusqlite::Result<HoldUpdate> {
    let number = movement(connection, now, &order.sale, order.hold, kind)?;
    let statement = match kind {
        Movement::Held => sql!("orders/stock_hold"),
        Movement::Sold => sql!("orders/stock_sell"),
        Movement::Released if order.shop.is_some() => sql!("shop/release_stock"),
        Movement::Released => sql!("orders/stock_release"),
    };
    if kind == Movement::Released {
        seats::free(connection, order.id, order.hold)?;
    }
    let mut statement = connection.prepare_cached(statement)?;
    for line in &order.lines {
        statement.execute(params![order.sale.as_str(), line.sku.as_str(), int(line.units())])?;
    }
    let basket = order.basket().ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(HoldUpdate { hold: order.hold, movement: number, phase: kind.phase(), basket })
}

/// The latest word on what an order holds, as the gate was told it.
pub(super) fn last_word(
    connection: &Connection,
    order: &Order,
) -> rusqlite::Result<Option<HoldUpdate>> {
    // The gate does not know the shop's goods.
    let Some(basket) = order.basket().filter(|_| order.shop.is_none()) else { return Ok(None) };
    let mut statement = connection.prepare_cached(sql!("orders/word"))?;
    let told = statement.query_row([order.hold.as_bytes().as_slice()], |row| {
        let (movement, phase) = (whole(row, 0)?, word(row, 1, Movement::parse)?.phase());
        Ok(HoldUpdate { hold: order.hold, movement, phase, basket })
    });
    told.optional()
}

/// Whether a hold was ever set aside.
pub(super) fn was_moved(connection: &Connection, hold: HoldId) -> rusqlite::Result<bool> {
    connection.prepare_cached(sql!("orders/word"))?.exists([hold.as_bytes().as_slice()])
}

/// Writes a movement of a hold; its number.
pub(super) fn movement(
    connection: &Connection,
    now: UnixMillis,
    sale: &SaleId,
    hold: HoldId,
    kind: Movement,
) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(sql!("orders/movement"))?;
    let hold = hold.as_bytes().as_slice();
    statement.execute(params![sale.as_str(), hold, kind.as_str(), now.0])?;
    Ok(u64::try_from(connection.last_insert_rowid()).unwrap_or_default())
}

pub(super) fn history(
    connection: &Connection,
    now: UnixMillis,
    order: OrderId,
    version: u64,
    state: OrderState,
    reason: &str,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("orders/history_add"))?;
    let order = order.as_bytes().as_slice();
    statement.execute(params![order, int(version), state.as_str(), now.0, reason])?;
    Ok(())
}
