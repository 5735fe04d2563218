//! Who gets in, by which proof, and how the others are told.

use std::{sync::Arc, time::Duration};

use sluice_core::{
    clock::UnixMillis,
    entry::Outcome,
    ids::Version,
    policy::{LimitsPatch, PolicyPatch, RateLimit},
    ports::{Ban, BanList, BanRule},
    sale::SaleChange,
    token::Claims,
};
use sluice_http::limits::DefaultLimits;
use sluice_ws_push::Config;

use crate::{
    client::{Client, Raw},
    world::{World, bearer, eventually, keyring, quick, sale},
};

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

fn header(name: &str, value: impl Into<String>) -> (String, String) {
    (name.into(), value.into())
}

#[tokio::test]
async fn the_subprotocol_is_answered_without_the_token() {
    let world = World::start(quick()).await;
    let token = world.token(&world.claims(5));
    let client = Client::open(world.address, "demo", "", &bearer(&token)).await;
    let headers = client.answer.headers();
    assert_eq!(headers["sec-websocket-protocol"], "sluice.v1");
    assert!(!format!("{headers:?}").contains(&token));
}

#[tokio::test]
async fn the_handshake_is_that_of_the_rfc() {
    let world = World::start(quick()).await;
    let mut raw = Raw::get(world.address, "/v1/sales/demo/push", &UPGRADE).await;
    raw.until("\r\n\r\n").await;
    assert_eq!(raw.status(), 101);
    // The example of RFC 6455, section 1.3.
    assert!(raw.text.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{}", raw.text);
}

#[tokio::test]
async fn what_is_not_a_websocket_is_told_so_in_http() {
    let world = World::start(quick()).await;
    let without = |name: &str| -> Vec<(&str, &str)> {
        UPGRADE.into_iter().filter(|(known, _)| *known != name).collect()
    };
    let with = |name: &str, value: &'static str| -> Vec<(&str, &str)> {
        UPGRADE
            .into_iter()
            .map(|(known, old)| (known, if known == name { value } else { old }))
            .collect()
    };
    let cases = [
        (Vec::new(), 426, "upgrade: websocket"),
        (without("upgrade"), 426, "websocket_required"),
        (with("sec-websocket-version", "8"), 426, "sec-websocket-version: 13"),
        (without("connection"), 400, "bad_request"),
        (with("sec-websocket-key", "short"), 400, "bad_request"),
    ];
    for (headers, status, told) in cases {
        let mut raw = Raw::get(world.address, "/v1/sales/demo/push", &headers).await;
        raw.until("}").await;
        assert_eq!(raw.status(), status, "{headers:?}");
        assert!(raw.text.contains(told), "{headers:?}: {}", raw.text);
        assert!(raw.text.contains("application/problem+json"));
    }
}

/// no-forged-place: every bad proof is closed with 4401 and hears nothing before.
#[tokio::test]
async fn a_bad_proof_is_closed_with_4401() {
    let world = World::start(quick()).await;
    let claims = world.claims(5);
    let good = world.token(&claims);
    let mut forged = good.clone();
    let last = forged.pop().unwrap();
    forged.push(if last == 'A' { 'B' } else { 'A' });
    let expired = world.token(&Claims { expires_at: claims.joined_at, ..claims.clone() });
    let other_sale = Claims { sale: sale("other").id.clone(), ..claims.clone() };
    let no_headers = Vec::new;
    let cases = [
        ("nothing", String::new(), no_headers()),
        ("a changed token", String::new(), bearer(&forged)),
        ("another's key", String::new(), bearer(&keyring("y").sign_claims(&claims))),
        ("an expired token", String::new(), bearer(&expired)),
        ("a token of another sale", String::new(), bearer(&world.token(&other_sale))),
        ("a ticket as a token", String::new(), bearer(&world.ticket(&claims))),
        ("a token as a ticket", format!("?ticket={good}"), no_headers()),
        ("an empty token", String::new(), bearer("")),
        ("garbage", String::new(), bearer(&"x".repeat(5_000))),
    ];
    for (what, query, headers) in cases {
        let mut client = Client::open(world.address, "demo", &query, &headers).await;
        match client.next().await {
            crate::client::Next::Closed(frame) => {
                assert_eq!(u16::from(frame.code), 4401, "{what}");
                assert!(!frame.reason.is_empty(), "{what}");
            }
            other @ crate::client::Next::Frame(..) => panic!("{what} was let in: {other:?}"),
        }
    }
}

