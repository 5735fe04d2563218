//! Steps of many orders in one transaction of a few statements over arrays, as a hold makes many orders: they are locked
//! in the order of their ids, decided about one by one, and written together; balances come late, ascending by sale and SKU,
//! each a statement of its own, and the movements last, in one block of numbers for each sale.

use std::collections::{BTreeMap, HashMap, HashSet};

use sluice_core::{
    clock::UnixMillis,
    ids::{HoldId, OrderId, SaleId, SkuId},
    order::{Order, OrderChange, OrderEvent, OrderState},
    ports::{HoldUpdate, OrderStep, PortResult, StepReply},
};
use sqlx::{PgConnection, Row, types::Uuid};

use super::{
    SqlLedger,
    row::{self, change_text},
    seats,
    steps::{self, Locked, Movement, phase},
};
use crate::postgres::{
    codec::{ToUuid, id, int, uuids, whole, word},
    fault::Fault,
};

/// Orders of one transaction: locks are held for milliseconds.
pub(super) const ORDERS_MAX: usize = 256;

/// A step that was decided on.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) before: Order,
    /// Not before its last change.
    pub(super) at: UnixMillis,
    pub(super) hold: Option<Movement>,
    /// The states it passes through, and what its buyer is told of each.
    through: Vec<(OrderState, &'static str)>,
}

