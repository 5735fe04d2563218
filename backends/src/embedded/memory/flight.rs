//! What is in flight: the units that called entries want and no worker has reserved for yet, per SKU.

use std::collections::HashMap;

use sluice_core::{basket::Basket, ids::SkuId};

#[derive(Debug, Default)]
pub(super) struct Flight(HashMap<SkuId, u64>);

impl Flight {
    pub(super) fn add(&mut self, basket: &Basket) {
        for item in basket.items() {
            *self.0.entry(item.sku.clone()).or_default() += u64::from(item.quantity);
        }
    }

    pub(super) fn take(&mut self, basket: &Basket) {
        for item in basket.items() {
            if let Some(units) = self.0.get_mut(&item.sku) {
                *units = units.saturating_sub(u64::from(item.quantity));
            }
        }
    }

    pub(super) fn of(&self, sku: &SkuId) -> u64 {
        self.0.get(sku).copied().unwrap_or_default()
    }
}
