//! Rules of the line: one place per buyer, the cursor, and what it may forget. Its numbers are in
//! [`numbers`](super::numbers), calls and settlements in [`calls`](super::calls).

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{House, samples::*, together};
use crate::{
    ids::{EntryId, Epoch, SaleId, Seq},
    line::Caps,
    ports::{Block, Join, JoinReply, Line, PortError, Restore},
};

#[macro_export]
macro_rules! line_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            line:
            a_cold_line_says_so_and_does_nothing,
            a_cold_line_stays_cold_without_a_block,
            a_buyer_has_one_place,
            two_joins_of_one_buyer_in_one_call_find_each_other,
            a_buyer_has_one_place_whoever_asks_at_once,
            a_forgotten_place_is_registered_again_with_its_number,
            what_a_token_proves_is_not_given_twice,
            places_are_confirmed,
            places_are_found_in_order,
            seen_never_moves_back,
            the_cursor_never_goes_back,
            the_cursor_ends_at_the_highest_whoever_writes_at_once,
            a_higher_epoch_keeps_what_is_known,
            an_old_epoch_is_fenced,
            the_snapshot_tells_how_the_line_stands,
            a_forgotten_sale_is_cold,
            sales_are_apart,
            after_a_crash_it_remembers_or_is_cold,
        );
    };
}

type Port = Arc<dyn Line>;

/// Warms the sale `drop` under epoch 1 with the numbers 1 to 1000.
pub(super) async fn warmed(line: &dyn Line) -> SaleId {
    let sale = drop_sale();
    warm(line, &sale, 1, 1..=1000).await;
    sale
}

pub(super) async fn warm(
    line: &dyn Line,
    sale: &SaleId,
    epoch: u64,
    block: std::ops::RangeInclusive<u64>,
) {
    let block = Block { from: Seq(*block.start()), to: Seq(*block.end()) };
    line.warm(sale, Epoch(epoch), Some(Restore { block, cursor: cursor(0), last: Seq(0) }))
        .await
        .unwrap();
}

/// Joins these buyers in one call, under a cap that is far away.
pub(super) async fn join_all(line: &dyn Line, sale: &SaleId, names: &[&str]) -> Vec<JoinReply> {
    join_capped(line, sale, 100_000, names).await
}

pub(super) async fn join_capped(
    line: &dyn Line,
    sale: &SaleId,
    cap: u64,
    names: &[&str],
) -> Vec<JoinReply> {
    let joins = names.iter().map(|name| join(name)).collect();
    let replies = line.join(sale, Caps::of_line(cap), joins).await.unwrap();
    assert_eq!(replies.len(), names.len(), "one reply for each join");
    replies
}

pub(super) fn numbers(replies: &[JoinReply]) -> Vec<u64> {
    replies.iter().map(|reply| new_place(reply).line_entry.seq.0).collect()
}

pub async fn a_cold_line_says_so_and_does_nothing(house: impl House<Port = Port>) {
    let (line, sale, one) = (house.port(), drop_sale(), entry(1, "ada"));
    let ids = [one.entry];
    let block = vec![join("ada")];
    assert!(matches!(line.join(&sale, Caps::of_line(10), block).await, Err(PortError::Cold)));
    assert!(matches!(line.confirm(&sale, &ids).await, Err(PortError::Cold)));
    assert!(matches!(line.find(&sale, &ids).await, Err(PortError::Cold)));
    assert!(matches!(line.find_buyer(&sale, &one.buyer).await, Err(PortError::Cold)));
    assert!(matches!(line.seen(&sale, &ids, T0).await, Err(PortError::Cold)));
    let call = line.call(&sale, Epoch(1), None, std::slice::from_ref(&one)).await;
    assert!(matches!(call, Err(PortError::Cold)));
    assert!(matches!(line.settle(&sale, &[]).await, Err(PortError::Cold)));
    assert!(matches!(line.advance(&sale, Epoch(1), &cursor(5)).await, Err(PortError::Cold)));
    assert!(matches!(line.extend(&sale, Epoch(1), Seq(9)).await, Err(PortError::Cold)));
    assert!(matches!(line.snapshot(&sale).await, Err(PortError::Cold)));

    warmed(&*line).await;
    let snapshot = line.snapshot(&sale).await.unwrap();
    assert_eq!((snapshot.last, snapshot.called), (Seq(0), 0));
    assert_eq!((snapshot.cursor, snapshot.high_water), (cursor(0), Seq(1000)));
    assert_eq!(line.find_buyer(&sale, &one.buyer).await.unwrap(), None);
    assert_eq!(numbers(&join_all(&*line, &sale, &["ada"]).await), [1]);
}

