//! The book of orders: their states, the stock they hold, and what a crash left unfinished.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, params};
use sluice_core::{
    clock::UnixMillis,
    ids::{HoldId, OrderId, PaymentId, SaleId},
    order::{ClosingCause, Order, OrderEvent, OrderState},
    ports::{
        GateImage, HeldStock, HoldUpdate, NewPayment, OncePaid, OrderBook, OrderCount, OrderStep,
        Payment, PaymentStep, PaymentUpdate, PortResult, SimulatedPayment, SimulatedRefund,
        SimulatedState, StepReply, StockBalance,
    },
};

use super::{
    SqlLedger, payments, sales, seats, simulated,
    steps::{self, Step},
};
use crate::embedded::codec::{Baskets, id, text, whole, word};

fn begin_closing(
    connection: &Connection,
    now: UnixMillis,
    order: OrderId,
    cause: ClosingCause,
) -> rusqlite::Result<StepReply> {
    let reason = match cause {
        ClosingCause::Deadline => "The payment deadline has passed.",
        ClosingCause::Cancelled => "The order was cancelled.",
    };
    let step = Step { event: OrderEvent::Close(cause), hold: None, reason };
    // The shop closes its own, and says so.
    if let Some(order) = steps::order(connection, order)?.filter(|order| order.shop.is_some()) {
        return Ok(StepReply::Wrong(order));
    }
    step_unless(connection, now, order, OrderState::Closing, step)
}

/// Steps of many orders: each by itself, since there is one writer.
fn step_all(
    connection: &Connection,
    now: UnixMillis,
    steps: &[(OrderId, OrderStep)],
) -> rusqlite::Result<Vec<StepReply>> {
    steps.iter().map(|(order, step)| step_one(connection, now, *order, *step)).collect()
}

fn step_one(
    connection: &Connection,
    now: UnixMillis,
    order: OrderId,
    asked: OrderStep,
) -> rusqlite::Result<StepReply> {
    let reply = step_unless(connection, now, order, asked.leads_to(), Step::of(asked))?;
    if let StepReply::Done { order: closed, gate: gate @ Some(_) } = reply {
        payments::close_pending(connection, now, closed.id)?;
        let closed =
            steps::order(connection, order)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        return Ok(StepReply::Done { order: closed, gate });
    }
    Ok(reply)
}

/// Takes a step, unless the order is there already.
fn step_unless(
    connection: &Connection,
    now: UnixMillis,
    order: OrderId,
    there: OrderState,
    step: Step,
) -> rusqlite::Result<StepReply> {
    match steps::order(connection, order)? {
        None => Ok(StepReply::NoSuchOrder),
        Some(order) if order.state == there => {
            let gate = steps::last_word(connection, &order)?;
            Ok(StepReply::Already { order, gate })
        }
        Some(order) => steps::take(connection, now, order, step),
    }
}

fn sweep(connection: &Connection, now: UnixMillis, limit: u32) -> rusqlite::Result<Vec<Order>> {
    let mut swept = Vec::new();
    for order in ids(connection, sql!("orders/late"), now, limit)? {
        let reply = begin_closing(connection, now, order, ClosingCause::Deadline)?;
        if let StepReply::Done { order, .. } = reply {
            swept.push(order);
        }
    }
    Ok(swept)
}

