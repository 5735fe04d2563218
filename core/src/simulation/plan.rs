//! What is simulated: a policy, some stock, and a crowd with its habits.

use std::time::Duration;

use super::HORIZON;
use crate::{policy::Policy, random::Random};

/// When buyers come.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrivals {
    /// Evenly within this time.
    Spike(Duration),
    /// Ever more, from none at first, within this time.
    Ramp(Duration),
    /// At these times after the beginning, in order; what a real night has left behind.
    Recorded(Vec<Duration>),
}

/// What buyers do with what they get. The rest lets the deadline pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conduct {
    /// Share that pays in time: 0 to 1.
    pub pay: f64,
    /// Share that pays after the deadline, within as long again: 0 to 1; with `pay` at most 1.
    pub late: f64,
    /// Who pays does so evenly within this time after the reservation, the payment window at most.
    pub pay_within: Duration,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { pay: 1.0, late: 0.0, pay_within: Duration::from_mins(1) }
    }
}

/// What is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub policy: Policy,
    /// Units that can be sold.
    pub stock: u64,
    /// Units that somebody holds and has not paid when it begins.
    pub held: u64,
    /// Entries that wait when it begins.
    pub waiting: u64,
    /// Buyers who come after that; those that [`Arrivals::Recorded`] names, if fewer.
    pub shoppers: u64,
    pub arrivals: Arrivals,
    /// Units each of them wants: 1 or more.
    pub quantity: u64,
    pub conduct: Conduct,
    /// Orders per second the backend takes at most; it pushes back, and the line slows down.
    pub backend_per_second: Option<f64>,
    /// The same seed is the same sale.
    pub seed: u64,
}

impl Plan {
    /// Milliseconds at which buyers come, in order.
    pub(super) fn arrivals(&self, random: &Random) -> Vec<u64> {
        let within = |over: Duration, share: f64| whole(over.as_secs_f64() * 1000.0 * share);
        let mut times: Vec<u64> = match &self.arrivals {
            Arrivals::Spike(over) => {
                (0..self.shoppers).map(|_| within(*over, random.unit())).collect()
            }
            // As many have come as the square of the time that has passed.
            Arrivals::Ramp(over) => {
                (0..self.shoppers).map(|_| within(*over, random.unit().sqrt())).collect()
            }
            Arrivals::Recorded(times) => {
                let most = usize::try_from(self.shoppers).unwrap_or(usize::MAX);
                times.iter().take(most).map(|time| within(*time, 1.0)).collect()
            }
        };
        times.sort_unstable();
        times
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "milliseconds of a day at most, not negative"
)]
fn whole(ms: f64) -> u64 {
    ms.clamp(0.0, HORIZON.as_secs_f64() * 1000.0) as u64
}