pub async fn a_cold_line_stays_cold_without_a_block(house: impl House<Port = Port>) {
    let (line, sale) = (house.port(), drop_sale());
    assert!(matches!(line.warm(&sale, Epoch(1), None).await, Err(PortError::Cold)));
    assert!(matches!(line.snapshot(&sale).await, Err(PortError::Cold)));
}

pub async fn a_buyer_has_one_place(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let first = new_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    let again = found_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    assert_eq!(again.line_entry, first.line_entry);
    let found = line.find_buyer(&sale, &buyer("ada")).await.unwrap().unwrap();
    assert_eq!(found.line_entry, first.line_entry);
    assert_eq!(line.find_buyer(&sale, &buyer("bob")).await.unwrap(), None);
}

pub async fn two_joins_of_one_buyer_in_one_call_find_each_other(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let replies = join_all(&*line, &sale, &["ada", "ada", "bob"]).await;
    assert_eq!(found_place(&replies[1]).line_entry, new_place(&replies[0]).line_entry);
    assert_eq!(new_place(&replies[2]).line_entry.seq, Seq(2));
}

pub async fn a_buyer_has_one_place_whoever_asks_at_once(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let replies = together(32, |_| {
        let (line, sale) = (Arc::clone(&line), sale.clone());
        async move { join_all(&*line, &sale, &["a", "b", "c", "d"]).await }
    });
    let replies = replies.await;
    for n in 0..4 {
        let of_buyer = replies.iter().map(|replies| &replies[n]);
        let new = of_buyer.clone().filter(|reply| matches!(reply, JoinReply::New(_))).count();
        assert_eq!(new, 1, "one of the joins is new, the others find it");
        let entries: BTreeSet<EntryId> = of_buyer
            .map(|reply| match reply {
                JoinReply::New(place) | JoinReply::Found(place) => place.line_entry.entry,
                JoinReply::Full | JoinReply::OutOfNumbers | JoinReply::Limited { .. } => {
                    panic!("{reply:?}")
                }
            })
            .collect();
        assert_eq!(entries.len(), 1, "all of a buyer's joins come to one entry");
    }
    assert_eq!(line.snapshot(&sale).await.unwrap().last, Seq(4));
}

pub async fn a_forgotten_place_is_registered_again_with_its_number(house: impl House<Port = Port>) {
    let (line, sale) = (house.port(), drop_sale());
    warm(&*line, &sale, 1, 101..=200).await;
    let old = entry(7, "ada");
    let proven = Join { proven: Some(old.clone()), ..join("ada") };
    let reply = line.join(&sale, Caps::of_line(10), vec![proven]).await.unwrap().remove(0);
    assert_eq!(found_place(&reply).line_entry.entry, old.entry);
    assert_eq!(found_place(&reply).line_entry.seq, Seq(7));
    let places = line.find(&sale, &[old.entry]).await.unwrap();
    assert_eq!(places[0].as_ref().unwrap().line_entry.seq, Seq(7));
    let without_token = found_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    assert_eq!(without_token.line_entry.entry, old.entry);
    assert_eq!(numbers(&join_all(&*line, &sale, &["bob"]).await), [101]);
}

pub async fn what_a_token_proves_is_not_given_twice(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let place = new_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    let proven = || Join { proven: Some(place.line_entry.clone()), ..join("ada") };
    let replies = line.join(&sale, Caps::of_line(10), vec![proven(), proven()]).await.unwrap();
    assert!(replies.iter().all(|reply| found_place(reply).line_entry == place.line_entry));
    assert_eq!(line.snapshot(&sale).await.unwrap().last, Seq(1));
}

