//! Units that move between the columns of a balance after the sale, and what is there to be held.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use sluice_core::{
    ids::{SaleId, SkuId},
    order::OrderLine,
};

use crate::embedded::codec::{text, whole};

/// How many units each column gains, or loses below 0. They add up to nothing but for `returned`, which only grows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Shift {
    pub(super) available: i64,
    pub(super) held: i64,
    pub(super) sold: i64,
    pub(super) returned: i64,
}

impl Shift {
    pub(super) fn hold(units: i64) -> Self {
        Self { available: -units, held: units, ..Self::default() }
    }

    pub(super) fn release(units: i64) -> Self {
        Self::hold(-units)
    }

    pub(super) fn sell_held(units: i64) -> Self {
        Self { held: -units, sold: units, ..Self::default() }
    }

    /// Sold at once what nobody held.
    pub(super) fn sell(units: i64) -> Self {
        Self { available: -units, sold: units, ..Self::default() }
    }

    /// Sold, and come back.
    pub(super) fn put_back(units: i64) -> Self {
        Self { available: units, sold: -units, returned: units, ..Self::default() }
    }

    fn and(self, other: Self) -> Self {
        Self {
            available: self.available + other.available,
            held: self.held + other.held,
            sold: self.sold + other.sold,
            returned: self.returned + other.returned,
        }
    }
}

/// The shifts of one step, by SKU.
#[derive(Debug, Default)]
pub(super) struct Shifts(BTreeMap<SkuId, Shift>);

impl Shifts {
    pub(super) fn of(lines: &[OrderLine], shift: impl Fn(i64) -> Shift) -> Self {
        let mut shifts = Self::default();
        shifts.add(lines.iter().map(|line| (&line.sku, line.units())), shift);
        shifts
    }

    pub(super) fn add<'a>(
        &mut self,
        items: impl Iterator<Item = (&'a SkuId, u64)>,
        shift: impl Fn(i64) -> Shift,
    ) {
        for (sku, units) in items {
            let known = self.0.entry(sku.clone()).or_default();
            *known = known.and(shift(i64::try_from(units).unwrap_or(i64::MAX)));
        }
    }

    /// Writes them. A balance that would fall below nothing is refused by the schema.
    pub(super) fn write(&self, connection: &Connection, sale: &SaleId) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(sql!("aftersales/shift"))?;
        for (sku, shift) in &self.0 {
            let Shift { available, held, sold, returned } = *shift;
            let (sale, sku) = (sale.as_str(), sku.as_str());
            statement.execute(params![sale, sku, available, held, sold, returned])?;
        }
        Ok(())
    }
}

/// What can be held of each SKU of a sale.
pub(super) fn available(
    connection: &Connection,
    sale: &SaleId,
) -> rusqlite::Result<BTreeMap<SkuId, u64>> {
    let mut statement = connection.prepare_cached(sql!("orders/stock"))?;
    let rows = statement.query_map([sale.as_str()], |row| Ok((text(row, 0)?, whole(row, 2)?)))?;
    rows.collect()
}
