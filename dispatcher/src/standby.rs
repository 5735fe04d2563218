//! Who stands by, and is made an offer when goods are free that nobody before them wants. Pure.
//!
//! Those who stand by come in the order in which they joined, as the line does, but for the head start that some of them have: so
//! nobody waits longer for a privilege of others than the head start is long. Whoever is skipped because their party is too
//! large for what is free is skipped so many times only: then the goods are saved up for them.

use std::collections::{BTreeSet, HashMap, HashSet};

use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    event::SettledBy,
    ids::{EntryId, SkuId},
    line::LineEntry,
    ports::StandbyList,
};
use tokio::time::{Duration, Instant};

use crate::{stock::Stock, window::Candidate};

/// How many are kept in memory: the first.
pub(crate) const FIRST_MAX: u32 = 512;
/// How often one may be skipped by those who joined later.
const SKIPS_MAX: u32 = 16;
/// An offer of which nothing was heard for so long came to nothing: it is made again, and waited for twice as long.
const OFFER_AGAIN: Duration = Duration::from_secs(10);
/// Doublings after which that no longer grows: about ten minutes.
const DOUBLINGS_MAX: u32 = 6;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Standby {
    first: Vec<LineEntry>,
    /// How many stand by.
    count: u64,
    /// Written down since the last reading began: it may not know them.
    fresh: Vec<LineEntry>,
    /// Who is in hand: made an offer, or to be given an outcome. Until when at the latest.
    in_hand: HashMap<EntryId, Instant>,
    /// Who was made offers, and went on standing by.
    offers: HashMap<EntryId, Offers>,
    /// How long an offer keeps its entry in hand.
    in_hand_for: Duration,
    /// Offers are made once: somebody else makes them again.
    once: bool,
    skips: HashMap<EntryId, u32>,
    /// Whom an earlier speaker made an offer that may be lost: their goods are reckoned as in flight already.
    recalled: BTreeSet<EntryId>,
}

/// The offers of one entry.
#[derive(Clone, Copy, Debug)]
struct Offers {
    made: u32,
    /// When the next may be made; `None`: never.
    again_at: Option<Instant>,
}

impl Standby {
    /// Where the shop settles, it may take `shop_timeout` to say what becomes of an offer, and its book releases again what it says
    /// nothing about.
    pub(crate) fn of(settled_by: SettledBy, shop_timeout: Duration) -> Self {
        let once = settled_by == SettledBy::Shop;
        Self { in_hand_for: if once { shop_timeout } else { OFFER_AGAIN }, once, ..Self::default() }
    }

    pub(crate) fn first(&self) -> impl Iterator<Item = EntryId> {
        self.first.iter().map(|entry| entry.entry)
    }

    /// Units that recalled entries want, which the gate may reckon as in flight.
    pub(crate) fn recalled_units(&self) -> u64 {
        let recalled = self.first.iter().filter(|entry| self.recalled.contains(&entry.entry));
        recalled.map(|entry| u64::from(entry.basket.units())).sum()
    }

    /// Notes that an earlier speaker had made this entry an offer.
    pub(crate) fn recall(&mut self, entry: EntryId) {
        self.recalled.insert(entry);
    }

    /// The ledger is asked now.
    pub(crate) fn reading(&mut self) {
        self.fresh.clear();
    }

    /// One who was written down just now.
    pub(crate) fn add(&mut self, entry: LineEntry) {
        self.fresh.push(entry.clone());
        self.insert(entry);
    }

    fn insert(&mut self, entry: LineEntry) {
        let order = entry.standing_order();
        let place = self.first.binary_search_by_key(&order, LineEntry::standing_order);
        let Err(place) = place else { return };
        let known = u64::try_from(self.first.len()).unwrap_or(u64::MAX);
        // Beyond the first there may be others who come before.
        if place < self.first.len() || self.count <= known {
            self.first.insert(place, entry);
        }
        self.count += 1;
    }

    /// Takes in what the ledger has.
    pub(crate) fn learn(&mut self, list: StandbyList, now: Instant) {
        let StandbyList { mut first, count } = list;
        first.sort_by_key(LineEntry::standing_order);
        let here: BTreeSet<EntryId> =
            first.iter().chain(&self.fresh).map(|entry| entry.entry).collect();
        self.in_hand.retain(|entry, until| here.contains(entry) && now < *until);
        self.offers.retain(|entry, _| here.contains(entry));
        self.skips.retain(|entry, _| here.contains(entry));
        self.recalled.retain(|entry| here.contains(entry));
        (self.first, self.count) = (first, count);
        for entry in std::mem::take(&mut self.fresh) {
            self.add(entry);
        }
    }

