//! Percent-decoding of path parameters and query strings (RFC 3986, section 2.1).

use std::borrow::Cow;

/// Decodes a path segment. `None` when an escape is broken or the result is not UTF-8.
pub(crate) fn decode_segment(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let bytes = decode(text, false)?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// Decodes a key or a value of a query, where `+` is a space. `None` as above.
pub(crate) fn decode_query(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text));
    }
    let bytes = decode(text, true)?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

fn decode(text: &str, plus_is_space: bool) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' if plus_is_space => b' ',
            other => other,
        });
    }
    Some(decoded)
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_broken_ones_refused() {
        assert_eq!(decode_segment("a%2Fb+c").as_deref(), Some("a/b+c"));
        assert_eq!(decode_query("a%2fb+c%E5%80%99").as_deref(), Some("a/b c候"));
        for broken in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(decode_segment(broken), None, "{broken}");
            assert_eq!(decode_query(broken), None, "{broken}");
        }
    }
}
