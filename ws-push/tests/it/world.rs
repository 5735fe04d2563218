//! One push node on a real socket, over stores and a bulletin in the test's hands.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use sluice_core::{
    basket::{Basket, Item, Wants},
    clock::{Clock, ManualClock, UnixMillis},
    ids::{EntryId, Epoch, SaleId, Seq, Version},
    line::Cursor,
    policy::RateLimit,
    ports::LineReport,
    random::Random,
    sale::{NewSale, Notice, Sale, SaleChange},
    token::{Claims, Key, Keyring, TICKET_LIFE, TOKEN_LIFE},
    view::{Directory, lookup::Lookup, object::PublicUrls},
};
use sluice_http::{
    Router, RouterSettings, Server, ServerConfig,
    limits::{DefaultLimits, Limits},
};
use sluice_ws_push::{Config, Cookies, Push, PushPorts};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{board::Board, client::Client, stores::Stores};

/// Nothing that is waited for takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
const START: UnixMillis = UnixMillis(1_800_000_000_000);

/// Paces for tests: everything that is done by time happens soon.
pub(crate) fn quick() -> Config {
    Config {
        line_interval_ms: 20,
        lookup_after_ms: 100,
        lookup_again_max_ms: 400,
        parked_lookup_ms: 200,
        reserved_lookup_ms: 60_000,
        resync_spread_ms: 50,
        sweep_interval_ms: 50,
        close_timeout_ms: 5_000,
        lookup_timeout_ms: 1_000,
        cookies: Cookies::Plain,
        ..Config::default()
    }
}

pub(crate) struct World {
    pub(crate) address: SocketAddr,
    pub(crate) stores: Arc<Stores>,
    pub(crate) board: Arc<Board>,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: ManualClock,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) random: Random,
    reports: u64,
    pub(crate) node: Node,
}

/// A push service behind an HTTP server on a free port.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    pub(crate) router: Arc<Router>,
    stop: CancellationToken,
    push: JoinSet<()>,
    _server: JoinSet<()>,
}

impl Node {
    pub(crate) async fn start(config: Config, ports: PushPorts) -> Self {
        let push = Push::build(config, ports);
        let router = Router::new(vec![push.routes()], RouterSettings::default()).unwrap();
        let router = Arc::new(router);
        let server = Server::bind(server_config(), Arc::clone(&router)).await.unwrap();
        let address = server.local_addr();
        let stop = CancellationToken::new();
        let (mut serving, mut pushing) = (JoinSet::new(), JoinSet::new());
        serving.spawn(server.run(CancellationToken::new()));
        pushing.spawn(push.run(stop.clone()));
        Self { address, router, stop, push: pushing, _server: serving }
    }

    /// Tells the service to stop and waits until it has.
    pub(crate) async fn drain(&mut self) {
        self.stop.cancel();
        let drained = timeout(DEADLINE, self.push.join_next()).await.expect("it drains in time");
        drained.expect("it is drained once").expect("it drains without a panic");
    }
}

/// One unit of the sale's first SKU.
pub(crate) fn one_of_the_first() -> Wants {
    let sale = sale("demo");
    let items = vec![Item::counted(sale.skus[0].sku.clone(), 1)];
    sale.wants(&Basket::new(items).unwrap())
}

pub(crate) fn plenty() -> DefaultLimits {
    let plenty = RateLimit { per_second: 1_000_000, burst: 1_000_000 };
    DefaultLimits { per_ip: plenty, ..DefaultLimits::default() }
}

