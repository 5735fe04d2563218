//! What the operator API answers with: a sale as operators see it, its version tag, and the refusals several share.

use std::str::FromStr;

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::Version,
    sale::{Sale, SaleState},
};
use sluice_http::{Exchange, Problem, Response, json};

use crate::desk::Desk;

/// All of a sale, with its whole policy.
#[derive(Debug, Serialize)]
pub(crate) struct SaleObject<'a> {
    #[serde(flatten)]
    sale: &'a Sale,
    /// What the public is told; `control` is what the operator has set.
    state: SaleState,
    /// Units that can be sold now, as the public is told.
    remaining: u64,
    now: UnixMillis,
}

impl<'a> SaleObject<'a> {
    pub(crate) fn new(desk: &Desk, sale: &'a Sale) -> Self {
        let now = desk.ports.clock.now();
        Self { sale, state: desk.state(sale), remaining: desk.remaining(sale), now }
    }
}

/// A sale, tagged with its version.
pub(crate) fn sale(desk: &Desk, status: StatusCode, sale: &Sale) -> Response {
    let mut response = fresh(status, &SaleObject::new(desk, sale));
    response.headers_mut().insert(header::ETAG, etag(sale.version));
    response
}

/// JSON that nobody keeps: it is right only now, and meant for one.
pub(crate) fn fresh(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = json(status, value);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `"7"`: a strong tag, since every change makes a new version.
pub(crate) fn etag(version: Version) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or(HeaderValue::from_static("\"0\""))
}

/// The version a change is meant for. `None` when the client does not care (no header, or `*`).
pub(crate) fn if_match(exchange: &Exchange) -> Result<Option<Version>, Problem> {
    if exchange.request.headers().get_all(header::IF_MATCH).iter().nth(1).is_some() {
        return Err(bad_if_match());
    }
    match exchange.request.headers().get(header::IF_MATCH) {
        None => Ok(None),
        Some(value) => parse_if_match(value.to_str().map_err(|_| bad_if_match())?),
    }
}

fn parse_if_match(text: &str) -> Result<Option<Version>, Problem> {
    if text.trim() == "*" {
        return Ok(None);
    }
    let quoted = text.trim().strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match quoted.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit())).map(str::parse) {
        Some(Ok(version)) => Ok(Some(Version(version))),
        Some(Err(_)) | None => Err(bad_if_match()),
    }
}

fn bad_if_match() -> Problem {
    Problem::bad_request(
        "The header `If-Match` must be one version in quotes, such as `If-Match: \"7\"`: the `ETag` of an earlier answer.",
    )
    .field("if-match")
}

pub(crate) fn no_such_sale() -> Problem {
    Problem::not_found(
        "no_such_sale",
        "There is no sale of this id. `GET /v1/sales` lists those there are.",
    )
}

pub(crate) fn no_such_sku() -> Problem {
    Problem::not_found(
        "no_such_sku",
        "The sale has no SKU of this id. `GET /v1/sales/{sale}` lists those it has.",
    )
}

/// A whole number in the query, if it is there.
pub(crate) fn query_number<T: FromStr>(
    exchange: &Exchange,
    name: &'static str,
) -> Result<Option<T>, Problem> {
    match exchange.query(name).as_deref() {
        None | Some("") => Ok(None),
        Some(text) => match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => {
                Err(Problem::bad_request(format!("`{name}` must be a whole number.")).field(name))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_quoted_version_is_understood() {
        assert_eq!(parse_if_match("\"7\"").unwrap(), Some(Version(7)));
        assert_eq!(parse_if_match("*").unwrap(), None);
        for bad in [
            "7",
            "\"\"",
            "\"x\"",
            "\"-1\"",
            "\"+1\"",
            "W/\"7\"",
            "\"7\", \"8\"",
            "",
            "\"",
            "\"99999999999999999999\"",
        ] {
            assert_eq!(parse_if_match(bad).unwrap_err().code(), "bad_request", "{bad}");
        }
    }
}
