//! The book of standby: a row for each who stands by, which the outcome takes away.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sluice_core::{
    basket::Basket,
    ids::{EntryId, SaleId, Seq},
    line::LineEntry,
    ports::{PortResult, StandReply, StandbyBook, StandbyList},
};
use sqlx::{PgConnection, Row, postgres::PgRow, types::Uuid};

use super::{SqlLedger, entries};
use crate::postgres::{
    codec::{
        Baskets, ToUuid, damaged, id, reach_text, small_int, some_json, text, time, uuids, whole,
    },
    fault::Fault,
};

async fn stand_by(
    connection: &mut PgConnection,
    sale: &SaleId,
    entries: &[LineEntry],
) -> Result<Vec<StandReply>, Fault> {
    let mut sorted: Vec<&LineEntry> = entries.iter().collect();
    sorted.sort_by_key(|line_entry| line_entry.entry);
    let ids: Vec<Uuid> = sorted.iter().map(|line_entry| line_entry.entry.uuid()).collect();
    let buyers: Vec<&str> = sorted.iter().map(|line_entry| line_entry.buyer.as_str()).collect();
    let baskets: Vec<String> =
        sorted.iter().map(|line_entry| line_entry.basket.to_string()).collect();
    let units: Vec<i32> =
        sorted.iter().map(|line_entry| small_int(line_entry.basket.units())).collect();
    let joined: Vec<i64> = sorted.iter().map(|line_entry| line_entry.joined_at.0).collect();
    let since: Vec<i64> = sorted.iter().map(|line_entry| line_entry.standing_order().0.0).collect();
    let address = |line_entry: &&LineEntry| line_entry.address.map(|address| address.to_string());
    let addresses: Vec<Option<String>> = sorted.iter().map(address).collect();
    let reaches = sorted.iter().map(|line_entry| reach_text(line_entry));
    let reaches: Vec<Option<String>> = reaches.collect::<sqlx::Result<_>>()?;
    sqlx::query(sql!("standby/clear_buyers"))
        .bind(sale.as_str())
        .bind(&buyers)
        .execute(&mut *connection)
        .await?;
    sqlx::query(sql!("standby/stand"))
        .bind(sale.as_str())
        .bind(ids)
        .bind(&buyers)
        .bind(baskets)
        .bind(units)
        .bind(joined)
        .bind(addresses)
        .bind(reaches)
        .bind(since)
        .execute(&mut *connection)
        .await?;
    let ids: Vec<EntryId> = entries.iter().map(|line_entry| line_entry.entry).collect();
    let known = entries::records(connection, &ids).await?;
    let asked = sqlx::query(sql!("standby/of_buyers")).bind(sale.as_str()).bind(&buyers);
    let rows = asked.fetch_all(connection).await?;
    let standing = rows.iter().map(|row| Ok((text(row, 1)?, id(row, 0, EntryId::from_bytes)?)));
    let standing: HashMap<String, EntryId> = standing.collect::<sqlx::Result<_>>()?;
    let reply = |line_entry: &LineEntry| {
        if let Some(known) = known.get(&line_entry.entry) {
            return Ok(StandReply::Known(known.record.clone()));
        }
        match standing.get(line_entry.buyer.as_str()) {
            Some(of) if *of != line_entry.entry => Ok(StandReply::Twin { of: *of }),
            Some(_) => Ok(StandReply::Stands),
            // Its outcome, or its twin's, came in between.
            None => Err(Fault::Raced),
        }
    };
    entries.iter().map(reply).collect()
}

/// What of the list is asked for.
struct Asked {
    sale: SaleId,
    limit: u32,
    but: Vec<String>,
}

async fn standing(connection: &mut PgConnection, asked: &Asked) -> Result<StandbyList, Fault> {
    let sale = asked.sale.as_str();
    sqlx::query(sql!("standby/clear")).bind(sale).execute(&mut *connection).await?;
    let mut first = rows(connection, asked, &[]).await?;
    if !asked.but.is_empty() {
        let known: HashSet<EntryId> = first.iter().map(|entry| entry.entry).collect();
        let others = rows(connection, asked, &asked.but).await?;
        first.extend(others.into_iter().filter(|entry| !known.contains(&entry.entry)));
    }
    let counted = sqlx::query(sql!("standby/count")).bind(sale);
    let count = whole(&counted.fetch_one(connection).await?, 0)?;
    Ok(StandbyList { first, count })
}

async fn rows(
    connection: &mut PgConnection,
    asked: &Asked,
    but: &[String],
) -> Result<Vec<LineEntry>, Fault> {
    let rows = sqlx::query(sql!("standby/first"))
        .bind(asked.sale.as_str())
        .bind(i64::from(asked.limit))
        .bind(but)
        .fetch_all(connection)
        .await?;
    let mut baskets = Baskets::default();
    let first = rows.iter().map(|row| line_entry(row, &mut baskets));
    Ok(first.collect::<sqlx::Result<_>>()?)
}

fn line_entry(row: &PgRow, baskets: &mut Baskets) -> sqlx::Result<LineEntry> {
    let address: Option<&str> = row.try_get(4)?;
    let (joined_at, since) = (time(row, 3)?, time(row, 6)?);
    Ok(LineEntry {
        entry: id(row, 0, EntryId::from_bytes)?,
        buyer: text(row, 1)?,
        seq: Seq(0),
        holes_below: 0,
        basket: baskets.read(row, 2)?,
        joined_at,
        address: address.map(str::parse).transpose().map_err(|error| damaged(4, error))?,
        reach: some_json(row, 5)?,
        stands_since: Some(since).filter(|since| *since != joined_at),
    })
}

#[async_trait]
impl StandbyBook for SqlLedger {
    async fn stand_by(
        &self,
        sale: &SaleId,
        entries: Vec<LineEntry>,
    ) -> PortResult<Vec<StandReply>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        self.write("ledger.stand_by", (sale.clone(), entries), |connection, (sale, entries)| {
            Box::pin(stand_by(connection, sale, entries))
        })
        .await
    }

    async fn standing(&self, sale: &SaleId, limit: u32, but: &[Basket]) -> PortResult<StandbyList> {
        let but = but.iter().map(Basket::to_string).collect();
        let asked = Asked { sale: sale.clone(), limit, but };
        self.plain("ledger.standing", asked, |connection, asked| {
            Box::pin(standing(connection, asked))
        })
        .await
    }

    async fn stand(&self, entries: &[EntryId]) -> PortResult<Vec<bool>> {
        self.plain("ledger.stand", entries.to_vec(), |connection, entries| {
            Box::pin(async move {
                let asked = sqlx::query(sql!("standby/are")).bind(uuids(entries));
                let rows = asked.fetch_all(connection).await?;
                let found = rows.iter().map(|row| id(row, 0, EntryId::from_bytes));
                let found: HashSet<EntryId> = found.collect::<sqlx::Result<_>>()?;
                Ok(entries.iter().map(|entry| found.contains(entry)).collect())
            })
        })
        .await
    }
}
