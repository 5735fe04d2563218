//! What the file knows of a line: who waits, who is called, who stands by, who has a live order, and the highest number
//! given out.

use std::collections::HashSet;

use rusqlite::{Connection, Row};
use sluice_core::{
    entry::Outcome,
    ids::{EntryId, SaleId, Seq},
    ports::{PlaceState, Settlement},
};

use crate::embedded::{
    codec::{Baskets, is_null, joined, line_entry, whole, word},
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
    let mut reading = Reading::default();
    reading.waiting(connection, sale)?;
    reading.rest(connection, sale)?;
    let proven = connection
        .prepare_cached(sql!("line/proven"))?
        .query_row([sale.as_str()], |row| whole(row, 0))?;
    let waiting = reading.places.iter().map(|place| place.line_entry.seq).max();
    Ok(Journal { places: reading.places, proven: Seq(proven).max(waiting.unwrap_or_default()) })
}

/// A reading under way. Whoever is in the journal of joins is taken from there, once.
#[derive(Debug, Default)]
struct Reading {
    places: Vec<Known>,
    joined: HashSet<EntryId>,
    baskets: Baskets,
}

impl Reading {
    /// Everybody in the journal of joins: as far as they have come.
    fn waiting(&mut self, connection: &Connection, sale: &SaleId) -> rusqlite::Result<()> {
        let mut standing = connection.prepare_cached(sql!("line/standing"))?;
        let mut statement = connection.prepare_cached(sql!("line/waiting"))?;
        let mut rows = statement.query([sale.as_str()])?;
        while let Some(row) = rows.next()? {
            for line_entry in joined(row, 0, &mut self.baskets)? {
                if self.joined.insert(line_entry.entry) {
                    let (state, standby) =
                        standing.query_row([line_entry.entry.as_bytes()], state)?;
                    self.places.push(Known { line_entry, state, standby });
                }
            }
        }
        Ok(())
    }

    /// Those who stand by, are called, or have a live order, and are no longer in the journal of joins. One who stands by and was
    /// made an offer is both of the first two.
    fn rest(&mut self, connection: &Connection, sale: &SaleId) -> rusqlite::Result<()> {
        let settlement = Settlement { outcome: Outcome::Reserved, live: true };
        for (statement, state, standby) in [
            (sql!("line/offered"), PlaceState::Called, true),
            (sql!("line/standby"), PlaceState::Standby, true),
            (sql!("line/called"), PlaceState::Called, false),
            (sql!("line/reserved"), PlaceState::Settled(settlement), false),
        ] {
            let mut statement = connection.prepare_cached(statement)?;
            let mut rows = statement.query([sale.as_str()])?;
            while let Some(row) = rows.next()? {
                let line_entry = line_entry(row, 0, &mut self.baskets)?;
                if self.joined.insert(line_entry.entry) {
                    self.places.push(Known { line_entry, state, standby });
                }
            }
        }
        Ok(())
    }
}

/// How far an entry has come, and whether it stands by.
fn state(row: &Row<'_>) -> rusqlite::Result<(PlaceState, bool)> {
    let (called, standby): (bool, bool) = (row.get(0)?, row.get(3)?);
    if is_null(row, 1)? {
        let state = match (called, standby) {
            (true, _) => PlaceState::Called,
            (false, true) => PlaceState::Standby,
            (false, false) => PlaceState::Waiting,
        };
        return Ok((state, standby));
    }
    let outcome = word(row, 1, Outcome::parse)?;
    Ok((PlaceState::Settled(Settlement { outcome, live: row.get(2)? }), false))
}
