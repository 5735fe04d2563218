//! The book of upkeep: duties, what a reconciliation reads and found, keys that grow old, a sale minute by minute.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use sluice_core::{
    ids::{HoldId, SaleId},
    money::AmountFen,
    ports::{Books, Duty, HoldWord, KeysSwept, PortResult, SaleMinute, UpkeepBook},
    reconcile::Reconciliation,
};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{SqlLedger, aftersales, entries::KEY_KEPT, orders, steps};
use crate::postgres::{
    codec::{id, json, time, to_json, uuids, whole, word},
    fault::Fault,
    operations::Shape,
};

/// How long a key stays in the archive.
const KEY_ARCHIVED: Duration = Duration::from_secs(30 * 24 * 3600);

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

async fn take_duty(
    connection: &mut PgConnection,
    (sale, duty, holder): (&SaleId, Duty, &str),
    ttl: Duration,
) -> Result<bool, Fault> {
    let taken = sqlx::query(sql!("upkeep/duty"))
        .bind(sale.as_str())
        .bind(duty.as_str())
        .bind(holder)
        .bind(millis(ttl.min(KEY_ARCHIVED)))
        .execute(connection)
        .await?;
    Ok(taken.rows_affected() > 0)
}

async fn books(connection: &mut PgConnection, sale: &SaleId) -> Result<Books, Fault> {
    let balances = orders::stock(&mut *connection, sale).await?;
    let image = orders::gate_image(&mut *connection, sale).await?;
    Ok(Books { balances, image, money: aftersales::money(connection, sale).await? })
}

async fn hold_words(
    connection: &mut PgConnection,
    holds: &[HoldId],
) -> Result<Vec<Option<HoldWord>>, Fault> {
    let rows = sqlx::query(sql!("upkeep/words")).bind(uuids(holds)).fetch_all(connection).await?;
    let one = |row: &PgRow| {
        let age: i64 = row.try_get(3)?;
        let word = HoldWord {
            movement: whole(row, 1)?,
            phase: word(row, 2, steps::phase)?,
            age: Duration::from_millis(u64::try_from(age).unwrap_or_default()),
        };
        Ok((id(row, 0, HoldId::from_bytes)?, word))
    };
    let words = rows.iter().map(one).collect::<sqlx::Result<HashMap<HoldId, HoldWord>>>()?;
    Ok(holds.iter().map(|hold| words.get(hold).copied()).collect())
}

async fn sweep_keys(connection: &mut PgConnection, limit: u32) -> Result<KeysSwept, Fault> {
    let archived = sqlx::query(sql!("upkeep/keys_archive"))
        .bind(millis(KEY_KEPT))
        .bind(i64::from(limit))
        .execute(&mut *connection)
        .await?;
    let dropped = sqlx::query(sql!("upkeep/keys_drop"))
        .bind(millis(KEY_ARCHIVED))
        .bind(i64::from(limit))
        .execute(connection)
        .await?;
    Ok(KeysSwept { archived: archived.rows_affected(), dropped: dropped.rows_affected() })
}

async fn minutes(
    connection: &mut PgConnection,
    sale: &SaleId,
    limit: u32,
) -> Result<Vec<SaleMinute>, Fault> {
    let asked = sqlx::query(sql!("upkeep/minutes")).bind(sale.as_str()).bind(i64::from(limit));
    let rows = asked.fetch_all(connection).await?;
    let one = |row: &PgRow| {
        Ok(SaleMinute {
            at: time(row, 0)?,
            joined: whole(row, 1)?,
            reserved: whole(row, 2)?,
            sold_out: whole(row, 3)?,
            left: whole(row, 4)?,
            expired: whole(row, 5)?,
            refused: whole(row, 6)?,
            paid: whole(row, 7)?,
            paid_amount: AmountFen(row.try_get(8)?),
            closed: whole(row, 9)?,
            fulfilled: whole(row, 10)?,
            failed: whole(row, 11)?,
            refunded: whole(row, 12)?,
        })
    };
    Ok(rows.iter().rev().map(one).collect::<sqlx::Result<_>>()?)
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
        let asked = (sale.clone(), duty, holder.to_owned(), ttl);
        self.plain("ledger.take_duty", asked, |connection, (sale, duty, holder, ttl)| {
            Box::pin(take_duty(connection, (sale, *duty, holder.as_str()), *ttl))
        })
        .await
    }

    async fn books(&self, sale: &SaleId) -> PortResult<Books> {
        self.operations
            .run("ledger.books", Shape::LongSnapshot, sale.clone(), |connection, sale| {
                Box::pin(books(connection, sale))
            })
            .await
    }

    async fn hold_words(&self, holds: &[HoldId]) -> PortResult<Vec<Option<HoldWord>>> {
        self.plain("ledger.hold_words", holds.to_vec(), |connection, holds| {
            Box::pin(hold_words(connection, holds))
        })
        .await
    }

    async fn keep_reconciliation(&self, found: &Reconciliation) -> PortResult<()> {
        self.plain("ledger.keep_reconciliation", found.clone(), |connection, found| {
            Box::pin(async move {
                let body = to_json(found)?;
                let keep = sqlx::query(sql!("upkeep/keep")).bind(found.sale.as_str()).bind(body);
                keep.execute(connection).await?;
                Ok(())
            })
        })
        .await
    }

    async fn reconciliations(&self) -> PortResult<Vec<Reconciliation>> {
        self.plain("ledger.reconciliations", (), |connection, ()| {
            Box::pin(async move {
                let rows = sqlx::query(sql!("upkeep/kept")).fetch_all(connection).await?;
                Ok(rows.iter().map(|row| json(row, 0)).collect::<sqlx::Result<_>>()?)
            })
        })
        .await
    }

    async fn sweep_keys(&self, limit: u32) -> PortResult<KeysSwept> {
        self.write("ledger.sweep_keys", limit, |connection, limit| {
            Box::pin(sweep_keys(connection, *limit))
        })
        .await
    }

    async fn minutes(&self, sale: &SaleId, limit: u32) -> PortResult<Vec<SaleMinute>> {
        let asked = (sale.clone(), limit);
        self.operations
            .run("ledger.minutes", Shape::LongSnapshot, asked, |connection, (sale, limit)| {
                Box::pin(minutes(connection, sale, *limit))
            })
            .await
    }
}
