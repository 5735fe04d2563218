//! Rules of the dead letters: what was buried is found, and stays until somebody deals with it.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc};

use super::{
    House, Queues, not_now,
    samples::*,
    soon, until,
    waiting::{declared, drain},
};
use crate::{
    event::Turn,
    ids::LetterId,
    ports::{
        DeadLetter, DeadLetters, LetterContent, LetterOrder, LetterReplay, LetterSource,
        TurnDelivery,
    },
};

#[macro_export]
macro_rules! letters_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            letters:
            a_buried_turn_is_a_letter,
            an_unheard_turn_is_a_letter,
            nobody_has_letters_at_first,
            looking_loses_nothing,
            pages_show_each_letter_once,
            a_page_after_a_letter_that_is_gone_begins_anew,
            a_letter_keeps_its_id_over_a_crash,
            a_replayed_letter_is_delivered_as_if_it_were_new,
            a_replay_survives_a_crash,
            a_letter_is_replayed_once,
            a_turn_that_is_buried_again_is_another_letter,
            a_removed_letter_is_gone_for_good,
            whoever_looks_at_once_sees_all,
        );
    };
}

/// The queues, and what is buried in them.
#[derive(Clone, Debug)]
pub struct Buried {
    pub queues: Queues,
    pub letters: Arc<dyn DeadLetters>,
}

const REASON: &str = "the ledger does not take it";

/// Releases turns and buries them, in order.
async fn bury(port: &Buried, turns: Vec<Turn>) {
    let sale = declared(&port.queues).await;
    let count = turns.len();
    drain(&port.queues, &sale).await.outlet.release(turns).await.unwrap();
    let mut intake = port.queues.turns.consume(count).await.unwrap();
    let mut left = count;
    while left > 0 {
        for delivery in soon("a turn", intake.deliveries.next(left)).await.unwrap() {
            intake.outlet.bury(delivery.tag, REASON).await.unwrap();
            left -= 1;
        }
    }
}

/// Looks until so many are buried.
async fn all(port: &Buried, order: LetterOrder, count: usize) -> Vec<DeadLetter> {
    until("the letters", async || {
        let page = port.letters.list(order, None, 1_000).await.unwrap();
        (page.letters.len() == count && !page.more).then_some(page.letters)
    })
    .await
}

fn turn_of(letter: &DeadLetter) -> &Turn {
    let LetterContent::Turn(turn) = &letter.content else { panic!("not a turn: {letter:?}") };
    turn
}

fn numbers(letters: &[DeadLetter]) -> Vec<u64> {
    letters.iter().map(|letter| turn_of(letter).line_entry.seq.0).collect()
}

async fn next_turn(port: &Buried) -> TurnDelivery {
    let mut intake = port.queues.turns.consume(10).await.unwrap();
    let mut some = soon("a turn", intake.deliveries.next(1)).await.unwrap();
    let one = some.remove(0);
    intake.outlet.ack(&[one.tag]).await.unwrap();
    one
}

async fn no_turn(port: &Buried) {
    let mut intake = port.queues.turns.consume(10).await.unwrap();
    not_now("a turn", intake.deliveries.next(1)).await;
}

pub async fn a_buried_turn_is_a_letter(house: impl House<Port = Buried>) {
    let port = house.port();
    let turn = turns(1..=1).remove(0);
    bury(&port, vec![turn.clone()]).await;
    let letter = all(&port, LetterOrder::Oldest, 1).await.remove(0);
    assert_eq!(letter.source, LetterSource::Turns);
    assert_eq!(letter.reason, REASON);
    assert_eq!(letter.tries, 0);
    assert!(letter.since.is_some(), "its age is told");
    assert_eq!(turn_of(&letter).line_entry.entry, turn.line_entry.entry);
    assert_eq!(port.letters.letter(&letter.id).await.unwrap(), Some(letter));
}

pub async fn an_unheard_turn_is_a_letter(house: impl House<Port = Buried>) {
    let port = house.port();
    let turn = turns(1..=1).remove(0);
    port.queues.turns.bury_unheard(&turn, "the shop is silent").await.unwrap();
    let letter = all(&port, LetterOrder::Newest, 1).await.remove(0);
    assert_eq!((letter.source, &*letter.reason), (LetterSource::Turns, "the shop is silent"));
    assert_eq!(turn_of(&letter).line_entry.entry, turn.line_entry.entry);
}

pub async fn nobody_has_letters_at_first(house: impl House<Port = Buried>) {
    let port = house.port();
    let page = port.letters.list(LetterOrder::Newest, None, 10).await.unwrap();
    assert_eq!((page.letters, page.more), (vec![], false));
    for text in ["1", "018f3b2c-0000-7000-8000-000000000000", "no-such-letter"] {
        let id = LetterId::new(text).unwrap();
        assert_eq!(port.letters.letter(&id).await.unwrap(), None);
        assert_eq!(port.letters.replay(&id).await.unwrap(), LetterReplay::NoSuchLetter);
        assert!(!port.letters.remove(&id).await.unwrap());
    }
}

