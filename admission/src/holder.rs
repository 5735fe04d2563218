//! Who holds a place: the queue token of a request, from `Authorization: Bearer` or from the page's cookie, checked
//! against the entry the request names. Limits come before it, the handlers of entries after it.

use http::{
    HeaderValue,
    header::{COOKIE, SET_COOKIE},
};
use sluice_core::{
    clock::UnixMillis,
    ids::EntryId,
    ports::DeviceKey,
    token::{Claims, Purpose, Verified},
};
use sluice_http::{
    Exchange, Problem,
    limits::{Allowed, Rules},
};

use crate::{Admission, edge::Edge};

/// A proven place.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) claims: Claims,
    /// Whether the page's cookie proved it, so that a fresh token belongs there too.
    pub(crate) by_cookie: bool,
    /// What is left of its allowance.
    pub(crate) allowed: Allowed,
}

/// How old a token may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Age {
    Live,
    /// An expired token may renew itself, and nothing else.
    LiveOrExpired,
}

/// A token as it came.
struct Carried<'a> {
    token: &'a str,
    by_cookie: bool,
}

impl Admission {
    /// The limits of address and device; then the token and the limit of its place.
    pub(crate) fn holder(
        &self,
        exchange: &Exchange,
        edge: &Edge,
        rules: &Rules,
        age: Age,
        now: UnixMillis,
    ) -> Result<Holder, Problem> {
        let (allowed, _) = self.check_origin_limits(exchange, rules)?;
        self.prove(exchange, edge, rules, age, now)
            .map_err(|problem| rules.refuse(problem, allowed))
    }

    fn prove(
        &self,
        exchange: &Exchange,
        edge: &Edge,
        rules: &Rules,
        age: Age,
        now: UnixMillis,
    ) -> Result<Holder, Problem> {
        let entry: EntryId = exchange.param("entry").parse().map_err(|_| no_such_entry())?;
        let carried = self.carried(exchange, edge).ok_or_else(|| {
            Problem::unauthorized(
                "bad_token",
                "Send the queue token of this entry as `Authorization: Bearer`.",
            )
        })?;
        if carried.by_cookie && exchange.is_cross_site(&self.config.allowed_origins) {
            return Err(cross_site());
        }
        let verified = self.ports.keyring.verify_claims(carried.token, now).map_err(|_| {
            Problem::unauthorized(
                "bad_token",
                "The queue token is not one of ours. Join again to get a new one.",
            )
        })?;
        let claims = verified.claims();
        if claims.entry != entry || claims.sale != edge.sale {
            return Err(Problem::forbidden(
                "wrong_entry",
                "The queue token belongs to another entry.",
            ));
        }
        if self.ports.directory.has_moved(claims) {
            return Err(self.moved(exchange, edge));
        }
        let allowed = rules.buyer.check(self.ports.limits.key(&entry))?;
        match verified {
            Verified::Expired(_) if age == Age::Live => Err(Problem::unauthorized(
                "token_expired",
                "The queue token has expired. Renew it with `POST …/token`, then repeat the request.",
            )),
            Verified::Live(claims) | Verified::Expired(claims) => {
                Ok(Holder { claims, by_cookie: carried.by_cookie, allowed })
            }
        }
    }

    /// The limits that need no proof of anything. Answers the address's.
    pub(crate) fn check_origin_limits(
        &self,
        exchange: &Exchange,
        rules: &Rules,
    ) -> Result<(Allowed, Option<DeviceKey>), Problem> {
        let address = self.ports.limits.address_key(exchange.peer.address);
        let allowed = rules.address.check(address)?;
        let device = self.device(exchange).map_err(|problem| rules.refuse(problem, allowed))?;
        if let Some(device) = &device {
            rules.device.check(self.ports.limits.key(device))?;
        }
        Ok((allowed, device))
    }

