//! What is in flight: the units that called entries want and no worker has reserved for yet, per SKU; and of seated SKUs the
//! passengers, per stretch.

use std::collections::{BTreeMap, HashMap};

use sluice_core::{basket::Basket, ids::SkuId, seats::Stretch};

#[derive(Debug, Default)]
pub(super) struct Flight {
    units: HashMap<SkuId, u64>,
    passengers: HashMap<SkuId, BTreeMap<Stretch, u32>>,
}

impl Flight {
    pub(super) fn add(&mut self, basket: &Basket) {
        for item in basket.items() {
            *self.units.entry(item.sku.clone()).or_default() += item.units();
            if let Some(stretch) = item.stretch {
                let stretches = self.passengers.entry(item.sku.clone()).or_default();
                *stretches.entry(stretch).or_default() += item.quantity;
            }
        }
    }

    pub(super) fn take(&mut self, basket: &Basket) {
        for item in basket.items() {
            if let Some(units) = self.units.get_mut(&item.sku) {
                *units = units.saturating_sub(item.units());
            }
            let stretches = item.stretch.zip(self.passengers.get_mut(&item.sku));
            if let Some((stretch, stretches)) = stretches
                && let Some(passengers) = stretches.get_mut(&stretch)
            {
                *passengers = passengers.saturating_sub(item.quantity);
                if *passengers == 0 {
                    stretches.remove(&stretch);
                }
            }
        }
    }

    pub(super) fn of(&self, sku: &SkuId) -> u64 {
        self.units.get(sku).copied().unwrap_or_default()
    }

    pub(super) fn passengers(&self, sku: &SkuId) -> Vec<(Stretch, u32)> {
        let stretches = self.passengers.get(sku);
        stretches.map_or_else(Vec::new, |known| known.iter().map(|(s, n)| (*s, *n)).collect())
    }
}
