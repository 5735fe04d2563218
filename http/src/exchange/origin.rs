//! Where a browser says a request comes from: `Origin` and `Sec-Fetch-Site` against our own host.

use http::{
    HeaderName, HeaderValue,
    header::{HOST, ORIGIN},
};
use hyper::Request;

use super::is_listed;

pub(super) const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

pub(super) fn is_cross_site<B>(request: &Request<B>, allowed_origins: &[String]) -> bool {
    let mut origins = request.headers().get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        // A same-origin GET has no Origin, but says so in Sec-Fetch-Site. `same-site` is another origin.
        (None, _) => {
            let site = request.headers().get(FETCH_SITE);
            site.is_some_and(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
        }
        (Some(origin), None) => !is_listed(origin, allowed_origins) && !is_own(origin, request),
        (Some(_), Some(_)) => true,
    }
}

/// The only `Origin` of a request, if it is the host that the request was sent to.
pub(super) fn own<B>(request: &Request<B>) -> Option<&str> {
    let mut origins = request.headers().get_all(ORIGIN).iter();
    let origin = origins.next().filter(|_| origins.next().is_none())?;
    if is_own(origin, request) { origin.to_str().ok() } else { None }
}

/// Whether `origin` is the host the request was sent to. The scheme is not compared: a proxy may have taken TLS off.
fn is_own<B>(origin: &HeaderValue, request: &Request<B>) -> bool {
    let own = request_authority(request).and_then(Authority::parse);
    let Some((scheme, authority)) =
        origin.to_str().ok().and_then(|origin| origin.split_once("://"))
    else {
        return false;
    };
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return false,
    };
    match (Authority::parse(authority), own) {
        (Some(theirs), Some(own)) => {
            theirs.host.eq_ignore_ascii_case(own.host)
                && theirs.port.unwrap_or(default_port) == own.port.unwrap_or(default_port)
        }
        _ => false,
    }
}

/// The authority a request was sent to: of an absolute request target, else of its only `Host` header.
pub(crate) fn request_authority<B>(request: &Request<B>) -> Option<&str> {
    if let Some(authority) = request.uri().authority() {
        return Some(authority.as_str());
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    hosts.next().filter(|_| hosts.next().is_none())?.to_str().ok()
}

/// `host[:port]`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Authority<'a> {
    /// IPv6 without its brackets.
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Authority<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (host, port) = if let Some(rest) = text.strip_prefix('[') {
            let (host, after) = rest.split_once(']')?;
            (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
        } else {
            text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
        };
        let port = port.map(str::parse).transpose().ok()?;
        (!host.is_empty() && !host.contains(['@', '/', '?', '#', ' ']))
            .then_some(Self { host, port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_origin_is_what_the_browser_names_and_the_host_confirms() {
        let own = |origins: &[&str]| {
            let mut request = Request::builder().header(HOST, "wait.example:8443");
            for origin in origins {
                request = request.header(ORIGIN, *origin);
            }
            let request = request.body(()).unwrap();
            own(&request).map(str::to_owned)
        };
        let ours = "https://wait.example:8443";
        assert_eq!(own(&[ours]).as_deref(), Some(ours));
        for others in [&["https://shop.example"][..], &["null"], &[ours, ours], &[]] {
            assert_eq!(own(others), None, "{others:?}");
        }
    }

    #[test]
    fn authorities_are_taken_apart() {
        let parsed =
            |text| Authority::parse(text).map(|authority| (authority.host, authority.port));
        assert_eq!(parsed("shop.example"), Some(("shop.example", None)));
        assert_eq!(parsed("shop.example:8080"), Some(("shop.example", Some(8080))));
        assert_eq!(parsed("[::1]:8080"), Some(("::1", Some(8080))));
        assert_eq!(parsed("[::1]"), Some(("::1", None)));
        for bad in ["", ":80", "a:99999", "a:b", "user@host", "[::1", "[::1]x"] {
            assert_eq!(parsed(bad), None, "{bad}");
        }
    }
}
