//! The book of the shop: turns that were left to its own order backend, and its word on them, one at a time.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use sluice_core::{
    clock::UnixMillis,
    entry::Outcome,
    event::Turn,
    ids::{EntryId, HoldId, OrderId, SaleId, ShopOrderId, SkuId},
    order::{ClosingCause, OrderEvent, ShopOrder},
    ports::{
        GateSaid, HoldReply, HoldRequest, OutcomeReason, PortResult, ShopBook, ShopOutcome,
        ShopReply, ShopReport, ShopWord, StepReply,
    },
    sale::Sale,
};

use super::{
    SqlLedger, entries, hold, sales,
    steps::{self, Movement, Step},
};
use crate::embedded::codec::{Baskets, address_text, id, int, turn};

fn hand_over(connection: &Connection, now: UnixMillis, turns: &[Turn]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("shop/hand_over"))?;
    for turn in turns {
        let entry = &turn.line_entry;
        statement.execute(params![
            entry.entry.as_bytes().as_slice(),
            turn.sale.as_str(),
            entry.buyer.as_str(),
            int(entry.seq.0),
            int(entry.holes_below),
            entry.basket.to_string(),
            entry.joined_at.0,
            address_text(entry.address),
            int(turn.epoch.0),
            turn.attempt,
            turn.called_at.0,
            now.0,
        ])?;
    }
    Ok(())
}

fn unheard(
    connection: &Connection,
    now: UnixMillis,
    sale: &SaleId,
    silence: Duration,
    queued: u64,
    limit: u32,
) -> rusqlite::Result<Vec<Turn>> {
    let before = now.minus(silence).0;
    connection.prepare_cached(sql!("shop/clear"))?.execute(params![sale.as_str(), before])?;
    let mut statement = connection.prepare_cached(sql!("shop/unheard"))?;
    let mut baskets = Baskets::default();
    let asked = params![sale.as_str(), before, int(queued), limit];
    let turns = statement.query_map(asked, |row| turn(row, 0, &mut baskets))?;
    let mut turns: Vec<Turn> = turns.collect::<rusqlite::Result<_>>()?;
    let mut release = connection.prepare_cached(sql!("shop/release"))?;
    for turn in &mut turns {
        release.execute(params![turn.line_entry.entry.as_bytes().as_slice(), now.0])?;
        turn.attempt = turn.attempt.saturating_add(1);
    }
    turns.sort_by_key(|turn| (turn.line_entry.seq, turn.line_entry.entry));
    Ok(turns)
}

fn report(
    connection: &Connection,
    now: UnixMillis,
    report: &ShopReport,
) -> rusqlite::Result<ShopReply> {
    let mut baskets = Baskets::default();
    let taken = connection
        .prepare_cached(sql!("shop/take"))?
        .query_row([report.entry.as_bytes().as_slice()], |row| turn(row, 0, &mut baskets))
        .optional()?;
    if let Some((known, _)) = entries::record(connection, report.entry)? {
        return Ok(ShopReply::Known(known));
    }
    let Some(Turn { sale, line_entry, .. }) = taken else { return Ok(ShopReply::NoSuchTurn) };
    match &report.outcome {
        ShopOutcome::Reserved { id, order, pay_by } => {
            let Some(sale) = sales::sale(connection, &sale)? else {
                return Ok(ShopReply::NoSuchTurn);
            };
            let request = HoldRequest {
                hold: HoldId::of_entry(line_entry.entry, 0),
                line_entry,
                order: *id,
                gate: GateSaid::Held,
            };
            let pay_by = pay_by.unwrap_or_else(|| now.plus(sale.policy.payment_window()));
            reserve(connection, now, &sale, &request, order, pay_by)?;
        }
        ShopOutcome::SoldOut | ShopOutcome::Refused => {
            let (outcome, reason) = (report.outcome.outcome(), OutcomeReason::Plain);
            entries::write(connection, now, &sale, &line_entry, outcome, reason)?;
        }
    }
    let settled = entries::record(connection, report.entry)?;
    let (settled, _) = settled.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(ShopReply::Settled(settled))
}

