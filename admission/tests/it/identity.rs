//! Who a buyer is: a cookie of ours, a trusted header, a JSON Web Token; and where cookies may be used from.

use http::Method;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, jwk::Jwk};
use serde_json::json;
use sluice_admission::{IdentityConfig, JwtConfig, JwtKeys};
use sluice_http::{Router, RouterSettings, Routes, Server};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    client::Ask,
    stage::{PUBLIC, Script, Stage, server_config, text},
};

fn anonymous() -> Script {
    let mut script =
        Script { allowed_origins: vec!["https://shop.example".into()], ..Script::default() };
    script.config.identity = IdentityConfig::Anonymous;
    script
}

fn browser(stage: &Stage, cookies: &str) -> Ask {
    let ask = stage
        .ask(Method::POST, "/v1/sales/demo/entries")
        .from(PUBLIC)
        .header("sec-fetch-site", "same-origin");
    let ask = ask.json(&json!({ "items": [{ "sku": "standard", "quantity": 1 }] }));
    if cookies.is_empty() { ask } else { ask.header("cookie", cookies) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_known_by_the_cookie_its_first_join_sets() {
    let stage = Stage::play(anonymous()).await;
    let first = browser(&stage, "").send().await;
    let mine = first.expect(202, "");
    let buyer = first.cookie("sluice-buyer").expect("a new buyer gets a cookie");
    for line in first.headers.get_all("set-cookie") {
        let line = line.to_str().unwrap();
        assert!(
            line.contains("HttpOnly") && line.contains("SameSite=Lax") && line.contains("Path=/"),
            "{line}"
        );
        assert!(!line.contains("Secure"), "plain cookies are for loopback without TLS: {line}");
    }
    let again = browser(&stage, &format!("sluice-buyer={buyer}")).send().await;
    assert_eq!(again.expect(200, "")["entry"], mine["entry"]);
    assert_eq!(again.cookie("sluice-buyer"), None, "who is known gets no other cookie");
    let stranger = browser(&stage, "sluice-buyer=forged").send().await;
    assert_ne!(stranger.expect(202, "")["entry"], mine["entry"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_newcomer_keeps_the_buyer_it_was_refused_as() {
    let stage = Stage::play(anonymous()).await;
    stage.ports.line.forget(&stage.sale).await.unwrap();
    let refusal = browser(&stage, "").send().await;
    refusal.expect(503, "unavailable");
    assert!(refusal.cookie("sluice-buyer").is_some(), "the retry must come from the same buyer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cookies_work_from_our_own_pages_and_listed_ones_alone() {
    let stage = Stage::play(anonymous()).await;
    let joined = browser(&stage, "").send().await;
    let mine = joined.expect(202, "");
    let cookies = format!(
        "sluice-buyer={}; sluice-place-demo={}",
        joined.cookie("sluice-buyer").unwrap(),
        joined.cookie("sluice-place-demo").unwrap()
    );
    let own = format!("/v1/sales/demo/entries/{}", text(&mine["entry"]));
    let asks = |origin: &str| {
        let with = |method: Method, path: &str| {
            let ask = stage.ask(method, path).from(PUBLIC).header("cookie", cookies.clone());
            if origin.is_empty() { ask } else { ask.header("origin", origin) }
        };
        [
            with(Method::POST, "/v1/sales/demo/entries")
                .json(&json!({ "items": [{ "sku": "standard", "quantity": 1 }] })),
            with(Method::GET, &own),
            with(Method::POST, &format!("{own}/token")),
            with(Method::POST, &format!("{own}/ticket")),
        ]
    };
    let leave = |origin: &str| {
        stage
            .ask(Method::DELETE, own.clone())
            .from(PUBLIC)
            .header("cookie", cookies.clone())
            .header("origin", origin)
    };
    for origin in ["https://evil.example", "null", "http://shop.example"] {
        for ask in asks(origin).into_iter().chain([leave(origin)]) {
            ask.send().await.expect(403, "cross_site");
        }
    }
    for origin in ["", "https://shop.example", &format!("http://{}", stage.address)] {
        for ask in asks(origin) {
            ask.send().await.expect(200, "");
        }
    }
    let foreign = stage.ask(Method::GET, own.clone()).header("cookie", cookies.clone());
    foreign.header("sec-fetch-site", "cross-site").send().await.expect(403, "cross_site");
    // The token itself is no cookie: whoever has it may use it from anywhere.
    let by_token = stage.about(Method::GET, &mine, "").header("origin", "https://evil.example");
    by_token.send().await.expect(200, "");
    let left = leave("https://shop.example").send().await;
    left.expect(204, "");
    assert_eq!(
        left.cookie("sluice-place-demo").as_deref(),
        Some(""),
        "the place cookie is cleared"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_due_token_is_renewed_in_the_cookie_too() {
    let stage = Stage::play(anonymous()).await;
    let joined = browser(&stage, "").send().await;
    let mine = joined.expect(202, "");
    let cookie = format!("sluice-place-demo={}", joined.cookie("sluice-place-demo").unwrap());
    let own = format!("/v1/sales/demo/entries/{}", text(&mine["entry"]));
    let poll = || stage.ask(Method::GET, own.clone()).header("cookie", cookie.clone());
    assert_eq!(poll().send().await.cookie("sluice-place-demo"), None);
    stage.clock.advance(std::time::Duration::from_secs(11 * 60));
    let due = poll().send().await;
    assert_eq!(due.cookie("sluice-place-demo").as_deref(), due.expect(200, "")["token"].as_str());
    stage.outlive_tokens();
    poll().send().await.expect(401, "token_expired");
    let renewed = stage
        .ask(Method::POST, format!("{own}/token"))
        .header("cookie", cookie.clone())
        .send()
        .await;
    assert_eq!(
        renewed.cookie("sluice-place-demo").as_deref(),
        renewed.expect(200, "")["token"].as_str()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_gets_no_cookies_for_its_place() {
    let stage = Stage::open().await;
    let reply = stage.joining("ada").send().await;
    reply.expect(202, "");
    assert_eq!(reply.header("set-cookie"), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_is_believed_from_a_trusted_proxy_alone() {
    let stage = Stage::open().await;
    stage.joining("ada").from(PUBLIC).send().await.expect(401, "identity_required");
    let nobody = stage.ask(Method::POST, "/v1/sales/demo/entries").json(&json!({ "items": [] }));
    nobody.send().await.expect(401, "identity_required");
    for bad in ["a b", &"x".repeat(129)] {
        stage.joining(bad).send().await.expect(400, "bad_request");
    }
    stage.join(&"x".repeat(128)).await;
}

const SECRET: &str = "a secret of at least thirty-two bytes";

fn jwt(keys: JwtKeys) -> Script {
    let mut script = Script::default();
    script.config.identity = IdentityConfig::Jwt(JwtConfig { keys, issuer: None, audience: None });
    script
}

fn join_as(stage: &Stage, token: &str) -> Ask {
    let ask = stage.ask(Method::POST, "/v1/sales/demo/entries").from(PUBLIC).bearer(token);
    ask.json(&json!({ "items": [{ "sku": "standard", "quantity": 1 }] }))
}

/// A proxy that adds its line behind the client's would let any client be any buyer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_that_proves_something_is_given_once() {
    let stage = Stage::open().await;
    for twice in ["x-sluice-buyer", "x-sluice-device"] {
        let ask = stage.joining("ada").header(twice, "eve").header(twice, "mallory");
        crate::stage::assert_problem(&ask.send().await, 400, "bad_request", twice);
    }
    stage.joining("ada").header("x-sluice-device", "d-1").send().await.expect(202, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_subject_of_a_token_is_the_buyer() {
    let stage = Stage::play(jwt(JwtKeys::Secret(SECRET.into()))).await;
    let token = |sub: &str, exp: i64, secret: &str| {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(Algorithm::HS256), &json!({ "sub": sub, "exp": exp }), &key).unwrap()
    };
    let mine = join_as(&stage, &token("ada", 1_800_000_100, SECRET)).send().await.expect(202, "");
    let again = join_as(&stage, &token("ada", 1_800_000_200, SECRET)).send().await.expect(200, "");
    assert_eq!(again["entry"], mine["entry"]);
    stage.poll(&mine).await;
    for bad in [
        token("ada", 1_700_000_000, SECRET),
        token("ada", 1_800_000_100, &SECRET.replace('a', "b")),
        "x".into(),
    ] {
        join_as(&stage, &bad).send().await.expect(401, "identity_required");
    }
    let nobody = stage.ask(Method::POST, "/v1/sales/demo/entries").json(&json!({ "items": [] }));
    nobody.send().await.expect(401, "identity_required");
}

/// Two Ed25519 keys, made for these tests (PKCS #8).
const KEYS: [&str; 2] = [
    "MC4CAQAwBQYDK2VwBCIEIKjq60eg18fGzodjEwgyBmC2UCB1zoxUFcK4Ocv6uhaA",
    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g",
];

fn key(n: usize) -> EncodingKey {
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", KEYS[n]);
    EncodingKey::from_ed_pem(pem.as_bytes()).unwrap()
}

fn signed(n: usize, sub: &str) -> String {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some(format!("k{n}"));
    encode(&header, &json!({ "sub": sub, "exp": 1_800_000_900 }), &key(n)).unwrap()
}

/// A source of keys that can go away, and counts how often it was asked.
#[derive(Default)]
struct Source {
    away: AtomicBool,
    asked: AtomicUsize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_by_url_are_read_once_and_kept_while_the_source_is_away() {
    let source = Arc::new(Source::default());
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let answering = Arc::clone(&source);
    let routes = Routes::new("keys").get("/jwks", move |_exchange| {
        let source = Arc::clone(&answering);
        async move {
            source.asked.fetch_add(1, Ordering::SeqCst);
            if source.away.load(Ordering::SeqCst) {
                return Err(sluice_http::Problem::internal());
            }
            let mut public = Jwk::from_encoding_key(&key(0), Algorithm::EdDSA).unwrap();
            public.common.key_id = Some("k0".into());
            Ok(sluice_http::json(http::StatusCode::OK, &json!({ "keys": [public] })))
        }
    });
    let router = Arc::new(Router::new(vec![routes], RouterSettings::default()).unwrap());
    let server = Server::bind(server_config(), router).await.unwrap();
    let url = format!("http://{}/jwks", server.local_addr());
    tasks.spawn(server.run(stop.clone()));
    let stage = Stage::play(jwt(JwtKeys::Url(url))).await;
    join_as(&stage, &signed(0, "ada")).send().await.expect(202, "");
    source.away.store(true, Ordering::SeqCst);
    let asked = source.asked.load(Ordering::SeqCst);
    join_as(&stage, &signed(0, "bob")).send().await.expect(202, "");
    for _ in 0..5 {
        join_as(&stage, &signed(1, "eve")).send().await.expect(401, "identity_required");
    }
    assert_eq!(source.asked.load(Ordering::SeqCst), asked, "unknown keys do not hammer the source");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_was_never_read_is_unavailable_not_a_refusal() {
    let mut script = jwt(JwtKeys::Url("http://127.0.0.1:9/jwks".into()));
    script.config.join_timeout = std::time::Duration::from_millis(1_500);
    let stage = Stage::play(script).await;
    let problem = join_as(&stage, &signed(0, "ada")).send().await.expect(503, "unavailable");
    assert!(problem["retry_after_ms"].as_u64().unwrap() > 0);
}
