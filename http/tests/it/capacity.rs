//! More connections than there may be.

use std::time::Duration;

use sluice_http::{BindError, Listener, Router, RouterSettings, Routes, Server};

use crate::house::{House, config, hello, soon};

async fn narrow(connections_max: usize) -> House {
    let mut config = config();
    config.connections_max = connections_max;
    House::with(Routes::new("admission").get("/", hello), RouterSettings::default(), config).await
}

#[tokio::test]
async fn one_connection_too_many_is_told_to_come_back() {
    let house = narrow(2).await;
    let (mut one, mut two) = (house.wire().await, house.wire().await);
    assert_eq!((one.ask("GET /").await.status, two.ask("GET /").await.status), (200, 200));
    for _ in 0..10 {
        let mut refused = house.wire().await;
        let answer = refused.ask("GET /").await;
        let problem = answer.problem(503, "unavailable");
        let milliseconds = problem["retry_after_ms"].as_u64().unwrap();
        let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
        assert_eq!(seconds, milliseconds.div_ceil(1_000));
        assert_eq!(answer.header("connection"), Some("close"));
        refused.closed().await;
    }
    // Those that are in are served,
    assert_eq!(one.ask("GET /").await.status, 200);
    // and room that is made is used.
    drop(two);
    soon("room for another", async { while house.ask("GET /").await.status != 200 {} }).await;
    drop(one);
}

#[tokio::test]
async fn when_connections_run_out_answers_close_theirs() {
    let house = narrow(16).await;
    let mut kept = Vec::new();
    for _ in 0..14 {
        let mut wire = house.wire().await;
        assert_eq!(wire.ask("GET /").await.header("connection"), None);
        kept.push(wire);
    }
    // Fifteen of sixteen: whoever asks now is served, and makes room.
    let mut last = house.wire().await;
    let answer = last.ask("GET /").await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    last.closed().await;
    // So newcomers find a place for ever, though nobody hangs up by himself.
    for _ in 0..50 {
        soon("a place", async { while house.ask("GET /").await.status != 200 {} }).await;
    }
    for wire in &mut kept {
        assert_eq!(wire.ask("GET /").await.status, 200);
    }
}

#[tokio::test]
async fn a_refusal_arrives_though_a_body_is_being_sent() {
    let house = narrow(1).await;
    let mut inside = house.wire().await;
    assert_eq!(inside.ask("GET /").await.status, 200);
    for _ in 0..10 {
        let body = "x".repeat(500_000);
        let request =
            format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 500000\r\n\r\n{body}");
        house.ask(&request).await.problem(503, "unavailable");
    }
}

#[tokio::test]
async fn a_silent_flood_is_bounded_and_harms_nobody_inside() {
    let house = narrow(1).await;
    let mut inside = house.wire().await;
    assert_eq!(inside.ask("GET /").await.status, 200);
    let mut flood = Vec::new();
    for _ in 0..400 {
        flood.push(house.wire().await);
    }
    assert_eq!(inside.ask("GET /").await.status, 200);
    for wire in &mut flood {
        wire.closed().await;
    }
    assert_eq!(inside.ask("GET /").await.status, 200);
}

#[tokio::test]
async fn limits_that_cannot_hold_are_refused_before_binding() {
    let router = || Router::new(vec![], RouterSettings::default()).unwrap().into();
    let refused = async |change: fn(&mut sluice_http::ServerConfig)| {
        let mut config = config();
        change(&mut config);
        match Server::bind(config, router()).await {
            Err(BindError::Limit { key, .. }) => key,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(|config| config.connections_max = 0).await, "connections_max");
    assert_eq!(refused(|config| config.header_timeout = Duration::ZERO).await, "header_timeout");
    assert_eq!(refused(|config| config.body_timeout = Duration::ZERO).await, "body_timeout");
    assert_eq!(refused(|config| config.header_bytes_max = 10).await, "header_bytes_max");

    let first = Server::bind(config(), router()).await.unwrap();
    let mut taken = config();
    taken.listen = first.local_addr();
    let error = Server::bind(taken, router()).await.unwrap_err();
    assert!(matches!(error, BindError::Listen { .. }));
    assert_eq!(error.to_string(), format!("cannot listen on {}", first.local_addr()));
}

#[tokio::test]
async fn an_address_may_be_bound_before_there_is_anything_to_serve() {
    let listener = Listener::bind(config().listen).unwrap();
    let address = listener.local_addr();
    assert_ne!(address.port(), 0);
    let error = Listener::bind(address).unwrap_err();
    assert!(matches!(error, BindError::Listen { listen, .. } if listen == address));
    let router = Router::new(vec![], RouterSettings::default()).unwrap().into();
    let server = Server::on(listener, config(), router).unwrap();
    assert_eq!(server.local_addr(), address);
}
