//! The window: the entries of one drain that are in memory, and what is still owed to the queue for them. Pure.
//!
//! An entry *waits* here (in line or parked) until it is taken in *hand*: called, or to be settled in passing. It is
//! *finished* once its turn or its outcome is durable. A message is acknowledged when all its entries are finished, and
//! the cursor stands just below the lowest entry that is neither finished nor parked.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use foldhash::fast::RandomState;
use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    ids::{EntryId, Seq},
    line::{Cursor, LineEntry},
    ports::WaitingMessage,
};
use tokio::time::Instant;

use crate::{reorder::Reorder, unacked::Unacked};

mod recent;

use recent::Recent;

/// Where an entry stands in line: by number, then by id.
pub(crate) type Place = (Seq, EntryId);

/// The place of an entry.
pub(crate) fn place(entry: &LineEntry) -> Place {
    (entry.seq, entry.entry)
}

/// The lowest place of a number.
fn lowest(seq: Seq) -> Place {
    (seq, EntryId::from_bytes([0; 16]))
}

/// What is known of a waiting entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rank {
    /// In line.
    InLine,
    /// Passed by the cursor because its goods are held by others.
    Parked,
    /// An earlier speaker called it and may not have released it: its goods are reckoned as in flight already.
    Recalled,
}

#[derive(Debug)]
struct Waiting {
    entry: LineEntry,
    tag: u64,
    rank: Rank,
    arrival: Arrival,
}

/// Counts those who came: what was asked of a store before somebody came says nothing about them.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Arrival(u64);

/// An entry taken in hand to be called.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) entry: LineEntry,
    /// Whether its goods were in flight before: they must not be reckoned twice.
    pub(crate) recalled: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Window {
    reorder: Reorder,
    serving: Seq,
    entries_max: usize,
    waiting: BTreeMap<Place, Waiting>,
    /// Waiting entries by what they want, recalled ones apart: few kinds of baskets, many entries.
    kinds: HashMap<Basket, BTreeSet<Place>, RandomState>,
    recalled: BTreeSet<Place>,
    recalled_units: u64,
    /// Waiting entries that are not parked: they hold the cursor.
    unparked: BTreeSet<Place>,
    /// Entries in hand, with their messages.
    hand: BTreeMap<Place, u64>,
    /// Of these, those that came to stand by.
    standing: Vec<LineEntry>,
    last_arrival: Arrival,
    /// Everybody who waits or is in hand.
    present: HashSet<EntryId, RandomState>,
    finished: Recent,
    unacked: Unacked,
}

impl Window {
    /// An empty window at a cursor, with room for `entries_max` entries.
    pub(crate) fn new(cursor: &Cursor, entries_max: usize) -> Self {
        Self {
            reorder: Reorder::new(cursor.serving, cursor.holes.clone()),
            serving: cursor.serving,
            entries_max,
            waiting: BTreeMap::new(),
            kinds: HashMap::default(),
            recalled: BTreeSet::new(),
            recalled_units: 0,
            unparked: BTreeSet::new(),
            hand: BTreeMap::new(),
            standing: Vec::new(),
            last_arrival: Arrival::default(),
            present: HashSet::default(),
            finished: Recent::new(entries_max),
            unacked: Unacked::default(),
        }
    }

    /// Whether another message may be taken in. One message may overshoot.
    pub(crate) fn has_room(&self) -> bool {
        self.present.len().max(self.reorder.ahead()) < self.entries_max
    }

    /// Takes a message in and returns how many of its entries were twins: here already, or finished not long ago.
    pub(crate) fn take_in(&mut self, message: WaitingMessage, now: Instant) -> u64 {
        let WaitingMessage { tag, entries } = message;
        let (mut twins, mut fresh) = (0, 0);
        for entry in entries {
            if !entry.stands_by() {
                self.reorder.saw(entry.seq, now);
            }
            if self.finished.contains(&entry.entry) || !self.present.insert(entry.entry) {
                twins += 1;
            } else {
                fresh += 1;
                if entry.stands_by() {
                    self.hand.insert(place(&entry), tag);
                    self.standing.push(entry);
                } else {
                    self.admit(entry, tag);
                }
            }
        }
        self.unacked.arrived(tag, fresh);
        twins
    }

