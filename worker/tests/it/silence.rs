//! Turns that are left to the shop's own order backend, and what becomes of those it says nothing about.

use std::time::Duration;

use sluice_core::{
    entry::Outcome,
    event::SettledBy,
    line::LineEntry,
    order::{OrderState, ShopOrder},
    policy::PolicyPatch,
    ports::{
        EntryRecord, PlaceState, ShopOutcome, ShopReply, ShopReport, ShopWord, StepReply,
        TurnDelivery, TurnIntake,
    },
};
use sluice_worker::{Config, Worker};

use crate::house::{House, PATIENCE, Running, hear, tells, until};

fn worker(house: &House) -> Worker {
    let config = Config {
        settled_by: SettledBy::Shop,
        silence_interval: Duration::from_millis(20),
        silence_releases_max: 2,
        shop_closing_grace: Duration::from_millis(50),
        relay_interval: Duration::from_millis(20),
        ..Config::default()
    };
    house.worker_over(house.worker_ports(), config)
}

async fn open() -> House {
    let policy = PolicyPatch { outcome_timeout_seconds: Some(1), ..PolicyPatch::default() };
    House::open_with(10, policy).await
}

/// Writes turns down and releases them, as the dispatcher does for a shop.
async fn leave_to_the_shop(house: &House, entries: &[LineEntry]) {
    let turns: Vec<_> = entries.iter().map(|entry| house.turn(entry)).collect();
    house.ports.ledger.hand_over(&turns).await.unwrap();
    house.release(entries).await;
}

async fn take(intake: &mut TurnIntake, count: usize) -> Vec<TurnDelivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let next = tokio::time::timeout(PATIENCE, intake.deliveries.next(count - taken.len()));
        taken.extend(next.await.expect("a turn was due").unwrap());
    }
    taken
}

async fn forget(intake: &TurnIntake, taken: &[TurnDelivery]) {
    let tags: Vec<u64> = taken.iter().map(|one| one.tag).collect();
    intake.outlet.ack(&tags).await.unwrap();
}

async fn reserve(house: &House, entry: &LineEntry, order: &str) -> EntryRecord {
    let id = sluice_core::ids::OrderId::generate(entry.joined_at, &house.random);
    let order = ShopOrder { id: order.parse().unwrap(), link: None };
    let outcome = ShopOutcome::Reserved { id, order, pay_by: None };
    let report = ShopReport { entry: entry.entry, outcome };
    let reply = house.ports.ledger.report(&report).await.unwrap();
    let ShopReply::Settled(record) = reply else { panic!("it is new: {reply:?}") };
    record
}

#[tokio::test]
async fn what_the_shop_forgot_is_released_again_and_what_it_has_not_taken_is_not() {
    let house = open().await;
    let entries = house.entries(3);
    leave_to_the_shop(&house, &entries).await;
    let mut intake = house.ports.turns.consume(10).await.unwrap();
    let worker = Running::start(worker(&house));
    house.clock.advance(Duration::from_secs(1));
    // All three are in hand, and none is silent for that alone: nobody knows that they were taken.
    let taken = take(&mut intake, 3).await;
    forget(&intake, &taken[..2]).await;
    let again = take(&mut intake, 2).await;
    let numbers: Vec<_> =
        again.iter().map(|one| (one.turn.line_entry.seq.0, one.turn.attempt)).collect();
    assert_eq!(numbers, [(1, 2), (2, 2)]);
    assert_eq!(house.ports.turns.depths().await.unwrap().turns, 3);
    worker.stop().await;
}

#[tokio::test]
async fn a_turn_that_is_always_forgotten_is_buried_and_its_outcome_still_counts() {
    let house = open().await;
    let entries = house.entries(1);
    leave_to_the_shop(&house, &entries).await;
    let mut intake = house.ports.turns.consume(10).await.unwrap();
    let worker = Running::start(worker(&house));
    for attempt in 1..=2 {
        let taken = take(&mut intake, 1).await;
        assert_eq!(taken[0].turn.attempt, attempt);
        forget(&intake, &taken).await;
        house.clock.advance(Duration::from_secs(1));
    }
    until("it is buried", async || house.ports.turns.depths().await.unwrap().dead == 1).await;
    until("nobody waits for its goods", async || {
        let levels = house.ports.gate.levels(&house.sale).await.unwrap();
        (levels[0].in_flight, levels[0].available) == (0, 10)
    })
    .await;
    let record = reserve(&house, &entries[0], "A-1").await;
    assert_eq!(record.outcome, Outcome::Reserved);
    until("the line has heard of it too", async || {
        let place =
            house.ports.line.find(&house.sale, &[entries[0].entry]).await.unwrap().remove(0);
        matches!(place.unwrap().state, PlaceState::Settled(settled) if settled.live)
    })
    .await;
    worker.stop().await;
}

#[tokio::test]
async fn a_closed_order_keeps_hope_for_a_moment_and_then_frees_its_buyer() {
    let house = open().await;
    let entries = house.entries(1);
    leave_to_the_shop(&house, &entries).await;
    let order = reserve(&house, &entries[0], "A-1").await.order.unwrap().order;
    let mut heard = house.listen().await;
    let name = "A-1".parse().unwrap();
    let said = house.ports.ledger.hear(entries[0].entry, &name, ShopWord::Closed);
    let StepReply::Done { order: closing, .. } = said.await.unwrap() else { panic!("it is news") };
    assert_eq!((closing.state, house.balance().await.held), (OrderState::Closing, 1));
    let worker = Running::start(worker(&house));
    let closed = house.order_in(order, OrderState::Closed).await;
    assert_eq!(house.balance().await.held, 0);
    let version = sluice_core::entry::EntryState::Reserved.version(Some(closed.version));
    hear(&mut *heard, "it is closed", |notice| tells(notice, entries[0].entry, version)).await;
    until("its buyer may join again", async || {
        let place =
            house.ports.line.find(&house.sale, &[entries[0].entry]).await.unwrap().remove(0);
        place.is_none_or(
            |place| matches!(place.state, PlaceState::Settled(settled) if !settled.live),
        )
    })
    .await;
    worker.stop().await;
}
