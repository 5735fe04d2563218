//! The stage: admission behind a real server on port 0, over an embedded backend in a directory of its own, with a clock
//! that tests move by hand.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use http::Method;
use serde_json::{Value, json};
use sluice_admission::{Admission, AdmissionPorts, Config, Cookies, IdentityConfig};
use sluice_backends::embedded::{Embedded, EmbeddedSettings};
use sluice_core::{
    clock::{ManualClock, UnixMillis},
    ids::{EntryId, Epoch, HoldId, OrderId, SaleId, Seq, SkuId, Version},
    line::Cursor,
    policy::RateLimit,
    ports::{
        Author, GateSaid, HoldReply, HoldRequest, LeaseReply, LineReport, Ports, Restore,
        Settlement, SkuReport, Standing, WaitingQueue,
    },
    random::Random,
    sale::{NewSale, SaleChange},
    token::{Claims, Key, Keyring, TOKEN_LIFE},
    view::{Directory, object::PublicUrls},
};
use sluice_http::{
    Router, RouterSettings, Server, ServerConfig,
    limits::{DefaultLimits, Limits},
};
use sluice_pages::{PageSettings, Pages};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::client::{Ask, Reply};

/// 2027-01-15T08:00:00Z, and a little.
pub(crate) const START: UnixMillis = UnixMillis(1_800_000_000_000);
/// The address that counts as a trusted proxy; every other is the public.
pub(crate) const PROXY: &str = "127.0.0.1";
pub(crate) const PUBLIC: &str = "127.0.0.2";

/// What a test may choose before the curtain.
pub(crate) struct Script {
    pub(crate) config: Config,
    pub(crate) limits: DefaultLimits,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) sale: Value,
    pub(crate) wrap: Box<dyn FnOnce(&mut Ports)>,
}

impl Default for Script {
    /// Header identity, wide limits, one open sale `demo` of 100 units.
    fn default() -> Self {
        let wide = RateLimit { per_second: 1_000_000, burst: 1_000_000 };
        let config = Config {
            identity: IdentityConfig::Header { name: "x-sluice-buyer".into() },
            cookies: Cookies::Plain,
            ..Config::default()
        };
        let limits = DefaultLimits { per_buyer: wide, per_device: wide, per_ip: wide };
        Self {
            config,
            limits,
            allowed_origins: Vec::new(),
            sale: sale("demo"),
            wrap: Box::new(|_| {}),
        }
    }
}

pub(crate) fn sale(id: &str) -> Value {
    json!({ "id": id, "title": "A drop", "skus": [
        { "sku": "standard", "stock": 100, "amount_fen": 9900, "currency": "CNY" },
        { "sku": "deluxe", "stock": 10, "amount_fen": 19900, "currency": "CNY" },
    ] })
}

pub(crate) fn author() -> Author {
    Author { name: "test".into(), address: None }
}

