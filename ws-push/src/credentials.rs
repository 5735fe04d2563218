//! Who opens a connection: the proof of a place, wherever a client may put it. A WebSocket's subprotocol, a header, a
//! ticket in the query, or the page's cookie, which counts only from our own origin or a listed one.

use std::borrow::Cow;

use http::header::SEC_WEBSOCKET_PROTOCOL;
use sluice_core::{
    clock::UnixMillis,
    ids::{SaleId, Seq},
    ports::BanList,
    token::{Claims, Keyring, Verified},
};
use sluice_http::{Exchange, Problem};

use crate::{
    close::Close,
    config::{Config, Cookies},
    watcher::Proof,
};

/// What `Sec-WebSocket-Protocol` marks a token with.
const BEARER: &str = "bearer.";

/// A proven place.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    pub(crate) claims: Claims,
    pub(crate) proof: Proof,
    /// The highest `serving` the client has seen.
    pub(crate) seen: Option<Seq>,
    /// The request carries a header that is banned: its place is not told where it stands.
    pub(crate) has_banned_header: bool,
}

/// Why a connection is not opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Refused {
    BadSale,
    BadSeen,
    NoToken,
    CrossSite,
    BadToken,
    Expired,
    BadTicket,
    TicketExpired,
    OtherSale,
    Moved,
    Banned,
}

impl Refused {
    /// How a WebSocket is told, after the upgrade: a browser does not show a page the answer to a refused one.
    pub(crate) fn close(self) -> Close {
        match self {
            Self::BadSale => {
                Close::BadRequest("the sale in the path must be 1 to 63 out of a-z, 0-9 and -")
            }
            Self::BadSeen => Close::BadRequest("`seen` must be a whole number"),
            Self::NoToken => Close::BadToken(
                "no token: offer the subprotocols `sluice.v1, bearer.<token>`, or `?ticket=`",
            ),
            Self::CrossSite => Close::BadToken("the place cookie does not count from another site"),
            Self::BadToken => Close::BadToken("the token is not authentic"),
            Self::Expired => Close::BadToken("the token has expired; renew it, then reconnect"),
            Self::BadTicket => Close::BadToken("the ticket is not authentic"),
            Self::TicketExpired => Close::BadToken("the ticket has expired; get another one"),
            Self::OtherSale => Close::BadToken("the token is for another sale"),
            Self::Moved => Close::MOVED,
            // Renewing it ends the place for good, and says so.
            Self::Banned => Close::BadToken("headers like these are kept out of this sale"),
        }
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let (code, detail) = match refused {
            Refused::BadSale => {
                return Self::not_found("no_such_sale", "There is no sale of this id.");
            }
            Refused::BadSeen => {
                let detail =
                    "`seen` must be a whole number: the highest `serving` the client has seen.";
                return Self::bad_request(detail).field("seen");
            }
            Refused::Banned => {
                let detail = "Headers like these are kept out of this sale.";
                return Self::forbidden("banned", detail);
            }
            Refused::NoToken => (
                "bad_token",
                "No token was sent: use `?ticket=`, `Authorization: Bearer`, or the page's cookie.",
            ),
            Refused::CrossSite => (
                "bad_token",
                "The page's cookie does not count for requests from other sites: use `?ticket=`.",
            ),
            Refused::BadToken => ("bad_token", "The token is not authentic."),
            Refused::BadTicket => (
                "bad_token",
                "The ticket is not authentic. POST /v1/sales/{sale}/entries/{entry}/ticket makes one.",
            ),
            Refused::OtherSale => ("bad_token", "The token is for another sale."),
            Refused::Moved => ("moved", "The place was moved to another device."),
            Refused::Expired => (
                "token_expired",
                "The token has expired. POST /v1/sales/{sale}/entries/{entry}/token renews it.",
            ),
            Refused::TicketExpired => (
                "token_expired",
                "The ticket has expired. POST /v1/sales/{sale}/entries/{entry}/ticket makes another.",
            ),
        };
        Self::unauthorized(code, detail)
    }
}

/// Checks what the request brings at `now`. The first proof found counts; a bad one is not passed over.
pub(crate) fn check(
    exchange: &Exchange,
    keyring: &Keyring,
    bans: &BanList,
    config: &Config,
    now: UnixMillis,
) -> Result<Pass, Refused> {
    let sale = SaleId::new(exchange.param("sale")).map_err(|_| Refused::BadSale)?;
    let seen = match exchange.query("seen") {
        None => None,
        Some(seen) => Some(Seq(seen.parse().map_err(|_| Refused::BadSeen)?)),
    };
    let (claims, proof) = match find(exchange, &sale, config)? {
        Brought::Token(token) => {
            let verified = keyring.verify_claims(&token, now);
            let verified = verified.map_err(|_| Refused::BadToken)?;
            let proof = Proof::of_token(&verified);
            (live(verified).ok_or(Refused::Expired)?, proof)
        }
        Brought::Ticket(ticket) => {
            let verified = keyring.verify_ticket(&ticket, now);
            let verified = verified.map_err(|_| Refused::BadTicket)?;
            let proof = Proof::of_ticket(&verified);
            (live(verified).ok_or(Refused::TicketExpired)?, proof)
        }
    };
    if claims.sale != sale {
        return Err(Refused::OtherSale);
    }
    let has_banned_header = bans.covers_header(|name| exchange.header(name));
    Ok(Pass { claims, proof, seen, has_banned_header })
}

enum Brought<'a> {
    Token(Cow<'a, str>),
    Ticket(Cow<'a, str>),
}

fn find<'a>(
    exchange: &'a Exchange,
    sale: &SaleId,
    config: &Config,
) -> Result<Brought<'a>, Refused> {
    if let Some(token) = offered(exchange).find_map(|protocol| protocol.strip_prefix(BEARER)) {
        return Ok(Brought::Token(token.into()));
    }
    if let Some(token) = exchange.bearer() {
        return Ok(Brought::Token(token.into()));
    }
    if let Some(ticket) = exchange.query("ticket") {
        return Ok(Brought::Ticket(ticket));
    }
    let name = match config.cookies {
        Cookies::Host => format!("__Host-sluice-place-{sale}"),
        Cookies::Plain => format!("sluice-place-{sale}"),
    };
    let token = exchange.cookie(&name).ok_or(Refused::NoToken)?;
    if exchange.is_cross_site(&config.allowed_origins) {
        return Err(Refused::CrossSite);
    }
    Ok(Brought::Token(token.into()))
}

/// The subprotocols a WebSocket client offers.
pub(crate) fn offered(exchange: &Exchange) -> impl Iterator<Item = &str> {
    let lines = exchange.request.headers().get_all(SEC_WEBSOCKET_PROTOCOL).iter();
    lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',')).map(str::trim)
}

fn live(verified: Verified) -> Option<Claims> {
    match verified {
        Verified::Live(claims) => Some(claims),
        Verified::Expired(_) => None,
    }
}
