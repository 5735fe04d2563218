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
    changed(connection, "ban.add", &added, author, Value::Null, described(&added)).await?;
    Ok(added)
}

/// `false` if there was none.
pub(super) async fn remove(
    connection: &mut PgConnection,
    id: u64,
    author: &Author,
) -> Result<bool, Fault> {
    lock(connection).await?;
    let removed = sqlx::query(sql!("sales/ban_remove")).bind(int(id));
    let Some(row) = removed.fetch_optional(&mut *connection).await? else { return Ok(false) };
    let removed = ban(&row, 0)?;
    changed(connection, "ban.remove", &removed, author, described(&removed), Value::Null).await?;
    Ok(true)
}

async fn lock(connection: &mut PgConnection) -> Result<(), Fault> {
    sqlx::query(sql!("sales/ban_lock")).execute(connection).await?;
    Ok(())
}

async fn changed(
    connection: &mut PgConnection,
    verb: &str,
    ban: &Ban,
    author: &Author,
    before: Value,
    after: Value,
) -> Result<(), Fault> {
    sqlx::query(sql!("sales/ban_count")).execute(&mut *connection).await?;
    let audit = Audit {
        author: author.clone(),
        verb: verb.into(),
        subject: ban.id.to_string(),
        before,
        after,
        result: "ok".into(),
        reason: ban.reason.clone(),
    };
    audit::append(connection, audit).await
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
