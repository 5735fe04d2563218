//! A payment provider of our own: it opens a payment, shows a page with two buttons, gives money back, and calls back over
//! HTTP what became of it, again and again until it is answered 2xx.
//!
//! It is a provider in every respect but the money: it keeps its own records (in the ledger, so that any worker answers for
//! them), signs its callbacks, and knows nothing of orders. It delays, drops, reorders, repeats and fails as its
//! [knobs](SimulatedKnobs) say, and never otherwise.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use http::Uri;
use sluice_core::{
    clock::Clock,
    ids::{PaymentId, RefundId},
    money::AmountFen,
    ports::{
        Ledger, PaymentProvider, PaymentRequest, PortResult, ProviderError, ProviderPayment,
        ProviderStatus, RefundStatus, SimulatedPayment, SimulatedRefund, SimulatedState,
    },
    random::Random,
    webhook::Secrets,
};
use sluice_http::{Routes, client, limits::Limits};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::tills::Tills;

mod knobs;
mod page;
mod teller;

use knobs::Luck;
pub use knobs::SimulatedKnobs;

/// Its name in paths and in the ledger.
const NAME: &str = "simulated";
/// Most payments whose callback waits in memory to be made at once; more are found in the ledger a little later.
const PROMPT_MAX: usize = 4_096;

/// Settings of the simulated provider.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatedSettings {
    /// What `pay_url` is built on; "" makes it relative.
    pub public_url: String,
    /// Where buyers have their places, before `/w/{sale}`: the way back once there is nothing left to press. `None` offers
    /// none; "" makes it relative, where the waiting page is at the same address.
    pub waiting_url: Option<String>,
    /// Where callbacks go, before `/v1/payments/simulated/callback`: https, or http to a loopback address. "" when the
    /// address is not known yet: see [`Simulated::call_back_to`].
    pub callback_base_url: String,
    /// Longest wait for the answer to one callback.
    pub callback_timeout: Duration,
    /// Most callbacks under way at a time; more wait their turn.
    pub callbacks_max: usize,
    /// Longest delay before a callback is made again; the delays double from 1 s up to it, with full jitter.
    pub retry_delay_max: Duration,
    /// How long a callback may rest unanswered before any worker makes it: what a crash left behind.
    pub idle_after: Duration,
    /// Longest wait for one call of the ledger.
    pub port_timeout: Duration,
    pub knobs: SimulatedKnobs,
}

impl Default for SimulatedSettings {
    fn default() -> Self {
        Self {
            public_url: String::new(),
            waiting_url: None,
            callback_base_url: String::new(),
            callback_timeout: Duration::from_secs(3),
            callbacks_max: 64,
            retry_delay_max: Duration::from_secs(128),
            idle_after: Duration::from_secs(2),
            port_timeout: Duration::from_secs(3),
            knobs: SimulatedKnobs::default(),
        }
    }
}

impl SimulatedSettings {
    /// The defaults, with these addresses.
    #[must_use]
    pub fn new(callback_base_url: impl Into<String>, public_url: impl Into<String>) -> Self {
        Self {
            callback_base_url: callback_base_url.into(),
            public_url: public_url.into(),
            ..Self::default()
        }
    }
}

/// Most requests of its pages served at a time.
const SERVED_MAX: usize = 64;

/// What the simulated provider needs of the world.
#[derive(Clone, Debug)]
pub struct SimulatedPorts {
    pub ledger: Arc<dyn Ledger>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<Random>,
    /// The first signs the callbacks.
    pub secrets: Secrets,
    /// Shared by the roles of a process.
    pub limits: Arc<Limits>,
}

/// See the module. Cheap to clone; all clones are one provider.
#[derive(Clone, Debug)]
pub struct Simulated(Arc<Provider>);

#[derive(Debug)]
struct Provider {
    settings: SimulatedSettings,
    ports: SimulatedPorts,
    callback_url: Mutex<Option<String>>,
    prompt: Mutex<VecDeque<SimulatedPayment>>,
    woken: Notify,
    tills: Tills,
}

impl Simulated {
    /// Fails when `callback_base_url` is given and is not one that may be called.
    pub fn new(settings: SimulatedSettings, ports: SimulatedPorts) -> Result<Self, client::BadUrl> {
        let base = settings.callback_base_url.clone();
        let provider = Self(Arc::new(Provider {
            settings,
            tills: Tills::new(SERVED_MAX, Arc::clone(&ports.random)),
            ports,
            callback_url: Mutex::default(),
            prompt: Mutex::default(),
            woken: Notify::new(),
        }));
        if !base.is_empty() {
            provider.call_back_to(&base)?;
        }
        Ok(provider)
    }

