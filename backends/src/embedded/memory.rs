//! What the line and the stock gate know of each sale: one struct behind one lock, because they share what is in flight.
//! All of it can be lost; the journal and the ledger do not forget.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use foldhash::fast::RandomState;
use sluice_core::{
    ids::{EntryId, SaleId},
    ports::{PortError, PortResult},
};

use super::sync::locked;

mod fifo;
mod flight;
mod places;
mod seats;
mod stock;

use fifo::Fifo;
pub(super) use places::{Known, Places};
pub(super) use stock::Stock;

/// Most entries kept that a worker reserved for before the line had heard of them; the oldest are forgotten first, and
/// then count as in flight until they are settled.
const WORKED_MAX: usize = 65_536;

/// How much of what is over is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    /// Settled places whose buyer is free; the oldest are forgotten first, the ledger knows them.
    pub(super) settled_places_max: usize,
    /// Holds that were sold or released; the oldest are forgotten first, the ledger knows them.
    pub(super) holds_over_max: usize,
}

/// One sale. A part is `None` while it is cold.
#[derive(Debug, Default)]
pub(super) struct SaleMemory {
    pub(super) line: Option<Places>,
    pub(super) gate: Option<Stock>,
    /// Entries a worker reserved for before the line knew them: a late call must not put them in flight.
    worked: Fifo<EntryId, ()>,
}

impl SaleMemory {
    /// The line, or `Cold`.
    pub(super) fn line(&mut self) -> PortResult<&mut Places> {
        self.line.as_mut().ok_or(PortError::Cold)
    }

    /// The gate, or `Cold`.
    pub(super) fn gate(&mut self) -> PortResult<&mut Stock> {
        self.gate.as_mut().ok_or(PortError::Cold)
    }

    /// A worker has the entry in hand: what it wants is no longer in flight, now or when its call comes late.
    pub(super) fn work(&mut self, entry: EntryId) {
        let known = self.line.as_mut().is_some_and(|line| line.work(entry));
        if !known {
            self.worked.insert(entry, (), WORKED_MAX);
        }
    }

    /// Whether a worker had the entry in hand before the line knew it.
    pub(super) fn was_worked(&self, entry: EntryId) -> bool {
        self.worked.get(&entry).is_some()
    }
}

/// Every sale.
#[derive(Debug)]
pub(super) struct Memory {
    sales: Mutex<HashMap<SaleId, Arc<Mutex<SaleMemory>>, RandomState>>,
    pub(super) remembered: Remembered,
}

impl Memory {
    pub(super) fn new(remembered: Remembered) -> Self {
        Self { sales: Mutex::default(), remembered }
    }

    /// Looks at a sale; makes room for one that was never heard of.
    pub(super) fn with<T>(&self, sale: &SaleId, look: impl FnOnce(&mut SaleMemory) -> T) -> T {
        let memory = Arc::clone(locked(&self.sales).entry(sale.clone()).or_default());
        look(&mut locked(&memory))
    }

    /// Looks at a sale that has been heard of. `Cold` otherwise: whoever asks for sales that do not exist takes no room.
    pub(super) fn known<T>(
        &self,
        sale: &SaleId,
        look: impl FnOnce(&mut SaleMemory) -> PortResult<T>,
    ) -> PortResult<T> {
        let memory = locked(&self.sales).get(sale).cloned().ok_or(PortError::Cold)?;
        look(&mut locked(&memory))
    }

    /// Forgets a part of a sale, and the whole of it once both parts are forgotten.
    pub(super) fn forget(&self, sale: &SaleId, part: impl FnOnce(&mut SaleMemory)) {
        let mut sales = locked(&self.sales);
        let Some(memory) = sales.get(sale).cloned() else { return };
        let mut memory = locked(&memory);
        part(&mut memory);
        if memory.line.is_none() && memory.gate.is_none() {
            sales.remove(sale);
        }
    }
}
