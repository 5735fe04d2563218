//! Units that move between the columns of a balance after the sale: what each ledger writes in its own way.

use std::collections::BTreeMap;

use sluice_core::{ids::SkuId, order::OrderLine};

/// How many units each column gains, or loses below 0. They add up to nothing but for `returned`, which only grows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Shift {
    pub(crate) available: i64,
    pub(crate) held: i64,
    pub(crate) sold: i64,
    pub(crate) returned: i64,
}

impl Shift {
    pub(crate) fn hold(units: i64) -> Self {
        Self { available: -units, held: units, ..Self::default() }
    }

    pub(crate) fn release(units: i64) -> Self {
        Self::hold(-units)
    }

    pub(crate) fn sell_held(units: i64) -> Self {
        Self { held: -units, sold: units, ..Self::default() }
    }

    /// Sold at once what nobody held.
    pub(crate) fn sell(units: i64) -> Self {
        Self { available: -units, sold: units, ..Self::default() }
    }

    /// Sold, and come back.
    pub(crate) fn put_back(units: i64) -> Self {
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
pub(crate) struct Shifts(BTreeMap<SkuId, Shift>);

impl Shifts {
    pub(crate) fn of(lines: &[OrderLine], shift: impl Fn(i64) -> Shift) -> Self {
        let mut shifts = Self::default();
        shifts.add(lines.iter().map(|line| (&line.sku, line.units())), shift);
        shifts
    }

    pub(crate) fn add<'a>(
        &mut self,
        items: impl Iterator<Item = (&'a SkuId, u64)>,
        shift: impl Fn(i64) -> Shift,
    ) {
        for (sku, units) in items {
            let known = self.0.entry(sku.clone()).or_default();
            *known = known.and(shift(i64::try_from(units).unwrap_or(i64::MAX)));
        }
    }

    /// Each SKU's shift, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SkuId, Shift)> {
        self.0.iter().map(|(sku, shift)| (sku, *shift))
    }
}
