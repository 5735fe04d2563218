//! Units that move between the columns of a balance after the sale, and what is there to be held.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use sluice_core::ids::{SaleId, SkuId};

use crate::{
    embedded::codec::{text, whole},
    shifts::{Shift, Shifts},
};

/// Writes the shifts of one step. A balance that would fall below nothing is refused by the schema.
pub(super) fn write(
    connection: &Connection,
    sale: &SaleId,
    shifts: &Shifts,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("aftersales/shift"))?;
    for (sku, Shift { available, held, sold, returned }) in shifts.iter() {
        let (sale, sku) = (sale.as_str(), sku.as_str());
        statement.execute(params![sale, sku, available, held, sold, returned])?;
    }
    Ok(())
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
