//! How long to wait before something is tried again: doubling, with full jitter, so that what failed together does not
//! come back together.

use std::time::Duration;

use sluice_core::random::Random;

/// Doubling ceilings from `first` to `most`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

impl Backoff {
    /// A wait after `tries` failures before this one: anything between nothing and the ceiling.
    pub(crate) fn after(self, tries: u32, random: &Random) -> Duration {
        let doubled = self.first.saturating_mul(1 << tries.min(20));
        doubled.min(self.most).mul_f64(random.unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_below_their_doubling_ceiling_and_use_all_of_it() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(8) };
        let random = Random::seeded(1);
        for (tries, ceiling) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 8), (u32::MAX, 8)] {
            let ceiling = Duration::from_secs(ceiling);
            let waits: Vec<_> = (0..500).map(|_| backoff.after(tries, &random)).collect();
            assert!(waits.iter().all(|wait| *wait < ceiling), "{tries}");
            assert!(waits.iter().any(|wait| *wait < ceiling / 4), "{tries}");
            assert!(waits.iter().any(|wait| *wait > ceiling * 3 / 4), "{tries}");
        }
    }
}
