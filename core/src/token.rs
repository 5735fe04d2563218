//! Queue tokens: the signed proof of an entry. Opaque to clients, URL-safe, under 512 bytes.
//!
//! Layout before base64url: format, purpose, key id, claims, then a 32-byte BLAKE3 keyed MAC over all of it. Each
//! purpose signs with a key of its own, derived from the configured secret (BLAKE3 `derive_key`), so a push ticket can
//! never pass for a queue token. The first key signs, all verify: add a key everywhere before promoting it.

use std::time::Duration;

use base64_simd::{Out, URL_SAFE_NO_PAD};

use crate::{
    basket::Wants,
    clock::UnixMillis,
    ids::{EntryId, SaleId, Seq},
};

/// How long a queue token is valid.
pub const TOKEN_LIFE: Duration = Duration::from_secs(15 * 60);
/// How long a push ticket is valid.
pub const TICKET_LIFE: Duration = Duration::from_secs(60);
/// How long a ticket that moves a place is valid.
pub const MOVE_LIFE: Duration = Duration::from_secs(5 * 60);
/// Shortest secret, in bytes.
pub const SECRET_BYTES_MIN: usize = 32;
/// Longest key id, in bytes.
pub const KEY_ID_BYTES_MAX: usize = 32;
/// Longest token we print or read, in characters.
pub const TOKEN_CHARS_MAX: usize = 511;

/// What they are in bytes, rounded up to what the decoder asks for.
const TOKEN_BYTES_MAX: usize = TOKEN_CHARS_MAX.div_ceil(4) * 3;
/// Says how the rest is laid out; a change of it gets the next number.
const FORMAT: u8 = 2;
const MAC_BYTES: usize = 32;
const PURPOSES: usize = 5;
/// Ends the sale's id in claims that go on: no id has it.
const MORE: u8 = 0;

/// What a signature is for. Each has a key of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Purpose {
    /// A queue token.
    Place,
    /// A push ticket: opens the push stream, nothing else.
    Ticket,
    /// An identity cookie.
    Buyer,
    /// A device cookie.
    Device,
    /// A ticket that moves a place to another device, nothing else.
    Move,
}

impl Purpose {
    const ALL: [Self; PURPOSES] =
        [Self::Place, Self::Ticket, Self::Buyer, Self::Device, Self::Move];

    fn context(self) -> &'static str {
        match self {
            Self::Place => "sluice 2026 queue token",
            Self::Ticket => "sluice 2026 push ticket",
            Self::Buyer => "sluice 2026 buyer cookie",
            Self::Device => "sluice 2026 device cookie",
            Self::Move => "sluice 2026 move ticket",
        }
    }

    fn index(self) -> u8 {
        match self {
            Self::Place => 0,
            Self::Ticket => 1,
            Self::Buyer => 2,
            Self::Device => 3,
            Self::Move => 4,
        }
    }
}

/// What a queue token proves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claims {
    pub sale: SaleId,
    pub entry: EntryId,
    pub seq: Seq,
    /// Numbers below `seq` that were never given out.
    pub holes_below: u64,
    /// What it asked for, for its odds.
    pub wants: Wants,
    pub joined_at: UnixMillis,
    /// Since when whoever holds the place has held it: `joined_at`, until it is moved or found again. Renewals keep it, so that a
    /// move ends every token that came of the one before (`ports::MoveBook`).
    pub held_since: UnixMillis,
    pub expires_at: UnixMillis,
}

/// An authentic token, and whether it is still good.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verified {
    Live(Claims),
    /// Authentic but old: it may be renewed, and nothing else.
    Expired(Claims),
}

impl Verified {
    fn at(claims: Claims, end: UnixMillis, now: UnixMillis) -> Self {
        if now < end { Self::Live(claims) } else { Self::Expired(claims) }
    }

    /// The claims, whether the token is live or expired.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        match self {
            Self::Live(claims) | Self::Expired(claims) => claims,
        }
    }
}

/// Not a token of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the token is not authentic")]
pub struct BadToken;

/// A secret and the id by which tokens name it.
#[derive(Clone)]
pub struct Key {
    pub id: String,
    pub secret: String,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a list of keys cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadKeys {
    #[error("at least one key is needed")]
    None,
    #[error(
        "key `{0}`: the id must be 1 to {KEY_ID_BYTES_MAX} characters out of a-z, A-Z, 0-9, - and _, and each used once"
    )]
    Id(String),
    #[error("key `{0}`: the secret must have at least {SECRET_BYTES_MIN} bytes")]
    Short(String),
}

