//! What admission can be told. Plain values: the composition root reads the file and the environment, this crate checks
//! what only it can judge.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// Everything admission can be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who a buyer is. Default: anonymous.
    pub identity: IdentityConfig,
    /// Which buyers have a head start among those who stand by. Default: none.
    pub head_starts: HeadStarts,
    /// How cookies are named and whether they ask for TLS. Default: [`Cookies::Host`].
    pub cookies: Cookies,
    /// Origins other than our own (`https://shop.example`) whose pages may use our cookies. Default: none; what comes
    /// from an origin that is neither ours nor listed is refused with 403 `cross_site`.
    pub allowed_origins: Vec<String>,
    /// Joins of one sale that wait for their batch, at least 1. Default: 10,000. Beyond it a join is refused with 503
    /// `unavailable`, at once.
    pub joins_waiting_max: usize,
    /// How long a join may take from its arrival to its answer. Default: 3 s. Then it is answered 503 `unavailable`:
    /// whether it was recorded is unknown, and a retry finds it or makes it.
    pub join_timeout: Duration,
    /// How long any other question to a store may take. Default: 2 s. Then it is answered 503 `unavailable`.
    pub store_timeout: Duration,
    /// Renewed places that wait to be noted as seen (they are written every second), at least 1. Default: 100,000.
    /// Half full, they are written early; full, a poll is answered without a fresh token (the next one brings it) and
    /// a renewal is refused with 503 `unavailable`.
    pub seen_entries_max: usize,
    /// Times a second the ledger is asked for a sale this node has never heard of, at least 1. Default: 20. Beyond it,
    /// the answer is 404 `no_such_sale` without asking.
    pub unknown_sales_per_second: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            identity: IdentityConfig::Anonymous,
            head_starts: HeadStarts::default(),
            cookies: Cookies::Host,
            allowed_origins: Vec::new(),
            joins_waiting_max: 10_000,
            join_timeout: Duration::from_secs(3),
            store_timeout: Duration::from_secs(2),
            seen_entries_max: 100_000,
            unknown_sales_per_second: 20,
        }
    }
}

/// How our cookies are set.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Cookies {
    /// `__Host-` names, `Secure`: browsers keep them to this host and to TLS.
    #[default]
    Host,
    /// Plain names without `Secure`, for a loopback address without TLS; anywhere else they could be read in passing.
    Plain,
}

/// Who a buyer is, as told by whom. Only joining asks; afterwards the queue token suffices.
#[derive(Clone, Debug)]
pub enum IdentityConfig {
    /// A signed cookie that the first join sets: one browser, one buyer.
    Anonymous,
    /// A request header, believed from trusted proxies alone.
    Header {
        /// Its name, such as `x-sluice-buyer`.
        name: String,
    },
    /// A JSON Web Token in `Authorization: Bearer`; `sub` is the buyer, `exp` is required.
    Jwt(JwtConfig),
}

/// Who stands by comes in the order of joining; a buyer of a class that is listed here as if they had joined earlier. The line
/// knows no classes.
#[derive(Clone, Debug, Default)]
pub struct HeadStarts {
    /// What names a buyer's class: another header of the proxy (mode header), or a claim (mode jwt). Empty: nothing does.
    pub class: String,
    /// How much earlier, by class.
    pub of: BTreeMap<String, Duration>,
}

/// Which tokens are believed.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    pub keys: JwtKeys,
    /// The `iss` a token must carry; `None`: any.
    pub issuer: Option<String>,
    /// The `aud` a token must carry; `None`: any.
    pub audience: Option<String>,
}

/// What tokens are verified with.
#[derive(Clone)]
pub enum JwtKeys {
    /// HS256 with a shared secret of at least 32 bytes.
    Secret(String),
    /// A JSON Web Key Set in a file, read at start: RS256, ES256, EdDSA.
    File(PathBuf),
    /// The same from a URL (https, or http on loopback): read at start and when a token names a key that is not known,
    /// at most every 10 s; what was read is kept while the source is away.
    Url(String),
}

/// Secrets are never printed.
impl fmt::Debug for JwtKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret(…)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Url(url) => f.debug_tuple("Url").field(url).finish(),
        }
    }
}

/// Why admission cannot be built from its configuration. Each names the key and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("`{key}` must be {rule}")]
    Range { key: &'static str, rule: &'static str },
    #[error("`identity.header` must be a header name, such as x-sluice-buyer")]
    HeaderName,
    #[error("`identity.jwt_secret` must have at least 32 bytes")]
    WeakSecret,
    #[error("`identity.jwks_file`: {} cannot be read", .path.display())]
    KeyFile {
        path: PathBuf,
        #[source]
        cause: std::io::Error,
    },
    #[error("`identity.jwks_file`: {} is not a JSON Web Key Set with at least one RS256, ES256 or EdDSA key", .path.display())]
    KeySet { path: PathBuf },
    #[error("`identity.jwks_url` must be https, or http to a loopback address")]
    KeyUrl {
        #[source]
        cause: sluice_http::client::BadUrl,
    },
}

impl Config {
    /// Checks the plain numbers; keys and names are checked where they are put to use.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let at_least_one = "at least 1";
        let short = Duration::from_millis(1);
        let checks = [
            ("admission.joins_waiting_max", at_least_one, self.joins_waiting_max > 0),
            ("admission.seen_entries_max", at_least_one, self.seen_entries_max > 0),
            ("admission.unknown_sales_per_second", at_least_one, self.unknown_sales_per_second > 0),
            ("admission.join_timeout_ms", at_least_one, self.join_timeout >= short),
            ("admission.store_timeout_ms", at_least_one, self.store_timeout >= short),
        ];
        match checks.into_iter().find(|(_, _, fits)| !fits) {
            Some((key, rule, _)) => Err(ConfigError::Range { key, rule }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_sound() {
        assert!(Config::default().check().is_ok());
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let broken = Config { joins_waiting_max: 0, ..Config::default() };
        assert_eq!(
            broken.check().unwrap_err().to_string(),
            "`admission.joins_waiting_max` must be at least 1"
        );
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert!(!format!("{:?}", JwtKeys::Secret("hunter2".into())).contains("hunter2"));
    }
}
