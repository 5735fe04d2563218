//! A random walk over the stock gate beside a simple count: whatever comes in whatever order, the gate's answers and
//! levels are those of the count. And one beside a ledger whose words come late, again, in any order, and among rebuilds.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeMap, sync::Arc};

use super::{
    House,
    gate::{stocked, want},
    samples::*,
};
use crate::{
    basket::Basket,
    ids::{Epoch, HoldId, SaleId},
    ports::{GateImage, HeldStock, HoldPhase, HoldUpdate, Reserved, Restock, StockGate, Want},
    random::Random,
};

#[macro_export]
macro_rules! gate_walk_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            gate_walk:
            a_random_walk_is_counted_as_it_should_be,
            words_and_rebuilds_in_any_order_come_to_the_ledgers_count,
        );
    };
}

const STEPS: usize = 400;
const WALKS: u64 = 4;
const NAMES: [&str; 2] = ["a", "b"];

/// What the gate should know.
#[derive(Default)]
struct Count {
    totals: BTreeMap<&'static str, u64>,
    /// By hold: its phase, the ledger's number of it (`None` before the ledger's first word), and what it is of.
    holds: BTreeMap<HoldId, (HoldPhase, Option<u64>, Basket)>,
}

impl Count {
    fn sum(&self, name: &str, phase: HoldPhase) -> u64 {
        let holds = self.holds.values().filter(|(now, ..)| *now == phase);
        let items = holds.flat_map(|(.., basket)| basket.items());
        items.filter(|item| item.sku == sku(name)).map(|item| u64::from(item.quantity)).sum()
    }

    fn available(&self, name: &str) -> u64 {
        let taken = self.sum(name, HoldPhase::Held) + self.sum(name, HoldPhase::Sold);
        self.totals[name].saturating_sub(taken)
    }

    fn reserve(&mut self, want: &Want) -> Reserved {
        match self.holds.get(&want.hold) {
            Some((HoldPhase::Held, ..)) => return Reserved::Held,
            Some((HoldPhase::Sold | HoldPhase::Released, ..)) => return Reserved::Over,
            None => {}
        }
        let items = want.basket.items();
        if items.iter().any(|item| self.available(item.sku.as_str()) < item.quantity.into()) {
            return Reserved::Short;
        }
        self.holds.insert(want.hold, (HoldPhase::Held, None, want.basket.clone()));
        Reserved::Held
    }

    fn set(&mut self, word: &HoldUpdate) {
        let heard = self.holds.get(&word.hold).and_then(|(_, movement, _)| *movement);
        if heard.is_none_or(|heard| heard < word.movement) {
            let now = (word.phase, Some(word.movement), word.basket.clone());
            self.holds.insert(word.hold, now);
        }
    }
}

/// One walk: the wants it knows and the ledger's numbers so far.
struct Walk {
    gate: Arc<dyn StockGate>,
    sale: SaleId,
    random: Random,
    count: Count,
    wants: Vec<Want>,
    words: Vec<HoldUpdate>,
}

impl Walk {
    fn draw(&self, below: usize) -> usize {
        usize::try_from(self.random.below(below as u64)).unwrap()
    }

    fn some_want(&mut self) -> Want {
        if self.wants.is_empty() || self.draw(3) == 0 {
            let quantity = |walk: &Self| u32::try_from(walk.draw(3) + 1).unwrap();
            let (a, b) = (("a", quantity(self)), ("b", quantity(self)));
            let items = match self.draw(3) {
                0 => vec![a],
                1 => vec![b],
                _ => vec![a, b],
            };
            self.wants.push(want(&items));
        }
        self.wants[self.draw(self.wants.len())].clone()
    }

