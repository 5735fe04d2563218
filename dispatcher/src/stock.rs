//! What can be sold, as this speaker knows it: the gate's last levels, less what was called since. Pure.
//!
//! Nobody else calls entries of the sale, so between two readings only this speaker takes from what is free; what others
//! give back is seen at the next reading. Reckoning here is therefore never above the gate's own.

use std::collections::BTreeMap;

use sluice_core::{
    basket::{Basket, Item},
    ids::SkuId,
    ports::{SeatLevel, SkuLevel, SkuReport, StockBalance},
    sale::sellable,
    seats::Stretch,
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    skus: BTreeMap<SkuId, Level>,
}

/// Units of a seated SKU are seat-legs.
#[derive(Clone, Debug, Default)]
struct Level {
    available: u64,
    held: u64,
    in_flight: u64,
    /// Of a whole journey; 1 for counted goods.
    legs: u8,
    /// Present for a seated SKU whose seats we know.
    seats: Option<SeatLevel>,
}

impl Level {
    fn free(&self) -> u64 {
        self.available.saturating_sub(self.in_flight)
    }

    /// Whether an item could be served now, whatever becomes of those in flight: each passenger takes one seat, so they
    /// lower the number of free seats by one at most, and only over a stretch that overlaps theirs.
    fn fits(&self, item: &Item) -> bool {
        let (Some(seats), Some(stretch)) = (&self.seats, item.stretch) else {
            return item.units() <= self.free();
        };
        let ahead = seats.in_flight.iter().filter(|(other, _)| other.overlaps(stretch));
        let ahead: u64 = ahead.map(|(_, passengers)| u64::from(*passengers)).sum();
        u64::from(item.quantity) + ahead <= seats.free.over(stretch).into()
    }

    fn may_come_to_fit(&self, item: &Item) -> bool {
        match (&self.seats, item.stretch) {
            (Some(seats), Some(stretch)) => item.quantity <= seats.unsold.over(stretch),
            _ => item.units() <= self.available.saturating_add(self.held),
        }
    }

    /// Passengers of this stretch who are in flight.
    fn in_flight_over(&mut self, stretch: Stretch) -> Option<&mut u32> {
        let in_flight = &mut self.seats.as_mut()?.in_flight;
        let place = match in_flight.binary_search_by_key(&stretch, |(other, _)| *other) {
            Ok(place) => place,
            Err(place) => {
                in_flight.insert(place, (stretch, 0));
                place
            }
        };
        in_flight.get_mut(place).map(|(_, passengers)| passengers)
    }
}

impl Stock {
    /// Replaces everything by what the gate says. Read it when no call to the line is under way.
    pub(crate) fn learn(&mut self, levels: Vec<SkuLevel>) {
        self.skus = levels
            .into_iter()
            .map(|level| {
                let SkuLevel { sku, available, held, in_flight, seats } = level;
                let legs = legs_of(seats.as_ref());
                (sku, Level { available, held, in_flight, legs, seats })
            })
            .collect();
    }

    /// The same where the shop settles: what it last said is left, from the ledger; what is in flight, from the gate. Goods
    /// in flight may come back like held ones: the line does not end while the shop has not said what became of them. Who
    /// sits where, the shop alone knows.
    pub(crate) fn learn_from_shop(&mut self, balances: Vec<StockBalance>, levels: &[SkuLevel]) {
        let known: BTreeMap<&SkuId, &SkuLevel> =
            levels.iter().map(|level| (&level.sku, level)).collect();
        self.skus = balances
            .into_iter()
            .map(|balance| {
                let level = known.get(&balance.sku);
                let in_flight = level.map_or(0, |level| level.in_flight);
                let legs = legs_of(level.and_then(|level| level.seats.as_ref()));
                let held = balance.held.saturating_add(in_flight);
                let available = balance.available;
                (balance.sku, Level { available, held, in_flight, legs, seats: None })
            })
            .collect();
    }

    /// Units that can be sold now and that nobody called wants.
    pub(crate) fn remaining(&self) -> u64 {
        self.skus.values().map(|level| sellable(level.free(), level.legs)).sum()
    }

    /// Of these, what is `kept` for those who stand by.
    pub(crate) fn owed(&self, kept: impl Fn(&SkuId) -> u64) -> u64 {
        let owed = |(sku, level): (&SkuId, &Level)| {
            let (free, kept) = (level.free(), kept(sku));
            sellable(free, level.legs) - sellable(free.saturating_sub(kept), level.legs)
        };
        self.skus.iter().map(owed).sum()
    }

