//! Rules of the stock gate's rebuilding: an image of the ledger replaces what was known, and words that come before or
//! after it count once.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::sync::Arc;

use super::{
    House,
    gate::{image, level, reserve, said, stocked, want},
    samples::*,
};
use crate::{
    ids::Epoch,
    ports::{GateImage, HeldStock, HoldPhase, HoldUpdate, PortError, Reserved, StockGate},
};

#[macro_export]
macro_rules! rebuilds_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            rebuilds:
            a_rebuild_replaces_what_was_known,
            a_rebuild_keeps_the_ledgers_holds,
            a_rebuild_remembers_how_far_the_ledger_had_come,
            what_the_image_has_seen_is_counted_once,
            what_the_image_has_not_seen_is_counted,
            a_word_heard_before_an_older_image_stands_above_it,
            an_old_epoch_does_not_rebuild,
        );
    };
}

type Port = Arc<dyn StockGate>;

pub async fn a_rebuild_replaces_what_was_known(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let leak = want(&[("a", 4)]);
    reserve(&*gate, &sale, &leak).await;
    gate.rebuild(&sale, Epoch(2), image(&[("a", 8), ("b", 5)])).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (8, 0), "a hold the ledger does not know is gone");
    assert_eq!(level(&*gate, &sale, "b").await, (5, 0));
    gate.set(&sale, &[said(&leak, 1, HoldPhase::Released)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (8, 0));
}

pub async fn a_rebuild_keeps_the_ledgers_holds(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let one = want(&[("a", 4)]);
    reserve(&*gate, &sale, &one).await;
    let kept = HeldStock { hold: one.hold, movement: 1, basket: one.basket.clone() };
    let with_hold = GateImage { holds: vec![kept], ..image(&[("a", 10)]) };
    gate.rebuild(&sale, Epoch(2), with_hold.clone()).await.unwrap();
    gate.rebuild(&sale, Epoch(2), with_hold).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (6, 4));
    assert_eq!(reserve(&*gate, &sale, &one).await, Reserved::Held, "the turn comes again");
    assert_eq!(level(&*gate, &sale, "a").await, (6, 4));
    gate.set(&sale, &[said(&one, 2, HoldPhase::Released)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
}

pub async fn a_rebuild_remembers_how_far_the_ledger_had_come(house: impl House<Port = Port>) {
    let (gate, sale, one) = (house.port(), drop_sale(), want(&[("a", 4)]));
    let held = HeldStock { hold: one.hold, movement: 7, basket: one.basket.clone() };
    let with_hold = GateImage { holds: vec![held], ..image(&[("a", 10)]) };
    gate.rebuild(&sale, Epoch(1), with_hold).await.unwrap();
    gate.set(&sale, &[said(&one, 6, HoldPhase::Released)]).await.unwrap();
    gate.set(&sale, &[HoldUpdate::unrecorded(one.hold, one.basket)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (6, 4));
}

/// A gate that forgot everything hears words late, or again, of holds that were over when the ledger was read.
pub async fn what_the_image_has_seen_is_counted_once(house: impl House<Port = Port>) {
    let (gate, sale) = (house.port(), drop_sale());
    let (sold, released) = (want(&[("a", 4)]), want(&[("a", 3)]));
    let image = GateImage { moved: 4, skus: vec![(sku("a"), 10, 4)], ..GateImage::default() };
    gate.rebuild(&sale, Epoch(1), image).await.unwrap();
    // A turn that comes again finds its hold forgotten; its worker is told by the ledger that it is over.
    assert_eq!(reserve(&*gate, &sale, &sold).await, Reserved::Held);
    let given_back = [HoldUpdate::unrecorded(sold.hold, sold.basket.clone())];
    for word in [
        said(&sold, 1, HoldPhase::Held),
        said(&released, 2, HoldPhase::Held),
        said(&sold, 3, HoldPhase::Sold),
        said(&released, 4, HoldPhase::Released),
    ] {
        for _ in 0..2 {
            gate.set(&sale, std::slice::from_ref(&word)).await.unwrap();
            gate.set(&sale, &given_back).await.unwrap();
            assert_eq!(level(&*gate, &sale, "a").await, (6, 0), "after {word:?}");
        }
    }
    assert_eq!(reserve(&*gate, &sale, &sold).await, Reserved::Over);
    assert_eq!(reserve(&*gate, &sale, &released).await, Reserved::Over);
    assert_eq!(level(&*gate, &sale, "a").await, (6, 0));
}

pub async fn what_the_image_has_not_seen_is_counted(house: impl House<Port = Port>) {
    let (gate, sale) = (house.port(), drop_sale());
    let (held, sold, listed) = (want(&[("a", 1)]), want(&[("a", 2)]), want(&[("a", 3)]));
    let before = HeldStock { hold: listed.hold, movement: 6, basket: listed.basket.clone() };
    let skus = vec![(sku("a"), 20, 4)];
    let image = GateImage { moved: 6, holds: vec![before], skus, ..GateImage::default() };
    gate.rebuild(&sale, Epoch(1), image).await.unwrap();
    let words = [said(&held, 7, HoldPhase::Held), said(&sold, 9, HoldPhase::Sold)];
    gate.set(&sale, &words).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (10, 4));
    let late = [said(&sold, 8, HoldPhase::Held), said(&listed, 10, HoldPhase::Sold)];
    gate.set(&sale, &late).await.unwrap();
    gate.set(&sale, &words).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (10, 1));
}

/// Words are said while the ledger is read.
pub async fn a_word_heard_before_an_older_image_stands_above_it(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 20)]).await;
    let (held, sold, over) = (want(&[("a", 1)]), want(&[("a", 2)]), want(&[("a", 3)]));
    let words = [
        said(&over, 1, HoldPhase::Held),
        said(&held, 3, HoldPhase::Held),
        said(&sold, 4, HoldPhase::Held),
        said(&sold, 5, HoldPhase::Sold),
    ];
    gate.set(&sale, &words).await.unwrap();
    // By the second movement the first hold was sold.
    let image = GateImage { moved: 2, skus: vec![(sku("a"), 20, 3)], ..GateImage::default() };
    for epoch in [2, 3] {
        gate.rebuild(&sale, Epoch(epoch), image.clone()).await.unwrap();
        assert_eq!(level(&*gate, &sale, "a").await, (14, 1));
        assert_eq!(reserve(&*gate, &sale, &held).await, Reserved::Held, "it is this turn's own");
    }
    let late = [said(&over, 2, HoldPhase::Sold), said(&held, 6, HoldPhase::Released)];
    gate.set(&sale, &late).await.unwrap();
    gate.set(&sale, &words).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (15, 0));
}

pub async fn an_old_epoch_does_not_rebuild(house: impl House<Port = Port>) {
    let (gate, sale) = (house.port(), drop_sale());
    gate.rebuild(&sale, Epoch(2), image(&[("a", 10)])).await.unwrap();
    let old = gate.rebuild(&sale, Epoch(1), image(&[("a", 99)])).await;
    assert!(matches!(old, Err(PortError::Fenced)));
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
}
