//! The line ends: who is parked, when the line stands, when it is over.

use std::time::Duration;

use serde_json::json;
use sluice_core::{
    entry::Outcome, ids::SkuId, line::LineEntry, ports::OutcomeReason, sale::SaleChange,
};
use tokio::time::{Instant, sleep};

use super::{workers::Workers, world::World};

/// A law that does not make anybody wait for long.
fn brisk() -> serde_json::Value {
    json!({"fraction": 1.0, "tail_per_second": 50.0, "ceiling_per_second": 50.0})
}

async fn nobody_settled(world: &World, entries: &[LineEntry]) -> bool {
    world.outcomes(entries).await.iter().all(Option::is_none)
}

#[tokio::test(start_paused = true)]
async fn the_parked_are_served_first_when_their_goods_come_back() {
    let mut world = World::with(&[("a", 1), ("b", 1_000)], brisk()).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Hold);
    let ears = world.listen().await;
    let holder = world.join(&[("a", 1)]).await;
    world.until_all(std::slice::from_ref(&holder), Outcome::Reserved).await;
    let parked = world.crowd(2, &[("a", 1)]).await;
    let others = world.crowd(200, &[("b", 1)]).await;
    world.until_released(1 + 20).await;
    assert!(nobody_settled(&world, &parked).await);
    assert_eq!(world.log.first_numbers()[1], others[0].seq.0, "others go on");
    sleep(Duration::from_millis(300)).await;
    let report = ears.last().unwrap();
    assert!(report.cursor.serving > parked[1].seq, "the cursor passes the parked");
    world.lapse(&holder).await;
    let lapsed = world.log.count();
    world.until_all(&parked[..1], Outcome::Reserved).await;
    let position = world.log.first_numbers().iter().position(|n| *n == parked[0].seq.0).unwrap();
    assert!(position <= lapsed + 3, "called {position}th, {lapsed} before the lapse");
    world.until_all(&others, Outcome::Reserved).await;
    assert!(nobody_settled(&world, &parked[1..]).await, "a hold may lapse");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(ears.last().unwrap().waiting, 1, "the parked wait");
    world.pay(&parked[0]).await;
    world.until_all(&parked[1..], Outcome::SoldOut).await;
}

#[tokio::test(start_paused = true)]
async fn the_line_stands_while_everything_is_held() {
    let mut world = World::with(&[("a", 5)], brisk()).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Hold);
    let ears = world.listen().await;
    let entries = world.crowd(3_000, &[("a", 1)]).await;
    let (holders, line) = entries.split_at(5);
    world.until_all(holders, Outcome::Reserved).await;
    sleep(Duration::from_mins(3)).await;
    assert!(nobody_settled(&world, line).await, "places are kept");
    assert_eq!(world.log.count(), 5);
    let report = ears.last().unwrap();
    assert_eq!((report.waiting, report.unpaid, report.remaining), (2_995, 5, 0));
    assert!(!report.sold_out && report.rate_per_second.abs() < f64::EPSILON, "{report:?}");
    assert_eq!(report.cursor.serving, holders[4].seq, "nobody is parked");
    for holder in &holders[..4] {
        world.pay(holder).await;
    }
    world.lapse(&holders[4]).await;
    world.until_all(&line[..1], Outcome::Reserved).await;
    sleep(Duration::from_mins(1)).await;
    assert!(nobody_settled(&world, &line[1..]).await, "one hold is left");
    assert!(!ears.last().unwrap().sold_out);
    world.pay(&line[0]).await;
    let start = Instant::now();
    world.until_all(&line[1..], Outcome::SoldOut).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    world
        .until("it is told", async |_| {
            ears.last().is_some_and(|report| report.sold_out && report.waiting == 0)
        })
        .await;
    assert_eq!(world.log.first_releases().len(), 6, "the rest are free of the law");
}

#[tokio::test(start_paused = true)]
async fn sold_out_is_taken_back_when_stock_is_added() {
    let mut world = World::with(&[("a", 1)], brisk()).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Sell);
    let ears = world.listen().await;
    let first = world.crowd(1, &[("a", 1)]).await;
    world.until_all(&first, Outcome::Reserved).await;
    world.until("sold out", async |_| ears.last().is_some_and(|report| report.sold_out)).await;
    let late = world.crowd(1, &[("a", 1)]).await;
    world.until_all(&late, Outcome::SoldOut).await;
    let start = Instant::now();
    world.change(SaleChange::AddStock { sku: SkuId::new("a").unwrap(), units: 3 }).await;
    world.until("not any more", async |_| ears.last().is_some_and(|report| !report.sold_out)).await;
    assert!(start.elapsed() < Duration::from_millis(250), "{:?}", start.elapsed());
    let served = world.crowd(3, &[("a", 1)]).await;
    world.until_all(&served, Outcome::Reserved).await;
}