pub async fn places_are_confirmed(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let replies = join_all(&*line, &sale, &["ada", "bob"]).await;
    let ada = new_place(&replies[0]).line_entry.entry;
    line.confirm(&sale, &[entry(9, "nobody").entry, ada]).await.unwrap();
    let again = join_all(&*line, &sale, &["ada", "bob"]).await;
    assert!(found_place(&again[0]).durable, "the waiting queue has confirmed it");
    assert!(!found_place(&again[1]).durable, "it must be offered again");
}

pub async fn places_are_found_in_order(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let replies = join_all(&*line, &sale, &["ada", "bob"]).await;
    let (ada, bob) = (new_place(&replies[0]), new_place(&replies[1]));
    let unknown = entry(3, "eve").entry;
    let asked = [bob.line_entry.entry, unknown, ada.line_entry.entry];
    assert_eq!(line.find(&sale, &asked).await.unwrap(), [Some(bob), None, Some(ada)]);
}

pub async fn seen_never_moves_back(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let id = new_place(&join_all(&*line, &sale, &["ada"]).await[0]).line_entry.entry;
    let ids = [entry(9, "nobody").entry, id];
    let later = T0.plus(Duration::from_secs(60));
    line.seen(&sale, &ids, later).await.unwrap();
    line.seen(&sale, &ids, T0.plus(Duration::from_secs(30))).await.unwrap();
    let places = line.find(&sale, &ids).await.unwrap();
    assert_eq!(places[0], None, "an unknown entry is ignored");
    assert_eq!(places[1].as_ref().unwrap().seen_at, later);
}

pub async fn the_cursor_never_goes_back(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    join_all(&*line, &sale, &["a", "b", "c", "d"]).await;
    let ahead = cursor_with_hole(4, 2, 2);
    line.advance(&sale, Epoch(1), &ahead).await.unwrap();
    line.advance(&sale, Epoch(1), &cursor(3)).await.unwrap();
    assert_eq!(line.snapshot(&sale).await.unwrap().cursor, ahead);
}

pub async fn the_cursor_ends_at_the_highest_whoever_writes_at_once(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let writes = together(40, |n| {
        let (line, sale) = (Arc::clone(&line), sale.clone());
        async move {
            let to = cursor((n as u64 * 7) % 40 + 1);
            line.advance(&sale, Epoch(1), &to).await.unwrap();
            let serving = line.snapshot(&sale).await.unwrap().cursor.serving;
            assert!(serving >= to.serving, "it is at least where it was moved to");
        }
    });
    writes.await;
    assert_eq!(line.snapshot(&sale).await.unwrap().cursor.serving, Seq(40));
}

pub async fn a_higher_epoch_keeps_what_is_known(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = new_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    line.advance(&sale, Epoch(1), &cursor(1)).await.unwrap();
    warm(&*line, &sale, 2, 5001..=6000).await;
    line.warm(&sale, Epoch(2), None).await.unwrap();
    let snapshot = line.snapshot(&sale).await.unwrap();
    assert_eq!((snapshot.epoch, snapshot.cursor), (Epoch(2), cursor(1)));
    assert_eq!(snapshot.high_water, Seq(1000), "what was given to restore is ignored");
    let replies = join_all(&*line, &sale, &["ada", "bob"]).await;
    assert_eq!(found_place(&replies[0]).line_entry, ada.line_entry);
    assert_eq!(new_place(&replies[1]).line_entry.seq, Seq(2));
}

