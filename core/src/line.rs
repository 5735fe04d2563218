//! The line: numbers, holes, the cursor, and the position a buyer is shown.
//!
//! `position = seq − serving − holes between them`, at least 1. The number and the holes below it are fixed when it is
//! given out and travel in the queue token; `serving` only grows. So a position never rises, whichever node computes it,
//! as long as the highest `serving` a client has seen is taken into account.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{
    basket::Basket,
    clock::UnixMillis,
    ids::{BuyerId, EntryId, Seq},
    ports::Reach,
};

/// An entry as the line carries it: what was joined, by whom, with which number.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct LineEntry {
    pub entry: EntryId,
    pub buyer: BuyerId,
    /// 0 for one that stands by: it has no number in line.
    pub seq: Seq,
    /// Numbers below `seq` that were never given out, as far as was known when it was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub holes_below: u64,
    pub basket: Basket,
    pub joined_at: UnixMillis,
    /// Where the join came from, for bans by address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// How its buyer is told who is not looking. A line may forget it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<Box<Reach>>,
    /// Since when it stands by as far as the order there goes: before `joined_at` for who has a head start, `None` for everybody
    /// else. A line may forget it; the ledger does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stands_since: Option<UnixMillis>,
}

impl LineEntry {
    /// Whether it stands by: it came beyond the cap, or lost its turn to others when stock ran out.
    #[must_use]
    pub fn stands_by(&self) -> bool {
        self.seq == Seq(0)
    }

    /// The order among those who stand by: since when, then the smaller party.
    #[must_use]
    pub fn standing_order(&self) -> (UnixMillis, u32, EntryId) {
        (self.stands_since.unwrap_or(self.joined_at), self.basket.units(), self.entry)
    }

    /// The order in which goods are granted to entries that ask at once: by number, then those who stand by, as they joined.
    #[must_use]
    pub fn turn_order(&self) -> (bool, Seq, UnixMillis, EntryId) {
        let since = if self.stands_by() { self.joined_at } else { UnixMillis(0) };
        (self.stands_by(), self.seq, since, self.entry)
    }

    /// The same entry without a number.
    #[must_use]
    pub fn standing_by(self) -> Self {
        Self { seq: Seq(0), holes_below: 0, ..self }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// How many may have a place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Caps {
    /// Entries that wait in line: 0 sends everybody on.
    pub line: u64,
    /// Entries that stand by once the line is full: 0 where nobody may.
    pub standby: u64,
}

impl Caps {
    /// A line beyond which nobody stands by.
    #[must_use]
    pub fn of_line(line: u64) -> Self {
        Self { line, standby: 0 }
    }
}

/// A stretch of sequence numbers that was never given out: `from` to `to`, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Hole {
    pub from: Seq,
    pub to: Seq,
}

impl Hole {
    fn len_upto(&self, last: Seq) -> u64 {
        let to = self.to.min(last);
        if to < self.from { 0 } else { to.0 - self.from.0 + 1 }
    }
}

/// All the holes of a line, ascending, apart from each other. They come from new blocks after a store forgot, so they
/// are few.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Holes(Vec<Hole>);

impl Holes {
    /// Adds a hole above all known ones; an empty or overlapping one is ignored.
    pub fn push(&mut self, hole: Hole) {
        let above = self.0.last().is_none_or(|last| last.to < hole.from);
        if above && hole.from <= hole.to {
            self.0.push(hole);
        }
    }

    /// Numbers at or below `seq` that were never given out.
    #[must_use]
    pub fn upto(&self, seq: Seq) -> u64 {
        self.0.iter().map(|hole| hole.len_upto(seq)).sum()
    }

    /// The last number of the hole that contains `seq`, if one does.
    #[must_use]
    pub fn end_of(&self, seq: Seq) -> Option<Seq> {
        self.0.iter().find(|hole| hole.from <= seq && seq <= hole.to).map(|hole| hole.to)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter()
    }
}

