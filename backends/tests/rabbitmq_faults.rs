//! What the RabbitMQ backend does when the broker is away, silent, frozen, full, wrong, or full of strangers' messages.
//! Where a promise needs care, the careless form is shown to break it.
//!
//! One test at a time: they harm the broker they share, and count this process's threads.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "rabbitmq_faults/foreign.rs"]
mod foreign;
#[path = "rabbitmq/house.rs"]
mod house;
#[path = "rabbitmq_faults/impostor.rs"]
mod impostor;
#[path = "rabbitmq_faults/letters.rs"]
mod letters;
#[path = "rabbitmq_faults/opening.rs"]
mod opening;
#[path = "rabbitmq_faults/outages.rs"]
mod outages;
#[path = "rabbitmq_faults/proxy.rs"]
mod proxy;
#[path = "rabbitmq_faults/raw.rs"]
mod raw;
#[path = "rabbitmq_faults/returns.rs"]
mod returns;
#[path = "rabbitmq/server.rs"]
mod server;
#[path = "rabbitmq_faults/shortage.rs"]
mod shortage;
#[path = "rabbitmq_faults/zombie.rs"]
mod zombie;

use std::{
    fs,
    future::Future,
    sync::{LazyLock, OnceLock},
    time::Duration,
};

use sluice_backends::rabbitmq::RabbitmqOptions;
use sluice_core::{
    basket::{Basket, Item},
    clock::UnixMillis,
    event::Turn,
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq, SkuId},
    line::LineEntry,
    random::Random,
};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, timeout},
};

use house::{Afterwards, Home};
use server::Server;

/// How long anything that must come may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Nobody else does harm as long as this is held.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}

/// The one broker of these tests.
async fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    tokio::task::spawn_blocking(|| SERVER.get_or_init(Server::start)).await.unwrap()
}

/// Does something to the broker; waits until it is done.
async fn fault(verb: &'static str) {
    let server = server().await;
    tokio::task::spawn_blocking(move || server.fault(verb)).await.unwrap();
}

/// A virtual host of its own.
async fn home() -> Home {
    settling_home(RabbitmqOptions::default().settle_time).await
}

/// One whose queues are used as soon as they are declared.
async fn hasty_home() -> Home {
    settling_home(Duration::ZERO).await
}

async fn settling_home(settle: Duration) -> Home {
    // A test that failed may have left the broker down, or frozen.
    fault("up").await;
    fault("resume").await;
    Home::new(server().await, settle, Afterwards::Leave).await
}

fn drop_sale() -> SaleId {
    SaleId::new("drop").unwrap()
}

fn entry(seq: u64) -> LineEntry {
    static RANDOM: LazyLock<Random> = LazyLock::new(Random::system);
    let item = Item::counted(SkuId::new("a").unwrap(), 1);
    LineEntry {
        entry: EntryId::generate(UnixMillis(1_767_225_600_000), &RANDOM),
        buyer: BuyerId::new(&format!("buyer-{seq}")).unwrap(),
        seq: Seq(seq),
        holes_below: 0,
        basket: Basket::new(vec![item]).unwrap(),
        joined_at: UnixMillis(1_767_225_600_000),
        address: None,
        reach: None,
        stands_since: None,
    }
}

fn turn(seq: u64) -> Turn {
    Turn {
        sale: drop_sale(),
        line_entry: entry(seq),
        epoch: Epoch(1),
        attempt: 1,
        called_at: UnixMillis(1_767_225_600_000),
    }
}

/// Waits for what must come.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not come within {PATIENCE:?}"),
    }
}

/// Looks again and again until `look` finds something.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    };
    soon(what, search).await
}

/// Threads of the client library in this process.
fn io_threads() -> usize {
    let is_one = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm"))
            .is_ok_and(|name| name.trim() == "lapin-io-loop")
    };
    fs::read_dir("/proc/self/task").unwrap().flatten().filter(is_one).count()
}

/// How long something took.
async fn timed<T>(future: impl Future<Output = T>) -> (T, Duration) {
    let began = Instant::now();
    (future.await, began.elapsed())
}