    /// A word of the ledger: often a new one, at times an old one again.
    fn some_word(&mut self) -> HoldUpdate {
        if !self.words.is_empty() && self.draw(3) == 0 {
            return self.words[self.draw(self.words.len())].clone();
        }
        let want = self.some_want();
        if self.draw(6) == 0 {
            return HoldUpdate::unrecorded(want.hold, want.basket);
        }
        let phase = [HoldPhase::Held, HoldPhase::Released, HoldPhase::Sold][self.draw(3)];
        let movement = self.words.len() as u64 + 1;
        let word = HoldUpdate { hold: want.hold, movement, phase, basket: want.basket };
        self.words.push(word.clone());
        word
    }

    async fn step(&mut self) {
        match self.draw(10) {
            0 => {
                let (name, more) = (NAMES[self.draw(2)], self.draw(20) as u64);
                // At times less than there is: an older restock.
                let total = (self.count.totals[name] + more).saturating_sub(8);
                let restock = Restock { sku: sku(name), total, seats: None };
                self.gate.restock(&self.sale, &restock).await.unwrap();
                let known = self.count.totals.get_mut(name).unwrap();
                *known = total.max(*known);
            }
            1..=4 => {
                let words: Vec<HoldUpdate> = (0..=self.draw(2)).map(|_| self.some_word()).collect();
                self.gate.set(&self.sale, &words).await.unwrap();
                words.iter().for_each(|word| self.count.set(word));
            }
            _ => {
                let wants: Vec<Want> = (0..=self.draw(4)).map(|_| self.some_want()).collect();
                let replies = self.gate.reserve(&self.sale, &wants).await.unwrap();
                let due: Vec<Reserved> =
                    wants.iter().map(|want| self.count.reserve(want)).collect();
                assert_eq!(replies, due, "{wants:?}");
            }
        }
    }

    async fn look(&self, step: usize) {
        let levels = self.gate.levels(&self.sale).await.unwrap();
        for (level, name) in levels.iter().zip(NAMES) {
            let due = (self.count.available(name), self.count.sum(name, HoldPhase::Held));
            assert_eq!((level.available, level.held), due, "step {step}, {name}");
        }
    }
}

pub async fn a_random_walk_is_counted_as_it_should_be(
    house: impl House<Port = Arc<dyn StockGate>>,
) {
    let gate = house.port();
    for seed in 0..WALKS {
        let sale = stocked(&*gate, &[("a", 30), ("b", 20)]).await;
        let count = Count { totals: [("a", 30), ("b", 20)].into(), ..Count::default() };
        let (random, gate) = (Random::seeded(seed), Arc::clone(&gate));
        let (wants, words) = (Vec::new(), Vec::new());
        let mut walk = Walk { gate, sale: sale.clone(), random, count, wants, words };
        for step in 0..STEPS {
            walk.step().await;
            walk.look(step).await;
        }
        walk.gate.forget(&sale).await.unwrap();
    }
}

/// A ledger that numbers its words, of one SKU; which of them nobody has told yet; and what was read of it last.
struct Words {
    random: Random,
    wants: Vec<Want>,
    said: Vec<HoldUpdate>,
    untold: Vec<HoldUpdate>,
    image: GateImage,
}

impl Words {
    const STOCK: u64 = 500;

    fn draw(&self, below: usize) -> usize {
        usize::try_from(self.random.below(below as u64)).unwrap()
    }

    /// The latest word on each hold.
    fn latest(&self) -> BTreeMap<HoldId, &HoldUpdate> {
        self.said.iter().map(|word| (word.hold, word)).collect()
    }

    fn units(&self, phase: HoldPhase) -> u64 {
        let latest = self.latest();
        let words = latest.values().filter(|word| word.phase == phase);
        words.map(|word| u64::from(word.basket.units())).sum()
    }

