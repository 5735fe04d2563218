//! How the domain's values stand in columns. Ids are 16 bytes, whole numbers are 64 bits.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::IpAddr,
    str::FromStr,
};

use rusqlite::{
    Row,
    types::{Type, ValueRef},
};
use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    event::Turn,
    ids::{EntryId, Epoch, Seq},
    line::LineEntry,
};

/// Most different baskets that one reading keeps apart from each other in memory.
const BASKETS_MAX: usize = 1_024;

/// A whole number as SQLite keeps it. Beyond its range it saturates; nothing here comes near.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A whole number that was never negative.
pub(super) fn whole(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| damaged(column, Type::Integer, error))
}

/// A whole number of 32 bits.
pub(super) fn small(row: &Row<'_>, column: usize) -> rusqlite::Result<u32> {
    let number: i64 = row.get(column)?;
    u32::try_from(number).map_err(|error| damaged(column, Type::Integer, error))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<UnixMillis> {
    row.get(column).map(UnixMillis)
}

/// A text that parses.
pub(super) fn text<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| damaged(column, Type::Text, error))
}

/// A text that is one of a few words.
pub(super) fn word<T>(
    row: &Row<'_>,
    column: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    parse(text).ok_or_else(|| damaged(column, Type::Text, Unknown))
}

/// A text that is JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| damaged(column, Type::Text, error))
}

/// A text that is JSON, if there is one.
pub(super) fn json_or_null<T: serde::de::DeserializeOwned>(
    row: &Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<T>> {
    if is_null(row, column)? { Ok(None) } else { json(row, column).map(Some) }
}

/// How a buyer is told, as it stands in a column.
pub(super) fn reach_text(entry: &LineEntry) -> rusqlite::Result<Option<String>> {
    entry.reach.as_ref().map(to_json).transpose()
}

/// A value as JSON. It cannot fail for what is stored here: no map has keys that are not texts.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn is_null(row: &Row<'_>, column: usize) -> rusqlite::Result<bool> {
    Ok(row.get_ref(column)? == ValueRef::Null)
}

/// 16 bytes.
pub(super) fn id<T>(
    row: &Row<'_>,
    column: usize,
    from: impl Fn([u8; 16]) -> T,
) -> rusqlite::Result<T> {
    row.get(column).map(from)
}

/// The baskets of one reading: those that are alike share their memory.
#[derive(Debug, Default)]
pub(super) struct Baskets {
    by_text: HashMap<String, Basket>,
    known: HashSet<Basket>,
}

impl Baskets {
    pub(super) fn read(&mut self, row: &Row<'_>, column: usize) -> rusqlite::Result<Basket> {
        let text = row.get_ref(column)?.as_str()?;
        if let Some(basket) = self.by_text.get(text) {
            return Ok(basket.clone());
        }
        let basket: Basket = text.parse().map_err(|error| damaged(column, Type::Text, error))?;
        if self.by_text.len() < BASKETS_MAX {
            self.by_text.insert(text.to_owned(), basket.clone());
        }
        Ok(basket)
    }

    fn share(&mut self, basket: &mut Basket) {
        match self.known.get(basket) {
            Some(known) => basket.clone_from(known),
            None if self.known.len() < BASKETS_MAX => {
                self.known.insert(basket.clone());
            }
            None => {}
        }
    }
}

/// The entries of a message in the journal of joins.
pub(super) fn joined(
    row: &Row<'_>,
    column: usize,
    baskets: &mut Baskets,
) -> rusqlite::Result<Vec<LineEntry>> {
    let mut entries: Vec<LineEntry> = json(row, column)?;
    for entry in &mut entries {
        baskets.share(&mut entry.basket);
    }
    Ok(entries)
}

/// An entry from seven columns in a row: entry, buyer, seq, holes_below, basket, joined_at, address.
pub(super) fn line_entry(
    row: &Row<'_>,
    first: usize,
    baskets: &mut Baskets,
) -> rusqlite::Result<LineEntry> {
    Ok(LineEntry {
        entry: id(row, first, EntryId::from_bytes)?,
        buyer: text(row, first + 1)?,
        seq: Seq(whole(row, first + 2)?),
        holes_below: whole(row, first + 3)?,
        basket: baskets.read(row, first + 4)?,
        joined_at: time(row, first + 5)?,
        address: if is_null(row, first + 6)? { None } else { Some(text(row, first + 6)?) },
        reach: None,
        stands_since: None,
    })
}

/// A turn from eleven columns in a row: sale, the entry's seven, epoch, attempt, called_at.
pub(super) fn turn(row: &Row<'_>, first: usize, baskets: &mut Baskets) -> rusqlite::Result<Turn> {
    Ok(Turn {
        sale: text(row, first)?,
        line_entry: line_entry(row, first + 1, baskets)?,
        epoch: Epoch(whole(row, first + 8)?),
        attempt: small(row, first + 9)?,
        called_at: time(row, first + 10)?,
    })
}

pub(super) fn address_text(address: Option<IpAddr>) -> Option<String> {
    address.map(|address| address.to_string())
}

/// A word that this version does not know.
#[derive(Clone, Copy, Debug)]
struct Unknown;

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a value that this version writes")
    }
}

impl std::error::Error for Unknown {}

fn damaged(
    column: usize,
    kind: Type,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, kind, Box::new(error))
}
