//! A sale in an embedded house, warmed as its speaker would, with a worker beside it.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use sluice_backends::embedded::{Embedded, EmbeddedSettings};
use sluice_core::{
    basket::Wants,
    clock::{Clock, ManualClock, UnixMillis},
    entry::Outcome,
    event::Turn,
    ids::{BuyerId, EntryId, Epoch, OrderId, PaymentId, RefundId, SaleId, Seq, SkuId, Version},
    line::{Cursor, LineEntry},
    money::AmountFen,
    order::{Order, OrderState},
    policy::PolicyPatch,
    ports::{
        Author, Drain, DrainIntake, DrainOutlet, EntryRecord, Heard, LeaseReply, Notice,
        PaymentProvider, PaymentRequest, Ports, ProviderError, ProviderPayment, ProviderStatus,
        RefundStatus, Restore, StockBalance, Subscription,
    },
    random::Random,
    sale::NewSale,
    token::{Claims, Key, Keyring},
    view::{Directory, object::PublicUrls},
    webhook::Secrets,
};
use sluice_http::limits::{DefaultLimits, Limits};
use sluice_worker::{Config, Fulfilment, Immediate, Worker, WorkerPorts, notify::Nobody};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What must come, comes within this; a test that waits longer fails by name.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const PRICE: i64 = 9_900;

pub(crate) struct House {
    pub(crate) ports: Ports,
    pub(crate) clock: ManualClock,
    pub(crate) random: Arc<Random>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) sale: SaleId,
    pub(crate) directory: Arc<Directory>,
    /// As configured where nobody configures anything.
    pub(crate) limits: Arc<Limits>,
    epoch: Epoch,
    outlet: Arc<dyn DrainOutlet>,
    /// Kept, so that the drain goes on.
    _intake: Mutex<Box<dyn DrainIntake>>,
    _embedded: Embedded,
    _dir: TempDir,
}

/// A worker that runs until it is stopped or dropped.
pub(crate) struct Running {
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Running {
    pub(crate) fn start(worker: Worker) -> Self {
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(worker.run(shutdown.clone()));
        Self { tasks, shutdown }
    }

    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        tokio::time::timeout(PATIENCE, self.tasks.join_next()).await.expect("the worker stops");
    }

    /// As a process dies: between two instructions, without a farewell.
    pub(crate) async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

impl House {
    /// A warm sale `drop` with `stock` units of one SKU.
    pub(crate) async fn open(stock: u64) -> Self {
        Self::open_with(stock, PolicyPatch::default()).await
    }

    pub(crate) async fn open_with(stock: u64, policy: PolicyPatch) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(UnixMillis(1_800_000_000_000));
        let embedded = Embedded::open_inline(
            &dir.path().join("sluice.db"),
            Arc::new(clock.clone()),
            EmbeddedSettings::default(),
        )
        .unwrap();
        let ports = embedded.ports();
        let sale = create_sale(&ports, "drop", stock, policy, clock.now()).await;
        let epoch = warm(&ports, &sale).await;
        let Drain { intake, outlet } = ports.waiting.drain(&sale).await.unwrap();
        let key = Key { id: "k1".into(), secret: "0123456789abcdef0123456789abcdef".into() };
        Self {
            ports,
            clock,
            random: Arc::new(Random::seeded(7)),
            keyring: Arc::new(Keyring::new(&[key]).unwrap()),
            sale,
            directory: Arc::default(),
            limits: Arc::new(Limits::new(DefaultLimits::default(), 1_000)),
            epoch,
            outlet,
            _intake: Mutex::new(intake),
            _embedded: embedded,
            _dir: dir,
        }
    }

    pub(crate) fn worker_ports(&self) -> WorkerPorts {
        WorkerPorts {
            line: Arc::clone(&self.ports.line),
            turns: Arc::clone(&self.ports.turns),
            gate: Arc::clone(&self.ports.gate),
            ledger: Arc::clone(&self.ports.ledger),
            bulletin: Arc::clone(&self.ports.bulletin),
            inbox: None,
            notifier: Arc::new(Nobody),
            clock: Arc::new(self.clock.clone()),
            random: Arc::clone(&self.random),
            keyring: Arc::clone(&self.keyring),
            urls: Arc::new(PublicUrls::default()),
            secrets: Secrets::new(&[SECRET]).unwrap(),
            directory: Arc::clone(&self.directory),
            limits: Arc::clone(&self.limits),
        }
    }

    /// A worker with a provider nobody needs.
    pub(crate) fn worker(&self) -> Worker {
        self.worker_over(self.worker_ports(), Config::default())
    }