    fn admit(&mut self, entry: LineEntry, tag: u64) {
        let place = place(&entry);
        self.kinds.entry(entry.basket.clone()).or_default().insert(place);
        self.unparked.insert(place);
        self.last_arrival.0 += 1;
        let (rank, arrival) = (Rank::InLine, self.last_arrival);
        self.waiting.insert(place, Waiting { entry, tag, rank, arrival });
    }

    /// Those who came to stand by, each given out once: they are in hand.
    pub(crate) fn take_standing(&mut self) -> Vec<LineEntry> {
        std::mem::take(&mut self.standing)
    }

    /// When a waiting entry joined.
    pub(crate) fn joined_at(&self, place: Place) -> Option<UnixMillis> {
        self.waiting.get(&place).map(|waiting| waiting.entry.joined_at)
    }

    /// The lowest place of one who waits and could be served, or was called before, whoever is still missing before them.
    pub(crate) fn first_fitting(&self, fits: impl Fn(&Basket) -> bool) -> Option<Place> {
        let kinds = self.kinds.iter().filter(|(basket, _)| fits(basket));
        let firsts = kinds.filter_map(|(_, places)| places.first());
        firsts.chain(self.recalled.first()).min().copied()
    }

    /// Who came last.
    pub(crate) fn last_arrival(&self) -> Arrival {
        self.last_arrival
    }

    /// The highest number that has come or was passed.
    pub(crate) fn highest(&self) -> Seq {
        self.reorder.highest()
    }

    /// Nobody comes any more up to this number: those that are missing are passed after the reorder wait.
    pub(crate) fn nobody_comes_upto(&mut self, last: Seq, now: Instant) {
        self.reorder.saw(last, now);
    }

    /// Gives up on numbers that were missing for too long; returns how many.
    pub(crate) fn pass_gaps(&mut self, now: Instant, wait: Duration) -> u64 {
        self.reorder.step(now, wait)
    }

    /// When a missing number will be given up.
    pub(crate) fn gap_deadline(&self, wait: Duration) -> Option<Instant> {
        self.reorder.deadline(wait)
    }

    /// Notes that an earlier speaker had called this entry.
    pub(crate) fn recall(&mut self, place: Place) {
        let Some(waiting) = self.waiting.get_mut(&place) else { return };
        if waiting.rank == Rank::InLine {
            waiting.rank = Rank::Recalled;
            self.recalled_units += u64::from(waiting.entry.basket.units());
            self.recalled.insert(place);
            let basket = waiting.entry.basket.clone();
            self.forget_kind(&basket, place);
        }
    }

    /// The lowest place that may be called now: recalled, or in `fits`. Nobody above a number that is still waited for.
    pub(crate) fn first_servable(&self, fits: impl Fn(&Basket) -> bool) -> Option<Place> {
        let frontier = self.reorder.frontier();
        let kinds = self.kinds.iter();
        let fitting = kinds.filter_map(|(basket, places)| {
            places.first().filter(|(seq, _)| *seq <= frontier).filter(|_| fits(basket))
        });
        let recalled = self.recalled.first().filter(|(seq, _)| *seq <= frontier);
        fitting.chain(recalled).min().copied()
    }

    /// Waiting entries below a place that are not parked, lowest first.
    pub(crate) fn unparked_below(&self, place: Place) -> impl Iterator<Item = (Place, &Basket)> {
        self.unparked.range(..place).filter_map(|place| {
            self.waiting.get(place).map(|waiting| (*place, &waiting.entry.basket))
        })
    }

    /// Parks an entry: the cursor may pass it.
    pub(crate) fn park(&mut self, place: Place) {
        if let Some(waiting) = self.waiting.get_mut(&place)
            && waiting.rank == Rank::InLine
        {
            waiting.rank = Rank::Parked;
            self.unparked.remove(&place);
        }
    }

