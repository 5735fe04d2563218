//! Rules of the line's numbers: ascending, once each, from the block the ledger handed out, and no more than the cap
//! allows.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::sync::Arc;

use super::{
    House,
    line::{join_all, join_capped, numbers, warm, warmed},
    samples::*,
    together,
};
use crate::{
    ids::{Epoch, Seq},
    ports::{Block, JoinReply, Line, PlaceState, PortError, Restore},
};

#[macro_export]
macro_rules! numbers_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            numbers:
            numbers_ascend_in_the_order_of_joins,
            numbers_begin_at_the_block_and_what_was_skipped_is_a_hole,
            restored_cursors_are_kept,
            who_has_a_number_from_before_stands_in_no_hole,
            numbers_are_given_out_once_whoever_asks_at_once,
            beyond_the_cap_nothing_is_recorded,
            a_full_line_still_finds_its_buyers,
            holes_do_not_fill_a_line,
            beyond_the_block_nothing_is_recorded,
            a_block_is_extended_and_never_shortened,
        );
    };
}

type Port = Arc<dyn Line>;

pub async fn numbers_ascend_in_the_order_of_joins(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    assert_eq!(numbers(&join_all(&*line, &sale, &["c", "a", "b"]).await), [1, 2, 3]);
    let replies = join_all(&*line, &sale, &["d", "a", "e"]).await;
    assert_eq!(new_place(&replies[0]).line_entry.seq, Seq(4));
    assert_eq!(found_place(&replies[1]).line_entry.seq, Seq(2));
    assert_eq!(new_place(&replies[2]).line_entry.seq, Seq(5), "finding uses up no number");
    let place = new_place(&replies[2]);
    assert_eq!((place.state, place.durable), (PlaceState::Waiting, false));
    assert_eq!((place.line_entry.buyer, place.seen_at), (buyer("e"), T0));
}

pub async fn numbers_begin_at_the_block_and_what_was_skipped_is_a_hole(
    house: impl House<Port = Port>,
) {
    let (line, sale) = (house.port(), drop_sale());
    warm(&*line, &sale, 1, 501..=600).await;
    let place = new_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    assert_eq!(place.line_entry.seq, Seq(501));
    let cursor = line.snapshot(&sale).await.unwrap().cursor;
    assert_eq!(cursor.position(Seq(501), place.line_entry.holes_below, None), 1);
    assert_eq!(cursor.waiting(Seq(501)), 1, "nobody waits in a hole");
}

pub async fn restored_cursors_are_kept(house: impl House<Port = Port>) {
    let (line, sale) = (house.port(), drop_sale());
    let restored = cursor_with_hole(100, 11, 20);
    let block = Block { from: Seq(101), to: Seq(200) };
    line.warm(&sale, Epoch(3), Some(Restore { block, cursor: restored.clone(), last: Seq(0) }))
        .await
        .unwrap();
    let snapshot = line.snapshot(&sale).await.unwrap();
    assert_eq!((snapshot.cursor.serving, snapshot.epoch), (Seq(100), Epoch(3)));
    assert_eq!(snapshot.cursor.holes.upto(Seq(100)), 10);
    let place = new_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    assert_eq!((place.line_entry.seq, place.line_entry.holes_below), (Seq(101), 10));
}

/// The line forgot everything while 41 to 70 were waiting: they keep their positions, and count for the cap.
pub async fn who_has_a_number_from_before_stands_in_no_hole(house: impl House<Port = Port>) {
    let (line, sale) = (house.port(), drop_sale());
    let block = Block { from: Seq(501), to: Seq(600) };
    let restore = Restore { block, cursor: cursor(40), last: Seq(70) };
    line.warm(&sale, Epoch(2), Some(restore)).await.unwrap();
    let restored = line.snapshot(&sale).await.unwrap();
    for (seq, position) in [(41, 1), (55, 15), (70, 30)] {
        assert_eq!(restored.cursor.position(Seq(seq), 0, None), position);
    }
    assert_eq!(restored.cursor.waiting(restored.last), 30);
    let replies = join_capped(&*line, &sale, 32, &["a", "b", "c"]).await;
    assert_eq!(numbers(&replies[..2]), [501, 502]);
    assert_eq!(replies[2], JoinReply::Full, "30 wait from before");
    let first = new_place(&replies[0]).line_entry;
    assert_eq!(restored.cursor.position(first.seq, first.holes_below, None), 31, "behind them");
}

