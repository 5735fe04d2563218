//! One simulated world: the roles over the embedded ports behind faults, life after life on the same file, and the
//! provider they pay through. Single-threaded, on paused time: a minute of sale takes milliseconds, and a seed is a run.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::SeqCst},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use serde_json::json;
use sluice_admission::{Admission, AdmissionPorts, Config as AdmissionConfig, IdentityConfig};
use sluice_backends::embedded::{Embedded, EmbeddedSettings, OpenError};
use sluice_core::{
    clock::{Clock, TokioClock, UnixMillis},
    ids::{PaymentId, RefundId, SaleId},
    money::AmountFen,
    policy::RateLimit,
    ports::*,
    random::Random,
    sale::NewSale,
    token::{Key, Keyring},
    view::{
        Directory,
        follow::{self, Sources},
        object::PublicUrls,
    },
    webhook::Secrets,
};
use sluice_dispatcher::{Config as DispatcherConfig, Dispatcher, DispatcherPorts};
use sluice_http::{
    Router, RouterSettings,
    limits::{DefaultLimits, Limits},
};
use sluice_pages::{PageSettings, Pages};
use sluice_worker::{Config as WorkerConfig, Immediate, Worker, WorkerPorts, notify::Nobody};
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    buyer::Door,
    decorated::Faulty,
    faults::{Faults, Sabotage},
    history::History,
    queues::FaultyWaiting,
};

/// 2026-11-11T12:00:00Z.
const START: UnixMillis = UnixMillis(1_794_398_400_000);

pub(crate) struct World {
    pub(crate) door: Arc<Door>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) history: Arc<History>,
    random: Arc<Random>,
    clock: Arc<TokioClock>,
    file: PathBuf,
    secrets: Secrets,
    keyring: Arc<Keyring>,
    provider: Arc<Provider>,
    lives: u32,
    /// How the stores stood when the last life ended, for whoever looks into a seed that failed.
    pub(crate) end: String,
}

impl World {
    pub(crate) fn new(file: PathBuf, seed: u64, faults: Arc<Faults>) -> Self {
        let door = Arc::new(Door::default());
        let secrets = Secrets::new(&["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]).unwrap();
        let clock = Arc::new(TokioClock::starting_at(START));
        let random = Arc::new(Random::seeded(seed ^ 0xb07));
        Self {
            provider: Arc::new(Provider {
                payments: Mutex::default(),
                door: Arc::clone(&door),
                secrets: secrets.clone(),
                clock: Arc::clone(&clock),
                calls: Mutex::default(),
            }),
            keyring: Arc::new(
                Keyring::new(&[Key { id: "k1".into(), secret: "x".repeat(32) }]).unwrap(),
            ),
            history: Arc::new(History::begin()),
            door,
            faults,
            random,
            clock,
            file,
            secrets,
            lives: 0,
            end: String::new(),
        }
    }

    /// Makes the sale, before anything can go wrong.
    pub(crate) async fn open_sale(&self, sale: NewSale) {
        let embedded = self.embedded();
        let ports = embedded.ports();
        let author = Author { name: "sim".into(), address: None };
        ports.waiting.declare(&sale.id).await.unwrap();
        ports.ledger.create_sale(sale.build(self.clock.now()).unwrap(), &author).await.unwrap();
        drop(ports);
        embedded.close().await;
    }

    /// The books, read when everything is over.
    pub(crate) async fn balances(&self) -> Vec<StockBalance> {
        let embedded = self.embedded();
        let ports = embedded.ports();
        let sale = ports.ledger.sales().await.unwrap().remove(0);
        let mut balances = ports.ledger.stock(&sale.id).await.unwrap();
        if self.faults.sabotage == Sabotage::Oversold {
            // What a ledger without its constraint would have done.
            balances[0].sold += 1;
        }
        balances
    }

    /// A process that another test begins at this moment has our open files until it is itself, the lock among them.
    #[expect(
        clippy::disallowed_methods,
        reason = "time is paused, and the others are not ours to wait for"
    )]
    fn embedded(&self) -> Embedded {
        for _ in 0..1_000 {
            let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
            match Embedded::open_inline(&self.file, clock, EmbeddedSettings::default()) {
                Err(OpenError::InUse { .. }) => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                opened => return opened.unwrap(),
            }
        }
        panic!("the file stays in use");
    }

