//! How long a release takes to reach one who stands by: from the moment a buyer gives a place up that holds the only unit, until
//! the next one's push says `reserved`, with tens of thousands standing by.

use std::{net::SocketAddr, time::Duration};

use futures_util::StreamExt;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    buyer::{self, Joined},
    load::{self, Load},
    pairs::CONNECTIONS,
    process::{Process, until},
    sale::SALE,
    socket,
};

/// Buyers who stand by.
const STANDING_BY: f64 = 50_000.0;
/// Releases that are measured.
const RELEASES: usize = 200;
/// How long one may take before something is wrong.
const LONG: Duration = Duration::from_secs(30);

/// Where buyers join and leave, where they hear, and who tells how many stand by.
pub(crate) struct Doors<'a> {
    pub(crate) join: SocketAddr,
    pub(crate) push: SocketAddr,
    pub(crate) operator: &'a Process,
}

pub(crate) async fn measure(name: &str, doors: Doors<'_>) {
    // The only unit, the only place in line, and then everybody else.
    let holder = buyer::join(doors.join).await;
    until("the unit is held", async || state(doors.join, &holder).await == "reserved").await;
    let waiting = buyer::join(doors.join).await;
    let mut first = Vec::with_capacity(RELEASES);
    for _ in 0..RELEASES {
        first.push(buyer::join(doors.join).await);
    }
    let load = Load { address: doors.join, requests: vec![buyer::join_request(); CONNECTIONS] };
    while standing(doors.operator).await < STANDING_BY {
        let ran = load.run(Duration::from_millis(500)).await;
        assert_eq!(ran.failed, 0, "{name}: joins were refused");
    }
    leave(doors.join, &waiting).await;

    let (heard, mut reserved) = mpsc::channel(RELEASES);
    for (n, place) in first.iter().enumerate() {
        let mut socket = socket::connect(doors.push, &place.token, n).await;
        let heard = heard.clone();
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                let Ok(text) = message.to_text() else { continue };
                if text.contains("\"state\":\"reserved\"") {
                    heard.send((n, Instant::now())).await.unwrap();
                    return;
                }
            }
        });
    }
    let mut holder = &holder;
    let mut took = Vec::with_capacity(RELEASES);
    for _ in 0..RELEASES {
        let released = Instant::now();
        leave(doors.join, holder).await;
        let (n, at) = timeout(LONG, reserved.recv()).await.unwrap().unwrap();
        took.push(at - released);
        holder = &first[n];
    }
    took.sort();
    let ms = |part: usize| took[(took.len() - 1) * part / 100].as_secs_f64() * 1_000.0;
    println!(
        "{name:<7} a release reaches the next one's push in {:.0} ms (median), {:.0} ms (P95), with {:.0} standing by (target < 300 at P95)",
        ms(50),
        ms(95),
        standing(doors.operator).await
    );
}

async fn standing(operator: &Process) -> f64 {
    let reply = operator.operate("GET", &format!("/v1/sales/{SALE}/stats"), "").await;
    let stats: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    stats["standby"].as_f64().unwrap_or(0.0)
}

async fn state(door: SocketAddr, place: &Joined) -> String {
    let reply = about("GET", door, place).await;
    let object: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    object["state"].as_str().unwrap().to_owned()
}

async fn leave(door: SocketAddr, place: &Joined) {
    let reply = about("DELETE", door, place).await;
    assert_eq!(reply.status, 204, "{}", String::from_utf8_lossy(&reply.bytes));
}

async fn about(method: &str, door: SocketAddr, place: &Joined) -> load::Reply {
    let Joined { entry, token } = place;
    let request = format!(
        "{method} /v1/sales/{SALE}/entries/{entry} HTTP/1.1\r\nhost: sluice\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    load::once(door, request.as_bytes()).await
}
