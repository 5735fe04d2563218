//! Who stands by, and is made an offer when goods are free that nobody before them wants. Pure.
//!
//! Those who stand by come in the order in which they joined, as the line does. Whoever is skipped because their party is too
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
        let order = |entry: &LineEntry| (entry.joined_at, entry.basket.units(), entry.entry);
        let Err(place) = self.first.binary_search_by_key(&order(&entry), order) else { return };
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
        first.sort_by_key(|entry| (entry.joined_at, entry.basket.units(), entry.entry));
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

    /// The first who can be served now.
    pub(crate) fn next(&self, stock: &Stock, now: Instant) -> Option<&LineEntry> {
        let mut saved_up = BTreeSet::new();
        self.first.iter().filter(|entry| self.is_free(entry.entry, now)).find(|entry| {
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
            let next =
                self.next(stock, now).filter(|next| before.is_none_or(|at| next.joined_at < at));
            let Some(next) = next.cloned() else { break };
            self.skip_those_before(&next, now);
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

    fn skip_those_before(&mut self, next: &LineEntry, now: Instant) {
        let wants = |sku: &SkuId| next.basket.items().iter().any(|item| item.sku == *sku);
        let before = self.first.iter().take_while(|entry| entry.entry != next.entry);
        let skipped = before.filter(|entry| {
            self.is_free(entry.entry, now) && entry.basket.items().iter().any(|i| wants(&i.sku))
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
mod tests {
    use super::*;
    use crate::fixtures::{basket, entry, level};

    /// One who joined at `at` and wants these.
    fn stander(at: i64, items: &[(&str, u32)]) -> LineEntry {
        let numbered = entry(u64::try_from(at).unwrap(), basket(items));
        LineEntry { joined_at: UnixMillis(at), ..numbered }.standing_by()
    }

    fn standby(first: Vec<LineEntry>) -> Standby {
        let count = u64::try_from(first.len()).unwrap();
        let mut standby = Standby::of(SettledBy::Worker, Duration::ZERO);
        standby.learn(StandbyList { first, count }, Instant::now());
        standby
    }

    fn stock(a: u64, held: u64) -> Stock {
        let mut stock = Stock::default();
        stock.learn(vec![level("a", a, held, 0), level("b", 9, 0, 0)]);
        stock
    }

    fn joined(picked: &[Candidate]) -> Vec<i64> {
        picked.iter().map(|candidate| candidate.entry.joined_at.0).collect()
    }

    #[tokio::test]
    async fn who_joined_first_is_offered_first_and_once() {
        let all: Vec<LineEntry> = (1..=5).map(|at| stander(at, &[("a", 1)])).collect();
        let mut standby = standby(all.clone());
        let mut stock = stock(3, 0);
        let now = Instant::now();
        assert_eq!(joined(&standby.pick(&mut stock, 2, None, now)), [1, 2]);
        assert_eq!(joined(&standby.pick(&mut stock, 9, None, now)), [3], "the goods are gone");
        stock.learn(vec![level("a", 9, 0, 0)]);
        standby.learn(StandbyList { first: all, count: 5 }, now);
        assert_eq!(joined(&standby.pick(&mut stock, 9, None, now)), [4, 5]);
        assert_eq!(standby.wanted(&SkuId::new("a").unwrap(), now), 0);
    }

    #[tokio::test]
    async fn a_crowd_that_cannot_be_served_hides_nobody() {
        let mut standby = standby(vec![stander(1, &[("a", 1)]), stander(2, &[("b", 1)])]);
        assert!(standby.hiding(&stock(0, 1)).is_empty(), "everybody is known");
        standby.count = 900;
        assert_eq!(standby.hiding(&stock(0, 1)), [basket(&[("a", 1)])]);
    }

    #[tokio::test]
    async fn an_offer_that_came_to_nothing_is_made_again() {
        let all = vec![stander(1, &[("a", 1)])];
        let mut standby = standby(all.clone());
        let (mut stock, now) = (stock(9, 0), Instant::now());
        assert_eq!(standby.pick(&mut stock, 9, None, now).len(), 1);
        let list = || StandbyList { first: all.clone(), count: 1 };
        standby.learn(list(), now + OFFER_AGAIN / 2);
        assert_eq!(standby.next(&stock, now + OFFER_AGAIN / 2), None);
        standby.learn(list(), now + OFFER_AGAIN);
        assert!(standby.next(&stock, now + OFFER_AGAIN).is_some());
    }

    /// Each wait is twice as long, but whoever is to hear how it ended is told soon.
    #[tokio::test]
    async fn an_offer_that_comes_to_nothing_again_and_again_keeps_nobody_from_the_end() {
        let all = vec![stander(1, &[("a", 1)])];
        let mut standby = standby(all.clone());
        let list = || StandbyList { first: all.clone(), count: 1 };
        let mut now = Instant::now();
        for wait in [1, 2, 4, 8] {
            assert_eq!(standby.pick(&mut stock(9, 0), 9, None, now).len(), 1);
            standby.learn(list(), now + OFFER_AGAIN * wait - Duration::from_millis(1));
            let early = now + OFFER_AGAIN * wait - Duration::from_millis(1);
            assert_eq!(standby.next(&stock(9, 0), early), None);
            assert_eq!(standby.wanted(&SkuId::new("a").unwrap(), early), 0, "nothing is kept");
            now += OFFER_AGAIN * wait;
            standby.learn(list(), now);
        }
        standby.pick(&mut stock(9, 0), 9, None, now);
        assert!(standby.take_all(now, |_| true).is_empty(), "the offer may come to something");
        standby.learn(list(), now + OFFER_AGAIN);
        assert_eq!(standby.take_all(now + OFFER_AGAIN, |_| true).len(), 1);
    }

    #[tokio::test]
    async fn what_the_shop_was_left_is_its_own_to_be_asked_for() {
        let all = vec![stander(1, &[("a", 1)])];
        let shop_timeout = OFFER_AGAIN * 6;
        let mut standby = Standby::of(SettledBy::Shop, shop_timeout);
        let list = || StandbyList { first: all.clone(), count: 1 };
        let now = Instant::now();
        standby.learn(list(), now);
        assert_eq!(standby.pick(&mut stock(9, 0), 9, None, now).len(), 1);
        let early = now + shop_timeout - Duration::from_millis(1);
        standby.learn(list(), early);
        assert!(standby.take_all(early, |_| true).is_empty(), "the shop may still say yes");
        let late = now + shop_timeout;
        standby.learn(list(), late);
        assert_eq!(standby.next(&stock(9, 0), late), None);
        assert_eq!(standby.wanted(&SkuId::new("a").unwrap(), late), 0);
        assert_eq!(standby.take_all(late, |_| true).len(), 1);
    }

    /// Its own goods are in flight: it would wait for itself.
    #[tokio::test]
    async fn an_offer_of_an_earlier_speaker_is_made_again_whatever_is_free() {
        let mut standby = standby(vec![stander(1, &[("a", 1)]), stander(2, &[("a", 1)])]);
        let second = standby.first().nth(1).unwrap();
        standby.recall(second);
        let mut stock = stock(0, 0);
        let now = Instant::now();
        assert_eq!(joined(&standby.pick(&mut stock, 9, None, now)), [2]);
        assert_eq!(standby.next(&stock, now), None);
    }

    #[tokio::test]
    async fn one_who_was_just_written_down_is_not_forgotten_by_an_older_reading() {
        let (old, new) = (stander(5, &[("a", 1)]), stander(3, &[("a", 1)]));
        let mut standby = standby(vec![old.clone()]);
        let list = || StandbyList { first: vec![old.clone()], count: 1 };
        standby.reading();
        standby.add(new);
        assert_eq!(
            (standby.next(&stock(9, 0), Instant::now()).unwrap().joined_at.0, standby.count()),
            (3, 2)
        );
        standby.learn(list(), Instant::now());
        assert_eq!(
            (standby.next(&stock(9, 0), Instant::now()).unwrap().joined_at.0, standby.count()),
            (3, 2)
        );
        standby.reading();
        standby.learn(list(), Instant::now());
        assert_eq!(
            (standby.next(&stock(9, 0), Instant::now()).unwrap().joined_at.0, standby.count()),
            (5, 1)
        );
    }

    #[tokio::test]
    async fn nobody_goes_before_one_in_line_who_joined_earlier() {
        let mut standby = standby(vec![stander(5, &[("a", 1)]), stander(9, &[("a", 1)])]);
        let (mut stock, now) = (stock(9, 0), Instant::now());
        assert!(standby.pick(&mut stock, 9, Some(UnixMillis(5)), now).is_empty());
        assert_eq!(joined(&standby.pick(&mut stock, 9, Some(UnixMillis(7)), now)), [5]);
    }

    #[tokio::test]
    async fn a_large_party_is_skipped_so_often_and_then_saved_up_for() {
        let mut all = vec![stander(1, &[("a", 4)])];
        all.extend((2..60).map(|at| stander(at, &[("a", 1)])));
        all.push(stander(99, &[("b", 1)]));
        let mut standby = standby(all);
        let now = Instant::now();
        let mut served = 0;
        while !standby
            .pick(&mut stock(1, 3), 1, None, now)
            .iter()
            .all(|candidate| candidate.entry.basket == basket(&[("b", 1)]))
        {
            served += 1;
            assert!(served <= SKIPS_MAX, "the first waits for ever");
        }
        assert_eq!(served, SKIPS_MAX);
        assert_eq!(standby.next(&stock(1, 3), now), None, "one unit is kept until there are four");
        assert_eq!(joined(&standby.pick(&mut stock(4, 0), 9, None, now)), [1]);
    }

    #[tokio::test]
    async fn one_who_can_never_be_served_stops_nobody() {
        let mut all = vec![stander(1, &[("a", 4)])];
        all.extend((2..60).map(|at| stander(at, &[("a", 1)])));
        let mut standby = standby(all);
        for _ in 2..60 {
            assert_eq!(standby.pick(&mut stock(1, 0), 1, None, Instant::now()).len(), 1);
        }
    }

    #[tokio::test]
    async fn what_is_wanted_is_owed_and_all_of_it_if_not_everybody_is_known() {
        let mut standby = standby(vec![stander(1, &[("a", 2)]), stander(2, &[("a", 1)])]);
        let a = SkuId::new("a").unwrap();
        let now = Instant::now();
        assert_eq!(standby.wanted(&a, now), 3);
        standby.take_all(now, |entry| entry.joined_at.0 == 1);
        assert_eq!(standby.wanted(&a, now), 1);
        standby.count = 900;
        assert_eq!(standby.wanted(&a, now), u64::MAX);
        assert_eq!(standby.wanted(&SkuId::new("b").unwrap(), now), 0);
    }
}
