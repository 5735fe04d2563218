//! Who is kept out. Every change of the list raises its version and writes an audit row.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Value, json};
use sluice_core::{
    clock::UnixMillis,
    ids::Version,
    ports::{Audit, Author, Ban, BanList, BanRule},
};

use super::audit;
use crate::embedded::codec::{self, int, time, to_json, whole};

pub(super) fn list(connection: &Connection) -> rusqlite::Result<BanList> {
    let version = connection
        .prepare_cached(sql!("sales/ban_version"))?
        .query_row([], |row| whole(row, 0).map(Version))?;
    let mut statement = connection.prepare_cached(sql!("sales/bans"))?;
    let bans = statement.query_map([], ban)?.collect::<rusqlite::Result<Vec<Ban>>>()?;
    Ok(BanList { version, bans })
}

pub(super) fn add(
    connection: &Connection,
    now: UnixMillis,
    rule: &BanRule,
    reason: Option<String>,
    author: &Author,
) -> rusqlite::Result<Ban> {
    let text = to_json(rule)?;
    let known =
        connection.prepare_cached(sql!("sales/ban_by_rule"))?.query_row([&text], ban).optional()?;
    if let Some(known) = known {
        return Ok(known);
    }
    let mut statement = connection.prepare_cached(sql!("sales/ban_add"))?;
    let added = statement.query_row(params![text, reason, now.0], ban)?;
    let audit =
        audit_of(author, "ban.add", &added, Value::Null, described(&added), added.reason.clone());
    changed(connection, now, audit)?;
    Ok(added)
}

/// `false` if there was none.
pub(super) fn remove(
    connection: &Connection,
    now: UnixMillis,
    id: u64,
    author: &Author,
    reason: Option<String>,
) -> rusqlite::Result<bool> {
    let removed = connection
        .prepare_cached(sql!("sales/ban_remove"))?
        .query_row([int(id)], ban)
        .optional()?;
    let Some(removed) = removed else { return Ok(false) };
    let audit = audit_of(author, "ban.remove", &removed, described(&removed), Value::Null, reason);
    changed(connection, now, audit)?;
    Ok(true)
}

fn changed(connection: &Connection, now: UnixMillis, audit: Audit) -> rusqlite::Result<()> {
    connection.prepare_cached(sql!("sales/ban_count"))?.execute([])?;
    audit::append(connection, now, audit)
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

fn ban(row: &Row<'_>) -> rusqlite::Result<Ban> {
    Ok(Ban {
        id: whole(row, 0)?,
        rule: codec::json(row, 1)?,
        reason: row.get(2)?,
        at: time(row, 3)?,
    })
}
