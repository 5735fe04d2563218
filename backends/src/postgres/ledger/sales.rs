//! The book of sales: what they are, and who changed them. A change, its stock and its audit row are one transaction, under
//! a lock on the sale's row.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Map, Value};
use sluice_core::{
    ids::{SaleId, Version},
    ports::{
        Audit, AuditRow, Author, Ban, BanList, BanRule, Changed, Created, Deleted, PortResult,
        SaleBook,
    },
    sale::{ChangeRefused, Sale, SaleChange},
};
use sqlx::PgConnection;

use super::{SqlLedger, audit, bans, speaker};
use crate::postgres::{
    codec::{int, json, to_json, whole},
    fault::Fault,
    operations::Shape,
};

/// A sale as the ledger has it.
pub(super) async fn sale(
    connection: &mut PgConnection,
    sale: &SaleId,
) -> Result<Option<Sale>, Fault> {
    let row = sqlx::query(sql!("sales/get")).bind(sale.as_str()).fetch_optional(connection).await?;
    Ok(row.map(|row| json(&row, 0)).transpose()?)
}

/// The same, and nobody else changes it until the transaction ends.
async fn locked(connection: &mut PgConnection, sale: &SaleId) -> Result<Option<Sale>, Fault> {
    let row =
        sqlx::query(sql!("sales/lock")).bind(sale.as_str()).fetch_optional(connection).await?;
    Ok(row.map(|row| json(&row, 0)).transpose()?)
}

async fn create(
    connection: &mut PgConnection,
    new: &Sale,
    author: &Author,
) -> Result<Created, Fault> {
    let made = sqlx::query(sql!("sales/create"))
        .bind(new.id.as_str())
        .bind(int(new.version.0))
        .bind(to_json(new)?)
        .execute(&mut *connection)
        .await?;
    if made.rows_affected() == 0 {
        // If it is gone by now, the name is free again.
        let known = sale(connection, &new.id).await?.ok_or(Fault::Raced)?;
        return Ok(Created::Exists(Arc::new(known)));
    }
    let skus: Vec<&str> = new.skus.iter().map(|sku| sku.sku.as_str()).collect();
    let units: Vec<i64> = new.skus.iter().map(|sku| int(sku.stock)).collect();
    sqlx::query(sql!("sales/stock"))
        .bind(new.id.as_str())
        .bind(skus)
        .bind(units)
        .execute(&mut *connection)
        .await?;
    let row = row(author, "sale.create", &new.id, Value::Null, value(new)?, "ok", None);
    audit::append(connection, row).await?;
    Ok(Created::New(Arc::new(new.clone())))
}

/// What an operator asked for.
type Change = (SaleId, Option<Version>, SaleChange, Author, Option<String>);

async fn change(connection: &mut PgConnection, asked: &Change) -> Result<Changed, Fault> {
    let (id, expected, change, author, reason) = asked;
    let reason = reason.clone();
    let Some(before) = locked(connection, id).await? else { return Ok(Changed::NoSuchSale) };
    let verb = change.verb();
    if expected.is_some_and(|expected| expected != before.version) {
        return Ok(Changed::Stale { current: before.version });
    }
    let after = match before.changed(change) {
        Ok(after) => after,
        Err(error) => {
            let refused = row(author, verb, id, Value::Null, Value::Null, code(&error), reason);
            audit::append(connection, refused).await?;
            return Ok(Changed::Refused(error));
        }
    };
    if let SaleChange::AddStock { sku, units } = change {
        sqlx::query(sql!("sales/add_stock"))
            .bind(id.as_str())
            .bind(sku.as_str())
            .bind(int(*units))
            .execute(&mut *connection)
            .await?;
    }
    let swapped = sqlx::query(sql!("sales/change"))
        .bind(id.as_str())
        .bind(int(after.version.0))
        .bind(to_json(&after)?)
        .execute(&mut *connection)
        .await?;
    if swapped.rows_affected() != 1 {
        return Err(Fault::Raced);
    }
    let (was, is) = differences(&before, &after)?;
    audit::append(connection, row(author, verb, id, was, is, "ok", reason)).await?;
    Ok(Changed::Done(Arc::new(after)))
}

