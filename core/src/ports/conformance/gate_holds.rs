//! Rules of the stock gate's holds, as reconciliation reads them.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    House,
    gate::{image, reserve, said, stocked, want},
    samples::*,
    until,
};
use crate::{
    ids::{Epoch, HoldId, SaleId},
    ports::{
        GateHold, GateImage, HeldStock, HoldPhase, HoldUpdate, PortError, Reserved, StockGate,
    },
};

#[macro_export]
macro_rules! gate_holds_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            gate_holds:
            a_cold_gate_lists_nothing,
            what_is_held_is_listed_with_its_movement,
            what_is_over_is_not_listed,
            a_hold_grows_older,
            every_hold_is_in_some_page,
            a_rebuilt_gate_lists_the_image,
        );
    };
}

type Port = Arc<dyn StockGate>;

/// All that is held.
async fn all(gate: &dyn StockGate, sale: &SaleId) -> BTreeMap<HoldId, GateHold> {
    let (mut all, mut place) = (BTreeMap::new(), None);
    for _ in 0..10_000 {
        let page = gate.holds(sale, place.as_ref()).await.unwrap();
        all.extend(page.holds.into_iter().map(|hold| (hold.hold, hold)));
        place = page.next;
        if place.is_none() {
            return all;
        }
    }
    panic!("the pages do not end");
}

pub async fn a_cold_gate_lists_nothing(house: impl House<Port = Port>) {
    let gate = house.port();
    assert!(matches!(gate.holds(&drop_sale(), None).await, Err(PortError::Cold)));
    let sale = stocked(&*gate, &[("a", 10)]).await;
    assert!(all(&*gate, &sale).await.is_empty());
}

pub async fn what_is_held_is_listed_with_its_movement(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10), ("b", 10)]).await;
    let (fresh, recorded) = (want(&[("a", 2), ("b", 1)]), want(&[("a", 3)]));
    for one in [&fresh, &recorded] {
        assert_eq!(reserve(&*gate, &sale, one).await, Reserved::Held);
    }
    gate.set(&sale, &[said(&recorded, 7, HoldPhase::Held)]).await.unwrap();
    let held = all(&*gate, &sale).await;
    assert_eq!(held.len(), 2);
    assert_eq!((held[&fresh.hold].movement, &held[&fresh.hold].basket), (0, &fresh.basket));
    assert_eq!(
        (held[&recorded.hold].movement, &held[&recorded.hold].basket),
        (7, &recorded.basket)
    );
}

pub async fn what_is_over_is_not_listed(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let wants = [want(&[("a", 1)]), want(&[("a", 1)]), want(&[("a", 1)]), want(&[("a", 1)])];
    for one in &wants {
        assert_eq!(reserve(&*gate, &sale, one).await, Reserved::Held);
    }
    let [sold, released, given_back, held] = &wants;
    let words = [
        said(sold, 4, HoldPhase::Sold),
        said(released, 5, HoldPhase::Released),
        HoldUpdate::unrecorded(given_back.hold, given_back.basket.clone()),
    ];
    gate.set(&sale, &words).await.unwrap();
    let left: Vec<HoldId> = all(&*gate, &sale).await.into_keys().collect();
    assert_eq!(left, [held.hold]);
}

pub async fn a_hold_grows_older(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let one = want(&[("a", 1)]);
    reserve(&*gate, &sale, &one).await;
    let young = all(&*gate, &sale).await[&one.hold].age;
    house.pass(Duration::from_millis(300)).await;
    let age = until("the hold is older", async || {
        let age = all(&*gate, &sale).await[&one.hold].age;
        (age >= young + Duration::from_millis(300)).then_some(age)
    })
    .await;
    // The ledger's word does not make it young again.
    gate.set(&sale, &[said(&one, 3, HoldPhase::Held)]).await.unwrap();
    assert!(all(&*gate, &sale).await[&one.hold].age >= age);
}

pub async fn every_hold_is_in_some_page(house: impl House<Port = Port>) {
    const HOLDS: usize = 10_000;
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", HOLDS as u64)]).await;
    let wants: Vec<_> = (0..HOLDS).map(|_| want(&[("a", 1)])).collect();
    for some in wants.chunks(500) {
        let replies = gate.reserve(&sale, some).await.unwrap();
        assert!(replies.iter().all(|reply| *reply == Reserved::Held));
    }
    let first = gate.holds(&sale, None).await.unwrap();
    assert!(first.next.is_some() && first.holds.len() < HOLDS, "a page is no more than a part");
    let expected: BTreeSet<HoldId> = wants.iter().map(|want| want.hold).collect();
    let held: BTreeSet<HoldId> = all(&*gate, &sale).await.into_keys().collect();
    assert_eq!(held, expected);
}

pub async fn a_rebuilt_gate_lists_the_image(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let (forgotten, kept) = (want(&[("a", 1)]), want(&[("a", 2)]));
    reserve(&*gate, &sale, &forgotten).await;
    let held = HeldStock { hold: kept.hold, movement: 3, basket: kept.basket.clone() };
    let image = GateImage { moved: 3, holds: vec![held], ..image(&[("a", 10)]) };
    gate.rebuild(&sale, Epoch(2), image).await.unwrap();
    let held = all(&*gate, &sale).await;
    let listed: Vec<_> = held.values().map(|hold| (hold.hold, hold.movement)).collect();
    assert_eq!(listed, [(kept.hold, 3)]);
}