    /// Takes a waiting entry in hand.
    pub(crate) fn take_in_hand(&mut self, place: Place) -> Option<Candidate> {
        let Waiting { entry, tag, rank, arrival: _ } = self.waiting.remove(&place)?;
        match rank {
            Rank::InLine | Rank::Parked => self.forget_kind(&entry.basket, place),
            Rank::Recalled => {
                self.recalled.remove(&place);
                self.recalled_units -= u64::from(entry.basket.units());
            }
        }
        self.unparked.remove(&place);
        self.hand.insert(place, tag);
        Some(Candidate { entry, recalled: rank == Rank::Recalled })
    }

    /// Takes in hand everybody who waits and whom `chosen` names, lowest first, parked or not, recalled or not.
    pub(crate) fn take_all(&mut self, chosen: impl Fn(&LineEntry) -> bool) -> Vec<LineEntry> {
        let places: Vec<Place> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| chosen(&waiting.entry))
            .map(|(place, _)| *place)
            .collect();
        self.take_places(places)
    }

    /// Takes in hand everybody who came up to `last` and whose basket `chosen` names, lowest first; recalled ones stay.
    pub(crate) fn take_kinds(
        &mut self,
        last: Arrival,
        chosen: impl Fn(&Basket) -> bool,
    ) -> Vec<LineEntry> {
        let came =
            |place: &&Place| self.waiting.get(place).is_some_and(|waiting| waiting.arrival <= last);
        let kinds = self.kinds.iter().filter(|(basket, _)| chosen(basket));
        let mut places: Vec<Place> =
            kinds.flat_map(|(_, places)| places).filter(came).copied().collect();
        places.sort_unstable();
        self.take_places(places)
    }

    fn take_places(&mut self, places: Vec<Place>) -> Vec<LineEntry> {
        let candidates = places.into_iter().filter_map(|place| self.take_in_hand(place));
        candidates.map(|candidate| candidate.entry).collect()
    }

    /// The turn or outcome of an entry in hand is durable.
    pub(crate) fn finish(&mut self, place: Place) {
        if let Some(tag) = self.hand.remove(&place) {
            self.present.remove(&place.1);
            self.finished.insert(place.1);
            self.unacked.finished(tag);
        }
    }

    /// Messages whose entries are all finished, each given out once.
    pub(crate) fn take_acks(&mut self) -> Vec<u64> {
        self.unacked.take_done()
    }

    /// Where the cursor stands now. Never goes back.
    pub(crate) fn serving(&mut self) -> Seq {
        let above = lowest(self.serving.next())..;
        let unparked = self.unparked.range(above.clone()).next();
        let in_hand = self.hand.range(above).next().map(|(place, _)| place);
        let frontier = self.reorder.frontier();
        let reached = unparked
            .into_iter()
            .chain(in_hand)
            .min()
            .map_or(frontier, |(seq, _)| Seq(seq.0 - 1).min(frontier));
        self.serving = self.serving.max(reached);
        self.serving
    }

    /// Entries that wait although a cursor at `serving` has passed them: parked ones and stragglers.
    pub(crate) fn waiting_behind(&self, serving: Seq) -> u64 {
        let behind = self.waiting.range(..lowest(serving.next())).count();
        u64::try_from(behind).unwrap_or(u64::MAX)
    }

    /// Entries that wait in memory.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn parked(&self) -> usize {
        self.waiting.len() - self.unparked.len()
    }

    /// Units that recalled entries want, which the gate may reckon as in flight.
    pub(crate) fn recalled_units(&self) -> u64 {
        self.recalled_units
    }

    /// Whether some basket that waits is in `lost`.
    pub(crate) fn any_kind(&self, lost: impl Fn(&Basket) -> bool) -> bool {
        self.kinds.keys().any(lost)
    }

    fn forget_kind(&mut self, basket: &Basket, place: Place) {
        if let Some(places) = self.kinds.get_mut(basket) {
            places.remove(&place);
            if places.is_empty() {
                self.kinds.remove(basket);
            }
        }
    }
}

#[cfg(test)]
mod tests;
