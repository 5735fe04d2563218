//! Units that move between the columns of a balance after the sale, and what is there to be held.

use std::collections::BTreeMap;

use sluice_core::{
    ids::{SaleId, SkuId},
    order::{Order, OrderLine},
    sale::Sale,
};
use sqlx::{PgConnection, Row};

use crate::postgres::{
    codec::{damaged, json},
    fault::Fault,
};

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

    /// Writes them, each balance a statement of its own, ascending. Goods that are not there any more are `Raced`.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        sale: &SaleId,
    ) -> Result<(), Fault> {
        for (sku, shift) in &self.0 {
            let Shift { available, held, sold, returned } = *shift;
            let written = sqlx::query(sql!("aftersales/shift"))
                .bind(sale.as_str())
                .bind(sku.as_str())
                .bind(available)
                .bind(held)
                .bind(sold)
                .bind(returned)
                .execute(&mut *connection)
                .await?;
            if written.rows_affected() != 1 {
                return Err(Fault::Raced);
            }
        }
        Ok(())
    }
}

/// What goods are held on for an order that has none, or is to have others.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) sale: Option<Sale>,
    /// Of the order's buyer, the order itself among them if it is live.
    pub(super) has_live_order: bool,
    pub(super) available: BTreeMap<SkuId, u64>,
}

/// A glance: what it lets pass may be gone when it is taken.
pub(super) async fn look(connection: &mut PgConnection, order: &Order) -> Result<Books, Fault> {
    let row = sqlx::query(sql!("aftersales/available"))
        .bind(order.sale.as_str())
        .bind(order.buyer.as_str())
        .fetch_one(connection)
        .await?;
    let body: Option<String> = row.try_get(0)?;
    let sale = body.map(|_| json(&row, 0)).transpose()?;
    let skus: Vec<String> = row.try_get(2)?;
    let units: Vec<i64> = row.try_get(3)?;
    let available = skus.iter().zip(units).map(|(sku, units)| {
        let sku = sku.parse::<SkuId>().map_err(|error| damaged(2, error))?;
        Ok((sku, u64::try_from(units).map_err(|error| damaged(3, error))?))
    });
    let available = available.collect::<sqlx::Result<_>>()?;
    Ok(Books { sale, has_live_order: row.try_get(1)?, available })
}