pub(crate) struct Stage {
    pub(crate) address: SocketAddr,
    pub(crate) ports: Ports,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: ManualClock,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) sale: SaleId,
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: JoinSet<()>,
    config: Config,
    limits: DefaultLimits,
    epoch: Epoch,
    random: Random,
    report: Version,
    embedded: Option<Embedded>,
    _data: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::play(Script::default()).await
    }

    pub(crate) async fn play(script: Script) -> Self {
        let data = tempfile::tempdir().unwrap();
        let clock = ManualClock::at(START);
        let embedded = Embedded::open_inline(
            &data.path().join("sluice.db"),
            Arc::new(clock.clone()),
            EmbeddedSettings::default(),
        )
        .unwrap();
        let mut ports = embedded.ports();
        (script.wrap)(&mut ports);
        let directory = Arc::new(Directory::default());
        let secret = "a secret for tests, long enough to be a key".to_owned();
        let keyring = Arc::new(Keyring::new(&[Key { id: "k1".into(), secret }]).unwrap());
        let config = Config { allowed_origins: script.allowed_origins, ..script.config };
        let mut stage = Self {
            address: SocketAddr::from(([0; 4], 0)),
            config,
            ports,
            directory,
            clock,
            keyring,
            limits: script.limits,
            sale: SaleId::new(script.sale["id"].as_str().unwrap()).unwrap(),
            shutdown: CancellationToken::new(),
            tasks: JoinSet::new(),
            epoch: Epoch(0),
            random: Random::seeded(9),
            report: Version(0),
            embedded: Some(embedded),
            _data: data,
        };
        stage.address = stage.open_door(7).await;
        stage.raise_curtain(script.sale).await;
        stage
    }

    /// An admission behind a server of its own, over the stores of the stage: the first, or one more, as on another machine.
    pub(crate) async fn open_door(&mut self, seed: u64) -> SocketAddr {
        self.open_door_of(seed, Arc::clone(&self.directory)).await
    }

    /// One more, of a node that has heard of the sale, and of nothing since.
    pub(crate) async fn open_deaf_door(&mut self, seed: u64) -> SocketAddr {
        let directory = Arc::new(Directory::default());
        let view = self.directory.sale(&self.sale).expect("the stage has a sale");
        directory.learn_sale(view.sale());
        self.open_door_of(seed, directory).await
    }

    async fn open_door_of(&mut self, seed: u64, directory: Arc<Directory>) -> SocketAddr {
        let pages = Pages::build(&PageSettings::default()).unwrap();
        let ports = AdmissionPorts {
            line: Arc::clone(&self.ports.line),
            waiting: Arc::clone(&self.ports.waiting),
            ledger: Arc::clone(&self.ports.ledger),
            bulletin: Arc::clone(&self.ports.bulletin),
            clock: Arc::new(self.clock.clone()),
            random: Arc::new(Random::seeded(seed)),
            directory,
            keyring: Arc::clone(&self.keyring),
            urls: Arc::new(PublicUrls::default()),
            limits: Arc::new(Limits::new(self.limits, 1_000_000)),
            pages: pages.clone(),
        };
        let admission = Admission::build(self.config.clone(), ports).unwrap();
        let settings = RouterSettings {
            trusted_proxies: vec![format!("{PROXY}/32").parse().unwrap()],
            allowed_origins: self.config.allowed_origins.clone(),
            allowed_hosts: None,
            any_host_paths: Vec::new(),
        };
        let router = Arc::new(
            Router::new(vec![admission.routes(), pages.assets("admission")], settings).unwrap(),
        );
        let server = Server::bind(server_config(), router).await.unwrap();
        let address = server.local_addr();
        let stop = self.shutdown.clone();
        self.tasks.spawn(async move { server.run(stop).await });
        let stop = self.shutdown.clone();
        self.tasks.spawn(async move { admission.run(stop).await });
        address
    }

    /// Every store goes away, for good.
    pub(crate) fn lose_stores(&mut self) {
        self.embedded = None;
    }

    /// Creates the sale and warms its line, as an operator and a dispatcher would.
    async fn raise_curtain(&mut self, sale: Value) {
        let new: NewSale = serde_json::from_value(sale).unwrap();
        let sale = new.build(START).unwrap();
        self.ports.waiting.declare(&sale.id).await.unwrap();
        self.ports.ledger.create_sale(sale.clone(), &author()).await.unwrap();
        self.directory.learn_sale(Arc::new(sale));
        let lease =
            self.ports.ledger.lease(&self.sale, "test", Duration::from_secs(3600)).await.unwrap();
        let LeaseReply::Held(lease) = lease else { panic!("nobody else leases: {lease:?}") };
        self.epoch = lease.epoch;
        let block = self.ports.ledger.next_block(&self.sale, 1_000_000).await.unwrap();
        self.ports
            .line
            .warm(
                &self.sale,
                self.epoch,
                Some(Restore { block, cursor: Cursor::default(), last: Seq(0) }),
            )
            .await
            .unwrap();
    }

    pub(crate) fn ask(&self, method: Method, path: impl Into<String>) -> Ask {
        Ask::new(self.address, method, path)
    }

    /// A join of `buyer`, one unit of the standard SKU, through the trusted proxy.
    pub(crate) fn joining(&self, buyer: &str) -> Ask {
        self.joining_at(self.address, buyer)
    }

    /// The same at another door.
    pub(crate) fn joining_at(&self, door: SocketAddr, buyer: &str) -> Ask {
        Ask::new(door, Method::POST, format!("/v1/sales/{}/entries", self.sale))
            .header("x-sluice-buyer", buyer)
            .json(&json!({ "items": [{ "sku": "standard", "quantity": 1 }] }))
    }

    /// Joins and answers the entry object.
    pub(crate) async fn join(&self, buyer: &str) -> Value {
        self.joining(buyer).send().await.expect(202, "")
    }

    /// A request about an entry, with its token.
    pub(crate) fn about(&self, method: Method, entry: &Value, rest: &str) -> Ask {
        self.ask(method, format!("/v1/sales/{}/entries/{}{rest}", self.sale, text(&entry["entry"])))
            .bearer(text(&entry["token"]))
    }

    pub(crate) async fn poll(&self, entry: &Value) -> Value {
        self.about(Method::GET, entry, "").send().await.expect(200, "")
    }

    pub(crate) fn claims(&self, entry: &Value) -> Claims {
        let token = text(&entry["token"]);
        self.keyring.verify_claims(token, UnixMillis(0)).unwrap().claims().clone()
    }

    /// The token of an entry as it would have been signed so that it ends `life` from now.
    pub(crate) fn token_ending_in(&self, entry: &Value, life: i64) -> String {
        let expires_at = UnixMillis(sluice_core::clock::Clock::now(&self.clock).0 + life);
        self.keyring.sign_claims(&Claims { expires_at, ..self.claims(entry) })
    }

    /// Lets the clock run until every token is expired.
    pub(crate) fn outlive_tokens(&self) {
        self.clock.advance(TOKEN_LIFE + Duration::from_secs(1));
    }

    pub(crate) async fn change(&self, change: SaleChange) {
        let changed =
            self.ports.ledger.change_sale(&self.sale, None, change, &author(), None).await.unwrap();
        let sluice_core::ports::Changed::Done(sale) = changed else {
            panic!("not changed: {changed:?}")
        };
        self.directory.learn_sale(sale);
    }

    /// Tells the edge how the line stands.
    pub(crate) fn report(&mut self, serving: u64, sold_out: bool) {
        let remaining = if sold_out { [0, 0] } else { [100, 10] };
        self.report_of(serving, sold_out, remaining);
    }

    /// The same, with what remains of the two SKUs.
    pub(crate) fn report_of(&mut self, serving: u64, sold_out: bool, remaining: [u64; 2]) {
        self.report = self.report.next();
        let known = self.directory.learn_line(LineReport {
            sale: self.sale.clone(),
            epoch: self.epoch,
            version: self.report,
            cursor: Cursor { serving: Seq(serving), ..Cursor::default() },
            waiting: 12,
            rate_per_second: 2.0,
            rate_actual: 1.5,
            remaining: remaining.iter().sum(),
            unpaid: 0,
            standby: 0,
            owed: 0,
            units_per_turn: 1.0,
            skus: ["standard", "deluxe"]
                .into_iter()
                .zip(remaining)
                .map(|(sku, remaining)| SkuReport {
                    sku: SkuId::new(sku).unwrap(),
                    remaining,
                    free_seats: Vec::new(),
                })
                .collect(),
            sold_out,
            wait_p50_ms: None,
            wait_p95_ms: None,
            turns: serving,
            sale_version: Version(1),
            at: START,
        });
        assert!(known.is_some(), "the edge must know the sale");
    }

    /// Calls an entry, as the dispatcher would, without moving the cursor.
    pub(crate) async fn call(&self, entry: &Value) -> sluice_core::line::LineEntry {
        let id: EntryId = text(&entry["entry"]).parse().unwrap();
        let found = self.ports.line.find(&self.sale, &[id]).await.unwrap();
        let line_entry = found[0].clone().expect("the line knows the entry").line_entry;
        let standings = self
            .ports
            .line
            .call(&self.sale, self.epoch, None, std::slice::from_ref(&line_entry))
            .await
            .unwrap();
        assert_eq!(standings, [Standing::Called]);
        line_entry
    }

    /// Calls an entry and reserves its goods, as dispatcher and worker would.
    pub(crate) async fn reserve(&self, entry: &Value) -> OrderId {
        let line_entry = self.call(entry).await;
        let order = OrderId::generate(START, &self.random);
        let id = line_entry.entry;
        let request =
            HoldRequest { line_entry, hold: HoldId::of_entry(id, 0), order, gate: GateSaid::Held };
        let replies = self.ports.ledger.hold(&self.sale, vec![request]).await.unwrap();
        let [HoldReply::Settled { record, .. }] = &replies[..] else {
            panic!("not reserved: {replies:?}")
        };
        let settlement = Settlement { outcome: record.outcome, live: record.is_live() };
        self.ports.line.settle(&self.sale, &[(id, settlement)]).await.unwrap();
        record.order.expect("a reserved entry has an order").order
    }

    /// The line forgets the sale, and its speaker warms it again from the ledger.
    pub(crate) async fn forget_line(&self) {
        self.ports.line.forget(&self.sale).await.unwrap();
        let epoch = self
            .ports
            .ledger
            .renew_epoch(&self.sale, "test")
            .await
            .unwrap()
            .expect("the lease is ours");
        let block = self.ports.ledger.next_block(&self.sale, 1_000_000).await.unwrap();
        let cursor = self.ports.ledger.cursor(&self.sale).await.unwrap();
        self.ports
            .line
            .warm(&self.sale, epoch, Some(Restore { block, cursor, last: Seq(0) }))
            .await
            .unwrap();
    }

    /// The entries the waiting queue has for good.
    pub(crate) async fn queued(&self) -> Vec<EntryId> {
        drain(&*self.ports.waiting, &self.sale).await
    }
}

