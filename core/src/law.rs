//! The rate law: how fast turns are released.
//!
//! `rate = max(min(fraction × remaining, ceiling), tail if remaining > 0) × multiplier`, in turns per second. The law is a
//! real number: whole turns are taken from an accumulator that keeps the fraction, because a floor of the rate itself
//! leaves exactly 49 units unsold for ever. What accrues is capped at one tick's worth plus the fraction, so that no
//! pause, failover or empty line is followed by a burst.

use std::time::Duration;

/// Longest stretch of time whose credit may be spent at once. A loop should accrue more often than this, so that an
/// ordinary scheduling delay costs nothing.
pub const TICK_MAX: Duration = Duration::from_millis(10);

/// The four numbers of the law. See `policy` for their ranges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLaw {
    /// Share of what remains, per second.
    pub fraction: f64,
    /// Turns per second, at most.
    pub ceiling: f64,
    /// Turns per second, at least, while anything remains.
    pub tail: f64,
    /// 0 to 1: an operator slows, never exceeds.
    pub multiplier: f64,
}

impl RateLaw {
    /// Turns per second with `remaining` units left to sell.
    #[must_use]
    pub fn rate(&self, remaining: u64) -> f64 {
        self.rate_at(exact(remaining))
    }

    fn rate_at(&self, remaining: f64) -> f64 {
        if remaining <= 0.0 {
            return 0.0;
        }
        (self.fraction * remaining).min(self.ceiling).max(self.tail) * self.multiplier
    }

    /// Seconds until `turns` more turns are released, each taking `units_per_turn` units, when `remaining` units are
    /// left and nothing comes back. `None` if the stock ends first, or the multiplier is 0.
    ///
    /// The law's integral in closed form: constant while the ceiling or the tail rules, exponential between.
    #[must_use]
    pub fn seconds_to_release(
        &self,
        turns: f64,
        remaining: f64,
        units_per_turn: f64,
    ) -> Option<f64> {
        let (turns, units) = (turns.max(0.0), units_per_turn.max(f64::MIN_POSITIVE));
        if turns == 0.0 {
            return Some(0.0);
        }
        let target = remaining - turns * units;
        // The last turn begins with at least some unit left: its predecessors must not have emptied the stock.
        if self.multiplier <= 0.0 || target <= -units + f64::EPSILON {
            return None;
        }
        let ceiling_until = self.ceiling / self.fraction;
        let tail_from = (self.tail / self.fraction).min(ceiling_until);
        let mut seconds = 0.0;
        let mut left = remaining;
        if left > ceiling_until {
            let down_to = target.max(ceiling_until);
            seconds += (left - down_to) / units / (self.ceiling.max(self.tail) * self.multiplier);
            left = down_to;
        }
        if left > target && left > tail_from {
            let down_to = target.max(tail_from).max(f64::MIN_POSITIVE);
            // Below one unit the exponential would never arrive; the last unit takes its turn at the rate it has.
            let smooth_to = down_to.max(units.min(left));
            seconds += (left / smooth_to).ln() / (self.fraction * units * self.multiplier);
            left = smooth_to;
            if left > down_to {
                seconds += (left - down_to) / units / (self.rate_at(left).max(f64::MIN_POSITIVE));
                left = down_to;
            }
        }
        if left > target {
            seconds +=
                (left - target) / units / (self.tail.max(f64::MIN_POSITIVE) * self.multiplier);
        }
        Some(seconds)
    }
}

/// The fraction of a turn that credit may hold besides one tick's worth: less than a turn. Held whole, it lets a dispatcher that is
/// woken late make up for that at rates where a tick is worth less than a turn.
const FRACTION_MAX: f64 = 1.0 - 1e-6;

/// Credit towards whole turns. Pure: time comes in as a duration measured by one monotonic clock.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Credit(f64);

