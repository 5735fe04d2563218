//! The audit log: append-only, each row chained to the one before by its hash. Writers take turns, so that the numbers have
//! no gaps and no two rows hang on the same one.

use sluice_core::ports::{Audit, AuditRow};
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::postgres::{
    codec::{int, json, plain, time, to_json, whole},
    fault::Fault,
};

/// Appends one row. The last thing a transaction does: others wait for its end from here on.
pub(super) async fn append(connection: &mut PgConnection, audit: Audit) -> Result<(), Fault> {
    sqlx::query(sql!("sales/audit_lock")).execute(&mut *connection).await?;
    let last = sqlx::query(sql!("sales/audit_last")).fetch_one(&mut *connection).await?;
    let id: Option<i64> = last.try_get(0)?;
    let previous: Option<String> = last.try_get(1)?;
    let mut row = AuditRow {
        id: id.map_or(1, |id| u64::try_from(id).unwrap_or_default() + 1),
        at: time(&last, 2)?,
        author: audit.author,
        verb: plain(audit.verb),
        subject: plain(audit.subject),
        before: audit.before,
        after: audit.after,
        result: plain(audit.result),
        reason: audit.reason.map(plain),
        previous: previous.unwrap_or_else(|| AuditRow::FIRST_PREVIOUS.to_owned()),
        hash: String::new(),
    };
    row.hash = row.content_hash();
    sqlx::query(sql!("sales/audit_append"))
        .bind(int(row.id))
        .bind(row.at.0)
        .bind(to_json(&row.author)?)
        .bind(row.verb)
        .bind(row.subject)
        .bind(to_json(&row.before)?)
        .bind(to_json(&row.after)?)
        .bind(row.result)
        .bind(row.reason)
        .bind(row.previous)
        .bind(row.hash)
        .execute(connection)
        .await?;
    Ok(())
}

/// Rows below `before`, newest first.
pub(super) async fn read(
    connection: &mut PgConnection,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<AuditRow>, Fault> {
    let rows = sqlx::query(sql!("sales/audit"))
        .bind(before.map_or(i64::MAX, int))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(audit_row).collect::<sqlx::Result<_>>()?)
}

fn audit_row(row: &PgRow) -> sqlx::Result<AuditRow> {
    Ok(AuditRow {
        id: whole(row, 0)?,
        at: time(row, 1)?,
        author: json(row, 2)?,
        verb: row.try_get(3)?,
        subject: row.try_get(4)?,
        before: json(row, 5)?,
        after: json(row, 6)?,
        result: row.try_get(7)?,
        reason: row.try_get(8)?,
        previous: row.try_get(9)?,
        hash: row.try_get(10)?,
    })
}
