//! Every limit has a named overflow, and takes nothing.

use sluice_backends::embedded::EmbeddedSettings;
use sluice_core::{
    entry::Outcome,
    ids::{Epoch, Seq},
    line::{Cursor, LineEntry},
    ports::{Deleted, Heard, NewOutcome, Notice, OutcomeReason, PortError, QueueDepths, Restore},
};

use crate::house::{House, author, make_sale, sale};

#[tokio::test]
async fn a_full_waiting_queue_takes_nothing() {
    let house = House::new();
    let settings = EmbeddedSettings { waiting_entries_max: 3, ..EmbeddedSettings::default() };
    let embedded = house.try_open(settings).unwrap();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let all: Vec<LineEntry> = (1..=5).map(|seq| house.entry(seq, &format!("b-{seq}"))).collect();
    ports.waiting.offer(&sale(), all[..2].to_vec()).await.unwrap();
    let full = ports.waiting.offer(&sale(), all[2..4].to_vec()).await;
    assert!(matches!(full, Err(PortError::Full)), "{full:?}");
    ports.waiting.offer(&sale(), all[4..].to_vec()).await.unwrap();
    let mut drain = ports.waiting.drain(&sale()).await.unwrap();
    let first = drain.intake.next().await.unwrap();
    assert_eq!(first.entries, all[..2]);
    assert_eq!(drain.intake.next().await.unwrap().entries, all[4..]);
    drain.outlet.ack(&[first.tag]).await.unwrap();
    ports.waiting.offer(&sale(), all[2..4].to_vec()).await.unwrap();
    assert_eq!(drain.intake.next().await.unwrap().entries, all[2..4], "there is room again");
}

#[tokio::test]
async fn a_full_turn_queue_takes_nothing() {
    let house = House::new();
    let settings = EmbeddedSettings { turns_max: 3, ..EmbeddedSettings::default() };
    let embedded = house.try_open(settings).unwrap();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let drain = ports.waiting.drain(&sale()).await.unwrap();
    let turns = |from: u64, to: u64| {
        (from..=to).map(|seq| house.turn(house.entry(seq, &format!("b-{seq}")))).collect()
    };
    drain.outlet.release(turns(1, 2)).await.unwrap();
    let full = drain.outlet.release(turns(3, 4)).await;
    assert!(matches!(full, Err(PortError::Full)), "{full:?}");
    assert_eq!(ports.turns.depths().await.unwrap().turns, 2);
    let mut workers = ports.turns.consume(10).await.unwrap();
    let held = workers.deliveries.next(10).await.unwrap();
    workers.outlet.ack(&[held[0].tag, held[1].tag]).await.unwrap();
    drain.outlet.release(turns(5, 7)).await.unwrap();
    assert_eq!(workers.deliveries.next(10).await.unwrap().len(), 3, "there is room again");
}

#[tokio::test]
async fn a_long_queue_is_read_page_by_page_in_order() {
    let house = House::new();
    let settings = EmbeddedSettings { page_entries: 4, ..EmbeddedSettings::default() };
    let embedded = house.try_open(settings).unwrap();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let all: Vec<LineEntry> = (1..=100).map(|seq| house.entry(seq, &format!("b-{seq}"))).collect();
    // Messages of 3, and one that is longer than two pages.
    for some in all[..90].chunks(3).chain([&all[90..]]) {
        ports.waiting.offer(&sale(), some.to_vec()).await.unwrap();
    }
    let mut drain = ports.waiting.drain(&sale()).await.unwrap();
    let (mut came, mut tags) = (Vec::new(), Vec::new());
    while came.len() < all.len() {
        let message = drain.intake.next().await.unwrap();
        if came.len() < 90 {
            assert_eq!(message.entries.len(), 3, "a message is what one offer brought");
        }
        tags.push(message.tag);
        came.extend(message.entries);
    }
    assert_eq!(came, all);
    assert!(tags.is_sorted_by(|a, b| a < b));
    drain.outlet.ack(&tags).await.unwrap();
    let left: u32 =
        house.shell().query_row("SELECT count(*) FROM waiting", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn an_entry_that_is_offered_again_is_one_place_after_a_restart() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let (one, two) = (house.entry(1, "ada"), house.entry(2, "bob"));
    ports.waiting.offer(&sale(), vec![one.clone()]).await.unwrap();
    ports.waiting.offer(&sale(), vec![one.clone(), two.clone()]).await.unwrap();
    drop((ports, embedded));
    let embedded = house.open();
    let ports = embedded.ports();
    let block = ports.ledger.next_block(&sale(), 1_000).await.unwrap();
    let restore = Restore { block, cursor: Cursor::default(), last: Seq(0) };
    ports.line.warm(&sale(), Epoch(1), Some(restore)).await.unwrap();
    let snapshot = ports.line.snapshot(&sale()).await.unwrap();
    assert_eq!(snapshot.cursor.waiting(snapshot.last), 2);
    let mut drain = ports.waiting.drain(&sale()).await.unwrap();
    assert_eq!(drain.intake.next().await.unwrap().entries, std::slice::from_ref(&one));
    assert_eq!(drain.intake.next().await.unwrap().entries, [one, two], "a twin, as it was offered");
}

#[tokio::test]
async fn an_undeclared_queue_takes_nothing_and_says_so() {
    let house = House::new();
    let embedded = house.open();
    let offered = embedded.ports().waiting.offer(&sale(), vec![house.entry(1, "ada")]).await;
    let Err(PortError::Unavailable(cause)) = offered else { panic!("{offered:?}") };
    assert!(cause.to_string().contains("no waiting queue is declared"), "{cause}");
}

#[tokio::test]
async fn a_listener_that_falls_behind_is_told_what_it_missed() {
    let house = House::new();
    let settings = EmbeddedSettings { bulletin_notices_max: 4, ..EmbeddedSettings::default() };
    let embedded = house.try_open(settings).unwrap();
    let bulletin = embedded.ports().bulletin;
    let mut listener = bulletin.subscribe().await.unwrap();
    for _ in 0..10 {
        bulletin.publish(Notice::Bans).await.unwrap();
    }
    assert!(matches!(listener.next().await.unwrap(), Heard::Missed));
    assert!(matches!(listener.next().await.unwrap(), Heard::Notice(_)));
}

#[tokio::test]
async fn buried_turns_go_with_their_sale() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let one = house.entry(1, "ada");
    let drain = ports.waiting.drain(&sale()).await.unwrap();
    drain.outlet.release(vec![house.turn(one.clone())]).await.unwrap();
    let mut workers = ports.turns.consume(1).await.unwrap();
    let held = workers.deliveries.next(1).await.unwrap();
    workers.outlet.bury(held[0].tag, "it makes no sense").await.unwrap();
    let busy = ports.ledger.delete_sale(&sale(), &author(), None).await.unwrap();
    assert_eq!(busy, Deleted::Busy { open_orders: 0 }, "its entry has no outcome");
    let (outcome, reason) = (Outcome::Refused, OutcomeReason::Plain);
    let refused = NewOutcome { line_entry: one, outcome, reason };
    ports.ledger.settle(&sale(), vec![refused]).await.unwrap();
    assert_eq!(ports.turns.depths().await.unwrap(), QueueDepths { turns: 0, dead: 1 });
    let deleted = ports.ledger.delete_sale(&sale(), &author(), None).await.unwrap();
    assert_eq!(deleted, Deleted::Done);
    assert_eq!(ports.turns.depths().await.unwrap(), QueueDepths::default());
}
