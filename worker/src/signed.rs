//! A signed POST, as Standard Webhooks 1.0 has it: to the shop, and what the simulated provider calls back with.

use bytes::Bytes;
use http::{Method, Request, Uri, header::CONTENT_TYPE};
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ports::Cause,
    webhook::{ID_HEADER, SIGNATURE_HEADER, Secrets, TIMESTAMP_HEADER},
};

/// The request that carries `message` as JSON under `id`: the same id says that it is the same message, sent again.
pub(crate) fn post(
    url: &Uri,
    (secrets, now): (&Secrets, UnixMillis),
    id: &str,
    message: &impl Serialize,
) -> Result<Request<Bytes>, Cause> {
    let body = Bytes::from(serde_json::to_vec(message)?);
    let signed = secrets.sign(id, now, &body);
    Ok(Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/json")
        .header(ID_HEADER, signed.id)
        .header(TIMESTAMP_HEADER, signed.timestamp)
        .header(SIGNATURE_HEADER, signed.signature)
        .body(body)?)
}
