//! The book of entries: one outcome each, written by the first to come; and the outbox of those not told yet.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use async_trait::async_trait;
use sluice_core::{
    clock::UnixMillis,
    entry::Outcome,
    ids::{EntryId, HoldId, OrderId, SaleId, Seq, Version},
    line::LineEntry,
    order::{OrderState, ShopOrder},
    ports::{
        EntryBook, EntryRecord, HoldReply, HoldRequest, IdempotencyKey, NewOutcome, OrderRef,
        OutcomeReason, PortError, PortResult, Replay,
    },
};
use sqlx::{PgConnection, Row, postgres::PgRow, types::Uuid};

use super::{SqlLedger, hold};
use crate::postgres::{
    codec::{ToUuid, damaged, id, int, plain, some_id, text, time, uuids, whole, word},
    fault::{Fault, StoreError},
};

/// How long an idempotency key is remembered.
pub(super) const KEY_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What is recorded of an entry, and the hold of its order.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) record: EntryRecord,
    pub(super) hold: Option<HoldId>,
}

/// What is recorded of these entries, by entry.
pub(super) async fn records(
    connection: &mut PgConnection,
    entries: &[EntryId],
) -> Result<HashMap<EntryId, Known>, Fault> {
    if entries.is_empty() {
        return Ok(HashMap::new());
    }
    let asked = sqlx::query(sql!("entries/get")).bind(uuids(entries));
    let rows = asked.fetch_all(connection).await?;
    let known = rows.iter().map(|row| recorded(row).map(|known| (known.record.entry, known)));
    Ok(known.collect::<sqlx::Result<_>>()?)
}

/// A record from the columns of `entries/get` and `entries/untold`.
fn recorded(row: &PgRow) -> sqlx::Result<Known> {
    let at = time(row, 6)?;
    let mut record = EntryRecord {
        sale: text(row, 0)?,
        entry: id(row, 1, EntryId::from_bytes)?,
        buyer: text(row, 2)?,
        seq: Seq(whole(row, 3)?),
        outcome: word(row, 4, Outcome::parse)?,
        reason: word(row, 5, OutcomeReason::parse)?,
        at,
        order: None,
        shop: None,
        changed_at: at,
    };
    let Some(order) = some_id(row, 7, OrderId::from_bytes)? else {
        return Ok(Known { record, hold: None });
    };
    record.order = Some(OrderRef {
        order,
        state: word(row, 8, OrderState::parse)?,
        version: Version(whole(row, 9)?),
        pay_by: time(row, 10)?,
    });
    record.changed_at = at.max(time(row, 11)?);
    record.shop = shop_order(row, 13)?;
    Ok(Known { record, hold: some_id(row, 12, HoldId::from_bytes)? })
}

/// The shop's order from two columns, if it made one.
pub(super) fn shop_order(row: &PgRow, first: usize) -> sqlx::Result<Option<ShopOrder>> {
    let Some(name) = row.try_get::<Option<&str>, _>(first)? else { return Ok(None) };
    let id = name.parse().map_err(|error| damaged(first, error))?;
    Ok(Some(ShopOrder { id, link: row.try_get(first + 1)? }))
}

/// An outcome to be written, unless the entry has one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict<'a> {
    pub(super) line_entry: &'a LineEntry,
    pub(super) outcome: Outcome,
    pub(super) reason: OutcomeReason,
}