pub async fn numbers_are_given_out_once_whoever_asks_at_once(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let replies = together(40, |n| {
        let (line, sale) = (Arc::clone(&line), sale.clone());
        async move {
            let names: Vec<String> = (0..5).map(|m| format!("buyer-{n}-{m}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            numbers(&join_all(&*line, &sale, &names).await)
        }
    });
    let replies = replies.await;
    assert!(replies.iter().all(|numbers| numbers.is_sorted()), "numbers ascend within a call");
    let mut all: Vec<u64> = replies.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, (1..=200).collect::<Vec<u64>>(), "each number once, none left out");
}

pub async fn beyond_the_cap_nothing_is_recorded(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let replies = join_capped(&*line, &sale, 3, &["a", "b", "c", "d"]).await;
    assert_eq!(numbers(&replies[..3]), [1, 2, 3]);
    assert_eq!(replies[3], JoinReply::Full);
    assert_eq!(line.find_buyer(&sale, &buyer("d")).await.unwrap(), None);
    assert_eq!(line.snapshot(&sale).await.unwrap().last, Seq(3));
    line.advance(&sale, Epoch(1), &cursor(1)).await.unwrap();
    let replies = join_capped(&*line, &sale, 3, &["d", "e"]).await;
    assert_eq!(numbers(&replies[..1]), [4], "the cursor made room for one");
    assert_eq!(replies[1], JoinReply::Full);
    let crowd = together(20, |n| {
        let (line, sale) = (Arc::clone(&line), sale.clone());
        async move { join_capped(&*line, &sale, 10, &[&format!("crowd-{n}")]).await.remove(0) }
    });
    let taken = crowd.await.iter().filter(|reply| matches!(reply, JoinReply::New(_))).count();
    assert_eq!(taken, 7, "3 wait already, and the cap is 10");
}

pub async fn a_full_line_still_finds_its_buyers(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let first = new_place(&join_capped(&*line, &sale, 1, &["ada"]).await[0]);
    let again = found_place(&join_capped(&*line, &sale, 1, &["ada"]).await[0]);
    assert_eq!(again.line_entry, first.line_entry);
}

pub async fn holes_do_not_fill_a_line(house: impl House<Port = Port>) {
    let (line, sale) = (house.port(), drop_sale());
    warm(&*line, &sale, 1, 501..=600).await;
    let replies = join_capped(&*line, &sale, 2, &["a", "b", "c"]).await;
    assert_eq!(numbers(&replies[..2]), [501, 502]);
    assert_eq!(replies[2], JoinReply::Full);
}

pub async fn beyond_the_block_nothing_is_recorded(house: impl House<Port = Port>) {
    let (line, sale) = (house.port(), drop_sale());
    warm(&*line, &sale, 1, 1..=2).await;
    let replies = join_all(&*line, &sale, &["a", "b", "c", "a"]).await;
    assert_eq!(numbers(&replies[..2]), [1, 2]);
    assert_eq!(replies[2], JoinReply::OutOfNumbers);
    assert_eq!(found_place(&replies[3]).line_entry.seq, Seq(1));
    assert_eq!(line.find_buyer(&sale, &buyer("c")).await.unwrap(), None);
    assert_eq!(line.snapshot(&sale).await.unwrap().last, Seq(2));
}

pub async fn a_block_is_extended_and_never_shortened(house: impl House<Port = Port>) {
    let (line, sale) = (house.port(), drop_sale());
    warm(&*line, &sale, 2, 1..=2).await;
    line.extend(&sale, Epoch(2), Seq(4)).await.unwrap();
    line.extend(&sale, Epoch(2), Seq(3)).await.unwrap();
    assert_eq!(line.snapshot(&sale).await.unwrap().high_water, Seq(4));
    assert!(matches!(line.extend(&sale, Epoch(1), Seq(9)).await, Err(PortError::Fenced)));
    let replies = join_all(&*line, &sale, &["a", "b", "c", "d", "e"]).await;
    assert_eq!(numbers(&replies[..4]), [1, 2, 3, 4]);
    assert_eq!(replies[4], JoinReply::OutOfNumbers);
}
