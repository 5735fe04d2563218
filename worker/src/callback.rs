//! `POST /v1/payments/{provider}/callback`: the provider's word on a payment. Verified over the raw bytes before anything
//! is parsed; answered 2xx only after the ledger has committed it. Repeats and older versions are welcome and change nothing.
//!
//! One that the ledger cannot store, or about which it does not answer in time, is kept in the inbox where there is one, and
//! answered 503 in any case: the provider may repeat it, and need not.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId},
    money::{AmountFen, Currency},
    ports::{PaymentState, PaymentUpdate, PortError},
    webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use sluice_http::{Exchange, Problem, Response, Routes, json, read_json};

use tokio::time::timeout;

use crate::{
    metrics,
    orders::with,
    shared::Shared,
    word::{self, Word},
};

/// Largest callback, in bytes; a larger one is answered 413.
const BODY_BYTES_MAX: usize = 16 * 1_024;

pub(crate) fn routes(routes: Routes, shared: &Arc<Shared>) -> Routes {
    // The second is for the simulated provider, whose pay page `/v1/payments/simulated/{payment}` would else answer here.
    routes
        .post(
            "/v1/payments/{provider}/callback",
            with(shared, |shared, exchange: Exchange| async move {
                let provider = exchange.param("provider").to_owned();
                called_back(shared, exchange, &provider).await
            }),
        )
        .post(
            "/v1/payments/simulated/callback",
            with(shared, |shared, exchange| async move {
                called_back(shared, exchange, "simulated").await
            }),
        )
}

/// A callback's body. What a provider adds to it is ignored.
#[derive(Debug, Deserialize)]
struct Callback {
    payment: PaymentId,
    order: OrderId,
    version: u64,
    status: Status,
    amount_fen: AmountFen,
    currency: Currency,
    /// Checked to be a time; the order of words is told by `version`.
    #[serde(rename = "occurred_at")]
    _occurred_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Succeeded,
    Failed,
    Refunded,
}

impl From<Callback> for PaymentUpdate {
    fn from(callback: Callback) -> Self {
        Self {
            payment: callback.payment,
            order: callback.order,
            version: callback.version,
            state: match callback.status {
                Status::Succeeded => PaymentState::Succeeded,
                Status::Failed => PaymentState::Failed,
                Status::Refunded => PaymentState::Refunded,
            },
            amount: callback.amount_fen,
            currency: callback.currency,
        }
    }
}

/// What a callback did, for the provider's logs.
#[derive(Debug, Serialize)]
struct Receipt {
    result: &'static str,
}

/// A refusal, and what it counts as.
struct Refusal {
    problem: Problem,
    result: &'static str,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let result = problem.code();
        Self { problem, result }
    }
}

async fn called_back(
    shared: Arc<Shared>,
    mut exchange: Exchange,
    provider: &str,
) -> Result<Response, Problem> {
    let taken = match authentic(&shared, &mut exchange, provider).await {
        Ok(body) => take(&shared, &body).await,
        Err(problem) => {
            metrics::callback(problem.code());
            // Only what is not authentic is counted: a provider's word must never be held back.
            let allowed = shared.ports.limits.check_address(exchange.peer.address, None)?;
            return allowed.told(Err(problem));
        }
    };
    match taken {
        Ok(result) => {
            metrics::callback(result);
            Ok(json(StatusCode::OK, &Receipt { result }))
        }
        Err(Refusal { problem, result }) => {
            metrics::callback(result);
            Err(problem)
        }
    }
}

/// The body, once it is known that the provider wrote it.
async fn authentic(
    shared: &Shared,
    exchange: &mut Exchange,
    provider: &str,
) -> Result<Bytes, Problem> {
    if provider != shared.provider.name() {
        let detail = "No payment provider of this name is configured here.";
        return Err(Problem::not_found("no_such_provider", detail));
    }
    let body = exchange.body(BODY_BYTES_MAX).await?;
    let header = |name| exchange.header(name).unwrap_or_default();
    let (id, timestamp) = (header(ID_HEADER), header(TIMESTAMP_HEADER));
    let now = shared.ports.clock.now();
    let verified = shared.ports.secrets.verify(id, timestamp, header(SIGNATURE_HEADER), &body, now);
    verified.map_err(|error| {
        tracing::debug!(%error, "a payment callback is not authentic");
        let detail = format!("Standard Webhooks signature of the callback: {error}.");
        Problem::unauthorized("bad_signature", detail)
    })?;
    Ok(body)
}

/// Applies an authentic callback and says what it did.
async fn take(shared: &Shared, body: &Bytes) -> Result<&'static str, Refusal> {
    let callback: Callback = read_json(body).inspect_err(|problem| {
        let detail = problem.detail();
        tracing::error!(detail, "an authentic payment callback cannot be read");
    })?;
    let update = PaymentUpdate::from(callback);
    let applied = timeout(shared.config.callback_timeout, word::apply(shared, update.clone()))
        .await
        .unwrap_or_else(|elapsed| Err(PortError::unavailable(elapsed)));
    match applied {
        Ok(word @ (Word::Applied | Word::Ignored | Word::Surplus)) => Ok(word.as_str()),
        Ok(word @ Word::WrongAmount) => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            word.as_str(),
            "`amount_fen` or `currency` is not the payment's. Nothing was changed.",
        )
        .into()),
        Ok(word @ Word::Unknown) => {
            let detail = "There is no such `payment` of that `order`.";
            Err(Problem::not_found(word.as_str(), detail).into())
        }
        Err(error) => Err(keep(shared, &update, error).await),
    }
}

/// Keeps a callback of which nobody knows whether the ledger has stored it.
async fn keep(shared: &Shared, update: &PaymentUpdate, error: PortError) -> Refusal {
    let Some(inbox) = &shared.ports.inbox else { return Problem::from(error).into() };
    match shared.once(inbox.keep(update)).await {
        Ok(()) => {
            let problem = Problem::from(error).explained(
                "The ledger does not answer. The callback is kept and will be applied; repeating it is harmless.",
            );
            Refusal { problem, result: "kept" }
        }
        Err(lost) => {
            tracing::error!(order = %update.order, payment = %update.payment, error = &lost as &dyn std::error::Error,
                "neither the ledger nor the inbox takes a payment callback: it is left to the provider to repeat");
            Problem::from(error).into()
        }
    }
}