/// Renewing such a token ends the place, and says why; an outcome is still told.
#[tokio::test]
async fn who_waits_with_a_banned_header_is_turned_away() {
    let mut world = World::start(quick()).await;
    let rule = BanRule::Header { name: "x-bot".into(), value: "yes".into() };
    let ban = Ban { id: 1, rule, reason: None, at: UnixMillis(0) };
    world.directory.learn_bans(BanList { version: Version(1), bans: vec![ban] });
    let claims = world.claims(5);
    let connect = async |claims: &Claims, value: &str| {
        let mut headers = bearer(&world.token(claims));
        headers.push(header("x-bot", value));
        Client::open(world.address, "demo", "", &headers).await
    };
    assert_eq!(connect(&claims, "yes").await.close_code().await, 4401);
    assert_eq!(connect(&claims, "no").await.next_of("entry").await["state"], "waiting");
    let path = format!("/v1/sales/demo/events?ticket={}", world.ticket(&claims));
    let mut stream = Raw::get(world.address, &path, &[("x-bot", "yes")]).await;
    stream.until(r#""code":"banned""#).await;
    assert_eq!(stream.status(), 403);
    world.stores.settle(&claims, Outcome::SoldOut, None);
    world.serve(5);
    let headers = [bearer(&world.token(&claims)), vec![header("x-bot", "yes")]].concat();
    let mut told = Client::open(world.address, "demo", "", &headers).await;
    assert_eq!(told.next_of("entry").await["state"], "sold_out");
}

#[tokio::test]
async fn a_ticket_opens_the_stream_for_a_minute() {
    let world = World::start(quick()).await;
    let query = format!("?ticket={}", world.ticket(&world.claims(5)));
    for _ in 0..2 {
        let mut client = Client::open(world.address, "demo", &query, &[]).await;
        assert_eq!(client.frame().await.0["type"], "entry");
        world.clock.advance(Duration::from_millis(29_999));
    }
    world.clock.advance(Duration::from_millis(2));
    let mut client = Client::open(world.address, "demo", &query, &[]).await;
    assert_eq!(client.close_code().await, 4401);
}

#[tokio::test]
async fn the_pages_cookie_counts_from_our_origin_or_a_listed_one() {
    let config = Config { allowed_origins: vec!["https://shop.example".into()], ..quick() };
    let world = World::start(config).await;
    let own = format!("http://{}", world.address);
    let cookie =
        header("cookie", format!("a=b; sluice-place-demo={}", world.token(&world.claims(5))));
    for origin in [own.as_str(), "https://shop.example"] {
        let headers = [cookie.clone(), header("origin", origin)];
        let mut client = Client::open(world.address, "demo", "", &headers).await;
        assert_eq!(client.frame().await.0["type"], "entry", "{origin}");
    }
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let headers = [cookie.clone(), header(name, value)];
        let mut client = Client::open(world.address, "demo", "", &headers).await;
        assert_eq!(client.close_code().await, 4401, "{name}: {value}");
        let raw = [("cookie", cookie.1.as_str()), (name, value)];
        let mut raw = Raw::get(world.address, "/v1/sales/demo/events", &raw).await;
        raw.until("}").await;
        assert_eq!(raw.status(), 401, "{name}: {value}");
    }
}

