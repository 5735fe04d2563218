//! Rules of the stock gate: all or nothing, keyed by hold. How it comes right again, whatever it forgot, is in
//! [`rebuilds`](super::rebuilds); what is in flight, which it shares with the line, in [`flight`](super::flight).

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::sync::Arc;

use super::{House, samples::*, together};
use crate::{
    basket::Basket,
    ids::{Epoch, HoldId, SaleId},
    ports::{
        GateImage, HeldStock, HoldPhase, HoldUpdate, PortError, Reserved, Restock, StockGate, Want,
    },
};

#[macro_export]
macro_rules! gate_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            gate:
            a_cold_gate_says_so_and_does_nothing,
            levels_are_those_of_the_image,
            a_basket_is_reserved_whole_or_not_at_all,
            demands_are_met_in_the_order_given,
            a_repeated_hold_takes_nothing_more,
            reserves_at_once_never_take_more_than_there_is,
            baskets_reserved_at_once_are_whole,
            a_release_gives_back_once,
            releases_at_once_give_back_once,
            a_hold_released_before_it_was_known_stays_released,
            an_unrecorded_hold_is_given_back,
            the_ledgers_word_stands_above_an_unrecorded_release,
            a_sold_hold_is_gone_for_good,
            an_older_word_is_ignored,
            the_ledgers_holds_are_taken_in,
            a_released_hold_may_be_held_again_by_the_ledger,
            an_overdrawn_gate_comes_right_again,
            a_restock_is_added_once,
            an_older_restock_is_ignored,
            a_forgotten_sale_is_cold_again,
            sales_have_their_own_stock,
        );
    };
}

type Port = Arc<dyn StockGate>;

/// The gate's image of stock without holds or sales.
pub(super) fn image(stock: &[(&str, u64)]) -> GateImage {
    let skus = stock.iter().map(|(name, total)| (sku(name), *total, 0)).collect();
    GateImage { skus, ..GateImage::default() }
}

/// Opens the sale `drop` with this stock under epoch 1.
pub(super) async fn stocked(gate: &dyn StockGate, stock: &[(&str, u64)]) -> SaleId {
    gate.rebuild(&drop_sale(), Epoch(1), image(stock)).await.unwrap();
    drop_sale()
}

/// A new demand of some entry.
pub(super) fn want(items: &[(&str, u32)]) -> Want {
    let entry = wanting(1, "ada", items);
    Want { hold: HoldId::of_entry(entry.entry, 0), entry: entry.entry, basket: entry.basket }
}

fn word(hold: HoldId, movement: u64, phase: HoldPhase, basket: &Basket) -> HoldUpdate {
    HoldUpdate { hold, movement, phase, basket: basket.clone() }
}

pub(super) fn said(want: &Want, movement: u64, phase: HoldPhase) -> HoldUpdate {
    word(want.hold, movement, phase, &want.basket)
}

pub(super) async fn reserve(gate: &dyn StockGate, sale: &SaleId, want: &Want) -> Reserved {
    let mut replies = gate.reserve(sale, std::slice::from_ref(want)).await.unwrap();
    assert_eq!(replies.len(), 1, "one reply for each demand");
    replies.remove(0)
}

/// Available and held of one SKU.
pub(super) async fn level(gate: &dyn StockGate, sale: &SaleId, name: &str) -> (u64, u64) {
    let levels = gate.levels(sale).await.unwrap();
    let level = levels.iter().find(|level| level.sku == sku(name)).unwrap();
    (level.available, level.held)
}

pub async fn a_cold_gate_says_so_and_does_nothing(house: impl House<Port = Port>) {
    let (gate, sale, one) = (house.port(), drop_sale(), want(&[("a", 1)]));
    let restock = Restock { sku: sku("a"), total: 50, seats: None };
    let wants = std::slice::from_ref(&one);
    assert!(matches!(gate.reserve(&sale, wants).await, Err(PortError::Cold)));
    let word = [said(&one, 1, HoldPhase::Released)];
    assert!(matches!(gate.set(&sale, &word).await, Err(PortError::Cold)));
    assert!(matches!(gate.restock(&sale, &restock).await, Err(PortError::Cold)));
    assert!(matches!(gate.levels(&sale).await, Err(PortError::Cold)));
    stocked(&*gate, &[("a", 10)]).await;
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
    assert_eq!(reserve(&*gate, &sale, &one).await, Reserved::Held);
}

