//! A caller that gives up leaves no open transaction behind: its operation runs to its end in a task of its own.

use std::{sync::Arc, time::Duration};

use sluice_backends::postgres::{Postgres, PostgresOptions};
use sluice_core::{
    entry::Outcome,
    ids::Seq,
    ports::{
        HoldReply, NewOutcome, OutcomeReason,
        conformance::{House as _, assert_balanced},
    },
};
use sqlx::{PgConnection, postgres::PgPoolOptions};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    House,
    house::{drop_sale, entry, make_sale, new_database, open, turns, until},
    proxy::Proxy,
    server::{Server, connect, number},
};

const A_MOMENT: Duration = Duration::from_millis(300);
const OPEN_TRANSACTIONS: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND state LIKE 'idle in transaction%'";

async fn open_transactions(shell: &mut PgConnection) -> i64 {
    number(shell, OPEN_TRANSACTIONS).await
}

/// The naive form, to show that the trap is there: a pool whose `begin` is cancelled takes the connection back with the
/// transaction open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_naive_pool_keeps_the_transaction_of_a_cancelled_begin() {
    let url = new_database(Server::shared().await).await;
    let proxy = Proxy::before(&url).await;
    // Without the look before it is handed out: it would be that look that is cancelled here.
    let pool = PgPoolOptions::new().max_connections(1).test_before_acquire(false);
    let pool = pool.connect(&proxy.url(&url)).await.unwrap();
    proxy.hold_answers();
    assert!(timeout(A_MOMENT, pool.begin()).await.is_err(), "the answer is kept back");
    proxy.let_answers_go();
    let mut shell = connect(&url).await;
    until("the connection's return", async || (pool.num_idle() == 1).then_some(())).await;
    assert_eq!(open_transactions(&mut shell).await, 1, "it lies in the pool");
}

/// The same moment, with ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_call_is_done_all_the_same() {
    let url = new_database(Server::shared().await).await;
    let proxy = Proxy::before(&url).await;
    let options = PostgresOptions { connections_max: 1, ..PostgresOptions::new(proxy.url(&url)) };
    let postgres = Postgres::open(options).await.unwrap();
    let ledger = postgres.ledger();
    ledger.next_block(&drop_sale(), 10).await.unwrap();
    proxy.hold_answers();
    assert!(timeout(A_MOMENT, ledger.next_block(&drop_sale(), 10)).await.is_err(), "cancelled");
    proxy.let_answers_go();
    let mut shell = connect(&url).await;
    // The one connection is free again, and the block was handed out.
    until("the cancelled call's end", async || {
        (ledger.high_water(&drop_sale()).await.unwrap() == Seq(20)).then_some(())
    })
    .await;
    assert_eq!(open_transactions(&mut shell).await, 0);
}

/// Cancelled at whatever point it happens to be, hundreds of times.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_cancelled_anywhere_leave_nothing_half_done() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 500).await;
    let mut calls = JoinSet::new();
    for n in 0..240_u64 {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        calls.spawn(async move {
            let patience = Duration::from_micros(150 * (n % 60));
            let left = NewOutcome {
                line_entry: entry(n, "eve"),
                outcome: Outcome::Left,
                reason: OutcomeReason::Plain,
            };
            let work = async {
                ledger.hold(&sale, turns(n * 10..n * 10 + 4)).await?;
                ledger.settle(&sale, vec![left]).await
            };
            drop(timeout(patience, work).await);
        });
        if n % 12 == 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    calls.join_all().await;
    let mut shell = connect(&house.url).await;
    let busy = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND pid <> pg_backend_pid() AND state <> 'idle'";
    until("the cancelled calls' ends", async || {
        (number(&mut shell, busy).await == 0).then_some(())
    })
    .await;
    // Whole or not at all: every order has all its rows.
    sleep(A_MOMENT).await;
    until("quiet", async || (number(&mut shell, busy).await == 0).then_some(())).await;
    assert_balanced(&*ledger, &sale).await;
    let orders = number(&mut shell, "SELECT count(*) FROM orders").await;
    assert_eq!(number(&mut shell, "SELECT count(*) FROM movement").await, orders);
    let reserved = "SELECT count(*) FROM outcome JOIN outbox ON entry = ANY (entries) WHERE outcome = 'reserved'";
    assert_eq!(number(&mut shell, reserved).await, orders);
}

/// Every connection can be used after as many cancelled calls as there are places, and more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_calls_do_not_use_up_the_connections() {
    let house = House::new().await;
    drop(house.port());
    let postgres = open(&house.url).await;
    let ledger = postgres.ledger();
    let sale = make_sale(&*ledger, 50).await;
    for n in 0..40 {
        drop(timeout(Duration::from_micros(20 * n), ledger.stock(&sale)).await);
        drop(timeout(Duration::from_micros(50 * n), ledger.hold(&sale, turns(n..n + 1))).await);
    }
    let replies = ledger.hold(&sale, turns(1_000..1_001)).await.unwrap();
    assert!(matches!(replies[0], HoldReply::Settled { .. }));
}
