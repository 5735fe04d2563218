//! Credit over time: the law's accumulator driven by a monotonic clock, and how fast turns really went. Pure.

use std::{collections::VecDeque, time::Duration};

use sluice_core::law::{Credit, TICK_MAX, exact};
use tokio::time::Instant;

/// A stretch without a tick is made up for in steps of the law's longest tick, at most this many: the cap on credit
/// makes more of them pointless for any rate that matters.
const STEPS_MAX: u32 = 100;

/// When the next whole turn is due.
#[derive(Debug)]
pub(crate) struct Pace {
    credit: Credit,
    at: Instant,
}

impl Pace {
    /// Begins with nothing: a takeover is never a burst.
    pub(crate) fn starting(now: Instant) -> Self {
        Self { credit: Credit::default(), at: now }
    }

    /// Earns what `rate` gives from the last call to `now`, within the law's cap, and returns the whole turns there are.
    pub(crate) fn accrue(&mut self, rate: f64, now: Instant) -> u64 {
        let mut left = now.duration_since(self.at);
        self.at = now;
        for _ in 1..STEPS_MAX {
            if left <= TICK_MAX {
                break;
            }
            self.credit.accrue(rate, TICK_MAX);
            left -= TICK_MAX;
        }
        self.credit.accrue(rate, left)
    }

    pub(crate) fn spend(&mut self, turns: u64) {
        self.credit.spend(turns);
    }

    /// Whole turns that may be released now.
    pub(crate) fn whole(&self) -> u64 {
        self.credit.whole()
    }

    /// How long to sleep until credit is worth a look at `rate`: half of what is left until a whole turn, so that the
    /// last steps are short ticks and a late one costs no credit; between `tick` and `most`.
    pub(crate) fn nap(&self, rate: f64, tick: Duration, most: Duration) -> Duration {
        self.credit.until_whole(rate).map_or(most, |left| (left / 2).min(most)).max(tick)
    }
}

/// Turns released over the last three seconds.
#[derive(Debug)]
pub(crate) struct Speed {
    started: Instant,
    /// Turns by the number of the slot they were released in.
    slots: VecDeque<(u128, u64)>,
}

const SLOT: Duration = Duration::from_millis(250);
const SLOTS: u32 = 12;

impl Speed {
    pub(crate) fn starting(now: Instant) -> Self {
        Self { started: now, slots: VecDeque::new() }
    }

    pub(crate) fn released(&mut self, turns: u64, now: Instant) {
        let slot = self.forget(now);
        match self.slots.back_mut() {
            Some((number, count)) if *number == slot => *count += turns,
            Some(_) | None => self.slots.push_back((slot, turns)),
        }
    }

    /// Turns per second.
    pub(crate) fn per_second(&mut self, now: Instant) -> f64 {
        let slot = self.forget(now);
        let since_start = now.duration_since(self.started);
        let whole_slots = SLOT * u32::try_from(slot).unwrap_or(u32::MAX).min(SLOTS - 1);
        let over = whole_slots
            + since_start
                .saturating_sub(SLOT.saturating_mul(u32::try_from(slot).unwrap_or(u32::MAX)));
        let turns = self.slots.iter().map(|(_, turns)| turns).sum();
        exact(turns) / over.max(SLOT).as_secs_f64()
    }

    /// Drops what is too old and returns the number of the present slot.
    fn forget(&mut self, now: Instant) -> u128 {
        let slot = now.duration_since(self.started).as_millis() / SLOT.as_millis();
        while self.slots.front().is_some_and(|(number, _)| number + u128::from(SLOTS) <= slot) {
            self.slots.pop_front();
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TICK: Duration = Duration::from_millis(4);

    #[test]
    fn an_idle_minute_saves_one_tick() {
        let start = Instant::now();
        let mut pace = Pace::starting(start);
        assert_eq!(pace.accrue(2000.0, start + Duration::from_mins(1)), 20);
        let mut slow = Pace::starting(start);
        assert_eq!(slow.accrue(0.5, start + Duration::from_secs(1)), 0);
        assert_eq!(slow.accrue(0.5, start + Duration::from_secs(2)), 1, "idle time is not lost");
        assert_eq!(slow.accrue(0.5, start + Duration::from_mins(9)), 1, "nor does it pile up");
    }

    #[test]
    fn the_speed_is_that_of_the_last_seconds() {
        let start = Instant::now();
        let mut speed = Speed::starting(start);
        for n in 1..=100_u32 {
            speed.released(10, start + n * Duration::from_millis(100));
        }
        let now = start + Duration::from_secs(10);
        let per_second = speed.per_second(now);
        assert!((97.0..=103.0).contains(&per_second), "{per_second}");
        assert!(speed.per_second(now + Duration::from_secs(4)).abs() < f64::EPSILON);
    }

    #[test]
    fn naps_are_short_at_speed_and_bounded_when_slow() {
        let (pace, most) = (Pace::starting(Instant::now()), Duration::from_millis(50));
        assert_eq!(pace.nap(2000.0, TICK, most), TICK);
        assert_eq!(pace.nap(20.0, TICK, most), Duration::from_millis(25));
        assert_eq!(pace.nap(0.1, TICK, most), most);
        assert_eq!(pace.nap(0.0, TICK, most), most);
    }

    proptest! {
        /// The integral is kept to within one turn by the loop's own naps, however late (within reason) they end.
        #[test]
        fn naps_keep_the_integral(rate in 0.2_f64..3_000.0, late_micros in proptest::collection::vec(0_u64..4_000, 2_000)) {
            let start = Instant::now();
            let (mut now, mut pace, mut released) = (start, Pace::starting(start), 0);
            for late in late_micros {
                now += pace.nap(rate, TICK, Duration::from_millis(50)) + Duration::from_micros(late);
                let turns = pace.accrue(rate, now);
                pace.spend(turns);
                released += turns;
            }
            let integral = rate * now.duration_since(start).as_secs_f64();
            prop_assert!(exact(released) <= integral + 1e-6);
            prop_assert!(exact(released) >= integral * 0.98 - 1.0, "{} of {}", released, integral);
        }
    }
}