/// How far a line has come.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    /// Every entry with `seq <= serving` has been called, passed or parked. Never goes back.
    pub serving: Seq,
    pub holes: Holes,
}

impl Cursor {
    /// How many numbers that were given out lie at or below `serving`.
    #[must_use]
    pub fn rank(&self, serving: Seq) -> u64 {
        serving.0 - self.holes.upto(serving).min(serving.0)
    }

    /// The position of a waiting entry: 1 is next. `seen` is the highest `serving` its client has been shown.
    ///
    /// A node that has just begun may not know of a hole that the token counts in `holes_below`. A stretch that does not
    /// fit between the cursor and the entry lies below the cursor, and does not matter.
    #[must_use]
    pub fn position(&self, seq: Seq, holes_below: u64, seen: Option<Seq>) -> u64 {
        let serving = seen.unwrap_or_default().max(self.serving);
        if seq <= serving {
            return 1;
        }
        let known_below = self.holes.upto(seq);
        let ahead = (seq.0 - serving.0).saturating_sub(known_below - self.holes.upto(serving));
        let unknown = holes_below.saturating_sub(known_below);
        if unknown < ahead { ahead - unknown } else { ahead.max(1) }
    }

    /// How many entries wait between the cursor and `last`, the highest number given out.
    #[must_use]
    pub fn waiting(&self, last: Seq) -> u64 {
        self.rank(last.max(self.serving)) - self.rank(self.serving)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hole(from: u64, to: u64) -> Hole {
        Hole { from: Seq(from), to: Seq(to) }
    }

    #[test]
    fn positions_do_not_count_holes() {
        let mut cursor = Cursor::default();
        cursor.holes.push(hole(11, 100));
        let below = cursor.holes.upto(Seq(101));
        assert_eq!(cursor.position(Seq(101), below, None), 11);
        cursor.serving = Seq(10);
        assert_eq!(cursor.position(Seq(101), below, None), 1);
        cursor.serving = Seq(100);
        assert_eq!(cursor.position(Seq(101), below, None), 1);
        assert_eq!(cursor.position(Seq(105), below, None), 5);
        assert_eq!(cursor.waiting(Seq(105)), 5);
    }

    #[test]
    fn a_node_that_knows_no_holes_yet_shows_no_other_position() {
        let mut knowing = Cursor { serving: Seq(100_009), ..Cursor::default() };
        knowing.holes.push(hole(1, 100_000));
        let beginning = Cursor::default();
        for seen in [100_009, 100_010] {
            let position =
                |cursor: &Cursor| cursor.position(Seq(100_012), 100_000, Some(Seq(seen)));
            assert_eq!(position(&beginning), position(&knowing));
        }
        assert_eq!(beginning.position(Seq(100_012), 100_000, None), 12);
    }

    #[test]
    fn the_parked_are_next() {
        let cursor = Cursor { serving: Seq(50), ..Cursor::default() };
        assert_eq!(cursor.position(Seq(7), 0, None), 1);
    }

    proptest! {
        /// never-backwards: on any node, however far behind, a client that tells what it has seen never sees a rise.
        #[test]
        fn a_position_never_rises(
            seq in 1_u64..2_000,
            holes in proptest::collection::vec((1_u64..2_000, 1_u64..50), 0..4),
            cursors in proptest::collection::vec(0_u64..2_500, 1..20),
        ) {
            let mut known = Holes::default();
            let mut sorted = holes;
            sorted.sort_unstable();
            for (from, len) in sorted {
                if !(from..from + len).contains(&seq) {
                    known.push(hole(from, from + len - 1));
                }
            }
            let below = known.upto(Seq(seq));
            let (mut seen, mut shown) = (Seq(0), u64::MAX);
            for serving in cursors { // as different nodes answer: some ahead, some behind
                let cursor = Cursor { serving: Seq(serving), holes: known.clone() };
                let position = cursor.position(Seq(seq), below, Some(seen));
                prop_assert!(position <= shown);
                shown = position;
                seen = seen.max(cursor.serving);
            }
        }
    }
}
