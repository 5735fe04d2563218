//! `POST /v1/payments/{provider}/callback`: the provider's word on a payment. Verified over the raw bytes before anything
//! is parsed; answered 2xx only after the ledger has committed it. Repeats and older versions are welcome and change nothing.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId},
    money::{AmountFen, Currency},
    order::OrderState,
    ports::{PaymentState, PaymentStep, PaymentUpdate},
    webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use sluice_http::{Exchange, Problem, Response, Routes, json, read_json};

use crate::{metrics, orders::with, shared::Shared};

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

async fn called_back(
    shared: Arc<Shared>,
    mut exchange: Exchange,
    provider: &str,
) -> Result<Response, Problem> {
    let applied = match authentic(&shared, &mut exchange, provider).await {
        Ok(body) => apply(&shared, &body).await,
        Err(problem) => {
            metrics::callback(problem.code());
            // Only what is not authentic is counted: a provider's word must never be held back.
            let allowed = shared.ports.limits.check_address(exchange.peer.address, None)?;
            return allowed.told(Err(problem));
        }
    };
    match applied {
        Ok(result) => {
            metrics::callback(result);
            Ok(json(StatusCode::OK, &Receipt { result }))
        }
        Err(problem) => {
            metrics::callback(problem.code());
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
async fn apply(shared: &Shared, body: &Bytes) -> Result<&'static str, Problem> {
    let callback: Callback = read_json(body).inspect_err(|problem| {
        let detail = problem.detail();
        tracing::error!(detail, "an authentic payment callback cannot be read");
    })?;
    let update = PaymentUpdate::from(callback);
    let (payment, order) = (update.payment, update.order);
    match shared.once(shared.ports.ledger.apply_payment(update)).await? {
        PaymentStep::Applied { order, gate } => {
            // Money that moved an order moved its hold too; a word that only repeats in another version moves nothing.
            if gate.is_some() || order.state == OrderState::Refunded {
                shared.entered(&order, gate);
            }
            if order.state == OrderState::Paid {
                shared.take_up(order);
            }
            Ok("applied")
        }
        PaymentStep::Ignored(_) => Ok("ignored"),
        PaymentStep::Surplus(order) => {
            tracing::error!(sale = %order.sale, order = %order.id, %payment, state = order.state.as_str(),
                "money came for an order that cannot take it: it waits for its refund");
            Ok("surplus")
        }
        PaymentStep::WrongAmount => {
            tracing::error!(%order, %payment, "a payment callback names another amount or currency than the payment has");
            Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "wrong_amount",
                "`amount_fen` or `currency` is not the payment's. Nothing was changed.",
            ))
        }
        PaymentStep::Unknown => Err(Problem::not_found(
            "no_such_payment",
            "There is no such `payment` of that `order`.",
        )),
    }
}
