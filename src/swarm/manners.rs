//! What shoppers do with an order once they have one: most pay, some dawdle, some never pay, some think better of it.

use std::time::Duration;

use clap::Args;
use sluice_core::random::Random;

use crate::{
    cli::{duration, fraction},
    exit::Usage,
};

/// Shares of the served. Without any, everybody pays at once.
#[derive(Clone, Copy, Debug, PartialEq, Args)]
pub(crate) struct Manners {
    /// Share of those who are served and do nothing of the below that pays; the others let their order lapse
    #[arg(long, value_name = "FRACTION", default_value_t = 1.0, value_parser = fraction)]
    pub(crate) pay: f64,
    /// Whoever has heard of a reservation looks for the button for so long at most, before anything else is done
    #[arg(long, value_name = "DUR", default_value = "1500ms", value_parser = duration)]
    pub(crate) pay_within: Duration,
    /// Share of those who are served that opens a payment and takes most of the time there is to pay it
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub(crate) dawdle: f64,
    /// Share of those who are served that opens a payment, never pays it, and lets the order lapse
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub(crate) abandon: f64,
    /// Share of those who are served that cancels the order
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub(crate) cancel: f64,
    /// Share of those who are served that pays when the deadline has passed, where the provider still takes the money
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub(crate) late: f64,
    /// Share of those whose order is fulfilled that gives it back for the money
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    pub(crate) refund: f64,
}

/// What one shopper does with an order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    Pays,
    Dawdles,
    PaysLate,
    Cancels,
    /// Opens a payment and goes away.
    Abandons,
    /// Does nothing at all.
    LetsLapse,
}

impl Manners {
    /// Whether the shares of the served leave nobody who would have to do two things.
    pub(crate) fn check(&self) -> Result<(), Usage> {
        if self.dawdle + self.abandon + self.cancel + self.late > 1.0 + 1e-9 {
            return Err(Usage(
                "--dawdle, --abandon, --cancel and --late are shares of the same shoppers: together at most 1"
                    .into(),
            ));
        }
        Ok(())
    }

    pub(crate) fn draw(&self, random: &Random) -> Manner {
        let (drawn, pays) = (random.unit(), random.unit() < self.pay);
        let mut below = 0.0;
        for (share, manner) in [
            (self.abandon, Manner::Abandons),
            (self.cancel, Manner::Cancels),
            (self.late, Manner::PaysLate),
            (self.dawdle, Manner::Dawdles),
        ] {
            below += share;
            if drawn < below {
                return manner;
            }
        }
        if pays { Manner::Pays } else { Manner::LetsLapse }
    }

    /// Whether every order that is made is paid in time and kept: then a unit is reserved once, and everybody hears
    /// of an outcome as soon as the stock is gone.
    pub(crate) fn everybody_pays(&self) -> bool {
        self.pay >= 1.0 && self.abandon + self.cancel + self.late + self.refund <= 0.0
    }

    /// Whether somebody waits for a deadline, or has others wait for it.
    pub(crate) fn meet_deadlines(&self) -> bool {
        self.pay < 1.0 || self.abandon + self.late + self.dawdle > 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const ORDERLY: Manners = Manners {
        pay: 1.0,
        pay_within: Duration::from_millis(1_500),
        dawdle: 0.0,
        abandon: 0.0,
        cancel: 0.0,
        late: 0.0,
        refund: 0.0,
    };

    #[test]
    fn everybody_pays_unless_something_else_is_said() {
        let random = Random::seeded(1);
        assert!((0..200).all(|_| ORDERLY.draw(&random) == Manner::Pays));
        assert!(ORDERLY.everybody_pays() && !ORDERLY.meet_deadlines());
    }

    #[test]
    fn each_share_is_of_all_and_the_rest_pays_as_pay_says() {
        let random = Random::seeded(1);
        let manners = Manners { pay: 0.5, dawdle: 0.1, abandon: 0.3, cancel: 0.2, ..ORDERLY };
        let drawn: Vec<Manner> = (0..4_000).map(|_| manners.draw(&random)).collect();
        for (manner, share) in [
            (Manner::Abandons, 0.3),
            (Manner::Cancels, 0.2),
            (Manner::Dawdles, 0.1),
            (Manner::Pays, 0.2),
            (Manner::LetsLapse, 0.2),
            (Manner::PaysLate, 0.0),
        ] {
            let count = drawn.iter().filter(|one| **one == manner).count();
            let due = 4_000.0 * share;
            assert!(
                (f64::from(u32::try_from(count).unwrap()) - due).abs() <= 120.0,
                "{manner:?}: {count}"
            );
        }
    }

    #[test]
    fn nobody_does_two_things() {
        assert!(
            Manners { abandon: 0.3, cancel: 0.3, late: 0.3, dawdle: 0.1, ..ORDERLY }
                .check()
                .is_ok()
        );
        assert!(Manners { abandon: 0.5, late: 0.6, ..ORDERLY }.check().is_err());
    }
}
