//! Signatures of payment callbacks and webhooks: Standard Webhooks 1.0, symmetric (`v1`). The signature covers
//! `id.timestamp.body` byte for byte, so a body is verified before it is parsed.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::clock::UnixMillis;

/// Header names, lower case.
pub const ID_HEADER: &str = "webhook-id";
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// How far a timestamp may be from our clock, either way.
pub const TOLERANCE_SECONDS: i64 = 300;

const SECRET_PREFIX: &str = "whsec_";

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be `whsec_` and the base64 of 24 to 64 bytes")]
pub struct BadSecret;

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadSignature {
    #[error("a webhook header is missing or malformed")]
    Headers,
    #[error("the timestamp is more than {TOLERANCE_SECONDS} s away")]
    Stale,
    #[error("the signature does not match")]
    Mismatch,
}

/// The secrets of one endpoint: the first signs, all verify.
#[derive(Clone)]
pub struct Secrets(Vec<Vec<u8>>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({})", self.0.len())
    }
}

/// What to send along with a body.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signed {
    pub id: String,
    pub timestamp: String,
    pub signature: String,
}

impl Secrets {
    /// Reads `whsec_…` secrets. An empty list is refused too.
    pub fn new<T: AsRef<str>>(secrets: &[T]) -> Result<Self, BadSecret> {
        let read = |secret: &T| {
            let bytes = STANDARD.decode(secret.as_ref().strip_prefix(SECRET_PREFIX)?).ok()?;
            (24..=64).contains(&bytes.len()).then_some(bytes)
        };
        let keys: Option<Vec<_>> = secrets.iter().map(read).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self).ok_or(BadSecret)
    }

    /// Signs `body`. `id` is the same for every repeat of one event.
    #[must_use]
    pub fn sign(&self, id: &str, now: UnixMillis, body: &[u8]) -> Signed {
        let timestamp = (now.0 / 1000).to_string();
        let key = self.0.first().map_or(&[][..], Vec::as_slice);
        let signature = mac(key, id, &timestamp, body).map_or_else(String::new, |mac| {
            format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
        });
        Signed { id: id.to_owned(), timestamp, signature }
    }

    /// Verifies the three headers against the raw body.
    pub fn verify(
        &self,
        id: &str,
        timestamp: &str,
        signatures: &str,
        body: &[u8],
        now: UnixMillis,
    ) -> Result<(), BadSignature> {
        if id.is_empty() || id.len() > 256 || signatures.len() > 2048 {
            return Err(BadSignature::Headers);
        }
        let sent: i64 = timestamp.parse().map_err(|_| BadSignature::Headers)?;
        if (now.0 / 1000).abs_diff(sent) > TOLERANCE_SECONDS.unsigned_abs() {
            return Err(BadSignature::Stale);
        }
        let offered = signatures
            .split(' ')
            .filter_map(|part| STANDARD.decode(part.strip_prefix("v1,")?).ok());
        for offered in offered {
            let fits = |key: &Vec<u8>| {
                mac(key, id, timestamp, body).is_some_and(|mac| mac.verify_slice(&offered).is_ok())
            };
            if self.0.iter().any(fits) {
                return Ok(());
            }
        }
        Err(BadSignature::Mismatch)
    }
}

fn mac(key: &[u8], id: &str, timestamp: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    /// The worked example of the Standard Webhooks specification.
    #[test]
    fn the_published_example_verifies() {
        let secrets = Secrets::new(&[SECRET]).unwrap();
        let body = br#"{"test": 2432232314}"#;
        let now = UnixMillis(1_614_265_330_000);
        let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", now, body).signature, signature);
        assert_eq!(
            secrets.verify("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature, body, now),
            Ok(())
        );
    }

    #[test]
    fn what_is_changed_old_or_foreign_is_refused() {
        let secrets = Secrets::new(&[SECRET]).unwrap();
        let now = UnixMillis(1_614_265_330_000);
        let signed = secrets.sign("m1", now, b"{}");
        let verify = |body: &[u8], now| {
            secrets.verify("m1", &signed.timestamp, &signed.signature, body, now)
        };
        assert_eq!(verify(b"{}", now), Ok(()));
        assert_eq!(verify(b"{ }", now), Err(BadSignature::Mismatch));
        assert_eq!(verify(b"{}", UnixMillis(now.0 + 301_000)), Err(BadSignature::Stale));
        assert_eq!(
            secrets.verify("m1", "soon", &signed.signature, b"{}", now),
            Err(BadSignature::Headers)
        );
        let other = Secrets::new(&["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]).unwrap();
        assert_eq!(
            other.verify("m1", &signed.timestamp, &signed.signature, b"{}", now),
            Err(BadSignature::Mismatch)
        );
    }

    #[test]
    fn two_secrets_verify_at_once() {
        let old = Secrets::new(&[SECRET]).unwrap();
        let both = Secrets::new(&["whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", SECRET]).unwrap();
        let now = UnixMillis(0);
        let signed = old.sign("m1", now, b"{}");
        assert_eq!(both.verify("m1", &signed.timestamp, &signed.signature, b"{}", now), Ok(()));
    }

    #[test]
    fn weak_secrets_are_refused() {
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert!(Secrets::new(&[bad]).is_err(), "{bad}");
        }
        assert!(Secrets::new::<&str>(&[]).is_err());
    }
}
