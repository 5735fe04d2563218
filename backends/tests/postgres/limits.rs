//! Every limit has its named overflow, and a lock that others hold is waited for in order, for a while, or passed over.

use std::{sync::Arc, time::Duration};

use sluice_backends::postgres::{Postgres, PostgresOptions};
use sluice_core::{
    ids::EntryId,
    order::{ClosingCause, OrderState},
    ports::{
        Audit, IdempotencyKey, KeysSwept, Ledger, PortError, Replay, StepReply,
        conformance::{House as _, assert_balanced},
    },
};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    House,
    house::{author, drop_sale, make_sale, new_database, orders_of, turns, until},
    proxy::Proxy,
    server::{Server, connect, number, run},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_beyond_the_limit_are_refused_at_once() {
    let url = new_database(Server::shared().await).await;
    let proxy = Proxy::before(&url).await;
    let options = PostgresOptions {
        operations_max: 4,
        connections_max: 2,
        acquire_timeout: Duration::from_secs(60),
        answer_timeout: Duration::from_secs(60),
        ..PostgresOptions::new(proxy.url(&url))
    };
    let postgres = Postgres::open(options).await.unwrap();
    let ledger = postgres.ledger();
    proxy.hold_answers();
    let mut calls = JoinSet::new();
    for _ in 0..12 {
        let ledger = Arc::clone(&ledger);
        calls.spawn(async move { ledger.next_block(&drop_sale(), 1).await });
    }
    for _ in 0..8 {
        let refused = calls.join_next().await.unwrap().unwrap();
        assert!(matches!(refused, Err(PortError::Full)), "{refused:?}");
    }
    proxy.let_answers_go();
    assert!(calls.join_all().await.into_iter().all(|answer| answer.is_ok()), "the first four");
    assert_eq!(ledger.high_water(&drop_sale()).await.unwrap().0, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_waits_for_a_connection_only_for_a_while() {
    let url = new_database(Server::shared().await).await;
    let proxy = Proxy::before(&url).await;
    let options = PostgresOptions {
        connections_max: 1,
        acquire_timeout: Duration::from_millis(300),
        answer_timeout: Duration::from_secs(60),
        ..PostgresOptions::new(proxy.url(&url))
    };
    let postgres = Postgres::open(options).await.unwrap();
    let ledger = postgres.ledger();
    ledger.high_water(&drop_sale()).await.unwrap();
    proxy.hold_answers();
    let mut calls = JoinSet::new();
    for _ in 0..2 {
        let ledger = Arc::clone(&ledger);
        calls.spawn(async move { ledger.next_block(&drop_sale(), 1).await });
    }
    let refused = calls.join_next().await.unwrap().unwrap();
    assert!(matches!(refused, Err(PortError::Unavailable(_))), "{refused:?}");
    proxy.let_answers_go();
    calls.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(ledger.high_water(&drop_sale()).await.unwrap().0, 1, "the other was not begun");
}

#[tokio::test]
async fn a_closed_ledger_answers_that_it_is_closed() {
    let url = new_database(Server::shared().await).await;
    let postgres = Postgres::open(PostgresOptions::new(&url)).await.unwrap();
    let ledger = postgres.ledger();
    ledger.next_block(&drop_sale(), 1).await.unwrap();
    let started = Instant::now();
    postgres.close(Duration::from_secs(30)).await;
    assert!(started.elapsed() < Duration::from_secs(20), "nothing was in hand");
    let refused = ledger.next_block(&drop_sale(), 1).await;
    assert!(matches!(refused, Err(PortError::Unavailable(_))), "{refused:?}");
    let mut shell = connect(&url).await;
    let others = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    until("our sessions' ends", async || (number(&mut shell, others).await == 0).then_some(()))
        .await;
}

async fn waiting_for_a_lock(shell: &mut sqlx::PgConnection) {
    let waiting = "SELECT count(*) FROM pg_stat_activity \
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    until("a wait for a lock", async || (number(shell, waiting).await > 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_not_let_go_ends_the_operation_and_nothing_of_it_stays() {
    let url = new_database(Server::shared().await).await;
    let options =
        PostgresOptions { lock_timeout: Duration::from_millis(300), ..PostgresOptions::new(&url) };
    let postgres = Postgres::open(options).await.unwrap();
    let ledger = postgres.ledger();
    let sale = make_sale(&*ledger, 10).await;
    let mut shell = connect(&url).await;
    run(&mut shell, "BEGIN; SELECT 1 FROM stock FOR UPDATE").await;
    let batch = turns(1..4);
    let refused = ledger.hold(&sale, batch.clone()).await;
    assert!(matches!(refused, Err(PortError::Unavailable(_))), "{refused:?}");
    run(&mut shell, "ROLLBACK").await;
    let entries: Vec<_> = batch.iter().map(|turn| turn.line_entry.entry).collect();
    assert!(ledger.entries(&entries).await.unwrap().iter().all(Option::is_none));
    assert_eq!(orders_of(&ledger.hold(&sale, batch).await.unwrap()).len(), 3);
    assert_balanced(&*ledger, &sale).await;
}

/// Somebody locks in the other order. The server ends one of the two: ours is done again, whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_lost_to_a_deadlock_is_done_again() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 10).await;
    let order = orders_of(&ledger.hold(&sale, turns(1..2)).await.unwrap())[0];
    ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
    let mut shell = connect(&house.url).await;
    // The shell never gives way: it would look for a deadlock only after a minute.
    run(&mut shell, "SET deadlock_timeout = '60s'; BEGIN; SELECT 1 FROM stock FOR UPDATE").await;
    let mut closing = JoinSet::new();
    let closer = Arc::clone(&ledger);
    closing.spawn(async move { closer.close_unpaid(order).await });
    let mut watcher = connect(&house.url).await;
    waiting_for_a_lock(&mut watcher).await;
    run(&mut shell, "SELECT 1 FROM orders FOR UPDATE").await;
    run(&mut shell, "COMMIT").await;
    let closed = closing.join_next().await.unwrap().unwrap().unwrap();
    let StepReply::Done { order, gate: Some(_) } = closed else { panic!("{closed:?}") };
    assert_eq!(order.state, OrderState::Closed);
    assert_balanced(&*ledger, &sale).await;
    let lost = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()";
    until("the deadlock in the statistics", async || {
        (number(&mut watcher, lost).await > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_passes_over_what_others_have_locked() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 10).await;
    let orders = orders_of(&ledger.hold(&sale, turns(1..6)).await.unwrap());
    let mut shell = connect(&house.url).await;
    run(&mut shell, "UPDATE orders SET pay_by = 1, version = version + 1, history = history || 'closed 0 .'::text").await;
    let locked = format!("BEGIN; SELECT 1 FROM orders WHERE id = '{}' FOR UPDATE", orders[0]);
    run(&mut shell, &locked).await;
    let swept = ledger.sweep_deadlines(10).await.unwrap();
    assert_eq!(swept.len(), 4, "all but the locked one, without waiting");
    assert!(swept.iter().all(|order| order.state == OrderState::Closing));
    run(&mut shell, "ROLLBACK").await;
    let rest = ledger.sweep_deadlines(10).await.unwrap();
    assert_eq!(rest.iter().map(|order| order.id).collect::<Vec<_>>(), [orders[0]]);
}

#[tokio::test]
async fn idempotency_keys_are_forgotten_after_seven_days_archived_and_swept() {
    let house = House::new().await;
    let ledger = house.port();
    let key = |name: String| IdempotencyKey { scope: "drop ada".into(), key: name, body: [7; 32] };
    for n in 0..30 {
        assert_eq!(ledger.replay(&key(format!("old-{n}"))).await.unwrap(), Replay::First);
    }
    let mut shell = connect(&house.url).await;
    let age = |days: u32, and: &str| {
        format!(
            "UPDATE idempotency SET at = at - {days}::bigint * 24 * 3600 * 1000 WHERE true {and}"
        )
    };
    run(&mut shell, &age(6, "")).await;
    assert_eq!(ledger.replay(&key("old-0".into())).await.unwrap(), Replay::Same, "not yet");
    run(&mut shell, &age(2, "")).await;
    assert_eq!(ledger.replay(&key("old-0".into())).await.unwrap(), Replay::First, "forgotten");
    let count = "SELECT count(*) FROM idempotency";
    let archived = "SELECT count(*) FROM idempotency_archive";
    assert_eq!(number(&mut shell, archived).await, 1, "the one that was overwritten");
    let swept = |archived, dropped| KeysSwept { archived, dropped };
    assert_eq!(ledger.sweep_keys(20).await.unwrap(), swept(20, 0), "no more than asked for");
    assert_eq!(ledger.sweep_keys(20).await.unwrap(), swept(9, 0));
    assert_eq!((number(&mut shell, count).await, number(&mut shell, archived).await), (1, 30));
    let age =
        "UPDATE idempotency_archive SET archived_at = archived_at - 31::bigint * 24 * 3600 * 1000
        WHERE key <> 'old-1'";
    run(&mut shell, age).await;
    assert_eq!(ledger.sweep_keys(20).await.unwrap(), swept(0, 20));
    assert_eq!(ledger.sweep_keys(20).await.unwrap(), swept(0, 9));
    assert_eq!(number(&mut shell, archived).await, 1, "30 days are not over for that one");
}

#[tokio::test]
async fn a_character_that_cannot_be_kept_does_not_stop_the_audit_log() {
    let house = House::new().await;
    let ledger: Arc<dyn Ledger> = house.port();
    let audit = Audit {
        author: author(),
        verb: "test".into(),
        subject: "a\0b".into(),
        before: serde_json::json!("\0"),
        after: serde_json::Value::Null,
        result: "ok".into(),
        reason: Some("\0".into()),
    };
    ledger.record(audit).await.unwrap();
    let rows = ledger.audit(None, 5).await.unwrap();
    assert_eq!(
        (rows[0].subject.as_str(), &rows[0].before),
        ("a\u{fffd}b", &serde_json::json!("\0"))
    );
    assert_eq!(rows[0].hash, rows[0].content_hash());
}

/// A commit is on the disk when it is answered, whatever the role or the database was told.
#[tokio::test]
async fn a_lax_database_is_made_durable() {
    let server = Server::shared().await;
    let url = new_database(server).await;
    let name = url.rsplit('/').next().unwrap();
    let mut admin = connect(&server.url).await;
    run(&mut admin, &format!("ALTER DATABASE {name} SET synchronous_commit = off")).await;
    let postgres = Postgres::open(PostgresOptions::new(&url)).await.unwrap();
    let mut shell = connect(&url).await;
    run(
        &mut shell,
        "CREATE TABLE seen (setting text);
         CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN INSERT INTO seen VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$;
         CREATE TRIGGER see AFTER INSERT OR UPDATE ON speaker FOR EACH ROW EXECUTE FUNCTION see()",
    )
    .await;
    let seen = "SELECT count(*) FROM seen WHERE setting = ";
    for _ in 0..5 {
        postgres.ledger().next_block(&drop_sale(), 1).await.unwrap();
    }
    assert_eq!(number(&mut shell, &format!("{seen} 'on'")).await, 5);
    run(&mut shell, "UPDATE speaker SET high_water = high_water + 1").await;
    assert_eq!(number(&mut shell, &format!("{seen} 'off'")).await, 1, "as others have it here");
}

/// More were written together than one page tells: each is told once, the rest in its order with the next page.
#[tokio::test]
async fn outcomes_written_together_are_told_in_pages() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 200).await;
    let turns = turns(1..151);
    let mut all: Vec<EntryId> = turns.iter().map(|turn| turn.line_entry.entry).collect();
    all.sort();
    ledger.hold(&sale, turns).await.unwrap();
    let mut told = Vec::new();
    for left in [150, 50, 0] {
        let page = ledger.untold(100).await.unwrap();
        let page: Vec<EntryId> = page.iter().map(|record| record.entry).collect();
        assert_eq!(page.len(), left.min(100), "a page is full while more wait");
        ledger.told(&page).await.unwrap();
        told.extend(page);
    }
    assert_eq!(told, all);
    let mut shell = connect(&house.url).await;
    assert_eq!(number(&mut shell, "SELECT count(*) FROM outbox").await, 0);
}
