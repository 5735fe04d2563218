//! The book of the shop: turns that were left to its own order backend, and its word on them, one at a time.

use std::time::Duration;

use async_trait::async_trait;
use sluice_core::{
    event::Turn,
    ids::{EntryId, Epoch, HoldId, OrderId, SaleId, Seq, ShopOrderId, SkuId},
    line::LineEntry,
    order::{ClosingCause, OrderEvent, ShopOrder},
    ports::{
        EntryRecord, GateSaid, HoldRequest, OutcomeReason, PortResult, ShopBook, ShopOutcome,
        ShopReply, ShopReport, ShopWord, StepReply,
    },
};
use sqlx::{PgConnection, Row, postgres::PgRow, types::Uuid};

use super::{
    SqlLedger,
    books::{self, Look},
    entries::{self, Verdict},
    grant::decide,
    hold,
    steps::{self, Movement, Step},
};
use crate::postgres::{
    codec::{Baskets, ToUuid, damaged, id, int, small_int, text, time, uuids, whole},
    fault::Fault,
};

async fn hand_over(connection: &mut PgConnection, turns: &[Turn]) -> Result<(), Fault> {
    let mut sorted: Vec<&Turn> = turns.iter().collect();
    sorted.sort_by_key(|turn| turn.line_entry.entry);
    let of = |column: fn(&Turn) -> i64| sorted.iter().map(|turn| column(turn)).collect::<Vec<_>>();
    let entries: Vec<Uuid> = sorted.iter().map(|turn| turn.line_entry.entry.uuid()).collect();
    let sales: Vec<&str> = sorted.iter().map(|turn| turn.sale.as_str()).collect();
    let buyers: Vec<&str> = sorted.iter().map(|turn| turn.line_entry.buyer.as_str()).collect();
    let baskets: Vec<String> =
        sorted.iter().map(|turn| turn.line_entry.basket.to_string()).collect();
    let attempts: Vec<i32> = sorted.iter().map(|turn| small_int(turn.attempt)).collect();
    sqlx::query(sql!("shop/hand_over"))
        .bind(entries)
        .bind(sales)
        .bind(buyers)
        .bind(of(|turn| int(turn.line_entry.seq.0)))
        .bind(of(|turn| int(turn.line_entry.holes_below)))
        .bind(baskets)
        .bind(of(|turn| turn.line_entry.joined_at.0))
        .bind(of(|turn| int(turn.epoch.0)))
        .bind(attempts)
        .bind(of(|turn| turn.called_at.0))
        .execute(connection)
        .await?;
    Ok(())
}

/// Which turns are asked for.
struct Asked {
    sale: SaleId,
    silence: Duration,
    queued: u64,
    limit: u32,
}

async fn unheard(connection: &mut PgConnection, asked: &Asked) -> Result<Vec<Turn>, Fault> {
    let silence = i64::try_from(asked.silence.as_millis()).unwrap_or(i64::MAX / 2);
    sqlx::query(sql!("shop/clear"))
        .bind(asked.sale.as_str())
        .bind(silence)
        .bind(i64::from(asked.limit))
        .execute(&mut *connection)
        .await?;
    let rows = sqlx::query(sql!("shop/unheard"))
        .bind(asked.sale.as_str())
        .bind(silence)
        .bind(int(asked.queued))
        .bind(i64::from(asked.limit))
        .fetch_all(connection)
        .await?;
    let mut baskets = Baskets::default();
    let turns = rows.iter().map(|row| turn(row, &mut baskets));
    let mut turns: Vec<Turn> = turns.collect::<sqlx::Result<_>>()?;
    turns.sort_by_key(|turn| (turn.line_entry.seq, turn.line_entry.entry));
    Ok(turns)
}

/// A turn from the columns that `shop/take` returns.
fn turn(row: &PgRow, baskets: &mut Baskets) -> sqlx::Result<Turn> {
    let attempt: i32 = row.try_get(8)?;
    Ok(Turn {
        sale: text(row, 1)?,
        line_entry: LineEntry {
            entry: id(row, 0, EntryId::from_bytes)?,
            buyer: text(row, 2)?,
            seq: Seq(whole(row, 3)?),
            holes_below: whole(row, 4)?,
            basket: baskets.read(row, 5)?,
            joined_at: time(row, 6)?,
            address: None,
            reach: None,
            stands_since: None,
        },
        epoch: Epoch(whole(row, 7)?),
        attempt: u32::try_from(attempt).map_err(|error| damaged(8, error))?,
        called_at: time(row, 9)?,
    })
}