    /// What is left, per SKU, as everybody is told: without what is `kept`.
    pub(crate) fn reports(&self, kept: impl Fn(&SkuId) -> u64) -> Vec<SkuReport> {
        let report = |(sku, level): (&SkuId, &Level)| SkuReport {
            sku: sku.clone(),
            remaining: sellable(level.free().saturating_sub(kept(sku)), level.legs),
            free_seats: level.seats.as_ref().map_or_else(Vec::new, |seats| seats.free.per_leg()),
        };
        self.skus.iter().map(report).collect()
    }

    /// Units held and not paid.
    pub(crate) fn unpaid(&self) -> u64 {
        self.skus.values().map(|level| sellable(level.held, level.legs)).sum()
    }

    /// Whether there is nothing left that is sold now or may come back from a hold.
    pub(crate) fn is_gone(&self) -> bool {
        self.skus.values().all(|level| level.available == 0 && level.held == 0)
    }

    /// Whether a basket could be served now. Lines of one SKU over several stretches are looked at one by one: whether there
    /// are seats for all of them together, the gate finds out.
    pub(crate) fn fits(&self, basket: &Basket) -> bool {
        self.all(basket, Level::fits)
    }

    /// The same of one item.
    pub(crate) fn fits_item(&self, item: &Item) -> bool {
        self.skus.get(&item.sku).is_some_and(|level| level.fits(item))
    }

    /// Whether a basket could be served if everything called and everything held were given back.
    pub(crate) fn may_come_to_fit(&self, basket: &Basket) -> bool {
        self.all(basket, Level::may_come_to_fit)
    }

    /// Reckons a basket as called.
    pub(crate) fn take(&mut self, basket: &Basket) {
        for item in basket.items() {
            let Some(level) = self.skus.get_mut(&item.sku) else { continue };
            level.in_flight = level.in_flight.saturating_add(item.units());
            if let Some(passengers) = item.stretch.and_then(|over| level.in_flight_over(over)) {
                *passengers = passengers.saturating_add(item.quantity);
            }
        }
    }

    /// Takes back a [`Stock::take`]: the entry was not called after all.
    pub(crate) fn put_back(&mut self, basket: &Basket) {
        for item in basket.items() {
            let Some(level) = self.skus.get_mut(&item.sku) else { continue };
            level.in_flight = level.in_flight.saturating_sub(item.units());
            if let Some(passengers) = item.stretch.and_then(|over| level.in_flight_over(over)) {
                *passengers = passengers.saturating_sub(item.quantity);
            }
        }
    }

    fn all(&self, basket: &Basket, fits: impl Fn(&Level, &Item) -> bool) -> bool {
        let level = |item: &Item| self.skus.get(&item.sku);
        basket.items().iter().all(|item| level(item).is_some_and(|level| fits(level, item)))
    }
}

fn legs_of(seats: Option<&SeatLevel>) -> u8 {
    seats.map_or(1, |seats| seats.free.legs())
}

#[cfg(test)]
mod tests {
    use sluice_core::seats::SeatCounts;

    use super::*;
    use crate::fixtures::{basket, level};

    #[test]
    fn what_is_called_is_not_free() {
        let mut stock = Stock::default();
        stock.learn(vec![level("a", 5, 0, 2), level("b", 1, 4, 0)]);
        assert_eq!(stock.remaining(), 4);
        stock.take(&basket(&[("a", 3), ("b", 1)]));
        assert_eq!(stock.remaining(), 0);
        stock.put_back(&basket(&[("b", 1)]));
        assert_eq!(stock.remaining(), 1);
        assert_eq!(stock.unpaid(), 4);
    }

    #[test]
    fn the_shop_says_what_is_left_and_what_it_has_not_answered_may_come_back() {
        let balance = |available, held| StockBalance {
            sku: SkuId::new("a").unwrap(),
            total: available + held,
            available,
            owed: 0,
            held,
            sold: 0,
            returned: 0,
        };
        let mut stock = Stock::default();
        stock.learn_from_shop(vec![balance(5, 2)], &[level("a", 900, 0, 3)]);
        assert_eq!(
            (stock.remaining(), stock.unpaid()),
            (2, 5),
            "the gate's own count is no matter"
        );
        stock.learn_from_shop(vec![balance(0, 0)], &[level("a", 900, 0, 1)]);
        assert!(!stock.is_gone() && stock.may_come_to_fit(&basket(&[("a", 1)])));
        stock.learn_from_shop(vec![balance(0, 0)], &[level("a", 900, 0, 0)]);
        assert!(stock.is_gone());
    }

