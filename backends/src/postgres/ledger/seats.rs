//! Seats in the ledger: who is held or sold a seat on which leg. That nobody else is, is the primary key of the table.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sluice_core::{
    basket::Basket,
    ids::{HoldId, OrderId, SaleId, SkuId},
    ports::{GateSaid, HeldStock, HoldRequest, SeatImage},
    sale::Sale,
    seats::{SeatMap, SeatNo, Seating},
};
use sqlx::{PgConnection, Row, types::Uuid};

use crate::postgres::{
    codec::{ToUuid, damaged, id, text},
    fault::Fault,
};

/// What a batch knows of seats.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// Who has the seats that the gate has chosen, by leg.
    taken: HashMap<(SkuId, SeatNo, u8), OrderId>,
    /// The maps of what the gate says is not to be had.
    maps: BTreeMap<SkuId, SeatMap>,
}

impl Seats {
    /// The orders that have any of these seats.
    pub(super) fn taken_by(&self, seated: &Basket) -> Vec<OrderId> {
        let legs = legs(seated).filter_map(|leg| self.taken.get(&leg).copied());
        BTreeSet::from_iter(legs).into_iter().collect()
    }

    /// Whether there are seats for everybody in a basket to which the gate said no.
    pub(super) fn has_seats_for(&mut self, basket: &Basket) -> bool {
        basket.seated(&mut self.maps).is_some()
    }

    /// They are this order's now.
    pub(super) fn take(&mut self, order: OrderId, seated: &Basket) {
        self.taken.extend(legs(seated).map(|leg| (leg, order)));
        for (sku, seat, stretch) in seated.passengers() {
            if let Some(map) = self.maps.get_mut(sku) {
                map.take(seat, stretch.mask());
            }
        }
    }
}

fn legs(seated: &Basket) -> impl Iterator<Item = (SkuId, SeatNo, u8)> {
    seated.passengers().flat_map(|(sku, seat, stretch)| {
        (stretch.from()..stretch.to()).map(move |leg| (sku.clone(), seat, leg))
    })
}

/// Looks at the seats that the gate has chosen, and, where it says that there are none, at all.
pub(super) async fn look(
    connection: &mut PgConnection,
    sale: &Sale,
    requests: &[HoldRequest],
) -> Result<Seats, Fault> {
    let mut seats = Seats::default();
    if !requests.iter().any(|request| request.line_entry.basket.is_seated()) {
        return Ok(seats);
    }
    let chosen = requests.iter().filter_map(|request| match &request.gate {
        GateSaid::Seated(seated) => Some(seated),
        GateSaid::Held | GateSaid::Short => None,
    });
    let mut columns = Columns::default();
    for seated in chosen {
        columns.add(seated);
    }
    let asked = sqlx::query(sql!("seats/taken")).bind(sale.id.as_str());
    let asked = asked.bind(columns.skus).bind(columns.seats).bind(columns.from).bind(columns.to);
    for row in asked.fetch_all(&mut *connection).await? {
        let (seat, leg): (i32, i32) = (row.try_get(1)?, row.try_get(2)?);
        let seat = u16::try_from(seat).map_err(|error| damaged(1, error))?;
        let leg = u8::try_from(leg).map_err(|error| damaged(2, error))?;
        let order = id(&row, 3, OrderId::from_bytes)?;
        seats.taken.insert((text(&row, 0)?, SeatNo(seat), leg), order);
    }
    let refused = requests.iter().filter(|request| request.gate == GateSaid::Short);
    for item in refused.flat_map(|request| request.line_entry.basket.items()) {
        let seating = sale.sku(&item.sku).and_then(|sku| sku.seating.as_ref());
        if let Some(seating) = seating
            && !seats.maps.contains_key(&item.sku)
        {
            let map = map(connection, sale, &item.sku, seating).await?;
            seats.maps.insert(item.sku.clone(), map);
        }
    }
    Ok(seats)
}

/// Seats over stretches, as the columns of an array.
#[derive(Debug, Default)]
struct Columns<'a> {
    skus: Vec<&'a str>,
    seats: Vec<i32>,
    from: Vec<i32>,
    to: Vec<i32>,
}

impl<'a> Columns<'a> {
    /// How many were added.
    fn add(&mut self, seated: &'a Basket) -> usize {
        let before = self.skus.len();
        for (sku, seat, stretch) in seated.passengers() {
            self.skus.push(sku.as_str());
            self.seats.push(seat.0.into());
            self.from.push(stretch.from().into());
            self.to.push(stretch.to().into());
        }
        self.skus.len() - before
    }
}

