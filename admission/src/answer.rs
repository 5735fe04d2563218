//! The entry object as an HTTP answer: its bytes and its entity tag.
//!
//! The tag is weak and covers what a buyer is told of the place, but neither the token nor the advice when to poll next,
//! which differs from answer to answer by design.

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH},
};
use sluice_core::{order::OrderName, view::object::EntryObject};
use sluice_http::{Exchange, Response, empty, json, raw_json};

mod write;

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
        if known { empty(StatusCode::NOT_MODIFIED) } else { whole(StatusCode::OK, object) };
    let keep = if object.token.is_some() { NO_STORE } else { REVALIDATE };
    response.headers_mut().insert(CACHE_CONTROL, keep);
    if let Ok(tag) = HeaderValue::from_maybe_shared(Bytes::copy_from_slice(&tag)) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

/// The whole object.
pub(crate) fn whole(status: StatusCode, object: &EntryObject) -> Response {
    match write::entry(object) {
        Some(bytes) => raw_json(status, bytes.into()),
        None => json(status, object),
    }
}

/// `W/"<16 hexadecimal digits>"`.
type Tag = [u8; 20];

/// Two answers that tell the same have the same tag on every node; two that do not, differ but for odds of 1 in 2^64.
fn tag(object: &EntryObject) -> Tag {
    let mut sum = Sum(0xcbf2_9ce4_8422_2325);
    let eta = object.eta_seconds;
    let entry = u128::from_be_bytes(*object.entry.as_bytes());
    sum.add_wide(entry).add_text(object.state.as_str()).add(object.version.0).add(object.serving.0);
    sum.add_optional(object.position)
        .add_optional(eta.map(|eta| eta.p50))
        .add_optional(eta.map(|eta| eta.p90));
    sum.add_text(object.odds.map_or("", |odds| odds.as_str()))
        .add_text(object.reason.unwrap_or(""));
    match &object.order {
        Some(OrderName::Own(order)) => sum.add_wide(u128::from_be_bytes(*order.as_bytes())),
        Some(OrderName::Shop(order)) => sum.add_text(order.as_str()),
        None => sum.add_wide(0),
    };
    sum.add_optional(object.pay_by.map(|at| at.0.unsigned_abs()));
    sum.add(object.stale.into());
    let mut tag = *b"W/\"0000000000000000\"";
    for (n, place) in tag[3..19].iter_mut().enumerate() {
        let digit = (sum.0 >> (60 - 4 * n)) & 0xf;
        *place = b"0123456789abcdef"[usize::try_from(digit).unwrap_or(0)];
    }
    tag
}

/// A quick, stable sum; it protects nothing.
struct Sum(u64);

impl Sum {
    fn add(&mut self, number: u64) -> &mut Self {
        let mixed = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
        self
    }

    fn add_wide(&mut self, number: u128) -> &mut Self {
        let [high, low] = [number >> 64, number & u128::from(u64::MAX)];
        self.add(u64::try_from(high).unwrap_or(0)).add(u64::try_from(low).unwrap_or(0))
    }

    fn add_optional(&mut self, number: Option<u64>) -> &mut Self {
        self.add(number.is_some().into()).add(number.unwrap_or(0))
    }

    fn add_text(&mut self, text: &str) -> &mut Self {
        for byte in text.bytes() {
            self.add(byte.into());
        }
        self.add(u64::MAX) // where it ends
    }
}

/// Weak comparison (RFC 9110, section 13.1.2): `*`, or any tag of the list.
fn matches(asked: &HeaderValue, tag: &[u8]) -> bool {
    fn opaque(tag: &[u8]) -> &[u8] {
        tag.strip_prefix(b"W/").unwrap_or(tag)
    }
    let list = asked.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    list.into_iter().any(|one| one == b"*" || opaque(one) == opaque(tag))
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

    #[test]
    fn sums_tell_neighbours_apart() {
        let sum = |numbers: &[u64]| {
            let mut sum = Sum(1);
            for number in numbers {
                sum.add(*number);
            }
            sum.0
        };
        let mut sums: Vec<_> = (0..100_000).map(|n| sum(&[n % 317, n / 317, 7])).collect();
        sums.sort_unstable();
        sums.dedup();
        assert_eq!(sums.len(), 100_000);
    }
}
