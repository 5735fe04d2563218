//! One request on its way through a handler: what was asked, by whom, and its body when the handler wants it.

use std::{
    borrow::Cow,
    fmt::{self, Debug},
    net::SocketAddr,
    time::Duration,
};

use http::{
    HeaderValue,
    header::{AUTHORIZATION, COOKIE},
};
use tokio::time::Instant;

use crate::{Peer, Problem, percent};

mod body;
mod content;
mod form;
mod json;
mod origin;
mod params;

pub use content::Content;
pub(crate) use content::{Leftover, close};
pub use form::Form;
pub use json::read_json;
pub(crate) use origin::{Authority, request_authority};
pub(crate) use params::{PARAMS_MAX, Params, names as param_names};

/// One request on its way through a handler.
pub struct Exchange {
    pub request: hyper::Request<Content>,
    pub peer: Peer,
    pub(crate) params: Params,
    pub(crate) body: BodyLimits,
}

/// What the server knows about a request besides its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    pub(crate) socket: SocketAddr,
    /// When its headers were complete.
    pub(crate) at: Instant,
    /// How long after that its body may take to arrive.
    pub(crate) body_timeout: Duration,
}

/// By when its body must be here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyLimits {
    pub(crate) deadline: Instant,
    /// How long that was, for the message.
    pub(crate) timeout: Duration,
}

impl Exchange {
    /// A parameter of the route's pattern, percent-decoded. Never "" for a declared one.
    #[must_use]
    pub fn param(&self, name: &str) -> &str {
        self.params.get(self.request.uri().path(), name)
    }

    /// The first value of `name` in the query, percent-decoded, `+` read as a space. A value whose escapes are broken
    /// counts as absent.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<Cow<'_, str>> {
        self.request.uri().query()?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (percent::decode_query(key)? == name).then(|| percent::decode_query(value))
        })?
    }

    /// A header's first value, if it is visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok()
    }

    /// A header's only value. 400 `bad_request` when it is not visible ASCII, or there are several: a proxy may have added
    /// its own behind the client's, and which one counts is a guess.
    pub fn only_header(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut lines = self.request.headers().get_all(name).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        match line.to_str() {
            Ok(value) if lines.next().is_none() => Ok(Some(value)),
            Ok(_) | Err(_) => Err(Problem::bad_request(format!(
                "Header `{name}` must be given once, in visible ASCII characters. A proxy that sets it must replace the client's."
            ))),
        }
    }

    /// A header's only value, percent-decoded: how text of any language travels in a header. 400 `bad_request`, naming the
    /// header, when there are several, or its escapes are broken or no UTF-8.
    pub fn decoded_header(&self, name: &'static str) -> Result<Option<Cow<'_, str>>, Problem> {
        let Some(value) = self.only_header(name).map_err(|problem| problem.field(name))? else {
            return Ok(None);
        };
        percent::decode_segment(value).map(Some).ok_or_else(|| {
            Problem::bad_request(format!(
                "Header `{name}` has a broken percent-escape, or one that is not UTF-8: write it as `encodeURIComponent` does."
            ))
            .field(name)
        })
    }

    /// The token of `Authorization: Bearer …`. Absent when there are two such headers: which one counts is a guess.
    #[must_use]
    pub fn bearer(&self) -> Option<&str> {
        let mut lines = self.request.headers().get_all(AUTHORIZATION).iter();
        let line = lines.next().filter(|_| lines.next().is_none())?.to_str().ok()?;
        let (scheme, token) = line.split_once(' ')?;
        let token = token.trim_matches(' ');
        (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
    }

    /// A cookie's first value, without quotes.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let lines =
            self.request.headers().get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut pairs =
            lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| key.trim() == name)?;
        let value = value.trim();
        Some(value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value))
    }

    /// Our own origin as the browser that made this request sees it: `https://wait.example`. `None` of a request from elsewhere,
    /// or from no browser.
    #[must_use]
    pub fn own_origin(&self) -> Option<&str> {
        origin::own(&self.request)
    }

    /// Whether a browser made this request, as far as it shows: it says where from, or brings cookies.
    #[must_use]
    pub fn is_from_browser(&self) -> bool {
        let headers = self.request.headers();
        headers.contains_key(origin::FETCH_SITE) || headers.contains_key(COOKIE)
    }

    /// Whether a browser says that another site made this request, and that site is not in `allowed_origins`: what a
    /// cookie authorises must then be refused. Requests that no browser made say nothing and are not cross-site.
    #[must_use]
    pub fn is_cross_site(&self, allowed_origins: &[String]) -> bool {
        origin::is_cross_site(&self.request, allowed_origins)
    }
}

/// Shows neither headers nor query nor addresses: they hold tokens and people.
impl Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("method", self.request.method())
            .field("path", &self.request.uri().path())
            .finish_non_exhaustive()
    }
}

/// Whether `value` equals one of `allowed`, as origins compare.
pub(crate) fn is_listed(value: &HeaderValue, allowed: &[String]) -> bool {
    allowed.iter().any(|origin| {
        origin.trim_end_matches('/').as_bytes().eq_ignore_ascii_case(value.as_bytes())
    })
}
