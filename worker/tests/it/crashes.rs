//! A worker that dies at any point leaves nothing lost, nothing doubled and nothing leaked.

use sluice_core::{entry::Outcome, line::LineEntry, order::OrderState};
use sluice_worker::Config;

use crate::{
    fuse::{Fuse, fused},
    house::{House, Running, until},
};

/// More points than a batch has: the last runs end without a crash.
const POINTS: u64 = 24;

fn one_consumer() -> Config {
    Config { consumers: 1, ..Config::default() }
}

/// Runs a worker into its fuse, or to the end of the turns if the fuse holds. Whether it blew.
async fn crash_at(house: &House, point: u64) -> bool {
    let fuse = Fuse::at(point);
    let worker = house.worker_over(fused(house.worker_ports(), &fuse), one_consumer());
    let running = Running::start(worker);
    until("the fuse blows or the turns are done", async || {
        fuse.blown.is_cancelled() || house.ports.turns.depths().await.unwrap().turns == 0
    })
    .await;
    running.kill().await;
    fuse.blown.is_cancelled()
}

async fn assert_right(house: &House, entries: &[LineEntry]) {
    let outcomes = house.outcomes(entries).await;
    use Outcome::{Reserved, SoldOut};
    assert_eq!(outcomes, [Reserved, Reserved, Reserved, SoldOut, SoldOut]);
    assert_eq!(house.orders_in(OrderState::AwaitingPayment).await, 3);
    assert_eq!(house.balance().await.held, 3);
    house.assert_balanced().await;
    until("everything is told", async || house.ports.ledger.untold(10).await.unwrap().is_empty())
        .await;
}

#[tokio::test]
async fn a_crash_at_any_point_of_a_batch_changes_nothing() {
    let mut crashes = 0;
    for point in 1..=POINTS {
        let house = House::open(3).await;
        let entries = house.entries(5);
        house.release(&entries).await;
        house.release_again(&entries[..2]).await;
        crashes += u64::from(crash_at(&house, point).await);
        let worker = Running::start(house.worker());
        house.drained().await;
        assert_right(&house, &entries).await;
        worker.stop().await;
    }
    assert!(crashes >= 8, "reserve, settle, announce and acknowledge were all crossed: {crashes}");
    assert!(crashes < POINTS, "the last runs end without a crash");
}

#[tokio::test]
async fn crash_after_crash_after_crash() {
    let house = House::open(3).await;
    let entries = house.entries(5);
    house.release(&entries).await;
    for point in 1..=POINTS {
        crash_at(&house, point).await;
    }
    let worker = Running::start(house.worker());
    house.drained().await;
    assert_right(&house, &entries).await;
    worker.stop().await;
}
