//! The stock of one sale as its gate counts it: levels per SKU, seats, and what became of each hold. A state machine without
//! I/O; the stock gate's port is its shell.

use std::collections::{BTreeMap, HashMap, VecDeque};

use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    ids::{Epoch, HoldId, SkuId},
    ports::{
        GateHold, GateImage, HoldPhase, HoldUpdate, PortError, PortResult, Reserved, Restock,
        SeatsSold, Want,
    },
    seats::SeatCounts,
};

use super::seats::Seats;

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
    /// When it was set aside, or its gate rebuilt.
    since: UnixMillis,
}

/// Where a hold's units stand in the levels.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Counted {
    /// Nowhere by themselves: they were given back, or the image counts them.
    Nowhere,
    Held,
    Sold,
}

/// See the module.
#[derive(Debug)]
pub(in crate::embedded) struct Stock {
    epoch: Epoch,
    /// The last movement that the image has seen.
    moved: u64,
    levels: BTreeMap<SkuId, Level>,
    seats: Seats,
    holds: HashMap<HoldId, Hold>,
    /// Holds that are sold or released, oldest first; may name some that are held again.
    over: VecDeque<HoldId>,
    over_max: usize,
}

impl Stock {
    /// The stock of the ledger's image.
    pub(in crate::embedded) fn new(
        epoch: Epoch,
        image: GateImage,
        over_max: usize,
        now: UnixMillis,
    ) -> Self {
        let mut stock = Self {
            epoch,
            moved: 0,
            levels: BTreeMap::new(),
            seats: Seats::default(),
            holds: HashMap::new(),
            over: VecDeque::new(),
            over_max,
        };
        stock.take_in(image, now);
        stock
    }

    /// Replaces what was known by the ledger's image, but for words that came after it.
    pub(in crate::embedded) fn rebuild(
        &mut self,
        epoch: Epoch,
        image: GateImage,
        now: UnixMillis,
    ) -> PortResult<()> {
        if epoch < self.epoch {
            return Err(PortError::Fenced);
        }
        self.epoch = epoch;
        self.levels.clear();
        // A reservation that the ledger has not recorded is gone.
        self.holds.retain(|_, hold| hold.movement > 0 || hold.phase == HoldPhase::Released);
        self.take_in(image, now);
        Ok(())
    }

    fn take_in(&mut self, image: GateImage, since: UnixMillis) {
        self.moved = image.moved;
        for (sku, total, sold) in image.skus {
            self.levels.insert(sku, Level { total, held: 0, sold });
        }
        self.seats = Seats::of_image(image.seats);
        let known = std::mem::take(&mut self.holds);
        for held in image.holds {
            let (phase, counted) = (HoldPhase::Held, Counted::Held);
            let (movement, basket) = (held.movement, held.basket);
            self.put(held.hold, Hold { phase, movement, basket, counted, since });
        }
        for (id, Hold { phase, movement, basket, .. }) in known {
            let listed = self.holds.get(&id).is_some_and(|listed| movement <= listed.movement);
            if !listed {
                let (now, counted) = self.standing(phase, movement);
                self.put(id, Hold { phase: now, movement, basket, counted, since });
                if now != phase {
                    self.remember(id);
                }
            }
        }
    }

    /// All of a demand, or nothing of it.
    pub(in crate::embedded) fn reserve(&mut self, want: &Want, now: UnixMillis) -> Reserved {
        if let Some(known) = self.holds.get(&want.hold) {
            return match known.phase {
                HoldPhase::Held if known.basket.is_seated() => {
                    Reserved::Seated(known.basket.clone())
                }
                HoldPhase::Held => Reserved::Held,
                HoldPhase::Sold | HoldPhase::Released => Reserved::Over,
            };
        }
        let there = want.basket.items().iter().all(|item| {
            let level = self.levels.get(&item.sku).copied().unwrap_or_default();
            level.available() >= item.units()
        });
        if !there {
            return Reserved::Short;
        }
        let Some(basket) = want.basket.seated(self.seats.maps()) else { return Reserved::Short };
        let reply =
            if basket.is_seated() { Reserved::Seated(basket.clone()) } else { Reserved::Held };
        let (phase, movement) = (HoldPhase::Held, 0);
        self.set(HoldUpdate { hold: want.hold, movement, phase, basket }, now);
        reply
    }

