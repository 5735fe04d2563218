//! Reads messages out of the journal, a page at a time.

use rusqlite::{Connection, params};
use sluice_core::{ids::SaleId, line::LineEntry, ports::WaitingMessage};

use crate::embedded::codec::{Baskets, int, line_entry, whole};

/// A message and where it lies in the journal.
#[derive(Debug)]
pub(super) struct Paged {
    pub(super) message: WaitingMessage,
    /// Its ids, both included.
    pub(super) ids: (u64, u64),
}

/// The messages after an id, oldest first, of about `entries` entries. A message is cut only if it is longer than a page.
pub(super) fn read(
    connection: &Connection,
    sale: &SaleId,
    after: u64,
    entries: usize,
) -> rusqlite::Result<Vec<Paged>> {
    let mut statement = connection.prepare_cached(sql!("waiting/page"))?;
    let mut rows = statement.query(params![sale.as_str(), int(after), int(entries as u64)])?;
    let mut baskets = Baskets::default();
    let mut pages: Vec<Paged> = Vec::new();
    let (mut read, mut last_batch) = (0, None);
    while let Some(row) = rows.next()? {
        let (id, batch) = (whole(row, 0)?, whole(row, 1)?);
        let entry: LineEntry = line_entry(row, 2, &mut baskets)?;
        read += 1;
        match pages.last_mut() {
            Some(paged) if last_batch == Some(batch) => {
                paged.message.entries.push(entry);
                paged.ids.1 = id;
            }
            _ => {
                let message = WaitingMessage { tag: id, entries: vec![entry] };
                pages.push(Paged { message, ids: (id, id) });
            }
        }
        last_batch = Some(batch);
    }
    if read == entries && pages.len() > 1 {
        // The page may end in the middle of a message.
        pages.pop();
    }
    Ok(pages)
}
