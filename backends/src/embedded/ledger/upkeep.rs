//! The book of upkeep: duties, what a reconciliation reads and found, keys that grow old, a sale minute by minute.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use sluice_core::{
    clock::UnixMillis,
    ids::{HoldId, SaleId},
    money::AmountFen,
    ports::{Books, Duty, HoldWord, KeysSwept, PortResult, SaleMinute, UpkeepBook},
    reconcile::Reconciliation,
};

use super::{SqlLedger, aftersales, entries::KEY_KEPT, orders, steps::Movement};
use crate::embedded::codec::{json, time, to_json, whole, word};

/// How long a key stays in the archive.
const KEY_ARCHIVED: Duration = Duration::from_secs(30 * 24 * 3600);

fn take_duty(
    connection: &Connection,
    now: UnixMillis,
    (sale, duty, holder): (&SaleId, Duty, &str),
    ttl: Duration,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(sql!("upkeep/duty"))?;
    let until = now.plus(ttl).0;
    let taken = statement.execute(params![sale.as_str(), duty.as_str(), holder, now.0, until])?;
    Ok(taken > 0)
}

fn hold_word(
    connection: &Connection,
    now: UnixMillis,
    hold: HoldId,
) -> rusqlite::Result<Option<HoldWord>> {
    let mut statement = connection.prepare_cached(sql!("upkeep/word"))?;
    let word = statement.query_row([hold.as_bytes().as_slice()], |row| {
        Ok(HoldWord {
            movement: whole(row, 0)?,
            phase: word(row, 1, Movement::parse)?.phase(),
            age: now.since(time(row, 2)?),
        })
    });
    word.optional()
}

fn sweep_keys(connection: &Connection, now: UnixMillis, limit: u32) -> rusqlite::Result<KeysSwept> {
    let old = now.minus(KEY_KEPT).0;
    connection.prepare_cached(sql!("upkeep/keys_archive"))?.execute(params![old, limit, now.0])?;
    let archived =
        connection.prepare_cached(sql!("upkeep/keys_clear"))?.execute(params![old, limit])?;
    let dropped = connection
        .prepare_cached(sql!("upkeep/keys_drop"))?
        .execute(params![now.minus(KEY_ARCHIVED).0, limit])?;
    Ok(KeysSwept { archived: archived as u64, dropped: dropped as u64 })
}

fn minutes(
    connection: &Connection,
    sale: &SaleId,
    limit: u32,
) -> rusqlite::Result<Vec<SaleMinute>> {
    let mut statement = connection.prepare_cached(sql!("upkeep/minutes"))?;
    let rows = statement.query_map(params![sale.as_str(), limit], |row| {
        Ok(SaleMinute {
            at: time(row, 0)?,
            joined: whole(row, 1)?,
            reserved: whole(row, 2)?,
            sold_out: whole(row, 3)?,
            left: whole(row, 4)?,
            expired: whole(row, 5)?,
            refused: whole(row, 6)?,
            paid: whole(row, 7)?,
            paid_amount: AmountFen(row.get(8)?),
            closed: whole(row, 9)?,
            fulfilled: whole(row, 10)?,
            failed: whole(row, 11)?,
            refunded: whole(row, 12)?,
        })
    })?;
    let mut minutes = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    minutes.reverse();
    Ok(minutes)
}

#[async_trait]
impl UpkeepBook for SqlLedger {
    async fn take_duty(
        &self,
        sale: &SaleId,
        duty: Duty,
        holder: &str,
        ttl: Duration,
    ) -> PortResult<bool> {
        let (sale, holder) = (sale.clone(), holder.to_owned());
        self.write("ledger.take_duty", move |connection, now| {
            take_duty(connection, now, (&sale, duty, holder.as_str()), ttl)
        })
        .await
    }

    async fn books(&self, sale: &SaleId) -> PortResult<Books> {
        let sale = sale.clone();
        self.read("ledger.books", move |connection| {
            let balances = orders::stock(connection, &sale)?;
            let image = orders::gate_image(connection, &sale)?;
            Ok(Books { balances, image, money: aftersales::money(connection, &sale)? })
        })
        .await
    }

    async fn hold_words(&self, holds: &[HoldId]) -> PortResult<Vec<Option<HoldWord>>> {
        let (holds, now) = (holds.to_vec(), self.clock.now());
        self.read("ledger.hold_words", move |connection| {
            holds.iter().map(|hold| hold_word(connection, now, *hold)).collect()
        })
        .await
    }

    async fn keep_reconciliation(&self, found: &Reconciliation) -> PortResult<()> {
        let found = found.clone();
        self.write("ledger.keep_reconciliation", move |connection, _| {
            let mut statement = connection.prepare_cached(sql!("upkeep/keep"))?;
            statement.execute(params![found.sale.as_str(), to_json(&found)?]).map(drop)
        })
        .await
    }

    async fn reconciliations(&self) -> PortResult<Vec<Reconciliation>> {
        self.read("ledger.reconciliations", move |connection| {
            let mut statement = connection.prepare_cached(sql!("upkeep/kept"))?;
            statement.query_map([], |row| json(row, 0))?.collect()
        })
        .await
    }

    async fn sweep_keys(&self, limit: u32) -> PortResult<KeysSwept> {
        self.write("ledger.sweep_keys", move |connection, now| sweep_keys(connection, now, limit))
            .await
    }

    async fn minutes(&self, sale: &SaleId, limit: u32) -> PortResult<Vec<SaleMinute>> {
        let sale = sale.clone();
        self.read("ledger.minutes", move |connection| minutes(connection, &sale, limit)).await
    }
}
