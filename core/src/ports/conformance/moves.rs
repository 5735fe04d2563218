//! Rules of the ledger's book of moves: a place goes to one device at a time.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{sync::Arc, time::Duration};

use super::{House, samples::*, together};
use crate::{
    clock::UnixMillis,
    ids::EntryId,
    ports::{Deleted, Ledger, MoveName, PlaceMove},
};

#[macro_export]
macro_rules! moves_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            moves:
            a_move_ends_what_was_held_before_it,
            a_repeat_finds_the_move_done,
            of_several_moves_at_once_one_wins,
            repeats_at_once_are_one_move,
            a_move_is_later_than_what_it_ends,
            the_newest_moves_are_told,
            moves_are_durable,
            moves_go_with_their_sale,
        );
    };
}

type Port = Arc<dyn Ledger>;

fn place() -> EntryId {
    entry(1, "ada").entry
}

fn name(n: u8) -> MoveName {
    MoveName([n; 16])
}

pub async fn a_move_ends_what_was_held_before_it(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let (ada, bob) = (place(), place());
    assert_eq!(ledger.moved_at(ada).await.unwrap(), None);
    let first = ledger.move_place(&sale, ada, T0, name(1)).await.unwrap().unwrap();
    assert!(first > T0);
    // Whoever held it before the move, by whichever token, moves nothing any more.
    for since in [T0, first.minus(Duration::from_millis(1))] {
        assert_eq!(ledger.move_place(&sale, ada, since, name(2)).await.unwrap(), None);
    }
    assert_eq!(ledger.moved_at(ada).await.unwrap(), Some(first), "nothing changed");
    let second = ledger.move_place(&sale, ada, first, name(3)).await.unwrap().unwrap();
    assert!(second > first, "who holds it now may move it on");
    assert_eq!(ledger.moved_at(ada).await.unwrap(), Some(second));
    assert_eq!(ledger.moved_at(bob).await.unwrap(), None, "another place");
}

pub async fn a_repeat_finds_the_move_done(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let ada = place();
    let first = ledger.move_place(&sale, ada, T0, name(1)).await.unwrap();
    house.pass(Duration::from_millis(20)).await;
    assert!(first.is_some());
    assert_eq!(ledger.move_place(&sale, ada, T0, name(1)).await.unwrap(), first);
    let on = ledger.move_place(&sale, ada, first.unwrap(), name(2)).await.unwrap();
    assert!(on > first);
    let late = ledger.move_place(&sale, ada, T0, name(1)).await.unwrap();
    assert_eq!(late, None, "it was moved on since");
    assert_eq!(ledger.moved_at(ada).await.unwrap(), on);
}

pub async fn of_several_moves_at_once_one_wins(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let ada = place();
    let won = together(12, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        let name = name(u8::try_from(n).unwrap());
        async move { ledger.move_place(&sale, ada, T0, name).await.unwrap() }
    });
    let won: Vec<UnixMillis> = won.await.into_iter().flatten().collect();
    assert_eq!(won.len(), 1, "{won:?}");
    assert_eq!(ledger.moved_at(ada).await.unwrap(), Some(won[0]));
}

pub async fn repeats_at_once_are_one_move(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let ada = place();
    let moved = together(12, |_| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        async move { ledger.move_place(&sale, ada, T0, name(1)).await.unwrap() }
    });
    let moved = moved.await;
    assert!(moved[0].is_some() && moved.iter().all(|at| *at == moved[0]), "{moved:?}");
}

pub async fn a_move_is_later_than_what_it_ends(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    // A token of a node whose clock is ahead of the ledger's.
    let ahead = UnixMillis(9_000_000_000_000);
    let at = ledger.move_place(&sale, place(), ahead, name(1)).await.unwrap();
    assert_eq!(at, Some(UnixMillis(ahead.0 + 1)));
}

pub async fn the_newest_moves_are_told(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    assert!(ledger.moves(UnixMillis(0), 9).await.unwrap().is_empty());
    let base = UnixMillis(9_000_000_000_000);
    let mut moved = Vec::new();
    for n in 0..5 {
        let (entry, since) = (place(), UnixMillis(base.0 + 10 * n));
        let at = ledger.move_place(&sale, entry, since, name(1)).await.unwrap().unwrap();
        moved.insert(0, PlaceMove { entry, at });
    }
    assert_eq!(ledger.moves(UnixMillis(0), 9).await.unwrap(), moved);
    assert_eq!(ledger.moves(UnixMillis(0), 2).await.unwrap(), moved[..2]);
    assert_eq!(ledger.moves(moved[3].at, 9).await.unwrap(), moved[..3], "later than that");
}

pub async fn moves_are_durable(mut house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let ada = place();
    let at = ledger.move_place(&sale, ada, T0, name(1)).await.unwrap();
    drop(ledger);
    house.crash().await;
    let ledger = house.port();
    assert_eq!(ledger.moved_at(ada).await.unwrap(), at);
    assert_eq!(ledger.move_place(&sale, ada, T0, name(2)).await.unwrap(), None);
}

pub async fn moves_go_with_their_sale(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let (ada, elsewhere) = (place(), place());
    ledger.move_place(&sale, ada, T0, name(1)).await.unwrap();
    ledger.move_place(&other_sale(), elsewhere, T0, name(1)).await.unwrap();
    assert!(matches!(ledger.delete_sale(&sale, &author(), None).await.unwrap(), Deleted::Done));
    assert_eq!(ledger.moved_at(ada).await.unwrap(), None);
    assert!(ledger.moved_at(elsewhere).await.unwrap().is_some(), "of another sale");
}
