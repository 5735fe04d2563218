//! The schema: laid once, whoever comes first; left alone when it is newer than the program, or not ours.

use std::fs;

use sluice_backends::postgres::{Migrated, OpenError, Postgres, PostgresOptions, migrate};
use sluice_core::{
    ids::{OrderId, PaymentId},
    order::{ClosingCause, OrderState},
    ports::StepReply,
};
use tokio::task::JoinSet;

use crate::{
    house::{make_sale, new_database, open},
    server::{Server, connect, number, run},
};

async fn empty() -> String {
    new_database(Server::shared().await).await
}

/// What is written down of what was applied: the newest, and the time of the last.
async fn applied(url: &str) -> (i64, i64) {
    let mut shell = connect(url).await;
    let newest = number(&mut shell, "SELECT max(version) FROM sluice_migration").await;
    let at =
        "SELECT (extract(epoch FROM max(installed_on)) * 1000000)::bigint FROM sluice_migration";
    (newest, number(&mut shell, at).await)
}

#[tokio::test]
async fn an_empty_database_is_migrated_and_then_left_alone() {
    let url = empty().await;
    let first = migrate(PostgresOptions::new(&url)).await.unwrap();
    let before = applied(&url).await;
    assert_eq!(before.0, first.version);
    assert_eq!(migrate(PostgresOptions::new(&url)).await.unwrap(), first);
    let postgres = open(&url).await;
    make_sale(&*postgres.ledger(), 10).await;
    drop(postgres);
    let again = open(&url).await;
    assert_eq!(again.ledger().sales().await.unwrap().len(), 1, "opening again keeps what is there");
    assert_eq!(applied(&url).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_at_once_migrate_once() {
    let url = empty().await;
    let mut starts: JoinSet<Result<Migrated, OpenError>> = JoinSet::new();
    for _ in 0..8 {
        starts.spawn(migrate(PostgresOptions::new(&url)));
    }
    let versions: Vec<i64> =
        starts.join_all().await.into_iter().map(|migrated| migrated.unwrap().version).collect();
    assert!(versions.iter().all(|version| *version == versions[0]));
    assert_eq!(applied(&url).await.0, versions[0]);
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let url = empty().await;
    let known = migrate(PostgresOptions::new(&url)).await.unwrap().version;
    let mut shell = connect(&url).await;
    let newer = format!(
        "INSERT INTO sluice_migration (version, description, success, checksum, execution_time) \
         VALUES ({}, 'of tomorrow', true, '\\x00', 1)",
        known + 6
    );
    run(&mut shell, &newer).await;
    for error in [
        Postgres::open(PostgresOptions::new(&url)).await.unwrap_err(),
        migrate(PostgresOptions::new(&url)).await.unwrap_err(),
    ] {
        let OpenError::Newer { found, .. } = error else { panic!("{error:?}") };
        assert_eq!(found, known + 6);
    }
    run(&mut shell, "DELETE FROM sluice_migration WHERE description = 'of tomorrow'").await;
    drop(open(&url).await);
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let url = empty().await;
    migrate(PostgresOptions::new(&url)).await.unwrap();
    let mut shell = connect(&url).await;
    run(&mut shell, "UPDATE sluice_migration SET checksum = '\\x00' WHERE version = 1").await;
    let error = Postgres::open(PostgresOptions::new(&url)).await.unwrap_err();
    assert!(matches!(error, OpenError::Changed { version: 1, .. }), "{error:?}");
}

#[tokio::test]
async fn a_user_who_may_not_make_tables_is_told_so() {
    let url = empty().await;
    let mut shell = connect(&url).await;
    run(&mut shell, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    run(&mut shell, "CREATE ROLE reader LOGIN PASSWORD 'hush'").await;
    let (_, place) = url.split_once('@').unwrap();
    let theirs = format!("postgres://reader:hush@{place}");
    let error = Postgres::open(PostgresOptions::new(&theirs)).await.unwrap_err();
    assert!(matches!(error, OpenError::Migration { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hush"));
}

/// A half-done migration is not there at all: the next start does it whole.
#[tokio::test]
async fn a_migration_that_cannot_be_done_leaves_nothing() {
    let url = empty().await;
    let mut shell = connect(&url).await;
    run(&mut shell, "CREATE TABLE ban_list (mine integer)").await;
    let error = migrate(PostgresOptions::new(&url)).await.unwrap_err();
    assert!(matches!(error, OpenError::Migration { .. }), "{error:?}");
    let left =
        "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename = 'orders'";
    assert_eq!(number(&mut shell, left).await, 0);
    run(&mut shell, "DROP TABLE ban_list").await;
    migrate(PostgresOptions::new(&url)).await.unwrap();
    assert_eq!(number(&mut shell, left).await, 1);
}

/// Two orders as the schema before the twelfth had them: one with two lines, one with a seat and a history; one is not told.
const ORDERS_OF_BEFORE: &str = "
INSERT INTO outcome (entry, sale, buyer, seq, holes_below, joined_at, outcome, reason, at) VALUES
    (repeat('1a', 16)::uuid, 'drop', 'ada', 1, 0, 5, 'reserved', 'plain', 7),
    (repeat('1b', 16)::uuid, 'drop', 'bob', 2, 0, 5, 'reserved', 'plain', 7);
INSERT INTO outbox (number, entry) SELECT number, entry FROM outcome WHERE buyer = 'ada';
INSERT INTO orders (id, sale, entry, buyer, hold, state, version, amount, currency, units, pay_by, changed_at) VALUES
    (repeat('0a', 16)::uuid, 'drop', repeat('1a', 16)::uuid, 'ada', repeat('2a', 16)::uuid, 'awaiting_payment', 1, 250, 'CNY',
        3, 9999999999999, 7),
    (repeat('0b', 16)::uuid, 'drop', repeat('1b', 16)::uuid, 'bob', repeat('2b', 16)::uuid, 'fulfilled', 2, 90, 'CNY',
        2, 9999999999999, 8);
INSERT INTO order_line (order_id, sku, place, quantity, amount, refunded, from_stop, to_stop, seat_no, seat) VALUES
    (repeat('0a', 16)::uuid, 'b', 0, 2, 100, 1, NULL, NULL, NULL, NULL),
    (repeat('0a', 16)::uuid, 'a', 0, 1, 50, 0, NULL, NULL, NULL, NULL),
    (repeat('0b', 16)::uuid, 'train', 1, 1, 90, 0, 0, 2, 7, '02-A');
INSERT INTO order_history (order_id, version, state, at, reason) VALUES
    (repeat('0a', 16)::uuid, 1, 'awaiting_payment', 7, 'Your goods are set aside.'),
    (repeat('0b', 16)::uuid, 2, 'fulfilled', 8, 'Your order is fulfilled.'),
    (repeat('0b', 16)::uuid, 1, 'awaiting_payment', 7, 'Your goods are set aside.');
INSERT INTO payment (id, order_id, provider, state, version, amount, currency, changed_at)
    VALUES (repeat('3b', 16)::uuid, repeat('0b', 16)::uuid, 'p', 'succeeded', 1, 90, 'CNY', 8);
";

/// Lays the schema as the release before the twelfth migration left it.
async fn lay_before_the_twelfth(url: &str) {
    migrate(PostgresOptions::new(url)).await.unwrap();
    let mut shell = connect(url).await;
    let clear = "DO $$ DECLARE name text; BEGIN
            FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'sluice_migration' LOOP
                EXECUTE format('DROP TABLE %I CASCADE', name);
            END LOOP;
        END $$;
        DROP FUNCTION ledger_now, ledger_refuse, ledger_check_lines;
        DELETE FROM sluice_migration WHERE version > 11";
    run(&mut shell, clear).await;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgres/migrations");
    let mut files: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in &files[..11] {
        run(&mut shell, &fs::read_to_string(file).unwrap()).await;
    }
}

#[tokio::test]
async fn orders_of_the_schema_before_are_orders_still() {
    let url = empty().await;
    lay_before_the_twelfth(&url).await;
    run(&mut connect(&url).await, ORDERS_OF_BEFORE).await;
    let postgres = open(&url).await;
    let ledger = postgres.ledger();
    let [ada, bob] = [0x0a, 0x0b].map(|byte| OrderId::from_bytes([byte; 16]));
    let order = ledger.order(ada).await.unwrap().unwrap();
    let lines: Vec<_> =
        order.lines.iter().map(|line| (line.sku.as_str(), line.quantity, line.refunded)).collect();
    assert_eq!(lines, [("a", 1, 0), ("b", 2, 1)]);
    assert_eq!((order.state, order.version.0), (OrderState::AwaitingPayment, 1));
    assert_eq!(order.history[0].reason, "Your goods are set aside.");
    let seated = ledger.order(bob).await.unwrap().unwrap();
    let (line, seat) = (&seated.lines[0], seated.lines[0].seat.as_ref().unwrap());
    assert_eq!((line.units(), seat.no.0, seat.label.as_str()), (2, 7, "02-A"));
    let states: Vec<_> = seated.history.iter().map(|change| (change.state, change.at.0)).collect();
    assert_eq!(states, [(OrderState::AwaitingPayment, 7), (OrderState::Fulfilled, 8)]);
    assert_eq!(seated.payment, Some(PaymentId::from_bytes([0x3b; 16])));
    let untold = ledger.untold(10).await.unwrap();
    assert_eq!(untold.iter().map(|record| record.buyer.as_str()).collect::<Vec<_>>(), ["ada"]);
    ledger.told(&[untold[0].entry]).await.unwrap();
    assert!(ledger.untold(10).await.unwrap().is_empty());
    let closing = ledger.begin_closing(ada, ClosingCause::Cancelled).await.unwrap();
    let StepReply::Done { order, .. } = closing else { panic!("{closing:?}") };
    assert_eq!((order.state, order.version.0, order.history.len()), (OrderState::Closing, 2, 2));
    assert_eq!(ledger.begun(10).await.unwrap(), [order]);
}
