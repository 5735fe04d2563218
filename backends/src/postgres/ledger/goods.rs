//! Units that move between the columns of a balance after the sale, and what is there to be held.

use std::collections::BTreeMap;

use sluice_core::{
    ids::{SaleId, SkuId},
    order::Order,
    sale::Sale,
};
use sqlx::{PgConnection, Row};

use crate::{
    postgres::{
        codec::{damaged, json},
        fault::Fault,
    },
    shifts::{Shift, Shifts},
};

/// Writes the shifts of one step, each balance a statement of its own, ascending. Goods that are not there any more are
/// `Raced`.
pub(super) async fn write(
    connection: &mut PgConnection,
    sale: &SaleId,
    shifts: &Shifts,
) -> Result<(), Fault> {
    for (sku, Shift { available, held, sold, returned }) in shifts.iter() {
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