/// A token in hand proves the place wherever the page came from.
#[tokio::test]
async fn a_token_counts_from_any_origin() {
    let world = World::start(quick()).await;
    let mut headers = bearer(&world.token(&world.claims(5)));
    headers.push(header("origin", "https://elsewhere.example"));
    let mut client = Client::open(world.address, "demo", "", &headers).await;
    assert_eq!(client.frame().await.0["type"], "entry");
}

#[tokio::test]
async fn a_bad_seen_is_closed_with_4400() {
    let world = World::start(quick()).await;
    let headers = bearer(&world.token(&world.claims(5)));
    for seen in ["?seen=x", "?seen=-1", "?seen=99999999999999999999"] {
        let mut client = Client::open(world.address, "demo", seen, &headers).await;
        assert_eq!(client.close_code().await, 4400, "{seen}");
    }
    let mut client =
        Client::open(world.address, "Not A Sale".replace(' ', "%20").as_str(), "", &headers).await;
    assert_eq!(client.close_code().await, 4400);
}

#[tokio::test]
async fn a_sale_that_is_gone_is_closed_with_4410() {
    let world = World::start(quick()).await;
    let claims = Claims { sale: sale("gone").id.clone(), ..world.claims(5) };
    let headers = bearer(&world.token(&claims));
    let mut client = Client::open(world.address, "gone", "", &headers).await;
    assert_eq!(client.close_code().await, 4410);
}

#[tokio::test]
async fn a_sale_this_node_has_not_heard_of_is_asked_for() {
    let world = World::start(quick()).await;
    world.stores.add_sale(sale("fresh"));
    let claims = Claims { sale: sale("fresh").id.clone(), ..world.claims(5) };
    let headers = bearer(&world.token(&claims));
    let mut client = Client::open(world.address, "fresh", "", &headers).await;
    assert_eq!(client.frame().await.0["sale"], "fresh");
}

#[tokio::test]
async fn several_tabs_are_one_place_up_to_the_limit() {
    let config = Config { connections_per_entry_max: 2, ..quick() };
    let world = Arc::new(World::start(config).await);
    let claims = world.claims(5);
    let mut tabs = [world.connect(&claims).await, world.connect(&claims).await];
    for tab in &mut tabs {
        assert_eq!(tab.frame().await.0["type"], "entry");
    }
    assert_eq!(world.connect(&claims).await.close_code().await, 4429);
    // Others are not touched by it, and a closed tab makes room.
    assert_eq!(world.connect(&world.claims(6)).await.frame().await.0["type"], "entry");
    let [first, mut second] = tabs;
    drop(first);
    let mut third = loop {
        let mut tab = world.connect(&claims).await;
        match tab.next().await {
            crate::client::Next::Frame(..) => break tab,
            crate::client::Next::Closed(frame) => assert_eq!(u16::from(frame.code), 4429),
        }
    };
    // Both that are left hear what happens.
    world.board.tell(&[(claims.entry, sluice_core::entry::EntryState::Called, 2)]);
    assert_eq!(second.next_of("entry").await["state"], "called");
    assert_eq!(third.next_of("entry").await["state"], "called");
}

#[tokio::test]
async fn a_full_node_sheds_before_the_upgrade() {
    let world = World::start(Config { connections_max: 1, ..quick() }).await;
    let mut only = world.connect(&world.claims(5)).await;
    only.frame().await;
    let headers = bearer(&world.token(&world.claims(6)));
    let refused = Client::try_open(world.address, "demo", "", &headers).await;
    assert_eq!(refused.err(), Some(503));
    let path = format!("/v1/sales/demo/events?ticket={}", world.ticket(&world.claims(6)));
    let mut raw = Raw::get(world.address, &path, &[]).await;
    raw.until("}").await;
    assert_eq!(raw.status(), 503);
    assert!(raw.text.contains("retry-after"), "{}", raw.text);
    drop(only);
    let deadline = tokio::time::Instant::now() + crate::world::DEADLINE;
    while Client::try_open(world.address, "demo", "", &headers).await.is_err() {
        assert!(tokio::time::Instant::now() < deadline, "the place is never given back");
    }
    eventually("nothing is looked up for those who wait", || world.stores.take_looks().is_empty())
        .await;
}