    /// Says where callbacks go, when that is known only once a server listens. Until then they wait.
    pub fn call_back_to(&self, base_url: &str) -> Result<(), client::BadUrl> {
        let url = format!("{}/v1/payments/{NAME}/callback", base_url.trim_end_matches('/'));
        let checked: Uri = client::check_outbound(&url)?;
        *self.0.callback_url.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(checked.to_string());
        self.0.woken.notify_one();
        Ok(())
    }

    /// The pay page.
    #[must_use]
    pub fn routes(&self) -> Routes {
        page::routes(&self.0)
    }

    /// Makes the callbacks until `shutdown`; those under way are finished, the others wait in the ledger.
    pub async fn run(&self, shutdown: CancellationToken) {
        teller::run(Arc::clone(&self.0), shutdown).await;
    }
}

impl Provider {
    async fn ask<T>(&self, call: impl Future<Output = PortResult<T>>) -> Result<T, ProviderError> {
        timeout(self.settings.port_timeout, call)
            .await
            .map_err(|elapsed| ProviderError::Unreachable(elapsed.into()))?
            .map_err(|error| ProviderError::Unreachable(error.into()))
    }

    /// Where callbacks go, if that is known yet.
    fn callback_url(&self) -> Option<String> {
        self.callback_url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has a callback made, as soon as the knobs allow.
    fn tell(&self, payment: SimulatedPayment) {
        let mut prompt = self.prompt.lock().unwrap_or_else(PoisonError::into_inner);
        if prompt.len() < PROMPT_MAX {
            prompt.push_back(payment);
        }
        drop(prompt);
        self.woken.notify_one();
    }

    /// Answers one of our own side's calls, or does not.
    async fn answer<T>(
        &self,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let lost = || ProviderError::Unreachable("the simulated provider keeps silent".into());
        match self.settings.knobs.luck(&self.ports.random) {
            Luck::Answered => call.await,
            Luck::LostOnTheWay => Err(lost()),
            Luck::AnswerLost => call.await.and_then(|_unheard| Err(lost())),
        }
    }

    async fn open(&self, request: &PaymentRequest) -> Result<ProviderPayment, ProviderError> {
        let record = SimulatedPayment {
            payment: request.payment,
            order: request.order,
            amount: request.amount,
            currency: request.currency,
            state: SimulatedState::Open,
            refunded: AmountFen(0),
            told: false,
            changed_at: self.ports.clock.now(),
        };
        let kept = self.ask(self.ports.ledger.open_simulated(record)).await?;
        if (kept.order, kept.amount, kept.currency)
            != (request.order, request.amount, request.currency)
        {
            return Err(ProviderError::Refused(
                "the id belongs to a payment of another order or amount".to_owned(),
            ));
        }
        let base = self.settings.public_url.trim_end_matches('/');
        Ok(ProviderPayment { pay_url: format!("{base}/v1/payments/{NAME}/{}", request.payment) })
    }

    async fn close(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError> {
        let ledger = &self.ports.ledger;
        let closed = ledger.step_simulated(payment, SimulatedState::Open, SimulatedState::Closed);
        match self.ask(closed).await? {
            Some(_) => Ok(ProviderStatus::Closed),
            None => self.status(payment).await,
        }
    }

    /// There is no money to send, so it is sent at once.
    async fn give_back(&self, refund: SimulatedRefund) -> Result<RefundStatus, ProviderError> {
        let Some(after) = self.ask(self.ports.ledger.refund_simulated(refund)).await? else {
            return Err(ProviderError::Refused(
                "there is not so much money of this payment".to_owned(),
            ));
        };
        if after.state == SimulatedState::Refunded && !after.told {
            self.tell(after);
        }
        Ok(RefundStatus::Done)
    }

    async fn status(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError> {
        let record = self.ask(self.ports.ledger.simulated_payment(payment)).await?;
        Ok(match record.map(|record| record.state) {
            Some(SimulatedState::Open) => ProviderStatus::Pending,
            Some(SimulatedState::Succeeded) => ProviderStatus::Succeeded,
            Some(SimulatedState::Failed) => ProviderStatus::Failed,
            Some(SimulatedState::Refunded) => ProviderStatus::Refunded,
            // One that was never opened here cannot have been paid either.
            Some(SimulatedState::Closed) | None => ProviderStatus::Closed,
        })
    }
}

#[async_trait]
impl PaymentProvider for Simulated {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn create(&self, request: &PaymentRequest) -> Result<ProviderPayment, ProviderError> {
        self.0.answer(self.0.open(request)).await
    }

    async fn close(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError> {
        self.0.answer(self.0.close(payment)).await
    }

    async fn query(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError> {
        self.0.answer(self.0.status(payment)).await
    }

    async fn refund(
        &self,
        payment: PaymentId,
        refund: RefundId,
        amount: AmountFen,
    ) -> Result<RefundStatus, ProviderError> {
        let refund = SimulatedRefund { refund, payment, amount };
        self.0.answer(self.0.give_back(refund)).await
    }
}
