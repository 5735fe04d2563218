//! What the operator API is configured with, and what is wrong with a configuration.

use std::fmt;

use crate::Role;

/// Shortest admin token, in characters.
pub(crate) const TOKEN_CHARS_MIN: usize = 32;
/// Longest admin token, in characters: it travels in one header.
pub(crate) const TOKEN_CHARS_MAX: usize = 512;
/// Longest name of an admin token, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 64;
/// Authors the audit log uses for those who are nobody's token.
pub(crate) const CONFIG_AUTHOR: &str = "config";
pub(crate) const UNKNOWN_AUTHOR: &str = "unknown";

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Who may come in: at least one.
    pub tokens: Vec<AdminToken>,
    pub limits: Limits,
    /// The shop's own order backend, if it settles turns. `None`: our workers do, and nobody may report outcomes.
    pub shop: Option<Shop>,
}

/// An order backend of the shop's own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Shop {
    /// Hosts its buyer-facing links may point to.
    pub link_hosts: Vec<String>,
}

/// One bearer token.
#[derive(Clone, Debug)]
pub struct AdminToken {
    /// What the audit log calls its holder: 1 to 64 visible ASCII characters, each name once.
    pub name: String,
    pub role: Role,
    pub secret: AdminSecret,
}

/// The token itself, or only what it hashes to.
#[derive(Clone)]
pub enum AdminSecret {
    /// 32 to 512 visible ASCII characters.
    Token(String),
    /// SHA-256 of the token, as 64 hexadecimal digits.
    Sha256(String),
}

impl fmt::Debug for AdminSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminSecret(…)")
    }
}

/// What bounds the operator API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Longest request body: beyond it, 413.
    pub body_bytes_max: usize,
    /// Statistics streams open at once: beyond it, 503 `too_many_streams`.
    pub streams_max: usize,
    /// Failed authentications of one address (IPv6: one /64) in a minute: beyond it, 429.
    pub failures_per_minute_max: u32,
    /// Addresses whose failures are counted apart; further ones share one count.
    pub failing_addresses_max: usize,
    /// Rows of the audit log in one answer: beyond it, 422.
    pub audit_rows_max: u32,
    /// Minutes in one report: the latest are told.
    pub report_minutes_max: u32,
    /// Dead letters in one answer: beyond it, 422.
    pub letters_max: u32,
    /// Bans in force: beyond it, 409 `too_many_bans`. Every join is held against each of them.
    pub bans_max: usize,
    /// How long one preview may reckon: beyond it, 503 `preview_too_long`. There is one at a time: meanwhile, 503
    /// `preview_busy`.
    pub preview_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes_max: 128 * 1024,
            streams_max: 32,
            failures_per_minute_max: 20,
            failing_addresses_max: 1_000,
            audit_rows_max: 500,
            letters_max: 500,
            report_minutes_max: 50_000,
            bans_max: 10_000,
            preview_ms_max: 10_000,
        }
    }
}

/// What is wrong, naming the key. Never repeats a token.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ConfigError {
    #[error("`admin.tokens` must have at least one token")]
    NoTokens,
    #[error(
        "`admin.tokens[{index}].name` must be 1 to {NAME_CHARS_MAX} visible ASCII characters, and neither \
         `{CONFIG_AUTHOR}` nor `{UNKNOWN_AUTHOR}`"
    )]
    BadName { index: usize },
    #[error(
        "`admin.tokens[{index}].name` is the name of an earlier token: give each a name of its own"
    )]
    NameTwice { index: usize },
    #[error(
        "`admin.tokens[{index}].token` must be {TOKEN_CHARS_MIN} to {TOKEN_CHARS_MAX} visible ASCII characters; \
         `openssl rand -hex 32` makes a good one"
    )]
    BadToken { index: usize },
    #[error("`admin.tokens[{index}].token_sha256` must be 64 hexadecimal digits")]
    BadHash { index: usize },
    #[error(
        "`admin.tokens[{index}]` is the same secret as an earlier one: give each a secret of its own"
    )]
    TokenTwice { index: usize },
    #[error("`admin.limits.{key}` must be at least 1")]
    BadLimit { key: &'static str },
}

impl Limits {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let zero = [
            ("body_bytes_max", self.body_bytes_max == 0),
            ("streams_max", self.streams_max == 0),
            ("failures_per_minute_max", self.failures_per_minute_max == 0),
            ("failing_addresses_max", self.failing_addresses_max == 0),
            ("audit_rows_max", self.audit_rows_max == 0),
            ("letters_max", self.letters_max == 0),
            ("report_minutes_max", self.report_minutes_max == 0),
            ("bans_max", self.bans_max == 0),
            ("preview_ms_max", self.preview_ms_max == 0),
        ];
        match zero.into_iter().find(|(_, zero)| *zero) {
            Some((key, _)) => Err(ConfigError::BadLimit { key }),
            None => Ok(()),
        }
    }
}