/// What a statement finds that was last changed before a time.
fn found(
    connection: &Connection,
    sql: &str,
    before: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<Order>> {
    let ids = ids(connection, sql, before, limit)?;
    ids.into_iter().filter_map(|id| steps::order(connection, id).transpose()).collect()
}

fn ids(
    connection: &Connection,
    sql: &str,
    at: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<OrderId>> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_map(params![at.0, limit], |row| id(row, 0, OrderId::from_bytes))?.collect()
}

pub(super) fn stock(connection: &Connection, sale: &SaleId) -> rusqlite::Result<Vec<StockBalance>> {
    let mut statement = connection.prepare_cached(sql!("orders/stock"))?;
    let rows = statement.query_map([sale.as_str()], |row| {
        Ok(StockBalance {
            sku: text(row, 0)?,
            total: whole(row, 1)?,
            available: whole(row, 2)?,
            owed: whole(row, 3)?,
            held: whole(row, 4)?,
            sold: whole(row, 5)?,
            returned: whole(row, 6)?,
        })
    })?;
    rows.collect()
}

pub(super) fn gate_image(connection: &Connection, sale: &SaleId) -> rusqlite::Result<GateImage> {
    let stock = stock(connection, sale)?;
    let skus = stock.iter().map(|one| (one.sku.clone(), one.restock().total, one.ever_sold()));
    let skus = skus.collect();
    let mut statement = connection.prepare_cached(sql!("orders/holds"))?;
    let mut baskets = Baskets::default();
    let holds = statement.query_map([sale.as_str()], |row| {
        Ok(HeldStock {
            hold: id(row, 0, HoldId::from_bytes)?,
            movement: whole(row, 1)?,
            basket: baskets.read(row, 2)?,
        })
    })?;
    let holds = holds.collect::<rusqlite::Result<Vec<HeldStock>>>()?;
    let seats = match sales::sale(connection, sale)? {
        Some(sale) => seats::images(connection, &sale, &holds)?,
        None => Vec::new(),
    };
    // One count for all sales: there is one writer, so whoever sees a movement sees every lower one.
    let moved =
        connection.prepare_cached(sql!("orders/moved"))?.query_row([], |row| whole(row, 0))?;
    Ok(GateImage { moved, skus, holds, seats })
}

fn words(connection: &Connection, orders: &[OrderId]) -> rusqlite::Result<Vec<HoldUpdate>> {
    let mut words = Vec::with_capacity(orders.len());
    for order in orders {
        if let Some(order) = steps::order(connection, *order)? {
            words.extend(steps::last_word(connection, &order)?);
        }
    }
    Ok(words)
}

fn counts(connection: &Connection, sale: &SaleId) -> rusqlite::Result<Vec<OrderCount>> {
    let mut statement = connection.prepare_cached(sql!("orders/counts"))?;
    let rows = statement.query_map([sale.as_str()], |row| {
        Ok(OrderCount { state: word(row, 0, OrderState::parse)?, count: whole(row, 1)? })
    })?;
    rows.collect()
}

#[async_trait]
impl OrderBook for SqlLedger {
    async fn order(&self, order: OrderId) -> PortResult<Option<Order>> {
        self.read("ledger.order", move |connection| steps::order(connection, order)).await
    }

    async fn begin_closing(&self, order: OrderId, cause: ClosingCause) -> PortResult<StepReply> {
        self.write("ledger.begin_closing", move |connection, now| {
            begin_closing(connection, now, order, cause)
        })
        .await
    }

    async fn step_orders(&self, steps: Vec<(OrderId, OrderStep)>) -> PortResult<Vec<StepReply>> {
        self.write("ledger.step_orders", move |connection, now| step_all(connection, now, &steps))
            .await
    }

    async fn sweep_deadlines(&self, limit: u32) -> PortResult<Vec<Order>> {
        let clock = std::sync::Arc::clone(&self.clock);
        // Looked for beside the writer, so that an idle sweep costs no commit.
        let late =
            move |connection: &Connection| ids(connection, sql!("orders/late"), clock.now(), 1);
        if limit == 0 || self.read("ledger.late", late).await?.is_empty() {
            return Ok(Vec::new());
        }
        self.write("ledger.sweep_deadlines", move |connection, now| sweep(connection, now, limit))
            .await
    }

    async fn unfinished(&self, idle: Duration, limit: u32) -> PortResult<Vec<Order>> {
        let before = self.clock.now().minus(idle);
        let sql = sql!("orders/unfinished");
        self.read("ledger.unfinished", move |connection| found(connection, sql, before, limit))
            .await
    }

    async fn begun(&self, limit: u32) -> PortResult<Vec<Order>> {
        let (sql, now) = (sql!("orders/begun"), self.clock.now());
        self.read("ledger.begun", move |connection| found(connection, sql, now, limit)).await
    }

    async fn begin_payment(
        &self,
        order: OrderId,
        payment: PaymentId,
        provider: &str,
    ) -> PortResult<NewPayment> {
        let provider = provider.to_owned();
        self.write("ledger.begin_payment", move |connection, now| {
            payments::begin(connection, now, order, payment, &provider)
        })
        .await
    }

    async fn payment(&self, payment: PaymentId) -> PortResult<Option<Payment>> {
        self.read("ledger.payment", move |connection| {
            Ok(payments::payment(connection, payment)?.map(|known| known.payment))
        })
        .await
    }

    async fn apply_payments(
        &self,
        updates: Vec<PaymentUpdate>,
        once_paid: OncePaid,
    ) -> PortResult<Vec<PaymentStep>> {
        self.write("ledger.apply_payments", move |connection, now| {
            let apply = |update| payments::apply(connection, now, update, once_paid);
            updates.iter().map(apply).collect()
        })
        .await
    }

    async fn stock(&self, sale: &SaleId) -> PortResult<Vec<StockBalance>> {
        let sale = sale.clone();
        self.read("ledger.stock", move |connection| stock(connection, &sale)).await
    }

    async fn gate_image(&self, sale: &SaleId) -> PortResult<GateImage> {
        let sale = sale.clone();
        self.read("ledger.gate_image", move |connection| gate_image(connection, &sale)).await
    }

    async fn words(&self, orders: &[OrderId]) -> PortResult<Vec<HoldUpdate>> {
        let orders = orders.to_vec();
        self.read("ledger.words", move |connection| words(connection, &orders)).await
    }

    async fn order_counts(&self, sale: &SaleId) -> PortResult<Vec<OrderCount>> {
        let sale = sale.clone();
        self.read("ledger.order_counts", move |connection| counts(connection, &sale)).await
    }

    async fn simulated_payment(&self, payment: PaymentId) -> PortResult<Option<SimulatedPayment>> {
        self.read("ledger.simulated_payment", move |connection| simulated::get(connection, payment))
            .await
    }

    async fn open_simulated(&self, payment: SimulatedPayment) -> PortResult<SimulatedPayment> {
        self.write("ledger.open_simulated", move |connection, now| {
            simulated::open(connection, now, &payment)
        })
        .await
    }

    async fn step_simulated(
        &self,
        payment: PaymentId,
        from: SimulatedState,
        to: SimulatedState,
    ) -> PortResult<Option<SimulatedPayment>> {
        self.write("ledger.step_simulated", move |connection, now| {
            simulated::step(connection, now, payment, from, to)
        })
        .await
    }

    async fn refund_simulated(
        &self,
        refund: SimulatedRefund,
    ) -> PortResult<Option<SimulatedPayment>> {
        self.write("ledger.refund_simulated", move |connection, now| {
            simulated::refund(connection, now, refund)
        })
        .await
    }

    async fn told_simulated(&self, payment: PaymentId, state: SimulatedState) -> PortResult<()> {
        self.write("ledger.told_simulated", move |connection, _| {
            simulated::told(connection, payment, state)
        })
        .await
    }

    async fn untold_simulated(
        &self,
        idle: Duration,
        limit: u32,
    ) -> PortResult<Vec<SimulatedPayment>> {
        let before = self.clock.now().minus(idle);
        self.read("ledger.untold_simulated", move |connection| {
            simulated::untold(connection, before, limit)
        })
        .await
    }
}