    /// Lives until `over`: each crash is followed by another life on the same file.
    pub(crate) async fn live(&mut self, over: CancellationToken) {
        while !over.is_cancelled() {
            let crashed = self.faults.begin_life();
            self.lives += 1;
            let embedded = self.embedded();
            let mut tasks = JoinSet::new();
            let started = tokio::select! {
                biased;
                started = self.start(&embedded, &mut tasks) => started,
                () = crashed.cancelled() => false,
            };
            if started {
                tokio::select! {
                    biased;
                    () = crashed.cancelled() => {}
                    () = over.cancelled() => {}
                    ended = tasks.join_next() => panic!("a role ended by itself: {ended:?}"),
                }
            }
            self.door.shut();
            tasks.shutdown().await;
            if over.is_cancelled() {
                self.end = look(&embedded.ports()).await;
            }
            drop(embedded);
            sleep(Duration::from_millis(50 + self.random.below(1_500))).await;
        }
    }

    /// Puts every role on its feet; `false` if a store did not answer.
    async fn start(&self, embedded: &Embedded, tasks: &mut JoinSet<()>) -> bool {
        let ports = self.behind_faults(&embedded.ports());
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let directory = Arc::new(Directory::default());
        let sources = Sources {
            bulletin: Arc::clone(&ports.bulletin),
            ledger: Arc::clone(&ports.ledger),
            line: Arc::clone(&ports.line),
        };
        if follow::pull(&directory, &sources).await.is_err() {
            return false;
        }
        let urls = Arc::new(PublicUrls::default());
        let plenty = RateLimit { per_second: 1_000, burst: 1_000 };
        let plenty = DefaultLimits { per_buyer: plenty, per_device: plenty, per_ip: plenty };
        let limits = Arc::new(Limits::new(plenty, 10_000));
        let admission = self.admission(&ports, &directory, &urls, &limits);
        let worker = self.worker(&ports, &directory, &urls, &limits);
        let dispatcher = Dispatcher::build(
            DispatcherConfig::new(format!("life-{}", self.lives)),
            DispatcherPorts {
                line: Arc::clone(&ports.line),
                waiting: Arc::clone(&ports.waiting),
                turns: Arc::clone(&ports.turns),
                gate: Arc::clone(&ports.gate),
                ledger: Arc::clone(&ports.ledger),
                bulletin: Arc::clone(&ports.bulletin),
                clock,
                random: Arc::clone(&self.random),
            },
        )
        .unwrap();
        let settings = RouterSettings {
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            allowed_origins: Vec::new(),
            allowed_hosts: None,
            any_host_paths: Vec::new(),
        };
        let router = Router::new(
            vec![admission.routes(), worker.routes(), self.provider.routes()],
            settings,
        )
        .unwrap();
        let never = CancellationToken::new();
        let stop = || never.clone();
        let (a, b, c, d) = (stop(), stop(), stop(), stop());
        tasks.spawn(async move { follow::follow(directory, sources, a).await });
        tasks.spawn(async move { admission.run(b).await });
        tasks.spawn(async move { dispatcher.run(c).await });
        tasks.spawn(async move { worker.run(d).await });
        self.door.open(Arc::new(router));
        true
    }