impl Credit {
    /// Adds what `rate` earns in `elapsed`, never holding more than one [`TICK_MAX`] at that rate plus a fraction of a
    /// turn, and returns how many whole turns may be released now.
    pub fn accrue(&mut self, rate: f64, elapsed: Duration) -> u64 {
        let earned = rate.max(0.0) * elapsed.min(TICK_MAX).as_secs_f64();
        let cap = (rate.max(0.0) * TICK_MAX.as_secs_f64() + FRACTION_MAX).max(1.0);
        self.0 = (self.0 + earned).min(cap);
        self.whole()
    }

    /// Whole turns that may be released now.
    #[must_use]
    pub fn whole(&self) -> u64 {
        // A hair of rounding error must not hold a turn back for another tick.
        let whole = (self.0 + 1e-9).floor();
        if whole > 0.0 { exact_floor(whole) } else { 0 }
    }

    /// How long until a whole turn may be released at `rate`; zero if one may be now, `None` if that never comes.
    #[must_use]
    pub fn until_whole(&self, rate: f64) -> Option<Duration> {
        if self.whole() > 0 {
            return Some(Duration::ZERO);
        }
        Duration::try_from_secs_f64((1.0 - self.0) / rate.max(0.0)).ok()
    }

    /// Takes `turns` that were released. Credit never goes below zero.
    pub fn spend(&mut self, turns: u64) {
        self.0 = (self.0 - exact(turns)).max(0.0);
    }
}