#[tokio::test(start_paused = true)]
async fn who_wants_more_than_there_can_be_is_settled_in_passing() {
    let mut world = World::with(&[("a", 3)], brisk()).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Hold);
    let greedy = world.crowd(1, &[("a", 4)]).await;
    let modest = world.crowd(2, &[("a", 1)]).await;
    let pair = world.crowd(1, &[("a", 2)]).await;
    world.until_all(&greedy, Outcome::SoldOut).await;
    world.until_all(&modest, Outcome::Reserved).await;
    sleep(Duration::from_mins(1)).await;
    assert!(nobody_settled(&world, &pair).await, "a hold may lapse");
    world.pay(&modest[0]).await;
    world.pay(&modest[1]).await;
    world.until_all(&pair, Outcome::SoldOut).await;
    assert_eq!(world.log.count(), 2);
}

#[tokio::test(start_paused = true)]
async fn closing_settles_everybody_who_waits() {
    let mut world = World::with(&[("a", 1_000_000)], json!({"ceiling_per_second": 1.0})).await;
    let _running = world.dispatcher("one").await;
    let entries = world.crowd(2_500, &[("a", 1)]).await;
    world.until_released(3).await;
    world.change(SaleChange::Close).await;
    let called = world.log.count();
    let start = Instant::now();
    world.until_all(&entries[called..], Outcome::SoldOut).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    let records = world.ports.ledger.entries(&[entries[2_499].entry]).await.unwrap();
    assert_eq!(records[0].as_ref().unwrap().reason, OutcomeReason::Closed);
    assert_eq!(world.log.count(), called, "nobody is called any more");
    let late = world.crowd(1, &[("a", 1)]).await;
    world.until_all(&late, Outcome::SoldOut).await;
}

#[tokio::test(start_paused = true)]
async fn the_clock_opens_and_closes_a_sale() {
    let mut world = World::scheduled(
        &[("a", 1_000_000)],
        json!({"ceiling_per_second": 10.0}),
        Duration::from_secs(30),
        Duration::from_secs(60),
    )
    .await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    let entries = world.crowd(1_000, &[("a", 1)]).await;
    let start = Instant::now();
    world.until_released(1).await;
    let opened = start.elapsed().as_millis();
    assert!((29_000..=30_600).contains(&opened), "{opened}");
    world.until_all(&entries[999..], Outcome::SoldOut).await;
    let closed = start.elapsed().as_millis();
    assert!((59_500..=61_500).contains(&closed), "{closed}");
    let released = world.log.count();
    assert!((290..=301).contains(&released), "{released}");
    world.until_all(&entries[released..], Outcome::SoldOut).await;
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_lost_stock_is_set_right_by_the_ledger() {
    let mut world = World::with(&[("a", 10)], brisk()).await;
    let _running = world.dispatcher("one").await;
    // The gate is told of nothing, under the present epoch: it says gone, the ledger does not.
    let epoch = world.ports.line.snapshot(&world.sale).await.unwrap().epoch;
    let skus = vec![(SkuId::new("a").unwrap(), 0, 0)];
    let empty = sluice_core::ports::GateImage { skus, ..Default::default() };
    world.ports.gate.rebuild(&world.sale, epoch, empty).await.unwrap();
    let entries = world.crowd(3, &[("a", 1)]).await;
    world.until_released(3).await;
    assert!(nobody_settled(&world, &entries).await, "the gate's no alone ends nobody");
}

#[tokio::test(start_paused = true)]
async fn a_line_paused_for_long_gives_its_window_back_and_goes_on_later() {
    let mut world = World::with(&[("a", 1_000)], json!({"multiplier": 0.0})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world.crowd(50, &[("a", 1)]).await;
    sleep(Duration::from_mins(9)).await;
    let early =
        tokio::time::timeout(Duration::from_secs(5), world.ports.waiting.drain(&world.sale)).await;
    assert!(early.is_err(), "the window is still held");
    sleep(Duration::from_mins(2)).await;
    let drain = world.ports.waiting.drain(&world.sale);
    let drain = tokio::time::timeout(Duration::from_secs(5), drain).await.unwrap().unwrap();
    drop(drain);
    world.tune(json!({"multiplier": 1.0})).await;
    world.until_released(50).await;
    assert_eq!(world.log.first_numbers(), (1..=50).collect::<Vec<_>>());
}
