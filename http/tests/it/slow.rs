//! Clients that are slow, silent or fat in their headers.

use std::time::Duration;

use bytes::Bytes;
use sluice_http::{Body, Exchange, Response, RouterSettings, Routes};
use tokio::sync::mpsc;

use crate::house::{House, config, hello, soon};

async fn impatient(routes: Routes) -> House {
    let mut config = config();
    config.header_timeout = Duration::from_millis(200);
    config.body_timeout = Duration::from_millis(200);
    House::with(routes, RouterSettings::default(), config).await
}

#[tokio::test]
async fn who_says_nothing_is_closed() {
    let house = impatient(Routes::new("admission").get("/", hello)).await;
    house.wire().await.closed().await;
}

#[tokio::test]
async fn who_drips_headers_is_closed() {
    let house = impatient(Routes::new("admission").get("/", hello)).await;
    let mut wire = house.wire().await;
    wire.write(b"GET / HTTP/1.1\r\nhost: localhost\r\n").await;
    // Each drip is well within the limit; all of them together are not.
    let dripped = soon("the end of the dripping", async {
        use tokio::io::AsyncWriteExt;
        let mut drips = 0;
        while wire.stream.write_all(b"x: y\r\n").await.is_ok() {
            drips += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        drips
    })
    .await;
    assert!(dripped > 0);
    assert!(!wire.more().await);
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_header_timeout() {
    let house = impatient(Routes::new("admission").get("/", hello)).await;
    let mut wire = house.wire().await;
    assert_eq!(wire.ask("GET /").await.status, 200);
    assert_eq!(wire.ask("GET /").await.status, 200);
    wire.closed().await;
}

#[tokio::test]
async fn headers_too_large_are_a_431_that_arrives() {
    let house = House::open(Routes::new("admission").get("/", hello)).await;
    for size in [9_000, 100_000, 500_000] {
        let mut wire = house.wire().await;
        let answer = wire.ask(&format!("GET /\r\nx-fat: {}", "x".repeat(size))).await;
        assert_eq!(answer.status, 431, "{size}");
        wire.closed().await;
        let mut wire = house.wire().await;
        let answer = wire.ask(&format!("GET /?{}", "x".repeat(size))).await;
        assert!([414, 431].contains(&answer.status), "{size}: {}", answer.status);
        wire.closed().await;
    }
    assert_eq!(house.ask(&format!("GET /\r\nx-fat: {}", "x".repeat(7_000))).await.status, 200);
}

#[tokio::test]
async fn too_many_headers_are_a_431() {
    let house = House::open(Routes::new("admission").get("/", hello)).await;
    let answer = house.ask(&format!("GET /{}", "\r\na: b".repeat(150))).await;
    assert_eq!(answer.status, 431);
}

#[tokio::test]
async fn who_does_not_read_the_answer_is_closed() {
    let (watch, mut watched) = mpsc::channel::<mpsc::Sender<Bytes>>(1);
    let routes = Routes::new("admission").get("/endless", move |_: Exchange| {
        let watch = watch.clone();
        async move {
            let (frames, receiver) = mpsc::channel(1);
            watch.send(frames).await.unwrap();
            Ok(Response::new(Body::stream(receiver)))
        }
    });
    let house = impatient(routes).await;
    let mut wire = house.wire().await;
    wire.send("GET /endless").await;
    let frames = soon("the handler", watched.recv()).await.unwrap();
    // More than any socket buffer holds; then nothing moves, and the sender must hear of it.
    soon("the end of the stream", async {
        while frames.send(Bytes::from(vec![b'x'; 64 * 1024])).await.is_ok() {}
    })
    .await;
    assert!(wire.more().await, "what fitted into the buffers is there");
}
