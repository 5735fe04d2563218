//! How long a line stands when whoever speaks for it is killed, or freezes; and that a speaker which wakes up has nothing to
//! say any more.

use std::{
    net::SocketAddr,
    process::Command,
    time::{Duration, Instant},
};

use tokio::time::{sleep, timeout};

use super::{
    deployment::Deployment,
    load,
    pairs::median,
    process::{Process, until},
    rate,
    sale::SALE,
    shop::Shop,
};

const MOVING: &str = r#"
[[sale]]
id = "bench"
skus = [{ sku = "a", stock = 10000000, amount_fen = 100, currency = "CNY" }]
policy = { ceiling_per_second = 500, line_cap = 10000000 }
"#;
const CEILING: f64 = 500.0;
/// A minute's worth and more: the line must not run empty.
const ENTRIES: u64 = 40_000;
const KILLS: usize = 3;
const POLL: Duration = Duration::from_millis(20);
/// Steps of a line that moves again.
const STEPS: u32 = 3;
/// How long a frozen speaker is listened to after it has woken.
const AWAKE: Duration = Duration::from_secs(5);
/// How long the line may stand before there is nothing to measure.
const STANDSTILL_MAX: Duration = Duration::from_secs(60);

pub(crate) async fn measure() {
    let roles = ["admission", "dispatcher", "dispatcher"];
    let mut deployment = Deployment::start(MOVING, &roles).await;
    let shop = Shop::open(&deployment.stores.rabbitmq).await;
    rate::fill(deployment.door, ENTRIES).await;
    let mut stood = Vec::new();
    for kill in 1..=KILLS {
        let speaker = moving(&mut deployment).await;
        let began = Instant::now();
        drop(speaker);
        stood.push(standstill(&deployment, began).await.as_secs_f64());
        println!("handover kill {kill}: {:.2} s", stood[kill - 1]);
        deployment.add("dispatcher").await;
    }
    println!(
        "handover {:.2} s from the speaker's death to the next turn, median of {KILLS} (target < 3)",
        median(&mut stood)
    );
    freeze(&mut deployment, &shop).await;
}

async fn freeze(deployment: &mut Deployment, shop: &Shop) {
    let speaker = moving(deployment).await;
    let began = Instant::now();
    signal(&speaker, "-STOP");
    let stood = standstill(deployment, began).await.as_secs_f64();
    println!("handover {stood:.2} s from the speaker's freezing to the next turn (target < 15)");
    let (before, woken) = (shop.heard(), Instant::now());
    signal(&speaker, "-CONT");
    sleep(AWAKE).await;
    let (after, seconds) = (shop.heard(), woken.elapsed().as_secs_f64());
    println!(
        "handover {:.4} of the law's integral in the {seconds:.1} s after it woke (target <= 1.02), {} turns of its own (target 0)",
        f64::from(after.entries - before.entries) / (CEILING * seconds),
        after.stale - before.stale
    );
}

/// Whoever speaks for a line that moves, taken out of the deployment.
async fn moving(deployment: &mut Deployment) -> Process {
    let speaker = deployment.take_speaker().await;
    let from = serving(deployment.door).await;
    until("the line moves", async || serving(deployment.door).await > from).await;
    speaker
}

/// How long after `since` the line's longest standstill was over. What the last speaker had released is told for a moment yet;
/// then nothing moves until the next one speaks.
async fn standstill(deployment: &Deployment, since: Instant) -> Duration {
    let watched = async {
        let (mut at, mut rose) = (serving(deployment.door).await, since);
        let (mut longest, mut over) = (Duration::ZERO, since);
        let mut steps = 0;
        while steps < STEPS {
            sleep(POLL).await;
            let now = serving(deployment.door).await;
            if now > at {
                let stood = rose.elapsed();
                (at, rose) = (now, Instant::now());
                if stood > longest {
                    (longest, over) = (stood, rose);
                }
                if deployment.speaker().await.is_some() {
                    steps += 1;
                }
            }
        }
        over - since
    };
    timeout(STANDSTILL_MAX, watched).await.expect("the line stands still")
}

/// How far the line has come, as buyers see it.
async fn serving(door: SocketAddr) -> u64 {
    let request = format!("GET /v1/sales/{SALE} HTTP/1.1\r\nhost: sluice\r\n\r\n");
    let reply = load::once(door, request.as_bytes()).await;
    let sale: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    sale["serving"].as_u64().unwrap_or_else(|| panic!("{sale}"))
}

fn signal(process: &Process, signal: &str) {
    let sent = Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap();
    assert!(sent.success(), "kill {signal}");
}