impl World {
    /// Where addresses may ask as often as they like.
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_with(config, plenty()).await
    }

    pub(crate) async fn start_with(config: Config, limits: DefaultLimits) -> Self {
        let stores = Arc::new(Stores::default());
        let board = Arc::new(Board::new());
        let directory = Arc::new(Directory::default());
        let clock = ManualClock::at(START);
        let keyring = Arc::new(keyring("x"));
        let sale = sale("demo");
        stores.add_sale(Arc::clone(&sale));
        directory.learn_sale(sale);
        let lookup = Lookup {
            line: stores.clone(),
            ledger: stores.clone(),
            clock: Arc::new(clock.clone()),
            urls: Arc::new(PublicUrls::default()),
        };
        let ports = PushPorts {
            bulletin: board.clone(),
            line: stores.clone(),
            directory: Arc::clone(&directory),
            lookup,
            keyring: Arc::clone(&keyring),
            clock: Arc::new(clock.clone()),
            random: Arc::new(Random::seeded(1)),
            limits: Arc::new(Limits::new(limits, 1_000)),
        };
        let node = Node::start(config, ports).await;
        let world = Self {
            address: node.address,
            stores,
            board,
            directory,
            clock,
            keyring,
            random: Random::seeded(2),
            reports: 0,
            node,
        };
        eventually("the service listens to the bulletin", || world.board.listeners() > 0).await;
        world
    }

    /// Claims to a place of this number, as a fresh token of it proves them.
    pub(crate) fn claims(&self, seq: u64) -> Claims {
        let now = self.clock.now();
        Claims {
            sale: SaleId::new("demo").unwrap(),
            entry: EntryId::generate(now, &self.random),
            seq: Seq(seq),
            holes_below: 0,
            wants: one_of_the_first(),
            joined_at: now,
            held_since: now,
            expires_at: now.plus(TOKEN_LIFE),
        }
    }

    pub(crate) fn token(&self, claims: &Claims) -> String {
        self.keyring.sign_claims(claims)
    }

    pub(crate) fn ticket(&self, claims: &Claims) -> String {
        let expires_at = self.clock.now().plus(TICKET_LIFE);
        self.keyring.sign_ticket(claims, expires_at)
    }

    /// Moves the cursor, as the directory of this node hears it.
    pub(crate) fn serve(&mut self, serving: u64) {
        self.reports += 1;
        self.directory.learn_line(LineReport {
            sale: SaleId::new("demo").unwrap(),
            epoch: Epoch(1),
            version: Version(self.reports),
            cursor: Cursor { serving: Seq(serving), ..Cursor::default() },
            waiting: 10_000 - serving,
            rate_per_second: 200.0,
            rate_actual: 200.0,
            remaining: 10_000,
            unpaid: 0,
            standby: 0,
            owed: 0,
            units_per_turn: 1.0,
            skus: Vec::new(),
            sold_out: false,
            wait_p50_ms: None,
            wait_p95_ms: None,
            turns: serving,
            sale_version: Version(1),
            at: self.clock.now(),
        });
    }

    /// Changes the sale, as the directory of this node hears it.
    pub(crate) fn change(&self, change: &SaleChange) {
        let id = SaleId::new("demo").unwrap();
        let sale = self.directory.sale(&id).unwrap().sale();
        self.directory.learn_sale(Arc::new(sale.changed(change).unwrap()));
    }

    /// A text so long that the kernel's buffers fill quickly.
    pub(crate) fn shout(&self, tag: u64) {
        let texts: Notice = (0..20)
            .map(|n| (format!("aa-{n:02}"), format!("{tag:07}{}", "\u{10348}".repeat(490))))
            .collect();
        self.change(&SaleChange::Notice(Some(texts)));
    }

    /// Opens a WebSocket with a token.
    pub(crate) async fn connect(&self, claims: &Claims) -> Client {
        Client::open(self.address, "demo", "", &bearer(&self.token(claims))).await
    }

    /// Tells the service to stop and waits until it has.
    pub(crate) async fn drain(&mut self) {
        self.node.drain().await;
    }
}

pub(crate) fn bearer(token: &str) -> Vec<(String, String)> {
    vec![("sec-websocket-protocol".into(), format!("sluice.v1, bearer.{token}"))]
}

pub(crate) fn keyring(letter: &str) -> Keyring {
    Keyring::new(&[Key { id: "k1".into(), secret: letter.repeat(32) }]).unwrap()
}

pub(crate) fn sale(id: &str) -> Arc<Sale> {
    let body = serde_json::json!({
        "id": id,
        "skus": [{"sku": "standard", "stock": 10_000, "amount_fen": 9_900, "currency": "CNY"}],
    });
    let sale: NewSale = serde_json::from_value(body).unwrap();
    Arc::new(sale.build(START).unwrap())
}

fn server_config() -> ServerConfig {
    ServerConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        connections_max: 1_000,
        header_timeout: DEADLINE,
        body_timeout: DEADLINE,
        header_bytes_max: 16 * 1024,
        drain_timeout: DEADLINE,
        tls: None,
    }
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}
