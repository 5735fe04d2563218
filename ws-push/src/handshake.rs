//! The server's side of a WebSocket's opening handshake (RFC 6455, section 4.2). What is not one is told so in HTTP.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use sluice_http::{Exchange, Problem, Response, empty};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::credentials::offered;

/// The one subprotocol we speak.
const PROTOCOL: &str = "sluice.v1";
const VERSION: &str = "13";
/// A key is 16 bytes in base64.
const KEY_CHARS: usize = 24;

/// The answer that switches protocols; a problem if the request does not ask for that properly.
pub(crate) fn answer(exchange: &Exchange) -> Result<Response, Problem> {
    let headers = exchange.request.headers();
    let asks = exchange.request.method() == Method::GET && lists(headers, UPGRADE, "websocket");
    if !asks {
        let detail = "This is a WebSocket endpoint: connect with a WebSocket client, or read /v1/sales/{sale}/events.";
        let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "websocket_required", detail);
        return Err(problem.header(UPGRADE, "websocket").header(CONNECTION, "upgrade"));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != VERSION) {
        let detail = "`Sec-WebSocket-Version` must be 13.";
        let problem = Problem::new(StatusCode::UPGRADE_REQUIRED, "websocket_required", detail);
        return Err(problem.header(SEC_WEBSOCKET_VERSION, VERSION));
    }
    if !lists(headers, CONNECTION, "upgrade") {
        return Err(Problem::bad_request("`Connection` must list `Upgrade`."));
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let Some(key) = key.filter(|key| is_key(key)) else {
        return Err(Problem::bad_request("`Sec-WebSocket-Key` must be 16 bytes in base64."));
    };
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let answer = response.headers_mut();
    answer.insert(UPGRADE, HeaderValue::from_static("websocket"));
    answer.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    // Base64 is always a legal header.
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key)) {
        answer.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    // Never the token: what a server answers may be logged on the way.
    if offered(exchange).any(|protocol| protocol == PROTOCOL) {
        answer.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    Ok(response)
}

/// Whether one of the header's comma-separated values is `wanted`.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|value| value.trim().eq_ignore_ascii_case(wanted))
}

fn is_key(key: &[u8]) -> bool {
    let (body, end) = key.split_at(key.len().saturating_sub(2));
    key.len() == KEY_CHARS
        && end == b"=="
        && body.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_lists_are_read_as_lists() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
        assert!(lists(&headers, CONNECTION, "upgrade"));
        assert!(!lists(&headers, CONNECTION, "up"));
    }

    #[test]
    fn keys_are_sixteen_bytes() {
        assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
        for bad in [&b""[..], b"==", b"dGhlIHNhbXBsZSBub25jZQ", b"dGhlIHNhbXBsZSBub25jZ\xff=="] {
            assert!(!is_key(bad), "{bad:?}");
        }
    }
}