    pub(crate) fn worker_over(&self, ports: WorkerPorts, config: Config) -> Worker {
        let fulfilment: Arc<dyn Fulfilment> = Arc::new(Immediate);
        Worker::build(config, ports, Arc::new(NoProvider), fulfilment)
    }

    /// New entries `1..=count` of different buyers, one unit each.
    pub(crate) fn entries(&self, count: u64) -> Vec<LineEntry> {
        (1..=count).map(|seq| self.entry(seq, &format!("buyer-{seq}"), 1)).collect()
    }

    pub(crate) fn entry(&self, seq: u64, buyer: &str, quantity: u32) -> LineEntry {
        let now = self.clock.now();
        LineEntry {
            entry: EntryId::generate(now, &self.random),
            buyer: BuyerId::new(buyer).unwrap(),
            seq: Seq(seq),
            holes_below: 0,
            basket: serde_json::from_value(
                serde_json::json!([{"sku": "standard", "quantity": quantity}]),
            )
            .unwrap(),
            joined_at: now,
            address: None,
            reach: None,
            stands_since: None,
        }
    }

    pub(crate) fn turn(&self, entry: &LineEntry) -> Turn {
        Turn {
            sale: self.sale.clone(),
            line_entry: entry.clone(),
            epoch: self.epoch,
            attempt: 1,
            called_at: self.clock.now(),
        }
    }

    /// Calls and releases entries, as the dispatcher does.
    pub(crate) async fn release(&self, entries: &[LineEntry]) {
        self.ports.line.call(&self.sale, self.epoch, None, entries).await.unwrap();
        self.release_again(entries).await;
    }

    /// Releases entries that were called before: what a crash between release and acknowledgement does.
    pub(crate) async fn release_again(&self, entries: &[LineEntry]) {
        let turns = entries.iter().map(|entry| self.turn(entry)).collect();
        self.outlet.release(turns).await.unwrap();
    }

    /// The gate loses everything and is rebuilt from the ledger.
    pub(crate) async fn forget_gate(&self) {
        let gate = &self.ports.gate;
        gate.forget(&self.sale).await.unwrap();
        let image = self.ports.ledger.gate_image(&self.sale).await.unwrap();
        gate.rebuild(&self.sale, self.epoch, image).await.unwrap();
    }

    /// Until no turn is in the queue.
    pub(crate) async fn drained(&self) {
        until("every turn is acknowledged", async || {
            self.ports.turns.depths().await.unwrap().turns == 0
        })
        .await;
    }

    pub(crate) async fn records(&self, entries: &[LineEntry]) -> Vec<EntryRecord> {
        let ids: Vec<EntryId> = entries.iter().map(|entry| entry.entry).collect();
        let records = self.ports.ledger.entries(&ids).await.unwrap();
        records.into_iter().map(|record| record.expect("an outcome")).collect()
    }

    pub(crate) async fn outcomes(&self, entries: &[LineEntry]) -> Vec<Outcome> {
        self.records(entries).await.into_iter().map(|record| record.outcome).collect()
    }

    /// Makes orders of entries and answers their ids, in order.
    pub(crate) async fn order(&self, entries: &[LineEntry]) -> Vec<OrderId> {
        let worker = Running::start(self.worker());
        self.release(entries).await;
        self.drained().await;
        worker.stop().await;
        let records = self.records(entries).await;
        records.into_iter().map(|record| record.order.expect("an order").order).collect()
    }

    pub(crate) async fn balance(&self) -> StockBalance {
        self.ports.ledger.stock(&self.sale).await.unwrap().remove(0)
    }

    pub(crate) async fn orders_in(&self, state: OrderState) -> u64 {
        let counts = self.ports.ledger.order_counts(&self.sale).await.unwrap();
        counts.iter().filter(|count| count.state == state).map(|count| count.count).sum()
    }

    pub(crate) async fn order_in(&self, order: OrderId, state: OrderState) -> Order {
        let what = format!("the order is {}", state.as_str());
        until(&what, async || self.find(order).await.state == state).await;
        self.find(order).await
    }

    pub(crate) async fn find(&self, order: OrderId) -> Order {
        self.ports.ledger.order(order).await.unwrap().expect("the order")
    }

