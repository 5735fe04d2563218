//! The book of moves: a row for each place that was taken to another device, with the last time it was. Every statement may be
//! repeated: a move is known by its name.

use async_trait::async_trait;
use sluice_core::{
    clock::UnixMillis,
    ids::{EntryId, SaleId},
    ports::{MoveBook, MoveName, PlaceMove, PortResult},
};
use sqlx::postgres::PgRow;

use super::SqlLedger;
use crate::postgres::codec::{ToUuid, id, time};

#[async_trait]
impl MoveBook for SqlLedger {
    async fn move_place(
        &self,
        sale: &SaleId,
        entry: EntryId,
        held_since: UnixMillis,
        name: MoveName,
    ) -> PortResult<Option<UnixMillis>> {
        let asked = (sale.clone(), entry, held_since, name);
        self.plain("ledger.move_place", asked, |connection, (sale, entry, since, name)| {
            Box::pin(async move {
                let moved = sqlx::query(sql!("moves/move"))
                    .bind(entry.uuid())
                    .bind(sale.as_str())
                    .bind(since.0)
                    .bind(name.0.as_slice())
                    .fetch_optional(connection)
                    .await?;
                Ok(moved.map(|row| time(&row, 0)).transpose()?)
            })
        })
        .await
    }

    async fn moved_at(&self, entry: EntryId) -> PortResult<Option<UnixMillis>> {
        self.plain("ledger.moved_at", entry, |connection, entry| {
            Box::pin(async move {
                let asked = sqlx::query(sql!("moves/at")).bind(entry.uuid());
                let row = asked.fetch_optional(connection).await?;
                Ok(row.map(|row| time(&row, 0)).transpose()?)
            })
        })
        .await
    }

    async fn moves(&self, after: UnixMillis, limit: u32) -> PortResult<Vec<PlaceMove>> {
        self.plain("ledger.moves", (after, limit), |connection, (after, limit)| {
            Box::pin(async move {
                let asked = sqlx::query(sql!("moves/newest")).bind(after.0).bind(i64::from(*limit));
                let rows = asked.fetch_all(connection).await?;
                let told = |row: &PgRow| {
                    Ok(PlaceMove { entry: id(row, 0, EntryId::from_bytes)?, at: time(row, 1)? })
                };
                Ok(rows.iter().map(told).collect::<sqlx::Result<_>>()?)
            })
        })
        .await
    }
}
