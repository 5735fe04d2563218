//! Problems: the one shape in which sluice says no (RFC 9457, Problem Details for HTTP APIs).
//!
//! A problem carries what the client may know. The cause stays in the log, under the same request id.

use std::{borrow::Cow, time::Duration};

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use serde::Serialize;
use sluice_core::policy::OutOfRange;

use crate::{Body, Response, instance};

mod port;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// A refusal, or a fault as the client may see it.
///
/// `instance`, the request id, is filled in by the router unless a log line about the cause already carries one.
#[derive(Clone, Debug)]
pub struct Problem(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    field: Option<String>,
    instance: Option<String>,
    retry_after: Option<Duration>,
    headers: HeaderMap,
}

impl Problem {
    /// `code` is snake_case and part of the contract; `detail` names what, where and how to mend it.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Details {
            status,
            code,
            detail: detail.into(),
            field: None,
            instance: None,
            retry_after: None,
            headers: HeaderMap::new(),
        }))
    }

    /// Says more than the usual `detail`.
    #[must_use]
    pub fn explained(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// Tells the client to wait: `retry_after_ms` in the body, `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.0.retry_after = Some(after);
        self
    }

    /// Adds a header to the answer. One that is not a legal header is left out, and logged.
    #[must_use]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => {
                self.0.headers.append(name, value);
            }
            _ => tracing::error!(
                code = self.0.code,
                "a header of a problem is not a legal header and was left out"
            ),
        }
        self
    }

    /// Names the offending field in a member of its own, `field`.
    #[must_use]
    pub fn field(mut self, path: impl Into<String>) -> Self {
        self.0.field = Some(path.into());
        self
    }

    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The offending field, if one was named.
    #[must_use]
    pub fn field_path(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The request id; made now if there is none yet.
    pub fn instance(&mut self) -> &str {
        self.0.instance.get_or_insert_with(instance::fresh)
    }
}

/// The common ones.
impl Problem {
    /// 400 `bad_request`.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// 401, with the challenge that every 401 must carry.
    pub fn unauthorized(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, detail)
            .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403.
    pub fn forbidden(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404.
    pub fn not_found(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// 409.
    pub fn conflict(code: &'static str, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 422 `out_of_range`, with the field and its range.
    #[must_use]
    pub fn out_of_range(broken: &OutOfRange) -> Self {
        let detail = format!("`{}` {}", broken.field, broken.rule);
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "out_of_range", detail)
            .field(broken.field.clone())
    }

    /// 503 `unavailable`: nothing recorded, or unknown; a retry finds it or makes it.
    #[must_use]
    pub fn unavailable(after: Duration) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "unavailable",
            "The service cannot answer right now. Repeat the same request after `retry_after_ms`.",
        )
        .retry_after(after)
    }

    /// 500 `internal`: a fault of ours. Log the cause with [`Problem::instance`].
    #[must_use]
    pub fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "The server failed while answering. Its operators find the cause in the log under this `instance`.",
        )
    }
}

/// The members of the JSON object, in the order of the RFC.
#[derive(Serialize)]
struct Members<'a> {
    r#type: String,
    title: String,
    status: u16,
    detail: &'a str,
    code: &'a str,
    instance: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        let Details { status, code, detail, field, instance, retry_after, headers } = *problem.0;
        let members = Members {
            r#type: format!("urn:sluice:problem:{code}"),
            title: title(code),
            status: status.as_u16(),
            detail: &detail,
            code,
            instance: &instance.unwrap_or_else(instance::fresh),
            field: field.as_deref(),
            retry_after_ms: retry_after.map(whole_milliseconds),
        };
        // Strings and numbers always serialise; an empty body with the right status would still be honest.
        let body = serde_json::to_vec(&members).unwrap_or_default();
        let mut response = Self::new(Body::from(body));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
        // A cache may keep a 404 or a 410 by itself, beyond the moment at which it stops being true.
        response.headers_mut().entry(CACHE_CONTROL).or_insert(NO_STORE);
        if let Some(after) = retry_after {
            let seconds = whole_milliseconds(after).div_ceil(1_000);
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Rounded up, and the header's seconds from these: a client that obeys either never comes back too early, nor much later
/// than the other tells.
fn whole_milliseconds(after: Duration) -> u64 {
    u64::try_from(after.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

/// `no_such_sale` reads `No such sale`.
fn title(code: &str) -> String {
    let mut title = code.replace('_', " ");
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    title
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::Value;

    use super::*;

    async fn told(problem: Problem) -> (Response, Value) {
        let (parts, body) = Response::from(problem).into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (Response::from_parts(parts, Body::empty()), serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn a_problem_has_every_member_of_the_contract() {
        let problem =
            Problem::unavailable(Duration::from_millis(1_001)).header("ratelimit", "\"b\";r=0;t=2");
        let (response, body) = told(problem).await;
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["ratelimit"], "\"b\";r=0;t=2");
        assert_eq!(body["type"], "urn:sluice:problem:unavailable");
        assert_eq!(body["title"], "Unavailable");
        assert_eq!(body["status"], 503);
        assert_eq!(body["code"], "unavailable");
        assert_eq!(body["retry_after_ms"], 1_001);
        assert_eq!(body["instance"].as_str().unwrap().len(), 20);
        assert!(body["detail"].as_str().unwrap().contains("Repeat"));
        assert_eq!(body.get("field"), None);
    }

    #[tokio::test]
    async fn a_wait_with_a_fraction_is_the_same_in_header_and_body() {
        for (micros, milliseconds, seconds) in
            [(1, 1, 1), (1_999_001, 2_000, 2), (2_000_000, 2_000, 2), (2_000_300, 2_001, 3)]
        {
            let (response, body) = told(Problem::unavailable(Duration::from_micros(micros))).await;
            assert_eq!(body["retry_after_ms"], milliseconds);
            assert_eq!(response.headers()["retry-after"], seconds.to_string());
        }
    }

    #[tokio::test]
    async fn the_instance_that_was_logged_is_the_one_that_is_told() {
        let mut problem = Problem::internal();
        let logged = problem.instance().to_owned();
        let (_, body) = told(problem).await;
        assert_eq!(body["instance"], logged.as_str());
    }

    #[tokio::test]
    async fn out_of_range_names_the_field_and_the_range() {
        let broken = OutOfRange::new("policy.fraction", "must be above 0 and at most 1");
        let (response, body) = told(Problem::out_of_range(&broken)).await;
        assert_eq!(response.status(), 422);
        assert_eq!(body["field"], "policy.fraction");
        assert_eq!(body["title"], "Out of range");
        assert_eq!(body["detail"], "`policy.fraction` must be above 0 and at most 1");
    }

    #[tokio::test]
    async fn an_illegal_header_is_left_out() {
        let (response, _) =
            told(Problem::bad_request("no").header("x-sluice", "a\r\nset-cookie: b")).await;
        assert_eq!(response.headers().get("x-sluice"), None);
        assert_eq!(response.headers().get("set-cookie"), None);
    }

    #[test]
    fn an_unauthorized_challenges() {
        let response = Response::from(Problem::unauthorized("bad_token", "no"));
        assert_eq!(response.headers()["www-authenticate"], "Bearer");
    }
}
