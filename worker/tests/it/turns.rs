//! Turns become outcomes: one each, in order, whatever comes twice.

use sluice_core::{
    entry::{EntryState, Outcome},
    ids::{Seq, Version},
    line::LineEntry,
    order::{ClosingCause, OrderState},
    policy::PolicyPatch,
    ports::{OutcomeReason, PlaceState, Settlement},
};

use crate::house::{
    House, Running, create_sale, foreign_sku, hear, is_wake_up, tells, until, warm,
};

#[tokio::test]
async fn ten_of_twenty_five_are_reserved_in_order_of_their_numbers() {
    let house = House::open(10).await;
    let entries = house.entries(25);
    let mut shuffled = entries.clone();
    shuffled.reverse();
    house.release(&shuffled).await;
    let worker = Running::start(house.worker());
    house.drained().await;
    let outcomes = house.outcomes(&entries).await;
    assert!(outcomes[..10].iter().all(|outcome| *outcome == Outcome::Reserved), "{outcomes:?}");
    assert!(outcomes[10..].iter().all(|outcome| *outcome == Outcome::SoldOut), "{outcomes:?}");
    assert_eq!(house.balance().await.held, 10);
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_basket_that_does_not_fit_leaves_room_for_one_that_does() {
    let house = House::open(5).await;
    let entries: Vec<LineEntry> = [3, 3, 2, 1]
        .into_iter()
        .zip(1..)
        .map(|(units, seq)| house.entry(seq, &format!("b{seq}"), units))
        .collect();
    house.release(&entries).await;
    let worker = Running::start(house.worker());
    house.drained().await;
    use Outcome::{Reserved, SoldOut};
    assert_eq!(house.outcomes(&entries).await, [Reserved, SoldOut, Reserved, SoldOut]);
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test]
async fn an_offer_whose_goods_are_gone_leaves_its_entry_standing_by() {
    let house = House::open(1).await;
    let (large, small) = (house.entry(0, "ada", 2), house.entry(0, "bob", 1));
    let standing = vec![large.clone(), small.clone()];
    house.ports.ledger.stand_by(&house.sale, standing).await.unwrap();
    house.release(&[large.clone(), small.clone()]).await;
    let worker = Running::start(house.worker());
    house.drained().await;
    let ids = [large.entry, small.entry];
    let records = house.ports.ledger.entries(&ids).await.unwrap();
    assert_eq!(records[0], None, "nothing has become of it");
    assert_eq!(records[1].as_ref().map(|record| record.outcome), Some(Outcome::Reserved));
    assert_eq!(house.ports.ledger.stand(&ids).await.unwrap(), [true, false]);
    let place = house.ports.line.find(&house.sale, &ids[..1]).await.unwrap().remove(0).unwrap();
    assert_eq!(place.state, PlaceState::Standby);
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twins_and_redeliveries_make_one_order_each() {
    let house = House::open(1_000).await;
    let entries = house.entries(300);
    house.release(&entries).await;
    for _ in 0..3 {
        house.release_again(&entries).await;
    }
    let workers = [Running::start(house.worker()), Running::start(house.worker())];
    house.release_again(&entries).await;
    house.drained().await;
    assert_eq!(house.orders_in(OrderState::AwaitingPayment).await, 300);
    assert_eq!(house.balance().await.held, 300);
    house.assert_balanced().await;
    for worker in workers {
        worker.stop().await;
    }
}

#[tokio::test]
async fn outcomes_are_announced_settled_in_the_line_and_told_once() {
    let house = House::open(1).await;
    let mut heard = house.listen().await;
    let entries = house.entries(2);
    house.release(&entries).await;
    let worker = Running::start(house.worker());
    hear(&mut *heard, "the order", |notice| tells(notice, entries[0].entry, Version(3))).await;
    house.drained().await;
    let ids: Vec<_> = entries.iter().map(|entry| entry.entry).collect();
    let places = house.ports.line.find(&house.sale, &ids).await.unwrap();
    let settled: Vec<_> =
        places.into_iter().map(|place| place.expect("a known place").state).collect();
    let settlement = |outcome, live| PlaceState::Settled(Settlement { outcome, live });
    assert_eq!(settled, [settlement(Outcome::Reserved, true), settlement(Outcome::SoldOut, false)]);
    until("nothing is left to tell", async || {
        house.ports.ledger.untold(10).await.unwrap().is_empty()
    })
    .await;
    assert_eq!(house.records(&entries).await[0].order.unwrap().version, Version(1));
    assert_eq!(EntryState::Reserved.version(Some(Version(1))), Version(3));
    worker.stop().await;
}

#[tokio::test]
async fn what_the_ledger_refuses_gives_its_goods_back_and_wakes_the_dispatcher() {
    let policy = PolicyPatch { per_buyer_units: Some(2), ..PolicyPatch::default() };
    let house = House::open_with(10, policy).await;
    let first = house.entry(1, "ada", 1);
    house.order(std::slice::from_ref(&first)).await;

    let mut heard = house.listen().await;
    let second = house.entry(2, "ada", 1);
    house.release(std::slice::from_ref(&second)).await;
    let worker = Running::start(house.worker());
    hear(&mut *heard, "a wake-up", is_wake_up).await;
    house.drained().await;
    let record = house.records(&[second]).await.remove(0);
    assert_eq!((record.outcome, record.reason), (Outcome::Refused, OutcomeReason::Duplicate));
    assert_eq!(house.balance().await.available, 9);
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_turn_that_comes_again_after_the_gate_forgot_takes_no_stock() {
    let house = House::open(3).await;
    let entries = house.entries(4);
    let worker = Running::start(house.worker());
    house.release(&entries).await;
    house.drained().await;
    worker.stop().await;
    let ledger = &house.ports.ledger;
    let closed = house.records(&entries).await[0].order.unwrap().order;
    ledger.begin_closing(closed, ClosingCause::Cancelled).await.unwrap();
    ledger.close_unpaid(closed).await.unwrap();
    house.forget_gate().await;

    // One holds its stock, one gave it back, one was too late.
    house.release_again(&[entries[1].clone(), entries[0].clone(), entries[3].clone()]).await;
    let worker = Running::start(house.worker());
    house.drained().await;
    assert_eq!(house.balance().await.available, 1);
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test]
async fn an_outcome_the_bulletin_missed_is_announced_again() {
    let house = House::open(5).await;
    let entry = house.entry(1, "ada", 1);
    // Somebody settled it and died before a word of it was said.
    let request = sluice_core::ports::HoldRequest {
        hold: sluice_core::ids::HoldId::of_entry(entry.entry, 0),
        order: sluice_core::ids::OrderId::generate(house.turn(&entry).called_at, &house.random),
        line_entry: entry.clone(),
        gate: sluice_core::ports::GateSaid::Held,
    };
    house.ports.ledger.hold(&house.sale, vec![request]).await.unwrap();
    let mut heard = house.listen().await;
    let worker = Running::start(house.worker());
    hear(&mut *heard, "the outcome", |notice| tells(notice, entry.entry, Version(3))).await;
    until("it is told", async || house.ports.ledger.untold(10).await.unwrap().is_empty()).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_cold_sale_waits_and_keeps_nobody_else_waiting() {
    let house = House::open(5).await;
    let now = house.turn(&house.entry(1, "x", 1)).called_at;
    let cold = create_sale(&house.ports, "cold", 5, PolicyPatch::default(), now).await;
    let frozen: Vec<LineEntry> = house.entries(3);
    let drain = house.ports.waiting.drain(&cold).await.unwrap();
    let turns = frozen
        .iter()
        .map(|entry| sluice_core::event::Turn { sale: cold.clone(), ..house.turn(entry) })
        .collect();
    drain.outlet.release(turns).await.unwrap();
    let worker = Running::start(house.worker());

    let entries: Vec<LineEntry> =
        (11..=13).map(|seq| house.entry(seq, &format!("warm-{seq}"), 1)).collect();
    house.release(&entries).await;
    until("the warm sale's turns are settled", async || {
        house.ports.turns.depths().await.unwrap().turns == 3
    })
    .await;
    assert_eq!(house.outcomes(&entries).await, [Outcome::Reserved; 3]);

    warm(&house.ports, &cold).await;
    house.drained().await;
    assert_eq!(house.outcomes(&frozen).await, [Outcome::Reserved; 3]);
    assert_eq!(house.ports.turns.depths().await.unwrap().dead, 0);
    worker.stop().await;
}

#[tokio::test]
async fn foreign_goods_are_buried_at_once_and_nothing_else_is() {
    let house = House::open(5).await;
    let good = house.entry(1, "ada", 1);
    let mut foreign = house.entry(2, "bob", 1);
    foreign.basket = serde_json::from_value(
        serde_json::json!([{"sku": foreign_sku(), "quantity": 1}, {"sku": "standard", "quantity": 1}]),
    )
    .unwrap();
    assert!(foreign.seq > Seq(1));
    house.release(std::slice::from_ref(&good)).await;
    house.release_again(std::slice::from_ref(&foreign)).await;
    let worker = Running::start(house.worker());
    until("the foreign turn is buried", async || {
        house.ports.turns.depths().await.unwrap().dead == 1
    })
    .await;
    house.drained().await;
    assert_eq!(house.outcomes(&[good]).await, [Outcome::Reserved]);
    let recorded = house.ports.ledger.entries(&[foreign.entry]).await.unwrap();
    assert_eq!(recorded, [None]);
    worker.stop().await;
}
