//! Who is kept out. Every change of the list raises its version and writes an audit row; changes take turns.

use serde_json::{Value, json};
use sluice_core::{
    ids::Version,
    ports::{Audit, Author, Ban, BanList, BanRule},
};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::audit;
use crate::postgres::{
    codec::{self, int, plain, time, to_json, whole},
    fault::Fault,
};

pub(super) async fn list(connection: &mut PgConnection) -> Result<BanList, Fault> {
    let rows = sqlx::query(sql!("sales/bans")).fetch_all(connection).await?;
    let mut list = BanList::default();
    for row in &rows {
        list.version = Version(whole(row, 0)?);
        if row.try_get::<Option<i64>, _>(1)?.is_some() {
            list.bans.push(ban(row, 1)?);
        }
    }
    Ok(list)
}

pub(super) async fn add(
    connection: &mut PgConnection,
    rule: &BanRule,
    reason: Option<String>,
    author: &Author,
) -> Result<Ban, Fault> {
    let text = to_json(rule)?;
    lock(connection).await?;
    let known = sqlx::query(sql!("sales/ban_by_rule")).bind(&text);
    if let Some(row) = known.fetch_optional(&mut *connection).await? {
        return Ok(ban(&row, 0)?);
    }
    let added = sqlx::query(sql!("sales/ban_add")).bind(text).bind(reason.map(plain));
    let added = ban(&added.fetch_one(&mut *connection).await?, 0)?;
    let audit =
        audit_of(author, "ban.add", &added, Value::Null, described(&added), added.reason.clone());
    changed(connection, audit).await?;
    Ok(added)
}

/// `false` if there was none.
pub(super) async fn remove(
    connection: &mut PgConnection,
    id: u64,
    author: &Author,
    reason: Option<String>,
) -> Result<bool, Fault> {
    lock(connection).await?;
    let removed = sqlx::query(sql!("sales/ban_remove")).bind(int(id));
    let Some(row) = removed.fetch_optional(&mut *connection).await? else { return Ok(false) };
    let removed = ban(&row, 0)?;
    let audit = audit_of(author, "ban.remove", &removed, described(&removed), Value::Null, reason);
    changed(connection, audit).await?;
    Ok(true)
}

async fn lock(connection: &mut PgConnection) -> Result<(), Fault> {
    sqlx::query(sql!("sales/ban_lock")).execute(connection).await?;
    Ok(())
}

async fn changed(connection: &mut PgConnection, audit: Audit) -> Result<(), Fault> {
    sqlx::query(sql!("sales/ban_count")).execute(&mut *connection).await?;
    audit::append(connection, audit).await
}

fn audit_of(
    author: &Author,
    verb: &str,
    ban: &Ban,
    before: Value,
    after: Value,
    reason: Option<String>,
) -> Audit {
    let (author, subject) = (author.clone(), ban.id.to_string());
    Audit { author, verb: verb.into(), subject, before, after, result: "ok".into(), reason }
}

fn described(ban: &Ban) -> Value {
    json!({ "rule": ban.rule, "reason": ban.reason })
}

/// A ban from four columns in a row.
fn ban(row: &PgRow, first: usize) -> sqlx::Result<Ban> {
    Ok(Ban {
        id: whole(row, first)?,
        rule: codec::json(row, first + 1)?,
        reason: row.try_get(first + 2)?,
        at: time(row, first + 3)?,
    })
}