    /// A hold begins or goes on: held, then sold or released, and one that was released may be held again.
    fn say(&mut self) {
        if self.wants.is_empty() || self.draw(3) == 0 {
            let units = u32::try_from(self.draw(3) + 1).unwrap();
            self.wants.push(want(&[("a", units)]));
        }
        let want = self.wants[self.draw(self.wants.len())].clone();
        let phase = match self.latest().get(&want.hold).map(|word| word.phase) {
            None | Some(HoldPhase::Released) => HoldPhase::Held,
            Some(HoldPhase::Held) => [HoldPhase::Sold, HoldPhase::Released][self.draw(2)],
            Some(HoldPhase::Sold) => return,
        };
        let movement = self.said.len() as u64 + 1;
        let word = HoldUpdate { hold: want.hold, movement, phase, basket: want.basket };
        self.said.push(word.clone());
        self.untold.push(word);
    }

    /// A word that was not told yet, or any again.
    fn some_word(&mut self) -> Option<HoldUpdate> {
        if self.untold.is_empty() || self.draw(3) == 0 {
            return (!self.said.is_empty()).then(|| self.said[self.draw(self.said.len())].clone());
        }
        Some(self.untold.swap_remove(self.draw(self.untold.len())))
    }

    fn read(&mut self) {
        let latest = self.latest();
        let held = latest.values().filter(|word| word.phase == HoldPhase::Held);
        let holds = held.map(|word| {
            let (movement, basket) = (word.movement, word.basket.clone());
            HeldStock { hold: word.hold, movement, basket }
        });
        let holds = holds.collect();
        let skus = vec![(sku("a"), Self::STOCK, self.units(HoldPhase::Sold))];
        let moved = self.said.len() as u64;
        self.image = GateImage { moved, skus, holds, ..GateImage::default() };
    }

    /// A turn comes, perhaps again: what the gate sets aside for it is given back unless the ledger holds it.
    async fn turn(&self, gate: &dyn StockGate, sale: &SaleId) {
        let Some(want) = (!self.wants.is_empty()).then(|| &self.wants[self.draw(self.wants.len())])
        else {
            return;
        };
        let replies = gate.reserve(sale, std::slice::from_ref(want)).await.unwrap();
        let is_held =
            self.latest().get(&want.hold).is_some_and(|word| word.phase == HoldPhase::Held);
        if replies == [Reserved::Held] && !is_held {
            let given_back = [HoldUpdate::unrecorded(want.hold, want.basket.clone())];
            gate.set(sale, &given_back).await.unwrap();
        }
    }
}

pub async fn words_and_rebuilds_in_any_order_come_to_the_ledgers_count(
    house: impl House<Port = Arc<dyn StockGate>>,
) {
    let gate = house.port();
    for seed in 0..2 * WALKS {
        let sale = stocked(&*gate, &[("a", Words::STOCK)]).await;
        let (random, image) = (Random::seeded(seed), GateImage::default());
        let (wants, said, untold) = (Vec::new(), Vec::new(), Vec::new());
        let mut words = Words { random, wants, said, untold, image };
        words.read();
        for _ in 0..STEPS / 2 {
            match words.draw(20) {
                0 => words.read(),
                // From what was read some time ago.
                1 => gate.rebuild(&sale, Epoch(1), words.image.clone()).await.unwrap(),
                2 => {
                    gate.forget(&sale).await.unwrap();
                    words.read();
                    gate.rebuild(&sale, Epoch(1), words.image.clone()).await.unwrap();
                }
                3..=5 => words.turn(&*gate, &sale).await,
                6..=11 => words.say(),
                _ => {
                    let Some(word) = words.some_word() else { continue };
                    gate.set(&sale, &[word]).await.unwrap();
                }
            }
        }
        while let Some(word) = words.untold.pop() {
            gate.set(&sale, &[word.clone(), word]).await.unwrap();
        }
        let (held, sold) = (words.units(HoldPhase::Held), words.units(HoldPhase::Sold));
        let level = super::gate::level(&*gate, &sale, "a").await;
        assert_eq!(level, (Words::STOCK - held - sold, held), "seed {seed}");
        gate.forget(&sale).await.unwrap();
    }
}
