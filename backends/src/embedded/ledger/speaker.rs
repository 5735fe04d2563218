//! The book of who speaks for a line. A lease is one row; whoever takes it gets a higher epoch.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};
use sluice_core::{
    clock::UnixMillis,
    ids::{Epoch, SaleId, Seq},
    line::Cursor,
    ports::{Block, CursorSaved, Lease, LeaseReply, PortResult, Speaker},
};

use super::SqlLedger;
use crate::embedded::codec::{int, json, time, to_json, whole};

/// A row of the book; as if nobody had ever spoken, when there is none.
#[derive(Debug, Default)]
struct Spoken {
    holder: Option<String>,
    until: UnixMillis,
    epoch: Epoch,
    high_water: Seq,
    cursor: Cursor,
    given_out: Seq,
}

impl Spoken {
    fn is_held_by(&self, holder: &str, now: UnixMillis) -> bool {
        self.holder.as_deref() == Some(holder) && now < self.until
    }
}

fn spoken(connection: &Connection, sale: &SaleId) -> rusqlite::Result<Spoken> {
    let row = |row: &Row<'_>| {
        Ok(Spoken {
            holder: row.get(0)?,
            until: time(row, 1)?,
            epoch: Epoch(whole(row, 2)?),
            high_water: Seq(whole(row, 3)?),
            cursor: Cursor { serving: Seq(whole(row, 4)?), holes: json(row, 5)? },
            given_out: Seq(whole(row, 6)?),
        })
    };
    let mut statement = connection.prepare_cached(sql!("speaker/get"))?;
    Ok(statement.query_row([sale.as_str()], row).optional()?.unwrap_or_default())
}

fn write(connection: &Connection, sale: &SaleId, spoken: &Spoken) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("speaker/put"))?;
    statement.execute(params![
        sale.as_str(),
        spoken.holder,
        spoken.until.0,
        int(spoken.epoch.0),
        int(spoken.high_water.0),
        int(spoken.cursor.serving.0),
        to_json(&spoken.cursor.holes)?,
        int(spoken.given_out.0),
    ])?;
    Ok(())
}

/// A sale is gone: nobody speaks for it, and should one of that id come again, its numbers begin above these.
pub(super) fn retire(connection: &Connection, sale: &SaleId) -> rusqlite::Result<()> {
    let mut spoken = spoken(connection, sale)?;
    spoken.holder = None;
    spoken.until = UnixMillis(0);
    spoken.cursor = Cursor { serving: spoken.high_water, ..Cursor::default() };
    write(connection, sale, &spoken)
}

#[async_trait]
impl Speaker for SqlLedger {
    async fn lease(&self, sale: &SaleId, holder: &str, ttl: Duration) -> PortResult<LeaseReply> {
        let (sale, holder) = (sale.clone(), holder.to_owned());
        self.write("ledger.lease", move |connection, now| {
            let mut spoken = spoken(connection, &sale)?;
            if spoken.holder.is_some() && spoken.until > now && !spoken.is_held_by(&holder, now) {
                return Ok(LeaseReply::Taken { until: spoken.until });
            }
            if !spoken.is_held_by(&holder, now) {
                spoken.epoch = spoken.epoch.next();
                spoken.holder = Some(holder);
            }
            spoken.until = now.plus(ttl);
            write(connection, &sale, &spoken)?;
            Ok(LeaseReply::Held(Lease { epoch: spoken.epoch, until: spoken.until }))
        })
        .await
    }

    async fn release_lease(&self, sale: &SaleId, holder: &str) -> PortResult<()> {
        let (sale, holder) = (sale.clone(), holder.to_owned());
        self.write("ledger.release_lease", move |connection, _| {
            let mut spoken = spoken(connection, &sale)?;
            if spoken.holder.as_deref() != Some(&holder) {
                return Ok(());
            }
            spoken.holder = None;
            spoken.until = UnixMillis(0);
            write(connection, &sale, &spoken)
        })
        .await
    }

    async fn renew_epoch(&self, sale: &SaleId, holder: &str) -> PortResult<Option<Epoch>> {
        let (sale, holder) = (sale.clone(), holder.to_owned());
        self.write("ledger.renew_epoch", move |connection, now| {
            let mut spoken = spoken(connection, &sale)?;
            if !spoken.is_held_by(&holder, now) {
                return Ok(None);
            }
            spoken.epoch = spoken.epoch.next();
            write(connection, &sale, &spoken)?;
            Ok(Some(spoken.epoch))
        })
        .await
    }

    async fn next_block(&self, sale: &SaleId, count: u64) -> PortResult<Block> {
        let sale = sale.clone();
        self.write("ledger.next_block", move |connection, _| {
            let mut spoken = spoken(connection, &sale)?;
            let from = spoken.high_water.next();
            spoken.high_water = Seq(spoken.high_water.0.saturating_add(count.max(1)));
            write(connection, &sale, &spoken)?;
            Ok(Block { from, to: spoken.high_water })
        })
        .await
    }

    async fn high_water(&self, sale: &SaleId) -> PortResult<Seq> {
        let sale = sale.clone();
        let read = move |connection: &Connection| Ok(spoken(connection, &sale)?.high_water);
        self.read("ledger.high_water", read).await
    }

    async fn cursor(&self, sale: &SaleId) -> PortResult<Cursor> {
        let sale = sale.clone();
        let read = move |connection: &Connection| Ok(spoken(connection, &sale)?.cursor);
        self.read("ledger.cursor", read).await
    }

    async fn given_out(&self, sale: &SaleId) -> PortResult<Seq> {
        let sale = sale.clone();
        let read = move |connection: &Connection| Ok(spoken(connection, &sale)?.given_out);
        self.read("ledger.given_out", read).await
    }

    async fn save_cursor(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        cursor: &Cursor,
        given_out: Seq,
    ) -> PortResult<CursorSaved> {
        let (sale, cursor) = (sale.clone(), cursor.clone());
        self.write("ledger.save_cursor", move |connection, _| {
            let mut spoken = spoken(connection, &sale)?;
            if epoch < spoken.epoch {
                return Ok(CursorSaved::Fenced);
            }
            let is_news = cursor != spoken.cursor || given_out > spoken.given_out;
            if cursor.serving >= spoken.cursor.serving && is_news {
                spoken.cursor = cursor;
                spoken.given_out = spoken.given_out.max(given_out);
                write(connection, &sale, &spoken)?;
            }
            Ok(CursorSaved::Saved)
        })
        .await
    }
}
