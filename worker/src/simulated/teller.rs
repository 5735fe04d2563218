//! Tells what became of simulated payments: a signed callback over HTTP, at once when a button was pressed, and again with
//! growing, jittered delays until it is answered 2xx. What was not answered is in the ledger, so a crash forgets nothing.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, header::CONTENT_TYPE};
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId},
    money::{AmountFen, Currency},
    ports::{Cause, SimulatedPayment, SimulatedState},
    webhook::{ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER},
};
use sluice_http::{Throttle, client::Client};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{PROMPT_MAX, Provider};
use crate::{
    agenda::{Agenda, until},
    backoff::Backoff,
};

/// A simulated payment changes once, so there is one word on it.
const VERSION: u64 = 1;
const RETRY_FIRST: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most unanswered callbacks read from the ledger at a time.
const LOOK_MAX: u32 = 1_000;
const ANSWER_BYTES_MAX: usize = 16 * 1_024;
/// Tries after which an unanswered callback is worth an alarm.
const ALARM_AFTER: u32 = 8;

/// A callback's body, as the contract has it.
#[derive(Debug, Serialize)]
struct Word {
    payment: PaymentId,
    order: OrderId,
    version: u64,
    status: &'static str,
    amount_fen: AmountFen,
    currency: Currency,
    occurred_at: UnixMillis,
}

/// Tells until `shutdown`.
pub(super) async fn run(provider: Arc<Provider>, shutdown: CancellationToken) {
    let settings = &provider.settings;
    let backoff = Backoff { first: RETRY_FIRST, most: settings.retry_delay_max };
    let client = Arc::new(Client::new(settings.callback_timeout));
    let mut agenda = Agenda::new(PROMPT_MAX + LOOK_MAX as usize);
    let mut tasks: JoinSet<(PaymentId, u32, bool)> = JoinSet::new();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let known = provider.callback_url().is_some();
        let room = known && tasks.len() < settings.callbacks_max.max(1);
        let found = tokio::select! {
            () = shutdown.cancelled() => break,
            () = provider.woken.notified() => prompt(&provider),
            Some(ended) = tasks.join_next() => {
                match ended {
                    Ok((payment, _, true)) => agenda.done(payment),
                    Ok((payment, tries, false)) => {
                        agenda.again(payment, Instant::now() + backoff.after(tries, &provider.ports.random));
                    }
                    Err(error) => tracing::error!(%error, "a callback ended in a panic"),
                }
                Vec::new()
            }
            () = until(agenda.wakes_at()), if room => Vec::new(),
            _ = look.tick() => left_behind(&provider).await,
        };
        for payment in found {
            agenda.add(payment.payment, payment, Instant::now());
        }
        // Where to call may have been said while we waited: that wakes the loop.
        let Some(url) = provider.callback_url() else { continue };
        while tasks.len() < settings.callbacks_max.max(1)
            && let Some(due) = agenda.next_due(Instant::now())
        {
            let (provider, client, url) = (Arc::clone(&provider), Arc::clone(&client), url.clone());
            tasks.spawn(async move {
                let told = told(&provider, &client, &url, &due.value, due.tries).await;
                (due.key, due.tries, told)
            });
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Takes what was just pressed.
fn prompt(provider: &Provider) -> Vec<SimulatedPayment> {
    provider.prompt.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}

/// What a crash, or too many at once, left untold.
async fn left_behind(provider: &Provider) -> Vec<SimulatedPayment> {
    let idle = provider.settings.idle_after;
    match provider.ask(provider.ports.ledger.untold_simulated(idle, LOOK_MAX)).await {
        Ok(untold) => untold,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "unanswered callbacks cannot be looked up now"
            );
            Vec::new()
        }
    }
}

/// Makes one callback; whether it was answered 2xx and that is on record.
async fn told(
    provider: &Provider,
    client: &Client,
    url: &str,
    payment: &SimulatedPayment,
    tries: u32,
) -> bool {
    let failure: Cause = match call(provider, client, payment, url).await {
        Ok(status) if status.is_success() => {
            return provider
                .ask(provider.ports.ledger.told_simulated(payment.payment))
                .await
                .is_ok();
        }
        Ok(status) => format!("it was answered {status}").into(),
        Err(cause) => cause,
    };
    // A shop under load refuses many at once: a few lines a second say so as well as all of them.
    static REFUSED: Throttle = Throttle::new(1);
    if tries == ALARM_AFTER {
        tracing::error!(payment = %payment.payment, tries, error = &*failure, "a callback is not taken; it is made on");
    } else if let Some(held_back) = REFUSED.pass() {
        tracing::warn!(payment = %payment.payment, tries, held_back, error = &*failure, "a callback was not taken; it is made again");
    }
    false
}

async fn call(
    provider: &Provider,
    client: &Client,
    payment: &SimulatedPayment,
    url: &str,
) -> Result<http::StatusCode, Cause> {
    let word = Word {
        payment: payment.payment,
        order: payment.order,
        version: VERSION,
        status: match payment.state {
            SimulatedState::Succeeded => "succeeded",
            SimulatedState::Failed => "failed",
            SimulatedState::Open | SimulatedState::Closed => {
                return Err("an open or closed payment has nothing to tell".into());
            }
        },
        amount_fen: payment.amount,
        currency: payment.currency,
        occurred_at: payment.changed_at,
    };
    let body = Bytes::from(serde_json::to_vec(&word)?);
    let id = format!("{}.{VERSION}", payment.payment);
    let signed = provider.ports.secrets.sign(&id, provider.ports.clock.now(), &body);
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/json")
        .header(ID_HEADER, signed.id)
        .header(TIMESTAMP_HEADER, signed.timestamp)
        .header(SIGNATURE_HEADER, signed.signature)
        .body(body)?;
    Ok(client.send(request, ANSWER_BYTES_MAX).await?.status())
}
