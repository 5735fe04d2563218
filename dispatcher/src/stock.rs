//! What can be sold, as this speaker knows it: the gate's last levels, less what was called since. Pure.
//!
//! Nobody else calls entries of the sale, so between two readings only this speaker takes from what is free; what others
//! give back is seen at the next reading. Reckoning here is therefore never above the gate's own.

use std::collections::BTreeMap;

use sluice_core::{
    basket::Basket,
    ids::SkuId,
    ports::{SkuLevel, StockBalance},
};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Stock {
    skus: BTreeMap<SkuId, Level>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Level {
    available: u64,
    held: u64,
    in_flight: u64,
}

impl Level {
    fn free(self) -> u64 {
        self.available.saturating_sub(self.in_flight)
    }
}

impl Stock {
    /// Replaces everything by what the gate says. Read it when no call to the line is under way.
    pub(crate) fn learn(&mut self, levels: Vec<SkuLevel>) {
        self.skus = levels
            .into_iter()
            .map(|level| {
                let SkuLevel { sku, available, held, in_flight } = level;
                (sku, Level { available, held, in_flight })
            })
            .collect();
    }

    /// The same where the shop settles: what it last said is left, from the ledger; what is in flight, from the gate. Goods
    /// in flight may come back like held ones: the line does not end while the shop has not said what became of them.
    pub(crate) fn learn_from_shop(&mut self, balances: Vec<StockBalance>, levels: &[SkuLevel]) {
        let in_flight: BTreeMap<&SkuId, u64> =
            levels.iter().map(|level| (&level.sku, level.in_flight)).collect();
        self.skus = balances
            .into_iter()
            .map(|balance| {
                let in_flight = in_flight.get(&balance.sku).copied().unwrap_or_default();
                let held = balance.held.saturating_add(in_flight);
                (balance.sku, Level { available: balance.available, held, in_flight })
            })
            .collect();
    }

    /// Units that can be sold now and that nobody called wants.
    pub(crate) fn remaining(&self) -> u64 {
        self.skus.values().map(|level| level.free()).sum()
    }

    /// The same, per SKU.
    pub(crate) fn free(&self) -> impl Iterator<Item = (&SkuId, u64)> {
        self.skus.iter().map(|(sku, level)| (sku, level.free()))
    }

    /// Units held and not paid.
    pub(crate) fn unpaid(&self) -> u64 {
        self.skus.values().map(|level| level.held).sum()
    }

    /// Whether there is nothing left that is sold now or may come back from a hold.
    pub(crate) fn is_gone(&self) -> bool {
        self.skus.values().all(|level| level.available == 0 && level.held == 0)
    }

    /// Whether a basket could be served now.
    pub(crate) fn fits(&self, basket: &Basket) -> bool {
        self.all(basket, Level::free)
    }

    /// Whether a basket could be served if everything called and everything held were given back.
    pub(crate) fn may_come_to_fit(&self, basket: &Basket) -> bool {
        self.all(basket, |level| level.available.saturating_add(level.held))
    }

    /// Reckons a basket as called.
    pub(crate) fn take(&mut self, basket: &Basket) {
        for item in basket.items() {
            if let Some(level) = self.skus.get_mut(&item.sku) {
                level.in_flight = level.in_flight.saturating_add(item.quantity.into());
            }
        }
    }

    /// Takes back a [`Stock::take`]: the entry was not called after all.
    pub(crate) fn put_back(&mut self, basket: &Basket) {
        for item in basket.items() {
            if let Some(level) = self.skus.get_mut(&item.sku) {
                level.in_flight = level.in_flight.saturating_sub(item.quantity.into());
            }
        }
    }

    fn all(&self, basket: &Basket, units: impl Fn(Level) -> u64) -> bool {
        basket.items().iter().all(|item| {
            let level = self.skus.get(&item.sku).copied().unwrap_or_default();
            u64::from(item.quantity) <= units(level)
        })
    }
}

#[cfg(test)]
mod tests {
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