/// Gives the seats of these baskets to their orders. One that somebody has breaks the constraint.
pub(super) async fn take(
    connection: &mut PgConnection,
    sale: &SaleId,
    taken: impl Iterator<Item = (OrderId, HoldId, &Basket)>,
) -> Result<(), Fault> {
    let mut columns = Columns::default();
    let (mut orders, mut holds) = (Vec::<Uuid>::new(), Vec::<Uuid>::new());
    for (order, hold, seated) in taken {
        let passengers = columns.add(seated);
        orders.extend(std::iter::repeat_n(order.uuid(), passengers));
        holds.extend(std::iter::repeat_n(hold.uuid(), passengers));
    }
    let Columns { skus, seats, from, to } = columns;
    if skus.is_empty() {
        return Ok(());
    }
    let take = sqlx::query(sql!("seats/take")).bind(sale.as_str()).bind(skus).bind(seats);
    take.bind(from).bind(to).bind(orders).bind(holds).execute(connection).await?;
    Ok(())
}

/// Frees seats that an order gives back.
pub(super) async fn give_back(
    connection: &mut PgConnection,
    order: OrderId,
    seated: &Basket,
) -> Result<(), Fault> {
    let mut columns = Columns::default();
    if columns.add(seated) == 0 {
        return Ok(());
    }
    let Columns { skus, seats, from, to } = columns;
    let back = sqlx::query(sql!("seats/give_back")).bind(order.uuid()).bind(skus).bind(seats);
    back.bind(from).bind(to).execute(connection).await?;
    Ok(())
}

/// Whether none of these seats is anybody's.
pub(super) async fn are_free(
    connection: &mut PgConnection,
    sale: &SaleId,
    seated: &Basket,
) -> Result<bool, Fault> {
    let mut columns = Columns::default();
    if columns.add(seated) == 0 {
        return Ok(true);
    }
    let Columns { skus, seats, from, to } = columns;
    let asked = sqlx::query(sql!("seats/taken")).bind(sale.as_str()).bind(skus).bind(seats);
    Ok(asked.bind(from).bind(to).fetch_optional(connection).await?.is_none())
}

/// The maps of the seated SKUs in a basket.
pub(super) async fn maps(
    connection: &mut PgConnection,
    sale: &Sale,
    basket: &Basket,
) -> Result<BTreeMap<SkuId, SeatMap>, Fault> {
    let mut maps = BTreeMap::new();
    for item in basket.items() {
        let seating = sale.sku(&item.sku).and_then(|sku| sku.seating.as_ref());
        if let Some(seating) = seating
            && !maps.contains_key(&item.sku)
        {
            maps.insert(item.sku.clone(), map(connection, sale, &item.sku, seating).await?);
        }
    }
    Ok(maps)
}

/// Frees whatever seats these holds of orders have.
pub(super) async fn free(
    connection: &mut PgConnection,
    freed: impl Iterator<Item = (OrderId, HoldId)>,
) -> Result<(), Fault> {
    let (orders, holds): (Vec<Uuid>, Vec<Uuid>) =
        freed.map(|(order, hold)| (order.uuid(), hold.uuid())).unzip();
    if !orders.is_empty() {
        sqlx::query(sql!("seats/free")).bind(orders).bind(holds).execute(connection).await?;
    }
    Ok(())
}

/// The sold seats of every seated SKU: all that are taken, but by live holds.
pub(super) async fn images(
    connection: &mut PgConnection,
    sale: &Sale,
    holds: &[HeldStock],
) -> Result<Vec<SeatImage>, Fault> {
    let mut images = Vec::new();
    for sku in &sale.skus {
        let Some(seating) = &sku.seating else { continue };
        let mut sold = map(connection, sale, &sku.sku, seating).await?;
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

async fn map(
    connection: &mut PgConnection,
    sale: &Sale,
    sku: &SkuId,
    seating: &Seating,
) -> Result<SeatMap, Fault> {
    let mut map = SeatMap::new(seating);
    let asked = sqlx::query(sql!("seats/busy")).bind(sale.id.as_str()).bind(sku.as_str());
    for row in asked.fetch_all(connection).await? {
        let (seat, legs): (i32, i64) = (row.try_get(0)?, row.try_get(1)?);
        let seat = u16::try_from(seat).map_err(|error| damaged(0, error))?;
        map.take(SeatNo(seat), legs.cast_unsigned());
    }
    Ok(map)
}