    fn admission(
        &self,
        ports: &Ports,
        directory: &Arc<Directory>,
        urls: &Arc<PublicUrls>,
        limits: &Arc<Limits>,
    ) -> Arc<Admission> {
        let config = AdmissionConfig {
            identity: IdentityConfig::Header { name: "x-sluice-buyer".into() },
            ..AdmissionConfig::default()
        };
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let ports = AdmissionPorts {
            line: Arc::clone(&ports.line),
            waiting: Arc::clone(&ports.waiting),
            ledger: Arc::clone(&ports.ledger),
            bulletin: Arc::clone(&ports.bulletin),
            clock,
            random: Arc::clone(&self.random),
            directory: Arc::clone(directory),
            keyring: Arc::clone(&self.keyring),
            urls: Arc::clone(urls),
            limits: Arc::clone(limits),
            pages: Pages::build(&PageSettings::default()).unwrap(),
        };
        Admission::build(config, ports).unwrap()
    }

    fn worker(
        &self,
        ports: &Ports,
        directory: &Arc<Directory>,
        urls: &Arc<PublicUrls>,
        limits: &Arc<Limits>,
    ) -> Worker {
        let clock: Arc<dyn Clock> = Arc::clone(&self.clock) as Arc<dyn Clock>;
        let ports = WorkerPorts {
            line: Arc::clone(&ports.line),
            turns: Arc::clone(&ports.turns),
            gate: Arc::clone(&ports.gate),
            ledger: Arc::clone(&ports.ledger),
            bulletin: Arc::clone(&ports.bulletin),
            inbox: ports.inbox.clone(),
            notifier: Arc::new(Nobody),
            clock,
            random: Arc::clone(&self.random),
            keyring: Arc::clone(&self.keyring),
            urls: Arc::clone(urls),
            secrets: self.secrets.clone(),
            directory: Arc::clone(directory),
            limits: Arc::clone(limits),
        };
        let provider: Arc<dyn PaymentProvider> =
            Arc::clone(&self.provider) as Arc<dyn PaymentProvider>;
        Worker::build(WorkerConfig::default(), ports, provider, Arc::new(Immediate))
    }

    fn behind_faults(&self, ports: &Ports) -> Ports {
        let faults = || Arc::clone(&self.faults);
        Ports {
            line: Arc::new(Faulty { inner: Arc::clone(&ports.line), faults: faults() }),
            waiting: Arc::new(FaultyWaiting {
                inner: Arc::clone(&ports.waiting),
                faults: faults(),
                history: Arc::clone(&self.history),
            }),
            turns: Arc::new(Faulty { inner: Arc::clone(&ports.turns), faults: faults() }),
            bulletin: Arc::new(Faulty { inner: Arc::clone(&ports.bulletin), faults: faults() }),
            gate: Arc::new(Faulty { inner: Arc::clone(&ports.gate), faults: faults() }),
            ledger: Arc::new(Faulty { inner: Arc::clone(&ports.ledger), faults: faults() }),
            letters: Arc::clone(&ports.letters),
            inbox: ports.inbox.clone(),
        }
    }
}

/// Everything that can keep a line from ending.
async fn look(ports: &Ports) -> String {
    let sale = SaleId::new("sim").unwrap();
    let (line, gate) = (ports.line.snapshot(&sale).await, ports.gate.levels(&sale).await);
    let ledger = &ports.ledger;
    let (cursor, stock) = (ledger.cursor(&sale).await, ledger.stock(&sale).await);
    let (orders, lease) =
        (ledger.order_counts(&sale).await, ledger.lease(&sale, "look", Duration::ZERO).await);
    let turns = ports.turns.depths().await;
    let mut waiting = Vec::new();
    if let Ok(mut drain) = ports.waiting.drain(&sale).await {
        while let Ok(Some(message)) = drain.intake.try_next() {
            waiting.push(message);
        }
    }
    format!(
        "{line:?}\n{gate:?}\n{cursor:?}\n{stock:?}\n{orders:?}\n{lease:?}\n{turns:?}\n{waiting:#?}"
    )
}

