//! The turns released in ten seconds at the ceiling of 2,000 a second, against the law's integral.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::{
    buyer,
    load::Load,
    pairs::CONNECTIONS,
    process::{Process, until},
    sale::SALE,
};

const TURNS: &str = "sluice_turns_total";
/// More than are called while it is measured.
const ENTRIES: u64 = 30_000;

pub(crate) async fn measure(
    name: &str,
    door: SocketAddr,
    operator: &Process,
    dispatcher: &Process,
) {
    operator.operate("POST", &format!("/v1/sales/{SALE}/pause"), "{}").await;
    fill(door, ENTRIES).await;
    let before = dispatcher.metric(TURNS).await;
    operator.operate("POST", &format!("/v1/sales/{SALE}/resume"), "{}").await;
    until("the line moves", async || dispatcher.metric(TURNS).await > before).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (from, began) = (dispatcher.metric(TURNS).await, Instant::now());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let (to, seconds) = (dispatcher.metric(TURNS).await, began.elapsed().as_secs_f64());
    println!(
        "{name:<7} {:.4} of the law's integral at 2000/s over {seconds:.1} s (target 0.98 to 1.02)",
        (to - from) / (2000.0 * seconds)
    );
}

/// Lets so many join.
pub(crate) async fn fill(door: SocketAddr, entries: u64) {
    let joins = Load { address: door, requests: vec![buyer::join_request(); CONNECTIONS] };
    let mut joined = 0;
    while joined < entries {
        let ran = joins.run(Duration::from_millis(500)).await;
        joined += ran.answered - ran.failed;
    }
}
