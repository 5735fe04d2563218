//! A place is taken to another device. `POST …/{entry}/move` mints a ticket for five minutes, as a link and as a QR code; `POST
//! /v1/sales/{sale}/move` redeems it on the other device, once.
//!
//! The ticket is minted from the holder's token and says, as that does, since when the place has been held. The ledger moves a
//! place only from whoever has held it since its last move, so a second use, a second ticket of the old device, and one of two who are
//! quicker than each other find it gone, on whatever node. From then on every token of before proves nothing: a node that hears of the
//! move refuses it at once, and it cannot be renewed anywhere.

use std::sync::Arc;

use arc_swap::Guard;
use http::{
    StatusCode,
    header::{CACHE_CONTROL, SET_COOKIE},
};
use serde::{Deserialize, Serialize};
use sluice_core::{
    clock::UnixMillis,
    entry::EntryState,
    ports::{MoveName, Notice, PlaceMove},
    token::{Claims, MOVE_LIFE, Verified},
    view::object::EntryObject,
};
use sluice_http::{Exchange, Problem, Response, json, limits::Rules};

use crate::{
    Admission,
    answer::{self, NO_STORE},
    edge::Edge,
    holder::{Age, cross_site},
    join::idempotency_key,
    metrics,
    outcome::banned,
};

/// Longest body, in bytes.
const BODY_BYTES_MAX: usize = 2 * 1024;

#[derive(Serialize)]
struct Offer {
    link: String,
    ticket: String,
    expires_at: UnixMillis,
    /// The link as a picture (SVG); absent while nobody knows the address that buyers see.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    ticket: String,
}

/// `POST …/{entry}/move`.
pub(crate) async fn offer(
    admission: Arc<Admission>,
    exchange: Exchange,
) -> Result<Response, Problem> {
    let edge = admission.edge(exchange.param("sale"), exchange.peer.address).await?;
    let rules = Guard::into_inner(edge.rules(&admission.ports.limits));
    let now = admission.ports.clock.now();
    let holder = admission.holder(&exchange, &edge, &rules.1, Age::Live, now)?;
    let expires_at = now.plus(MOVE_LIFE);
    let ticket = admission.ports.keyring.sign_move(&holder.claims, expires_at);
    let base = match admission.ports.urls.admission.as_str() {
        // As the browser that asks sees us.
        "" => exchange.own_origin().unwrap_or_default(),
        told => told.trim_end_matches('/'),
    };
    // Behind a `#`: neither a server nor whoever previews links ever sees the ticket.
    let link = format!("{base}/w/{}#move={ticket}", edge.sale);
    let qr = if base.is_empty() { None } else { sluice_pages::qr_code(&link) };
    let mut response = json(StatusCode::CREATED, &Offer { link, ticket, expires_at, qr });
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    rules.1.tell(&mut response, holder.allowed);
    Ok(response)
}

/// `POST /v1/sales/{sale}/move`.
pub(crate) async fn redeem(
    admission: Arc<Admission>,
    mut exchange: Exchange,
) -> Result<Response, Problem> {
    let edge = admission.edge(exchange.param("sale"), exchange.peer.address).await?;
    // It sets the cookie of a place: no page of another site may put one here.
    if exchange.is_cross_site(&admission.config.allowed_origins) {
        return Err(cross_site());
    }
    let rules = Guard::into_inner(edge.rules(&admission.ports.limits));
    let (allowed, _) = admission.check_origin_limits(&exchange, &rules.1)?;
    let moved = admission.redeem(&edge, &mut exchange, &rules.1).await;
    let object = moved.map_err(|problem| rules.1.refuse(problem, allowed))?;
    let mut response = answer::whole(StatusCode::OK, &object);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    if let Some(token) = object.token.as_deref().filter(|_| exchange.is_from_browser()) {
        for cookie in admission.place_cookies(&exchange, &edge, token) {
            headers.append(SET_COOKIE, cookie);
        }
    }
    rules.1.tell(&mut response, allowed);
    Ok(response)
}

