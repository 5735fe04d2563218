//! Paths, methods and what a handler is told of a request.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::StatusCode;
use serde_json::json;
use sluice_http::{Answer, Exchange, Problem, Routes, json as reply};

use crate::house::{Answered, House, hello};

async fn told(exchange: Exchange) -> Answered {
    let said = json!({
        "sale": exchange.param("sale"),
        "entry": exchange.param("entry"),
        "undeclared": exchange.param("undeclared"),
        "seen": exchange.query("seen"),
        "bearer": exchange.bearer(),
        "cookie": exchange.cookie("sid"),
        "accept": exchange.header("accept"),
        "shown": format!("{exchange:?}"),
    });
    Ok(reply(StatusCode::OK, &said))
}

fn routes() -> Routes {
    Routes::new("admission")
        .get("/v1/sales/{sale}", hello)
        .delete("/v1/sales/{sale}", hello)
        .get("/v1/sales/{sale}/entries/{entry}", told)
}

#[tokio::test]
async fn an_unknown_path_is_a_404_problem() {
    let house = House::open(routes()).await;
    for path in [
        "/",
        "/v1/sales",
        "/v1/sales/",
        "/v1/sales/a/",
        "//v1/sales/a",
        "/v1/sales/a/entries/b/c",
        "*",
    ] {
        let method = if path == "*" { "OPTIONS" } else { "GET" };
        house.ask(&format!("{method} {path}")).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_wrong_method_is_a_405_problem_that_tells_the_right_ones() {
    let house = House::open(routes()).await;
    let mut wire = house.wire().await;
    for method in ["POST", "PUT", "PATCH", "TRACE", "BREW"] {
        let answer = wire.ask(&format!("{method} /v1/sales/demo\r\ncontent-length: 0")).await;
        let problem = answer.problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("DELETE, GET, HEAD, OPTIONS"));
        assert!(problem["detail"].as_str().unwrap().contains("DELETE, GET, HEAD, OPTIONS"));
    }
    let answer = wire.ask("OPTIONS /v1/sales/demo").await;
    assert_eq!((answer.status, answer.header("allow")), (204, Some("DELETE, GET, HEAD, OPTIONS")));
    house.ask("CONNECT localhost:80").await.problem(404, "not_found");
}

#[tokio::test]
async fn every_problem_has_an_instance_of_its_own() {
    let house = House::open(routes()).await;
    let (one, two) = (house.ask("GET /one").await.json(), house.ask("GET /two").await.json());
    assert_ne!(one["instance"], two["instance"]);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let house = House::open(routes()).await;
    let mut wire = house.wire().await;
    let head = wire.ask("HEAD /v1/sales/demo").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("7")));
    // Had a body followed, it would be read as the beginning of this answer.
    let get = wire.ask("GET /v1/sales/demo").await;
    assert_eq!((get.status, get.text()), (200, "\"hello\""));
}

#[tokio::test]
async fn a_handler_is_told_what_was_asked() {
    let house = House::open(routes()).await;
    let answer = house
        .ask(
            "GET /v1/sales/demo/entries/01J%2F7?a=1&seen=8%2B0+41&seen=2\r\naccept: text/html\r\n\
             authorization: bearer  abc.def \r\ncookie: a=b; sid=\"s3cret\"\r\ncookie: sid=other",
        )
        .await
        .json();
    assert_eq!(answer["sale"], "demo");
    assert_eq!(answer["entry"], "01J/7");
    assert_eq!(answer["undeclared"], "");
    assert_eq!(answer["seen"], "8+0 41");
    assert_eq!(answer["bearer"], "abc.def");
    assert_eq!(answer["cookie"], "s3cret");
    assert_eq!(answer["accept"], "text/html");
    let shown = answer["shown"].as_str().unwrap();
    assert!(
        !shown.contains("s3cret") && !shown.contains("abc.def") && !shown.contains("seen"),
        "{shown}"
    );
}

