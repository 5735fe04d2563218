//! Seats in the ledger: who is held or sold a seat on which leg. That nobody else is, is the primary key of the table.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};
use sluice_core::{
    basket::Basket,
    ids::{HoldId, OrderId, SaleId, SkuId},
    ports::{HeldStock, SeatImage},
    sale::Sale,
    seats::{SeatMap, SeatNo, Seating},
};

use crate::embedded::codec::{id, small};

/// The orders that have any of these seats.
pub(super) fn taken_by(
    connection: &Connection,
    sale: &SaleId,
    seated: &Basket,
) -> rusqlite::Result<Vec<OrderId>> {
    let mut statement = connection.prepare_cached(sql!("seats/taken"))?;
    let mut orders = BTreeSet::new();
    for (sku, seat, stretch) in seated.passengers() {
        let asked = params![sale.as_str(), sku.as_str(), seat.0, stretch.from(), stretch.to()];
        let taken = statement.query_map(asked, |row| id(row, 0, OrderId::from_bytes))?;
        for order in taken {
            orders.insert(order?);
        }
    }
    Ok(orders.into_iter().collect())
}

/// Gives seats to the hold of an order. One that somebody has breaks the constraint.
pub(super) fn take(
    connection: &Connection,
    sale: &SaleId,
    (order, hold): (OrderId, HoldId),
    seated: &Basket,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("seats/take"))?;
    let (order, hold) = (order.as_bytes().as_slice(), hold.as_bytes().as_slice());
    for (sku, seat, stretch) in seated.passengers() {
        for leg in stretch.from()..stretch.to() {
            statement.execute(params![sale.as_str(), sku.as_str(), seat.0, leg, order, hold])?;
        }
    }
    Ok(())
}

/// Frees whatever seats the hold of an order has.
pub(super) fn free(connection: &Connection, order: OrderId, hold: HoldId) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("seats/free"))?;
    statement.execute([order.as_bytes().as_slice(), hold.as_bytes().as_slice()]).map(drop)
}

/// Frees seats that an order gives back.
pub(super) fn give_back(
    connection: &Connection,
    order: OrderId,
    seated: &Basket,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("seats/give_back"))?;
    let order = order.as_bytes().as_slice();
    for (sku, seat, stretch) in seated.passengers() {
        statement.execute(params![order, sku.as_str(), seat.0, stretch.from(), stretch.to()])?;
    }
    Ok(())
}

/// The maps of the seated SKUs in a basket.
pub(super) fn maps(
    connection: &Connection,
    sale: &Sale,
    basket: &Basket,
) -> rusqlite::Result<BTreeMap<SkuId, SeatMap>> {
    let mut maps = BTreeMap::new();
    for item in basket.items() {
        let seating = sale.sku(&item.sku).and_then(|sku| sku.seating.as_ref());
        if let Some(seating) = seating
            && !maps.contains_key(&item.sku)
        {
            maps.insert(item.sku.clone(), map(connection, &sale.id, &item.sku, seating)?);
        }
    }
    Ok(maps)
}

/// Whether there are seats for everybody in a basket: looked at only when the gate says that there are none.
pub(super) fn has_seats_for(
    connection: &Connection,
    sale: &Sale,
    basket: &Basket,
) -> rusqlite::Result<bool> {
    Ok(basket.seated(&mut maps(connection, sale, basket)?).is_some())
}

/// The sold seats of every seated SKU: all that are taken, but by live holds.
pub(super) fn images(
    connection: &Connection,
    sale: &Sale,
    holds: &[HeldStock],
) -> rusqlite::Result<Vec<SeatImage>> {
    let mut images = Vec::new();
    for sku in &sale.skus {
        let Some(seating) = &sku.seating else { continue };
        let mut sold = map(connection, &sale.id, &sku.sku, seating)?;
        for (held, seat, stretch) in holds.iter().flat_map(|hold| hold.basket.passengers()) {
            if *held == sku.sku {
                sold.free(seat, stretch.mask());
            }
        }
        let (sku, seating) = (sku.sku.clone(), seating.clone());
        images.push(SeatImage { sku, seating, sold: sold.busy().to_vec() });
    }
    Ok(images)
}

fn map(
    connection: &Connection,
    sale: &SaleId,
    sku: &SkuId,
    seating: &Seating,
) -> rusqlite::Result<SeatMap> {
    let mut map = SeatMap::new(seating);
    let mut statement = connection.prepare_cached(sql!("seats/busy"))?;
    let mut rows = statement.query([sale.as_str(), sku.as_str()])?;
    while let Some(row) = rows.next()? {
        let (seat, legs): (u32, i64) = (small(row, 0)?, row.get(1)?);
        if let Ok(seat) = u16::try_from(seat) {
            map.take(SeatNo(seat), legs.cast_unsigned());
        }
    }
    Ok(map)
}
