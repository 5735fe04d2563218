//! Rules of what is in flight: what called entries still want, which the line's calls add and the gate's reserves take
//! away. It must come to nothing in the end, in whatever order the two arrive.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use super::{
    House, Stage,
    gate::{image, stocked},
    line::warmed,
    samples::*,
    together,
};
use crate::{
    basket::Basket,
    entry::Outcome,
    ids::{Epoch, HoldId, SaleId},
    line::LineEntry,
    ports::{GateImage, HoldPhase, HoldUpdate, Reserved, SeatImage, Settlement, StockGate, Want},
    seats::Stretch,
};

#[macro_export]
macro_rules! flight_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            flight:
            what_the_called_want_is_in_flight,
            a_repeated_call_adds_nothing,
            a_reserve_takes_the_entry_out_of_flight,
            a_short_reserve_takes_the_entry_out_of_flight,
            a_late_reserve_takes_the_entry_out_of_flight,
            a_settlement_takes_the_entry_out_of_flight,
            who_is_not_called_is_not_in_flight,
            a_call_after_the_reserve_leaves_nothing_in_flight,
            calls_and_reserves_at_once_leave_nothing_in_flight,
            a_rebuild_keeps_what_is_in_flight,
            flight_is_per_sale,
            passengers_are_in_flight_by_stretch,
        );
    };
}

async fn open(stage: &Stage, stock: &[(&str, u64)]) -> SaleId {
    warmed(&*stage.line).await;
    stocked(&*stage.gate, stock).await
}

async fn call(stage: &Stage, sale: &SaleId, entries: &[LineEntry]) {
    stage.line.call(sale, Epoch(1), None, entries).await.unwrap();
}

fn demand(entry: &LineEntry) -> Want {
    let hold = HoldId::of_entry(entry.entry, 0);
    Want { hold, entry: entry.entry, basket: entry.basket.clone() }
}

async fn reserve(stage: &Stage, sale: &SaleId, entry: &LineEntry) -> Reserved {
    stage.gate.reserve(sale, &[demand(entry)]).await.unwrap().remove(0)
}

async fn in_flight(gate: &dyn StockGate, sale: &SaleId, name: &str) -> u64 {
    let levels = gate.levels(sale).await.unwrap();
    levels.iter().find(|level| level.sku == sku(name)).unwrap().in_flight
}

pub async fn what_the_called_want_is_in_flight(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 10), ("b", 10)]).await;
    let both = [wanting(1, "ada", &[("a", 2), ("b", 1)]), wanting(2, "bob", &[("a", 3)])];
    call(&stage, &sale, &both).await;
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 5);
    assert_eq!(in_flight(&*stage.gate, &sale, "b").await, 1);
    let levels = stage.gate.levels(&sale).await.unwrap();
    assert!(levels.iter().all(|level| (level.available, level.held) == (10, 0)));
}

pub async fn a_repeated_call_adds_nothing(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 10)]).await;
    let ada = wanting(1, "ada", &[("a", 2)]);
    call(&stage, &sale, &[ada.clone(), ada.clone()]).await;
    call(&stage, &sale, std::slice::from_ref(&ada)).await;
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 2);
    reserve(&stage, &sale, &ada).await;
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 0);
}

pub async fn a_reserve_takes_the_entry_out_of_flight(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 10)]).await;
    let (ada, bob) = (wanting(1, "ada", &[("a", 2)]), wanting(2, "bob", &[("a", 3)]));
    call(&stage, &sale, &[ada.clone(), bob]).await;
    assert_eq!(reserve(&stage, &sale, &ada).await, Reserved::Held);
    assert_eq!(reserve(&stage, &sale, &ada).await, Reserved::Held);
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 3, "bob's, once");
}

pub async fn a_short_reserve_takes_the_entry_out_of_flight(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 10), ("b", 1)]).await;
    let ada = wanting(1, "ada", &[("a", 2), ("b", 2)]);
    call(&stage, &sale, std::slice::from_ref(&ada)).await;
    assert_eq!(reserve(&stage, &sale, &ada).await, Reserved::Short);
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 0);
    assert_eq!(in_flight(&*stage.gate, &sale, "b").await, 0);
}

pub async fn a_late_reserve_takes_the_entry_out_of_flight(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 10)]).await;
    let ada = wanting(1, "ada", &[("a", 2)]);
    call(&stage, &sale, std::slice::from_ref(&ada)).await;
    let released = HoldUpdate {
        hold: demand(&ada).hold,
        movement: 1,
        phase: HoldPhase::Released,
        basket: ada.basket.clone(),
    };
    stage.gate.set(&sale, &[released]).await.unwrap();
    assert_eq!(reserve(&stage, &sale, &ada).await, Reserved::Over);
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 0);
}

pub async fn a_settlement_takes_the_entry_out_of_flight(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 10)]).await;
    let (ada, bob) = (wanting(1, "ada", &[("a", 2)]), wanting(2, "bob", &[("a", 3)]));
    call(&stage, &sale, &[ada.clone(), bob.clone()]).await;
    let refused = Settlement { outcome: Outcome::Refused, live: false };
    let reserved = Settlement { outcome: Outcome::Reserved, live: true };
    stage.line.settle(&sale, &[(ada.entry, refused)]).await.unwrap();
    stage.line.settle(&sale, &[(ada.entry, refused)]).await.unwrap();
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 3);
    reserve(&stage, &sale, &bob).await;
    stage.line.settle(&sale, &[(bob.entry, reserved)]).await.unwrap();
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 0, "taken out once, not twice");
    let eve = wanting(3, "eve", &[("a", 4)]);
    call(&stage, &sale, std::slice::from_ref(&eve)).await;
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 4);
}

