//! What the token of a join proves: a live place of its buyer's, one that expired, or nothing.

use sluice_core::{
    clock::UnixMillis,
    entry::Outcome,
    ports::{Place, PlaceState, Settlement},
    token::Claims,
    view::lookup::LineSays,
};
use sluice_http::Problem;

use super::TRY_SOON;
use crate::{Admission, edge::Edge, fresh::spread, identity::Identified};

/// What the token of a join proves.
pub(super) enum Proof {
    /// Nothing, or a place that is no longer live.
    Nothing,
    Live(Place),
    /// It was passed because nobody renewed it: who had it stands by, since they joined then.
    Expired(UnixMillis),
    /// Its order lives, or it stands by, though the line has forgotten it.
    Ledger(Claims),
    /// It has no outcome, and the line has forgotten it.
    Forgotten(Claims),
}

impl Admission {
    /// What a token proves. Who holds a live place is its buyer, whoever else this request would have been.
    pub(super) async fn judge(
        &self,
        edge: &Edge,
        claims: Claims,
        identified: &mut Identified,
    ) -> Result<Proof, Problem> {
        let found = self.ask_line(self.ports.line.find(&edge.sale, &[claims.entry])).await?;
        let says = if found.is_some() { LineSays::Unknown } else { LineSays::Nothing };
        if let Some(mut place) = found.and_then(|mut found| found.pop().flatten()) {
            if place.line_entry.stands_by() {
                // A line that forgot knows no number of one who stands by; the token does.
                (place.line_entry.seq, place.line_entry.holes_below) =
                    (claims.seq, claims.holes_below);
            }
            if !is_live(&place) {
                let expired = matches!(
                    place.state,
                    PlaceState::Settled(Settlement { outcome: Outcome::Expired, .. })
                );
                return Ok(ended(expired && place.line_entry.buyer == identified.buyer, &claims));
            }
            *identified = Identified::plain(place.line_entry.buyer.clone(), None);
            return Ok(Proof::Live(place));
        }
        Ok(match self.ask(self.lookup.record(&claims)).await? {
            Some(record) if record.is_live() => {
                identified.cookie = None;
                Proof::Ledger(claims)
            }
            Some(record) => {
                let expired = record.outcome == Outcome::Expired;
                ended(expired && record.buyer == identified.buyer, &claims)
            }
            None if self.ask(self.lookup.stands(&claims)).await? => {
                identified.cookie = None;
                Proof::Ledger(claims)
            }
            // It may have been called: registered again it would wait. The queues have it all the same.
            None if self.lookup.unsettled(&edge.view, &claims, None, says).is_none() => {
                return Err(Problem::unavailable(spread(&self.ports.random, TRY_SOON)));
            }
            None => Proof::Forgotten(claims),
        })
    }

    /// An old token proves one thing only: that its place expired, and its own buyer stands by when they join again. A ledger that
    /// is away says nothing.
    pub(super) async fn judge_expired(&self, claims: Claims, identified: &Identified) -> Proof {
        let record = self.ask(self.lookup.record(&claims)).await.ok().flatten();
        let expired = record.is_some_and(|record| {
            record.outcome == Outcome::Expired && record.buyer == identified.buyer
        });
        ended(expired, &claims)
    }
}

/// What the token of a place proves that is no longer live; `expired` is whether it was this very buyer's and expired.
fn ended(expired: bool, claims: &Claims) -> Proof {
    if expired { Proof::Expired(claims.joined_at) } else { Proof::Nothing }
}

pub(super) fn is_live(place: &Place) -> bool {
    match place.state {
        PlaceState::Waiting | PlaceState::Called | PlaceState::Standby => true,
        PlaceState::Settled(settlement) => settlement.live,
    }
}
