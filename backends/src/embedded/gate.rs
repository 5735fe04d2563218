//! The stock gate in memory. It is cold after a start until it is rebuilt from the ledger.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_core::{
    clock::Clock,
    ids::{Epoch, HoldId, SaleId, SkuId},
    ports::{
        GateHolds, GateImage, HoldUpdate, HoldsPlace, PortError, PortResult, Reserved, Restock,
        SeatLevel, SkuLevel, StockGate, Want,
    },
};

use super::memory::{Memory, Stock};

/// Holds in one page.
const PAGE_HOLDS: usize = 4_096;

/// See the module.
#[derive(Debug)]
pub(super) struct MemoryGate {
    memory: Arc<Memory>,
    clock: Arc<dyn Clock>,
}

impl MemoryGate {
    pub(super) fn new(memory: Arc<Memory>, clock: Arc<dyn Clock>) -> Self {
        Self { memory, clock }
    }
}

#[async_trait]
impl StockGate for MemoryGate {
    async fn rebuild(&self, sale: &SaleId, epoch: Epoch, image: GateImage) -> PortResult<()> {
        let (most, now) = (self.memory.remembered.holds_over_max, self.clock.now());
        self.memory.with(sale, |memory| match memory.gate.as_mut() {
            Some(stock) => stock.rebuild(epoch, image, now),
            None => {
                memory.gate = Some(Stock::new(epoch, image, most, now));
                Ok(())
            }
        })
    }

    async fn reserve(&self, sale: &SaleId, wants: &[Want]) -> PortResult<Vec<Reserved>> {
        let now = self.clock.now();
        self.memory.known(sale, |memory| {
            let stock = memory.gate()?;
            let replies = wants.iter().map(|want| stock.reserve(want, now)).collect();
            wants.iter().for_each(|want| memory.work(want.entry));
            Ok(replies)
        })
    }

    async fn set(&self, sale: &SaleId, updates: &[HoldUpdate]) -> PortResult<()> {
        let now = self.clock.now();
        self.memory.known(sale, |memory| {
            let stock = memory.gate()?;
            updates.iter().for_each(|word| stock.set(word.clone(), now));
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
            let stock = memory.gate.as_ref().ok_or(PortError::Cold)?;
            let level = |(sku, available, held): (&SkuId, u64, u64)| SkuLevel {
                sku: sku.clone(),
                available,
                held,
                in_flight: line.map_or(0, |line| line.in_flight(sku)),
                seats: stock.seats(sku).map(|(free, unsold)| SeatLevel {
                    free,
                    unsold,
                    in_flight: line.map_or_else(Vec::new, |line| line.passengers_in_flight(sku)),
                }),
            };
            Ok(stock.levels().map(level).collect())
        })
    }

    async fn holds(&self, sale: &SaleId, from: Option<&HoldsPlace>) -> PortResult<GateHolds> {
        let after = from.map(|HoldsPlace(place)| HoldId::from_bytes(place_bytes(place)));
        let now = self.clock.now();
        self.memory.known(sale, |memory| {
            let holds = memory.gate()?.held(after, PAGE_HOLDS, now);
            let last = holds.last().filter(|_| holds.len() == PAGE_HOLDS);
            let next = last.map(|last| HoldsPlace(last.hold.as_bytes().to_vec()));
            Ok(GateHolds { holds, next })
        })
    }

    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        self.memory.forget(sale, |memory| memory.gate = None);
        Ok(())
    }
}

/// A place of ours is the bytes of a hold; any other is before all of them.
fn place_bytes(place: &[u8]) -> [u8; 16] {
    place.try_into().unwrap_or_default()
}
