//! `Idempotency-Key`: within one order and verb, a key stands for one request. What the verbs do is keyed by the order
//! anyway (refunds and changes by the key too), so a repeat needs no stored answer; the key guards against its reuse for
//! something else.

use serde::Serialize;
use sha2::{Digest, Sha256};
use sluice_core::{
    ids::OrderId,
    ports::{IdempotencyKey, Replay},
};
use sluice_http::{Exchange, Problem};

use crate::shared::Shared;

const HEADER: &str = "idempotency-key";
/// Longest key, in characters.
const KEY_CHARS_MAX: usize = 255;

/// Whether a request was made before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Made {
    First,
    /// Under the same key, with the same content.
    Again,
}

/// The key of a request, if it has one.
pub(super) fn key(exchange: &Exchange) -> Result<Option<String>, Problem> {
    let mut sent = exchange.request.headers().get_all(HEADER).iter();
    let Some(key) = sent.next() else { return Ok(None) };
    key.to_str()
        .ok()
        .filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len()))
        .filter(|_| sent.next().is_none())
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| {
            Problem::bad_request(format!(
                "`Idempotency-Key` must be sent once, with 1 to {KEY_CHARS_MAX} visible ASCII characters."
            ))
        })
}

/// Notes the request under its key, if it has one. `content` is the request as it was understood.
pub(super) async fn note(
    shared: &Shared,
    exchange: &Exchange,
    order: OrderId,
    verb: &str,
    content: &impl Serialize,
) -> Result<Made, Problem> {
    let Some(key) = key(exchange)? else { return Ok(Made::First) };
    let canonical = serde_json::to_vec(content).unwrap_or_default();
    let key = IdempotencyKey {
        scope: format!("order/{order}/{verb}"),
        key,
        body: Sha256::digest(canonical).into(),
    };
    match shared.once(shared.ports.ledger.replay(&key)).await? {
        Replay::First => Ok(Made::First),
        Replay::Same => Ok(Made::Again),
        Replay::Different => Err(Problem::new(
            http::StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_key_reused",
            "This `Idempotency-Key` was sent before with another body. Send a new key.",
        )),
    }
}
