//! The ratios we watch of `sluice run`: against a bare hyper server that answers the same bytes, against the law's integral,
//! and what a push connection costs. One run, pairs in turn, medians printed. Nothing here asserts a time.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program"
)]

#[path = "ratios/bare.rs"]
mod bare;
#[path = "ratios/buyer.rs"]
mod buyer;
#[path = "ratios/load.rs"]
mod load;
#[path = "ratios/offers.rs"]
mod offers;
#[path = "ratios/pairs.rs"]
mod pairs;
#[path = "ratios/process.rs"]
mod process;
#[path = "ratios/push.rs"]
mod push;
#[path = "ratios/rate.rs"]
mod rate;
#[path = "ratios/sale.rs"]
mod sale;
#[path = "ratios/socket.rs"]
mod socket;
#[path = "ratios/subject.rs"]
mod subject;

use std::time::{Duration, Instant};

use pairs::CONNECTIONS;
use subject::Subject;

const PUSH_CONNECTIONS: usize = 15_000;

#[tokio::main]
async fn main() {
    // `cargo bench` passes `--bench`; one other word picks one measurement.
    let only: Option<String> =
        std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if std::env::var("SLUICE_BENCH_BARE").is_ok() {
        return bare::serve().await;
    }
    if wanted("size") {
        size().await;
    }
    if wanted("status") {
        status().await;
    }
    if wanted("join") {
        join().await;
    }
    if wanted("rate") {
        rate().await;
    }
    if wanted("offers") {
        offers().await;
    }
    if wanted("push") {
        push::measure(PUSH_CONNECTIONS).await;
    }
}

async fn size() {
    let bytes = std::fs::metadata(process::BINARY).unwrap().len();
    println!("size    binary {:.1} MB (target < 40)", mega(bytes));
    let began = Instant::now();
    let subject = Subject::start("").await;
    println!("size    run: ready after {:.2} s (target < 1)", began.elapsed().as_secs_f64());
    tokio::time::sleep(Duration::from_secs(2)).await;
    println!(
        "size    run: {:.1} MB resident when idle (target < 60)",
        mega(subject.resident_bytes())
    );
}

/// Polls of waiting entries, each connection its own.
async fn status() {
    let subject = Subject::start(sale::STANDING).await;
    let polls = buyer::polls(subject.public, CONNECTIONS).await;
    pairs::with_hyper("status", 0.8, subject.public, polls).await;
}

/// A durable join, each of a new buyer.
async fn join() {
    let subject = Subject::start(sale::STANDING).await;
    let joins = vec![buyer::join_request(); CONNECTIONS];
    pairs::with_hyper("join", 0.5, subject.public, joins).await;
}

/// What comes back reaches who stands by.
async fn offers() {
    let subject = Subject::start(sale::ONE_UNIT).await;
    let (join, push) = (subject.public, subject.public);
    offers::measure("offers", offers::Doors { join, push, operator: &subject.process }).await;
}

async fn rate() {
    let subject = Subject::start(sale::CEILING).await;
    rate::measure("rate", subject.public, &subject.process, &subject.process).await;
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
