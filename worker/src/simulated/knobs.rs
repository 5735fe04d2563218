//! How unruly the simulated provider is: what a rehearsal turns up to meet a payment company on a bad day.
//!
//! What concerns a payment as a whole is drawn from its id, so that every worker, and every repeat of a request, meets the
//! same luck; what concerns one call is drawn anew each time.

use std::time::Duration;

use sha2::{Digest, Sha256};
use sluice_core::{ids::PaymentId, random::Random};

/// See the module. Shares are from 0 (never) to 1 (always); by default all is orderly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SimulatedKnobs {
    /// How long after a change its callback is made, at least.
    pub delay: Duration,
    /// How much longer than that it may take, at random.
    pub delay_spread: Duration,
    /// Share of callbacks that are made twice, both at the same time.
    pub duplicate: f64,
    /// Share of payments whose older word comes after the newer one: after a success that a first try had failed, after
    /// a refund that there was a success.
    pub reorder: f64,
    /// Share of the tries to call back that are lost on the way. Each is made again later, as if it had not been answered.
    pub drop: f64,
    /// Share of payments that fail although the buyer pressed the button that pays, as a card is declined.
    pub fail: f64,
    /// Share of payments that can still be paid after they were closed.
    pub pay_after_close: f64,
    /// Share of our calls that are not answered; every other one of them has taken effect all the same.
    pub unreachable: f64,
}

/// What is drawn once for a payment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lot {
    Duplicate = 1,
    Reorder,
    Fail,
    PayAfterClose,
}

/// What becomes of one call of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Luck {
    Answered,
    /// It never arrived.
    LostOnTheWay,
    /// It was done, and the answer is lost.
    AnswerLost,
}

impl SimulatedKnobs {
    /// How long the callback of a change waits.
    pub(super) fn delay(&self, random: &Random) -> Duration {
        self.delay
            + if self.delay_spread.is_zero() {
                Duration::ZERO
            } else {
                self.delay_spread.mul_f64(random.unit())
            }
    }

    /// The longest that [`Self::delay`] can be.
    pub(super) fn delay_max(&self) -> Duration {
        self.delay.saturating_add(self.delay_spread)
    }

    pub(super) fn duplicates(&self, payment: PaymentId) -> bool {
        drawn(payment, Lot::Duplicate, self.duplicate)
    }

    pub(super) fn reorders(&self, payment: PaymentId) -> bool {
        drawn(payment, Lot::Reorder, self.reorder)
    }

    pub(super) fn fails(&self, payment: PaymentId) -> bool {
        drawn(payment, Lot::Fail, self.fail)
    }

    pub(super) fn pays_after_close(&self, payment: PaymentId) -> bool {
        drawn(payment, Lot::PayAfterClose, self.pay_after_close)
    }

    pub(super) fn drops(&self, random: &Random) -> bool {
        chance(self.drop, random)
    }

    pub(super) fn luck(&self, random: &Random) -> Luck {
        if !chance(self.unreachable, random) {
            Luck::Answered
        } else if random.below(2) == 0 {
            Luck::LostOnTheWay
        } else {
            Luck::AnswerLost
        }
    }
}

fn chance(share: f64, random: &Random) -> bool {
    share > 0.0 && random.unit() < share
}

/// The same for a payment and a lot, whoever asks and how often.
fn drawn(payment: PaymentId, lot: Lot, share: f64) -> bool {
    if share <= 0.0 {
        return false;
    }
    let hash = Sha256::new().chain_update(payment.as_bytes()).chain_update([lot as u8]).finalize();
    let number = hash.iter().take(4).fold(0_u32, |number, byte| number << 8 | u32::from(*byte));
    f64::from(number) < share * (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use sluice_core::clock::UnixMillis;

    use super::*;

    fn payments(count: usize) -> Vec<PaymentId> {
        let random = Random::seeded(3);
        (0..count).map(|_| PaymentId::generate(UnixMillis(0), &random)).collect()
    }

    #[test]
    fn a_share_of_payments_is_drawn_always_the_same_and_each_lot_for_itself() {
        let knobs = SimulatedKnobs { fail: 0.3, reorder: 0.3, ..SimulatedKnobs::default() };
        let all = payments(2_000);
        let failing: Vec<bool> = all.iter().map(|payment| knobs.fails(*payment)).collect();
        assert_eq!(failing, all.iter().map(|payment| knobs.fails(*payment)).collect::<Vec<_>>());
        let count = failing.iter().filter(|fails| **fails).count();
        assert!((500..700).contains(&count), "{count} of 2000 for 0.3");
        let both = all.iter().filter(|one| knobs.fails(**one) && knobs.reorders(**one)).count();
        assert!((120..240).contains(&both), "{both} of 2000 for 0.3 × 0.3");
        assert!(!all.iter().any(|payment| knobs.pays_after_close(*payment)), "0 is never");
        let always = SimulatedKnobs { pay_after_close: 1.0, ..knobs };
        assert!(all.iter().all(|payment| always.pays_after_close(*payment)), "1 is always");
    }

    #[test]
    fn half_of_the_unanswered_calls_took_effect() {
        let random = Random::seeded(1);
        let knobs = SimulatedKnobs { unreachable: 1.0, ..SimulatedKnobs::default() };
        let lucks: Vec<Luck> = (0..400).map(|_| knobs.luck(&random)).collect();
        assert!(!lucks.contains(&Luck::Answered));
        let lost = lucks.iter().filter(|luck| **luck == Luck::LostOnTheWay).count();
        assert!((140..260).contains(&lost), "{lost}");
        assert_eq!(SimulatedKnobs::default().luck(&random), Luck::Answered);
    }

    #[test]
    fn delays_stay_within_their_spread() {
        let random = Random::seeded(1);
        let (delay, delay_spread) = (Duration::from_millis(100), Duration::from_millis(50));
        let knobs = SimulatedKnobs { delay, delay_spread, ..SimulatedKnobs::default() };
        let delays: Vec<Duration> = (0..200).map(|_| knobs.delay(&random)).collect();
        assert!(delays.iter().all(|one| (delay..knobs.delay_max()).contains(one)));
        assert!(delays.iter().any(|one| *one > delay + delay_spread / 2));
        assert_eq!(SimulatedKnobs::default().delay(&random), Duration::ZERO);
    }
}
