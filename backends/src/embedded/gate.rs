//! The stock gate in memory. It is cold after a start until it is rebuilt from the ledger.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_core::{
    ids::{Epoch, SaleId},
    ports::{GateImage, HoldUpdate, PortResult, Reserved, Restock, SkuLevel, StockGate, Want},
};

use super::memory::{Memory, Stock};

/// See the module.
#[derive(Debug)]
pub(super) struct MemoryGate {
    memory: Arc<Memory>,
}

impl MemoryGate {
    pub(super) fn new(memory: Arc<Memory>) -> Self {
        Self { memory }
    }
}

#[async_trait]
impl StockGate for MemoryGate {
    async fn rebuild(&self, sale: &SaleId, epoch: Epoch, image: GateImage) -> PortResult<()> {
        let most = self.memory.remembered.holds_over_max;
        self.memory.with(sale, |memory| match memory.gate.as_mut() {
            Some(stock) => stock.rebuild(epoch, image),
            None => {
                memory.gate = Some(Stock::new(epoch, image, most));
                Ok(())
            }
        })
    }

    async fn reserve(&self, sale: &SaleId, wants: &[Want]) -> PortResult<Vec<Reserved>> {
        self.memory.known(sale, |memory| {
            let stock = memory.gate()?;
            let replies = wants.iter().map(|want| stock.reserve(want)).collect();
            wants.iter().for_each(|want| memory.work(want.entry));
            Ok(replies)
        })
    }

    async fn set(&self, sale: &SaleId, updates: &[HoldUpdate]) -> PortResult<()> {
        self.memory.known(sale, |memory| {
            let stock = memory.gate()?;
            updates.iter().for_each(|word| stock.set(word.clone()));
            Ok(())
        })
    }

    async fn restock(&self, sale: &SaleId, restock: &Restock) -> PortResult<()> {
        self.memory.known(sale, |memory| {
            memory.gate()?.restock(restock);
            Ok(())
        })
    }

    async fn levels(&self, sale: &SaleId) -> PortResult<Vec<SkuLevel>> {
        self.memory.known(sale, |memory| {
            let line = memory.line.as_ref();
            let stock = memory.gate.as_ref().ok_or(sluice_core::ports::PortError::Cold)?;
            let level = |(sku, available, held): (&sluice_core::ids::SkuId, u64, u64)| SkuLevel {
                sku: sku.clone(),
                available,
                held,
                in_flight: line.map_or(0, |line| line.in_flight(sku)),
            };
            Ok(stock.levels().map(level).collect())
        })
    }

    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        self.memory.forget(sale, |memory| memory.gate = None);
        Ok(())
    }
}