    /// `no-oversell`, from outside: the books add up, and the gate has exactly what the ledger has.
    pub(crate) async fn assert_balanced(&self) {
        let balance = self.balance().await;
        let sum = balance.available + balance.owed + balance.held + balance.sold;
        assert_eq!(sum, balance.total, "{balance:?}");
        until("the gate has followed the ledger", async || {
            let levels = self.ports.gate.levels(&self.sale).await.unwrap();
            let balance = self.balance().await;
            levels[0].available == balance.available
                && levels[0].held == balance.held
                && levels[0].in_flight == 0
        })
        .await;
    }

    pub(crate) async fn listen(&self) -> Box<dyn Subscription> {
        self.ports.bulletin.subscribe().await.unwrap()
    }

    pub(crate) fn token(&self, entry: &LineEntry) -> String {
        self.token_until(entry, self.clock.now().plus(Duration::from_secs(900)))
    }

    pub(crate) fn token_until(&self, entry: &LineEntry, expires_at: UnixMillis) -> String {
        let claims = Claims {
            sale: self.sale.clone(),
            entry: entry.entry,
            seq: entry.seq,
            holes_below: 0,
            wants: Wants::default(),
            joined_at: entry.joined_at,
            held_since: entry.joined_at,
            expires_at,
        };
        self.keyring.sign_claims(&claims)
    }

    pub(crate) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    pub(crate) fn new_payment(&self) -> PaymentId {
        PaymentId::generate(self.clock.now(), &self.random)
    }
}

pub(crate) async fn create_sale(
    ports: &Ports,
    id: &str,
    stock: u64,
    policy: PolicyPatch,
    now: UnixMillis,
) -> SaleId {
    let new: NewSale = serde_json::from_value(serde_json::json!({
        "id": id,
        "skus": [{"sku": "standard", "stock": stock, "amount_fen": PRICE, "currency": "CNY"}],
    }))
    .unwrap();
    let author = Author { name: "test".into(), address: None };
    let sale = NewSale { policy, ..new }.build(now).unwrap();
    let id = sale.id.clone();
    ports.ledger.create_sale(sale, &author).await.unwrap();
    ports.waiting.declare(&id).await.unwrap();
    id
}

/// Makes line and gate of a sale warm, as whoever speaks for it does.
pub(crate) async fn warm(ports: &Ports, sale: &SaleId) -> Epoch {
    let lease = ports.ledger.lease(sale, "test", Duration::from_secs(3_600)).await.unwrap();
    let LeaseReply::Held(lease) = lease else { panic!("somebody else speaks: {lease:?}") };
    let block = ports.ledger.next_block(sale, 100_000).await.unwrap();
    let restore = Some(Restore { block, cursor: Cursor::default(), last: Seq(0) });
    ports.line.warm(sale, lease.epoch, restore).await.unwrap();
    let image = ports.ledger.gate_image(sale).await.unwrap();
    ports.gate.rebuild(sale, lease.epoch, image).await.unwrap();
    lease.epoch
}

/// Waits for something that must come true.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Listens until a notice fits.
pub(crate) async fn hear(heard: &mut dyn Subscription, what: &str, fits: impl Fn(&Notice) -> bool) {
    let listening = async {
        loop {
            if let Heard::Notice(notice) = heard.next().await.unwrap()
                && fits(&notice)
            {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.unwrap_or_else(|_| panic!("not heard: {what}"));
}

/// Whether a notice tells of an entry with this version.
pub(crate) fn tells(notice: &Notice, entry: EntryId, version: Version) -> bool {
    matches!(notice, Notice::Entries { entries, .. }
        if entries.iter().any(|told| told.entry == entry && told.version == version))
}

pub(crate) fn is_wake_up(notice: &Notice) -> bool {
    matches!(notice, Notice::StockReturned { .. })
}

pub(crate) fn foreign_sku() -> SkuId {
    SkuId::new("not-sold-here").unwrap()
}

/// For tests without money.
#[derive(Debug)]
struct NoProvider;

#[async_trait]
impl PaymentProvider for NoProvider {
    fn name(&self) -> &'static str {
        "none"
    }

    async fn create(&self, _: &PaymentRequest) -> Result<ProviderPayment, ProviderError> {
        Err(ProviderError::Refused("no money here".into()))
    }

    async fn close(&self, _: PaymentId) -> Result<ProviderStatus, ProviderError> {
        Ok(ProviderStatus::Closed)
    }

    async fn query(&self, _: PaymentId) -> Result<ProviderStatus, ProviderError> {
        Ok(ProviderStatus::Closed)
    }
    async fn refund(
        &self,
        _: PaymentId,
        _: RefundId,
        _: AmountFen,
    ) -> Result<RefundStatus, ProviderError> {
        Err(ProviderError::Refused("no money here".into()))
    }
}