    /// Seats of a SKU with these free, unsold and in-flight stretches.
    fn seated(free: &[(u8, u8)], unsold: &[(u8, u8)], in_flight: &[(u8, u8, u32)]) -> SkuLevel {
        let stretch = |from, to| Stretch::new(from, to).unwrap();
        let gaps = |gaps: &[(u8, u8)]| {
            SeatCounts::from_gaps(4, gaps.iter().map(|(from, to)| (stretch(*from, *to), 1)))
        };
        let legs =
            |gaps: &[(u8, u8)]| -> u64 { gaps.iter().map(|(from, to)| u64::from(to - from)).sum() };
        let flying = in_flight.iter().map(|(from, to, n)| u64::from(to - from) * u64::from(*n));
        SkuLevel {
            sku: SkuId::new("t").unwrap(),
            available: legs(free),
            held: legs(unsold) - legs(free),
            in_flight: flying.sum(),
            seats: Some(SeatLevel {
                free: gaps(free),
                unsold: gaps(unsold),
                in_flight: in_flight
                    .iter()
                    .map(|(from, to, n)| (stretch(*from, *to), *n))
                    .collect(),
            }),
        }
    }

    fn ride(quantity: u32, from: u8, to: u8) -> Basket {
        let stretch = Stretch::new(from, to).unwrap();
        Basket::new(vec![Item::seated(SkuId::new("t").unwrap(), quantity, stretch)]).unwrap()
    }

    #[test]
    fn a_stretch_fits_if_one_seat_is_free_from_end_to_end() {
        let mut stock = Stock::default();
        // One seat free on the first half, another on the second; a hold may lapse between.
        stock.learn(vec![seated(&[(0, 2), (2, 4)], &[(0, 4), (2, 4)], &[])]);
        assert!(stock.fits(&ride(1, 0, 2)) && stock.fits(&ride(1, 2, 4)));
        assert!(!stock.fits(&ride(1, 1, 3)), "free on each leg, but on no seat");
        assert!(stock.may_come_to_fit(&ride(1, 1, 3)), "once the hold lapses");
        assert!(!stock.may_come_to_fit(&ride(2, 1, 3)));
        assert_eq!(stock.reports(|_| 0)[0].free_seats, [1, 1, 1, 1]);
        assert_eq!(stock.remaining(), 1, "four seat-legs of four legs");
    }

    #[test]
    fn whoever_is_called_may_take_any_seat_on_the_way() {
        let mut stock = Stock::default();
        stock.learn(vec![seated(&[(0, 4), (0, 4)], &[(0, 4), (0, 4)], &[(0, 1, 1)])]);
        assert!(stock.fits(&ride(2, 1, 4)), "who is in flight gets off before");
        assert!(stock.fits(&ride(1, 0, 2)) && !stock.fits(&ride(2, 0, 2)));
        stock.take(&ride(1, 0, 4));
        assert!(!stock.fits(&ride(1, 0, 2)) && stock.fits(&ride(1, 1, 4)));
        assert_eq!(stock.remaining(), 1, "three seat-legs are left");
        stock.put_back(&ride(1, 0, 4));
        assert!(stock.fits(&ride(1, 0, 2)));
    }

    #[test]
    fn a_basket_fits_whole_or_not_at_all() {
        let mut stock = Stock::default();
        stock.learn(vec![level("a", 2, 0, 0), level("b", 0, 3, 0)]);
        assert!(stock.fits(&basket(&[("a", 2)])));
        assert!(!stock.fits(&basket(&[("a", 3)])));
        assert!(!stock.fits(&basket(&[("a", 1), ("b", 1)])));
        assert!(stock.may_come_to_fit(&basket(&[("a", 2), ("b", 3)])));
        assert!(!stock.may_come_to_fit(&basket(&[("b", 4)])));
        assert!(!stock.may_come_to_fit(&basket(&[("unknown", 1)])));
    }

    #[test]
    fn more_called_than_available_is_nothing_free() {
        let mut stock = Stock::default();
        stock.learn(vec![level("a", 1, 0, 7), level("b", 2, 0, 0)]);
        assert_eq!(stock.remaining(), 2, "what one SKU lacks is not taken from another");
        assert!(!stock.is_gone());
        stock.learn(vec![level("a", 0, 0, 7), level("b", 0, 0, 0)]);
        assert!(stock.is_gone());
    }
}
