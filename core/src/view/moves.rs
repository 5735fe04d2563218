//! Places that were taken to another device, as far as a node has heard: what keeps the old device's token from being believed
//! without asking anybody.
//!
//! Bounded; the oldest are forgotten first. Help, not truth: the ledger decides which move wins, and is asked when a token renews itself.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use crate::{clock::UnixMillis, ids::EntryId, ports::PlaceMove};

/// Places remembered.
pub(super) const PLACES_MAX: u32 = 50_000;

#[derive(Debug)]
pub(super) struct Moves {
    known: RwLock<Known>,
    /// The newest move: whoever has held a place since then or later need not be looked for.
    newest: AtomicI64,
}

impl Default for Moves {
    fn default() -> Self {
        Self { known: RwLock::default(), newest: AtomicI64::new(i64::MIN) }
    }
}

#[derive(Debug, Default)]
struct Known {
    of: HashMap<EntryId, UnixMillis>,
    /// In the order in which they were heard of.
    order: VecDeque<EntryId>,
}

impl Moves {
    pub(super) fn learn(&self, told: PlaceMove) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let known = &mut *known;
        if let Some(at) = known.of.get_mut(&told.entry) {
            *at = told.at.max(*at);
        } else {
            if known.order.len() >= PLACES_MAX as usize
                && let Some(oldest) = known.order.pop_front()
            {
                known.of.remove(&oldest);
            }
            known.order.push_back(told.entry);
            known.of.insert(told.entry, told.at);
        }
        self.newest.fetch_max(told.at.0, Ordering::Release);
    }

    /// When a place was last moved.
    pub(super) fn at(&self, entry: EntryId) -> Option<UnixMillis> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.of.get(&entry).copied()
    }

    /// Whether a place was moved later than `held_since`.
    pub(super) fn is_past(&self, entry: EntryId, held_since: UnixMillis) -> bool {
        if held_since.0 >= self.newest.load(Ordering::Acquire) {
            return false;
        }
        self.at(entry).is_some_and(|at| held_since < at)
    }

    /// When the newest move known was.
    pub(super) fn newest(&self) -> UnixMillis {
        UnixMillis(self.newest.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn entries(count: usize) -> Vec<EntryId> {
        let random = Random::seeded(1);
        (0..count).map(|_| EntryId::generate(UnixMillis(1), &random)).collect()
    }

    #[test]
    fn a_move_ends_what_was_held_before_it_and_nothing_else() {
        let (moves, places) = (Moves::default(), entries(2));
        assert!(!moves.is_past(places[0], UnixMillis(i64::MIN)), "nothing was moved");
        let told = |at| PlaceMove { entry: places[0], at: UnixMillis(at) };
        moves.learn(told(100));
        // What is heard late changes nothing.
        moves.learn(told(90));
        let past = |place: usize, since| moves.is_past(places[place], UnixMillis(since));
        assert_eq!([99, 100, 101].map(|since| past(0, since)), [true, false, false]);
        assert!(!past(1, 0), "another place");
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let (moves, places) = (Moves::default(), entries(PLACES_MAX as usize + 1));
        for entry in &places {
            moves.learn(PlaceMove { entry: *entry, at: UnixMillis(100) });
        }
        let past = |n: usize| moves.is_past(places[n], UnixMillis(1));
        assert!(!past(0) && past(1) && past(PLACES_MAX as usize));
        assert_eq!(moves.known.read().unwrap().of.len(), PLACES_MAX as usize);
    }
}
