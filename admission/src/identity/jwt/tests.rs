//! Tokens as a shop would send them, against each kind of key.

use std::{collections::BTreeMap, io::Write};

use jsonwebtoken::{
    EncodingKey, Header, encode,
    jwk::{Jwk, JwkSet},
};
use serde_json::{Value, json};
use sluice_core::clock::{ManualClock, UnixMillis};

use super::*;
use crate::config::HeadStarts;

const SECRET: &str = "a secret of at least thirty-two bytes";
const NOW_SECONDS: i64 = 1_800_000_000;

// Made for these tests (Ed25519, PKCS #8).
const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIKjq60eg18fGzodjEwgyBmC2UCB1zoxUFcK4Ocv6uhaA
-----END PRIVATE KEY-----";

fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::at(UnixMillis(NOW_SECONDS * 1000)))
}

fn build(keys: JwtKeys) -> Result<Jwt, ConfigError> {
    build_with(keys, &HeadStarts::default())
}

fn build_with(keys: JwtKeys, head_starts: &HeadStarts) -> Result<Jwt, ConfigError> {
    let config = JwtConfig { keys, issuer: Some("shop".into()), audience: Some("sluice".into()) };
    Jwt::build(&config, Classes::build(head_starts), clock(), Arc::new(Random::seeded(1)))
}

fn claims() -> Value {
    json!({ "sub": "ada", "exp": NOW_SECONDS + 60, "iss": "shop", "aud": ["sluice", "else"] })
}

fn hs256(claims: &Value, secret: &str) -> String {
    encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(secret.as_bytes()))
        .unwrap()
}

fn ed25519() -> EncodingKey {
    EncodingKey::from_ed_pem(ED25519.as_bytes()).unwrap()
}

fn key_set(kid: &str) -> String {
    let mut key = Jwk::from_encoding_key(&ed25519(), Algorithm::EdDSA).unwrap();
    key.common.key_id = Some(kid.into());
    serde_json::to_string(&JwkSet { keys: vec![key] }).unwrap()
}

fn eddsa(claims: &Value, kid: Option<&str>) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = kid.map(Into::into);
    encode(&header, claims, &ed25519()).unwrap()
}

async fn ask(jwt: &Jwt, token: &str) -> Result<String, (u16, &'static str)> {
    let answer = jwt.identify(Some(token), Duration::from_secs(3)).await;
    answer
        .map(|who| who.buyer.to_string())
        .map_err(|problem| (problem.status().as_u16(), problem.code()))
}

const REQUIRED: Result<String, (u16, &str)> = Err((401, "identity_required"));

#[tokio::test]
async fn the_subject_is_the_buyer() {
    let jwt = build(JwtKeys::Secret(SECRET.into())).unwrap();
    assert_eq!(ask(&jwt, &hs256(&claims(), SECRET)).await, Ok("ada".into()));
    assert_eq!(jwt.identify(None, Duration::ZERO).await.unwrap_err().code(), "identity_required");
}

#[tokio::test]
async fn a_claim_may_name_a_class_with_a_head_start() {
    let of = BTreeMap::from([("gold".into(), Duration::from_secs(600))]);
    let head_starts = HeadStarts { class: "https://shop.example/tier".into(), of };
    let jwt = build_with(JwtKeys::Secret(SECRET.into()), &head_starts).unwrap();
    for (class, seconds) in [("gold", 600), ("silver", 0)] {
        let mut claims = claims();
        claims["https://shop.example/tier"] = json!(class);
        let who = jwt.identify(Some(&hs256(&claims, SECRET)), Duration::ZERO).await.unwrap();
        assert_eq!(who.head_start, Duration::from_secs(seconds), "{class}");
    }
    let who = jwt.identify(Some(&hs256(&claims(), SECRET)), Duration::ZERO).await.unwrap();
    assert_eq!(who.head_start, Duration::ZERO);
}

#[tokio::test]
async fn what_is_forged_expired_or_meant_for_others_is_refused() {
    let jwt = build(JwtKeys::Secret(SECRET.into())).unwrap();
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        hs256(&claims, SECRET)
    };
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        hs256(&claims, SECRET)
    };
    for (what, token) in [
        ("another secret", hs256(&claims(), "another secret, also of thirty-two bytes")),
        ("expired", with("exp", json!(NOW_SECONDS - 31))),
        ("not yet valid", with("nbf", json!(NOW_SECONDS + 31))),
        ("another issuer", with("iss", json!("thief"))),
        ("another audience", with("aud", json!("else"))),
        ("no subject", without("sub")),
        ("no end", without("exp")),
        ("no issuer", without("iss")),
        ("no audience", without("aud")),
        ("garbage", "a.b.c".into()),
        ("too long", "x".repeat(TOKEN_BYTES_MAX + 1)),
        ("another algorithm", eddsa(&claims(), None)),
        ("no algorithm", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZGEiLCJleHAiOjE5MDAwMDAwMDB9.".into()),
    ] {
        assert_eq!(ask(&jwt, &token).await, REQUIRED, "{what}");
    }
    assert_eq!(
        ask(&jwt, &with("exp", json!(NOW_SECONDS - 29))).await,
        Ok("ada".into()),
        "clocks differ a little"
    );
    assert_eq!(ask(&jwt, &with("sub", json!("a b"))).await, Err((400, "bad_request")));
}

#[tokio::test]
async fn a_key_set_fixes_the_algorithm() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(key_set("k1").as_bytes()).unwrap();
    let jwt = build(JwtKeys::File(file.path().into())).unwrap();
    assert_eq!(ask(&jwt, &eddsa(&claims(), Some("k1"))).await, Ok("ada".into()));
    assert_eq!(
        ask(&jwt, &eddsa(&claims(), None)).await,
        Ok("ada".into()),
        "the only key of its kind"
    );
    assert_eq!(ask(&jwt, &eddsa(&claims(), Some("k2"))).await, REQUIRED);
    // The public key, misused as a shared secret.
    assert_eq!(ask(&jwt, &hs256(&claims(), &key_set("k1"))).await, REQUIRED);
}

#[test]
fn keys_that_cannot_be_used_are_named_at_start() {
    assert!(matches!(build(JwtKeys::Secret("short".into())), Err(ConfigError::WeakSecret)));
    assert!(matches!(build(JwtKeys::File("/nowhere".into())), Err(ConfigError::KeyFile { .. })));
    assert!(matches!(
        build(JwtKeys::Url("http://keys.example/jwks".into())),
        Err(ConfigError::KeyUrl { .. })
    ));
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(br#"{"keys":[{"kty":"oct","k":"c2VjcmV0","alg":"HS256"}]}"#).unwrap();
    assert!(matches!(build(JwtKeys::File(file.path().into())), Err(ConfigError::KeySet { .. })));
}