/// A payment company outside the simulated process: it survives its crashes, and calls back until it is heard.
#[derive(Debug)]
pub(crate) struct Provider {
    payments: Mutex<HashMap<PaymentId, (PaymentRequest, ProviderStatus)>>,
    door: Arc<Door>,
    secrets: Secrets,
    clock: Arc<TokioClock>,
    calls: Mutex<JoinSet<()>>,
}

impl Provider {
    fn status(&self, payment: PaymentId) -> ProviderStatus {
        let payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        payments.get(&payment).map_or(ProviderStatus::Closed, |(_, status)| *status)
    }

    /// The pay page: anybody who knows the link may pay while the payment is open.
    fn routes(self: &Arc<Self>) -> sluice_http::Routes {
        let provider = Arc::clone(self);
        sluice_http::Routes::new("provider").post("/provider/{payment}", move |exchange| {
            let provider = Arc::clone(&provider);
            async move {
                let payment: PaymentId = exchange.param("payment").parse().unwrap();
                Ok(sluice_http::empty(if provider.pay(payment) {
                    http::StatusCode::OK
                } else {
                    http::StatusCode::CONFLICT
                }))
            }
        })
    }

    fn pay(self: &Arc<Self>, payment: PaymentId) -> bool {
        let mut payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((request, status)) = payments.get_mut(&payment) else { return false };
        if *status != ProviderStatus::Pending {
            return false;
        }
        *status = ProviderStatus::Succeeded;
        let (provider, request) = (Arc::clone(self), request.clone());
        self.calls
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .spawn(async move { provider.call_back(request).await });
        true
    }

    async fn call_back(&self, request: PaymentRequest) {
        let body = json!({
            "payment": request.payment, "order": request.order, "version": 1, "status": "succeeded",
            "amount_fen": request.amount, "currency": request.currency, "occurred_at": self.clock.now(),
        })
        .to_string();
        loop {
            let signed =
                self.secrets.sign(&request.payment.to_string(), self.clock.now(), body.as_bytes());
            let call = Request::post("/v1/payments/sim/callback")
                .header("host", "sim")
                .header("content-type", "application/json")
                .header("webhook-id", signed.id)
                .header("webhook-timestamp", signed.timestamp)
                .header("webhook-signature", signed.signature)
                .body(Full::new(Bytes::from(body.clone())))
                .unwrap();
            if let Some((200, _)) = self.door.ask(0, call).await {
                return;
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
}

#[async_trait]
impl PaymentProvider for Provider {
    fn name(&self) -> &'static str {
        "sim"
    }

    async fn create(&self, request: &PaymentRequest) -> Result<ProviderPayment, ProviderError> {
        let mut payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        payments
            .entry(request.payment)
            .or_insert_with(|| (request.clone(), ProviderStatus::Pending));
        Ok(ProviderPayment { pay_url: format!("/provider/{}", request.payment) })
    }

    async fn close(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError> {
        let mut payments = self.payments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, status)) = payments.get_mut(&payment)
            && *status == ProviderStatus::Pending
        {
            *status = ProviderStatus::Closed;
        }
        drop(payments);
        Ok(self.status(payment))
    }

    async fn query(&self, payment: PaymentId) -> Result<ProviderStatus, ProviderError> {
        Ok(self.status(payment))
    }

    async fn refund(
        &self,
        payment: PaymentId,
        _: RefundId,
        _: AmountFen,
    ) -> Result<RefundStatus, ProviderError> {
        match self.status(payment) {
            ProviderStatus::Succeeded | ProviderStatus::Refunded => Ok(RefundStatus::Done),
            ProviderStatus::Pending | ProviderStatus::Failed | ProviderStatus::Closed => {
                Err(ProviderError::Refused("it was never paid".into()))
            }
        }
    }
}

impl World {
    pub(crate) fn crashes(&self) -> u64 {
        self.faults.crashes.load(SeqCst)
    }
}