#[tokio::test]
async fn what_is_absent_or_ambiguous_is_none() {
    let house = House::open(routes()).await;
    for headers in [
        "",
        "\r\nauthorization: Basic abc",
        "\r\nauthorization: Bearer",
        "\r\nauthorization: Bearer a\r\nauthorization: Bearer b",
    ] {
        let answer =
            house.ask(&format!("GET /v1/sales/demo/entries/e?seen=%zz&x{headers}")).await.json();
        assert!(
            answer["bearer"].is_null() && answer["cookie"].is_null() && answer["seen"].is_null(),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_broken_escape_in_the_path_is_a_400_problem() {
    let house = House::open(routes()).await;
    for broken in ["%", "%4", "%zz", "%ff"] {
        house.ask(&format!("GET /v1/sales/{broken}/entries/e")).await.problem(400, "bad_request");
    }
}

#[tokio::test]
async fn a_panic_is_a_500_problem_and_the_connection_lives() {
    let routes = Routes::new("admission")
        .get("/sync", |_| -> std::future::Ready<Answered> { panic!("secret cause") })
        .get("/async", |exchange: Exchange| async move {
            tokio::task::yield_now().await;
            assert!(exchange.header("x-no-such").is_some(), "secret cause");
            hello(exchange).await
        })
        .get_now("/now", |_| panic!("secret cause"))
        .get("/well", hello);
    let house = House::open(routes).await;
    let mut wire = house.wire().await;
    for path in ["/sync", "/async", "/now"] {
        let answer = wire.ask(&format!("GET {path}")).await;
        answer.problem(500, "internal");
        assert!(!answer.text().contains("secret"));
    }
    assert_eq!(wire.ask("GET /well").await.status, 200);
}

#[tokio::test]
async fn an_answer_from_memory_is_as_any_other() {
    let routes =
        Routes::new("admission").get_now("/now/{what}", |exchange| match exchange.param("what") {
            "known" => Answer::Now(Ok(reply(StatusCode::OK, &"known"))),
            "refused" => Answer::Now(Err(Problem::not_found("not_found", "Nothing is there."))),
            _ => Answer::later(hello(exchange)),
        });
    let house = House::open(routes).await;
    let mut wire = house.wire().await;
    let answer = wire.ask("GET /now/known").await;
    assert_eq!((answer.status, answer.text()), (200, "\"known\""));
    wire.ask("GET /now/refused").await.problem(404, "not_found");
    assert_eq!(wire.ask("GET /now/asked").await.status, 200);
    // What nobody reads of a body is read to its end, so that the connection can be used again.
    let answer = wire
        .ask("GET /now/known HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\nbody")
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(wire.ask("HEAD /now/known").await.status, 200);
}

#[tokio::test]
async fn a_request_that_is_not_http_never_reaches_a_handler() {
    let called = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&called);
    let routes = Routes::new("admission").post("/", move |exchange: Exchange| {
        count.fetch_add(1, Ordering::SeqCst);
        hello(exchange)
    });
    let house = House::open(routes).await;
    for headers in [
        "content-length: -1",
        "content-length: 1x",
        "content-length: 99999999999999999999999",
        "content-length: 1\r\ncontent-length: 2",
        "transfer-encoding: gzip",
        "transfer-encoding: chunked, identity",
        "bad header: 1",
    ] {
        let mut wire = house.wire().await;
        let answer =
            wire.ask(&format!("POST / HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n\r\n")).await;
        assert_eq!(answer.status, 400, "{headers}");
        wire.closed().await;
    }
    for line in ["GET", "GET / HTTP/3.0", "\u{1}\u{2}\u{3}", "GET / HTTP/1.1 x"] {
        let mut wire = house.wire().await;
        assert_eq!(
            wire.ask(&format!("{line}\r\nhost: localhost\r\n\r\n")).await.status,
            400,
            "{line:?}"
        );
        wire.closed().await;
    }
    for hosts in ["x: y", "host: a\r\nhost: b"] {
        house.ask(&format!("POST / HTTP/1.1\r\n{hosts}\r\n\r\n")).await.problem(400, "bad_request");
    }
    assert_eq!(called.load(Ordering::SeqCst), 0);
    assert_eq!(house.ask("POST / HTTP/1.0\r\n\r\n").await.status, 200);
    assert_eq!(called.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn requests_that_were_pipelined_are_answered_in_order() {
    let house = House::open(routes()).await;
    let mut wire = house.wire().await;
    let request =
        |entry| format!("GET /v1/sales/demo/entries/{entry} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    wire.write((0..50).map(request).collect::<String>().as_bytes()).await;
    for entry in 0..50 {
        assert_eq!(wire.answer().await.json()["entry"], entry.to_string());
    }
}
