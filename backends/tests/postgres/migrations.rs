//! The schema: laid once, whoever comes first; left alone when it is newer than the program, or not ours.

use sluice_backends::postgres::{Migrated, OpenError, Postgres, PostgresOptions, migrate};
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
