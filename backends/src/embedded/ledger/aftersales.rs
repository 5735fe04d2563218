//! The book of what comes after the sale.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use rusqlite::Connection;
use sluice_core::{
    basket::Basket,
    ids::{HoldId, OrderId, RefundId, SaleId},
    money::AmountFen,
    order::Order,
    ports::{AfterSales, ChangeEnd, ChangeReply, MoneyBalance, PortResult, RefundReply},
    refund::{Refund, RefundAsked},
};

use super::{SqlLedger, changes, refunds};
use crate::embedded::codec::text;

pub(super) fn money(connection: &Connection, sale: &SaleId) -> rusqlite::Result<Vec<MoneyBalance>> {
    let mut statement = connection.prepare_cached(sql!("aftersales/money"))?;
    let rows = statement.query_map([sale.as_str()], |row| {
        Ok(MoneyBalance {
            currency: text(row, 0)?,
            taken: AmountFen(row.get(1)?),
            kept: AmountFen(row.get(2)?),
            refunded: AmountFen(row.get(3)?),
            in_flight: AmountFen(row.get(4)?),
        })
    })?;
    rows.collect()
}

#[async_trait]
impl AfterSales for SqlLedger {
    async fn begin_refund(
        &self,
        order: OrderId,
        refund: RefundId,
        asked: &RefundAsked,
    ) -> PortResult<RefundReply> {
        let asked = asked.clone();
        self.write("ledger.begin_refund", move |connection, now| {
            refunds::begin(connection, now, order, refund, &asked)
        })
        .await
    }

    async fn fail_fulfilment(&self, order: OrderId) -> PortResult<RefundReply> {
        self.write("ledger.fail_fulfilment", move |connection, now| {
            refunds::fail(connection, now, order)
        })
        .await
    }

    async fn refunds(&self, order: OrderId) -> PortResult<Vec<Refund>> {
        self.read("ledger.refunds", move |connection| refunds::of_order(connection, order)).await
    }

    async fn claim_refunds(&self, lease: Duration, limit: u32) -> PortResult<Vec<Refund>> {
        let clock = Arc::clone(&self.clock);
        // Looked for beside the writer, so that an idle look costs no commit.
        let due = move |connection: &Connection| refunds::due(connection, clock.now(), 1);
        if limit == 0 || self.read("ledger.refunds_due", due).await?.is_empty() {
            return Ok(Vec::new());
        }
        self.write("ledger.claim_refunds", move |connection, now| {
            refunds::claim(connection, now, now.plus(lease), limit)
        })
        .await
    }

    async fn postpone_refund(&self, refund: RefundId, delay: Duration) -> PortResult<()> {
        self.write("ledger.postpone_refund", move |connection, now| {
            let mut statement = connection.prepare_cached(sql!("aftersales/refund_postpone"))?;
            let (refund, due) = (refund.as_bytes().as_slice(), now.plus(delay).0);
            statement.execute(rusqlite::params![refund, due]).map(drop)
        })
        .await
    }

    async fn finish_refund(&self, refund: RefundId) -> PortResult<Option<(Refund, Order)>> {
        self.write("ledger.finish_refund", move |connection, now| {
            refunds::finish(connection, now, refund)
        })
        .await
    }

    async fn begin_change(
        &self,
        order: OrderId,
        wish: Option<HoldId>,
        basket: &Basket,
    ) -> PortResult<ChangeReply> {
        let basket = basket.clone();
        self.write("ledger.begin_change", move |connection, now| {
            changes::begin(connection, now, (order, wish), &basket)
        })
        .await
    }

    async fn changed(&self, order: OrderId) -> PortResult<Option<Order>> {
        self.read("ledger.changed", move |connection| changes::changed(connection, order)).await
    }

    async fn end_change(&self, order: OrderId, end: ChangeEnd) -> PortResult<ChangeReply> {
        self.write("ledger.end_change", move |connection, now| {
            changes::end(connection, now, order, end)
        })
        .await
    }
}
