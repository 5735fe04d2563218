//! When a connected entry is looked up again: a pure decision. No frame is the only carrier of anything, so what was
//! lost on the way is found by looking; but the stores are asked seldom, and never in step.

use std::time::Duration;

use crate::config::{Config, millis};

/// Doublings after which a pause no longer grows.
const DOUBLINGS_MAX: u32 = 6;
/// A parked entry is looked up at least this often, in units of its first pause.
const PARKED_FACTOR_MAX: u32 = 6;

/// What a look found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Finding {
    /// It waits, and the cursor has not reached it: memory answers for it.
    Ahead,
    /// It waits although the cursor has passed it.
    Parked,
    Called,
    /// It stands by: who is made an offer hears of it.
    Standby,
    /// Reserved, and its order may still change.
    Reserved,
    /// Nothing more will come.
    Final,
    /// The stores did not answer, or are behind what a notice said.
    Behind,
}

/// The pauses between looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How long a passed entry may hear nothing.
    pub(crate) first: Duration,
    again_max: Duration,
    parked: Duration,
    reserved: Duration,
}

impl Pace {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            first: millis(config.lookup_after_ms),
            again_max: millis(config.lookup_again_max_ms),
            parked: millis(config.parked_lookup_ms),
            reserved: millis(config.reserved_lookup_ms),
        }
    }

    /// How long until the next look, after `looks` looks in a row that found nothing new; `None`: not by time.
    pub(crate) fn next(&self, finding: Finding, looks: u32) -> Option<Duration> {
        let doubled = |pause: Duration| pause.saturating_mul(1 << looks.min(DOUBLINGS_MAX));
        match finding {
            Finding::Ahead | Finding::Final => None,
            Finding::Parked => {
                Some(doubled(self.parked).min(self.parked.saturating_mul(PARKED_FACTOR_MAX)))
            }
            Finding::Standby => Some(self.parked.saturating_mul(PARKED_FACTOR_MAX)),
            Finding::Called | Finding::Behind => Some(doubled(self.first).min(self.again_max)),
            Finding::Reserved => Some(self.reserved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(finding: Finding) -> Vec<u64> {
        let pace = Pace::new(&Config::default());
        (0..40).filter_map(|looks| pace.next(finding, looks)).map(|pause| pause.as_secs()).collect()
    }

    #[test]
    fn a_called_entry_is_looked_up_soon_then_less_often() {
        let pauses = seconds(Finding::Called);
        assert_eq!(&pauses[..6], [1, 2, 4, 8, 10, 10]);
        assert_eq!(pauses.len(), 40, "it never gives up");
    }

    #[test]
    fn the_parked_do_not_hammer_the_stores() {
        let pauses = seconds(Finding::Parked);
        assert!(pauses.iter().all(|pause| (5..=30).contains(pause)), "{pauses:?}");
        assert_eq!(pauses.len(), 40);
    }

    #[test]
    fn those_who_stand_by_hardly_ask_at_all() {
        assert!(seconds(Finding::Standby).iter().all(|pause| *pause == 30));
    }

    #[test]
    fn what_memory_answers_or_what_is_over_is_not_looked_up() {
        assert!(seconds(Finding::Ahead).is_empty());
        assert!(seconds(Finding::Final).is_empty());
    }
}
