//! The ratios we watch: sluice against a bare hyper server that answers the same bytes, the dispatcher against the law's
//! integral, and what a push connection costs. One run, pairs in turn, medians printed. Nothing here asserts a time.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program"
)]

#[path = "ratios/bare.rs"]
mod bare;
#[path = "ratios/load.rs"]
mod load;
#[path = "ratios/push.rs"]
mod push;
#[path = "ratios/subject.rs"]
mod subject;

use std::time::{Duration, Instant};

use load::{Load, Reply};
use subject::Subject;

const PAIRS: usize = 5;
const RUN: Duration = Duration::from_secs(3);
/// Open at once: a crowd's first second, not a trickle. Durable joins share commits, so fewer would measure the disk.
const CONNECTIONS: usize = 256;
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
    if wanted("push") {
        push::measure(PUSH_CONNECTIONS).await;
    }
}

async fn size() {
    let bytes = std::fs::metadata(subject::BINARY).unwrap().len();
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
    let subject = Subject::start(subject::STANDING_SALE).await;
    let mut requests = Vec::with_capacity(CONNECTIONS);
    for _ in 0..CONNECTIONS {
        let joined = subject.join().await;
        let request = format!(
            "GET /v1/sales/{}/entries/{} HTTP/1.1\r\nhost: sluice\r\nauthorization: Bearer {}\r\n\r\n",
            subject::SALE,
            joined.entry,
            joined.token
        );
        requests.push(request.into_bytes());
    }
    compare("status", 0.8, &subject, requests).await;
}

/// A durable join, each of a new buyer.
async fn join() {
    let subject = Subject::start(subject::STANDING_SALE).await;
    compare("join", 0.5, &subject, vec![subject::join_request(); CONNECTIONS]).await;
}

/// Runs the same requests against sluice and against the bare server, in turn.
async fn compare(name: &str, target: f64, subject: &Subject, requests: Vec<Vec<u8>>) {
    let reply: Reply = load::once(subject.public, &requests[0]).await;
    assert!(
        reply.status < 300,
        "{name}: {} {}",
        reply.status,
        String::from_utf8_lossy(&reply.bytes)
    );
    let bare = bare::Bare::start(&reply).await;
    let mut ratios = Vec::new();
    for pair in 0..=PAIRS {
        let ours = Load { address: subject.public, requests: requests.clone() }.run(RUN).await;
        let theirs = Load { address: bare.address, requests: requests.clone() }.run(RUN).await;
        assert_eq!(ours.failed + theirs.failed, 0, "{name}: answers other than 2xx");
        if pair > 0 {
            // the first pair warms up
            ratios.push(ours.per_second / theirs.per_second);
            println!(
                "{name:<7} pair {pair}: {:.0}/s of bare hyper's {:.0}/s",
                ours.per_second, theirs.per_second
            );
        }
    }
    println!(
        "{name:<7} {:.2} of bare hyper, median of {PAIRS} (target >= {target})",
        median(&mut ratios)
    );
}

/// The turns released in ten seconds at the ceiling, against the law's integral.
async fn rate() {
    let subject = Subject::start(subject::CEILING_SALE).await;
    let joins =
        Load { address: subject.public, requests: vec![subject::join_request(); CONNECTIONS] };
    let mut joined = 0;
    while joined < 30_000 {
        joined += joins.run(Duration::from_millis(500)).await.answered;
    }
    subject.operate("POST", &format!("/v1/sales/{}/resume", subject::SALE), "{}").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (from, began) = (subject.turns().await, Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (to, seconds) = (subject.turns().await, began.elapsed().as_secs_f64());
    println!(
        "rate    {:.4} of the law's integral at 2000/s over {seconds:.1} s (target 0.98 to 1.02)",
        (to - from) / (2000.0 * seconds)
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far below 2^53")]
fn mega(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
