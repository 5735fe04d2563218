//! The book of moves: a row for each place that was taken to another device, with the last time it was.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use sluice_core::{
    clock::UnixMillis,
    ids::{EntryId, SaleId},
    ports::{MoveBook, MoveName, PlaceMove, PortResult},
};

use super::SqlLedger;
use crate::embedded::codec::{id, time};

fn move_place(
    connection: &Connection,
    now: UnixMillis,
    (sale, entry): (&SaleId, EntryId),
    held_since: UnixMillis,
    name: MoveName,
) -> rusqlite::Result<Option<UnixMillis>> {
    let entry = entry.as_bytes().as_slice();
    let asked = params![entry, sale.as_str(), now.0, held_since.0, name.0.as_slice()];
    let mut statement = connection.prepare_cached(sql!("moves/move"))?;
    statement.query_row(asked, |row| time(row, 0)).optional()
}

#[async_trait]
impl MoveBook for SqlLedger {
    async fn move_place(
        &self,
        sale: &SaleId,
        entry: EntryId,
        held_since: UnixMillis,
        name: MoveName,
    ) -> PortResult<Option<UnixMillis>> {
        let sale = sale.clone();
        self.write("ledger.move_place", move |connection, now| {
            move_place(connection, now, (&sale, entry), held_since, name)
        })
        .await
    }

    async fn moved_at(&self, entry: EntryId) -> PortResult<Option<UnixMillis>> {
        self.read("ledger.moved_at", move |connection| {
            let mut statement = connection.prepare_cached(sql!("moves/at"))?;
            statement.query_row([entry.as_bytes().as_slice()], |row| time(row, 0)).optional()
        })
        .await
    }

    async fn moves(&self, after: UnixMillis, limit: u32) -> PortResult<Vec<PlaceMove>> {
        self.read("ledger.moves", move |connection| {
            let mut statement = connection.prepare_cached(sql!("moves/newest"))?;
            let rows = statement.query_map(params![after.0, limit], |row| {
                Ok(PlaceMove { entry: id(row, 0, EntryId::from_bytes)?, at: time(row, 1)? })
            })?;
            rows.collect()
        })
        .await
    }
}
