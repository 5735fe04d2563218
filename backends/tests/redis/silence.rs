//! While a server is away: calls fail soon, then at once; and it comes back without anybody's doing.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use sluice_core::ports::PortError;
use tokio::time::timeout;

use crate::{
    proxy::Proxy,
    raw::Raw,
    samples::{entry, new_number, open, options, sale, try_join, until, warm},
    servers::Servers,
};

/// Much more than a call's deadline of 500 ms, and much less than a hang.
const SOON: Duration = Duration::from_secs(3);
/// Less than a call's deadline: nobody was waited for.
const AT_ONCE: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_server_fails_calls_and_comes_back() {
    let mut servers = Servers::redis();
    let redis = open(servers.url()).await;
    warm(&*redis.line, 1, 1).await;
    assert_eq!(new_number(&*redis.line, "ada").await, 1);
    servers.order("pause redis");
    let first = Instant::now();
    let unknown = try_join(&*redis.line, "bob").await;
    assert!(matches!(unknown, Err(PortError::Unavailable(_))), "{unknown:?}");
    assert!(first.elapsed() < SOON, "a call has its deadline");
    until("the breaker", async || {
        let begun = Instant::now();
        let refused = try_join(&*redis.line, "eve").await;
        assert!(matches!(refused, Err(PortError::Unavailable(_))), "{refused:?}");
        (begun.elapsed() < AT_ONCE).then_some(())
    })
    .await;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let begun = Instant::now();
        assert!(try_join(&*redis.line, "eve").await.is_err());
        assert!(begun.elapsed() < SOON, "however long it lasts");
    }
    servers.order("resume redis");
    until("the server", async || try_join(&*redis.line, "joe").await.ok()).await;
    // Bob's join was unknown, not failed: it took effect while nobody listened, and is found.
    let bob = entry(0, "bob").buyer;
    let bob = redis.line.find_buyer(&sale(), &bob).await.unwrap().unwrap();
    assert_eq!(bob.line_entry.seq.0, 2);
    redis.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_connection_that_was_cut_silently_is_replaced() {
    let servers = Servers::redis();
    let proxy = Proxy::before(servers.url()).await;
    let redis = open(&proxy.url()).await;
    warm(&*redis.line, 1, 1).await;
    // The twin: the client's own connection, with nobody to watch it.
    let bare = redis::Client::open(proxy.url()).unwrap();
    let mut bare = bare.get_multiplexed_async_connection().await.unwrap();
    assert!(answers(&mut bare).await);
    proxy.go_silent();
    let begun = Instant::now();
    until("another connection", async || try_join(&*redis.line, "ada").await.ok()).await;
    assert!(
        begun.elapsed() < Duration::from_secs(12),
        "about three seconds: {:?}",
        begun.elapsed()
    );
    assert!(!answers(&mut bare).await, "the twin must hang on its dead connection");
}

async fn answers(connection: &mut MultiplexedConnection) -> bool {
    let ping = redis::cmd("PING");
    let asked = ping.query_async::<String>(connection);
    matches!(timeout(Duration::from_secs(1), asked).await, Ok(Ok(_)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_forgot_the_scripts_is_told_them_again() {
    let servers = Servers::redis();
    let redis = open(servers.url()).await;
    warm(&*redis.line, 1, 1).await;
    assert_eq!(new_number(&*redis.line, "ada").await, 1);
    let _: String = Raw::to(servers.url()).tell("SCRIPT FLUSH");
    assert_eq!(new_number(&*redis.line, "bob").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn more_calls_than_allowed_are_shed() {
    let servers = Servers::redis();
    let options = sluice_backends::redis::RedisOptions { calls_max: 0, ..options(servers.url()) };
    let redis = sluice_backends::redis::open(options).await.unwrap();
    let shed = try_join(&*redis.line, "ada").await;
    assert!(matches!(shed, Err(PortError::Full)), "{shed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_closed_backend_fails_calls_at_once() {
    let servers = Servers::redis();
    let redis = open(servers.url()).await;
    let line = std::sync::Arc::clone(&redis.line);
    redis.close().await;
    let begun = Instant::now();
    let away = try_join(&*line, "ada").await;
    assert!(matches!(away, Err(PortError::Unavailable(_))), "{away:?}");
    assert!(begun.elapsed() < AT_ONCE);
}
