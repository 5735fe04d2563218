//! How the domain's values stand in columns. Ids are `uuid`, whole numbers are `bigint`.

use std::{collections::HashMap, str::FromStr};

use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    ids::{EntryId, HoldId, OrderId, PaymentId, RefundId},
    line::LineEntry,
};
use sqlx::{Row, postgres::PgRow, types::Uuid};

/// Most different baskets that one reading keeps apart from each other in memory.
const BASKETS_MAX: usize = 1_024;

/// A whole number as PostgreSQL keeps it. Beyond its range it saturates; nothing here comes near.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of 32 bits as PostgreSQL keeps it; quantities are far below.
pub(super) fn small_int(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// A whole number that was never negative.
pub(super) fn whole(row: &PgRow, column: usize) -> sqlx::Result<u64> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|error| damaged(column, error))
}

pub(super) fn time(row: &PgRow, column: usize) -> sqlx::Result<UnixMillis> {
    row.try_get(column).map(UnixMillis)
}

/// A text that parses.
pub(super) fn text<T>(row: &PgRow, column: usize) -> sqlx::Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error| damaged(column, error))
}

/// A text that is one of a few words.
pub(super) fn word<T>(
    row: &PgRow,
    column: usize,
    parse: impl Fn(&str) -> Option<T>,
) -> sqlx::Result<T> {
    let text: &str = row.try_get(column)?;
    parse(text).ok_or_else(|| damaged(column, Unknown))
}

/// A text that is JSON. The statement casts the column to text, which keeps it to the letter.
pub(super) fn json<T: serde::de::DeserializeOwned>(row: &PgRow, column: usize) -> sqlx::Result<T> {
    let text: &str = row.try_get(column)?;
    serde_json::from_str(text).map_err(|error| damaged(column, error))
}

/// A text that is JSON, if there is one.
pub(super) fn some_json<T: serde::de::DeserializeOwned>(
    row: &PgRow,
    column: usize,
) -> sqlx::Result<Option<T>> {
    let text: Option<&str> = row.try_get(column)?;
    let read = |text| serde_json::from_str(text).map_err(|error| damaged(column, error));
    text.map(read).transpose()
}

/// How a buyer is told, as it stands in a column.
pub(super) fn reach_text(entry: &LineEntry) -> sqlx::Result<Option<String>> {
    entry.reach.as_ref().map(to_json).transpose()
}

/// A value as JSON. It cannot fail for what is stored here: no map has keys that are not texts.
pub(super) fn to_json<T: serde::Serialize>(value: &T) -> sqlx::Result<String> {
    serde_json::to_string(value).map_err(|error| sqlx::Error::Encode(Box::new(error)))
}

/// A text from outside. PostgreSQL keeps every character but NUL.
pub(super) fn plain(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

pub(super) fn id<T>(row: &PgRow, column: usize, from: impl Fn([u8; 16]) -> T) -> sqlx::Result<T> {
    row.try_get::<Uuid, _>(column).map(|uuid| from(uuid.into_bytes()))
}

/// An id that may be missing.
pub(super) fn some_id<T>(
    row: &PgRow,
    column: usize,
    from: impl Fn([u8; 16]) -> T,
) -> sqlx::Result<Option<T>> {
    Ok(row.try_get::<Option<Uuid>, _>(column)?.map(|uuid| from(uuid.into_bytes())))
}

/// An id as a column has it.
pub(super) trait ToUuid {
    fn uuid(&self) -> Uuid;
}

macro_rules! to_uuid {
    ($($id:ty),+) => {
        $(
            impl ToUuid for $id {
                fn uuid(&self) -> Uuid {
                    Uuid::from_bytes(*self.as_bytes())
                }
            }
        )+
    };
}

to_uuid!(EntryId, HoldId, OrderId, PaymentId, RefundId);

/// The ids of a statement's array.
pub(super) fn uuids<T: ToUuid>(ids: &[T]) -> Vec<Uuid> {
    ids.iter().map(ToUuid::uuid).collect()
}

/// The baskets of one reading: those that are alike share their memory.
#[derive(Debug, Default)]
pub(super) struct Baskets(HashMap<String, Basket>);

impl Baskets {
    pub(super) fn read(&mut self, row: &PgRow, column: usize) -> sqlx::Result<Basket> {
        let text: &str = row.try_get(column)?;
        if let Some(basket) = self.0.get(text) {
            return Ok(basket.clone());
        }
        let basket: Basket = text.parse().map_err(|error| damaged(column, error))?;
        if self.0.len() < BASKETS_MAX {
            self.0.insert(text.to_owned(), basket.clone());
        }
        Ok(basket)
    }
}

/// A value that this version does not write.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("not a value that this version writes")]
pub(super) struct Unknown;

pub(super) fn damaged(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.to_string(), source: Box::new(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_character_that_cannot_be_kept_is_replaced() {
        assert_eq!(plain("a\0b".into()), "a\u{fffd}b");
        assert_eq!(plain("ä ✓".into()), "ä ✓");
    }
}