impl Taken {
    /// `None` where the events lead nowhere.
    pub(super) fn new(
        locked: &Locked,
        events: impl IntoIterator<Item = (OrderEvent, &'static str)>,
        hold: Option<Movement>,
    ) -> Option<Self> {
        let Locked { order, now } = locked;
        let mut through = Vec::new();
        let mut state = order.state;
        for (event, reason) in events {
            state = state.step(event, order.closing_cause).ok()?;
            through.push((state, reason));
        }
        Some(Self { before: order.clone(), at: *now, hold, through })
    }

    fn to(&self) -> OrderState {
        self.through.last().map_or(self.before.state, |(state, _)| *state)
    }

    fn count(&self) -> i32 {
        i32::try_from(self.through.len()).unwrap_or(i32::MAX)
    }

    /// Its changes as the statement takes them, a line for each.
    fn changes_text(&self) -> String {
        let texts = self.through.iter().map(|(state, reason)| change_text(*state, self.at, reason));
        texts.collect::<Vec<_>>().join("\n")
    }

    /// The order as it is afterwards.
    fn after(self) -> Order {
        let Self { before: mut order, at, through, .. } = self;
        for (state, reason) in through {
            (order.state, order.version) = (state, order.version.next());
            order.history.push(OrderChange { state, at, reason: reason.to_owned() });
        }
        order
    }
}

/// An order after its step, and what the gate must be told of its hold.
pub(super) type After = (Order, Option<HoldUpdate>);

/// Locks orders, then reads them: a reading that began before the locks were had would show them as they were.
pub(super) async fn lock_all(
    connection: &mut PgConnection,
    orders: &[OrderId],
) -> Result<HashMap<OrderId, Locked>, Fault> {
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let lock = sqlx::query(sql!("settle/lock")).bind(uuids(orders));
    lock.fetch_all(&mut *connection).await?;
    let locked = row::locked(connection, orders).await?;
    Ok(locked.into_iter().map(|locked| (locked.order.id, locked)).collect())
}

/// Writes steps of different orders, none of them the shop's own; each order as it is afterwards, in their order.
pub(super) async fn write(
    connection: &mut PgConnection,
    taken: Vec<Taken>,
) -> Result<Vec<After>, Fault> {
    if taken.is_empty() {
        return Ok(Vec::new());
    }
    write_states(connection, &taken).await?;
    let released = taken.iter().filter(|one| one.hold == Some(Movement::Released));
    let seated = released.filter(|one| one.before.lines.iter().any(|line| line.seat.is_some()));
    seats::free(connection, seated.map(|one| (one.before.id, one.before.hold))).await?;
    write_stock(connection, &taken).await?;
    let numbers = write_movements(connection, &taken).await?;
    let after = taken.into_iter().map(|taken| {
        let hold = taken.hold;
        let order = taken.after();
        let gate = hold.map(|kind| {
            let movement = numbers.get(&order.hold).copied().ok_or(Fault::Raced)?;
            let basket = order.basket().ok_or(Fault::Raced)?;
            Ok::<_, Fault>(HoldUpdate { hold: order.hold, movement, phase: kind.phase(), basket })
        });
        Ok((order, gate.transpose()?))
    });
    after.collect()
}

async fn write_states(connection: &mut PgConnection, taken: &[Taken]) -> Result<(), Fault> {
    let orders: Vec<Uuid> = taken.iter().map(|one| one.before.id.uuid()).collect();
    let versions: Vec<i64> = taken.iter().map(|one| int(one.before.version.0)).collect();
    let states: Vec<&str> = taken.iter().map(|one| one.to().as_str()).collect();
    let times: Vec<i64> = taken.iter().map(|one| one.at.0).collect();
    let counts: Vec<i32> = taken.iter().map(Taken::count).collect();
    let changes: Vec<String> = taken.iter().map(Taken::changes_text).collect();
    let swapped = sqlx::query(sql!("settle/orders"))
        .bind(orders)
        .bind(versions)
        .bind(states)
        .bind(times)
        .bind(counts)
        .bind(changes)
        .execute(connection)
        .await?;
    if swapped.rows_affected() == taken.len() as u64 { Ok(()) } else { Err(Fault::Raced) }
}

async fn write_stock(connection: &mut PgConnection, taken: &[Taken]) -> Result<(), Fault> {
    let mut moved: BTreeMap<(&SaleId, &SkuId, Movement), i64> = BTreeMap::new();
    for Taken { before, hold, .. } in taken {
        let Some(kind) = hold else { continue };
        for line in &before.lines {
            *moved.entry((&before.sale, &line.sku, *kind)).or_default() += int(line.units());
        }
    }
    for ((sale, sku, kind), units) in moved {
        let changed = sqlx::query(kind.statement())
            .bind(sale.as_str())
            .bind(sku.as_str())
            .bind(units)
            .execute(&mut *connection)
            .await?;
        if changed.rows_affected() != 1 {
            return Err(Fault::Raced);
        }
    }
    Ok(())
}

async fn write_movements(
    connection: &mut PgConnection,
    taken: &[Taken],
) -> Result<HashMap<HoldId, u64>, Fault> {
    let mut sales: BTreeMap<&SaleId, Vec<(HoldId, Movement, UnixMillis)>> = BTreeMap::new();
    for Taken { before, hold, at, .. } in taken {
        if let Some(kind) = hold {
            sales.entry(&before.sale).or_default().push((before.hold, *kind, *at));
        }
    }
    let mut numbers = HashMap::new();
    for (sale, moved) in sales {
        let holds: Vec<Uuid> = moved.iter().map(|(hold, ..)| hold.uuid()).collect();
        let kinds: Vec<&str> = moved.iter().map(|(_, kind, _)| kind.as_str()).collect();
        let at = moved.iter().map(|(.., at)| at.0).max().unwrap_or_default();
        let rows = sqlx::query(sql!("settle/movements"))
            .bind(sale.as_str())
            .bind(holds)
            .bind(kinds)
            .bind(at)
            .fetch_all(&mut *connection)
            .await?;
        for row in &rows {
            numbers.insert(id(row, 0, HoldId::from_bytes)?, whole(row, 1)?);
        }
    }
    Ok(numbers)
}

/// The latest words on what these orders hold, by hold, as the gate was told them.
pub(super) async fn last_words(
    connection: &mut PgConnection,
    orders: &[&Order],
) -> Result<HashMap<HoldId, HoldUpdate>, Fault> {
    // The gate does not know the shop's goods.
    let own: Vec<&&Order> = orders.iter().filter(|order| order.shop.is_none()).collect();
    if own.is_empty() {
        return Ok(HashMap::new());
    }
    let holds: Vec<Uuid> = own.iter().map(|order| order.hold.uuid()).collect();
    let asked = sqlx::query(sql!("settle/words")).bind(holds);
    let mut words = HashMap::new();
    for row in &asked.fetch_all(connection).await? {
        let hold = id(row, 0, HoldId::from_bytes)?;
        let (movement, phase) = (whole(row, 1)?, word(row, 2, phase)?);
        let basket = own.iter().find(|order| order.hold == hold).and_then(|order| order.basket());
        if let Some(basket) = basket {
            words.insert(hold, HoldUpdate { hold, movement, phase, basket });
        }
    }
    Ok(words)
}

/// Takes steps of many orders; replies in their order.
pub(super) async fn step_all(
    ledger: &SqlLedger,
    steps: Vec<(OrderId, OrderStep)>,
) -> PortResult<Vec<StepReply>> {
    let mut replies = Vec::with_capacity(steps.len());
    for batch in steps.chunks(ORDERS_MAX) {
        let settled = ledger.write("ledger.step_orders", batch.to_vec(), |connection, batch| {
            Box::pin(step_batch(connection, batch))
        });
        for (reply, (order, step)) in settled.await?.into_iter().zip(batch) {
            replies.push(match reply {
                Some(reply) => reply,
                None => alone(ledger, *order, *step).await?,
            });
        }
    }
    Ok(replies)
}

/// One that does not go with the others: of the shop's own, or the second of an order.
async fn alone(ledger: &SqlLedger, order: OrderId, step: OrderStep) -> PortResult<StepReply> {
    ledger
        .write("ledger.step_order", (order, step), |connection, (order, step)| {
            Box::pin(steps::take_alone(connection, *order, *step))
        })
        .await
}

/// `None` for what must be taken alone.
async fn step_batch(
    connection: &mut PgConnection,
    batch: &[(OrderId, OrderStep)],
) -> Result<Vec<Option<StepReply>>, Fault> {
    let orders: Vec<OrderId> = batch.iter().map(|(order, _)| *order).collect();
    let locked = lock_all(connection, &orders).await?;
    let (mut replies, mut met) = (vec![None; batch.len()], HashSet::new());
    let (mut taken, mut places) = (Vec::new(), Vec::new());
    let (mut there, mut there_places) = (Vec::new(), Vec::new());
    for (place, (order, step)) in batch.iter().enumerate() {
        let Some(found) = locked.get(order) else {
            replies[place] = Some(StepReply::NoSuchOrder);
            continue;
        };
        if found.order.shop.is_some() || !met.insert(*order) {
            continue;
        }
        if found.order.state == step.leads_to() {
            there.push(&found.order);
            there_places.push(place);
            continue;
        }
        let hold = steps::movement_of(*step);
        match Taken::new(found, [step.change()], hold) {
            Some(step) => {
                taken.push(step);
                places.push(place);
            }
            None => replies[place] = Some(StepReply::Wrong(found.order.clone())),
        }
    }
    let words = last_words(connection, &there).await?;
    for (place, order) in there_places.into_iter().zip(there) {
        let gate = words.get(&order.hold).cloned();
        replies[place] = Some(StepReply::Already { order: order.clone(), gate });
    }
    let closed = close_payments(connection, &taken).await?;
    for (place, (mut order, gate)) in places.into_iter().zip(write(connection, taken).await?) {
        order.payment = order.payment.filter(|payment| !closed.contains(&payment.uuid()));
        replies[place] = Some(StepReply::Done { order, gate });
    }
    Ok(replies)
}

/// The payments of orders that close are no longer awaited: those that are closed with them.
async fn close_payments(
    connection: &mut PgConnection,
    taken: &[Taken],
) -> Result<HashSet<Uuid>, Fault> {
    let closing = taken.iter().filter(|one| one.to() == OrderState::Closed);
    let (orders, times): (Vec<Uuid>, Vec<i64>) =
        closing.map(|one| (one.before.id.uuid(), one.at.0)).unzip();
    if orders.is_empty() {
        return Ok(HashSet::new());
    }
    let closed = sqlx::query(sql!("settle/close_payments")).bind(orders).bind(times);
    let rows = closed.fetch_all(connection).await?;
    Ok(rows.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?)
}
