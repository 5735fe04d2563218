//! The book of sales: what they are, and who changed them. A change, its stock and its audit row are one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};
use sluice_core::{
    clock::UnixMillis,
    ids::{SaleId, Version},
    ports::{
        Audit, AuditRow, Author, Ban, BanList, BanRule, Changed, Created, Deleted, PortResult,
        SaleBook,
    },
    sale::{ChangeRefused, Sale, SaleChange},
};

use super::{SqlLedger, audit, bans, speaker};
use crate::embedded::codec::{int, json, to_json, whole};

/// A sale as the ledger has it.
pub(super) fn sale(connection: &Connection, sale: &SaleId) -> rusqlite::Result<Option<Sale>> {
    let mut statement = connection.prepare_cached(sql!("sales/get"))?;
    statement.query_row([sale.as_str()], |row| json(row, 0)).optional()
}

fn create(
    connection: &Connection,
    now: UnixMillis,
    new: Sale,
    author: &Author,
) -> rusqlite::Result<Created> {
    if let Some(known) = sale(connection, &new.id)? {
        return Ok(Created::Exists(Arc::new(known)));
    }
    let body = to_json(&new)?;
    connection.prepare_cached(sql!("sales/create"))?.execute(params![
        new.id.as_str(),
        int(new.version.0),
        body
    ])?;
    let mut statement = connection.prepare_cached(sql!("sales/stock"))?;
    for sku in &new.skus {
        statement.execute(params![new.id.as_str(), sku.sku.as_str(), int(sku.stock)])?;
    }
    let after = value(&new)?;
    let row = row(author, "sale.create", &new.id, Value::Null, after, "ok", None);
    audit::append(connection, now, row)?;
    Ok(Created::New(Arc::new(new)))
}

fn change(
    connection: &Connection,
    now: UnixMillis,
    id: &SaleId,
    expected: Option<Version>,
    change: &SaleChange,
    author: &Author,
    reason: Option<String>,
) -> rusqlite::Result<Changed> {
    let Some(before) = sale(connection, id)? else { return Ok(Changed::NoSuchSale) };
    let verb = change.verb();
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(Changed::Stale { current: before.version });
    }
    let after = match before.changed(change) {
        Ok(after) => after,
        Err(error) => {
            let refused = row(author, verb, id, Value::Null, Value::Null, code(&error), reason);
            audit::append(connection, now, refused)?;
            return Ok(Changed::Refused(error));
        }
    };
    if let SaleChange::AddStock { sku, units } = change {
        connection.prepare_cached(sql!("sales/add_stock"))?.execute(params![
            id.as_str(),
            sku.as_str(),
            int(*units)
        ])?;
    }
    let body = to_json(&after)?;
    connection.prepare_cached(sql!("sales/change"))?.execute(params![
        id.as_str(),
        int(after.version.0),
        body
    ])?;
    let (was, is) = differences(&before, &after)?;
    audit::append(connection, now, row(author, verb, id, was, is, "ok", reason))?;
    Ok(Changed::Done(Arc::new(after)))
}

/// What became of the deletion, and how many buried turns went with the sale.
fn delete(
    connection: &Connection,
    now: UnixMillis,
    id: &SaleId,
    author: &Author,
    reason: Option<String>,
) -> rusqlite::Result<(Deleted, u64)> {
    let Some(before) = sale(connection, id)? else { return Ok((Deleted::NoSuchSale, 0)) };
    let (open_orders, open_entries) = connection
        .prepare_cached(sql!("sales/busy"))?
        .query_row([id.as_str()], |row| Ok((whole(row, 0)?, whole(row, 1)?)))?;
    if open_orders + open_entries > 0 {
        return Ok((Deleted::Busy { open_orders }, 0));
    }
    for statement in [
        sql!("sales/delete_simulated"),
        sql!("shop/delete_turns"),
        sql!("sales/delete_orders"),
        sql!("sales/delete_movements"),
        sql!("sales/delete_outcomes"),
        sql!("sales/delete_moves"),
        sql!("sales/delete_stock"),
        sql!("upkeep/forget"),
        sql!("upkeep/forget_duties"),
        sql!("sales/delete"),
    ] {
        connection.prepare_cached(statement)?.execute([id.as_str()])?;
    }
    let buried = connection.prepare_cached(sql!("sales/delete_turns"))?.execute([id.as_str()])?;
    speaker::retire(connection, id)?;
    let row = row(author, "sale.delete", id, value(&before)?, Value::Null, "ok", reason);
    audit::append(connection, now, row)?;
    Ok((Deleted::Done, buried as u64))
}