/// The unproven must not take the places of the proven.
#[tokio::test]
async fn a_flood_of_bad_proofs_shuts_nobody_out() {
    let config = Config { connections_max: 1, refusals_max: 2, ..quick() };
    let world = World::start(config).await;
    // Each holds its connection as long as it can, by not answering the close frame.
    let mut flood = Vec::new();
    for _ in 0..2 {
        flood.push(Client::open(world.address, "demo", "", &bearer("forged")).await);
    }
    let refused = Client::try_open(world.address, "demo", "", &bearer("forged")).await;
    assert_eq!(refused.err(), Some(401), "beyond the limit they are told in HTTP");
    assert_eq!(world.connect(&world.claims(5)).await.frame().await.0["type"], "entry");
}

/// WebSockets and streams together, good proofs and bad; what the sale's policy says comes first.
#[tokio::test]
async fn an_address_opens_so_many_and_no_more() {
    let per_ip = RateLimit { per_second: 1, burst: 3 };
    let limits = DefaultLimits { per_ip, ..DefaultLimits::default() };
    let world = World::start_with(quick(), limits).await;
    let claims = world.claims(5);
    let (good, bad) = (bearer(&world.token(&claims)), bearer("forged"));
    let (mut open, mut refused) = (Vec::new(), 0);
    for headers in [&good, &bad].into_iter().cycle().take(20) {
        match Client::try_open(world.address, "demo", "", headers).await {
            Ok(client) => open.push(client),
            Err(status) => {
                assert_eq!(status, 429);
                refused += 1;
            }
        }
    }
    assert!(open.len() >= 3 && refused > 0, "{} open, {refused} refused", open.len());
    let path = format!("/v1/sales/demo/events?ticket={}", world.ticket(&claims));
    let mut raw = Raw::get(world.address, &path, &[]).await;
    raw.until("}").await;
    assert_eq!(raw.status(), 429, "{}", raw.text);
    for told in
        ["retry-after: 1", "ratelimit: \"per_ip\";r=0", "retry_after_ms", "too_many_requests"]
    {
        assert!(raw.text.contains(told), "{told}: {}", raw.text);
    }
    let wide = RateLimit { per_second: 1_000, burst: 1_000 };
    let limits = Some(LimitsPatch { per_ip: wide.into(), ..LimitsPatch::default() });
    world.change(&SaleChange::Policy(PolicyPatch { limits, ..PolicyPatch::default() }));
    Client::open(world.address, "demo", "", &good).await;
}

/// With TLS, or behind another server, the socket below is not plain TCP of ours: it is used as it is.
#[tokio::test]
async fn another_servers_connection_works_too() {
    let world = World::start(quick()).await;
    let router = Arc::clone(&world.node.router);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut serving = tokio::task::JoinSet::new();
    serving.spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        let service = hyper::service::service_fn(move |request| {
            let router = Arc::clone(&router);
            async move { Ok::<_, std::convert::Infallible>(router.handle(request, peer).await) }
        });
        let stream = hyper_util::rt::TokioIo::new(stream);
        let connection =
            hyper::server::conn::http1::Builder::new().serve_connection(stream, service);
        connection.with_upgrades().await.unwrap();
    });
    let claims = world.claims(5);
    let mut client = Client::open(address, "demo", "", &bearer(&world.token(&claims))).await;
    assert_eq!(client.frame().await.0["type"], "entry");
    world.board.tell(&[(claims.entry, sluice_core::entry::EntryState::Called, 2)]);
    assert_eq!(client.next_of("entry").await["state"], "called");
}
