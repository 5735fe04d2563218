//! The book of entries: one outcome each, the first one wins; and requests that are done once.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
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

use super::{SqlLedger, hold};
use crate::embedded::codec::{id, int, is_null, text, time, whole, word};

/// How long an idempotency key is remembered.
pub(super) const KEY_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// `reserved` is made by a hold only.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("an entry becomes `reserved` by a hold, not by settling it")]
struct NotByHold;

/// What is recorded of an entry, and the hold of its order.
pub(super) fn record(
    connection: &Connection,
    entry: EntryId,
) -> rusqlite::Result<Option<(EntryRecord, Option<HoldId>)>> {
    let mut statement = connection.prepare_cached(sql!("entries/get"))?;
    statement.query_row([entry.as_bytes().as_slice()], recorded).optional()
}

/// A record from the columns of `entries/get` and `entries/untold`.
fn recorded(row: &Row<'_>) -> rusqlite::Result<(EntryRecord, Option<HoldId>)> {
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
    if is_null(row, 7)? {
        return Ok((record, None));
    }
    record.order = Some(OrderRef {
        order: id(row, 7, OrderId::from_bytes)?,
        state: word(row, 8, OrderState::parse)?,
        version: Version(whole(row, 9)?),
        pay_by: time(row, 10)?,
    });
    record.changed_at = at.max(time(row, 11)?);
    record.shop = shop_order(row, 13)?;
    Ok((record, Some(id(row, 12, HoldId::from_bytes)?)))
}

/// The shop's order from two columns, if it made one.
pub(super) fn shop_order(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<ShopOrder>> {
    if is_null(row, first)? {
        return Ok(None);
    }
    Ok(Some(ShopOrder { id: text(row, first)?, link: row.get(first + 1)? }))
}

/// Records an outcome unless the entry has one. Whether it was recorded.
pub(super) fn write(
    connection: &Connection,
    now: UnixMillis,
    sale: &SaleId,
    line_entry: &LineEntry,
    outcome: Outcome,
    reason: OutcomeReason,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(sql!("entries/settle"))?;
    let written = statement.execute(params![
        line_entry.entry.as_bytes().as_slice(),
        sale.as_str(),
        line_entry.buyer.as_str(),
        int(line_entry.seq.0),
        int(line_entry.holes_below),
        line_entry.joined_at.0,
        outcome.as_str(),
        reason.as_str(),
        now.0,
    ])?;
    Ok(written > 0)
}

fn settle(
    connection: &Connection,
    now: UnixMillis,
    sale: &SaleId,
    outcomes: &[NewOutcome],
) -> rusqlite::Result<Vec<EntryRecord>> {
    let mut records = Vec::with_capacity(outcomes.len());
    for new in outcomes {
        write(connection, now, sale, &new.line_entry, new.outcome, new.reason)?;
        let known = record(connection, new.line_entry.entry)?;
        records.push(known.ok_or(rusqlite::Error::QueryReturnedNoRows)?.0);
    }
    Ok(records)
}

fn replay(
    connection: &Connection,
    now: UnixMillis,
    key: &IdempotencyKey,
) -> rusqlite::Result<Replay> {
    let expired = now.minus(KEY_KEPT).0;
    let archived = connection
        .prepare_cached(sql!("entries/key_archive"))?
        .execute(params![key.scope, key.key, expired, now.0])?;
    if archived > 0 {
        let mut clear = connection.prepare_cached(sql!("entries/key_clear"))?;
        clear.execute(params![key.scope, key.key, expired])?;
    }
    let known: Option<[u8; 32]> = connection
        .prepare_cached(sql!("entries/key_get"))?
        .query_row(params![key.scope, key.key], |row| row.get(0))
        .optional()?;
    match known {
        Some(body) if body == key.body => Ok(Replay::Same),
        Some(_) => Ok(Replay::Different),
        None => {
            let mut statement = connection.prepare_cached(sql!("entries/key_put"))?;
            statement.execute(params![key.scope, key.key, key.body.as_slice(), now.0])?;
            Ok(Replay::First)
        }
    }
}

#[async_trait]
impl EntryBook for SqlLedger {
    async fn entries(&self, entries: &[EntryId]) -> PortResult<Vec<Option<EntryRecord>>> {
        let entries = entries.to_vec();
        self.read("ledger.entries", move |connection| {
            let known = |entry: &EntryId| Ok(record(connection, *entry)?.map(|(record, _)| record));
            entries.iter().map(known).collect()
        })
        .await
    }

    async fn settle(
        &self,
        sale: &SaleId,
        outcomes: Vec<NewOutcome>,
    ) -> PortResult<Vec<EntryRecord>> {
        if outcomes.iter().any(|new| new.outcome == Outcome::Reserved) {
            return Err(PortError::unavailable(NotByHold));
        }
        let sale = sale.clone();
        self.write("ledger.settle", move |connection, now| {
            settle(connection, now, &sale, &outcomes)
        })
        .await
    }

    async fn hold(&self, sale: &SaleId, requests: Vec<HoldRequest>) -> PortResult<Vec<HoldReply>> {
        let sale = sale.clone();
        self.write("ledger.hold", move |connection, now| {
            hold::hold(connection, now, &sale, &requests)
        })
        .await
    }

    async fn replay(&self, key: &IdempotencyKey) -> PortResult<Replay> {
        let key = key.clone();
        self.write("ledger.replay", move |connection, now| replay(connection, now, &key)).await
    }

    async fn untold(&self, limit: u32) -> PortResult<Vec<EntryRecord>> {
        self.read("ledger.untold", move |connection| {
            let mut statement = connection.prepare_cached(sql!("entries/untold"))?;
            statement.query_map([limit], |row| recorded(row).map(|(record, _)| record))?.collect()
        })
        .await
    }

    async fn told(&self, entries: &[EntryId]) -> PortResult<()> {
        let entries = entries.to_vec();
        self.write("ledger.told", move |connection, _| {
            let mut statement = connection.prepare_cached(sql!("entries/told"))?;
            for entry in &entries {
                statement.execute([entry.as_bytes().as_slice()])?;
            }
            Ok(())
        })
        .await
    }
}
