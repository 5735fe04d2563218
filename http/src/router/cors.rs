//! Which other origins' pages may call (the Fetch standard's CORS protocol). Credentials are allowed to those listed, so
//! there is no `*`.

use http::{
    HeaderValue, Method,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
};

use super::allow_only;
use crate::{Problem, Request, Response, exchange::is_listed};

const REQUEST_HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, cache-control",
);
const RESPONSE_HEADERS: HeaderValue = HeaderValue::from_static(
    "etag, location, retry-after, ratelimit, ratelimit-policy, www-authenticate",
);
/// Seconds a browser may remember a preflight: short, so that a changed list bites soon.
const MAX_AGE: HeaderValue = HeaderValue::from_static("600");

#[derive(Debug)]
pub(super) struct Cors {
    allowed_origins: Vec<String>,
}

/// What is said of origins on one answer.
#[derive(Default)]
pub(super) struct Permission {
    /// Whether any origin is listed. Then every answer varies by origin, or a shared cache would hand one origin's
    /// permission to another.
    varies: bool,
    /// The origin whose page may read this answer.
    origin: Option<HeaderValue>,
}

impl Permission {
    pub(super) fn mark(self, response: &mut Response) {
        if !self.varies {
            return;
        }
        let headers = response.headers_mut();
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
        }
    }
}

/// Whether a browser asks before it sends what it really wants to.
pub(super) fn is_preflight(request: &Request) -> bool {
    request.method() == Method::OPTIONS
        && request.headers().contains_key(ORIGIN)
        && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

impl Cors {
    pub(super) fn new(allowed_origins: Vec<String>) -> Self {
        Self { allowed_origins }
    }

    /// What `request`'s origin, if it has one, may see of the answer.
    pub(super) fn permission(&self, request: &Request) -> Permission {
        if self.allowed_origins.is_empty() {
            return Permission::default();
        }
        let origin =
            request.headers().get(ORIGIN).filter(|origin| is_listed(origin, &self.allowed_origins));
        Permission { varies: true, origin: origin.cloned() }
    }

    /// Answers `OPTIONS`: 204 with what is allowed, or, to a preflight from elsewhere, 403 `origin_not_allowed`.
    pub(super) fn preflight(&self, request: &Request, allow: &str) -> Result<Response, Problem> {
        let mut response = allow_only(allow);
        if !is_preflight(request) {
            return Ok(response);
        }
        if self.permission(request).origin.is_none() {
            let detail = "Pages of this origin may not call. To let them, list the origin in `allowed_origins`.";
            return Err(Problem::forbidden("origin_not_allowed", detail));
        }
        let headers = response.headers_mut();
        if let Some(methods) = headers.get(http::header::ALLOW).cloned() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        }
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        Ok(response)
    }
}
