//! Those who stand by: offers of what nobody before them wants, in their order, under the law.

use std::time::Duration;

use serde_json::json;
use sluice_core::{
    entry::{EntryState, Outcome},
    ids::SkuId,
    line::LineEntry,
    ports::OutcomeReason,
    sale::SaleChange,
};
use tokio::time::sleep;

use super::{workers::Workers, world::World};

fn brisk() -> serde_json::Value {
    json!({"fraction": 1.0, "tail_per_second": 50.0, "ceiling_per_second": 50.0})
}

async fn stand(world: &World, entries: &[LineEntry]) -> Vec<bool> {
    let ids: Vec<_> = entries.iter().map(|entry| entry.entry).collect();
    world.ports.ledger.stand(&ids).await.unwrap()
}

async fn until_standing(world: &World, entries: &[LineEntry]) {
    world.until("they stand by", async |world| !stand(world, entries).await.contains(&false)).await;
}

async fn nobody_settled(world: &World, entries: &[LineEntry]) -> bool {
    world.outcomes(entries).await.iter().all(Option::is_none)
}

#[tokio::test(start_paused = true)]
async fn what_nobody_in_line_wants_is_offered_in_order() {
    let mut world = World::with(&[("a", 3)], brisk()).await;
    let running = world.dispatcher("one").await;
    let ears = world.listen().await;
    let line = world.crowd(1, &[("a", 1)]).await;
    let standby = world.standby(4, &[("a", 1)]).await;
    until_standing(&world, &standby).await;
    world.workers(Workers::Hold);
    world.until_all(&line, Outcome::Reserved).await;
    world.until_all(&standby[..2], Outcome::Reserved).await;
    sleep(Duration::from_secs(2)).await;
    assert!(nobody_settled(&world, &standby[2..]).await, "everything is held");
    let report = ears.last().unwrap();
    assert_eq!((report.standby, report.remaining, report.owed), (2, 0, 0));
    let states = ears.states();
    assert_eq!(states[&standby[3].entry], [EntryState::Standby]);
    assert!(!states[&standby[0].entry].contains(&EntryState::Called), "it stands by until then");

    world.lapse(&standby[0]).await;
    world.until_all(&standby[2..3], Outcome::Reserved).await;
    world.pay(&line[0]).await;
    world.pay(&standby[1]).await;
    world.pay(&standby[2]).await;
    world.until_all(&standby[3..], Outcome::SoldOut).await;
    world.until_nothing_is_left(&running).await;
}

/// in-order: whoever was told before another joined goes first, in line or not.
#[tokio::test(start_paused = true)]
async fn a_walk_in_does_not_pass_those_who_stand_by() {
    let mut world = World::with(&[("a", 1)], brisk()).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Hold);
    let holder = world.join(&[("a", 1)]).await;
    world.until_all(std::slice::from_ref(&holder), Outcome::Reserved).await;
    let before = world.join(&[("a", 1)]).await;
    sleep(Duration::from_millis(5)).await;
    let standby = world.standby(1, &[("a", 1)]).await;
    sleep(Duration::from_millis(5)).await;
    let after = world.join(&[("a", 1)]).await;
    until_standing(&world, &standby).await;
    let mut last = holder;
    for next in [&before, &standby[0], &after] {
        world.lapse(&last).await;
        world.until_all(std::slice::from_ref(next), Outcome::Reserved).await;
        last = next.clone();
    }
}

#[tokio::test(start_paused = true)]
async fn offers_keep_to_the_law() {
    let policy = json!({"fraction": 1.0, "ceiling_per_second": 10.0});
    let mut world = World::with(&[("a", 1_000)], policy).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Hold);
    let standby = world.standby(100, &[("a", 1)]).await;
    until_standing(&world, &standby).await;
    let before = world.log.first_releases().len();
    sleep(Duration::from_secs(4)).await;
    let released = world.log.first_releases().len() - before;
    assert!((36..=42).contains(&released), "{released} in four seconds at ten a second");
}

