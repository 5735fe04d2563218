//! A ledger in a database of its own, and what the tests put into it.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sluice_backends::postgres::{Postgres, PostgresOptions};
use sluice_core::{
    basket::{Basket, Item},
    clock::UnixMillis,
    ids::{BuyerId, EntryId, HoldId, OrderId, SaleId, Seq, SkuId},
    line::LineEntry,
    ports::{Author, Created, GateSaid, HoldReply, HoldRequest, Ledger, conformance},
    random::Random,
    sale::NewSale,
};
use tokio::time::{Instant, sleep};

use crate::server::{Server, connect, number, run};

/// How long something that must come is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

static HOUSES: AtomicU32 = AtomicU32::new(0);
static RANDOM: LazyLock<Random> = LazyLock::new(Random::system);

pub(crate) struct House {
    pub(crate) url: String,
    postgres: Option<Postgres>,
}

impl House {
    pub(crate) async fn new() -> Self {
        let url = new_database(Server::shared().await).await;
        let postgres = open(&url).await;
        Self { url, postgres: Some(postgres) }
    }
}

/// Generous limits: many suites share this machine with each other.
pub(crate) async fn open(url: &str) -> Postgres {
    let options = PostgresOptions {
        answer_timeout: Duration::from_secs(60),
        acquire_timeout: Duration::from_secs(30),
        statement_timeout: Duration::from_secs(30),
        lock_timeout: Duration::from_secs(30),
        ..PostgresOptions::new(url)
    };
    Postgres::open(options).await.unwrap()
}

/// A new, empty database on this server; its URL.
pub(crate) async fn new_database(server: &Server) -> String {
    let name = format!("house_{}", HOUSES.fetch_add(1, Ordering::Relaxed));
    server.new_database(&name).await
}

#[async_trait]
impl conformance::House for House {
    type Port = Arc<dyn Ledger>;

    fn port(&self) -> Arc<dyn Ledger> {
        self.postgres.as_ref().unwrap().ledger()
    }

    async fn crash(&mut self) {
        drop(self.postgres.take());
        // What the server still has in hand of the dead process ends before the next one looks: the rules compare several
        // readings.
        forsake(&self.url).await;
        self.postgres = Some(open(&self.url).await);
    }

    async fn pass(&self, by: Duration) {
        sleep(by).await;
    }
}

/// Ends every session on a database but our own, and waits for their ends.
pub(crate) async fn forsake(url: &str) {
    let mut admin = connect(url).await;
    let others =
        "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    run(&mut admin, &format!("SELECT pg_terminate_backend(pid) {others}")).await;
    let left = format!("SELECT count(*) {others}");
    let end = Instant::now() + PATIENCE;
    while number(&mut admin, &left).await > 0 {
        assert!(Instant::now() < end, "sessions did not end");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Looks again and again until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come within {PATIENCE:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

pub(crate) fn drop_sale() -> SaleId {
    SaleId::new("drop").unwrap()
}

pub(crate) fn author() -> Author {
    Author { name: "ops".into(), address: None }
}

/// Makes the sale `drop` with so many units of `a`.
pub(crate) async fn make_sale(ledger: &dyn Ledger, stock: u64) -> SaleId {
    let new = serde_json::json!({
        "id": "drop",
        "skus": [{ "sku": "a", "stock": stock, "amount_fen": 9900, "currency": "CNY" }],
    });
    let new: NewSale = serde_json::from_value(new).unwrap();
    let sale = new.build(UnixMillis(1_800_000_000_000)).unwrap();
    let created = ledger.create_sale(sale, &author()).await.unwrap();
    assert!(matches!(created, Created::New(_)));
    drop_sale()
}

/// A new entry of `buyer` that wants one unit of `a`.
pub(crate) fn entry(seq: u64, buyer: &str) -> LineEntry {
    let now = UnixMillis(1_800_000_000_000);
    LineEntry {
        entry: EntryId::generate(now, &RANDOM),
        buyer: BuyerId::new(buyer).unwrap(),
        seq: Seq(seq),
        holes_below: 0,
        basket: Basket::new(vec![Item::counted(SkuId::new("a").unwrap(), 1)]).unwrap(),
        joined_at: now,
        address: None,
        reach: None,
        stands_since: None,
    }
}

/// A turn of this entry, with the gate's yes.
pub(crate) fn request(line_entry: LineEntry) -> HoldRequest {
    HoldRequest {
        hold: HoldId::of_entry(line_entry.entry, 0),
        order: OrderId::generate(UnixMillis(1_800_000_000_000), &RANDOM),
        line_entry,
        gate: GateSaid::Held,
    }
}

/// Turns of so many different buyers.
pub(crate) fn turns(numbers: std::ops::Range<u64>) -> Vec<HoldRequest> {
    numbers.map(|seq| request(entry(seq, &format!("buyer-{seq}")))).collect()
}

/// The orders that these replies tell of.
pub(crate) fn orders_of(replies: &[HoldReply]) -> Vec<OrderId> {
    let order = |reply: &HoldReply| match reply {
        HoldReply::Settled { record, .. } | HoldReply::Known { record, .. } => {
            record.order.map(|order| order.order)
        }
        HoldReply::GateWrong
        | HoldReply::StandsBy
        | HoldReply::Frozen
        | HoldReply::SeatsTaken { .. } => None,
    };
    replies.iter().filter_map(order).collect()
}