    /// The place a join proves: a live token of this sale. Anything else proves nothing, and is no fault: the bearer may
    /// be a token of the shop's.
    pub(crate) fn proven(
        &self,
        exchange: &Exchange,
        edge: &Edge,
        now: UnixMillis,
    ) -> Option<Verified> {
        let read = |token: &str| {
            let verified = self.ports.keyring.verify_claims(token, now).ok();
            verified.filter(|verified| {
                let claims = verified.claims();
                claims.sale == edge.sale && !self.ports.directory.has_moved(claims)
            })
        };
        if let Some(verified) = exchange.bearer().and_then(read) {
            return Some(verified);
        }
        let cookie = self.place_cookie(exchange, edge)?;
        if exchange.is_cross_site(&self.config.allowed_origins) { None } else { read(cookie) }
    }

    /// 401 `moved`: the place is on another device. The cookie goes if it proves nothing any more either.
    pub(crate) fn moved(&self, exchange: &Exchange, edge: &Edge) -> Problem {
        let problem = Problem::unauthorized(
            "moved",
            "The place was moved to another device: this token proves nothing any more, and cannot be renewed.",
        );
        let now = self.ports.clock.now();
        let cookie = self.place_cookie(exchange, edge);
        let verified = cookie.and_then(|token| self.ports.keyring.verify_claims(token, now).ok());
        if verified.is_some_and(|verified| self.ports.directory.has_moved(verified.claims())) {
            return problem.header(SET_COOKIE, self.config.cookies.clear_place(&edge.sale));
        }
        problem
    }

    /// What a browser keeps of a place: its token, and which device it is if it does not know yet.
    pub(crate) fn place_cookies(
        &self,
        exchange: &Exchange,
        edge: &Edge,
        token: &str,
    ) -> Vec<HeaderValue> {
        let cookies = self.config.cookies;
        let mut set = vec![cookies.set_place(&edge.sale, token)];
        if self.device_cookie(exchange).is_none() {
            let device = self.ports.keyring.sign(Purpose::Device, &self.ports.random.bytes());
            set.push(cookies.set_long(cookies.device(), &device));
        }
        set
    }

    /// The bearer token, else the page's cookie.
    fn carried<'a>(&self, exchange: &'a Exchange, edge: &Edge) -> Option<Carried<'a>> {
        let bearer = exchange.bearer().map(|token| Carried { token, by_cookie: false });
        bearer.or_else(|| {
            Some(Carried { token: self.place_cookie(exchange, edge)?, by_cookie: true })
        })
    }

    pub(crate) fn place_cookie<'a>(&self, exchange: &'a Exchange, edge: &Edge) -> Option<&'a str> {
        // Most clients have no cookies at all: spare them the name.
        if !exchange.request.headers().contains_key(COOKIE) {
            return None;
        }
        exchange.cookie(&self.config.cookies.place(&edge.sale))
    }

    /// The device as limits know it: what a trusted proxy says, else our own cookie. Never the address.
    fn device(&self, exchange: &Exchange) -> Result<Option<DeviceKey>, Problem> {
        if exchange.peer.trusted
            && let Some(device) = exchange.only_header("x-sluice-device")?
        {
            return Ok(Some(device_key(device.as_bytes())));
        }
        Ok(self.device_cookie(exchange).map(|device| device_key(&device)))
    }

    /// What our device cookie says, if the request carries an authentic one.
    pub(crate) fn device_cookie(&self, exchange: &Exchange) -> Option<Vec<u8>> {
        if !exchange.request.headers().contains_key(COOKIE) {
            return None;
        }
        let cookie = exchange.cookie(self.config.cookies.device())?;
        self.ports.keyring.verify(Purpose::Device, cookie).ok()
    }
}

/// The same on every node.
fn device_key(device: &[u8]) -> DeviceKey {
    let mut key = [0; 16];
    blake3::Hasher::new().update(device).finalize_xof().fill(&mut key);
    DeviceKey(key)
}

fn no_such_entry() -> Problem {
    Problem::not_found("no_such_entry", "There is no such entry: its id is not one of ours.")
}

pub(crate) fn cross_site() -> Problem {
    Problem::forbidden("cross_site", "Cookies of this site are not for pages of other sites.")
}
