//! The reorder window's frontier: up to which number everybody who is coming has come. Pure.
//!
//! Joins that overlap reach the queue in either order, so a missing number is waited for; but not for long, since it may
//! have been burned by a join that failed. A number is waited for until some higher one has been here for the reorder
//! wait; then it is passed. What comes later is a straggler and is next.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use sluice_core::{ids::Seq, line::Holes};
use tokio::time::Instant;

/// See the module. Memory is bounded by what stands above the frontier, which the window bounds.
#[derive(Debug)]
pub(crate) struct Reorder {
    /// Every number at or below it has been seen, is in a hole, or was waited for long enough.
    frontier: Seq,
    /// Numbers above the frontier that were seen.
    above: BTreeSet<Seq>,
    /// The same, by when they came; those that the frontier has passed are dropped when they surface.
    arrivals: VecDeque<(Instant, Seq)>,
    holes: Holes,
}

impl Reorder {
    /// Starts at a cursor: everything at or below `serving` is behind the frontier.
    pub(crate) fn new(serving: Seq, holes: Holes) -> Self {
        Self { frontier: serving, above: BTreeSet::new(), arrivals: VecDeque::new(), holes }
    }

    pub(crate) fn frontier(&self) -> Seq {
        self.frontier
    }

    /// Numbers seen above the frontier.
    pub(crate) fn ahead(&self) -> usize {
        self.above.len()
    }

    /// The highest number that has come or was passed.
    pub(crate) fn highest(&self) -> Seq {
        self.above.last().copied().unwrap_or_default().max(self.frontier)
    }

    /// Notes that a number has come.
    pub(crate) fn saw(&mut self, seq: Seq, now: Instant) {
        if seq > self.frontier && self.above.insert(seq) {
            self.arrivals.push_back((now, seq));
        }
    }

    /// Moves the frontier as far as it may go at `now`, and returns how many numbers were given up waiting for.
    pub(crate) fn step(&mut self, now: Instant, wait: Duration) -> u64 {
        let mut passed = 0;
        self.follow();
        while let Some((came, seq)) = self.arrivals.front().copied() {
            if seq > self.frontier {
                if now.duration_since(came) < wait {
                    break;
                }
                // Whatever is missing below a number that has been here this long is passed, all of it.
                passed += self.missing_below(seq);
                self.frontier = seq;
                self.above = self.above.split_off(&seq.next());
                self.follow();
            }
            self.arrivals.pop_front();
        }
        passed
    }

    /// When `step` will next pass something if nothing comes.
    pub(crate) fn deadline(&self, wait: Duration) -> Option<Instant> {
        self.arrivals.iter().find(|(_, seq)| *seq > self.frontier).map(|(came, _)| *came + wait)
    }

    /// Takes in every number that follows the frontier without a break.
    fn follow(&mut self) {
        loop {
            let next = self.frontier.next();
            if self.above.remove(&next) {
                self.frontier = next;
            } else if let Some(end) = self.holes.end_of(next) {
                // Somebody may stand in a hole all the same, if the line's store forgot giving the number out: then
                // they are here already and go next.
                self.frontier = end;
                self.above = self.above.split_off(&end.next());
            } else {
                break;
            }
        }
    }

    fn missing_below(&self, seq: Seq) -> u64 {
        let stretch = seq.0 - self.frontier.0 - 1;
        let seen = u64::try_from(self.above.range(..seq).count()).unwrap_or(u64::MAX);
        let below = Seq(seq.0 - 1);
        let holes = self.holes.upto(below).saturating_sub(self.holes.upto(self.frontier));
        stretch.saturating_sub(seen).saturating_sub(holes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_core::line::Hole;

    use super::*;

    const WAIT: Duration = Duration::from_millis(250);

    fn reorder() -> Reorder {
        Reorder::new(Seq(0), Holes::default())
    }

    #[test]
    fn numbers_in_a_row_need_no_waiting() {
        let (mut reorder, now) = (reorder(), Instant::now());
        for seq in [2, 1, 3] {
            reorder.saw(Seq(seq), now);
        }
        assert_eq!(reorder.step(now, WAIT), 0);
        assert_eq!(reorder.frontier(), Seq(3));
        assert_eq!(reorder.deadline(WAIT), None);
    }

    #[test]
    fn a_missing_number_is_waited_for_and_no_longer() {
        let (mut reorder, start) = (reorder(), Instant::now());
        reorder.saw(Seq(1), start);
        reorder.saw(Seq(3), start);
        assert_eq!(reorder.step(start + WAIT - Duration::from_millis(1), WAIT), 0);
        assert_eq!(reorder.frontier(), Seq(1));
        assert_eq!(reorder.deadline(WAIT), Some(start + WAIT));
        assert_eq!(reorder.step(start + WAIT, WAIT), 1);
        assert_eq!(reorder.frontier(), Seq(3));
    }

    #[test]
    fn many_burned_numbers_share_one_wait() {
        let (mut reorder, start) = (reorder(), Instant::now());
        for seq in (1..2_000).step_by(2) {
            reorder.saw(Seq(seq), start);
        }
        assert_eq!(reorder.step(start + WAIT, WAIT), 999);
        assert_eq!(reorder.frontier(), Seq(1_999));
    }

    #[test]
    fn a_late_neighbour_does_not_prolong_the_wait() {
        let (mut reorder, start) = (reorder(), Instant::now());
        reorder.saw(Seq(10), start);
        reorder.saw(Seq(5), start + Duration::from_millis(240));
        assert_eq!(reorder.step(start + WAIT, WAIT), 8);
        assert_eq!(reorder.frontier(), Seq(10));
    }

    #[test]
    fn holes_are_not_waited_for() {
        let mut holes = Holes::default();
        holes.push(Hole { from: Seq(3), to: Seq(100) });
        let (mut reorder, now) = (Reorder::new(Seq(0), holes), Instant::now());
        for seq in [1, 2, 101, 50] {
            reorder.saw(Seq(seq), now);
        }
        assert_eq!(reorder.step(now, WAIT), 0);
        assert_eq!(reorder.frontier(), Seq(101));
    }

    proptest! {
        /// Whatever comes in whatever order: the frontier never goes back, never passes what nobody has seen above, and
        /// ends at the highest number once the wait is over.
        #[test]
        fn the_frontier_reaches_the_highest_number(
            steps in proptest::collection::vec((1_u64..300, 0_u64..100), 1..100),
        ) {
            let (mut reorder, mut now, mut highest) = (reorder(), Instant::now(), 0);
            let mut first_seen_above: Vec<(u64, Instant)> = Vec::new();
            for (seq, millis) in steps {
                now += Duration::from_millis(millis);
                reorder.saw(Seq(seq), now);
                if seq > highest { first_seen_above.push((seq, now)); }
                highest = highest.max(seq);
                let before = reorder.frontier();
                reorder.step(now, WAIT);
                prop_assert!(before <= reorder.frontier());
                prop_assert!(reorder.frontier().0 <= highest);
                // No longer: whatever was seen a whole wait ago is behind the frontier.
                for (seen, at) in &first_seen_above {
                    prop_assert!(now.duration_since(*at) < WAIT || *seen <= reorder.frontier().0);
                }
            }
            reorder.step(now + WAIT, WAIT);
            prop_assert_eq!(reorder.frontier().0, highest);
            prop_assert_eq!(reorder.ahead(), 0);
        }
    }
}
