//! How long those called in the last minute had waited: a streaming histogram with a fixed size. Pure.
//!
//! Buckets grow by a tenth, so a quantile is at most 10 % too high; the minute is kept in slots of five seconds.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

const SLOT: Duration = Duration::from_secs(5);
const SLOTS: usize = 12;
/// `GROWTH ^ BUCKETS` milliseconds is about two days; longer waits count as that.
const BUCKETS: usize = 200;
const GROWTH: f64 = 1.1;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    slots: VecDeque<Slot>,
}

#[derive(Debug)]
struct Slot {
    since: Instant,
    counts: Box<[u32; BUCKETS]>,
}

/// Half of those called waited at most `p50_ms`, nineteen in twenty at most `p95_ms`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct WaitQuantiles {
    pub(crate) p50_ms: u64,
    pub(crate) p95_ms: u64,
}

impl Waits {
    /// Notes that somebody was called at `now` after waiting this long.
    pub(crate) fn record(&mut self, waited: Duration, now: Instant) {
        let fresh = self.slots.back().is_some_and(|slot| now.duration_since(slot.since) < SLOT);
        if !fresh {
            // The oldest slot's memory serves again.
            let spare = (self.slots.len() >= SLOTS).then(|| self.slots.pop_front()).flatten();
            let mut counts = spare.map_or_else(|| Box::new([0; BUCKETS]), |slot| slot.counts);
            counts.fill(0);
            self.slots.push_back(Slot { since: now, counts });
        }
        if let Some(slot) = self.slots.back_mut() {
            let count = &mut slot.counts[bucket(waited)];
            *count = count.saturating_add(1);
        }
    }

    /// Over the last minute; `None` when nobody was called in it.
    pub(crate) fn quantiles(&self, now: Instant) -> Option<WaitQuantiles> {
        let minute = SLOT * u32::try_from(SLOTS).unwrap_or(1);
        let mut counts = [0_u64; BUCKETS];
        for slot in self.slots.iter().filter(|slot| now.duration_since(slot.since) < minute) {
            for (sum, count) in counts.iter_mut().zip(slot.counts.iter()) {
                *sum += u64::from(*count);
            }
        }
        let total: u64 = counts.iter().sum();
        let quantile = |percent: u64| {
            let rank = (total * percent).div_ceil(100).max(1);
            let mut below = 0;
            let found = counts.iter().position(|count| {
                below += count;
                below >= rank
            });
            upper_ms(found.unwrap_or(BUCKETS - 1))
        };
        (total > 0).then(|| WaitQuantiles { p50_ms: quantile(50), p95_ms: quantile(95) })
    }
}

/// The bucket of a wait: bucket 0 is up to 1 ms, bucket n up to `GROWTH ^ n` ms.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a logarithm of a duration in milliseconds, clamped to the buckets"
)]
fn bucket(waited: Duration) -> usize {
    let millis = waited.as_secs_f64() * 1_000.0;
    if millis <= 1.0 { 0 } else { (millis.log(GROWTH).ceil() as usize).min(BUCKETS - 1) }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "about two days in milliseconds at most, positive"
)]
fn upper_ms(bucket: usize) -> u64 {
    GROWTH.powf(f64::from(u32::try_from(bucket).unwrap_or(u32::MAX))).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_old_minute_is_forgotten() {
        let (mut waits, start) = (Waits::default(), Instant::now());
        assert_eq!(waits.quantiles(start), None);
        waits.record(Duration::from_hours(1), start);
        let later = start + Duration::from_secs(59);
        assert!(waits.quantiles(later).unwrap().p50_ms >= 3_600_000);
        assert_eq!(waits.quantiles(start + Duration::from_mins(1)), None);
        for n in 0..1_000 {
            waits.record(Duration::from_millis(10), start + n * Duration::from_secs(1));
        }
        assert_eq!(waits.slots.len(), SLOTS, "memory does not grow");
        assert!(waits.quantiles(start + Duration::from_secs(999)).unwrap().p95_ms <= 11);
    }

    proptest! {
        #[test]
        fn quantiles_are_within_a_tenth(millis in proptest::collection::vec(2_u64..10_000_000, 1..300)) {
            let (mut waits, now) = (Waits::default(), Instant::now());
            for wait in &millis {
                waits.record(Duration::from_millis(*wait), now);
            }
            let mut sorted = millis;
            sorted.sort_unstable();
            let exact = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
            let near = |told: u64, exact: u64| told + 1 >= exact && told <= exact * 11 / 10 + 2;
            let told = waits.quantiles(now).unwrap();
            prop_assert!(near(told.p50_ms, exact(50)), "{} {}", told.p50_ms, exact(50));
            prop_assert!(near(told.p95_ms, exact(95)), "{} {}", told.p95_ms, exact(95));
        }
    }
}