fn row(
    author: &Author,
    verb: &str,
    subject: &SaleId,
    before: Value,
    after: Value,
    result: &str,
    reason: Option<String>,
) -> Audit {
    let author = author.clone();
    let (verb, subject, result) = (verb.into(), subject.to_string(), result.into());
    Audit { author, verb, subject, before, after, result, reason }
}

/// The code of the problem an operator is answered with.
fn code(refused: &ChangeRefused) -> &'static str {
    match refused {
        ChangeRefused::OutOfRange(_) => "out_of_range",
        ChangeRefused::Closed => "sale_closed",
        ChangeRefused::NoSuchSku => "no_such_sku",
    }
}

fn value(sale: &Sale) -> rusqlite::Result<Value> {
    serde_json::to_value(sale)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The fields that differ, as they were and as they are.
fn differences(before: &Sale, after: &Sale) -> rusqlite::Result<(Value, Value)> {
    let (was, is) = (value(before)?, value(after)?);
    let (Value::Object(was), Value::Object(is)) = (was, is) else {
        return Ok((Value::Null, Value::Null));
    };
    let differs = |(key, _): &(&String, &Value)| was.get(*key) != is.get(*key);
    let pick = |fields: &Map<String, Value>| {
        let fields = fields.iter().filter(differs).map(|(key, field)| (key.clone(), field.clone()));
        Value::Object(fields.collect())
    };
    Ok((pick(&was), pick(&is)))
}

#[async_trait]
impl SaleBook for SqlLedger {
    async fn sales(&self) -> PortResult<Vec<Arc<Sale>>> {
        self.read("ledger.sales", |connection| {
            let mut statement = connection.prepare_cached(sql!("sales/all"))?;
            statement.query_map([], |row| json(row, 0).map(Arc::new))?.collect()
        })
        .await
    }

    async fn sale(&self, id: &SaleId) -> PortResult<Option<Arc<Sale>>> {
        let id = id.clone();
        let read = move |connection: &Connection| Ok(sale(connection, &id)?.map(Arc::new));
        self.read("ledger.sale", read).await
    }

    async fn create_sale(&self, sale: Sale, author: &Author) -> PortResult<Created> {
        let author = author.clone();
        self.write("ledger.create_sale", move |connection, now| {
            create(connection, now, sale, &author)
        })
        .await
    }

    async fn change_sale(
        &self,
        sale: &SaleId,
        expected: Option<Version>,
        asked: SaleChange,
        author: &Author,
        reason: Option<String>,
    ) -> PortResult<Changed> {
        let (sale, author) = (sale.clone(), author.clone());
        self.write("ledger.change_sale", move |connection, now| {
            change(connection, now, &sale, expected, &asked, &author, reason)
        })
        .await
    }

    async fn delete_sale(
        &self,
        sale: &SaleId,
        author: &Author,
        reason: Option<String>,
    ) -> PortResult<Deleted> {
        let (sale, author) = (sale.clone(), author.clone());
        let (clock, turns) = (Arc::clone(&self.clock), Arc::clone(&self.turns));
        let work =
            move |connection: &Connection| delete(connection, clock.now(), &sale, &author, reason);
        let then = move |(_, buried): &(Deleted, u64)| turns.buried_gone(*buried);
        let (deleted, _) = self.store.write("ledger.delete_sale", work, then).await?;
        Ok(deleted)
    }

    async fn audit(&self, before: Option<u64>, limit: u32) -> PortResult<Vec<AuditRow>> {
        self.read("ledger.audit", move |connection| audit::read(connection, before, limit)).await
    }

    async fn bans(&self) -> PortResult<BanList> {
        self.read("ledger.bans", bans::list).await
    }

    async fn add_ban(
        &self,
        rule: BanRule,
        reason: Option<String>,
        author: &Author,
    ) -> PortResult<Ban> {
        let author = author.clone();
        self.write("ledger.add_ban", move |connection, now| {
            bans::add(connection, now, &rule, reason, &author)
        })
        .await
    }

    async fn remove_ban(
        &self,
        id: u64,
        author: &Author,
        reason: Option<String>,
    ) -> PortResult<bool> {
        let author = author.clone();
        self.write("ledger.remove_ban", move |connection, now| {
            bans::remove(connection, now, id, &author, reason)
        })
        .await
    }

    async fn record(&self, audit: Audit) -> PortResult<()> {
        self.write("ledger.record", move |connection, now| audit::append(connection, now, audit))
            .await
    }
}