#[tokio::test(start_paused = true)]
async fn when_stock_runs_out_the_line_stands_by_if_the_sale_says_so() {
    let mut policy = brisk();
    policy["on_sold_out"] = json!("standby");
    policy["standby_cap"] = json!(3);
    let mut world = World::with(&[("a", 2)], policy).await;
    let running = world.dispatcher("one").await;
    world.workers(Workers::Sell);
    let ears = world.listen().await;
    let mut entries = Vec::new();
    for _ in 0..7 {
        entries.push(world.join(&[("a", 1)]).await);
        sleep(Duration::from_millis(1)).await;
    }
    world.until_all(&entries[..2], Outcome::Reserved).await;
    until_standing(&world, &entries[2..5]).await;
    world.until_all(&entries[5..], Outcome::SoldOut).await;
    sleep(Duration::from_secs(2)).await;
    let report = ears.last().unwrap();
    assert!(report.sold_out && report.standby == 3 && report.waiting == 0, "{report:?}");
    assert_eq!(ears.states()[&entries[2].entry], [EntryState::Standby]);

    world.change(SaleChange::AddStock { sku: SkuId::new("a").unwrap(), units: 2 }).await;
    world.until_all(&entries[2..4], Outcome::Reserved).await;
    assert!(stand(&world, &entries[4..5]).await[0]);
    world.change(SaleChange::Close).await;
    world.until_all(&entries[4..5], Outcome::SoldOut).await;
    let record = world.ports.ledger.entries(&[entries[4].entry]).await.unwrap().remove(0).unwrap();
    assert_eq!(record.reason, OutcomeReason::Closed);
    world.until_nothing_is_left(&running).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_for_them_is_not_told_as_remaining() {
    let mut policy = brisk();
    policy["multiplier"] = json!(0.0);
    let mut world = World::with(&[("a", 5), ("b", 1)], policy).await;
    let _running = world.dispatcher("one").await;
    let ears = world.listen().await;
    let standby = world.standby(3, &[("a", 1)]).await;
    until_standing(&world, &standby).await;
    world.until("a report says so", async |_| ears.last().is_some_and(|told| told.owed == 3)).await;
    let report = ears.last().unwrap();
    assert_eq!((report.remaining, report.standby), (3, 3));
    let left: Vec<u64> = report.skus.iter().map(|sku| sku.remaining).collect();
    assert_eq!(left, [2, 1]);

    let _in_line = world.join(&[("a", 1)]).await;
    world
        .until("the line comes first", async |_| ears.last().is_some_and(|told| told.owed == 0))
        .await;
    assert_eq!(ears.last().unwrap().remaining, 6);
}

#[tokio::test(start_paused = true)]
async fn the_next_speaker_makes_the_offers() {
    let mut world = World::with(&[("a", 1)], brisk()).await;
    let one = world.dispatcher("one").await;
    world.workers(Workers::Hold);
    let holder = world.join(&[("a", 1)]).await;
    world.until_all(std::slice::from_ref(&holder), Outcome::Reserved).await;
    let standby = world.standby(2, &[("a", 1)]).await;
    until_standing(&world, &standby).await;
    one.kill();
    world.lapse(&holder).await;
    let walk_in = world.join(&[("a", 1)]).await;
    let _two = world.dispatcher("two").await;
    world.until_all(&standby[..1], Outcome::Reserved).await;
    assert!(nobody_settled(&world, std::slice::from_ref(&walk_in)).await);
    world.lapse(&standby[0]).await;
    world.until_all(&standby[1..], Outcome::Reserved).await;
    world.lapse(&standby[1]).await;
    world.until_all(std::slice::from_ref(&walk_in), Outcome::Reserved).await;
}

#[tokio::test(start_paused = true)]
async fn one_who_left_is_passed_over() {
    let mut world = World::with(&[("a", 1)], brisk()).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Hold);
    let holder = world.join(&[("a", 1)]).await;
    world.until_all(std::slice::from_ref(&holder), Outcome::Reserved).await;
    let standby = world.standby(2, &[("a", 1)]).await;
    until_standing(&world, &standby).await;
    world.leave(&standby[0]).await;
    world.lapse(&holder).await;
    world.until_all(&standby[1..], Outcome::Reserved).await;
    assert_eq!(world.outcomes(&standby).await[0], Some(Outcome::Left));
}
