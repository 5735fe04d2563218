//! Bodies: what fits is read, what does not is refused so that the refusal arrives.

use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use sluice_http::{Exchange, Problem, RouterSettings, Routes, json as reply};

use crate::house::{Answered, House, config};

const BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    quantity: u32,
}

async fn wish(mut exchange: Exchange) -> Answered {
    let wish: Wish = exchange.json(BYTES_MAX).await?;
    Ok(reply(StatusCode::OK, &wish.quantity))
}

async fn perhaps(mut exchange: Exchange) -> Answered {
    let wish: Option<Wish> = exchange.json_or_empty(BYTES_MAX).await?;
    Ok(reply(StatusCode::OK, &wish.map(|wish| wish.quantity)))
}

async fn length(mut exchange: Exchange) -> Answered {
    let bytes = exchange.body(BYTES_MAX).await?;
    Ok(reply(StatusCode::OK, &bytes.len()))
}

async fn deaf(_: Exchange) -> Answered {
    Ok(reply(StatusCode::OK, &"done"))
}

async fn broken(_: Exchange) -> Answered {
    panic!("before the body was read")
}

async fn limited(_: Exchange) -> Answered {
    Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Slow down.")
        .retry_after(Duration::from_secs(1)))
}

fn routes() -> Routes {
    Routes::new("admission")
        .post("/wish", wish)
        .post("/perhaps", perhaps)
        .post("/length", length)
        .post("/limited", limited)
        .post("/deaf", deaf)
        .post("/broken", broken)
}

fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const JSON: &str = "content-type: application/json\r\n";