pub async fn who_is_not_called_is_not_in_flight(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 10)]).await;
    let (ada, bob) = (wanting(1, "ada", &[("a", 2)]), wanting(2, "bob", &[("a", 2)]));
    let left = Settlement { outcome: Outcome::Left, live: false };
    call(&stage, &sale, std::slice::from_ref(&ada)).await;
    stage.line.settle(&sale, &[(ada.entry, left)]).await.unwrap();
    call(&stage, &sale, std::slice::from_ref(&ada)).await;
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 0, "the settled are not called");
    let limit = Some(T0.plus(std::time::Duration::from_secs(1)));
    stage.line.call(&sale, Epoch(1), limit, std::slice::from_ref(&bob)).await.unwrap();
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 0, "the silent are not called");
    let (first, twin) = (wanting(3, "eve", &[("a", 2)]), wanting(4, "eve", &[("a", 2)]));
    call(&stage, &sale, &[first, twin]).await;
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 2, "a twin is not called");
}

pub async fn a_call_after_the_reserve_leaves_nothing_in_flight(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 4)]).await;
    let (ada, bob) = (wanting(1, "ada", &[("a", 4)]), wanting(2, "bob", &[("a", 1)]));
    assert_eq!(reserve(&stage, &sale, &ada).await, Reserved::Held);
    assert_eq!(reserve(&stage, &sale, &bob).await, Reserved::Short);
    call(&stage, &sale, &[ada.clone(), bob.clone()]).await;
    call(&stage, &sale, &[ada, bob]).await;
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 0, "nobody would ever take it out");
}

pub async fn calls_and_reserves_at_once_leave_nothing_in_flight(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 30)]).await;
    let rounds = together(60, |n| {
        let (stage, sale) = (stage.clone(), sale.clone());
        let one = [wanting(n as u64 + 1, &format!("buyer-{n}"), &[("a", 1)])];
        async move {
            let reserve = reserve(&stage, &sale, &one[0]);
            let (reply, ()) = tokio::join!(reserve, call(&stage, &sale, &one));
            reply
        }
    });
    let held = rounds.await.into_iter().filter(|reply| *reply == Reserved::Held).count();
    assert_eq!(held, 30);
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 0);
}

pub async fn a_rebuild_keeps_what_is_in_flight(house: impl House<Port = Stage>) {
    let stage = house.port();
    let sale = open(&stage, &[("a", 10)]).await;
    let ada = wanting(1, "ada", &[("a", 2)]);
    call(&stage, &sale, std::slice::from_ref(&ada)).await;
    stage.gate.rebuild(&sale, Epoch(2), image(&[("a", 20)])).await.unwrap();
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 2);
    reserve(&stage, &sale, &ada).await;
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 0);
}

pub async fn flight_is_per_sale(house: impl House<Port = Stage>) {
    let (stage, other) = (house.port(), other_sale());
    let sale = open(&stage, &[("a", 10)]).await;
    stage.gate.rebuild(&other, Epoch(1), image(&[("a", 10)])).await.unwrap();
    call(&stage, &sale, &[wanting(1, "ada", &[("a", 2)])]).await;
    assert_eq!(in_flight(&*stage.gate, &sale, "a").await, 2);
    assert_eq!(in_flight(&*stage.gate, &other, "a").await, 0);
}

pub async fn passengers_are_in_flight_by_stretch(house: impl House<Port = Stage>) {
    let stage = house.port();
    warmed(&*stage.line).await;
    let (sale, seating) = (drop_sale(), train(2, 3, 4));
    let sold = vec![0; seating.seats().len()];
    let skus = vec![(sku("t"), seating.seat_legs(), 0)];
    let seats = vec![SeatImage { sku: sku("t"), seating, sold }];
    let image = GateImage { skus, seats, ..GateImage::default() };
    stage.gate.rebuild(&sale, Epoch(1), image).await.unwrap();
    let entries: Vec<LineEntry> = [(1, 2, 1, 3), (2, 1, 1, 3), (3, 1, 0, 4)]
        .map(|(seq, passengers, from, to)| {
            let mut entry = entry(seq, &format!("buyer-{seq}"));
            entry.basket = Basket::new(vec![seated_item("t", passengers, from, to)]).unwrap();
            entry
        })
        .to_vec();
    call(&stage, &sale, &entries).await;
    let seen = async || {
        let level = stage.gate.levels(&sale).await.unwrap().remove(0);
        let over = |(stretch, n): &(Stretch, u32)| (stretch.from(), stretch.to(), *n);
        let passengers = level.seats.unwrap().in_flight.iter().map(over).collect::<Vec<_>>();
        (level.in_flight, passengers)
    };
    assert_eq!(seen().await, (10, vec![(0, 4, 1), (1, 3, 3)]), "units are seat-legs");
    assert!(reserve(&stage, &sale, &entries[0]).await.is_held());
    assert!(reserve(&stage, &sale, &entries[2]).await.is_held());
    assert_eq!(seen().await, (2, vec![(1, 3, 1)]));
    assert!(reserve(&stage, &sale, &entries[1]).await.is_held());
    assert_eq!(seen().await, (0, vec![]));
}