/// Everything that waits in the queue now; it stays there.
pub(crate) async fn drain(waiting: &dyn WaitingQueue, sale: &SaleId) -> Vec<EntryId> {
    let mut drain = waiting.drain(sale).await.unwrap();
    let mut entries = Vec::new();
    // The first message may take a moment to arrive; what is there already follows at once.
    while let Ok(Ok(message)) =
        tokio::time::timeout(Duration::from_millis(300), drain.intake.next()).await
    {
        entries.extend(message.entries.iter().map(|line_entry| line_entry.entry));
    }
    entries
}

pub(crate) fn server_config() -> ServerConfig {
    ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        connections_max: 1_000,
        header_timeout: Duration::from_secs(30),
        body_timeout: Duration::from_secs(10),
        header_bytes_max: 32 * 1024,
        drain_timeout: Duration::from_secs(5),
        tls: None,
    }
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

/// Waits until `holds`, and says what it waited for when that takes too long.
pub(crate) async fn eventually<Fut: Future<Output = bool>>(
    what: &str,
    mut holds: impl FnMut() -> Fut,
) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A problem is the same whichever of these a reply is; keeps tests short.
#[track_caller]
pub(crate) fn assert_problem(reply: &Reply, status: u16, code: &str, says: &str) {
    let body = reply.expect(status, code);
    assert!(text(&body["detail"]).contains(says), "{says:?} is not in {body}");
}
