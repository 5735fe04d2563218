//! Fresh tokens. Whoever is given one is noted as still holding the place.

use std::time::Duration;

use sluice_core::{
    clock::UnixMillis,
    token::{Claims, TOKEN_LIFE},
};

use crate::Admission;

/// A token and how long it is good.
#[derive(Clone, Debug)]
pub(crate) struct Fresh {
    pub(crate) token: String,
    pub(crate) expires_at: UnixMillis,
}

impl Admission {
    /// A fresh token for a place.
    pub(crate) fn fresh(&self, claims: &Claims) -> Fresh {
        let expires_at = self.ports.clock.now().plus(TOKEN_LIFE);
        let token = self.ports.keyring.sign_claims(&Claims { expires_at, ..claims.clone() });
        Fresh { token, expires_at }
    }

    /// A fresh token, and the note that somebody holds the place; `None` while the buffer of such notes is full.
    pub(crate) fn renewed(&self, claims: &Claims) -> Option<Fresh> {
        self.seen.note(&claims.sale, claims.entry).ok()?;
        Some(self.fresh(claims))
    }
}

/// Whether a live token has less than a third of its life left.
pub(crate) fn is_due(claims: &Claims, now: UnixMillis) -> bool {
    claims.expires_at.since(now) < TOKEN_LIFE / 3
}

/// A wait from `base` up to twice that, so that those who were refused together do not come back together.
pub(crate) fn spread(random: &sluice_core::random::Random, base: Duration) -> Duration {
    base + base.mul_f64(random.unit())
}
