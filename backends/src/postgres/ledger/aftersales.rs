//! The book of what comes after the sale.

use std::time::Duration;

use async_trait::async_trait;
use sluice_core::{
    basket::Basket,
    ids::{HoldId, OrderId, RefundId, SaleId},
    money::AmountFen,
    order::Order,
    ports::{AfterSales, ChangeEnd, ChangeReply, MoneyBalance, PortResult, RefundReply},
    refund::{Refund, RefundAsked},
};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{SqlLedger, changes, refunds};
use crate::postgres::{
    codec::{ToUuid, int, text},
    fault::Fault,
};

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

async fn postpone(
    connection: &mut PgConnection,
    refund: RefundId,
    delay: Duration,
) -> Result<(), Fault> {
    sqlx::query(sql!("aftersales/refund_postpone"))
        .bind(refund.uuid())
        .bind(int(millis(delay)))
        .execute(connection)
        .await?;
    Ok(())
}

pub(super) async fn money(
    connection: &mut PgConnection,
    sale: &SaleId,
) -> Result<Vec<MoneyBalance>, Fault> {
    let asked = sqlx::query(sql!("aftersales/money")).bind(sale.as_str());
    let rows = asked.fetch_all(connection).await?;
    let balance = |row: &PgRow| {
        Ok(MoneyBalance {
            currency: text(row, 0)?,
            taken: AmountFen(row.try_get(1)?),
            kept: AmountFen(row.try_get(2)?),
            refunded: AmountFen(row.try_get(3)?),
            in_flight: AmountFen(row.try_get(4)?),
        })
    };
    Ok(rows.iter().map(balance).collect::<sqlx::Result<_>>()?)
}

#[async_trait]
impl AfterSales for SqlLedger {
    async fn begin_refund(
        &self,
        order: OrderId,
        refund: RefundId,
        asked: &RefundAsked,
    ) -> PortResult<RefundReply> {
        let asked = (order, refund, asked.clone());
        self.write("ledger.begin_refund", asked, |connection, (order, refund, asked)| {
            Box::pin(refunds::begin(connection, *order, *refund, asked))
        })
        .await
    }

    async fn fail_fulfilment(&self, order: OrderId) -> PortResult<RefundReply> {
        self.write("ledger.fail_fulfilment", order, |connection, order| {
            Box::pin(refunds::fail(connection, *order))
        })
        .await
    }

    async fn refunds(&self, order: OrderId) -> PortResult<Vec<Refund>> {
        self.plain("ledger.refunds", order, |connection, order| {
            Box::pin(refunds::of_order(connection, *order))
        })
        .await
    }

    async fn claim_refunds(&self, lease: Duration, limit: u32) -> PortResult<Vec<Refund>> {
        self.write("ledger.claim_refunds", (lease, limit), |connection, (lease, limit)| {
            Box::pin(refunds::claim(connection, millis(*lease), *limit))
        })
        .await
    }

    async fn postpone_refund(&self, refund: RefundId, delay: Duration) -> PortResult<()> {
        self.plain("ledger.postpone_refund", (refund, delay), |connection, (refund, delay)| {
            Box::pin(postpone(connection, *refund, *delay))
        })
        .await
    }

    async fn finish_refund(&self, refund: RefundId) -> PortResult<Option<(Refund, Order)>> {
        self.write("ledger.finish_refund", refund, |connection, refund| {
            Box::pin(refunds::finish(connection, *refund))
        })
        .await
    }

    async fn begin_change(
        &self,
        order: OrderId,
        wish: Option<HoldId>,
        basket: &Basket,
    ) -> PortResult<ChangeReply> {
        let asked = (order, wish, basket.clone());
        self.write("ledger.begin_change", asked, |connection, (order, wish, basket)| {
            Box::pin(changes::begin(connection, *order, *wish, basket))
        })
        .await
    }

    async fn changed(&self, order: OrderId) -> PortResult<Option<Order>> {
        self.plain("ledger.changed", order, |connection, order| {
            Box::pin(changes::changed(connection, *order))
        })
        .await
    }

    async fn end_change(&self, order: OrderId, end: ChangeEnd) -> PortResult<ChangeReply> {
        self.write("ledger.end_change", (order, end), |connection, (order, end)| {
            Box::pin(changes::end(connection, *order, *end))
        })
        .await
    }
}
