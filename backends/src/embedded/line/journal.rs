//! What the file knows of a line: who waits, who is called, who has a live order, and the highest number given out.

use rusqlite::Connection;
use sluice_core::{
    entry::Outcome,
    ids::{SaleId, Seq},
    ports::{PlaceState, Settlement},
};

use crate::embedded::{
    codec::{Baskets, is_null, line_entry, whole, word},
    memory::Known,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    pub(super) places: Vec<Known>,
    /// Every number that left this process was in the journal first, so this is the highest that was given out; 0 if the
    /// journal never had one.
    pub(super) proven: Seq,
}

pub(super) fn read(connection: &Connection, sale: &SaleId) -> rusqlite::Result<Journal> {
    let mut baskets = Baskets::default();
    let mut places = Vec::new();
    let mut statement = connection.prepare_cached(sql!("line/waiting"))?;
    let mut rows = statement.query([sale.as_str()])?;
    while let Some(row) = rows.next()? {
        let called: bool = row.get(7)?;
        let state = if !is_null(row, 8)? {
            let outcome = word(row, 8, Outcome::parse)?;
            PlaceState::Settled(Settlement { outcome, live: row.get(9)? })
        } else if called {
            PlaceState::Called
        } else {
            PlaceState::Waiting
        };
        places.push(Known { line_entry: line_entry(row, 0, &mut baskets)?, state });
    }
    let mut statement = connection.prepare_cached(sql!("line/called"))?;
    let mut rows = statement.query([sale.as_str()])?;
    while let Some(row) = rows.next()? {
        let line_entry = line_entry(row, 0, &mut baskets)?;
        places.push(Known { line_entry, state: PlaceState::Called });
    }
    let mut statement = connection.prepare_cached(sql!("line/reserved"))?;
    let mut rows = statement.query([sale.as_str()])?;
    while let Some(row) = rows.next()? {
        let line_entry = line_entry(row, 0, &mut baskets)?;
        let settlement = Settlement { outcome: Outcome::Reserved, live: true };
        places.push(Known { line_entry, state: PlaceState::Settled(settlement) });
    }
    let proven = connection
        .prepare_cached(sql!("line/proven"))?
        .query_row([sale.as_str()], |row| whole(row, 0))?;
    Ok(Journal { places, proven: Seq(proven) })
}
