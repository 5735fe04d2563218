//! The shop's own order backend settles turns: the line follows what it says is left, and does not end while it has not said
//! what became of those it was left.

use std::time::Duration;

use serde_json::json;
use sluice_core::{
    entry::Outcome,
    event::SettledBy,
    ids::{EntryId, OrderId, SkuId},
    order::ShopOrder,
    ports::{Settlement, ShopOutcome, ShopReply, ShopReport, ShopWord, StepReply},
};
use sluice_dispatcher::Config;
use tokio::time::sleep;

use super::world::World;

async fn open() -> World {
    let policy = json!({"fraction": 1.0, "tail_per_second": 50.0, "ceiling_per_second": 50.0});
    World::with(&[("a", 1_000)], policy).await
}

async fn dispatch(world: &mut World) -> super::world::Running {
    let config = Config { settled_by: SettledBy::Shop, ..World::config("one") };
    let running = world.dispatcher_with(config, world.ports.clone());
    world
        .until("the line is warm", async |world| {
            world.ports.line.snapshot(&world.sale).await.is_ok()
        })
        .await;
    running
}

async fn left(world: &World, units: u64) {
    let sku = SkuId::new("a").unwrap();
    let told = world.ports.ledger.tell_remaining(&world.sale, &sku, units);
    assert!(told.await.unwrap());
}

/// The shop reports, and the line hears of it, as the operator role sees to it.
async fn report(world: &World, entry: EntryId, outcome: ShopOutcome) {
    let reply = world.ports.ledger.report(&ShopReport { entry, outcome }).await.unwrap();
    let ShopReply::Settled(record) = reply else { panic!("it was left to the shop: {reply:?}") };
    let settlement = Settlement { outcome: record.outcome, live: record.is_live() };
    world.ports.line.settle(&world.sale, &[(entry, settlement)]).await.unwrap();
}

async fn reserve(world: &World, entry: EntryId) {
    let id = OrderId::generate(Default::default(), &world.random);
    let order = ShopOrder { id: entry.to_string().parse().unwrap(), link: None };
    report(world, entry, ShopOutcome::Reserved { id, order, pay_by: None }).await;
}

#[tokio::test(start_paused = true)]
async fn the_line_follows_what_the_shop_says_and_ends_when_it_has_spoken() {
    let mut world = open().await;
    left(&world, 3).await;
    let _running = dispatch(&mut world).await;
    let entries = world.crowd(10, &[("a", 1)]).await;
    let ids: Vec<EntryId> = entries.iter().map(|entry| entry.entry).collect();
    world.until_released(3).await;
    sleep(Duration::from_mins(2)).await;
    assert_eq!(world.log.first_numbers(), [1, 2, 3], "as many as the shop has left");
    for id in &ids[..3] {
        reserve(&world, *id).await;
    }
    left(&world, 0).await;
    sleep(Duration::from_mins(2)).await;
    assert_eq!(world.log.first_releases().len(), 3);

    left(&world, 1).await;
    world.until_released(4).await;
    left(&world, 0).await;
    for (id, order) in ids.iter().zip(&ids[..3]) {
        let name = order.to_string().parse().unwrap();
        let paid = world.ports.ledger.hear(*id, &name, ShopWord::Paid);
        assert!(matches!(paid.await.unwrap(), StepReply::Done { .. }));
    }
    sleep(Duration::from_mins(2)).await;
    let waiting = world.outcomes(&entries[4..]).await;
    assert!(waiting.iter().all(Option::is_none), "the fourth may yet come to nothing");
    report(&world, ids[3], ShopOutcome::Refused).await;
    world.until_all(&entries[4..], Outcome::SoldOut).await;
    assert_eq!(world.log.first_releases().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn turns_leave_in_order_and_at_the_pace_of_the_law() {
    let mut world = open().await;
    let _running = dispatch(&mut world).await;
    world.crowd(300, &[("a", 1)]).await;
    world.until_released(300).await;
    let releases = world.log.first_releases();
    let numbers: Vec<u64> = releases.iter().map(|release| release.turn.line_entry.seq.0).collect();
    assert_eq!(numbers, Vec::from_iter(1..=300));
    let took = releases[299].at.duration_since(releases[0].at).as_secs_f64();
    assert!((5.8..6.6).contains(&took), "300 turns at 50 a second took {took} s");
    for release in releases {
        let entry = release.turn.line_entry.entry;
        let report = ShopReport { entry, outcome: ShopOutcome::SoldOut };
        let reply = world.ports.ledger.report(&report).await.unwrap();
        assert!(matches!(reply, ShopReply::Settled(_)), "it was written down: {reply:?}");
    }
}
