//! Other sites, and other names than ours.

use http::StatusCode;
use sluice_http::{Exchange, RouterSettings, Routes, json as reply};

use crate::house::{Answered, House, config, hello};

async fn cross_site(exchange: Exchange) -> Answered {
    Ok(reply(
        StatusCode::OK,
        &exchange.is_cross_site(&["https://shop.example".into(), "https://b.example:8443/".into()]),
    ))
}

async fn house(settings: RouterSettings) -> House {
    let routes =
        Routes::new("admission").get("/", hello).post("/", hello).get("/cross", cross_site);
    House::with(routes, settings, config()).await
}

fn sharing() -> RouterSettings {
    RouterSettings {
        allowed_origins: vec!["https://shop.example".into()],
        ..RouterSettings::default()
    }
}

const PREFLIGHT: &str =
    "access-control-request-method: POST\r\naccess-control-request-headers: authorization";

#[tokio::test]
async fn a_listed_origin_may_ask_and_read() {
    let house = house(sharing()).await;
    let answer =
        house.ask(&format!("OPTIONS /\r\norigin: https://shop.example\r\n{PREFLIGHT}")).await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS, POST"));
    assert!(answer.header("access-control-allow-headers").unwrap().contains("authorization"));
    assert!(answer.header("access-control-max-age").is_some());

    for path in ["/", "/no-such-path"] {
        let answer = house.ask(&format!("GET {path}\r\norigin: https://shop.example")).await;
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("https://shop.example"),
            "{path}"
        );
        assert!(answer.header("access-control-expose-headers").unwrap().contains("retry-after"));
        assert_eq!(answer.header("vary"), Some("origin"));
    }
}

#[tokio::test]
async fn an_unlisted_origin_may_not() {
    let house = house(sharing()).await;
    for origin in
        ["https://evil.example", "null", "http://shop.example", "https://shop.example.evil.example"]
    {
        let answer = house.ask(&format!("OPTIONS /\r\norigin: {origin}\r\n{PREFLIGHT}")).await;
        answer.problem(403, "origin_not_allowed");
        assert_eq!(answer.header("access-control-allow-origin"), None);
        let answer = house.ask(&format!("GET /\r\norigin: {origin}")).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (200, None),
            "{origin}"
        );
        assert_eq!(answer.header("vary"), Some("origin"));
    }
}

#[tokio::test]
async fn without_a_list_nothing_is_said_of_origins() {
    let house = house(RouterSettings::default()).await;
    let answer = house.ask("GET /\r\norigin: https://shop.example").await;
    assert_eq!((answer.header("vary"), answer.header("access-control-allow-origin")), (None, None));
    let answer =
        house.ask(&format!("OPTIONS /\r\norigin: https://shop.example\r\n{PREFLIGHT}")).await;
    answer.problem(403, "origin_not_allowed");
}

#[tokio::test]
async fn a_browser_tells_another_site_apart() {
    let house = house(RouterSettings::default()).await;
    for (headers, cross) in [
        ("x: y", false),
        ("origin: https://shop.example", false),
        ("origin: https://SHOP.example", false),
        ("origin: https://b.example:8443", false),
        ("origin: https://shop.example\r\nsec-fetch-site: cross-site", false),
        ("origin: http://localhost", false),
        ("origin: http://localhost:80", false),
        ("origin: http://localhost:8080", true),
        ("origin: https://localhost:80", true),
        ("origin: https://evil.example", true),
        ("origin: https://shop.example.evil.example", true),
        ("origin: https://b.example", true),
        ("origin: null", true),
        ("origin: localhost", true),
        ("origin: file://localhost", true),
        ("origin: https://shop.example\r\norigin: https://shop.example", true),
        ("sec-fetch-site: same-origin", false),
        ("sec-fetch-site: none", false),
        ("sec-fetch-site: same-site", true),
        ("sec-fetch-site: cross-site", true),
        ("sec-fetch-site: anything", true),
    ] {
        assert_eq!(house.ask(&format!("GET /cross\r\n{headers}")).await.json(), cross, "{headers}");
    }
}

#[tokio::test]
async fn what_probes_ask_is_answered_whatever_the_host() {
    let settings = RouterSettings {
        allowed_hosts: Some(vec!["localhost".into()]),
        any_host_paths: vec!["/".into()],
        ..RouterSettings::default()
    };
    let house = house(settings).await;
    for (path, status) in [("/", 200), ("/cross", 421), ("/nowhere", 421)] {
        let answer = house.ask(&format!("GET {path} HTTP/1.1\r\nhost: 10.0.0.7:1\r\n\r\n")).await;
        assert_eq!(answer.status, status, "{path}");
    }
    assert_eq!(house.ask("GET / HTTP/1.1\r\n\r\n").await.status, 400);
}

#[tokio::test]
async fn a_host_that_is_not_ours_is_misdirected() {
    let hosts = ["localhost", "127.0.0.1", "::1", "admin.example:8081"].map(String::from).to_vec();
    let house =
        house(RouterSettings { allowed_hosts: Some(hosts), ..RouterSettings::default() }).await;
    let ask =
        async |host: &str| house.ask(&format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n")).await;
    for ours in
        ["localhost", "LOCALHOST:1", "127.0.0.1:8081", "[::1]", "[::1]:8081", "admin.example:8081"]
    {
        assert_eq!(ask(ours).await.status, 200, "{ours}");
    }
    for foreign in [
        "evil.example",
        "localhost.evil.example",
        "admin.example",
        "admin.example:80",
        "[::2]",
        "",
        "a@localhost",
    ] {
        ask(foreign).await.problem(421, "misdirected_request");
    }
    // The request target outranks the header (RFC 9112, section 3.2.2).
    let absolute = "GET http://evil.example/ HTTP/1.1\r\nhost: localhost\r\n\r\n";
    house.ask(absolute).await.problem(421, "misdirected_request");
    house.ask("GET / HTTP/1.0\r\n\r\n").await.problem(421, "misdirected_request");
}
