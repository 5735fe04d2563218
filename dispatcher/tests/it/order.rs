//! in-order: who goes when, and who is passed.

use std::time::Duration;

use serde_json::json;
use sluice_core::{
    clock::Clock,
    entry::Outcome,
    line::LineEntry,
    ports::{Author, BanRule, NewOutcome, Notice, OutcomeReason, Settlement},
};
use tokio::time::{Instant, sleep};

use super::{
    workers::Workers,
    world::{World, basket},
};

async fn open() -> World {
    let mut world = World::with(&[("a", 1_000_000)], json!({})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world
}

#[tokio::test(start_paused = true)]
async fn overlapping_offers_are_put_in_order() {
    let mut world = open().await;
    let places = world.number(&vec![basket(&[("a", 1)]); 200]).await;
    for part in places.chunks(50).rev() {
        world.offer(part).await;
        sleep(Duration::from_millis(20)).await;
    }
    world.until_released(200).await;
    assert_eq!(world.log.first_numbers(), (1..=200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_missing_number_is_waited_for_a_quarter_second_and_no_longer() {
    let mut world = open().await;
    let places = world.number(&vec![basket(&[("a", 1)]); 3]).await;
    world.offer(&places[..1]).await;
    world.until_released(1).await;
    let start = Instant::now();
    world.offer(&places[2..]).await;
    world.until_released(2).await;
    let waited = world.log.releases()[1].at.duration_since(start);
    assert!((250..=270).contains(&waited.as_millis()), "{waited:?}");
    assert_eq!(world.log.first_numbers(), [1, 3]);
    // The one that was missing comes after all: it is next, before those behind it.
    let more = world.number(&vec![basket(&[("a", 1)]); 500]).await;
    world.offer(&more).await;
    world.offer(&places[1..2]).await;
    world.until_released(503).await;
    let numbers = world.log.first_numbers();
    let straggler = numbers.iter().position(|number| *number == 2).unwrap();
    assert!(straggler < 60, "the straggler went {straggler}th");
}

#[tokio::test(start_paused = true)]
async fn many_burned_numbers_cost_one_wait() {
    let mut world = open().await;
    let places = world.number(&vec![basket(&[("a", 1)]); 400]).await;
    let offered: Vec<LineEntry> = places.into_iter().step_by(2).skip(1).collect();
    let start = Instant::now();
    world.offer(&offered).await;
    world.until_released(offered.len()).await;
    assert!(start.elapsed() < Duration::from_millis(600), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn twins_are_released_once_and_acknowledged() {
    let mut world = World::with(&[("a", 1_000_000)], json!({})).await;
    world.log.repeat();
    let running = world.dispatcher("one").await;
    let places = world.crowd(10, &[("a", 1)]).await;
    world.offer(&places).await;
    world.until_released(10).await;
    sleep(Duration::from_secs(1)).await;
    world.offer(&places[..5]).await;
    let last = world.join(&[("a", 1)]).await;
    world.until_released(11).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.log.count(), 11, "each once");
    assert_eq!(world.log.releases()[10].turn.line_entry.entry, last.entry);
    world.until_nothing_is_left(&running).await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_head_never_stalls_the_line() {
    // One turn in two seconds: a head of five thousand silent entries must not take its time from the law.
    let policy =
        json!({"ceiling_per_second": 0.5, "multiplier": 0.0, "expire_silent_after_seconds": 60});
    let mut world = World::with(&[("a", 1_000_000)], policy).await;
    let _running = world.dispatcher("one").await;
    let silent = world.crowd(5_000, &[("a", 1)]).await;
    let alive = world.join(&[("a", 1)]).await;
    sleep(Duration::from_secs(90)).await;
    world.ports.line.seen(&world.sale, &[alive.entry], world.clock.now()).await.unwrap();
    let start = Instant::now();
    world.tune(json!({"multiplier": 1.0})).await;
    world.until_released(1).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(world.log.first_numbers(), [alive.seq.0]);
    world.until_all(&silent, Outcome::Expired).await;
}

#[tokio::test(start_paused = true)]
async fn leavers_are_passed_free_of_the_law() {
    let policy = json!({"ceiling_per_second": 0.5, "multiplier": 0.0});
    let mut world = World::with(&[("a", 1_000_000)], policy).await;
    let running = world.dispatcher("one").await;
    let places = world.crowd(100, &[("a", 1)]).await;
    let (leavers, stay) = places.split_at(99);
    let outcome = |line_entry: &LineEntry| NewOutcome {
        line_entry: line_entry.clone(),
        outcome: Outcome::Left,
        reason: OutcomeReason::Plain,
    };
    world.ports.ledger.settle(&world.sale, leavers.iter().map(outcome).collect()).await.unwrap();
    let settlement = Settlement { outcome: Outcome::Left, live: false };
    let settled: Vec<_> = leavers.iter().map(|entry| (entry.entry, settlement)).collect();
    world.ports.line.settle(&world.sale, &settled).await.unwrap();
    let start = Instant::now();
    world.tune(json!({"multiplier": 1.0})).await;
    world.until_released(1).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(world.log.first_numbers(), [stay[0].seq.0]);
    world.until_nothing_is_left(&running).await;
}

#[tokio::test(start_paused = true)]
async fn the_banned_are_refused_whether_they_wait_or_come() {
    let mut world = World::with(&[("a", 1_000_000)], json!({"multiplier": 0.0})).await;
    let _running = world.dispatcher("one").await;
    let mut places = world.number(&vec![basket(&[("a", 1)]); 3]).await;
    places[1].address = Some("203.0.113.9".parse().unwrap());
    world.offer(&places).await;
    sleep(Duration::from_secs(1)).await;
    let author = Author { name: "test".into(), address: None };
    let by_buyer = BanRule::Buyer(places[0].buyer.clone());
    let by_address = BanRule::Cidr("203.0.113.0/24".parse().unwrap());
    for rule in [by_buyer, by_address] {
        world.ports.ledger.add_ban(rule, None, &author).await.unwrap();
    }
    world.ports.bulletin.publish(Notice::Bans).await.unwrap();
    // Also while the line stands: refusing is free of the law.
    world.until_all(&places[..2], Outcome::Refused).await;
    let records = world.ports.ledger.entries(&[places[0].entry]).await.unwrap();
    assert_eq!(records[0].as_ref().unwrap().reason, OutcomeReason::Banned);
    let mut late = world.number(&[basket(&[("a", 1)])]).await;
    late[0].address = Some("203.0.113.77".parse().unwrap());
    world.offer(&late).await;
    world.until_all(&late, Outcome::Refused).await;
    world.tune(json!({"multiplier": 1.0})).await;
    world.until_released(1).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(world.log.first_numbers(), [places[2].seq.0]);
}
