//! Answers in one line.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_TYPE};
use serde::Serialize;

use crate::{Body, Problem, Response};

/// Room for the headers of most answers, so that it need not grow.
const HEADERS_USUAL: usize = 8;

/// `value` as JSON. A value that cannot be written as JSON is a fault of ours: it is logged and answered 500.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => raw_json(status, bytes.into()),
        Err(error) => {
            let mut problem = Problem::internal();
            tracing::error!(instance = problem.instance(), %error, "an answer could not be written as JSON");
            problem.into()
        }
    }
}

/// Bytes that already are JSON.
#[must_use]
pub fn raw_json(status: StatusCode, bytes: Bytes) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    *response.headers_mut() = HeaderMap::with_capacity(HEADERS_USUAL);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A status and nothing else.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