/// The keys that sign and verify.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<(String, [[u8; 32]; PURPOSES])>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl Keyring {
    /// The first key signs, all verify.
    pub fn new(keys: &[Key]) -> Result<Self, BadKeys> {
        let mut ring: Vec<(String, [[u8; 32]; PURPOSES])> = Vec::new();
        for key in keys {
            let clean = key.id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
            let known = ring.iter().any(|(id, _)| *id == key.id);
            if key.id.is_empty() || key.id.len() > KEY_ID_BYTES_MAX || !clean || known {
                return Err(BadKeys::Id(key.id.clone()));
            }
            if key.secret.len() < SECRET_BYTES_MIN {
                return Err(BadKeys::Short(key.id.clone()));
            }
            let derived = Purpose::ALL
                .map(|purpose| blake3::derive_key(purpose.context(), key.secret.as_bytes()));
            ring.push((key.id.clone(), derived));
        }
        if ring.is_empty() { Err(BadKeys::None) } else { Ok(Self { keys: ring }) }
    }

    /// Signs claims as a queue token.
    #[must_use]
    pub fn sign_claims(&self, claims: &Claims) -> String {
        self.sign(Purpose::Place, &write_claims(claims))
    }

    /// Verifies a queue token at `now`.
    pub fn verify_claims(&self, token: &str, now: UnixMillis) -> Result<Verified, BadToken> {
        let claims = self.open(Purpose::Place, token, read_claims)?.ok_or(BadToken)?;
        let end = claims.expires_at;
        Ok(Verified::at(claims, end, now))
    }

    /// Signs claims as a push ticket that is good until `expires_at`; the claims keep the end of their queue token.
    #[must_use]
    pub fn sign_ticket(&self, claims: &Claims, expires_at: UnixMillis) -> String {
        self.sign_until(Purpose::Ticket, claims, expires_at)
    }

    /// Verifies a push ticket at `now`: whether the ticket is still good, whatever became of the token it was made with.
    pub fn verify_ticket(&self, ticket: &str, now: UnixMillis) -> Result<Verified, BadToken> {
        self.verify_until(Purpose::Ticket, ticket, now)
    }

    /// Signs claims as a ticket that moves their place, until `expires_at`.
    #[must_use]
    pub fn sign_move(&self, claims: &Claims, expires_at: UnixMillis) -> String {
        self.sign_until(Purpose::Move, claims, expires_at)
    }

    /// Verifies a ticket that moves a place at `now`, likewise. Whether it was used is the ledger's to say.
    pub fn verify_move(&self, ticket: &str, now: UnixMillis) -> Result<Verified, BadToken> {
        self.verify_until(Purpose::Move, ticket, now)
    }

    fn sign_until(&self, purpose: Purpose, claims: &Claims, expires_at: UnixMillis) -> String {
        let payload = [&expires_at.0.to_be_bytes()[..], &write_claims(claims)].concat();
        self.sign(purpose, &payload)
    }

    fn verify_until(
        &self,
        purpose: Purpose,
        ticket: &str,
        now: UnixMillis,
    ) -> Result<Verified, BadToken> {
        let payload = self.verify(purpose, ticket)?;
        let (expires_at, claims) = payload.split_first_chunk::<8>().ok_or(BadToken)?;
        let end = UnixMillis(i64::from_be_bytes(*expires_at));
        Ok(Verified::at(read_claims(claims).ok_or(BadToken)?, end, now))
    }

    /// Signs any payload of up to 200 bytes for `purpose`.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, payload: &[u8]) -> String {
        let mut bytes = Vec::with_capacity(3 + KEY_ID_BYTES_MAX + payload.len() + MAC_BYTES);
        // `new` refuses an empty ring.
        if let Some((id, keys)) = self.keys.first() {
            bytes.extend_from_slice(&[
                FORMAT,
                purpose.index(),
                u8::try_from(id.len()).unwrap_or(0),
            ]);
            bytes.extend_from_slice(id.as_bytes());
            bytes.extend_from_slice(payload);
            let mac = blake3::keyed_hash(&keys[usize::from(purpose.index())], &bytes);
            bytes.extend_from_slice(mac.as_bytes());
        }
        URL_SAFE_NO_PAD.encode_to_string(bytes)
    }

    /// The payload of an authentic signature for `purpose`.
    pub fn verify(&self, purpose: Purpose, text: &str) -> Result<Vec<u8>, BadToken> {
        self.open(purpose, text, <[u8]>::to_vec)
    }

    /// Reads an authentic payload where it was decoded: every poll brings one.
    fn open<T>(
        &self,
        purpose: Purpose,
        text: &str,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, BadToken> {
        if text.len() > TOKEN_CHARS_MAX {
            return Err(BadToken);
        }
        let mut room = [0; TOKEN_BYTES_MAX];
        let decoded = URL_SAFE_NO_PAD.decode(text.as_bytes(), Out::from_slice(&mut room));
        let bytes: &[u8] = decoded.map_err(|_| BadToken)?;
        let (signed, mac) = bytes.split_last_chunk::<MAC_BYTES>().ok_or(BadToken)?;
        let [FORMAT, kind, id_len, rest @ ..] = signed else { return Err(BadToken) };
        let (id, payload) = rest.split_at_checked(usize::from(*id_len)).ok_or(BadToken)?;
        let (_, keys) =
            self.keys.iter().find(|(known, _)| known.as_bytes() == id).ok_or(BadToken)?;
        let expected = blake3::keyed_hash(&keys[usize::from(purpose.index())], signed);
        // `blake3::Hash` compares in constant time.
        if *kind == purpose.index() && expected == *mac { Ok(read(payload)) } else { Err(BadToken) }
    }
}

