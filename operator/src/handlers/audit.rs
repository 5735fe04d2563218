//! The audit log: who did what, from where, when, and what came of it. Newest first, a page at a time.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use sluice_core::{policy::OutOfRange, ports::AuditRow};
use sluice_http::{Exchange, Problem, Response};

use crate::{
    desk::Desk,
    reply::{fresh, query_number},
};

const ROWS_DEFAULT: u32 = 100;

#[derive(Serialize)]
struct Page {
    rows: Vec<AuditRow>,
    /// Give this as `before` for the next page; `null` at the end of the log.
    next_before: Option<u64>,
}

pub(crate) async fn list(desk: Arc<Desk>, exchange: Exchange) -> Result<Response, Problem> {
    let before = query_number(&exchange, "before")?;
    let most = desk.limits.audit_rows_max;
    let limit = query_number(&exchange, "limit")?.unwrap_or(ROWS_DEFAULT.min(most));
    if !(1..=most).contains(&limit) {
        return Err(Problem::out_of_range(&OutOfRange::new(
            "limit",
            format!("must be 1 to {most}"),
        )));
    }
    let rows = desk.ports.ledger.audit(before, limit).await?;
    // Ids have no gaps and begin at 1.
    let next_before = rows.last().map(|row| row.id).filter(|id| *id > 1);
    Ok(fresh(StatusCode::OK, &Page { rows, next_before }))
}
