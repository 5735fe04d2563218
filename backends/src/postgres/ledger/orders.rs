//! The book of orders: their states, the stock they hold, and what a crash left unfinished.

use std::time::Duration;

use async_trait::async_trait;
use sluice_core::{
    ids::{HoldId, OrderId, PaymentId, SaleId},
    order::{ClosingCause, Order, OrderEvent, OrderState},
    ports::{
        GateImage, HeldStock, HoldUpdate, NewPayment, OncePaid, OrderBook, OrderCount, OrderStep,
        Payment, PaymentStep, PaymentUpdate, PortResult, SimulatedPayment, SimulatedRefund,
        SimulatedState, StepReply, StockBalance,
    },
};
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    SqlLedger, payments, row, sales, seats, settle, simulated,
    steps::{self, Step},
    words,
};
use crate::postgres::{
    codec::{Baskets, id, text, uuids, whole, word},
    fault::Fault,
    operations::Shape,
};

const LATE: &str = "The payment deadline has passed.";

async fn begin_closing(
    connection: &mut PgConnection,
    order: OrderId,
    cause: ClosingCause,
) -> Result<StepReply, Fault> {
    let reason = match cause {
        ClosingCause::Deadline => LATE,
        ClosingCause::Cancelled => "The order was cancelled.",
    };
    match steps::lock(connection, order).await? {
        None => Ok(StepReply::NoSuchOrder),
        // The shop closes its own, and says so.
        Some(locked) if locked.order.shop.is_some() => Ok(StepReply::Wrong(locked.order)),
        Some(locked) if locked.order.state == OrderState::Closing => {
            let gate = steps::last_word(connection, &locked.order).await?;
            Ok(StepReply::Already { order: locked.order, gate })
        }
        Some(locked) => {
            let step = Step { event: OrderEvent::Close(cause), hold: None, reason };
            steps::take(connection, locked, step).await
        }
    }
}

async fn sweep(connection: &mut PgConnection, limit: u32) -> Result<Vec<Order>, Fault> {
    let late = sqlx::query(sql!("orders/late")).bind(i64::from(limit));
    let late = ids(&late.fetch_all(&mut *connection).await?)?;
    if late.is_empty() {
        return Ok(Vec::new());
    }
    sqlx::query(sql!("orders/sweep"))
        .bind(uuids(&late))
        .bind(OrderState::Closing.as_str())
        .bind(ClosingCause::Deadline.as_str())
        .bind(LATE)
        .execute(&mut *connection)
        .await?;
    row::orders(connection, &late).await
}

async fn unfinished(
    connection: &mut PgConnection,
    idle: Duration,
    limit: u32,
) -> Result<Vec<Order>, Fault> {
    let rows = sqlx::query(sql!("orders/unfinished"))
        .bind(i64::try_from(idle.as_millis()).unwrap_or(i64::MAX / 2))
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
    row::orders(connection, &ids(&rows)?).await
}

async fn begun(connection: &mut PgConnection, limit: u32) -> Result<Vec<Order>, Fault> {
    let rows = sqlx::query(sql!("orders/begun")).bind(i64::from(limit));
    let rows = rows.fetch_all(&mut *connection).await?;
    row::orders(connection, &ids(&rows)?).await
}

fn ids(rows: &[PgRow]) -> sqlx::Result<Vec<OrderId>> {
    rows.iter().map(|row| id(row, 0, OrderId::from_bytes)).collect()
}

pub(super) async fn stock(
    connection: &mut PgConnection,
    sale: &SaleId,
) -> Result<Vec<StockBalance>, Fault> {
    let asked = sqlx::query(sql!("orders/stock")).bind(sale.as_str());
    let rows = asked.fetch_all(connection).await?;
    let balance = |row: &PgRow| {
        Ok(StockBalance {
            sku: text(row, 0)?,
            total: whole(row, 1)?,
            available: whole(row, 2)?,
            owed: whole(row, 3)?,
            held: whole(row, 4)?,
            sold: whole(row, 5)?,
            returned: whole(row, 6)?,
        })
    };
    Ok(rows.iter().map(balance).collect::<sqlx::Result<_>>()?)
}

/// Several readings of one snapshot.
pub(super) async fn gate_image(
    connection: &mut PgConnection,
    sale: &SaleId,
) -> Result<GateImage, Fault> {
    let stock = stock(&mut *connection, sale).await?;
    let skus = stock.iter().map(|one| (one.sku.clone(), one.restock().total, one.ever_sold()));
    let skus = skus.collect();
    let asked = sqlx::query(sql!("orders/holds")).bind(sale.as_str());
    let rows = asked.fetch_all(&mut *connection).await?;
    let mut baskets = Baskets::default();
    let holds = rows.iter().map(|row| {
        Ok(HeldStock {
            hold: id(row, 0, HoldId::from_bytes)?,
            movement: whole(row, 1)?,
            basket: baskets.read(row, 2)?,
        })
    });
    let holds = holds.collect::<sqlx::Result<Vec<HeldStock>>>()?;
    let seats = match sales::sale(connection, sale).await? {
        Some(sale) => seats::images(connection, &sale, &holds).await?,
        None => Vec::new(),
    };
    let asked = sqlx::query(sql!("orders/moved")).bind(sale.as_str());
    let moved = asked.fetch_optional(connection).await?;
    let moved = moved.map(|row| whole(&row, 0)).transpose()?.unwrap_or_default();
    Ok(GateImage { moved, skus, holds, seats })
}

async fn words(
    connection: &mut PgConnection,
    orders: &[OrderId],
) -> Result<Vec<HoldUpdate>, Fault> {
    let mut words = Vec::with_capacity(orders.len());
    for order in row::orders(connection, orders).await? {
        words.extend(steps::last_word(connection, &order).await?);
    }
    Ok(words)
}