#[tokio::test]
async fn json_that_fits_is_read() {
    let house = House::open(routes()).await;
    for headers in [JSON, "content-type: Application/JSON; charset=utf-8\r\n"] {
        assert_eq!(house.ask(&post("/wish", headers, r#"{"quantity":7}"#)).await.json(), 7);
    }
    assert_eq!(house.ask(&post("/perhaps", JSON, r#"{"quantity":7}"#)).await.json(), 7);
    assert!(house.ask(&post("/perhaps", "", "")).await.json().is_null());
    let chunked = "POST /wish HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                   transfer-encoding: chunked\r\n\r\n5\r\n{\"qua\r\n9\r\nntity\":7}\r\n0\r\n\r\n";
    assert_eq!(house.ask(chunked).await.json(), 7);
}

#[tokio::test]
async fn json_that_does_not_fit_is_refused_by_name() {
    let house = House::open(routes()).await;
    let problem =
        house.ask(&post("/wish", JSON, r#"{"quantity":-1}"#)).await.problem(400, "bad_request");
    assert_eq!(problem["field"], "quantity");
    let problem = house
        .ask(&post("/wish", JSON, r#"{"quantity":1,"color":2}"#))
        .await
        .problem(400, "bad_request");
    assert_eq!(problem["field"], "color");
    house.ask(&post("/wish", JSON, "{")).await.problem(400, "bad_request");
    house.ask(&post("/wish", JSON, "")).await.problem(400, "bad_request");
    house.ask(&post("/wish", "", "")).await.problem(415, "unsupported_media_type");
    for media_type in
        ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"]
    {
        for path in ["/wish", "/perhaps"] {
            let answer = house.ask(&post(path, media_type, r#"{"quantity":7}"#)).await;
            answer.problem(415, "unsupported_media_type");
        }
    }
}

#[tokio::test]
async fn the_limit_is_exact() {
    let house = House::open(routes()).await;
    let mut wire = house.wire().await;
    assert_eq!(wire.ask(&post("/length", "", &"x".repeat(BYTES_MAX))).await.json(), BYTES_MAX);
    let problem = wire
        .ask(&post("/length", "", &"x".repeat(BYTES_MAX + 1)))
        .await
        .problem(413, "body_too_large");
    assert!(problem["detail"].as_str().unwrap().contains("16384"));
}

#[tokio::test]
async fn a_body_too_large_is_dropped_and_the_connection_lives() {
    let house = House::open(routes()).await;
    let mut wire = house.wire().await;
    for size in [BYTES_MAX + 1, 100_000, 1024 * 1024] {
        wire.ask(&post("/length", "", &"x".repeat(size))).await.problem(413, "body_too_large");
        let chunk = "x".repeat(size);
        let chunked =
            "POST /length HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n";
        wire.ask(&format!("{chunked}{size:x}\r\n{chunk}\r\n0\r\n\r\n"))
            .await
            .problem(413, "body_too_large");
    }
    assert_eq!(wire.ask(&post("/length", "", "four")).await.json(), 4);
}

#[tokio::test]
async fn a_body_beyond_what_is_dropped_ends_the_connection() {
    let house = House::open(routes()).await;
    // Declared: told at once, before much of it is sent.
    let mut wire = house.wire().await;
    let answer = wire
        .ask("POST /length HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\nxxxx")
        .await;
    answer.problem(413, "body_too_large");
    assert_eq!(answer.header("connection"), Some("close"));
    wire.closed().await;
    // Endless: told after the limit.
    let mut wire = house.wire().await;
    wire.write(b"POST /length HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        .await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..17 {
        wire.write(chunk.as_bytes()).await;
    }
    let answer = wire.answer().await;
    answer.problem(413, "body_too_large");
    assert_eq!(answer.header("connection"), Some("close"));
    wire.closed().await;
}

#[tokio::test]
async fn an_answer_given_before_the_body_was_read_arrives() {
    let house = House::open(routes()).await;
    for _ in 0..20 {
        let mut wire = house.wire().await;
        // Written whole before anything is read, as a simple client does. A reset would lose the answer.
        wire.ask(&post("/limited", "", &"x".repeat(800_000)))
            .await
            .problem(429, "too_many_requests");
        let mut wire = house.wire().await;
        wire.ask(&post("/no-such-path", "", &"x".repeat(800_000))).await.problem(404, "not_found");
    }
}

/// Whoever answers, and whether the body comes with the headers or behind them.
#[tokio::test]
async fn a_body_that_nobody_read_is_dropped_and_the_connection_lives() {
    let house = House::open(routes()).await;
    let mut wire = house.wire().await;
    for (path, status) in
        [("/deaf", 200), ("/limited", 429), ("/broken", 500), ("/no-such-path", 404)]
    {
        for size in [2, 100_000, 1024 * 1024] {
            let whole = post(path, "", &"x".repeat(size));
            let (head, body) = whole.split_once("\r\n\r\n").unwrap();
            wire.write(format!("{head}\r\n\r\n").as_bytes()).await;
            tokio::task::yield_now().await;
            wire.write(body.as_bytes()).await;
            let answer = wire.answer().await;
            assert_eq!(
                (answer.status, answer.header("connection")),
                (status, None),
                "{path} {size}"
            );
            assert_eq!(wire.ask(&whole).await.status, status);
            let chunked = "POST /deaf HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked";
            let answer = wire.ask(&format!("{chunked}\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n")).await;
            assert_eq!(answer.status, 200);
        }
    }
    assert_eq!(wire.ask(&post("/length", "", "four")).await.json(), 4);
}

#[tokio::test]
async fn a_body_that_nobody_read_and_nobody_will_ends_the_connection_in_words() {
    let mut short = config();
    short.body_timeout = Duration::from_millis(200);
    let house = House::with(routes(), RouterSettings::default(), short).await;
    for (headers, why) in [
        ("content-length: 99999999", "too large to be dropped"),
        ("content-length: 2", "never sent"),
        ("content-length: 2\r\nexpect: 100-continue", "waits to be asked"),
    ] {
        for path in ["/deaf", "/limited", "/no-such-path"] {
            let mut wire = house.wire().await;
            let answer = wire
                .ask(&format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n"))
                .await;
            assert_eq!(answer.header("connection"), Some("close"), "{path} {why}");
            wire.closed().await;
        }
    }
}

#[tokio::test]
async fn who_asks_before_sending_is_told_first() {
    let house = House::open(routes()).await;
    let mut wire = house.wire().await;
    let ask = |size: usize| {
        format!(
            "POST /length HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: {size}\r\n\r\n"
        )
    };
    assert_eq!(wire.ask(&ask(4)).await.status, 100);
    wire.write(b"four").await;
    assert_eq!(wire.answer().await.json(), 4);
    wire.ask(&ask(BYTES_MAX + 1)).await.problem(413, "body_too_large");
    wire.closed().await;
}

#[tokio::test]
async fn a_body_that_trickles_is_a_408_problem() {
    let house = House::with(routes(), RouterSettings::default(), {
        let mut config = config();
        config.body_timeout = Duration::from_millis(200);
        config
    })
    .await;
    let mut wire = house.wire().await;
    wire.write(
        b"POST /length HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\nsome of it",
    )
    .await;
    let answer = wire.answer().await;
    answer.problem(408, "request_timeout");
    assert_eq!(answer.header("connection"), Some("close"));
    wire.closed().await;
    // Too large and trickling: refused all the same.
    let mut wire = house.wire().await;
    wire.write(
        b"POST /length HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\nsome of it",
    )
    .await;
    wire.answer().await.problem(413, "body_too_large");
    wire.closed().await;
}

#[tokio::test]
async fn a_body_with_broken_framing_is_a_400_problem() {
    let house = House::open(routes()).await;
    let mut wire = house.wire().await;
    let answer = wire
        .ask("POST /length HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
        .await;
    answer.problem(400, "bad_request");
    wire.closed().await;
}
