//! The answer to whoever has a place: the entry object with a fresh token, and the cookies of a browser.

use http::{
    StatusCode,
    header::{CACHE_CONTROL, SET_COOKIE},
};
use sluice_core::{
    clock::UnixMillis,
    ids::{EntryId, Seq},
    token::Claims,
    view::object::EntryObject,
};
use sluice_http::{Exchange, Problem, Response};

use super::Asked;
use crate::{
    Admission,
    answer::{self, NO_STORE},
    edge::Edge,
    fresh::Fresh,
};

/// What a join knows of since when its place is held.
#[derive(Clone, Copy)]
pub(super) struct Held {
    /// What its token says, of which entry.
    pub(super) proven: Option<(EntryId, UnixMillis)>,
    pub(super) now: UnixMillis,
}

impl Held {
    /// As the token says, if it is of this entry.
    fn since(self, claims: &Claims) -> Option<UnixMillis> {
        self.proven.filter(|(entry, _)| *entry == claims.entry).map(|(_, since)| since)
    }
}

/// What whoever has a place is told.
pub(super) struct Welcome {
    status: StatusCode,
    object: EntryObject,
    fresh: Fresh,
}

impl Admission {
    /// 202 for a new place: held since it was taken, or, where the line had forgotten it, since its token says.
    pub(super) fn welcome(&self, edge: &Edge, claims: Claims, held: Held) -> Welcome {
        let held_since = held.since(&claims).unwrap_or(claims.joined_at);
        let claims = Claims { held_since, ..claims };
        let (now, reading) = (self.ports.clock.now(), edge.view.read());
        let urls = &self.ports.urls;
        let object = if claims.seq == Seq(0) {
            EntryObject::standby(&reading, &claims, now, urls)
        } else {
            EntryObject::waiting(&reading, &claims, None, now, urls)
        };
        Welcome { status: StatusCode::ACCEPTED, object, fresh: self.fresh(&claims) }
    }

    /// 200 for a place that was there: one that a token proves is held since that says, one that was found by its buyer since now,
    /// wherever it was taken before.
    pub(super) async fn welcome_back(
        &self,
        edge: &Edge,
        claims: Claims,
        held: Held,
    ) -> Result<Welcome, Problem> {
        let held_since = match held.since(&claims) {
            Some(since) => since,
            None => self.found_since(&claims, held.now).await,
        };
        let claims = Claims { held_since, ..claims };
        let object = self.object(edge, &claims, None).await?;
        let fresh = self.renewed(&claims).ok_or_else(|| self.unavailable())?;
        Ok(Welcome { status: StatusCode::OK, object, fresh })
    }

    /// The welcome as it is sent: the token in the object, and for a browser in its cookie.
    pub(super) fn told(
        &self,
        edge: &Edge,
        exchange: &Exchange,
        asked: &Asked,
        welcome: Welcome,
    ) -> Response {
        let Welcome { status, mut object, fresh } = welcome;
        let from_browser = matches!(asked, Asked::InForm(_)) || exchange.is_from_browser();
        let cookies = from_browser.then(|| self.place_cookies(exchange, edge, &fresh.token));
        object.token_expires_at = fresh.expires_at;
        object.token = Some(fresh.token);
        let mut response = answer::whole(status, &object);
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, NO_STORE);
        for cookie in cookies.into_iter().flatten() {
            headers.append(SET_COOKIE, cookie);
        }
        response
    }
}
