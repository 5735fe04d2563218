//! The rules of `stock`, each as a test.

use sluice_core::{
    basket::Item,
    clock::UnixMillis,
    ids::EntryId,
    ports::{HeldStock, HoldUpdate},
    random::Random,
};

use super::*;

const NOW: UnixMillis = UnixMillis(1_000);

fn basket(units: u32) -> Basket {
    Basket::new(vec![Item::counted(SkuId::new("a").unwrap(), units)]).unwrap()
}

fn hold() -> HoldId {
    HoldId::of_entry(EntryId::generate(UnixMillis(1), &Random::system()), 0)
}

fn image(sold: u64, holds: &[(HoldId, u64, u32)]) -> GateImage {
    let held = |(hold, movement, units): &(HoldId, u64, u32)| HeldStock {
        hold: *hold,
        movement: *movement,
        basket: basket(*units),
    };
    GateImage {
        moved: 0,
        skus: vec![(SkuId::new("a").unwrap(), 100, sold)],
        holds: holds.iter().map(held).collect(),
        ..GateImage::default()
    }
}

fn word(hold: HoldId, movement: u64, phase: HoldPhase, units: u32) -> HoldUpdate {
    HoldUpdate { hold, movement, phase, basket: basket(units) }
}

fn reserve(stock: &mut Stock, hold: HoldId, units: u32) -> Reserved {
    let entry = EntryId::generate(UnixMillis(1), &Random::system());
    stock.reserve(&Want { hold, entry, basket: basket(units) }, NOW)
}

/// Available and held.
fn level(stock: &Stock) -> (u64, u64) {
    let (_, available, held) = stock.levels().next().unwrap();
    (available, held)
}

#[test]
fn a_sale_told_after_the_image_that_counts_it_is_not_counted_twice() {
    let sold = hold();
    let mut stock = Stock::new(Epoch(1), image(0, &[(sold, 1, 10)]), 100, NOW);
    // It is paid; the image is read and taken in before the gate hears of it.
    stock.rebuild(Epoch(2), GateImage { moved: 2, ..image(10, &[]) }, NOW).unwrap();
    stock.set(word(sold, 2, HoldPhase::Sold, 10), NOW);
    assert_eq!(level(&stock), (90, 0));
    assert_eq!(reserve(&mut stock, sold, 10), Reserved::Over);
}

#[test]
fn a_word_that_came_after_the_image_stands_above_it() {
    let (sold, released) = (hold(), hold());
    let before = image(0, &[(sold, 1, 10), (released, 2, 5)]);
    let mut stock = Stock::new(Epoch(1), before.clone(), 100, NOW);
    stock.set(word(sold, 3, HoldPhase::Sold, 10), NOW);
    stock.set(word(released, 4, HoldPhase::Released, 5), NOW);
    stock.rebuild(Epoch(2), before, NOW).unwrap();
    assert_eq!(level(&stock), (90, 0));
}

#[test]
fn what_is_over_is_forgotten_oldest_first_and_what_is_held_never() {
    let mut stock = Stock::new(Epoch(1), image(0, &[]), 2, NOW);
    let holds: Vec<HoldId> = (0..5).map(|_| hold()).collect();
    for id in &holds {
        assert_eq!(reserve(&mut stock, *id, 1), Reserved::Held);
    }
    for id in &holds[1..] {
        stock.set(word(*id, 1, HoldPhase::Released, 1), NOW);
    }
    assert_eq!(level(&stock), (99, 1));
    assert_eq!(stock.holds.len(), 3, "one that is held, and two that are over");
    assert_eq!(reserve(&mut stock, holds[0], 1), Reserved::Held);
    assert_eq!(reserve(&mut stock, holds[4], 1), Reserved::Over);
    assert_eq!(level(&stock), (99, 1));
}