    /// The baskets that cannot be served now, when there are more who stand by than are known here: others may be behind them.
    pub(crate) fn hiding(&self, stock: &Stock) -> Vec<Basket> {
        if self.count <= u64::try_from(self.first.len()).unwrap_or(u64::MAX) {
            return Vec::new();
        }
        let kinds: HashSet<&Basket> = self.first.iter().map(|entry| &entry.basket).collect();
        kinds.into_iter().filter(|basket| !stock.fits(basket)).cloned().collect()
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// When the first joined who can be served now.
    pub(crate) fn first_since(&self, stock: &Stock, now: Instant) -> Option<UnixMillis> {
        let mut first: Option<UnixMillis> = None;
        for entry in self.servable(stock, None, now) {
            // Nobody joined before the time since when they stand by.
            if first.is_some_and(|first| first <= entry.standing_order().0) {
                break;
            }
            first = Some(first.map_or(entry.joined_at, |first| first.min(entry.joined_at)));
        }
        first
    }

    /// Who can be served now, in order; of those who joined before `before`.
    fn servable<'a>(
        &'a self,
        stock: &'a Stock,
        before: Option<UnixMillis>,
        now: Instant,
    ) -> impl Iterator<Item = &'a LineEntry> {
        let mut saved_up = BTreeSet::new();
        let asked = self.first.iter().filter(move |entry| {
            self.is_free(entry.entry, now) && before.is_none_or(|at| entry.joined_at < at)
        });
        asked.filter(move |entry| {
            let skus = || entry.basket.items().iter().map(|item| &item.sku);
            if skus().any(|sku| saved_up.contains(sku)) {
                return false;
            }
            let fits = self.recalled.contains(&entry.entry) || stock.fits(&entry.basket);
            let skipped = self.skips.get(&entry.entry).copied().unwrap_or_default();
            if !fits && skipped >= SKIPS_MAX && stock.may_come_to_fit(&entry.basket) {
                let short = entry.basket.items().iter().filter(|item| !stock.fits_item(item));
                saved_up.extend(short.map(|item| &item.sku));
            }
            fits
        })
    }

    /// Whether somebody may be made an offer now, if there are goods.
    fn is_free(&self, entry: EntryId, now: Instant) -> bool {
        let offers = self.offers.get(&entry);
        let waits = offers.is_some_and(|one| one.again_at.is_none_or(|at| now < at));
        !waits && !self.in_hand.contains_key(&entry)
    }

    /// Takes up to `most` in hand who can be served and joined before `before`, and reckons their goods as called.
    pub(crate) fn pick(
        &mut self,
        stock: &mut Stock,
        most: usize,
        before: Option<UnixMillis>,
        now: Instant,
    ) -> Vec<Candidate> {
        let mut picked = Vec::new();
        while picked.len() < most {
            let next = self.servable(stock, before, now).next();
            let Some(next) = next.cloned() else { break };
            self.skip_those_before(&next, before, now);
            let made = self.offers.get(&next.entry).map_or(0, |offers| offers.made);
            let wait = OFFER_AGAIN * 2_u32.pow(made.min(DOUBLINGS_MAX));
            let again_at = (!self.once).then(|| now + wait);
            self.offers.insert(next.entry, Offers { made: made + 1, again_at });
            self.in_hand.insert(next.entry, now + self.in_hand_for);
            let recalled = self.recalled.remove(&next.entry);
            if !recalled {
                stock.take(&next.basket);
            }
            picked.push(Candidate { entry: next, recalled });
        }
        picked
    }

    fn skip_those_before(&mut self, next: &LineEntry, limit: Option<UnixMillis>, now: Instant) {
        let wants = |sku: &SkuId| next.basket.items().iter().any(|item| item.sku == *sku);
        let before = self.first.iter().take_while(|entry| entry.entry != next.entry);
        let skipped = before.filter(|entry| {
            self.is_free(entry.entry, now)
                && limit.is_none_or(|at| entry.joined_at < at)
                && entry.basket.items().iter().any(|i| wants(&i.sku))
        });
        let skipped: Vec<_> = skipped.map(|entry| entry.entry).collect();
        for entry in skipped {
            *self.skips.entry(entry).or_default() += 1;
        }
    }

    /// Takes everybody in hand whom `chosen` names.
    pub(crate) fn take_all(
        &mut self,
        now: Instant,
        chosen: impl Fn(&LineEntry) -> bool,
    ) -> Vec<LineEntry> {
        let in_hand = &mut self.in_hand;
        let free = self.first.iter().filter(|entry| !in_hand.contains_key(&entry.entry));
        let taken: Vec<LineEntry> = free.filter(|entry| chosen(entry)).cloned().collect();
        in_hand.extend(taken.iter().map(|entry| (entry.entry, now + OFFER_AGAIN)));
        taken
    }

    /// Whether some basket of one who is not in hand is `chosen`.
    pub(crate) fn any(&self, chosen: impl Fn(&Basket) -> bool) -> bool {
        let free = self.first.iter().filter(|entry| !self.in_hand.contains_key(&entry.entry));
        free.into_iter().any(|entry| chosen(&entry.basket))
    }

    /// Units that those who stand by want of a SKU; everything, when there are more of them than are known here.
    pub(crate) fn wanted(&self, sku: &SkuId, now: Instant) -> u64 {
        let free = self.first.iter().filter(|entry| self.is_free(entry.entry, now));
        let items = free.flat_map(|entry| entry.basket.items());
        let units: u64 =
            items.filter(|item| item.sku == *sku).map(sluice_core::basket::Item::units).sum();
        let known = u64::try_from(self.first.len()).unwrap_or(u64::MAX);
        if units > 0 && self.count > known { u64::MAX } else { units }
    }
}

#[cfg(test)]
mod tests;
