//! Rules of calling and settling: who is called, who is dropped and why, and when a buyer is free to join again.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{sync::Arc, time::Duration};

use super::{
    House,
    line::{join_all, warmed},
    samples::*,
    together,
};
use crate::{
    clock::UnixMillis,
    entry::Outcome,
    ids::{EntryId, Epoch, SaleId, Seq},
    line::{Caps, LineEntry},
    ports::{Join, Line, Place, PlaceState, Settlement, Standing},
};

#[macro_export]
macro_rules! calls_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            calls:
            a_called_entry_is_called,
            a_repeated_call_counts_once,
            an_unknown_entry_is_registered_by_its_call,
            a_called_buyer_keeps_the_place,
            the_silent_stay_waiting,
            the_silent_who_come_back_are_called,
            the_called_are_not_silent,
            a_twin_is_told_of_the_lower_number,
            twins_in_one_call_leave_the_lower_number,
            the_settled_are_not_called,
            a_settlement_frees_the_buyer,
            a_live_settlement_is_found,
            the_end_of_an_order_frees_the_buyer,
            a_freed_buyer_is_not_bound_again,
            a_late_settlement_leaves_the_next_place_alone,
            a_settled_twin_leaves_the_other_place_alone,
            a_token_of_a_settled_entry_gives_a_new_place,
            unknown_settlements_are_harmless,
            a_settlement_stands_above_a_late_call,
            a_settlement_stands_above_a_late_token,
            calls_and_joins_at_once_leave_one_place,
        );
    };
}

type Port = Arc<dyn Line>;

const LEFT: Settlement = Settlement { outcome: Outcome::Left, live: false };
const RESERVED: Settlement = Settlement { outcome: Outcome::Reserved, live: true };
/// Reserved once, and its order is closed by now.
const OVER: Settlement = Settlement { outcome: Outcome::Reserved, live: false };

pub(super) async fn place_of(line: &dyn Line, sale: &SaleId, name: &str) -> LineEntry {
    new_place(&join_all(line, sale, &[name]).await[0]).line_entry
}

async fn find(line: &dyn Line, sale: &SaleId, entry: EntryId) -> Place {
    line.find(sale, &[entry]).await.unwrap().remove(0).unwrap()
}

async fn call(line: &dyn Line, sale: &SaleId, entries: &[LineEntry]) -> Vec<Standing> {
    call_unless_silent(line, sale, None, entries).await
}

async fn call_unless_silent(
    line: &dyn Line,
    sale: &SaleId,
    silent_before: Option<UnixMillis>,
    entries: &[LineEntry],
) -> Vec<Standing> {
    line.call(sale, Epoch(1), silent_before, entries).await.unwrap()
}

async fn called(line: &dyn Line, sale: &SaleId) -> u64 {
    line.snapshot(sale).await.unwrap().called
}

pub async fn a_called_entry_is_called(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let (ada, bob) = (place_of(&*line, &sale, "ada").await, place_of(&*line, &sale, "bob").await);
    assert_eq!(call(&*line, &sale, std::slice::from_ref(&ada)).await, [Standing::Called]);
    assert_eq!(find(&*line, &sale, ada.entry).await.state, PlaceState::Called);
    assert_eq!(find(&*line, &sale, bob.entry).await.state, PlaceState::Waiting);
    assert_eq!(called(&*line, &sale).await, 1);
}

pub async fn a_repeated_call_counts_once(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    let twice = [ada.clone(), ada.clone()];
    assert_eq!(call(&*line, &sale, &twice).await, [Standing::Called, Standing::Called]);
    assert_eq!(call(&*line, &sale, &twice[..1]).await, [Standing::Called]);
    assert_eq!(called(&*line, &sale).await, 1);
    line.settle(&sale, &[(ada.entry, RESERVED)]).await.unwrap();
    assert_eq!(called(&*line, &sale).await, 0);
}

pub async fn an_unknown_entry_is_registered_by_its_call(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = entry(7, "ada");
    assert_eq!(call(&*line, &sale, std::slice::from_ref(&ada)).await, [Standing::Called]);
    assert_eq!(find(&*line, &sale, ada.entry).await.state, PlaceState::Called);
    let again = found_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    assert_eq!((again.line_entry.entry, again.line_entry.seq), (ada.entry, Seq(7)));
}

pub async fn a_called_buyer_keeps_the_place(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    call(&*line, &sale, std::slice::from_ref(&ada)).await;
    let again = found_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    assert_eq!((again.line_entry.entry, again.state), (ada.entry, PlaceState::Called));
}

pub async fn the_silent_stay_waiting(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    let bob = place_of(&*line, &sale, "bob").await;
    let seen_at = T0.plus(Duration::from_secs(10));
    line.seen(&sale, &[bob.entry], seen_at).await.unwrap();
    let both = [ada.clone(), bob.clone()];
    let standings = call_unless_silent(&*line, &sale, Some(seen_at), &both).await;
    assert_eq!(standings, [Standing::Silent { seen_at: T0 }, Standing::Called]);
    assert_eq!(find(&*line, &sale, ada.entry).await.state, PlaceState::Waiting);
    assert_eq!(called(&*line, &sale).await, 1, "who is silent is not called");
}