pub async fn levels_are_those_of_the_image(house: impl House<Port = Port>) {
    let (gate, sale) = (house.port(), drop_sale());
    let held = HeldStock { hold: want(&[("a", 3)]).hold, movement: 1, basket: basket(&[("a", 3)]) };
    let skus = vec![(sku("b"), 7, 7), (sku("a"), 10, 4)];
    let image = GateImage { moved: 1, skus, holds: vec![held], ..GateImage::default() };
    gate.rebuild(&sale, Epoch(1), image).await.unwrap();
    let levels = gate.levels(&sale).await.unwrap();
    let seen: Vec<_> =
        levels.iter().map(|l| (l.sku.as_str(), l.available, l.held, l.in_flight)).collect();
    assert_eq!(seen, [("a", 3, 3, 0), ("b", 0, 0, 0)], "in the order of ids");
}

pub async fn a_basket_is_reserved_whole_or_not_at_all(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10), ("b", 2), ("c", 10)]).await;
    let short = want(&[("a", 2), ("b", 3), ("c", 1)]);
    assert_eq!(reserve(&*gate, &sale, &short).await, Reserved::Short);
    for (name, all) in [("a", 10), ("b", 2), ("c", 10)] {
        assert_eq!(level(&*gate, &sale, name).await, (all, 0), "nothing is set aside of {name}");
    }
    let foreign = want(&[("a", 1), ("z", 1)]);
    assert_eq!(reserve(&*gate, &sale, &foreign).await, Reserved::Short);
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
    let fits = want(&[("a", 10), ("b", 2)]);
    assert_eq!(reserve(&*gate, &sale, &fits).await, Reserved::Held);
    assert_eq!(level(&*gate, &sale, "a").await, (0, 10));
    assert_eq!(level(&*gate, &sale, "b").await, (0, 2));
}

pub async fn demands_are_met_in_the_order_given(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let wants = [want(&[("a", 6)]), want(&[("a", 6)]), want(&[("a", 4)]), want(&[("a", 1)])];
    let replies = gate.reserve(&sale, &wants).await.unwrap();
    assert_eq!(replies, [Reserved::Held, Reserved::Short, Reserved::Held, Reserved::Short]);
    assert_eq!(level(&*gate, &sale, "a").await, (0, 10));
}

pub async fn a_repeated_hold_takes_nothing_more(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let one = want(&[("a", 4)]);
    let twice = [one.clone(), one.clone()];
    assert_eq!(gate.reserve(&sale, &twice).await.unwrap(), [const { Reserved::Held }; 2]);
    assert_eq!(reserve(&*gate, &sale, &one).await, Reserved::Held);
    assert_eq!(level(&*gate, &sale, "a").await, (6, 4));
}

pub async fn reserves_at_once_never_take_more_than_there_is(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 50)]).await;
    let replies = together(40, |_| {
        let (gate, sale) = (Arc::clone(&gate), sale.clone());
        let wants: Vec<Want> = (0..3).map(|_| want(&[("a", 1)])).collect();
        async move {
            let first = gate.reserve(&sale, &wants).await.unwrap();
            let again = gate.reserve(&sale, &wants).await.unwrap();
            for (first, again) in first.iter().zip(&again) {
                assert!(*first != Reserved::Held || *again == Reserved::Held, "held stays held");
            }
            again
        }
    });
    let held = replies.await.into_iter().flatten().filter(|reply| *reply == Reserved::Held);
    assert_eq!(held.count(), 50, "all of it, and no more");
    assert_eq!(level(&*gate, &sale, "a").await, (0, 50));
}

