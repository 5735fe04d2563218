//! Who goes now: the lowest numbers whose goods are free, as many as credit allows. Pure.
//!
//! Whoever is passed on the way is parked, if what they lack may come back: they go first once it does. Nobody is parked
//! while nobody behind them can be served: then the line stands. Those whose goods cannot come back by the gate's word
//! are left where they are until the ledger has spoken (`ending`); they hold the cursor, but nobody else.

use sluice_core::clock::UnixMillis;

use crate::{
    stock::Stock,
    window::{Candidate, Place, Window},
};

/// Takes up to `most` candidates in hand, in order, and reckons their goods as called; nobody who joined after `before`, when
/// somebody who can be served stands by since then. When more than `parked_max` entries would be parked, nobody behind them is
/// picked.
pub(crate) fn pick(
    window: &mut Window,
    stock: &mut Stock,
    most: usize,
    parked_max: usize,
    before: Option<UnixMillis>,
) -> Vec<Candidate> {
    let mut picked = Vec::new();
    while picked.len() < most {
        let Some(next) = window.first_servable(|basket| stock.fits(basket)) else { break };
        let later = |before| window.joined_at(next).is_some_and(|joined| joined > before);
        if before.is_some_and(later) {
            break;
        }
        if !park_those_below(window, stock, next, parked_max) {
            break;
        }
        let Some(candidate) = window.take_in_hand(next) else { break };
        if !candidate.recalled {
            stock.take(&candidate.entry.basket);
        }
        picked.push(candidate);
    }
    picked
}

/// `false`, and nobody parked, if there is no room to park them all.
fn park_those_below(window: &mut Window, stock: &Stock, next: Place, parked_max: usize) -> bool {
    let room = parked_max.saturating_sub(window.parked());
    let passed: Vec<Place> = window
        .unparked_below(next)
        .filter(|(_, basket)| stock.may_come_to_fit(basket))
        .map(|(place, _)| place)
        .take(room + 1)
        .collect();
    if passed.len() > room {
        return false;
    }
    for place in passed {
        window.park(place);
    }
    true
}

#[cfg(test)]
mod tests;
