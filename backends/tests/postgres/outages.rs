//! The server freezes, dies, falls silent on its connections, can only be read: calls end in time, and everything goes on
//! by itself when it is over. Each test has a server of its own.

use std::{sync::Arc, time::Duration};

use sluice_backends::postgres::{Postgres, PostgresOptions};
use sluice_core::ports::{HoldReply, Ledger, PortError, conformance::assert_balanced};
use sqlx::postgres::PgPoolOptions;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    house::{PATIENCE, drop_sale, make_sale, new_database, orders_of, turns, until},
    proxy::Proxy,
    server::{Server, connect, number, run},
};

/// Short limits, so that the tests are short.
fn impatient(url: &str) -> PostgresOptions {
    PostgresOptions {
        connections_max: 3,
        start_timeout: Duration::from_secs(30),
        connect_timeout: Duration::from_secs(1),
        acquire_timeout: Duration::from_secs(2),
        answer_timeout: Duration::from_secs(3),
        watch_interval: Duration::from_millis(200),
        ..PostgresOptions::new(url)
    }
}

/// The same turns again and again, until they are answered.
async fn hold_in_the_end(ledger: &Arc<dyn Ledger>, from: u64) -> Vec<HoldReply> {
    let batch = turns(from..from + 5);
    let end = Instant::now() + 2 * PATIENCE;
    loop {
        match ledger.hold(&drop_sale(), batch.clone()).await {
            Ok(replies) => return replies,
            Err(error) => assert!(Instant::now() < end, "{error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// No call waits for longer than it may, with a wide margin.
async fn is_unavailable(ledger: &dyn Ledger) {
    let started = Instant::now();
    let error = ledger.stock(&drop_sale()).await.unwrap_err();
    assert!(matches!(error, PortError::Unavailable(_)), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(15), "it took {:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_server_costs_time_and_nothing_else() {
    let server = Server::own().await;
    let postgres = Postgres::open(impatient(&server.url)).await.unwrap();
    let ledger = postgres.ledger();
    let sale = make_sale(&*ledger, 1_000).await;
    let mut working = JoinSet::new();
    for n in 0..6_u64 {
        let ledger = Arc::clone(&ledger);
        // Their first answers come before, during or after the freeze: whichever, the same turns get the same orders.
        working.spawn(async move {
            let mut orders = Vec::new();
            for round in 0..20 {
                orders.extend(orders_of(&hold_in_the_end(&ledger, n * 1_000 + round * 10).await));
                sleep(Duration::from_millis(20)).await;
            }
            orders
        });
    }
    sleep(Duration::from_millis(150)).await;
    server.fault("pause").await;
    is_unavailable(&*ledger).await;
    // Longer than any limit: connections are given up, and new ones are tried in vain.
    sleep(Duration::from_secs(4)).await;
    is_unavailable(&*ledger).await;
    server.fault("resume").await;
    let mut orders: Vec<_> = working.join_all().await.into_iter().flatten().collect();
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders.len(), 600, "one order for each turn");
    assert_balanced(&*ledger, &sale).await;
    let mut shell = connect(&server.url).await;
    assert_eq!(number(&mut shell, "SELECT count(*) FROM orders").await, 600);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_killed_server_forgets_nothing_that_was_answered() {
    let server = Server::own().await;
    let postgres = Postgres::open(impatient(&server.url)).await.unwrap();
    let ledger = postgres.ledger();
    let sale = make_sale(&*ledger, 1_000).await;
    let mut working = JoinSet::new();
    for n in 0..6_u64 {
        let ledger = Arc::clone(&ledger);
        working.spawn(async move {
            let mut answered = Vec::new();
            for round in 0..20 {
                answered.extend(hold_in_the_end(&ledger, n * 1_000 + round * 10).await);
                sleep(Duration::from_millis(20)).await;
            }
            answered
        });
    }
    for _ in 0..2 {
        sleep(Duration::from_millis(200)).await;
        server.fault("kill").await;
        is_unavailable(&*ledger).await;
        server.fault("up").await;
    }
    let answered: Vec<HoldReply> = working.join_all().await.into_iter().flatten().collect();
    let mut orders = orders_of(&answered);
    orders.sort_unstable();
    orders.dedup();
    assert_eq!(orders.len(), 600, "one order for each turn");
    for order in orders {
        assert!(ledger.order(order).await.unwrap().is_some(), "it was answered");
    }
    assert_balanced(&*ledger, &sale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_comes_late_is_waited_for_at_start() {
    let server = Server::own().await;
    server.fault("kill").await;
    let mut opening = JoinSet::new();
    opening.spawn(Postgres::open(impatient(&server.url)));
    sleep(Duration::from_millis(700)).await;
    server.fault("up").await;
    let opened = timeout(PATIENCE, opening.join_next()).await.unwrap().unwrap().unwrap();
    opened.unwrap().close(Duration::from_secs(5)).await;
}

/// The naive form, to show that the trap is there: a pool looks at a connection that is given back, and on one whose peer
/// fell silent it looks for ever, in the connection's place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_naive_pool_loses_its_places_to_a_silent_peer() {
    let url = new_database(Server::shared().await).await;
    let proxy = Proxy::before(&url).await;
    let pool = PgPoolOptions::new().max_connections(2).acquire_timeout(Duration::from_secs(2));
    let pool = pool.connect(&proxy.url(&url)).await.unwrap();
    let (one, two) = (pool.acquire().await.unwrap(), pool.acquire().await.unwrap());
    proxy.swallow();
    drop((one, two));
    assert!(pool.acquire().await.is_err(), "no place, although new connections would work");
    connect(&proxy.url(&url)).await;
}

/// The same peer, with ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_falls_silent_costs_no_place() {
    let url = new_database(Server::shared().await).await;
    let proxy = Proxy::before(&url).await;
    let postgres = Postgres::open(impatient(&proxy.url(&url))).await.unwrap();
    let ledger = postgres.ledger();
    let sale = make_sale(&*ledger, 1_000).await;
    for round in 0..4 {
        // Every connection is in use when the peer falls silent.
        let mut calls = JoinSet::new();
        for n in 0..6 {
            let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
            calls.spawn(async move {
                ledger.hold(&sale, turns(round * 100 + n * 10..round * 100 + n * 10 + 5)).await
            });
        }
        proxy.swallow();
        let started = Instant::now();
        for answer in calls.join_all().await {
            assert!(matches!(answer, Ok(_) | Err(PortError::Unavailable(_))), "{answer:?}");
        }
        assert!(started.elapsed() < Duration::from_secs(20), "no call waits for ever");
        until("a new connection", async || ledger.stock(&sale).await.ok()).await;
    }
    let sound = Duration::from_secs(30);
    timeout(sound, async { while ledger.hold(&sale, turns(5_000..5_005)).await.is_err() {} })
        .await
        .unwrap();
    assert_balanced(&*ledger, &sale).await;
}

/// Idle connections whose peer fell silent are found by the watch, before anybody needs them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_to_a_silent_peer_are_replaced() {
    let url = new_database(Server::shared().await).await;
    let proxy = Proxy::before(&url).await;
    let postgres = Postgres::open(impatient(&proxy.url(&url))).await.unwrap();
    let ledger = postgres.ledger();
    let sale = make_sale(&*ledger, 10).await;
    proxy.swallow();
    // The watch looks each 200 ms, for a second at most.
    sleep(Duration::from_secs(3)).await;
    let started = Instant::now();
    ledger.stock(&sale).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(2_500), "it did not wait for a dead one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_can_only_be_read_is_unavailable_until_it_can_be_written() {
    let server = Server::own().await;
    let postgres = Postgres::open(impatient(&server.url)).await.unwrap();
    let ledger = postgres.ledger();
    let sale = make_sale(&*ledger, 100).await;
    let mut admin = connect(&server.url).await;
    run(&mut admin, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    run(&mut admin, "SELECT pg_reload_conf()").await;
    until("the refusal", async || {
        let refused = ledger.hold(&sale, turns(1..3)).await.err()?;
        assert!(matches!(refused, PortError::Unavailable(_)), "{refused:?}");
        Some(())
    })
    .await;
    assert_eq!(ledger.stock(&sale).await.unwrap().len(), 1, "it can be read");
    run(&mut admin, "SET default_transaction_read_only = off").await;
    run(&mut admin, "ALTER SYSTEM RESET default_transaction_read_only").await;
    run(&mut admin, "SELECT pg_reload_conf()").await;
    hold_in_the_end(&ledger, 10).await;
    assert_balanced(&*ledger, &sale).await;
}

/// No connection is left for us, midway: the load is shed, and comes back by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_room_sheds_the_load() {
    let server = Server::own().await;
    let mut admin = connect(&server.url).await;
    run(
        &mut admin,
        "CREATE ROLE shop LOGIN PASSWORD 'shop' CREATEDB; GRANT CREATE ON SCHEMA public TO shop",
    )
    .await;
    let theirs = server.url.replacen("sluice:sluice@", "shop:shop@", 1);
    let postgres = Postgres::open(impatient(&theirs)).await.unwrap();
    let ledger = postgres.ledger();
    let sale = make_sale(&*ledger, 100).await;
    run(&mut admin, "ALTER ROLE shop CONNECTION LIMIT 0").await;
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shop'";
    run(&mut admin, end).await;
    until("the refusal", async || {
        matches!(ledger.stock(&sale).await, Err(PortError::Full)).then_some(())
    })
    .await;
    run(&mut admin, "ALTER ROLE shop CONNECTION LIMIT -1").await;
    hold_in_the_end(&ledger, 10).await;
    assert_balanced(&*ledger, &sale).await;
}