/// Writes outcomes of different entries, at `at` or now, each unless the entry has one; how many were written. In the order
/// of entries, whatever order they come in: two writers wait for each other in a queue, never in a ring.
pub(super) async fn write(
    connection: &mut PgConnection,
    sale: &SaleId,
    at: Option<UnixMillis>,
    verdicts: &[Verdict<'_>],
) -> Result<u64, Fault> {
    let mut sorted: Vec<Verdict<'_>> = verdicts.to_vec();
    sorted.sort_by_key(|verdict| verdict.line_entry.entry);
    let entries = sorted.iter().map(|verdict| verdict.line_entry);
    let ids: Vec<Uuid> = entries.clone().map(|entry| entry.entry.uuid()).collect();
    let buyers: Vec<&str> = entries.clone().map(|entry| entry.buyer.as_str()).collect();
    let numbers: Vec<i64> = entries.clone().map(|entry| int(entry.seq.0)).collect();
    let holes: Vec<i64> = entries.clone().map(|entry| int(entry.holes_below)).collect();
    let joined: Vec<i64> = entries.map(|entry| entry.joined_at.0).collect();
    let outcomes: Vec<&str> = sorted.iter().map(|verdict| verdict.outcome.as_str()).collect();
    let reasons: Vec<&str> = sorted.iter().map(|verdict| verdict.reason.as_str()).collect();
    let written = sqlx::query(sql!("entries/settle"))
        .bind(sale.as_str())
        .bind(at.map(|at| at.0))
        .bind(ids)
        .bind(buyers)
        .bind(numbers)
        .bind(holes)
        .bind(joined)
        .bind(outcomes)
        .bind(reasons)
        .fetch_one(connection)
        .await?;
    Ok(whole(&written, 0)?)
}

async fn settle(
    connection: &mut PgConnection,
    sale: &SaleId,
    outcomes: &[NewOutcome],
) -> Result<Vec<EntryRecord>, Fault> {
    let mut named = HashSet::new();
    let first = outcomes.iter().filter(|new| named.insert(new.line_entry.entry));
    let verdicts: Vec<Verdict<'_>> = first
        .map(|NewOutcome { line_entry, outcome, reason }| Verdict {
            line_entry,
            outcome: *outcome,
            reason: *reason,
        })
        .collect();
    write(connection, sale, None, &verdicts).await?;
    let entries: Vec<EntryId> = outcomes.iter().map(|new| new.line_entry.entry).collect();
    let known = records(connection, &entries).await?;
    let told = entries.iter().map(|entry| known.get(entry).map(|known| known.record.clone()));
    // Missing only if its sale was deleted under our eyes.
    told.collect::<Option<Vec<EntryRecord>>>().ok_or(Fault::Raced)
}

async fn replay(connection: &mut PgConnection, key: &IdempotencyKey) -> Result<Replay, Fault> {
    let kept = i64::try_from(KEY_KEPT.as_millis()).unwrap_or(i64::MAX);
    let (scope, name) = (plain(key.scope.clone()), plain(key.key.clone()));
    sqlx::query(sql!("entries/key_archive"))
        .bind(&scope)
        .bind(&name)
        .bind(kept)
        .execute(&mut *connection)
        .await?;
    let first = sqlx::query(sql!("entries/key"))
        .bind(&scope)
        .bind(&name)
        .bind(key.body.as_slice())
        .bind(kept)
        .fetch_optional(&mut *connection)
        .await?;
    if first.is_some() {
        return Ok(Replay::First);
    }
    let asked = sqlx::query(sql!("entries/key_get")).bind(&scope).bind(&name);
    let known = asked.fetch_optional(connection).await?.ok_or(Fault::Raced)?;
    let body: &[u8] = known.try_get(0)?;
    Ok(if body == key.body { Replay::Same } else { Replay::Different })
}

async fn untold(connection: &mut PgConnection, limit: u32) -> Result<Vec<EntryRecord>, Fault> {
    let asked = sqlx::query(sql!("entries/untold")).bind(i64::from(limit));
    let rows = asked.fetch_all(connection).await?;
    let records = rows.iter().map(|row| recorded(row).map(|known| known.record));
    Ok(records.collect::<sqlx::Result<_>>()?)
}

async fn told(connection: &mut PgConnection, entries: &[EntryId]) -> Result<(), Fault> {
    let whole_rows = sqlx::query(sql!("entries/told")).bind(uuids(entries));
    let told = whole(&whole_rows.fetch_one(&mut *connection).await?, 0)?;
    if told < entries.len() as u64 {
        let rest = sqlx::query(sql!("entries/told_partly")).bind(uuids(entries));
        rest.execute(connection).await?;
    }
    Ok(())
}

#[async_trait]
impl EntryBook for SqlLedger {
    async fn entries(&self, entries: &[EntryId]) -> PortResult<Vec<Option<EntryRecord>>> {
        self.plain("ledger.entries", entries.to_vec(), |connection, entries| {
            Box::pin(async move {
                let known = records(connection, entries).await?;
                let record = |entry| known.get(entry).map(|known| known.record.clone());
                Ok(entries.iter().map(record).collect())
            })
        })
        .await
    }

    async fn settle(
        &self,
        sale: &SaleId,
        outcomes: Vec<NewOutcome>,
    ) -> PortResult<Vec<EntryRecord>> {
        if outcomes.iter().any(|new| new.outcome == Outcome::Reserved) {
            let misuse = "an entry becomes `reserved` by a hold, not by settling it";
            return Err(PortError::unavailable(StoreError::Misuse(misuse)));
        }
        if outcomes.is_empty() {
            return Ok(Vec::new());
        }
        self.write("ledger.settle", (sale.clone(), outcomes), |connection, (sale, outcomes)| {
            Box::pin(settle(connection, sale, outcomes))
        })
        .await
    }

    async fn hold(&self, sale: &SaleId, requests: Vec<HoldRequest>) -> PortResult<Vec<HoldReply>> {
        hold::in_batches(self, sale, requests).await
    }

    async fn replay(&self, key: &IdempotencyKey) -> PortResult<Replay> {
        self.write("ledger.replay", key.clone(), |connection, key| {
            Box::pin(replay(connection, key))
        })
        .await
    }

    async fn untold(&self, limit: u32) -> PortResult<Vec<EntryRecord>> {
        self.plain("ledger.untold", limit, |connection, limit| Box::pin(untold(connection, *limit)))
            .await
    }

    async fn told(&self, entries: &[EntryId]) -> PortResult<()> {
        self.plain("ledger.told", entries.to_vec(), |connection, entries| {
            Box::pin(told(connection, entries))
        })
        .await
    }
}
