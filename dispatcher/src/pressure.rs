//! Back-pressure: how much a long turn queue slows the line. Pure. It only ever lowers the rate.

use sluice_core::law::exact;

/// What the line's rate is multiplied by, 0 to 1, when `turns` lie in the turn queue: 1 up to a backlog of
/// `backlog_seconds` at the law's `rate` (and of `backlog_turns_min` at least), then down in a straight line to 0 at
/// twice that.
pub(crate) fn factor(turns: u64, rate: f64, backlog_seconds: f64, backlog_turns_min: u64) -> f64 {
    let backlog = (rate * backlog_seconds).max(exact(backlog_turns_min)).max(1.0);
    (2.0 - exact(turns) / backlog).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_long_queue_slows_and_then_stops_the_line() {
        let factor = |turns| factor(turns, 2000.0, 2.0, 1_000);
        assert!((factor(0) - 1.0).abs() < 1e-9);
        assert!((factor(4_000) - 1.0).abs() < 1e-9);
        assert!((factor(6_000) - 0.5).abs() < 1e-9);
        assert!(factor(8_000).abs() < 1e-9);
        assert!(factor(u64::MAX).abs() < 1e-9);
    }

    #[test]
    fn a_slow_line_may_have_the_least_backlog() {
        assert!((factor(1_000, 0.1, 2.0, 1_000) - 1.0).abs() < 1e-9);
        assert!((factor(1_500, 0.1, 2.0, 1_000) - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn it_only_ever_lowers(turns: u64, more in 0_u64..1_000_000, rate in 0.0_f64..1e6) {
            let here = factor(turns, rate, 2.0, 1_000);
            let deeper = factor(turns.saturating_add(more), rate, 2.0, 1_000);
            prop_assert!((0.0..=1.0).contains(&here) && deeper <= here);
        }
    }
}