pub async fn the_silent_who_come_back_are_called(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = [place_of(&*line, &sale, "ada").await];
    let limit = T0.plus(Duration::from_secs(10));
    let standings = call_unless_silent(&*line, &sale, Some(limit), &ada).await;
    assert_eq!(standings, [Standing::Silent { seen_at: T0 }]);
    line.seen(&sale, &[ada[0].entry], limit).await.unwrap();
    assert_eq!(call_unless_silent(&*line, &sale, Some(limit), &ada).await, [Standing::Called]);
}

pub async fn the_called_are_not_silent(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = [place_of(&*line, &sale, "ada").await];
    call(&*line, &sale, &ada).await;
    let much_later = Some(T0.plus(Duration::from_secs(3600)));
    let standings = call_unless_silent(&*line, &sale, much_later, &ada).await;
    assert_eq!(standings, [Standing::Called], "its turn may be out already");
}

pub async fn a_twin_is_told_of_the_lower_number(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let first = place_of(&*line, &sale, "ada").await;
    let twin = entry(500, "ada");
    assert_eq!(
        call(&*line, &sale, std::slice::from_ref(&twin)).await,
        [Standing::Twin { of: first.entry }]
    );
    assert_eq!(called(&*line, &sale).await, 0);
    let kept = line.find_buyer(&sale, &buyer("ada")).await.unwrap().unwrap();
    assert_eq!(kept.line_entry.entry, first.entry);
    assert_eq!(call(&*line, &sale, &[first]).await, [Standing::Called]);
}

pub async fn twins_in_one_call_leave_the_lower_number(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let (first, second) = (entry(3, "ada"), entry(4, "ada"));
    let standings = call(&*line, &sale, &[first.clone(), second]).await;
    assert_eq!(standings, [Standing::Called, Standing::Twin { of: first.entry }]);
    assert_eq!(called(&*line, &sale).await, 1);
}

pub async fn the_settled_are_not_called(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    let bob = place_of(&*line, &sale, "bob").await;
    let settled = [(ada.entry, LEFT), (bob.entry, RESERVED)];
    line.settle(&sale, &settled).await.unwrap();
    let standings = call(&*line, &sale, &[ada, bob]).await;
    assert_eq!(standings, [Standing::Settled(LEFT), Standing::Settled(RESERVED)]);
    assert_eq!(called(&*line, &sale).await, 0);
}

pub async fn a_settlement_frees_the_buyer(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    for outcome in [Outcome::SoldOut, Outcome::Left, Outcome::Expired, Outcome::Refused] {
        let ada = place_of(&*line, &sale, "ada").await;
        if outcome != Outcome::Left {
            call(&*line, &sale, std::slice::from_ref(&ada)).await;
        }
        let settlement = Settlement { outcome, live: false };
        line.settle(&sale, &[(ada.entry, settlement)]).await.unwrap();
        assert_eq!(line.find_buyer(&sale, &ada.buyer).await.unwrap(), None, "{outcome:?}");
        let state = find(&*line, &sale, ada.entry).await.state;
        assert_eq!(state, PlaceState::Settled(settlement));
        assert_eq!(called(&*line, &sale).await, 0, "it is no longer in flight");
    }
}

pub async fn a_live_settlement_is_found(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    call(&*line, &sale, std::slice::from_ref(&ada)).await;
    line.settle(&sale, &[(ada.entry, RESERVED)]).await.unwrap();
    line.settle(&sale, &[(ada.entry, RESERVED)]).await.unwrap();
    let again = found_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    assert_eq!((again.line_entry.entry, again.state), (ada.entry, PlaceState::Settled(RESERVED)));
    let kept = line.find_buyer(&sale, &ada.buyer).await.unwrap().unwrap();
    assert_eq!(kept.line_entry.entry, ada.entry);
}

pub async fn the_end_of_an_order_frees_the_buyer(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    line.settle(&sale, &[(ada.entry, RESERVED)]).await.unwrap();
    line.settle(&sale, &[(ada.entry, OVER)]).await.unwrap();
    assert_eq!(find(&*line, &sale, ada.entry).await.state, PlaceState::Settled(OVER));
    assert_ne!(place_of(&*line, &sale, "ada").await.entry, ada.entry);
}

pub async fn a_freed_buyer_is_not_bound_again(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    line.settle(&sale, &[(ada.entry, OVER)]).await.unwrap();
    line.settle(&sale, &[(ada.entry, RESERVED)]).await.unwrap();
    assert_eq!(find(&*line, &sale, ada.entry).await.state, PlaceState::Settled(OVER));
    assert_eq!(line.find_buyer(&sale, &ada.buyer).await.unwrap(), None);
    assert_ne!(place_of(&*line, &sale, "ada").await.entry, ada.entry);
}

