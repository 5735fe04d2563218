//! `POST /v1/payments/{provider}/callback`: the provider's word on a payment. Verified over the raw bytes before anything
//! is parsed; answered 2xx only after the ledger has committed it. Repeats and older versions are welcome and change nothing.
//!
//! One that the ledger cannot store, or about which it does not answer in time, is kept in the inbox where there is one, and
//! answered 503 in any case: the provider may repeat it, and need not.
//!
//! It is applied by a task of the worker's own, and the request only waits for the answer. A ledger commits whether or not
//! somebody listens, and what it says then must reach the gate: neither a provider that hangs up nor a slow ledger loses it.

use std::{pin::pin, sync::Arc};

use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId},
    money::{AmountFen, Currency},
    ports::{PaymentState, PaymentUpdate, PortError, PortResult},
    webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use sluice_http::{Exchange, Problem, Response, Routes, json, read_json};
use tokio::{
    sync::{Semaphore, oneshot},
    time::timeout,
};
use tokio_util::task::TaskTracker;

use crate::{
    metrics,
    orders::with,
    shared::Shared,
    word::{self, Comes, Word},
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

/// What the provider hears.
type Answer = Result<&'static str, Problem>;

/// The tasks that apply callbacks, a bounded number of them.
#[derive(Debug)]
pub(crate) struct Tasks {
    tracker: TaskTracker,
    room: Arc<Semaphore>,
    most: u32,
}

impl Tasks {
    pub(crate) fn new(most: u32) -> Self {
        let most = most.max(1);
        Self { tracker: TaskTracker::new(), room: Arc::new(Semaphore::new(most as usize)), most }
    }

    /// Begins a task; `Full` without room, and once the worker ends.
    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> PortResult<()> {
        let permit = Arc::clone(&self.room).try_acquire_owned().map_err(|_| PortError::Full)?;
        self.tracker.spawn(async move {
            work.await;
            drop(permit);
        });
        Ok(())
    }

    /// Waits for those under way, and begins no more. Each ends by itself: all that it waits for has a deadline.
    pub(crate) async fn finish(&self) {
        // The semaphore is fair: whoever comes after this finds no room.
        if let Ok(all) = self.room.acquire_many(self.most).await {
            all.forget();
        }
    }
}

async fn called_back(
    shared: Arc<Shared>,
    mut exchange: Exchange,
    provider: &str,
) -> Result<Response, Problem> {
    let body = match authentic(&shared, &mut exchange, provider).await {
        Ok(body) => body,
        Err(problem) => {
            metrics::callback(problem.code());
            // Only what is not authentic is counted: a provider's word must never be held back.
            let allowed = shared.ports.limits.check_address(exchange.peer.address, None)?;
            return allowed.told(Err(problem));
        }
    };
    let begun = begin(&shared, &body).inspect_err(|problem| metrics::callback(problem.code()));
    let result = begun?.await.unwrap_or_else(|died| Err(PortError::unavailable(died).into()))?;
    Ok(json(StatusCode::OK, &Receipt { result }))
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

/// Begins to apply an authentic callback; the answer comes when it comes.
fn begin(shared: &Arc<Shared>, body: &Bytes) -> Result<oneshot::Receiver<Answer>, Problem> {
    let callback: Callback = read_json(body).inspect_err(|problem| {
        let detail = problem.detail();
        tracing::error!(detail, "an authentic payment callback cannot be read");
    })?;
    let (sender, answer) = oneshot::channel();
    shared.callbacks.spawn(take(Arc::clone(shared), callback.into(), sender))?;
    Ok(answer)
}

/// Applies a callback, answers what it did, and counts it. When the ledger does not say so within the time a provider
/// waits, the callback is kept, and the ledger's word is still followed when it comes.
async fn take(shared: Arc<Shared>, update: PaymentUpdate, sender: oneshot::Sender<Answer>) {
    let mut applying = pin!(word::apply(&shared, update.clone(), Comes::Fresh));
    let answer = |(answer, result)| {
        metrics::callback(result);
        if sender.send(answer).is_err() {
            tracing::debug!(order = %update.order, payment = %update.payment, result,
                "a provider did not wait for the answer to its callback");
        }
    };
    match timeout(shared.config.callback_timeout, &mut applying).await {
        Ok(Ok(word)) => answer(told(word)),
        Ok(Err(error)) => answer(keep(&shared, &update, error).await),
        Err(elapsed) => {
            let keeping =
                async { answer(keep(&shared, &update, PortError::silent(elapsed)).await) };
            if let ((), Err(error)) = tokio::join!(keeping, applying) {
                tracing::debug!(order = %update.order, payment = %update.payment,
                    error = &error as &dyn std::error::Error, "the ledger never said what a callback did");
            }
        }
    }
}

/// The answer to a callback of which the ledger has said what it did, and what it counts as.
fn told(word: Word) -> (Answer, &'static str) {
    let answer = match word {
        Word::Applied | Word::Ignored | Word::Surplus => Ok(word.as_str()),
        Word::WrongAmount => Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            word.as_str(),
            "`amount_fen` or `currency` is not the payment's. Nothing was changed.",
        )),
        Word::Unknown => {
            let detail = "There is no such `payment` of that `order`.";
            Err(Problem::not_found(word.as_str(), detail))
        }
    };
    (answer, word.as_str())
}

/// Keeps a callback of which nobody knows whether the ledger has stored it.
async fn keep(shared: &Shared, update: &PaymentUpdate, error: PortError) -> (Answer, &'static str) {
    let mut problem = Problem::from(error);
    let mut result = problem.code();
    if let Some(inbox) = &shared.ports.inbox {
        match shared.once(inbox.keep(update)).await {
            Ok(()) => {
                problem = problem.explained(
                    "The ledger does not answer. The callback is kept and will be applied; repeating it is harmless.",
                );
                result = "kept";
            }
            Err(lost) => {
                tracing::error!(order = %update.order, payment = %update.payment, error = &lost as &dyn std::error::Error,
                    "neither the ledger nor the inbox takes a payment callback: it is left to the provider to repeat");
            }
        }
    }
    (Err(problem), result)
}
