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

/// One SKU that a buyer wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wanted {
    pub units: u32,
    /// Units of it that can be sold now.
    pub remaining: u64,
}

/// Longer forecasts than this are not worth a number: one day.
const SECONDS_MAX: f64 = 86_400.0;
/// Of the turns ahead, the share that is assumed to end without a purchase in the hopeful reading.
const GIVE_UP_SHARE: f64 = 0.15;
/// Pessimism of the p90: the law slowed by this, since back-pressure only ever lowers it.
const SLOW_SHARE: f64 = 0.7;

impl Outlook {
    /// The wait at `position` (1 is next) for a buyer who wants `goods`; `None` when the line stands or the stock will not
    /// last.
    #[must_use]
    pub fn eta(
        &self,
        position: u64,
        mut goods: impl Iterator<Item = Wanted>,
    ) -> Option<EtaSeconds> {
        if !self.moving || self.sold_out || goods.any(|one| u64::from(one.units) > one.remaining) {
            return None;
        }
        let turns = exact(position);
        let remaining = exact(self.remaining);
        let p50 = self.law.seconds_to_release(turns, remaining, self.units_per_turn)?;
        let p90 = p50 / SLOW_SHARE + 1.0;
        let whole = |seconds: f64| rounded_up(seconds + self.opens_in_seconds);
        (p90 <= SECONDS_MAX).then(|| EtaSeconds { p50: whole(p50), p90: whole(p90) })
    }

    /// The odds at `position`, for a buyer who wants `goods`. Of each of them: sure only if those ahead could all want the
    /// very same; likely if they want what there is in the proportion in which there is any.
    #[must_use]
    pub fn odds(&self, position: u64, goods: impl Iterator<Item = Wanted> + Clone) -> Odds {
        if self.sold_out {
            return Odds::Gone;
        }
        let remaining = exact(self.remaining);
        let units: f64 = goods.clone().map(|one| f64::from(one.units)).sum();
        let lasts = |ahead: f64, share: &dyn Fn(Wanted) -> f64| {
            let mut goods = goods.clone();
            ahead + units <= remaining
                && goods
                    .all(|one| ahead * share(one) + f64::from(one.units) <= exact(one.remaining))
        };
        let ahead = exact(position.saturating_sub(1)) * self.units_per_turn;
        if lasts(ahead, &|_| 1.0) {
            Odds::Sure
        } else if lasts(ahead * (1.0 - GIVE_UP_SHARE), &|one| {
            (exact(one.remaining) / remaining.max(1.0)).min(1.0)
        }) {
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

    /// Units of the sale's only SKU.
    fn units(outlook: Outlook, units: u32) -> std::iter::Once<Wanted> {
        std::iter::once(Wanted { units, remaining: outlook.remaining })
    }

    #[test]
    fn the_wait_comes_from_the_law() {
        let eta = |outlook: Outlook, position| outlook.eta(position, units(outlook, 1));
        assert_eq!(eta(OUTLOOK, 1203), Some(EtaSeconds { p50: 7, p90: 11 }));
        assert_eq!(eta(OUTLOOK, 10_002), None, "the stock ends first");
        assert_eq!(eta(Outlook { moving: false, ..OUTLOOK }, 1), None);
        let near = eta(OUTLOOK, 10).unwrap();
        let far = eta(OUTLOOK, 9_000).unwrap();
        assert!(near.p50 < far.p50 && far.p50 < far.p90);
    }

    #[test]
    fn the_odds_are_honest() {
        let odds = |outlook: Outlook, position| outlook.odds(position, units(outlook, 1));
        assert_eq!(odds(OUTLOOK, 10_000), Odds::Sure);
        assert_eq!(odds(OUTLOOK, 10_001), Odds::Likely);
        assert_eq!(odds(OUTLOOK, 20_000), Odds::Unlikely);
        assert_eq!(odds(Outlook { sold_out: true, ..OUTLOOK }, 1), Odds::Gone);
        assert_eq!(odds(Outlook { remaining: 0, unpaid: 5, ..OUTLOOK }, 1), Odds::Unlikely);
    }

    #[test]
    fn what_one_wants_counts_and_not_what_there_is_of_other_things() {
        let want = |units, remaining| Wanted { units, remaining };
        let odds = |position, goods: &[Wanted]| OUTLOOK.odds(position, goods.iter().copied());
        assert_eq!(odds(1, &[want(1, 0)]), Odds::Unlikely, "all of it is held");
        assert_eq!(odds(1, &[want(2, 1)]), Odds::Unlikely);
        assert_eq!(odds(1, &[want(1, 5_000), want(1, 0)]), Odds::Unlikely, "all or nothing");
        assert_eq!(odds(1_000, &[want(1, 1_000)]), Odds::Sure);
        assert_eq!(odds(1_001, &[want(1, 1_000)]), Odds::Likely, "those ahead may want others");
        let eta = |goods: &[Wanted]| OUTLOOK.eta(10, goods.iter().copied());
        assert_eq!(eta(&[want(1, 1)]), OUTLOOK.eta(10, units(OUTLOOK, 1)));
        assert_eq!((eta(&[want(1, 0)]), eta(&[want(1, 1), want(2, 1)])), (None, None));
    }
}