/// Goods that the shop has set aside: they are there, whatever it has said to be left.
fn reserve(
    connection: &Connection,
    now: UnixMillis,
    sale: &Sale,
    request: &HoldRequest,
    order: &ShopOrder,
    pay_by: UnixMillis,
) -> rusqlite::Result<()> {
    let line_entry = &request.line_entry;
    let no = |outcome, reason| {
        hold::settled(connection, now, &sale.id, request, outcome, reason).map(drop)
    };
    if hold::has_live_order(connection, &sale.id, &line_entry.buyer)? {
        return no(Outcome::Refused, OutcomeReason::Duplicate);
    }
    if line_entry.basket.units() > sale.policy.per_buyer_units {
        return no(Outcome::Refused, OutcomeReason::OverLimit);
    }
    if line_entry.basket.items().iter().any(|item| sale.sku(&item.sku).is_none()) {
        return no(Outcome::SoldOut, OutcomeReason::Plain);
    }
    let HoldReply::Settled { movement: Some(_), .. } =
        hold::grant(connection, now, sale, (request, &line_entry.basket), pay_by)?
    else {
        return Ok(());
    };
    connection.prepare_cached(sql!("shop/order_add"))?.execute(params![
        request.order.as_bytes().as_slice(),
        order.id.as_str(),
        order.link,
    ])?;
    let mut statement = connection.prepare_cached(sql!("shop/hold_stock"))?;
    for item in line_entry.basket.items() {
        statement.execute(params![sale.id.as_str(), item.sku.as_str(), int(item.units())])?;
    }
    Ok(())
}

fn hear(
    connection: &Connection,
    now: UnixMillis,
    entry: EntryId,
    order: &ShopOrderId,
    word: ShopWord,
) -> rusqlite::Result<StepReply> {
    let found = connection
        .prepare_cached(sql!("shop/order_of"))?
        .query_row(params![entry.as_bytes().as_slice(), order.as_str()], |row| {
            id(row, 0, OrderId::from_bytes)
        })
        .optional()?;
    let order = found.map(|order| steps::order(connection, order)).transpose()?.flatten();
    let Some(order) = order else { return Ok(StepReply::NoSuchOrder) };
    if word.is_said_of(order.state) {
        // The gate does not know the shop's goods.
        return Ok(StepReply::Already { order, gate: None });
    }
    if !order.state.is_unpaid_hold() {
        return Ok(StepReply::Wrong(order));
    }
    let step = match word {
        ShopWord::Paid => Step {
            event: OrderEvent::Paid,
            hold: Some(Movement::Sold),
            reason: "The shop has your money.",
        },
        ShopWord::Closed => Step {
            event: OrderEvent::Close(ClosingCause::Deadline),
            hold: None,
            reason: "The shop is closing the order.",
        },
    };
    steps::take(connection, now, order, step)
}

#[async_trait]
impl ShopBook for SqlLedger {
    async fn hand_over(&self, turns: &[Turn]) -> PortResult<()> {
        let turns = turns.to_vec();
        self.write("ledger.hand_over", move |connection, now| hand_over(connection, now, &turns))
            .await
    }

    async fn unheard(
        &self,
        sale: &SaleId,
        silence: Duration,
        queued: u64,
        limit: u32,
    ) -> PortResult<Vec<Turn>> {
        let sale = sale.clone();
        self.write("ledger.unheard", move |connection, now| {
            unheard(connection, now, &sale, silence, queued, limit)
        })
        .await
    }

    async fn give_up(&self, entries: &[EntryId]) -> PortResult<()> {
        let entries = entries.to_vec();
        self.write("ledger.give_up", move |connection, _| {
            let mut statement = connection.prepare_cached(sql!("shop/give_up"))?;
            for entry in &entries {
                statement.execute([entry.as_bytes().as_slice()])?;
            }
            Ok(())
        })
        .await
    }

    async fn report(&self, said: &ShopReport) -> PortResult<ShopReply> {
        let said = said.clone();
        self.write("ledger.report", move |connection, now| report(connection, now, &said)).await
    }

    async fn hear(
        &self,
        entry: EntryId,
        order: &ShopOrderId,
        word: ShopWord,
    ) -> PortResult<StepReply> {
        let order = order.clone();
        self.write("ledger.hear", move |connection, now| hear(connection, now, entry, &order, word))
            .await
    }

    async fn tell_remaining(&self, sale: &SaleId, sku: &SkuId, units: u64) -> PortResult<bool> {
        let (sale, sku) = (sale.clone(), sku.clone());
        self.write("ledger.tell_remaining", move |connection, _| {
            let mut statement = connection.prepare_cached(sql!("shop/remaining"))?;
            Ok(statement.execute(params![sale.as_str(), sku.as_str(), int(units)])? > 0)
        })
        .await
    }
}