pub async fn baskets_reserved_at_once_are_whole(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 40), ("b", 25)]).await;
    let replies = together(60, |n| {
        let (gate, sale) = (Arc::clone(&gate), sale.clone());
        let one =
            if n % 2 == 0 { want(&[("a", 2), ("b", 1)]) } else { want(&[("a", 1), ("b", 2)]) };
        async move { (reserve(&*gate, &sale, &one).await, one) }
    });
    let replies = replies.await;
    let held = replies.iter().filter(|(reply, _)| *reply == Reserved::Held);
    let mut sums = [0_u64; 2];
    for item in held.flat_map(|(_, one)| one.basket.items()) {
        sums[usize::from(item.sku == sku("b"))] += u64::from(item.quantity);
    }
    assert_eq!(level(&*gate, &sale, "a").await, (40 - sums[0], sums[0]));
    assert_eq!(level(&*gate, &sale, "b").await, (25 - sums[1], sums[1]));
    assert!(25 - sums[1] < 2, "nobody was refused what was there");
}

pub async fn a_release_gives_back_once(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let (one, other) = (want(&[("a", 4)]), want(&[("a", 6)]));
    gate.reserve(&sale, &[one.clone(), other]).await.unwrap();
    let released = said(&one, 1, HoldPhase::Released);
    gate.set(&sale, &[released.clone(), released.clone()]).await.unwrap();
    gate.set(&sale, std::slice::from_ref(&released)).await.unwrap();
    gate.set(&sale, &[said(&one, 2, HoldPhase::Released)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (4, 6));
    assert_eq!(reserve(&*gate, &sale, &one).await, Reserved::Over, "a late repeat of the turn");
    assert_eq!(level(&*gate, &sale, "a").await, (4, 6));
}

pub async fn releases_at_once_give_back_once(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 100)]).await;
    let wants: Vec<Want> = (0..10).map(|_| want(&[("a", 10)])).collect();
    gate.reserve(&sale, &wants).await.unwrap();
    let words: Vec<_> = wants[..5].iter().map(|one| said(one, 1, HoldPhase::Released)).collect();
    let releases = together(20, |_| {
        let (gate, sale, words) = (Arc::clone(&gate), sale.clone(), words.clone());
        async move { gate.set(&sale, &words).await.unwrap() }
    });
    releases.await;
    assert_eq!(level(&*gate, &sale, "a").await, (50, 50));
}

pub async fn a_hold_released_before_it_was_known_stays_released(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let one = want(&[("a", 4)]);
    gate.set(&sale, &[said(&one, 2, HoldPhase::Released)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
    assert_eq!(reserve(&*gate, &sale, &one).await, Reserved::Over);
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
}

pub async fn an_unrecorded_hold_is_given_back(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let one = want(&[("a", 4)]);
    reserve(&*gate, &sale, &one).await;
    let given_back = [HoldUpdate::unrecorded(one.hold, one.basket.clone())];
    gate.set(&sale, &given_back).await.unwrap();
    gate.set(&sale, &given_back).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
    assert_eq!(reserve(&*gate, &sale, &one).await, Reserved::Over);
    // A turn that was tried before finds another hold, and the ledger's word of it stands above a late giving back.
    let next = want(&[("a", 3)]);
    reserve(&*gate, &sale, &next).await;
    gate.set(&sale, &[said(&next, 5, HoldPhase::Held)]).await.unwrap();
    let late = [HoldUpdate::unrecorded(next.hold, next.basket.clone())];
    gate.set(&sale, &late).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (7, 3));
}

pub async fn the_ledgers_word_stands_above_an_unrecorded_release(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let one = want(&[("a", 4)]);
    reserve(&*gate, &sale, &one).await;
    let given_back = [HoldUpdate::unrecorded(one.hold, one.basket.clone())];
    gate.set(&sale, &given_back).await.unwrap();
    gate.set(&sale, &[said(&one, 1, HoldPhase::Held)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (6, 4), "the ledger had recorded it after all");
}

pub async fn a_sold_hold_is_gone_for_good(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let one = want(&[("a", 4)]);
    reserve(&*gate, &sale, &one).await;
    let sold = said(&one, 2, HoldPhase::Sold);
    gate.set(&sale, &[said(&one, 1, HoldPhase::Held), sold.clone(), sold]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (6, 0));
    assert_eq!(reserve(&*gate, &sale, &one).await, Reserved::Over);
    assert_eq!(level(&*gate, &sale, "a").await, (6, 0));
}

pub async fn an_older_word_is_ignored(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10), ("b", 10)]).await;
    let (one, other) = (want(&[("a", 4)]), want(&[("b", 4)]));
    gate.reserve(&sale, &[one.clone(), other.clone()]).await.unwrap();
    gate.set(&sale, &[said(&one, 5, HoldPhase::Released)]).await.unwrap();
    gate.set(&sale, &[said(&one, 4, HoldPhase::Held)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
    gate.set(&sale, &[said(&other, 5, HoldPhase::Sold)]).await.unwrap();
    gate.set(&sale, &[said(&other, 3, HoldPhase::Released)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "b").await, (6, 0));
}

pub async fn the_ledgers_holds_are_taken_in(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let (held, sold) = (want(&[("a", 4)]), want(&[("a", 3)]));
    let words = [said(&held, 1, HoldPhase::Held), said(&sold, 2, HoldPhase::Sold)];
    gate.set(&sale, &words).await.unwrap();
    gate.set(&sale, &words).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (3, 4), "holds it never reserved");
    assert_eq!(reserve(&*gate, &sale, &held).await, Reserved::Held);
    assert_eq!(level(&*gate, &sale, "a").await, (3, 4), "its own hold is met, not taken twice");
}

