//! Tells what became of simulated payments: a signed callback over HTTP, as soon as the knobs allow, and again with growing,
//! jittered delays until it is answered 2xx. What was not answered is in the ledger, so a crash forgets nothing.

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use http::StatusCode;
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId},
    money::{AmountFen, Currency},
    ports::{Cause, SimulatedPayment, SimulatedState},
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
    signed,
};

const RETRY_FIRST: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most unanswered callbacks read from the ledger at a time.
const LOOK_MAX: u32 = 1_000;
const ANSWER_BYTES_MAX: usize = 16 * 1_024;
/// Tries after which an unanswered callback is worth an alarm.
const ALARM_AFTER: u32 = 8;

/// What can be said of a payment, in the order it happens. As a number it is the word's version: far apart, because
/// whoever asks instead of waiting counts what it hears in between.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
enum Word {
    /// A first try to pay had failed.
    FailedTry = 1,
    /// It succeeded, or it failed for good.
    Succeeded = 100,
    Failed = 101,
    Refunded = 200,
}

impl Word {
    /// What is to be told of a payment in this state.
    fn of(state: SimulatedState) -> Option<Self> {
        match state {
            SimulatedState::Succeeded => Some(Self::Succeeded),
            SimulatedState::Failed => Some(Self::Failed),
            SimulatedState::Refunded => Some(Self::Refunded),
            SimulatedState::Open | SimulatedState::Closed => None,
        }
    }

    /// What could have been told before it.
    fn older(self) -> Option<Self> {
        match self {
            Self::Succeeded => Some(Self::FailedTry),
            Self::Refunded => Some(Self::Succeeded),
            Self::FailedTry | Self::Failed => None,
        }
    }

    fn status(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::FailedTry | Self::Failed => "failed",
            Self::Refunded => "refunded",
        }
    }
}

/// A callback's body, as the contract has it.
#[derive(Debug, Serialize)]
struct Callback {
    payment: PaymentId,
    order: OrderId,
    version: u64,
    status: &'static str,
    amount_fen: AmountFen,
    currency: Currency,
    occurred_at: UnixMillis,
}

/// Which change of which payment a callback tells.
type Key = (PaymentId, Word);

/// A callback that is due: of which payment, and where to.
#[derive(Debug)]
struct Telling {
    provider: Arc<Provider>,
    client: Arc<Client>,
    url: String,
    payment: SimulatedPayment,
    word: Word,
    tries: u32,
}

/// Tells until `shutdown`.
pub(super) async fn run(provider: Arc<Provider>, shutdown: CancellationToken) {
    let settings = &provider.settings;
    let backoff = Backoff { first: RETRY_FIRST, most: settings.retry_delay_max };
    let client = Arc::new(Client::new(settings.callback_timeout));
    let mut agenda = Agenda::new(PROMPT_MAX + LOOK_MAX as usize);
    let mut tasks: JoinSet<(Key, u32, bool)> = JoinSet::new();
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let known = provider.callback_url().is_some();
        let room = known && tasks.len() < settings.callbacks_max.max(1);
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = provider.woken.notified() => {
                for payment in prompt(&provider) {
                    take_up(&mut agenda, payment, settings.knobs.delay(&provider.ports.random));
                }
            }
            Some(ended) = tasks.join_next() => match ended {
                Ok((key, _, true)) => agenda.done(key),
                Ok((key, tries, false)) => {
                    agenda.again(key, Instant::now() + backoff.after(tries, &provider.ports.random));
                }
                Err(error) => tracing::error!(%error, "a callback ended in a panic"),
            },
            () = until(agenda.wakes_at()), if room => {}
            _ = look.tick() => {
                for payment in left_behind(&provider).await {
                    take_up(&mut agenda, payment, Duration::ZERO);
                }
            }
        }
        // Where to call may have been said while we waited: that wakes the loop.
        let Some(url) = provider.callback_url() else { continue };
        while tasks.len() < settings.callbacks_max.max(1)
            && let Some(due) = agenda.next_due(Instant::now())
        {
            let telling = Telling {
                provider: Arc::clone(&provider),
                client: Arc::clone(&client),
                url: url.clone(),
                payment: due.value,
                word: due.key.1,
                tries: due.tries,
            };
            tasks.spawn(async move { (due.key, due.tries, telling.told().await) });
        }
    }
    while tasks.join_next().await.is_some() {}
}

fn take_up(agenda: &mut Agenda<Key, SimulatedPayment>, payment: SimulatedPayment, delay: Duration) {
    if let Some(word) = Word::of(payment.state) {
        let now = Instant::now();
        agenda.add_due((payment.payment, word), payment, now, now + delay);
    }
}

/// Takes what has just changed.
fn prompt(provider: &Provider) -> Vec<SimulatedPayment> {
    provider.prompt.lock().unwrap_or_else(PoisonError::into_inner).drain(..).collect()
}

/// What a crash, or too many at once, left untold.
async fn left_behind(provider: &Provider) -> Vec<SimulatedPayment> {
    let idle = provider.settings.idle_after.saturating_add(provider.settings.knobs.delay_max());
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

impl Telling {
    /// Makes the callback, as orderly as the knobs have it; whether it was answered 2xx and that is on record.
    async fn told(&self) -> bool {
        let Provider { settings, ports, .. } = &*self.provider;
        let (knobs, id) = (&settings.knobs, self.payment.payment);
        if knobs.drops(&ports.random) {
            return false;
        }
        let answered = if knobs.duplicates(id) {
            let (one, other) = tokio::join!(self.call(self.word), self.call(self.word));
            one.or(other)
        } else {
            self.call(self.word).await
        };
        if let Err(cause) = answered {
            self.not_taken(&cause);
            return false;
        }
        let told = self.provider.ask(ports.ledger.told_simulated(id, self.payment.state)).await;
        if let Some(older) = self.word.older().filter(|_| knobs.reorders(id))
            && let Err(cause) = self.call(older).await
        {
            // The newer word is there: the older one is not made again.
            tracing::debug!(payment = %id, error = &*cause, "a callback out of order was not taken");
        }
        told.is_ok()
    }

    fn not_taken(&self, cause: &Cause) {
        // A shop under load refuses many at once: a few lines a second say so as well as all of them.
        static REFUSED: Throttle = Throttle::new(1);
        let (id, tries) = (self.payment.payment, self.tries);
        if tries == ALARM_AFTER {
            tracing::error!(payment = %id, tries, error = &**cause, "a callback is not taken; it is made on");
        } else if let Some(held_back) = REFUSED.pass() {
            tracing::warn!(payment = %id, tries, held_back, error = &**cause, "a callback was not taken; it is made again");
        }
    }

    /// Makes one call; an error unless it was answered 2xx.
    async fn call(&self, word: Word) -> Result<StatusCode, Cause> {
        let (payment, version) = (&self.payment, word as u64);
        let callback = Callback {
            payment: payment.payment,
            order: payment.order,
            version,
            status: word.status(),
            amount_fen: payment.amount,
            currency: payment.currency,
            occurred_at: payment.changed_at,
        };
        let id = format!("{}.{version}", payment.payment);
        let ports = &self.provider.ports;
        let signing = (&ports.secrets, ports.clock.now());
        let request = signed::post(&self.url.parse()?, signing, &id, &callback)?;
        let status = self.client.send(request, ANSWER_BYTES_MAX).await?.status();
        if status.is_success() {
            Ok(status)
        } else {
            Err(format!("it was answered {status}").into())
        }
    }
}