/// The turn first: who reports the same at once waits here, and finds the outcome.
async fn report(connection: &mut PgConnection, report: &ShopReport) -> Result<ShopReply, Fault> {
    let take = sqlx::query(sql!("shop/take")).bind(report.entry.uuid());
    let row = take.fetch_optional(&mut *connection).await?;
    if let Some(known) = record(connection, report.entry).await? {
        return Ok(ShopReply::Known(known));
    }
    let Some(row) = row else { return Ok(ShopReply::NoSuchTurn) };
    let Turn { sale, line_entry, .. } = turn(&row, &mut Baskets::default())?;
    match &report.outcome {
        ShopOutcome::Reserved { id, order, pay_by } => {
            let request = HoldRequest {
                hold: HoldId::of_entry(line_entry.entry, 0),
                line_entry,
                order: *id,
                gate: GateSaid::Held,
            };
            let requests = [request];
            let Some(mut books) = books::read(connection, &sale, &requests, Look::Lock).await?
            else {
                return Ok(ShopReply::NoSuchTurn);
            };
            books.pay_by = pay_by.unwrap_or(books.pay_by);
            books.seating = books::SeatedBy::Shop;
            reserve(connection, books, &requests, order).await?;
        }
        ShopOutcome::SoldOut | ShopOutcome::Refused => {
            let (outcome, reason) = (report.outcome.outcome(), OutcomeReason::Plain);
            let verdict = Verdict { line_entry: &line_entry, outcome, reason };
            entries::write(connection, &sale, None, &[verdict]).await?;
        }
    }
    let settled = record(connection, report.entry).await?.ok_or(Fault::Raced)?;
    Ok(ShopReply::Settled(settled))
}

async fn record(
    connection: &mut PgConnection,
    entry: EntryId,
) -> Result<Option<EntryRecord>, Fault> {
    Ok(entries::records(connection, &[entry]).await?.remove(&entry).map(|known| known.record))
}

/// Goods that the shop has set aside: they are there, whatever it has said to be left.
async fn reserve(
    connection: &mut PgConnection,
    mut books: books::Books,
    requests: &[HoldRequest; 1],
    order: &ShopOrder,
) -> Result<(), Fault> {
    let [request] = requests;
    for item in request.line_entry.basket.items() {
        if let Some(available) = books.available.get_mut(&item.sku) {
            *available = available.saturating_add(item.units());
        }
    }
    let plan = decide(&mut books, requests);
    match hold::write(connection, &books, &plan, sql!("shop/hold_stock")).await {
        // Another order of this buyer came in between: the next look finds it.
        Err(fault) if fault.is_constraint() => return Err(Fault::Raced),
        written => drop(written?),
    }
    if plan.grants.is_empty() {
        return Ok(());
    }
    sqlx::query(sql!("shop/order_add"))
        .bind(request.order.uuid())
        .bind(order.id.as_str())
        .bind(order.link.as_deref())
        .execute(&mut *connection)
        .await?;
    Ok(())
}

async fn hear(
    connection: &mut PgConnection,
    entry: EntryId,
    order: &ShopOrderId,
    word: ShopWord,
) -> Result<StepReply, Fault> {
    let asked = sqlx::query(sql!("shop/order_of")).bind(entry.uuid()).bind(order.as_str());
    let Some(row) = asked.fetch_optional(&mut *connection).await? else {
        return Ok(StepReply::NoSuchOrder);
    };
    let order = id(&row, 0, OrderId::from_bytes)?;
    let Some(locked) = steps::lock(connection, order).await? else {
        return Ok(StepReply::NoSuchOrder);
    };
    if word.is_said_of(locked.order.state) {
        return Ok(StepReply::Already { order: locked.order, gate: None });
    }
    if !locked.order.state.is_unpaid_hold() {
        return Ok(StepReply::Wrong(locked.order));
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
    steps::take(connection, locked, step).await
}

#[async_trait]
impl ShopBook for SqlLedger {
    async fn hand_over(&self, turns: &[Turn]) -> PortResult<()> {
        if turns.is_empty() {
            return Ok(());
        }
        self.plain("ledger.hand_over", turns.to_vec(), |connection, turns| {
            Box::pin(hand_over(connection, turns))
        })
        .await
    }

    async fn unheard(
        &self,
        sale: &SaleId,
        silence: Duration,
        queued: u64,
        limit: u32,
    ) -> PortResult<Vec<Turn>> {
        let asked = Asked { sale: sale.clone(), silence, queued, limit };
        self.write("ledger.unheard", asked, |connection, asked| {
            Box::pin(unheard(connection, asked))
        })
        .await
    }

    async fn give_up(&self, entries: &[EntryId]) -> PortResult<()> {
        self.plain("ledger.give_up", entries.to_vec(), |connection, entries| {
            Box::pin(async move {
                let given_up = sqlx::query(sql!("shop/give_up")).bind(uuids(entries));
                given_up.execute(connection).await?;
                Ok(())
            })
        })
        .await
    }

    async fn report(&self, said: &ShopReport) -> PortResult<ShopReply> {
        self.write("ledger.report", said.clone(), |connection, said| {
            Box::pin(report(connection, said))
        })
        .await
    }

    async fn hear(
        &self,
        entry: EntryId,
        order: &ShopOrderId,
        word: ShopWord,
    ) -> PortResult<StepReply> {
        self.write(
            "ledger.hear",
            (entry, order.clone(), word),
            |connection, (entry, order, word)| Box::pin(hear(connection, *entry, order, *word)),
        )
        .await
    }

    async fn tell_remaining(&self, sale: &SaleId, sku: &SkuId, units: u64) -> PortResult<bool> {
        let asked = (sale.clone(), sku.clone(), units);
        self.plain("ledger.tell_remaining", asked, |connection, (sale, sku, units)| {
            Box::pin(async move {
                let told = sqlx::query(sql!("shop/remaining"))
                    .bind(sale.as_str())
                    .bind(sku.as_str())
                    .bind(int(*units))
                    .execute(connection)
                    .await?;
                Ok(told.rows_affected() > 0)
            })
        })
        .await
    }
}
