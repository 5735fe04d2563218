//! What happens when a commit fails: nobody is told that it succeeded, nothing is stored any more, and the store says so.

use sluice_core::{
    clock::{ManualClock, UnixMillis},
    ids::SaleId,
    ports::PortError,
};
use tempfile::TempDir;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

fn open(folder: &TempDir) -> Embedded {
    let clock = Arc::new(ManualClock::at(UnixMillis(1_800_000_000_000)));
    let file = folder.path().join("sluice.sqlite");
    Embedded::open(&file, clock, EmbeddedSettings::default()).unwrap()
}

fn sale() -> SaleId {
    SaleId::new("drop").unwrap()
}

/// Everything answers `Unavailable`, reads included.
async fn assert_stopped(embedded: &Embedded) {
    let ports = embedded.ports();
    let write = ports.waiting.declare(&SaleId::new("another").unwrap()).await;
    assert!(matches!(write, Err(PortError::Unavailable(_))), "{write:?}");
    let read = ports.ledger.sales().await;
    assert!(matches!(read, Err(PortError::Unavailable(_))), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_fails_answers_nobody_and_stops_the_store() {
    let folder = TempDir::new().unwrap();
    let embedded = open(&folder);
    let effect = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let seen = Arc::clone(&effect);
    // An orphan whose constraint is looked at by the commit itself.
    let written = embedded
        .store
        .write(
            "test",
            |connection| {
                connection.execute_batch("PRAGMA defer_foreign_keys = ON")?;
                connection.execute(
                    "INSERT INTO order_line (order_id, sku, quantity, amount) VALUES (zeroblob(16), 'a', 1, 1)",
                    [],
                )
            },
            move |_| seen.store(true, std::sync::atomic::Ordering::SeqCst),
        )
        .await;
    assert!(matches!(written, Err(PortError::Unavailable(_))), "{written:?}");
    assert!(!effect.load(std::sync::atomic::Ordering::SeqCst), "no effect in memory");
    let failure = timeout(PATIENCE, embedded.failed()).await.unwrap();
    assert!(failure.to_string().contains("sluice.sqlite"), "{failure}");
    assert_stopped(&embedded).await;
    drop(embedded);
    let again = open(&folder);
    let orphans = again.store.read("test", |connection| {
        connection.query_row("SELECT count(*) FROM order_line", [], |row| row.get::<_, u32>(0))
    });
    assert_eq!(orphans.await.unwrap(), 0, "nothing of it is in the file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_named_with_its_remedy() {
    let folder = TempDir::new().unwrap();
    let embedded = open(&folder);
    embedded.ports().waiting.declare(&sale()).await.unwrap();
    let written = embedded.store.write(
        "test",
        |connection| {
            connection.query_row("PRAGMA max_page_count = 1", [], |_| Ok(()))?;
            connection.execute("INSERT INTO ban (rule, at) VALUES (hex(zeroblob(1000000)), 1)", [])
        },
        |_| (),
    );
    assert!(matches!(written.await, Err(PortError::Unavailable(_))));
    let failure = timeout(PATIENCE, embedded.failed()).await.unwrap();
    assert!(failure.to_string().contains("the disk is full; free some space"), "{failure}");
    assert_stopped(&embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_fails_takes_nobody_along() {
    let folder = TempDir::new().unwrap();
    let embedded = open(&folder);
    let ports = embedded.ports();
    let bad = |n: u32| {
        embedded.store.write(
            "test",
            move |connection| {
                connection
                    .execute("INSERT INTO waiting_queue (sale) VALUES (?1)", [format!("s-{n}")])?;
                connection.execute("INSERT INTO waiting_queue (sale) VALUES (NULL)", [])
            },
            |_| (),
        )
    };
    let sale = sale();
    let (first, declared, second) = tokio::join!(bad(1), ports.waiting.declare(&sale), bad(2));
    assert!(first.is_err() && second.is_err(), "the jobs' own fault");
    declared.unwrap();
    let queues = embedded.store.read("test", |connection| {
        let mut statement = connection.prepare("SELECT sale FROM waiting_queue")?;
        statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
    });
    assert_eq!(queues.await.unwrap(), ["drop"], "what a failed job wrote is undone");
}

#[tokio::test]
async fn closing_in_order_is_no_failure() {
    let folder = TempDir::new().unwrap();
    let embedded = open(&folder);
    let store = Arc::clone(&embedded.store);
    embedded.close().await;
    let failed = timeout(Duration::from_millis(50), store.failed()).await;
    assert!(failed.is_err(), "{failed:?}");
    let stopped = timeout(PATIENCE, store.stopped()).await;
    assert!(matches!(stopped, Ok(PortError::Unavailable(_))));
}

#[tokio::test(start_paused = true)]
async fn inline_calls_do_not_let_paused_time_run() {
    let folder = TempDir::new().unwrap();
    let clock = Arc::new(ManualClock::at(UnixMillis(1_800_000_000_000)));
    let file = folder.path().join("sluice.sqlite");
    let embedded = Embedded::open_inline(&file, clock, EmbeddedSettings::default()).unwrap();
    let began = tokio::time::Instant::now();
    for n in 0..300 {
        let id = SaleId::new(&format!("s-{n}")).unwrap();
        embedded.ports().waiting.declare(&id).await.unwrap();
        embedded.ports().ledger.cursor(&id).await.unwrap();
    }
    assert_eq!(began.elapsed(), Duration::ZERO);
    embedded.close().await;
}
