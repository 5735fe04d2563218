//! A buyer named by a JSON Web Token (RFC 7519) in `Authorization: Bearer`: `sub` is the buyer, `exp` is required.
//!
//! The algorithm is fixed by the key, never by the token: HS256 for a shared secret; RS256, ES256 or EdDSA as the key of
//! a set says. Times are compared by our own clock, not by the library's.

use std::{collections::HashSet, sync::Arc, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use sluice_core::{clock::Clock, ids::BuyerId, random::Random};
use sluice_http::Problem;
use tokio_util::sync::CancellationToken;

use super::{
    Identified,
    class::Classes,
    jwks::{Found, KeySet, RemoteKeys},
    required,
};
use crate::config::{ConfigError, JwtConfig, JwtKeys};

/// Clocks of shop and waiting room may differ by this much.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longest token read, in bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Shortest shared secret, in bytes.
const SECRET_BYTES_MIN: usize = 32;

pub(crate) struct Jwt {
    source: Source,
    issuer: Option<String>,
    audience: Option<String>,
    classes: Option<Classes>,
    clock: Arc<dyn Clock>,
}

enum Source {
    Secret(DecodingKey),
    File(KeySet),
    Url(Box<RemoteKeys>),
}

/// Keys are never printed.
impl std::fmt::Debug for Jwt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwt")
            .field("issuer", &self.issuer)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}

/// Times are NumericDates: seconds, possibly with a fraction.
#[derive(Deserialize)]
struct Subject {
    sub: String,
    exp: f64,
    nbf: Option<f64>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Jwt {
    pub(super) fn build(
        config: &JwtConfig,
        classes: Option<Classes>,
        clock: Arc<dyn Clock>,
        random: Arc<Random>,
    ) -> Result<Self, ConfigError> {
        // The library panics at its first use unless the process has chosen a provider; whoever chose first is right.
        let _ = jsonwebtoken::crypto::aws_lc::DEFAULT_PROVIDER.install_default();
        let source = match &config.keys {
            JwtKeys::Secret(secret) if secret.len() < SECRET_BYTES_MIN => {
                return Err(ConfigError::WeakSecret);
            }
            JwtKeys::Secret(secret) => Source::Secret(DecodingKey::from_secret(secret.as_bytes())),
            JwtKeys::File(path) => {
                let bytes = std::fs::read(path)
                    .map_err(|cause| ConfigError::KeyFile { path: path.clone(), cause })?;
                let keys = KeySet::parse(&bytes)
                    .ok_or_else(|| ConfigError::KeySet { path: path.clone() })?;
                Source::File(keys)
            }
            JwtKeys::Url(url) => {
                let keys = RemoteKeys::build(url, random);
                Source::Url(Box::new(keys.map_err(|cause| ConfigError::KeyUrl { cause })?))
            }
        };
        let (issuer, audience) = (config.issuer.clone(), config.audience.clone());
        Ok(Self { source, issuer, audience, classes, clock })
    }

    pub(super) async fn identify(
        &self,
        token: Option<&str>,
        patience: Duration,
    ) -> Result<Identified, Problem> {
        let token = token.ok_or_else(|| {
            required("Sign in first: send the shop's token as `Authorization: Bearer`.")
        })?;
        if token.len() > TOKEN_BYTES_MAX {
            return Err(required("The token is longer than 8 KiB."));
        }
        let header = decode_header(token)
            .map_err(|_| required("The bearer token is not a JSON Web Token."))?;
        let (kid, algorithm) = (header.kid.as_deref(), header.alg);
        let unknown = || required("The token was signed with a key that is not known here.");
        match &self.source {
            Source::Secret(key) => self.judge(token, Algorithm::HS256, key),
            Source::File(keys) => {
                let key = keys.find(kid, algorithm).ok_or_else(unknown)?;
                self.judge(token, algorithm, key)
            }
            Source::Url(remote) => match remote.find(kid, algorithm, patience).await {
                Found::Key(keys) => {
                    let key = keys.find(kid, algorithm).ok_or_else(unknown)?;
                    self.judge(token, algorithm, key)
                }
                Found::Unknown => Err(unknown()),
                Found::Away => Err(Problem::unavailable(Duration::from_secs(2))),
            },
        }
    }

    pub(super) async fn run(&self, shutdown: &CancellationToken) {
        if let Source::Url(remote) = &self.source {
            remote.run(shutdown).await;
        }
    }

    fn judge(
        &self,
        token: &str,
        algorithm: Algorithm,
        key: &DecodingKey,
    ) -> Result<Identified, Problem> {
        let mut rules = Validation::new(algorithm);
        let mut claims = vec!["sub", "exp"];
        rules.validate_exp = false; // by our own clock, below
        rules.validate_aud = self.audience.is_some();
        if let Some(audience) = &self.audience {
            rules.aud = Some(HashSet::from([audience.clone()]));
            claims.push("aud");
        }
        if let Some(issuer) = &self.issuer {
            rules.iss = Some(HashSet::from([issuer.clone()]));
            claims.push("iss");
        }
        rules.set_required_spec_claims(&claims);
        let subject = decode::<Subject>(token, key, &rules)
            .map_err(|_| {
                required(
                    "The token is not authentic, not meant for this sale, or lacks `sub` or `exp`.",
                )
            })?
            .claims;
        self.check_times(&subject)?;
        let buyer = BuyerId::new(&subject.sub)
            .map_err(|rule| Problem::bad_request(format!("The token's `sub` {rule}.")))?;
        let head_start = self.classes.as_ref().map(|classes| classes.by_claim(&subject.others));
        Ok(Identified {
            head_start: head_start.unwrap_or_default(),
            ..Identified::plain(buyer, None)
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 stay far below 2^53")]
    fn check_times(&self, subject: &Subject) -> Result<(), Problem> {
        let now = self.clock.now().0 as f64 / 1000.0;
        let leeway = LEEWAY.as_secs_f64();
        if now >= subject.exp + leeway {
            return Err(required("The token has expired: sign in again."));
        }
        if subject.nbf.is_some_and(|from| now + leeway < from) {
            return Err(required("The token is not valid yet."));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
