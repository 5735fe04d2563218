//! The entry object as an HTTP answer: its bytes and its entity tag.
//!
//! The tag is weak and covers what a buyer is told of the place, but neither the token nor the advice when to poll next,
//! which differs from answer to answer by design.

use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH},
};
use sluice_core::view::object::EntryObject;
use sluice_http::{Exchange, Response, empty, json};

/// A browser may keep the answer for itself, but must ask before it shows it again.
const REVALIDATE: HeaderValue = HeaderValue::from_static("private, no-cache");
/// What carries a fresh token is kept by nobody.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// 200 with the object, or 304 when the client has it and there is no token to bring.
pub(crate) fn entry(exchange: &Exchange, object: &EntryObject) -> Response {
    let tag = tag(object);
    let known = object.token.is_none()
        && exchange.request.headers().get(IF_NONE_MATCH).is_some_and(|asked| matches(asked, &tag));
    let mut response =
        if known { empty(StatusCode::NOT_MODIFIED) } else { json(StatusCode::OK, object) };
    let keep = if object.token.is_some() { NO_STORE } else { REVALIDATE };
    response.headers_mut().insert(CACHE_CONTROL, keep);
    if let Ok(tag) = HeaderValue::from_maybe_shared(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn tag(object: &EntryObject) -> Bytes {
    let mut hasher = DefaultHasher::new();
    (object.entry, object.state, object.version, object.position, object.serving).hash(&mut hasher);
    (object.eta_seconds.map(|eta| (eta.p50, eta.p90)), object.odds.map(|odds| odds.as_str()))
        .hash(&mut hasher);
    (object.order, object.pay_by, object.reason, object.stale).hash(&mut hasher);
    Bytes::from(format!("W/\"{:016x}\"", hasher.finish()))
}

/// Weak comparison (RFC 9110, section 13.1.2): `*`, or any tag of the list.
fn matches(asked: &HeaderValue, tag: &[u8]) -> bool {
    let opaque = |tag: &[u8]| tag.strip_prefix(b"W/").unwrap_or(tag).to_vec();
    let own = opaque(tag);
    asked
        .as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .any(|one| one == b"*" || opaque(one) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        let tag = b"W/\"00ff\"";
        for asked in ["W/\"00ff\"", "\"00ff\"", "\"a\", W/\"00ff\"", "*"] {
            assert!(matches(&HeaderValue::from_static(asked), tag), "{asked}");
        }
        for asked in ["\"00fe\"", "00ff", ""] {
            assert!(!matches(&HeaderValue::from_static(asked), tag), "{asked}");
        }
    }
}
