//! Turns become orders in PostgreSQL, with every row the ledger needs: those a worker has in hand, and those that lie in the queue
//! and pass the gate first; and beside them, how many bare rows of one table the same server commits.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

use sluice_backends::postgres::{Postgres, PostgresOptions};
use sluice_core::{clock::Clock, event::Turn, ids::EntryId, ports::HoldRequest};
use sqlx::{Connection, PgConnection, types::Uuid};

use super::{
    deployment::Deployment,
    pairs,
    process::until,
    sale::{SALE, STANDING},
    shop,
    turns::Names,
};

const TURNS: u32 = 60_000;
/// Turns handed to the broker in one call.
const HANDED_MAX: u32 = 250;
/// Turns of a worker's batch; rows of one bare transaction.
const BATCH: usize = 256;

pub(crate) async fn measure() {
    let names = Names::system();
    let in_hand = in_hand(&names).await;
    let mut deployment = Deployment::start(STANDING, &["dispatcher"]).await;
    let postgres = deployment.stores.postgres.clone();
    hand_over(&deployment.stores.rabbitmq, &names).await;
    let mut ledger = PgConnection::connect(&postgres).await.unwrap();
    deployment.begin("worker");
    let (from, began) = when(&mut ledger, TURNS / 10).await;
    let (to, ended) = when(&mut ledger, TURNS / 10 * 9).await;
    let queued = f64::from(to - from) / (ended - began).as_secs_f64();
    when(&mut ledger, TURNS).await;
    let bare = bare_inserts(&postgres, &names).await;
    println!(
        "orders  {in_hand:.0}/s committed of {TURNS} turns in hand, {BATCH} at a time over two connections (target >= 20000)"
    );
    println!(
        "orders  {queued:.0}/s committed by one worker with RabbitMQ and the gate, from 10 % to 90 % of {TURNS} turns in the queue"
    );
    println!(
        "orders  {:.2} and {:.2} of the {bare:.0}/s that two connections insert into one bare table, {BATCH} at a time",
        in_hand / bare,
        queued / bare
    );
}

/// Orders that the ledger commits per second of turns whose units the gate has held, as workers hand them to it.
async fn in_hand(names: &Names) -> f64 {
    let deployment = Deployment::start(STANDING, &["dispatcher"]).await;
    let url = &deployment.stores.postgres;
    let postgres = Postgres::open(PostgresOptions::new(url)).await.unwrap();
    let ledger = postgres.ledger();
    let sale = SALE.parse().unwrap();
    let requests: Vec<HoldRequest> = (1..=TURNS).map(|n| names.held("in-hand", n)).collect();
    let (one, other) = requests.split_at(requests.len() / 2);
    let hold = async |requests: &[HoldRequest]| {
        for batch in requests.chunks(BATCH) {
            ledger.hold(&sale, batch.to_vec()).await.unwrap();
        }
    };
    let began = Instant::now();
    tokio::join!(hold(one), hold(other));
    let time = began.elapsed();
    let committed = committed(&mut PgConnection::connect(url).await.unwrap()).await;
    assert_eq!(committed, TURNS, "an order for each turn");
    postgres.close(Duration::from_secs(5)).await;
    f64::from(TURNS) / time.as_secs_f64()
}

/// Lays the turns into their queue.
async fn hand_over(url: &str, names: &Names) {
    let rabbitmq = shop::connect(url).await;
    let turns = rabbitmq.turns();
    let mut from = 0;
    while from < TURNS {
        let to = TURNS.min(from + HANDED_MAX);
        let batch: Vec<Turn> = (from..to).map(|n| names.turn("buyer", n + 1)).collect();
        turns.release_again(&batch).await.unwrap();
        from = to;
    }
    rabbitmq.close().await;
}

/// Waits until so many orders are committed; how many there are then, and when that was.
async fn when(ledger: &mut PgConnection, orders: u32) -> (u32, Instant) {
    let mut seen = (0, Instant::now());
    until("orders are committed", async || {
        seen = (committed(ledger).await, Instant::now());
        seen.0 >= orders
    })
    .await;
    seen
}

/// The ledger counts the movements of a sale's stock; as long as nobody pays, each is the hold of an order.
async fn committed(ledger: &mut PgConnection) -> u32 {
    let count = sqlx::query_scalar::<_, i64>(include_str!("sql/orders.sql")).bind(SALE);
    let count = count.fetch_optional(ledger).await.unwrap();
    u32::try_from(count.unwrap_or_default()).unwrap()
}

/// Rows that two connections commit per second.
async fn bare_inserts(url: &str, names: &Names) -> f64 {
    let mut one = PgConnection::connect(url).await.unwrap();
    let mut other = PgConnection::connect(url).await.unwrap();
    sqlx::query(include_str!("sql/bare_table.sql")).execute(&mut one).await.unwrap();
    let (rows, over) = (AtomicU32::new(0), AtomicBool::new(false));
    let insert = async |connection: &mut PgConnection| {
        while !over.load(Relaxed) {
            let ids =
                (0..BATCH).map(|_| *EntryId::generate(names.clock.now(), &names.random).as_bytes());
            let ids: Vec<Uuid> = ids.map(Uuid::from_bytes).collect();
            let buyers: Vec<String> = ids.iter().map(Uuid::to_string).collect();
            let insert = sqlx::query(include_str!("sql/bare_insert.sql")).bind(ids).bind(buyers);
            let inserted = insert.execute(&mut *connection).await.unwrap().rows_affected();
            rows.fetch_add(u32::try_from(inserted).unwrap(), Relaxed);
        }
    };
    let began = Instant::now();
    let end = async {
        tokio::time::sleep(pairs::RUN).await;
        over.store(true, Relaxed);
    };
    tokio::join!(insert(&mut one), insert(&mut other), end);
    let time: Duration = began.elapsed();
    f64::from(rows.load(Relaxed)) / time.as_secs_f64()
}
