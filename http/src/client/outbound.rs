//! Which URLs may be called: `https` anywhere, `http` only on this machine, and no credentials inside.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

/// Why a URL may not be called. Never repeats the URL: it may hold a password.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadUrl {
    #[error("the URL must be absolute, such as https://shop.example/path")]
    Malformed,
    #[error(
        "the URL must begin with https:// (http:// is for 127.0.0.0/8, [::1] and localhost only)"
    )]
    Scheme,
    #[error("the URL must not hold a user name or a password")]
    UserInfo,
}

/// Reads and checks a URL from the configuration.
pub fn check_outbound(url: &str) -> Result<Uri, BadUrl> {
    let uri = url.parse().map_err(|_| BadUrl::Malformed)?;
    check(&uri)?;
    Ok(uri)
}

pub(super) fn check(uri: &Uri) -> Result<(), BadUrl> {
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(BadUrl::Malformed);
    };
    if authority.as_str().contains('@') {
        return Err(BadUrl::UserInfo);
    }
    let host = authority.host();
    if host.is_empty() {
        return Err(BadUrl::Malformed);
    }
    match scheme {
        "https" => Ok(()),
        "http" if is_loopback(host) => Ok(()),
        _ => Err(BadUrl::Scheme),
    }
}

/// Whether a URL's host is this machine: `localhost`, or a loopback address (IPv6 in brackets).
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bare {
        Some(six) => {
            six.parse::<Ipv6Addr>().is_ok_and(|address| address.to_canonical().is_loopback())
        }
        None => {
            host.eq_ignore_ascii_case("localhost")
                || host.parse::<Ipv4Addr>().is_ok_and(|four| four.is_loopback())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_to_this_machine() {
        for good in [
            "https://shop.example/jwks.json",
            "https://10.0.0.1:8443",
            "HTTPS://shop.example",
            "http://127.0.0.1:8080/x",
            "http://127.9.9.9",
            "http://[::1]:8080/x?y=z",
            "http://localhost:1/",
            "http://LOCALHOST",
        ] {
            assert!(check_outbound(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (bad, reason) in [
            ("http://shop.example/", BadUrl::Scheme),
            ("http://10.0.0.1/", BadUrl::Scheme),
            ("http://127.0.0.1.evil.example/", BadUrl::Scheme),
            ("http://localhost.evil.example/", BadUrl::Scheme),
            ("http://0x7f000001/", BadUrl::Scheme),
            ("http://[::2]/", BadUrl::Scheme),
            ("ftp://127.0.0.1/", BadUrl::Scheme),
            ("https://user:secret@shop.example/", BadUrl::UserInfo),
            ("http://127.0.0.1@evil.example/", BadUrl::UserInfo),
            ("https://", BadUrl::Malformed),
            ("/path", BadUrl::Malformed),
            ("shop.example", BadUrl::Malformed),
            ("", BadUrl::Malformed),
            ("https://a b/", BadUrl::Malformed),
        ] {
            assert_eq!(check_outbound(bad).unwrap_err(), reason, "{bad}");
            assert!(!check_outbound(bad).unwrap_err().to_string().contains("secret"));
        }
    }
}
