//! Who a handler is told sent a request.

use http::StatusCode;
use serde_json::json;
use sluice_http::{Exchange, RouterSettings, Routes, json as reply};

use crate::house::{Answered, House, config};

async fn who(exchange: Exchange) -> Answered {
    let peer = exchange.peer;
    Ok(reply(StatusCode::OK, &json!([peer.address, peer.trusted, peer.socket.ip()])))
}

async fn house(trusted_proxies: &[&str], listen: &str) -> House {
    let settings = RouterSettings {
        trusted_proxies: trusted_proxies.iter().map(|net| net.parse().unwrap()).collect(),
        ..RouterSettings::default()
    };
    let mut config = config();
    config.listen = listen.parse().unwrap();
    House::with(Routes::new("admission").get("/", who), settings, config).await
}

const FORWARDED: &str =
    "GET /\r\nx-forwarded-for: 1.1.1.1, 198.51.100.7\r\nx-forwarded-for: 127.0.0.9";

#[tokio::test]
async fn forwarded_hops_are_believed_from_a_trusted_proxy_only() {
    let trusting = house(&["127.0.0.0/8"], "127.0.0.1:0").await;
    assert_eq!(trusting.ask(FORWARDED).await.json(), json!(["198.51.100.7", true, "127.0.0.1"]));
    assert_eq!(
        trusting.ask("GET /\r\nx-forwarded-for: junk").await.json(),
        json!(["127.0.0.1", true, "127.0.0.1"])
    );
    let wary = house(&["10.0.0.0/8"], "127.0.0.1:0").await;
    assert_eq!(wary.ask(FORWARDED).await.json(), json!(["127.0.0.1", false, "127.0.0.1"]));
}

#[tokio::test]
async fn an_ipv4_client_of_a_dual_stack_listener_is_shown_as_ipv4() {
    // Where there is no IPv6 there is nothing to show.
    let Ok(probe) = std::net::TcpListener::bind("[::]:0") else { return };
    drop(probe);
    let mut house = house(&["127.0.0.0/8"], "[::]:0").await;
    house.address = format!("127.0.0.1:{}", house.address.port()).parse().unwrap();
    assert_eq!(
        house.ask(FORWARDED).await.json(),
        json!(["198.51.100.7", true, "::ffff:127.0.0.1"])
    );
}
