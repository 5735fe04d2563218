//! How often and after what pause an operation that was rolled back is tried again.

use std::time::Duration;

use sluice_core::random::Random;

/// Tries of one operation, the first included.
const TRIES_MAX: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_millis(4);
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// The tries of one operation.
#[derive(Debug, Default)]
pub(super) struct Tries {
    made: u32,
}

impl Tries {
    /// How long to wait before the next try; `None` when there is to be none.
    pub(super) fn next(&mut self, random: &Random) -> Option<Duration> {
        self.made += 1;
        if self.made >= TRIES_MAX {
            return None;
        }
        let most = FIRST_PAUSE.saturating_mul(1 << self.made).min(PAUSE_MAX);
        // Full jitter: those who collided do not meet again.
        Some(most.mul_f64(random.unit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let random = Random::seeded(3);
        let mut tries = Tries::default();
        let pauses: Vec<Duration> = std::iter::from_fn(|| tries.next(&random)).collect();
        assert_eq!(pauses.len(), 7);
        assert!(pauses.iter().all(|pause| *pause <= PAUSE_MAX));
        assert!(pauses.iter().sum::<Duration>() < Duration::from_secs(1));
    }
}