    /// Sets a hold to what the ledger says of it, unless that word or a later one was heard.
    pub(in crate::embedded) fn set(&mut self, word: HoldUpdate, now: UnixMillis) {
        let HoldUpdate { hold: id, movement, phase, basket } = word;
        let heard = self.holds.get(&id).is_some_and(|known| {
            movement < known.movement
                || movement == known.movement && (movement > 0 || phase == known.phase)
        });
        if heard {
            return;
        }
        let (phase, counted) = self.standing(phase, movement);
        let since = self.holds.get(&id).map_or(now, |known| known.since);
        self.put(id, Hold { phase, movement, basket, counted, since });
        if phase != HoldPhase::Held {
            self.remember(id);
        }
    }

    pub(in crate::embedded) fn restock(&mut self, restock: &Restock) {
        let level = self.levels.entry(restock.sku.clone()).or_default();
        level.total = level.total.max(restock.total);
        if let Some(SeatsSold { moved, image }) = &restock.seats
            && *moved >= self.moved
        {
            let later = self
                .holds
                .values()
                .filter(|hold| hold.phase == HoldPhase::Sold && hold.movement > *moved);
            let later = later.flat_map(|hold| hold.basket.passengers());
            self.seats.free_unsold(image, later);
        }
    }

    /// SKU, available, held; in the order of ids.
    pub(in crate::embedded) fn levels(&self) -> impl Iterator<Item = (&SkuId, u64, u64)> {
        self.levels.iter().map(|(sku, level)| (sku, level.available(), level.held))
    }

    /// At most `limit` of what is held, in the order of ids, beyond `after`.
    pub(in crate::embedded) fn held(
        &self,
        after: Option<HoldId>,
        limit: usize,
        now: UnixMillis,
    ) -> Vec<GateHold> {
        let beyond = |id: HoldId| after.is_none_or(|after| id > after);
        let held =
            self.holds.iter().filter(|(id, hold)| hold.phase == HoldPhase::Held && beyond(**id));
        let mut ids: Vec<HoldId> = held.map(|(id, _)| *id).collect();
        if ids.len() > limit {
            ids.select_nth_unstable(limit);
            ids.truncate(limit);
        }
        ids.sort_unstable();
        let hold = |id: HoldId| {
            let Hold { movement, basket, since, .. } = self.holds.get(&id)?;
            let (movement, age) = (*movement, now.since(*since));
            Some(GateHold { hold: id, movement, basket: basket.clone(), age })
        };
        ids.into_iter().filter_map(hold).collect()
    }

    /// Of a seated SKU, how many seats are free over each stretch, and how many are not sold.
    pub(in crate::embedded) fn seats(&self, sku: &SkuId) -> Option<(SeatCounts, SeatCounts)> {
        self.seats.counts(sku)
    }

    /// How a hold stands by a word that the image does not list. If the image has seen the word, the hold was over by then:
    /// whether sold or released, the image counts it.
    fn standing(&self, phase: HoldPhase, movement: u64) -> (HoldPhase, Counted) {
        match phase {
            HoldPhase::Held if (1..=self.moved).contains(&movement) => {
                (HoldPhase::Released, Counted::Nowhere)
            }
            HoldPhase::Sold if (1..=self.moved).contains(&movement) => (phase, Counted::Nowhere),
            HoldPhase::Held => (phase, Counted::Held),
            HoldPhase::Sold => (phase, Counted::Sold),
            HoldPhase::Released => (phase, Counted::Nowhere),
        }
    }

    /// Puts a hold in the place of what was known of it.
    fn put(&mut self, id: HoldId, hold: Hold) {
        if let Some(known) = self.holds.remove(&id) {
            self.count(&known.basket, known.counted, Counted::Nowhere);
        }
        self.count(&hold.basket, Counted::Nowhere, hold.counted);
        self.holds.insert(id, hold);
    }

    /// Moves a hold's units between the columns of the levels.
    fn count(&mut self, basket: &Basket, from: Counted, to: Counted) {
        for item in basket.items() {
            let units = item.units();
            let Some(level) = self.levels.get_mut(&item.sku) else { continue };
            match from {
                Counted::Nowhere => {}
                Counted::Held => level.held = level.held.saturating_sub(units),
                Counted::Sold => level.sold = level.sold.saturating_sub(units),
            }
            match to {
                Counted::Nowhere => {}
                Counted::Held => level.held += units,
                Counted::Sold => level.sold += units,
            }
        }
        for passenger in basket.passengers() {
            self.seats.count(passenger, from, to);
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

#[cfg(test)]
mod tests;