async fn counts(connection: &mut PgConnection, sale: &SaleId) -> Result<Vec<OrderCount>, Fault> {
    let asked = sqlx::query(sql!("orders/counts")).bind(sale.as_str());
    let rows = asked.fetch_all(connection).await?;
    let count = |row: &PgRow| {
        Ok(OrderCount { state: word(row, 0, OrderState::parse)?, count: whole(row, 1)? })
    };
    Ok(rows.iter().map(count).collect::<sqlx::Result<_>>()?)
}

#[async_trait]
impl OrderBook for SqlLedger {
    async fn order(&self, order: OrderId) -> PortResult<Option<Order>> {
        self.plain("ledger.order", order, |connection, order| {
            Box::pin(row::order(connection, *order))
        })
        .await
    }

    async fn begin_closing(&self, order: OrderId, cause: ClosingCause) -> PortResult<StepReply> {
        self.write("ledger.begin_closing", (order, cause), |connection, (order, cause)| {
            Box::pin(begin_closing(connection, *order, *cause))
        })
        .await
    }

    async fn step_orders(&self, steps: Vec<(OrderId, OrderStep)>) -> PortResult<Vec<StepReply>> {
        settle::step_all(self, steps).await
    }

    async fn sweep_deadlines(&self, limit: u32) -> PortResult<Vec<Order>> {
        self.write("ledger.sweep_deadlines", limit, |connection, limit| {
            Box::pin(sweep(connection, *limit))
        })
        .await
    }

    async fn unfinished(&self, idle: Duration, limit: u32) -> PortResult<Vec<Order>> {
        self.plain("ledger.unfinished", (idle, limit), |connection, (idle, limit)| {
            Box::pin(unfinished(connection, *idle, *limit))
        })
        .await
    }

    async fn begun(&self, limit: u32) -> PortResult<Vec<Order>> {
        self.plain("ledger.begun", limit, |connection, limit| Box::pin(begun(connection, *limit)))
            .await
    }

    async fn begin_payment(
        &self,
        order: OrderId,
        payment: PaymentId,
        provider: &str,
    ) -> PortResult<NewPayment> {
        let asked = (order, payment, provider.to_owned());
        self.write("ledger.begin_payment", asked, |connection, (order, payment, provider)| {
            Box::pin(payments::begin(connection, *order, *payment, provider))
        })
        .await
    }

    async fn payment(&self, payment: PaymentId) -> PortResult<Option<Payment>> {
        self.plain("ledger.payment", payment, |connection, payment| {
            Box::pin(async move {
                let known = payments::payment(connection, *payment).await?;
                Ok(known.map(|known| known.payment))
            })
        })
        .await
    }

    async fn apply_payments(
        &self,
        updates: Vec<PaymentUpdate>,
        once_paid: OncePaid,
    ) -> PortResult<Vec<PaymentStep>> {
        words::apply_all(self, updates, once_paid).await
    }

    async fn stock(&self, sale: &SaleId) -> PortResult<Vec<StockBalance>> {
        self.plain("ledger.stock", sale.clone(), |connection, sale| {
            Box::pin(stock(connection, sale))
        })
        .await
    }

    async fn gate_image(&self, sale: &SaleId) -> PortResult<GateImage> {
        self.operations
            .run("ledger.gate_image", Shape::LongSnapshot, sale.clone(), |connection, sale| {
                Box::pin(gate_image(connection, sale))
            })
            .await
    }

    async fn words(&self, orders: &[OrderId]) -> PortResult<Vec<HoldUpdate>> {
        self.plain("ledger.words", orders.to_vec(), |connection, orders| {
            Box::pin(words(connection, orders))
        })
        .await
    }

    async fn order_counts(&self, sale: &SaleId) -> PortResult<Vec<OrderCount>> {
        self.plain("ledger.order_counts", sale.clone(), |connection, sale| {
            Box::pin(counts(connection, sale))
        })
        .await
    }

    async fn simulated_payment(&self, payment: PaymentId) -> PortResult<Option<SimulatedPayment>> {
        self.plain("ledger.simulated_payment", payment, |connection, payment| {
            Box::pin(simulated::get(connection, *payment))
        })
        .await
    }

    async fn open_simulated(&self, payment: SimulatedPayment) -> PortResult<SimulatedPayment> {
        self.plain("ledger.open_simulated", payment, |connection, payment| {
            Box::pin(simulated::open(connection, payment))
        })
        .await
    }

    async fn step_simulated(
        &self,
        payment: PaymentId,
        from: SimulatedState,
        to: SimulatedState,
    ) -> PortResult<Option<SimulatedPayment>> {
        self.write(
            "ledger.step_simulated",
            (payment, from, to),
            |connection, (payment, from, to)| {
                Box::pin(simulated::step(connection, *payment, *from, *to))
            },
        )
        .await
    }

    async fn refund_simulated(
        &self,
        refund: SimulatedRefund,
    ) -> PortResult<Option<SimulatedPayment>> {
        self.write("ledger.refund_simulated", refund, |connection, refund| {
            Box::pin(simulated::refund(connection, *refund))
        })
        .await
    }

    async fn told_simulated(&self, payment: PaymentId, state: SimulatedState) -> PortResult<()> {
        self.plain("ledger.told_simulated", (payment, state), |connection, (payment, state)| {
            Box::pin(simulated::told(connection, *payment, *state))
        })
        .await
    }

    async fn untold_simulated(
        &self,
        idle: Duration,
        limit: u32,
    ) -> PortResult<Vec<SimulatedPayment>> {
        self.plain("ledger.untold_simulated", (idle, limit), |connection, (idle, limit)| {
            Box::pin(simulated::untold(connection, *idle, *limit))
        })
        .await
    }
}
