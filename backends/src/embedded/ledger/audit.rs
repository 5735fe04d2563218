//! The audit log: append-only, each row chained to the one before by its hash.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sluice_core::{
    clock::UnixMillis,
    ports::{Audit, AuditRow},
};

use crate::embedded::codec::{int, json, time, to_json, whole};

/// Appends one row.
pub(super) fn append(
    connection: &Connection,
    now: UnixMillis,
    audit: Audit,
) -> rusqlite::Result<()> {
    let last = connection
        .prepare_cached(sql!("sales/audit_last"))?
        .query_row([], |row| Ok((whole(row, 0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let (last, previous) = last.unwrap_or_else(|| (0, AuditRow::FIRST_PREVIOUS.to_owned()));
    let mut row = AuditRow {
        id: last + 1,
        at: now,
        author: audit.author,
        verb: audit.verb,
        subject: audit.subject,
        before: audit.before,
        after: audit.after,
        result: audit.result,
        reason: audit.reason,
        previous,
        hash: String::new(),
    };
    row.hash = row.content_hash();
    let mut statement = connection.prepare_cached(sql!("sales/audit_append"))?;
    statement.execute(params![
        int(row.id),
        row.at.0,
        to_json(&row.author)?,
        row.verb,
        row.subject,
        to_json(&row.before)?,
        to_json(&row.after)?,
        row.result,
        row.reason,
        row.previous,
        row.hash,
    ])?;
    Ok(())
}

/// Rows below `before`, newest first.
pub(super) fn read(
    connection: &Connection,
    before: Option<u64>,
    limit: u32,
) -> rusqlite::Result<Vec<AuditRow>> {
    let before = before.map_or(i64::MAX, int);
    let mut statement = connection.prepare_cached(sql!("sales/audit"))?;
    statement.query_map(params![before, limit], audit_row)?.collect()
}

fn audit_row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    Ok(AuditRow {
        id: whole(row, 0)?,
        at: time(row, 1)?,
        author: json(row, 2)?,
        verb: row.get(3)?,
        subject: row.get(4)?,
        before: json(row, 5)?,
        after: json(row, 6)?,
        result: row.get(7)?,
        reason: row.get(8)?,
        previous: row.get(9)?,
        hash: row.get(10)?,
    })
}
