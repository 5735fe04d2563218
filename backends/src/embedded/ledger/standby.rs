//! The book of standby: a row for each who stands by, which the outcome takes away.

use std::collections::HashSet;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use sluice_core::{
    basket::Basket,
    ids::{EntryId, SaleId},
    line::LineEntry,
    ports::{PortResult, StandReply, StandbyBook, StandbyList},
};

use super::{SqlLedger, entries};
use crate::embedded::codec::{
    Baskets, address_text, id, int, json_or_null, line_entry, reach_text, time, to_json, whole,
};

fn stand_by(
    connection: &Connection,
    sale: &SaleId,
    line_entry: &LineEntry,
) -> rusqlite::Result<StandReply> {
    if let Some((record, _)) = entries::record(connection, line_entry.entry)? {
        return Ok(StandReply::Known(record));
    }
    let mut statement = connection.prepare_cached(sql!("standby/stand"))?;
    let written = statement.execute(params![
        line_entry.entry.as_bytes().as_slice(),
        sale.as_str(),
        line_entry.buyer.as_str(),
        line_entry.basket.to_string(),
        line_entry.basket.units(),
        line_entry.joined_at.0,
        address_text(line_entry.address),
        reach_text(line_entry)?,
        int(line_entry.seq.0),
        int(line_entry.holes_below),
        line_entry.standing_order().0.0,
    ])?;
    if written > 0 {
        return Ok(StandReply::Stands);
    }
    let mut statement = connection.prepare_cached(sql!("standby/of_buyer"))?;
    let of = statement.query_row(params![sale.as_str(), line_entry.buyer.as_str()], |row| {
        id(row, 0, EntryId::from_bytes)
    });
    Ok(match of.optional()? {
        Some(of) if of != line_entry.entry => StandReply::Twin { of },
        Some(_) | None => StandReply::Stands,
    })
}

fn standing(
    connection: &Connection,
    sale: &SaleId,
    limit: u32,
    but: &[String],
) -> rusqlite::Result<StandbyList> {
    let mut first = rows(connection, sale, limit, &[])?;
    if !but.is_empty() {
        let known: HashSet<EntryId> = first.iter().map(|entry| entry.entry).collect();
        let others = rows(connection, sale, limit, but)?;
        first.extend(others.into_iter().filter(|entry| !known.contains(&entry.entry)));
    }
    let mut statement = connection.prepare_cached(sql!("standby/count"))?;
    let count = statement.query_row([sale.as_str()], |row| whole(row, 0))?;
    Ok(StandbyList { first, count })
}

fn rows(
    connection: &Connection,
    sale: &SaleId,
    limit: u32,
    but: &[String],
) -> rusqlite::Result<Vec<LineEntry>> {
    let mut statement = connection.prepare_cached(sql!("standby/first"))?;
    let mut baskets = Baskets::default();
    let rows = statement.query_map(params![sale.as_str(), limit, to_json(&but)?], |row| {
        let line_entry = line_entry(row, 0, &mut baskets)?;
        let stands_since = Some(time(row, 8)?).filter(|since| *since != line_entry.joined_at);
        Ok(LineEntry { reach: json_or_null(row, 7)?, stands_since, ..line_entry })
    })?;
    rows.collect()
}

#[async_trait]
impl StandbyBook for SqlLedger {
    async fn stand_by(
        &self,
        sale: &SaleId,
        entries: Vec<LineEntry>,
    ) -> PortResult<Vec<StandReply>> {
        let sale = sale.clone();
        self.write("ledger.stand_by", move |connection, _now| {
            entries.iter().map(|line_entry| stand_by(connection, &sale, line_entry)).collect()
        })
        .await
    }

    async fn standing(&self, sale: &SaleId, limit: u32, but: &[Basket]) -> PortResult<StandbyList> {
        let (sale, but) = (sale.clone(), but.iter().map(Basket::to_string).collect::<Vec<_>>());
        self.read("ledger.standing", move |connection| standing(connection, &sale, limit, &but))
            .await
    }

    async fn stand(&self, entries: &[EntryId]) -> PortResult<Vec<bool>> {
        let entries = entries.to_vec();
        self.read("ledger.stand", move |connection| {
            let mut statement = connection.prepare_cached(sql!("standby/is"))?;
            entries.iter().map(|entry| statement.exists([entry.as_bytes().as_slice()])).collect()
        })
        .await
    }
}
