//! Who is asking, and whether they may: bearer tokens, roles, and what happens to those who have neither.
//!
//! A right token is always let in, even from an address that has used up its failures: tokens have at least 32
//! characters, so the limit is not what keeps them from being guessed, and a stale script on the operator's own
//! machine must not lock the operator out. What the limit bounds is what failures cost us, and the audit log above all.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use sluice_core::ports::Author;
use sluice_http::Problem;
use subtle::ConstantTimeEq;

use crate::config::{
    AdminSecret, AdminToken, CONFIG_AUTHOR, ConfigError, NAME_CHARS_MAX, TOKEN_CHARS_MAX,
    TOKEN_CHARS_MIN, UNKNOWN_AUTHOR,
};

pub(crate) mod failures;

/// What a token's holder may do. The first three include one another; `backend` is apart and may do none of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Makes sales, tunes, pauses, resumes, closes, notifies, adds stock.
    Operator,
    /// Freezes, bans, deletes.
    Admin,
    /// An order backend of one's own: reports outcomes, and nothing else.
    Backend,
}

impl Role {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Backend => "backend",
        }
    }

    /// Whether a holder of this role may do what `needed` may.
    #[must_use]
    pub fn covers(self, needed: Self) -> bool {
        match (self.rank(), needed.rank()) {
            (Some(own), Some(needed)) => own >= needed,
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    fn rank(self) -> Option<u8> {
        match self {
            Self::Viewer => Some(1),
            Self::Operator => Some(2),
            Self::Admin => Some(3),
            Self::Backend => None,
        }
    }
}

/// Somebody whose token was right.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) address: IpAddr,
}

impl Caller {
    pub(crate) fn author(&self) -> Author {
        Author { name: self.name.clone(), address: Some(self.address) }
    }

    /// 403 `forbidden`, naming the role that is needed and the one there is.
    pub(crate) fn must_be(&self, needed: Role) -> Result<(), Problem> {
        if self.role.covers(needed) {
            return Ok(());
        }
        let detail = format!(
            "This needs the role `{}`; the token `{}` has the role `{}`.",
            needed.as_str(),
            self.name,
            self.role.as_str()
        );
        Err(Problem::forbidden("forbidden", detail))
    }
}

/// The tokens that are known, as hashes.
#[derive(Debug)]
pub(crate) struct Keyring(Vec<Key>);

struct Key {
    name: String,
    role: Role,
    sha256: [u8; 32],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

impl Keyring {
    pub(crate) fn new(tokens: Vec<AdminToken>) -> Result<Self, ConfigError> {
        if tokens.is_empty() {
            return Err(ConfigError::NoTokens);
        }
        let mut keys: Vec<Key> = Vec::with_capacity(tokens.len());
        for (index, token) in tokens.into_iter().enumerate() {
            let name = token.name;
            if !is_visible(&name, 1, NAME_CHARS_MAX)
                || [CONFIG_AUTHOR, UNKNOWN_AUTHOR].contains(&name.as_str())
            {
                return Err(ConfigError::BadName { index });
            }
            let sha256 = match token.secret {
                AdminSecret::Token(text) if is_visible(&text, TOKEN_CHARS_MIN, TOKEN_CHARS_MAX) => {
                    hash(&text)
                }
                AdminSecret::Token(_) => return Err(ConfigError::BadToken { index }),
                AdminSecret::Sha256(digits) => {
                    from_hex(&digits).ok_or(ConfigError::BadHash { index })?
                }
            };
            if keys.iter().any(|key| key.name == name) {
                return Err(ConfigError::NameTwice { index });
            }
            if keys.iter().any(|key| key.sha256 == sha256) {
                return Err(ConfigError::TokenTwice { index });
            }
            keys.push(Key { name, role: token.role, sha256 });
        }
        Ok(Self(keys))
    }

    /// The holder of `token`. Hashes are compared in constant time, all of them, so that the time taken tells nothing
    /// of any token.
    pub(crate) fn find(&self, token: &str, address: IpAddr) -> Option<Caller> {
        let presented = hash(token);
        let mut found = None;
        for key in &self.0 {
            if bool::from(key.sha256.ct_eq(&presented)) {
                found = Some(key);
            }
        }
        found.map(|key| Caller { name: key.name.clone(), role: key.role, address })
    }
}

fn is_visible(text: &str, min: usize, max: usize) -> bool {
    (min..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn from_hex(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    fn token(name: &str, secret: AdminSecret) -> AdminToken {
        AdminToken { name: name.into(), role: Role::Operator, secret }
    }

    fn plain(name: &str, letter: &str) -> AdminToken {
        token(name, AdminSecret::Token(letter.repeat(32)))
    }

    #[test]
    fn a_token_is_found_by_itself_or_by_its_hash() {
        // echo -n bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb | sha256sum
        let hex = hash(&"b".repeat(32)).map(|byte| format!("{byte:02X}")).concat();
        let ring =
            Keyring::new(vec![plain("a", "a"), token("b", AdminSecret::Sha256(hex))]).unwrap();
        assert_eq!(ring.find(&"a".repeat(32), ADDRESS).unwrap().name, "a");
        assert_eq!(ring.find(&"b".repeat(32), ADDRESS).unwrap().name, "b");
        assert!(ring.find(&"a".repeat(31), ADDRESS).is_none());
        assert!(ring.find("", ADDRESS).is_none());
    }

    #[test]
    fn the_hash_is_sha_256_of_the_token_alone() {
        let digits = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(from_hex(digits), Some(hash("abc")));
    }

    #[test]
    fn mistakes_are_named() {
        let error = |tokens| Keyring::new(tokens).unwrap_err();
        assert_eq!(error(vec![]), ConfigError::NoTokens);
        assert_eq!(error(vec![plain("", "a")]), ConfigError::BadName { index: 0 });
        assert_eq!(error(vec![plain("config", "a")]), ConfigError::BadName { index: 0 });
        assert_eq!(
            error(vec![plain("a", "a"), plain("a", "b")]),
            ConfigError::NameTwice { index: 1 }
        );
        assert_eq!(
            error(vec![plain("a", "a"), plain("b", "a")]),
            ConfigError::TokenTwice { index: 1 }
        );
        let short = token("a", AdminSecret::Token("a".repeat(31)));
        assert_eq!(error(vec![short]), ConfigError::BadToken { index: 0 });
        let spaced = token("a", AdminSecret::Token("a b ".repeat(10)));
        assert_eq!(error(vec![spaced]), ConfigError::BadToken { index: 0 });
        let hash = token("a", AdminSecret::Sha256("+f".repeat(32)));
        assert_eq!(error(vec![hash]), ConfigError::BadHash { index: 0 });
    }

    #[test]
    fn a_secret_is_never_printed() {
        let secret = "s".repeat(32);
        let printed = format!("{:?}", token("a", AdminSecret::Token(secret.clone())));
        assert!(!printed.contains(&secret), "{printed}");
    }

    #[test]
    fn roles_include_those_below_and_backend_is_apart() {
        use Role::{Admin, Backend, Operator, Viewer};
        let table = [
            (Viewer, [true, false, false, false]),
            (Operator, [true, true, false, false]),
            (Admin, [true, true, true, false]),
            (Backend, [false, false, false, true]),
        ];
        for (role, expected) in table {
            assert_eq!(
                [Viewer, Operator, Admin, Backend].map(|needed| role.covers(needed)),
                expected,
                "{role:?}"
            );
        }
    }
}
