//! Who a buyer is. Only joining asks; afterwards the queue token suffices.
//!
//! Three modes, one per file: a cookie we sign, a header a trusted proxy sets, a JSON Web Token. Each ends in an opaque
//! buyer id or a refusal.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use sluice_core::{clock::Clock, ids::BuyerId, random::Random, token::Keyring};
use sluice_http::{Exchange, Problem};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError, Cookies, IdentityConfig};

mod anonymous;
mod class;
mod header;
mod jwks;
mod jwt;

use class::Classes;
use jwt::Jwt;

/// Whether a file of these bytes can be the `File` of [`JwtKeys`](crate::JwtKeys): a JSON Web Key Set with at least one
/// RS256, ES256 or EdDSA key.
#[must_use]
pub fn is_key_set(bytes: &[u8]) -> bool {
    jwks::KeySet::parse(bytes).is_some()
}

/// A buyer, and how it is known.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    pub(crate) buyer: BuyerId,
    /// The cookie that makes this buyer known next time; `None` when it is known by other means, or already.
    pub(crate) cookie: Option<HeaderValue>,
    /// How much earlier than it joined it stands by, if it comes to that.
    pub(crate) head_start: Duration,
}

impl Identified {
    /// Somebody without privileges.
    pub(crate) fn plain(buyer: BuyerId, cookie: Option<HeaderValue>) -> Self {
        Self { buyer, cookie, head_start: Duration::ZERO }
    }

    /// Whether this buyer can have been here before.
    pub(crate) fn is_new(&self) -> bool {
        self.cookie.is_some()
    }
}

#[derive(Debug)]
pub(crate) enum Identity {
    Anonymous { cookies: Cookies, keyring: Arc<Keyring>, random: Arc<Random> },
    Header { name: HeaderName, classes: Option<Classes> },
    Jwt(Box<Jwt>),
}

impl Identity {
    pub(crate) fn build(
        config: &Config,
        keyring: &Arc<Keyring>,
        clock: &Arc<dyn Clock>,
        random: &Arc<Random>,
    ) -> Result<Self, ConfigError> {
        let classes = Classes::build(&config.head_starts);
        match &config.identity {
            IdentityConfig::Anonymous => Ok(Self::Anonymous {
                cookies: config.cookies,
                keyring: Arc::clone(keyring),
                random: Arc::clone(random),
            }),
            IdentityConfig::Header { name } => {
                let name = name.to_ascii_lowercase();
                Ok(Self::Header {
                    name: HeaderName::try_from(name).map_err(|_| ConfigError::HeaderName)?,
                    classes,
                })
            }
            IdentityConfig::Jwt(jwt) => {
                let (clock, random) = (Arc::clone(clock), Arc::clone(random));
                Ok(Self::Jwt(Box::new(Jwt::build(jwt, classes, clock, random)?)))
            }
        }
    }

    /// Whether a browser proves who it is by a cookie of ours, so that only our own origin or a listed one may join.
    pub(crate) fn is_by_cookie(&self) -> bool {
        match self {
            Self::Anonymous { .. } => true,
            Self::Header { .. } | Self::Jwt(_) => false,
        }
    }

    /// Who asks, or 401 `identity_required`. `patience` bounds the wait for a key that is not known yet.
    pub(crate) async fn identify(
        &self,
        exchange: &Exchange,
        patience: Duration,
    ) -> Result<Identified, Problem> {
        match self {
            Self::Anonymous { cookies, keyring, random } => {
                anonymous::identify(exchange.cookie(cookies.buyer()), *cookies, keyring, random)
            }
            Self::Header { name, classes } => header::identify(exchange, name, classes.as_ref()),
            // Boxed: the future of every join would have room for it, whoever identifies its buyer.
            Self::Jwt(jwt) => Box::pin(jwt.identify(exchange.bearer(), patience)).await,
        }
    }

    /// Keeps keys fresh until `shutdown`; returns at once when there is nothing to keep.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        match self {
            Self::Anonymous { .. } | Self::Header { .. } => {}
            Self::Jwt(jwt) => jwt.run(shutdown).await,
        }
    }
}

fn required(detail: &'static str) -> Problem {
    Problem::unauthorized("identity_required", detail)
}