pub async fn looking_loses_nothing(house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=5)).await;
    let first = all(&port, LetterOrder::Oldest, 5).await;
    assert_eq!(numbers(&first), [1, 2, 3, 4, 5]);
    for _ in 0..5 {
        let again = port.letters.list(LetterOrder::Oldest, None, 2).await.unwrap();
        assert_eq!((again.letters.as_slice(), again.more), (&first[..2], true));
        assert!(port.letters.letter(&first[4].id).await.unwrap().is_some());
    }
    assert_eq!(all(&port, LetterOrder::Oldest, 5).await, first, "all of it, as it was");
    until("they count", async || {
        (port.queues.turns.depths().await.unwrap().dead == 5).then_some(())
    })
    .await;
}

pub async fn pages_show_each_letter_once(house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=7)).await;
    all(&port, LetterOrder::Oldest, 7).await;
    for (order, expected) in [
        (LetterOrder::Oldest, vec![1, 2, 3, 4, 5, 6, 7]),
        (LetterOrder::Newest, vec![7, 6, 5, 4, 3, 2, 1]),
    ] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = port.letters.list(order, after.as_ref(), 3).await.unwrap();
            assert!(page.letters.len() <= 3);
            after = page.letters.last().map(|letter| letter.id.clone());
            seen.extend(page.letters);
            if !page.more {
                break;
            }
        }
        assert_eq!(numbers(&seen), expected);
        let ids: BTreeSet<&LetterId> = seen.iter().map(|letter| &letter.id).collect();
        assert_eq!(ids.len(), 7, "each has an id of its own");
    }
}

pub async fn a_page_after_a_letter_that_is_gone_begins_anew(house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=3)).await;
    let letters = all(&port, LetterOrder::Oldest, 3).await;
    assert!(port.letters.remove(&letters[0].id).await.unwrap());
    let page = port.letters.list(LetterOrder::Oldest, Some(&letters[0].id), 10).await.unwrap();
    assert_eq!(numbers(&page.letters), [2, 3], "nothing is passed over");
}

pub async fn a_letter_keeps_its_id_over_a_crash(mut house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=3)).await;
    let letters = all(&port, LetterOrder::Oldest, 3).await;
    drop(port);
    house.crash().await;
    assert_eq!(all(&house.port(), LetterOrder::Oldest, 3).await, letters);
}

pub async fn a_replayed_letter_is_delivered_as_if_it_were_new(house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=3)).await;
    let letters = all(&port, LetterOrder::Oldest, 3).await;
    let replayed = port.letters.replay(&letters[1].id).await.unwrap();
    assert_eq!(replayed, LetterReplay::Replayed);
    let came = next_turn(&port).await;
    assert_eq!((came.turn.line_entry.seq.0, came.tries), (2, 0));
    no_turn(&port).await;
    assert_eq!(numbers(&all(&port, LetterOrder::Oldest, 2).await), [1, 3]);
}

pub async fn a_replay_survives_a_crash(mut house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=1)).await;
    let letters = all(&port, LetterOrder::Oldest, 1).await;
    port.letters.replay(&letters[0].id).await.unwrap();
    drop(port);
    house.crash().await;
    let port = house.port();
    assert_eq!(next_turn(&port).await.turn.line_entry.seq.0, 1);
    all(&port, LetterOrder::Oldest, 0).await;
}

pub async fn a_letter_is_replayed_once(house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=1)).await;
    let letter = all(&port, LetterOrder::Oldest, 1).await.remove(0);
    let at_once = super::together(4, |_| {
        let (letters, id) = (Arc::clone(&port.letters), letter.id.clone());
        async move { letters.replay(&id).await.unwrap() }
    });
    let replies = at_once.await;
    let done = replies.iter().filter(|reply| **reply == LetterReplay::Replayed).count();
    assert_eq!(done, 1, "{replies:?}");
    next_turn(&port).await;
    no_turn(&port).await;
}

pub async fn a_turn_that_is_buried_again_is_another_letter(house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=1)).await;
    let first = all(&port, LetterOrder::Oldest, 1).await.remove(0);
    port.letters.replay(&first.id).await.unwrap();
    let mut intake = port.queues.turns.consume(1).await.unwrap();
    let came = soon("a turn", intake.deliveries.next(1)).await.unwrap().remove(0);
    intake.outlet.bury(came.tag, "once more").await.unwrap();
    let again = all(&port, LetterOrder::Oldest, 1).await.remove(0);
    assert_eq!((&*again.reason, again.tries), ("once more", 0));
}

pub async fn a_removed_letter_is_gone_for_good(mut house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=2)).await;
    let letters = all(&port, LetterOrder::Oldest, 2).await;
    assert!(port.letters.remove(&letters[0].id).await.unwrap());
    assert!(!port.letters.remove(&letters[0].id).await.unwrap(), "a repeat removes nothing");
    drop(port);
    house.crash().await;
    let port = house.port();
    assert_eq!(numbers(&all(&port, LetterOrder::Oldest, 1).await), [2]);
    no_turn(&port).await;
}

pub async fn whoever_looks_at_once_sees_all(house: impl House<Port = Buried>) {
    let port = house.port();
    bury(&port, turns(1..=4)).await;
    all(&port, LetterOrder::Oldest, 4).await;
    let looks = super::together(4, |_| {
        let letters = Arc::clone(&port.letters);
        async move { letters.list(LetterOrder::Oldest, None, 10).await.unwrap() }
    });
    for page in looks.await {
        assert_eq!(numbers(&page.letters), [1, 2, 3, 4]);
    }
}
