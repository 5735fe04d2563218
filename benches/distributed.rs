//! The ratios we watch of the roles as processes of their own on real Redis, RabbitMQ and PostgreSQL, which `scripts/services`
//! starts for each measurement anew: joins against lapin alone, orders beside bare inserts, payment callbacks, seat choice in Redis, the rate
//! against the law's integral,
//! polls against bare hyper, and how long the line stands when its speaker dies or freezes. Nothing here asserts a time.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring program"
)]

#[path = "ratios/bare.rs"]
mod bare;
#[path = "distributed/bare_queue.rs"]
mod bare_queue;
#[path = "ratios/buyer.rs"]
mod buyer;
#[path = "distributed/deployment.rs"]
mod deployment;
#[path = "distributed/handover.rs"]
mod handover;
#[path = "ratios/load.rs"]
mod load;
#[path = "ratios/offers.rs"]
mod offers;
#[path = "distributed/orders.rs"]
mod orders;
#[path = "ratios/pairs.rs"]
mod pairs;
#[path = "ratios/process.rs"]
mod process;
#[path = "ratios/rate.rs"]
mod rate;
#[path = "ratios/sale.rs"]
mod sale;
#[path = "distributed/seats.rs"]
mod seats;
#[path = "distributed/settling.rs"]
mod settling;
#[path = "distributed/shop.rs"]
mod shop;
#[path = "ratios/socket.rs"]
mod socket;
#[path = "../tests/it/stores.rs"]
#[allow(dead_code, reason = "the tests also break the stores")]
mod stores;
#[path = "distributed/turns.rs"]
mod turns;

use bare_queue::BareQueue;
use deployment::Deployment;
use load::Load;
use pairs::CONNECTIONS;
use shop::Shop;

/// Joins open at a time: as many as lapin alone has publishes.
const JOINS_OPEN: usize = bare_queue::OPEN_MAX;

#[tokio::main]
async fn main() {
    // `cargo bench` passes `--bench`; one other word picks one measurement.
    let only: Option<String> =
        std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
    if std::env::var("SLUICE_BENCH_BARE").is_ok() {
        return bare::serve().await;
    }
    if wanted("distributed-status") {
        status().await;
    }
    if wanted("distributed-join") {
        join().await;
    }
    if wanted("distributed-rate") {
        rate().await;
    }
    if wanted("distributed-offers") {
        offers().await;
    }
    if wanted("orders") {
        orders::measure().await;
    }
    if wanted("settling") {
        settling::measure().await;
    }
    if wanted("seats") {
        seats::measure().await;
    }
    if wanted("handover") {
        handover::measure().await;
    }
}

/// Polls of waiting entries, each connection its own.
async fn status() {
    let deployment = Deployment::start(sale::STANDING, &["admission", "dispatcher"]).await;
    let polls = buyer::polls(deployment.door, CONNECTIONS).await;
    pairs::with_hyper("distributed-status", 0.8, deployment.door, polls).await;
}

/// Durable joins, each of a new buyer, against what lapin alone gets confirmed by the same broker: one message for each.
async fn join() {
    let deployment = Deployment::start(sale::STANDING, &["admission", "dispatcher"]).await;
    let queue = BareQueue::declare(&deployment.stores.rabbitmq).await;
    let requests = vec![buyer::join_request(); JOINS_OPEN];
    let joins = Load { address: deployment.door, requests };
    let name = "distributed-join";
    let ours = async || pairs::pace(name, &joins).await;
    pairs::compare(name, 0.8, "bare lapin", ours, async || queue.publish(pairs::RUN).await).await;
}

/// What comes back reaches who stands by.
async fn offers() {
    let roles = ["admission", "dispatcher", "worker", "ws-push"];
    // A second unit, for whoever asked whether the line takes joins.
    let sale = sale::ONE_UNIT.replace("stock = 1", "stock = 2");
    let deployment = Deployment::start(&sale, &roles).await;
    let (join, push) = (deployment.door, deployment.push);
    let operator = deployment.role("operator");
    offers::measure("distributed-offers", offers::Doors { join, push, operator }).await;
}

/// Somebody takes the turns as they come, at next to no cost, so that none pile up and hold the line back.
async fn rate() {
    let deployment = Deployment::start(sale::CEILING, &["admission", "dispatcher"]).await;
    let _shop = Shop::open(&deployment.stores.rabbitmq).await;
    let (operator, dispatcher) = (deployment.role("operator"), deployment.role("dispatcher"));
    rate::measure("distributed-rate", deployment.door, operator, dispatcher).await;
}