pub async fn a_released_hold_may_be_held_again_by_the_ledger(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let one = want(&[("a", 4)]);
    reserve(&*gate, &sale, &one).await;
    gate.set(&sale, &[said(&one, 2, HoldPhase::Released)]).await.unwrap();
    gate.set(&sale, &[said(&one, 3, HoldPhase::Held)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (6, 4));
    gate.set(&sale, &[said(&one, 4, HoldPhase::Released)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
}

pub async fn an_overdrawn_gate_comes_right_again(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    let (leak, real) = (want(&[("a", 10)]), want(&[("a", 3)]));
    reserve(&*gate, &sale, &leak).await;
    gate.set(&sale, &[said(&real, 1, HoldPhase::Held)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await.0, 0, "more is held than there is");
    gate.set(&sale, &[HoldUpdate::unrecorded(leak.hold, leak.basket)]).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (7, 3));
}

pub async fn a_restock_is_added_once(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    reserve(&*gate, &sale, &want(&[("a", 4)])).await;
    let restock = Restock { sku: sku("a"), total: 15, seats: None };
    gate.restock(&sale, &restock).await.unwrap();
    gate.restock(&sale, &restock).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (11, 4));
    assert_eq!(reserve(&*gate, &sale, &want(&[("a", 11)])).await, Reserved::Held);
}

pub async fn an_older_restock_is_ignored(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    gate.restock(&sale, &Restock { sku: sku("a"), total: 20, seats: None }).await.unwrap();
    gate.restock(&sale, &Restock { sku: sku("a"), total: 15, seats: None }).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (20, 0));
}

pub async fn a_forgotten_sale_is_cold_again(house: impl House<Port = Port>) {
    let gate = house.port();
    let sale = stocked(&*gate, &[("a", 10)]).await;
    gate.forget(&sale).await.unwrap();
    assert!(matches!(gate.levels(&sale).await, Err(PortError::Cold)));
    let wants = [want(&[("a", 1)])];
    assert!(matches!(gate.reserve(&sale, &wants).await, Err(PortError::Cold)));
}

pub async fn sales_have_their_own_stock(house: impl House<Port = Port>) {
    let (gate, other) = (house.port(), other_sale());
    let sale = stocked(&*gate, &[("a", 10)]).await;
    assert!(matches!(gate.levels(&other).await, Err(PortError::Cold)));
    gate.rebuild(&other, Epoch(1), image(&[("a", 3)])).await.unwrap();
    assert_eq!(reserve(&*gate, &other, &want(&[("a", 3)])).await, Reserved::Held);
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
    gate.forget(&other).await.unwrap();
    assert_eq!(level(&*gate, &sale, "a").await, (10, 0));
}