impl Admission {
    /// The object of a place that this request takes over, with its token.
    async fn redeem(
        &self,
        edge: &Edge,
        exchange: &mut Exchange,
        rules: &Rules,
    ) -> Result<EntryObject, Problem> {
        let Body { ticket } = exchange.json(BODY_BYTES_MAX).await?;
        let claims = self.read_ticket(edge, &ticket)?;
        rules.buyer.check(self.ports.limits.key(&claims.entry))?;
        // Whoever could not be answered afterwards has not moved anything.
        let mut object = self.object(edge, &claims, None).await?;
        let unsettled = matches!(object.state, EntryState::Waiting | EntryState::Standby);
        if unsettled && self.has_banned_header(exchange) {
            return Err(banned());
        }
        let name = self.name(idempotency_key(exchange)?, &ticket);
        let held_since = self.take_over(&claims, name).await?.ok_or_else(|| {
            Problem::conflict(
                "already_moved",
                "The ticket was used, or the place was moved since. Make another one on the device that has the place.",
            )
        })?;
        let claims = Claims { held_since, ..claims };
        let fresh = self.renewed(&claims).unwrap_or_else(|| self.fresh(&claims));
        object.token = Some(fresh.token);
        object.token_expires_at = fresh.expires_at;
        Ok(object)
    }

    fn read_ticket(&self, edge: &Edge, ticket: &str) -> Result<Claims, Problem> {
        let bad = || Problem::unauthorized("bad_token", "The ticket is not one of ours.");
        let now = self.ports.clock.now();
        match self.ports.keyring.verify_move(ticket, now).map_err(|_| bad())? {
            Verified::Live(claims) if claims.sale == edge.sale => Ok(claims),
            Verified::Expired(claims) if claims.sale == edge.sale => Err(Problem::unauthorized(
                "token_expired",
                "The ticket has expired. Make another one on the device that has the place.",
            )),
            Verified::Live(_) | Verified::Expired(_) => Err(bad()),
        }
    }

    /// Names a move by its ticket and the key of whoever redeems it, who may repeat it: an answer can be lost. Without a key
    /// it is like no other.
    fn name(&self, key: Option<&str>, ticket: &str) -> MoveName {
        let mut name = [0; 16];
        match key {
            None => name[..10].copy_from_slice(&self.ports.random.bytes()),
            Some(key) => {
                let mut hasher = blake3::Hasher::new();
                hasher.update(ticket.as_bytes()).update(&[0]).update(key.as_bytes());
                hasher.finalize_xof().fill(&mut name);
            }
        }
        MoveName(name)
    }

    /// Takes a place away from whoever has held it as these claims say, and tells every node. Since when it is held now; `None`
    /// when another was first.
    pub(crate) async fn take_over(
        &self,
        claims: &Claims,
        name: MoveName,
    ) -> Result<Option<UnixMillis>, Problem> {
        let Claims { sale, entry, held_since, .. } = claims;
        let moved = self.ask(self.ports.ledger.move_place(sale, *entry, *held_since, name)).await?;
        let Some(at) = moved else { return Ok(None) };
        metrics::moved(sale);
        let told = PlaceMove { entry: *entry, at };
        self.ports.directory.learn_move(told);
        if self.ask(self.ports.bulletin.publish(Notice::Moved(told))).await.is_err() {
            tracing::warn!(%sale, "a place was moved, and the bulletin has not heard of it: other nodes hear within seconds");
        }
        Ok(Some(at))
    }

    /// Since when a place is held by its buyer, who has just found it by being that buyer: where it was moved before, it is
    /// moved back. A ledger that is away keeps nobody from their place.
    pub(crate) async fn found_since(&self, claims: &Claims, now: UnixMillis) -> UnixMillis {
        let Some(moved_at) = self.ports.directory.moved_at(claims.entry) else { return now };
        let held = Claims { held_since: moved_at, ..claims.clone() };
        let back = self.take_over(&held, self.name(None, "")).await;
        back.ok().flatten().unwrap_or(now.max(moved_at))
    }

    /// Whether the ledger has it that a place was moved since these claims' holder has held it; what it says is remembered.
    pub(crate) async fn is_moved(&self, claims: &Claims) -> bool {
        // It may be away: a place is not lost because of that.
        let Ok(Some(at)) = self.ask(self.ports.ledger.moved_at(claims.entry)).await else {
            return false;
        };
        self.ports.directory.learn_move(PlaceMove { entry: claims.entry, at });
        claims.held_since < at
    }
}
