//! Reads messages out of the journal, a page at a time.

use rusqlite::{Connection, params};
use sluice_core::{ids::SaleId, ports::WaitingMessage};

use crate::embedded::codec::{Baskets, int, joined, whole};

/// The messages after an id, oldest first, until they have `entries` entries.
pub(super) fn read(
    connection: &Connection,
    sale: &SaleId,
    after: u64,
    entries: usize,
) -> rusqlite::Result<Vec<WaitingMessage>> {
    let mut statement = connection.prepare_cached(sql!("waiting/page"))?;
    let mut rows = statement.query(params![sale.as_str(), int(after)])?;
    let mut baskets = Baskets::default();
    let mut messages = Vec::new();
    let mut read = 0;
    while read < entries
        && let Some(row) = rows.next()?
    {
        let message =
            WaitingMessage { tag: whole(row, 0)?, entries: joined(row, 1, &mut baskets)? };
        read += message.entries.len();
        messages.push(message);
    }
    Ok(messages)
}
