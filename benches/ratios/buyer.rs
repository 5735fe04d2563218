//! What buyers send, as bytes.

use std::net::SocketAddr;

use super::{load, sale::SALE};

/// A place in line.
pub(crate) struct Joined {
    pub(crate) entry: String,
    pub(crate) token: String,
}

/// A join; without a cookie, so that each is of a new buyer.
pub(crate) fn join_request() -> Vec<u8> {
    let body = r#"{"items":[{"sku":"a","quantity":1}]}"#;
    format!(
        "POST /v1/sales/{SALE}/entries HTTP/1.1\r\nhost: sluice\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

pub(crate) async fn join(door: SocketAddr) -> Joined {
    let reply = load::once(door, &join_request()).await;
    let object: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    let text = |key: &str| object[key].as_str().unwrap_or_else(|| panic!("{object}")).to_owned();
    Joined { entry: text("entry"), token: text("token") }
}

/// Polls of so many waiting entries, each its own.
pub(crate) async fn polls(door: SocketAddr, entries: usize) -> Vec<Vec<u8>> {
    let mut requests = Vec::with_capacity(entries);
    for _ in 0..entries {
        let Joined { entry, token } = join(door).await;
        let request = format!(
            "GET /v1/sales/{SALE}/entries/{entry} HTTP/1.1\r\nhost: sluice\r\nauthorization: Bearer {token}\r\n\r\n"
        );
        requests.push(request.into_bytes());
    }
    requests
}