/// A count as a real number. Exact below 2^53, far beyond any count here.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
pub fn exact(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "floored, not negative, far below 2^53"
)]
fn exact_floor(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DEFAULT: RateLaw =
        RateLaw { fraction: 0.02, ceiling: 2000.0, tail: 0.0, multiplier: 1.0 };

    /// Sells `stock` one unit a turn in steps of `step`, and returns the seconds it took.
    fn sell_out(law: RateLaw, stock: u64, step: Duration, seconds_max: f64) -> (u64, f64) {
        let (mut credit, mut left, mut seconds) = (Credit::default(), stock, 0.0);
        while left > 0 && seconds < seconds_max {
            seconds += step.as_secs_f64();
            let turns = credit.accrue(law.rate(left), step).min(left);
            credit.spend(turns);
            left -= turns;
        }
        (left, seconds)
    }

    #[test]
    fn the_law_is_the_formula() {
        assert!((DEFAULT.rate(10_000) - 200.0).abs() < 1e-9);
        assert!((DEFAULT.rate(1_000_000) - 2000.0).abs() < 1e-9);
        assert!((DEFAULT.rate(49) - 0.98).abs() < 1e-9);
        assert_eq!(DEFAULT.rate(0).to_bits(), 0.0_f64.to_bits());
        let tail = RateLaw { tail: 5.0, multiplier: 0.5, ..DEFAULT };
        assert!((tail.rate(1) - 2.5).abs() < 1e-9);
        assert_eq!(tail.rate(0).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn the_last_49_are_sold() {
        let (left, seconds) = sell_out(DEFAULT, 49, Duration::from_millis(10), 1000.0);
        assert_eq!(left, 0);
        assert!((200.0..250.0).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_pause_earns_one_tick_at_most() {
        let mut credit = Credit::default();
        assert_eq!(credit.accrue(2000.0, Duration::from_secs(60)), 20);
        assert_eq!(
            credit.accrue(2000.0, Duration::from_secs(60)),
            20,
            "unspent credit does not pile up"
        );
        let mut slow = Credit::default();
        for _ in 0..100_000 {
            slow.accrue(0.5, Duration::from_millis(10));
        }
        assert_eq!(slow.whole(), 1, "an empty line saves one turn, not a minute of them");
    }

    #[test]
    fn the_next_whole_turn_is_foreseen() {
        let mut credit = Credit::default();
        assert_eq!(credit.until_whole(0.0), None);
        assert_eq!(credit.until_whole(0.5), Some(Duration::from_secs(2)));
        credit.accrue(50.0, Duration::from_millis(10));
        assert_eq!(credit.until_whole(50.0), Some(Duration::from_millis(10)));
        credit.accrue(50.0, Duration::from_millis(10));
        assert_eq!(credit.until_whole(0.0), Some(Duration::ZERO));
    }

    #[test]
    fn the_closed_form_agrees_with_the_accumulator() {
        let cases = [
            (DEFAULT, 200_000_u64, 150_000_u64),
            (DEFAULT, 10_000, 9_000),
            (RateLaw { tail: 20.0, ceiling: 400.0, fraction: 0.1, multiplier: 1.0 }, 10_000, 9_999),
            (RateLaw { multiplier: 0.5, ..DEFAULT }, 50_000, 20_000),
        ];
        for (law, stock, turns) in cases {
            let closed = law.seconds_to_release(exact(turns), exact(stock), 1.0).unwrap();
            let (mut credit, mut released, mut seconds) = (Credit::default(), 0, 0.0);
            while released < turns {
                let step = Duration::from_millis(5);
                let now = credit.accrue(law.rate(stock - released), step);
                credit.spend(now);
                released += now;
                seconds += step.as_secs_f64();
            }
            assert!((closed - seconds).abs() < 0.01 * seconds + 0.1, "{closed} {seconds}");
        }
    }

    #[test]
    fn what_the_stock_cannot_reach_has_no_time() {
        assert_eq!(DEFAULT.seconds_to_release(102.0, 100.0, 1.0), None);
        assert_eq!(
            RateLaw { multiplier: 0.0, ..DEFAULT }.seconds_to_release(1.0, 100.0, 1.0),
            None
        );
        assert!(DEFAULT.seconds_to_release(100.0, 100.0, 1.0).is_some());
    }

    proptest! {
        /// on-rate: whatever the steps, what is released in any window stays within the integral plus one tick.
        #[test]
        fn never_more_than_the_integral_and_one_tick(
            rate in 0.01_f64..5_000.0,
            steps in proptest::collection::vec((0_u64..40, proptest::bool::ANY), 1..200),
        ) {
            let mut credit = Credit::default();
            let mut windows: Vec<(f64, u64)> = Vec::new(); // (seconds, released) since each step
            for (millis, spends) in steps {
                let elapsed = Duration::from_millis(millis);
                let mut turns = credit.accrue(rate, elapsed);
                if spends { credit.spend(turns) } else { turns = 0 }
                for window in &mut windows {
                    window.0 += elapsed.as_secs_f64();
                    window.1 += turns;
                }
                windows.push((0.0, turns));
                let tick = rate * TICK_MAX.as_secs_f64() + 1.0; // and the fraction
                for (seconds, released) in &windows {
                    prop_assert!(exact(*released) <= rate * seconds + tick + 1e-6);
                }
            }
        }

        /// Woken a tick late for every turn, it is as fast as the law all the same.
        #[test]
        fn a_late_tick_is_made_up_for(rate in 0.5_f64..50.0, late in 0_u64..=9) {
            let (mut credit, mut released, mut millis) = (Credit::default(), 0, 0);
            while released < 100 {
                // It sleeps until a turn is due, and a little longer.
                let due = credit.until_whole(rate).unwrap();
                let slept = u64::try_from(due.as_millis()).unwrap() + 1 + late;
                for _ in 0..slept {
                    credit.accrue(rate, Duration::from_millis(1));
                }
                millis += slept;
                let turns = credit.whole();
                credit.spend(turns);
                released += turns;
            }
            let integral = rate * exact(millis) / 1000.0;
            prop_assert!(integral - exact(released) <= 2.0, "{released} of {integral}");
        }

        /// Nothing is lost to rounding: steady ticks release the integral to within one turn.
        #[test]
        fn steady_ticks_keep_the_fraction(rate in 0.01_f64..5_000.0, millis in 1_u64..=10) {
            let (mut credit, mut released) = (Credit::default(), 0);
            let n = 2_000;
            for _ in 0..n {
                let turns = credit.accrue(rate, Duration::from_millis(millis));
                credit.spend(turns);
                released += turns;
            }
            let integral = rate * exact(n * millis) / 1000.0;
            prop_assert!((exact(released) - integral).abs() <= 1.0 + 1e-6, "{released} {integral}");
        }
    }
}
