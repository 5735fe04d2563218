//! The book of who speaks for a line. Every change is a compare-and-swap in one statement, on the database's clock.

use std::time::Duration;

use async_trait::async_trait;
use sluice_core::{
    clock::UnixMillis,
    ids::{Epoch, SaleId, Seq},
    line::Cursor,
    ports::{Block, CursorSaved, Lease, LeaseReply, PortResult, Speaker},
};
use sqlx::{PgConnection, Row};

use super::SqlLedger;
use crate::postgres::{
    codec::{int, json, time, to_json, whole},
    fault::Fault,
};

/// How long a lease is taken for at most; longer ones are shortened to it.
const LEASE_MAX: Duration = Duration::from_secs(30 * 24 * 3600);

/// Numbers of one block at most; a larger one is shortened to it.
const BLOCK_MAX: u64 = 1 << 40;

async fn lease(
    connection: &mut PgConnection,
    sale: &SaleId,
    holder: &str,
    ttl: Duration,
) -> Result<LeaseReply, Fault> {
    let ttl = i64::try_from(ttl.min(LEASE_MAX).as_millis()).unwrap_or(i64::MAX);
    let taken = sqlx::query(sql!("speaker/lease"))
        .bind(sale.as_str())
        .bind(holder)
        .bind(ttl)
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = taken {
        let lease = Lease { epoch: Epoch(whole(&row, 0)?), until: time(&row, 1)? };
        return Ok(LeaseReply::Held(lease));
    }
    let theirs =
        sqlx::query(sql!("speaker/until")).bind(sale.as_str()).fetch_optional(connection).await?;
    // Given back between the two looks: it may be ours now.
    let theirs = theirs.ok_or(Fault::Raced)?;
    let until: Option<i64> = theirs.try_get(0)?;
    Ok(LeaseReply::Taken { until: until.map(UnixMillis).ok_or(Fault::Raced)? })
}

async fn next_block(
    connection: &mut PgConnection,
    sale: &SaleId,
    count: u64,
) -> Result<Block, Fault> {
    let count = count.clamp(1, BLOCK_MAX);
    let row = sqlx::query(sql!("speaker/next_block"))
        .bind(sale.as_str())
        .bind(int(count))
        .fetch_one(connection)
        .await?;
    let to = whole(&row, 0)?;
    Ok(Block { from: Seq(to - count + 1), to: Seq(to) })
}

async fn save_cursor(
    connection: &mut PgConnection,
    sale: &SaleId,
    epoch: Epoch,
    cursor: &Cursor,
    given_out: Seq,
) -> Result<CursorSaved, Fault> {
    let saved = sqlx::query(sql!("speaker/save_cursor"))
        .bind(sale.as_str())
        .bind(int(epoch.0))
        .bind(int(cursor.serving.0))
        .bind(to_json(&cursor.holes)?)
        .bind(int(given_out.0))
        .execute(&mut *connection)
        .await?;
    if saved.rows_affected() > 0 {
        return Ok(CursorSaved::Saved);
    }
    let row = sqlx::query(sql!("speaker/epoch")).bind(sale.as_str()).fetch_one(connection).await?;
    Ok(if epoch < Epoch(whole(&row, 0)?) { CursorSaved::Fenced } else { CursorSaved::Saved })
}

async fn cursor(connection: &mut PgConnection, sale: &SaleId) -> Result<Cursor, Fault> {
    let row = sqlx::query(sql!("speaker/cursor")).bind(sale.as_str()).fetch_optional(connection);
    let Some(row) = row.await? else { return Ok(Cursor::default()) };
    Ok(Cursor { serving: Seq(whole(&row, 0)?), holes: json(&row, 1)? })
}

/// A sale is gone: nobody speaks for it, and should one of that id come again, its numbers begin above these.
pub(super) async fn retire(connection: &mut PgConnection, sale: &SaleId) -> Result<(), Fault> {
    sqlx::query(sql!("speaker/retire")).bind(sale.as_str()).execute(connection).await?;
    Ok(())
}

#[async_trait]
impl Speaker for SqlLedger {
    async fn lease(&self, sale: &SaleId, holder: &str, ttl: Duration) -> PortResult<LeaseReply> {
        let asked = (sale.clone(), holder.to_owned(), ttl);
        self.plain("ledger.lease", asked, |connection, (sale, holder, ttl)| {
            Box::pin(lease(connection, sale, holder, *ttl))
        })
        .await
    }

    async fn release_lease(&self, sale: &SaleId, holder: &str) -> PortResult<()> {
        let asked = (sale.clone(), holder.to_owned());
        self.plain("ledger.release_lease", asked, |connection, (sale, holder)| {
            Box::pin(async move {
                let released =
                    sqlx::query(sql!("speaker/release")).bind(sale.as_str()).bind(holder);
                released.execute(connection).await?;
                Ok(())
            })
        })
        .await
    }

    async fn renew_epoch(&self, sale: &SaleId, holder: &str) -> PortResult<Option<Epoch>> {
        let asked = (sale.clone(), holder.to_owned());
        self.plain("ledger.renew_epoch", asked, |connection, (sale, holder)| {
            Box::pin(async move {
                let renewed = sqlx::query(sql!("speaker/renew")).bind(sale.as_str()).bind(holder);
                let row = renewed.fetch_optional(connection).await?;
                Ok(row.map(|row| whole(&row, 0).map(Epoch)).transpose()?)
            })
        })
        .await
    }

    async fn next_block(&self, sale: &SaleId, count: u64) -> PortResult<Block> {
        self.write("ledger.next_block", (sale.clone(), count), |connection, (sale, count)| {
            Box::pin(next_block(connection, sale, *count))
        })
        .await
    }

    async fn high_water(&self, sale: &SaleId) -> PortResult<Seq> {
        self.plain("ledger.high_water", sale.clone(), |connection, sale| {
            Box::pin(async move {
                let asked = sqlx::query(sql!("speaker/high_water")).bind(sale.as_str());
                let row = asked.fetch_optional(connection).await?;
                Ok(row.map(|row| whole(&row, 0).map(Seq)).transpose()?.unwrap_or_default())
            })
        })
        .await
    }

    async fn cursor(&self, sale: &SaleId) -> PortResult<Cursor> {
        self.plain("ledger.cursor", sale.clone(), |connection, sale| {
            Box::pin(cursor(connection, sale))
        })
        .await
    }

    async fn given_out(&self, sale: &SaleId) -> PortResult<Seq> {
        self.plain("ledger.given_out", sale.clone(), |connection, sale| {
            Box::pin(async move {
                let asked = sqlx::query(sql!("speaker/given_out")).bind(sale.as_str());
                let row = asked.fetch_optional(connection).await?;
                Ok(row.map(|row| whole(&row, 0).map(Seq)).transpose()?.unwrap_or_default())
            })
        })
        .await
    }

    async fn save_cursor(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        cursor: &Cursor,
        given_out: Seq,
    ) -> PortResult<CursorSaved> {
        let asked = (sale.clone(), epoch, cursor.clone(), given_out);
        self.plain("ledger.save_cursor", asked, |connection, (sale, epoch, cursor, given_out)| {
            Box::pin(save_cursor(connection, sale, *epoch, cursor, *given_out))
        })
        .await
    }
}