pub async fn an_old_epoch_is_fenced(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    line.warm(&sale, Epoch(2), None).await.unwrap();
    let one = [entry(1, "ada")];
    assert!(matches!(line.warm(&sale, Epoch(1), None).await, Err(PortError::Fenced)));
    assert!(matches!(line.advance(&sale, Epoch(1), &cursor(9)).await, Err(PortError::Fenced)));
    assert!(matches!(line.extend(&sale, Epoch(1), Seq(5000)).await, Err(PortError::Fenced)));
    assert!(matches!(line.call(&sale, Epoch(1), None, &one).await, Err(PortError::Fenced)));
    let snapshot = line.snapshot(&sale).await.unwrap();
    assert_eq!((snapshot.epoch, snapshot.cursor), (Epoch(2), cursor(0)));
    assert_eq!((snapshot.high_water, snapshot.called), (Seq(1000), 0));
}

pub async fn the_snapshot_tells_how_the_line_stands(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let replies = join_all(&*line, &sale, &["a", "b", "c"]).await;
    let first = new_place(&replies[0]).line_entry;
    line.call(&sale, Epoch(1), None, &[first]).await.unwrap();
    line.advance(&sale, Epoch(1), &cursor(1)).await.unwrap();
    let snapshot = line.snapshot(&sale).await.unwrap();
    assert_eq!((snapshot.epoch, snapshot.cursor), (Epoch(1), cursor(1)));
    assert_eq!((snapshot.last, snapshot.high_water, snapshot.called), (Seq(3), Seq(1000), 1));
    line.advance(&sale, Epoch(1), &cursor(8)).await.unwrap();
    assert!(line.snapshot(&sale).await.unwrap().last >= Seq(8), "`serving` at least");
}

pub async fn a_forgotten_sale_is_cold(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    join_all(&*line, &sale, &["ada"]).await;
    line.forget(&sale).await.unwrap();
    assert!(matches!(line.snapshot(&sale).await, Err(PortError::Cold)));
    assert!(matches!(line.find_buyer(&sale, &buyer("ada")).await, Err(PortError::Cold)));
    warm(&*line, &sale, 1, 1..=10).await;
    assert_eq!(line.find_buyer(&sale, &buyer("ada")).await.unwrap(), None);
}

pub async fn sales_are_apart(house: impl House<Port = Port>) {
    let (line, other) = (house.port(), other_sale());
    let sale = warmed(&*line).await;
    join_all(&*line, &sale, &["bob", "ada"]).await;
    assert!(matches!(line.snapshot(&other).await, Err(PortError::Cold)));
    warm(&*line, &other, 1, 1..=10).await;
    assert_eq!(numbers(&join_all(&*line, &other, &["ada"]).await), [1]);
    line.advance(&other, Epoch(1), &cursor(1)).await.unwrap();
    assert_eq!(line.snapshot(&sale).await.unwrap().cursor, cursor(0));
    line.forget(&other).await.unwrap();
    let known = line.find_buyer(&sale, &buyer("ada")).await.unwrap().unwrap();
    assert_eq!(known.line_entry.seq, Seq(2));
}

/// What is durable of a line is told by the waiting queue and the ledger: see [`journey`](super::journey).
pub async fn after_a_crash_it_remembers_or_is_cold(mut house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    line.warm(&sale, Epoch(2), None).await.unwrap();
    let ada = new_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    line.advance(&sale, Epoch(2), &cursor(1)).await.unwrap();
    drop(line);
    house.crash().await;
    let line = house.port();
    match line.snapshot(&sale).await {
        Ok(snapshot) => {
            assert_eq!((snapshot.epoch, snapshot.cursor), (Epoch(2), cursor(1)));
            let again = found_place(&join_all(&*line, &sale, &["ada"]).await[0]);
            assert_eq!(again.line_entry, ada.line_entry);
        }
        Err(PortError::Cold) => {
            assert!(matches!(line.warm(&sale, Epoch(3), None).await, Err(PortError::Cold)));
            let block = Block { from: Seq(1001), to: Seq(2000) };
            line.warm(&sale, Epoch(3), Some(Restore { block, cursor: cursor(1), last: Seq(0) }))
                .await
                .unwrap();
            let snapshot = line.snapshot(&sale).await.unwrap();
            assert_eq!((snapshot.epoch, snapshot.cursor.serving), (Epoch(3), Seq(1)));
        }
        Err(error) => panic!("neither remembered nor cold: {error:?}"),
    }
}