pub async fn a_late_settlement_leaves_the_next_place_alone(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let first = place_of(&*line, &sale, "ada").await;
    line.settle(&sale, &[(first.entry, OVER)]).await.unwrap();
    let second = place_of(&*line, &sale, "ada").await;
    for late in [OVER, RESERVED] {
        line.settle(&sale, &[(first.entry, late)]).await.unwrap();
        let kept = line.find_buyer(&sale, &first.buyer).await.unwrap().unwrap();
        assert_eq!(kept.line_entry.entry, second.entry);
    }
    assert_eq!(call(&*line, &sale, &[second]).await, [Standing::Called]);
}

pub async fn a_settled_twin_leaves_the_other_place_alone(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let first = place_of(&*line, &sale, "ada").await;
    // A token from before the line forgot: for a while the buyer has two places.
    let twin = entry(7, "ada");
    let proven = Join { proven: Some(twin.clone()), ..join("ada") };
    line.join(&sale, Caps::of_line(10), vec![proven]).await.unwrap();
    line.settle(&sale, &[(twin.entry, LEFT)]).await.unwrap();
    let again = found_place(&join_all(&*line, &sale, &["ada"]).await[0]);
    assert_eq!(again.line_entry.entry, first.entry, "the buyer is not free while it lives");
    assert_eq!(call(&*line, &sale, &[first]).await, [Standing::Called]);
}

pub async fn a_token_of_a_settled_entry_gives_a_new_place(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    line.settle(&sale, &[(ada.entry, LEFT)]).await.unwrap();
    let proven = Join { proven: Some(ada.clone()), ..join("ada") };
    let reply = line.join(&sale, Caps::of_line(10), vec![proven]).await.unwrap().remove(0);
    assert_ne!(new_place(&reply).line_entry.entry, ada.entry);
}

pub async fn unknown_settlements_are_harmless(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let ada = place_of(&*line, &sale, "ada").await;
    call(&*line, &sale, std::slice::from_ref(&ada)).await;
    line.settle(&sale, &[(entry(9, "ada").entry, LEFT)]).await.unwrap();
    assert_eq!(called(&*line, &sale).await, 1);
    let kept = line.find_buyer(&sale, &ada.buyer).await.unwrap().unwrap();
    assert_eq!(kept.line_entry.entry, ada.entry);
}

/// An outcome may be told before the line has heard of the entry: it forgot, or another was faster.
pub async fn a_settlement_stands_above_a_late_call(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let (ada, bob) = (entry(501, "ada"), entry(502, "bob"));
    line.settle(&sale, &[(ada.entry, LEFT), (bob.entry, RESERVED)]).await.unwrap();
    let standings = call(&*line, &sale, &[ada, bob]).await;
    assert_eq!(standings, [Standing::Settled(LEFT), Standing::Settled(RESERVED)]);
    assert_eq!(called(&*line, &sale).await, 0);
}

pub async fn a_settlement_stands_above_a_late_token(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let (ada, bob) = (entry(501, "ada"), entry(502, "bob"));
    line.settle(&sale, &[(ada.entry, LEFT), (bob.entry, RESERVED)]).await.unwrap();
    let with_token = |name, proven: &LineEntry| Join { proven: Some(proven.clone()), ..join(name) };
    let joins = vec![with_token("ada", &ada), with_token("bob", &bob)];
    let replies = line.join(&sale, Caps::of_line(1_000), joins).await.unwrap();
    assert_ne!(new_place(&replies[0]).line_entry.entry, ada.entry, "the buyer is free of it");
    let found = found_place(&replies[1]);
    assert_eq!((found.line_entry.entry, found.state), (bob.entry, PlaceState::Settled(RESERVED)));
}

pub async fn calls_and_joins_at_once_leave_one_place(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let old = entries(501..=520);
    // Entries the line has forgotten are called while their buyers join anew, without a token.
    let rounds = together(20, |n| {
        let (line, sale, old) = (Arc::clone(&line), sale.clone(), old[n].clone());
        async move {
            let name = old.buyer.as_str().to_owned();
            let called = call(&*line, &sale, std::slice::from_ref(&old));
            let names = [name.as_str()];
            let (standings, replies) = tokio::join!(called, join_all(&*line, &sale, &names));
            (standings[0], replies.into_iter().next().unwrap(), old)
        }
    });
    for (standing, reply, old) in rounds.await {
        let kept = line.find_buyer(&sale, &old.buyer).await.unwrap().unwrap().line_entry;
        match standing {
            Standing::Called => assert_eq!(found_place(&reply).line_entry.entry, old.entry),
            Standing::Twin { of } => assert_eq!(new_place(&reply).line_entry.entry, of),
            Standing::Settled(_) | Standing::Silent { .. } => panic!("{standing:?}"),
        }
        assert!(kept.entry == old.entry || kept.seq < Seq(501), "one live place");
    }
}