async fn delete(
    connection: &mut PgConnection,
    id: &SaleId,
    author: &Author,
    reason: Option<String>,
) -> Result<Deleted, Fault> {
    let Some(before) = locked(connection, id).await? else { return Ok(Deleted::NoSuchSale) };
    // A batch of orders is either done before we count, or finds its stock gone.
    sqlx::query(sql!("sales/lock_stock")).bind(id.as_str()).execute(&mut *connection).await?;
    let busy =
        sqlx::query(sql!("sales/busy")).bind(id.as_str()).fetch_one(&mut *connection).await?;
    let (open_orders, standby) = (whole(&busy, 0)?, whole(&busy, 1)?);
    if open_orders + standby > 0 {
        return Ok(Deleted::Busy { open_orders });
    }
    for statement in [
        sql!("sales/delete_simulated"),
        sql!("sales/delete_seats"),
        sql!("sales/delete_movements"),
        sql!("shop/delete_turns"),
        sql!("sales/delete_orders"),
        sql!("sales/delete_outcomes"),
        sql!("sales/delete_standby"),
        sql!("sales/delete_moves"),
        sql!("sales/delete_stock"),
        sql!("upkeep/forget"),
        sql!("upkeep/forget_duties"),
        sql!("sales/delete"),
    ] {
        sqlx::query(statement).bind(id.as_str()).execute(&mut *connection).await?;
    }
    speaker::retire(connection, id).await?;
    let row = row(author, "sale.delete", id, value(&before)?, Value::Null, "ok", reason);
    audit::append(connection, row).await?;
    Ok(Deleted::Done)
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

fn value(sale: &Sale) -> Result<Value, Fault> {
    serde_json::to_value(sale).map_err(|error| Fault::Sql(sqlx::Error::Encode(Box::new(error))))
}

/// The fields that differ, as they were and as they are.
fn differences(before: &Sale, after: &Sale) -> Result<(Value, Value), Fault> {
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
        self.plain("ledger.sales", (), |connection, ()| {
            Box::pin(async move {
                let rows = sqlx::query(sql!("sales/all")).fetch_all(connection).await?;
                let sales = rows.iter().map(|row| json(row, 0).map(Arc::new));
                Ok(sales.collect::<sqlx::Result<_>>()?)
            })
        })
        .await
    }

    async fn sale(&self, id: &SaleId) -> PortResult<Option<Arc<Sale>>> {
        self.plain("ledger.sale", id.clone(), |connection, id| {
            Box::pin(async move { Ok(sale(connection, id).await?.map(Arc::new)) })
        })
        .await
    }

    async fn create_sale(&self, sale: Sale, author: &Author) -> PortResult<Created> {
        self.write("ledger.create_sale", (sale, author.clone()), |connection, (sale, author)| {
            Box::pin(create(connection, sale, author))
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
        let asked: Change = (sale.clone(), expected, asked, author.clone(), reason);
        self.write("ledger.change_sale", asked, |connection, asked| {
            Box::pin(change(connection, asked))
        })
        .await
    }

    async fn delete_sale(
        &self,
        sale: &SaleId,
        author: &Author,
        reason: Option<String>,
    ) -> PortResult<Deleted> {
        let asked = (sale.clone(), author.clone(), reason);
        self.operations
            .run("ledger.delete_sale", Shape::LongWrite, asked, |connection, asked| {
                let (sale, author, reason) = asked;
                Box::pin(delete(connection, sale, author, reason.clone()))
            })
            .await
    }

    async fn audit(&self, before: Option<u64>, limit: u32) -> PortResult<Vec<AuditRow>> {
        self.plain("ledger.audit", (before, limit), |connection, (before, limit)| {
            Box::pin(audit::read(connection, *before, *limit))
        })
        .await
    }

    async fn bans(&self) -> PortResult<BanList> {
        self.plain("ledger.bans", (), |connection, ()| Box::pin(bans::list(connection))).await
    }

    async fn add_ban(
        &self,
        rule: BanRule,
        reason: Option<String>,
        author: &Author,
    ) -> PortResult<Ban> {
        let asked = (rule, reason, author.clone());
        self.write("ledger.add_ban", asked, |connection, (rule, reason, author)| {
            Box::pin(bans::add(connection, rule, reason.clone(), author))
        })
        .await
    }

    async fn remove_ban(
        &self,
        id: u64,
        author: &Author,
        reason: Option<String>,
    ) -> PortResult<bool> {
        let asked = (id, author.clone(), reason);
        self.write("ledger.remove_ban", asked, |connection, (id, author, reason)| {
            Box::pin(bans::remove(connection, *id, author, reason.clone()))
        })
        .await
    }

    async fn record(&self, audit: Audit) -> PortResult<()> {
        self.write("ledger.record", audit, |connection, audit| {
            Box::pin(audit::append(connection, audit.clone()))
        })
        .await
    }
}