fn write_claims(claims: &Claims) -> Vec<u8> {
    let mut payload = Vec::with_capacity(192);
    payload.extend_from_slice(claims.entry.as_bytes());
    payload.extend_from_slice(&claims.seq.0.to_be_bytes());
    payload.extend_from_slice(&claims.holes_below.to_be_bytes());
    claims.wants.write(&mut payload);
    payload.extend_from_slice(&claims.joined_at.0.to_be_bytes());
    payload.extend_from_slice(&claims.expires_at.0.to_be_bytes());
    payload.extend_from_slice(claims.sale.as_str().as_bytes());
    // Most places are never moved: theirs say nothing of it.
    if claims.held_since != claims.joined_at {
        payload.push(MORE);
        payload.extend_from_slice(&claims.held_since.0.to_be_bytes());
    }
    payload
}

fn read_claims(payload: &[u8]) -> Option<Claims> {
    let (entry, rest) = payload.split_first_chunk::<16>()?;
    let (seq, rest) = rest.split_first_chunk::<8>()?;
    let (holes_below, rest) = rest.split_first_chunk::<8>()?;
    let (wants, rest) = Wants::read(rest)?;
    let (joined_at, rest) = rest.split_first_chunk::<8>()?;
    let (expires_at, rest) = rest.split_first_chunk::<8>()?;
    let joined_at = UnixMillis(i64::from_be_bytes(*joined_at));
    let (sale, held_since) = match rest.split_last_chunk::<9>() {
        Some((sale, [MORE, at @ ..])) => (sale, UnixMillis(i64::from_be_bytes(*at))),
        Some(_) | None => (rest, joined_at),
    };
    Some(Claims {
        sale: SaleId::new(std::str::from_utf8(sale).ok()?).ok()?,
        entry: EntryId::from_bytes(*entry),
        seq: Seq(u64::from_be_bytes(*seq)),
        holes_below: u64::from_be_bytes(*holes_below),
        wants,
        joined_at,
        held_since,
        expires_at: UnixMillis(i64::from_be_bytes(*expires_at)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        basket::{Item, LINES_MAX, QUANTITY_MAX},
        ids::SkuId,
        random::Random,
    };

    fn key(id: &str) -> Key {
        Key { id: id.into(), secret: format!("{id}-{}", "x".repeat(SECRET_BYTES_MIN)) }
    }

    fn ring(ids: &[&str]) -> Keyring {
        Keyring::new(&ids.iter().map(|id| key(id)).collect::<Vec<_>>()).unwrap()
    }

    fn wants(lines: usize) -> Wants {
        let skus: Vec<_> = (0..lines).map(|n| SkuId::new(&format!("s{n}")).unwrap()).collect();
        let items: Vec<_> =
            skus.iter().map(|sku| Item::counted(sku.clone(), QUANTITY_MAX)).collect();
        Wants::new(&items, |sku| skus.iter().position(|known| known == sku))
    }

    fn claims() -> Claims {
        Claims {
            sale: SaleId::new(&"s".repeat(63)).unwrap(),
            entry: EntryId::generate(UnixMillis(5), &Random::seeded(3)),
            seq: Seq(u64::MAX),
            holes_below: 12,
            wants: wants(LINES_MAX),
            joined_at: UnixMillis(1_000),
            held_since: UnixMillis(1_500),
            expires_at: UnixMillis(2_000),
        }
    }

    #[test]
    fn a_token_proves_its_claims_until_it_expires() {
        let ring = ring(&["k1"]);
        let token = ring.sign_claims(&claims());
        assert!(token.len() <= TOKEN_CHARS_MAX);
        let verify = |now| ring.verify_claims(&token, UnixMillis(now));
        assert_eq!(verify(1_999), Ok(Verified::Live(claims())));
        assert_eq!(verify(2_000), Ok(Verified::Expired(claims())));
    }

    #[test]
    fn claims_say_since_when_they_hold_only_where_that_is_not_since_they_joined() {
        let ring = ring(&["k1"]);
        let (moved, never) = (claims(), Claims { held_since: UnixMillis(1_000), ..claims() });
        let tokens = [&moved, &never].map(|claims| ring.sign_claims(claims));
        assert!(tokens[1].len() < tokens[0].len());
        let read = tokens.map(|token| ring.verify_claims(&token, UnixMillis(0)).unwrap());
        assert_eq!(read, [moved, never].map(Verified::Live));
    }

    #[test]
    fn the_longest_names_still_fit() {
        let ring = ring(&["k".repeat(KEY_ID_BYTES_MAX).as_str()]);
        assert!(ring.sign_claims(&claims()).len() < 512);
        assert!(ring.sign_ticket(&claims(), UnixMillis(1)).len() < 512);
    }

    #[test]
    fn keys_rotate() {
        let old = ring(&["old"]).sign_claims(&claims());
        let both = ring(&["new", "old"]);
        assert!(both.verify_claims(&old, UnixMillis(0)).is_ok());
        let new = both.sign_claims(&claims());
        assert!(ring(&["new"]).verify_claims(&new, UnixMillis(0)).is_ok());
        assert_eq!(ring(&["new"]).verify_claims(&old, UnixMillis(0)), Err(BadToken));
    }

    #[test]
    fn a_ticket_is_not_a_token() {
        let ring = ring(&["k1"]);
        let ticket = ring.sign_ticket(&claims(), UnixMillis(9_000));
        assert_eq!(ring.verify_claims(&ticket, UnixMillis(0)), Err(BadToken));
        assert_eq!(ring.verify_ticket(&ring.sign_claims(&claims()), UnixMillis(0)), Err(BadToken));
        let moves = ring.sign_move(&claims(), UnixMillis(9_000));
        assert_eq!(ring.verify_move(&moves, UnixMillis(8_999)), Ok(Verified::Live(claims())));
        assert_eq!(ring.verify_claims(&moves, UnixMillis(0)), Err(BadToken));
        assert_eq!(ring.verify_ticket(&moves, UnixMillis(0)), Err(BadToken));
        assert_eq!(ring.verify_move(&ticket, UnixMillis(0)), Err(BadToken));
    }

    #[test]
    fn a_ticket_has_an_end_of_its_own_and_knows_the_tokens() {
        let ring = ring(&["k1"]);
        let ticket = ring.sign_ticket(&claims(), UnixMillis(9_000));
        let verify = |now| ring.verify_ticket(&ticket, UnixMillis(now));
        assert_eq!(verify(8_999), Ok(Verified::Live(claims())));
        assert_eq!(verify(9_000), Ok(Verified::Expired(claims())));
    }

    #[test]
    fn weak_keys_are_refused() {
        let short = Key { id: "k".into(), secret: "x".repeat(SECRET_BYTES_MIN - 1) };
        assert!(matches!(Keyring::new(&[short]), Err(BadKeys::Short(_))));
        assert!(matches!(Keyring::new(&[]), Err(BadKeys::None)));
        assert!(matches!(Keyring::new(&[key("a"), key("a")]), Err(BadKeys::Id(_))));
    }

    proptest! {
        /// no-forged-place: no change of any single byte survives, and nothing makes the reader panic.
        #[test]
        fn a_changed_token_is_refused(at in 0_usize..500, to in 0_u8..=255) {
            let ring = ring(&["k1"]);
            let token = ring.sign_claims(&claims());
            let mut bytes = token.clone().into_bytes();
            let at = at % bytes.len();
            if bytes[at] != to {
                bytes[at] = to;
                if let Ok(text) = String::from_utf8(bytes) {
                    prop_assert_eq!(ring.verify_claims(&text, UnixMillis(0)), Err(BadToken));
                }
            }
        }

        #[test]
        fn garbage_is_refused(text in "\\PC{0,600}") {
            prop_assert_eq!(ring(&["k1"]).verify_claims(&text, UnixMillis(0)), Err(BadToken));
        }
    }
}
