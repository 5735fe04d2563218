//! Runs in pairs, ours and a rival's in turn, so that both meet the machine in the same mood; the median of their ratios counts.

use std::{net::SocketAddr, time::Duration};

use super::{
    bare,
    load::{self, Load, Reply},
};

const PAIRS: usize = 5;
/// One run of a pair.
pub(crate) const RUN: Duration = Duration::from_secs(3);
/// Connections of a load, each with one request open: a crowd's first second, not a trickle. Durable joins share commits, so
/// fewer would measure the disk.
pub(crate) const CONNECTIONS: usize = 512;

/// Prints how our pace, in events per second, compares with the rival's.
pub(crate) async fn compare(
    name: &str,
    target: f64,
    rival: &str,
    ours: impl AsyncFn() -> f64,
    theirs: impl AsyncFn() -> f64,
) {
    let mut ratios = Vec::new();
    for pair in 0..=PAIRS {
        let (ours, theirs) = (ours().await, theirs().await);
        if pair > 0 {
            // the first pair warms up
            ratios.push(ours / theirs);
            println!("{name:<7} pair {pair}: {ours:.0}/s of {rival}'s {theirs:.0}/s");
        }
    }
    println!(
        "{name:<7} {:.2} of {rival}, median of {PAIRS} (target >= {target})",
        median(&mut ratios)
    );
}

/// Runs the same requests against sluice and against a bare server that answers the same bytes.
pub(crate) async fn with_hyper(name: &str, target: f64, door: SocketAddr, requests: Vec<Vec<u8>>) {
    let reply: Reply = load::once(door, &requests[0]).await;
    assert!(
        reply.status < 300,
        "{name}: {} {}",
        reply.status,
        String::from_utf8_lossy(&reply.bytes)
    );
    let bare = bare::Bare::start(&reply).await;
    let ours = Load { address: door, requests: requests.clone() };
    let theirs = Load { address: bare.address, requests };
    compare(
        name,
        target,
        "bare hyper",
        async || pace(name, &ours).await,
        async || pace(name, &theirs).await,
    )
    .await;
}

/// One run of a load; answers per second.
pub(crate) async fn pace(name: &str, load: &Load) -> f64 {
    let ran = load.run(RUN).await;
    assert_eq!(ran.failed, 0, "{name}: answers other than 2xx");
    ran.per_second
}

pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
