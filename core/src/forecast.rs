//! What a waiting buyer is told about the future: how long, and whether it is worth it. Both come from the rate law,
//! not from an average of the past.

use serde::{Deserialize, Serialize};

use crate::law::{RateLaw, exact};

/// Whether stock will last until a position.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Odds {
    /// Enough is available even if everyone ahead buys what they asked for.
    Sure,
    /// Enough, if as many as usual ahead give up.
    Likely,
    /// Only if holds lapse or people leave.
    Unlikely,
    /// Nothing is available and nothing can come back.
    Gone,
}

impl Odds {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sure => "sure",
            Self::Likely => "likely",
            Self::Unlikely => "unlikely",
            Self::Gone => "gone",
        }
    }
}

/// Half of the buyers at a position wait at most `p50`, nine in ten at most `p90`. Whole seconds, rounded up.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EtaSeconds {
    pub p50: u64,
    pub p90: u64,
}

/// What the forecast is made from; the same for every buyer of a sale at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outlook {
    pub law: RateLaw,
    /// Whether the line moves at all now: open, not paused.
    pub moving: bool,
    /// Seconds until it opens; 0 when it has.
    pub opens_in_seconds: f64,
    /// Units that can be sold now.
    pub remaining: u64,
    /// Units held but unpaid: they may come back.
    pub unpaid: u64,
    /// Units one turn takes on average; at least 1.
    pub units_per_turn: f64,
    pub sold_out: bool,
}

/// Longer forecasts than this are not worth a number: one day.
const SECONDS_MAX: f64 = 86_400.0;
/// Of the turns ahead, the share that is assumed to end without a purchase in the hopeful reading.
const GIVE_UP_SHARE: f64 = 0.15;
/// Pessimism of the p90: the law slowed by this, since back-pressure only ever lowers it.
const SLOW_SHARE: f64 = 0.7;

impl Outlook {
    /// The wait at `position` (1 is next); `None` when the line stands or the stock will not last.
    #[must_use]
    pub fn eta(&self, position: u64) -> Option<EtaSeconds> {
        if !self.moving || self.sold_out {
            return None;
        }
        let turns = exact(position);
        let remaining = exact(self.remaining);
        let p50 = self.law.seconds_to_release(turns, remaining, self.units_per_turn)?;
        let p90 = p50 / SLOW_SHARE + 1.0;
        let whole = |seconds: f64| rounded_up(seconds + self.opens_in_seconds);
        (p90 <= SECONDS_MAX).then(|| EtaSeconds { p50: whole(p50), p90: whole(p90) })
    }

    /// The odds at `position`, for a buyer who wants `units`.
    #[must_use]
    pub fn odds(&self, position: u64, units: u32) -> Odds {
        if self.sold_out {
            return Odds::Gone;
        }
        let ahead = exact(position.saturating_sub(1)) * self.units_per_turn;
        let remaining = exact(self.remaining);
        if ahead + f64::from(units) <= remaining {
            Odds::Sure
        } else if ahead * (1.0 - GIVE_UP_SHARE) + f64::from(units) <= remaining {
            Odds::Likely
        } else {
            Odds::Unlikely
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bounded by a few days, not negative"
)]
fn rounded_up(seconds: f64) -> u64 {
    seconds.max(0.0).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTLOOK: Outlook = Outlook {
        law: RateLaw { fraction: 0.02, ceiling: 2000.0, tail: 0.0, multiplier: 1.0 },
        moving: true,
        opens_in_seconds: 0.0,
        remaining: 10_000,
        unpaid: 0,
        units_per_turn: 1.0,
        sold_out: false,
    };

    #[test]
    fn the_wait_comes_from_the_law() {
        assert_eq!(OUTLOOK.eta(1203), Some(EtaSeconds { p50: 7, p90: 11 }));
        assert_eq!(OUTLOOK.eta(10_002), None, "the stock ends first");
        assert_eq!(Outlook { moving: false, ..OUTLOOK }.eta(1), None);
        let near = OUTLOOK.eta(10).unwrap();
        let far = OUTLOOK.eta(9_000).unwrap();
        assert!(near.p50 < far.p50 && far.p50 < far.p90);
    }

    #[test]
    fn the_odds_are_honest() {
        assert_eq!(OUTLOOK.odds(10_000, 1), Odds::Sure);
        assert_eq!(OUTLOOK.odds(10_001, 1), Odds::Likely);
        assert_eq!(OUTLOOK.odds(20_000, 1), Odds::Unlikely);
        assert_eq!(Outlook { sold_out: true, ..OUTLOOK }.odds(1, 1), Odds::Gone);
        assert_eq!(Outlook { remaining: 0, unpaid: 5, ..OUTLOOK }.odds(1, 1), Odds::Unlikely);
    }
}
