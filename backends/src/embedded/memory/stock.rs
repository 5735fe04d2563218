//! The stock of one sale as its gate counts it: levels per SKU, and what became of each hold. A state machine without
//! I/O; the stock gate's port is its shell.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sluice_core::{
    basket::Basket,
    ids::{Epoch, HoldId, SkuId},
    ports::{GateImage, HoldPhase, HoldUpdate, PortError, PortResult, Reserved, Restock, Want},
};

/// Units of one SKU. Held and sold may exceed the total for a while, when the ledger says so.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    total: u64,
    held: u64,
    sold: u64,
}

impl Level {
    fn available(self) -> u64 {
        self.total.saturating_sub(self.held).saturating_sub(self.sold)
    }
}

/// What became of a hold, by the highest word heard of it.
#[derive(Debug)]
struct Hold {
    phase: HoldPhase,
    /// 0 until the ledger has spoken.
    movement: u64,
    basket: Basket,
    counted: Counted,
}

/// Where a hold's units stand in the levels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Counted {
    Nowhere,
    Held,
    Sold,
    /// The ledger's image was read after it was over: the levels count it already, wherever it went.
    ByImage,
}

/// See the module.
#[derive(Debug)]
pub(in crate::embedded) struct Stock {
    epoch: Epoch,
    levels: BTreeMap<SkuId, Level>,
    holds: HashMap<HoldId, Hold>,
    /// Holds that are sold or released, oldest first; may name some that are held again.
    over: VecDeque<HoldId>,
    over_max: usize,
}

impl Stock {
    /// The stock of the ledger's image.
    pub(in crate::embedded) fn new(epoch: Epoch, image: GateImage, over_max: usize) -> Self {
        let mut stock = Self {
            epoch,
            levels: BTreeMap::new(),
            holds: HashMap::new(),
            over: VecDeque::new(),
            over_max,
        };
        stock.take_in(image);
        stock
    }

    /// Replaces what was known by the ledger's image, but for words that came after it.
    pub(in crate::embedded) fn rebuild(
        &mut self,
        epoch: Epoch,
        image: GateImage,
    ) -> PortResult<()> {
        if epoch < self.epoch {
            return Err(PortError::Fenced);
        }
        self.epoch = epoch;
        self.levels.clear();
        // A hold that is over by the image is in the image's levels; one that the ledger never recorded is gone.
        self.holds.retain(|_, hold| {
            hold.counted = Counted::ByImage;
            hold.movement > 0 || hold.phase == HoldPhase::Released
        });
        self.take_in(image);
        let mut missing: Vec<HoldId> = self
            .holds
            .iter()
            .filter(|(_, hold)| hold.phase == HoldPhase::Held && hold.counted == Counted::ByImage)
            .map(|(id, _)| *id)
            .collect();
        missing.sort_unstable();
        for id in missing {
            self.end(id);
        }
        Ok(())
    }

    fn take_in(&mut self, image: GateImage) {
        for (sku, total, sold) in image.skus {
            self.levels.insert(sku, Level { total, held: 0, sold });
        }
        for held in image.holds {
            let (hold, movement, basket) = (held.hold, held.movement, held.basket);
            // What was heard of it after the image was read stands above the image.
            let (phase, movement) = match self.holds.get(&hold) {
                Some(known) if known.movement > movement => (known.phase, known.movement),
                _ => (HoldPhase::Held, movement),
            };
            self.holds.remove(&hold);
            self.set(HoldUpdate { hold, movement, phase, basket });
        }
    }

    /// All of a demand, or nothing of it.
    pub(in crate::embedded) fn reserve(&mut self, want: &Want) -> Reserved {
        match self.holds.get(&want.hold).map(|hold| hold.phase) {
            Some(HoldPhase::Held) => return Reserved::Held,
            Some(HoldPhase::Sold | HoldPhase::Released) => return Reserved::Over,
            None => {}
        }
        let there = want.basket.items().iter().all(|item| {
            let level = self.levels.get(&item.sku).copied().unwrap_or_default();
            level.available() >= u64::from(item.quantity)
        });
        if !there {
            return Reserved::Short;
        }
        let (phase, movement, basket) = (HoldPhase::Held, 0, want.basket.clone());
        self.set(HoldUpdate { hold: want.hold, movement, phase, basket });
        Reserved::Held
    }

    /// Sets a hold to what the ledger says of it, unless a later word was heard.
    pub(in crate::embedded) fn set(&mut self, word: HoldUpdate) {
        let (id, phase) = (word.hold, word.phase);
        let known = self.holds.remove(&id);
        let heard = known.as_ref().map(|hold| (hold.movement, hold.phase));
        let known = match (known, heard) {
            (Some(known), Some((movement, said)))
                if word.movement < movement || (word.movement, phase) == (movement, said) =>
            {
                self.holds.insert(id, known);
                return;
            }
            (known, _) => known,
        };
        let mut counted = counted_as(phase);
        if let Some(known) = known {
            self.count(&known.basket, known.counted, Counted::Nowhere);
            if known.counted == Counted::ByImage && phase != HoldPhase::Held {
                counted = Counted::ByImage;
            }
        }
        self.count(&word.basket, Counted::Nowhere, counted);
        let hold = Hold { phase, movement: word.movement, basket: word.basket, counted };
        self.holds.insert(id, hold);
        if phase != HoldPhase::Held {
            self.remember(id);
        }
    }

    pub(in crate::embedded) fn restock(&mut self, restock: &Restock) {
        let level = self.levels.entry(restock.sku.clone()).or_default();
        level.total = level.total.max(restock.total);
    }

    /// SKU, available, held; in the order of ids.
    pub(in crate::embedded) fn levels(&self) -> impl Iterator<Item = (&SkuId, u64, u64)> {
        self.levels.iter().map(|(sku, level)| (sku, level.available(), level.held))
    }

    /// The image no longer holds it: it was sold or released, we do not know which.
    fn end(&mut self, id: HoldId) {
        if let Some(hold) = self.holds.get_mut(&id) {
            hold.phase = HoldPhase::Released;
            self.remember(id);
        }
    }

    /// Moves a hold's units between the columns of the levels.
    fn count(&mut self, basket: &Basket, from: Counted, to: Counted) {
        for item in basket.items() {
            let units = u64::from(item.quantity);
            let Some(level) = self.levels.get_mut(&item.sku) else { continue };
            match from {
                Counted::Nowhere | Counted::ByImage => {}
                Counted::Held => level.held = level.held.saturating_sub(units),
                Counted::Sold => level.sold = level.sold.saturating_sub(units),
            }
            match to {
                Counted::Nowhere | Counted::ByImage => {}
                Counted::Held => level.held += units,
                Counted::Sold => level.sold += units,
            }
        }
    }

    fn remember(&mut self, id: HoldId) {
        self.over.push_back(id);
        while self.over.len() > self.over_max {
            if let Some(oldest) = self.over.pop_front() {
                let over =
                    self.holds.get(&oldest).is_some_and(|hold| hold.phase != HoldPhase::Held);
                if over {
                    self.holds.remove(&oldest);
                }
            }
        }
    }
}

fn counted_as(phase: HoldPhase) -> Counted {
    match phase {
        HoldPhase::Held => Counted::Held,
        HoldPhase::Sold => Counted::Sold,
        HoldPhase::Released => Counted::Nowhere,
    }
}

#[cfg(test)]
mod tests;
