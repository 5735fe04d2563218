//! What is in the file when an answer comes, and what a process makes of it that comes after.

use std::{sync::Arc, time::Duration};

use sluice_core::{
    entry::Outcome,
    ids::{Epoch, Seq},
    line::{Caps, Cursor, LineEntry},
    ports::{
        Block, HoldReply, Join, JoinReply, LeaseReply, NewOutcome, OutcomeReason, PlaceState,
        Ports, Restore, Settlement, Standing,
    },
};
use tokio::{task::JoinSet, time::timeout};

use crate::house::{House, make_sale, sale};

const PATIENCE: Duration = Duration::from_secs(20);

/// What the speaker of a sale does when it takes over.
async fn take_over(ports: &Ports, epoch: u64) {
    let block = ports.ledger.next_block(&sale(), 1_000).await.unwrap();
    let cursor = ports.ledger.cursor(&sale()).await.unwrap();
    ports
        .line
        .warm(&sale(), Epoch(epoch), Some(Restore { block, cursor, last: Seq(0) }))
        .await
        .unwrap();
    let image = ports.ledger.gate_image(&sale()).await.unwrap();
    ports.gate.rebuild(&sale(), Epoch(epoch), image).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_answer_comes_after_its_commit() {
    let house = Arc::new(House::new());
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let mut offers = JoinSet::new();
    for n in 0..16_u64 {
        let (house, ports) = (Arc::clone(&house), ports.clone());
        offers.spawn(async move {
            let shell = house.shell();
            for m in 0..20 {
                let entry = house.entry(n * 100 + m + 1, &format!("buyer-{n}-{m}"));
                let id = entry.entry;
                ports.waiting.offer(&sale(), vec![entry]).await.unwrap();
                // Another connection sees what is committed, and nothing else.
                let there = shell
                    .prepare_cached("SELECT count(*) FROM waiting WHERE instr(body, ?1)")
                    .unwrap()
                    .query_row([id.to_string()], |row| row.get::<_, u32>(0))
                    .unwrap();
                assert_eq!(there, 1, "answered before the commit");
            }
        });
    }
    offers.join_all().await;
}

/// never-backwards: who was shown as standing by is not shown as called, nor without the number they had, by the next process.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_who_was_made_an_offer_stands_by_in_the_next_process() {
    let house = House::new();
    let (kept, acked) = (house.entry(7, "ada"), house.entry(8, "bob"));
    let embedded = house.open();
    {
        let ports = embedded.ports();
        make_sale(&ports, 10).await;
        for entry in [&kept, &acked] {
            ports.waiting.offer(&sale(), vec![entry.clone()]).await.unwrap();
        }
        let mut drain = ports.waiting.drain(&sale()).await.unwrap();
        drain.intake.next().await.unwrap();
        let second = drain.intake.next().await.unwrap();
        ports.ledger.stand_by(&sale(), vec![kept.clone(), acked.clone()]).await.unwrap();
        let offer = |entry: &LineEntry| house.turn(entry.clone().standing_by());
        drain.outlet.release(vec![offer(&kept), offer(&acked)]).await.unwrap();
        drain.outlet.ack(&[second.tag]).await.unwrap();
    }
    embedded.close().await;
    let embedded = house.open();
    let ports = embedded.ports();
    take_over(&ports, 2).await;
    let places = ports.line.find(&sale(), &[kept.entry, acked.entry]).await.unwrap();
    for (place, seq) in places.into_iter().map(Option::unwrap).zip([7, 8]) {
        assert_eq!((place.state, place.line_entry.seq), (PlaceState::Standby, Seq(seq)));
        assert!(place.in_flight, "its offer is on the way to a worker");
    }
    let snapshot = ports.line.snapshot(&sale()).await.unwrap();
    assert_eq!((snapshot.called, snapshot.standby), (0, 2));
    assert_eq!(ports.gate.levels(&sale()).await.unwrap()[0].in_flight, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reads_do_not_wait_for_a_writer_that_waits() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let shell = house.shell();
    shell.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut writes = JoinSet::new();
    let (waiting, entry) = (Arc::clone(&ports.waiting), house.entry(1, "ada"));
    writes.spawn(async move { waiting.offer(&sale(), vec![entry]).await });
    let read = timeout(Duration::from_secs(3), ports.ledger.sale(&sale())).await;
    assert!(read.unwrap().unwrap().is_some());
    assert!(writes.try_join_next().is_none(), "nothing is answered that is not committed");
    shell.execute_batch("COMMIT").unwrap();
    let offered = timeout(PATIENCE, writes.join_next()).await.unwrap().unwrap().unwrap();
    offered.unwrap();
}

#[tokio::test]
async fn a_restart_goes_on_where_the_journal_ends() {
    let house = House::new();
    let names = ["ada", "bob", "eve"];
    let first = {
        let embedded = house.open();
        let ports = embedded.ports();
        make_sale(&ports, 10).await;
        take_over(&ports, 1).await;
        let joins = names.map(|name| Join {
            candidate: house.entry(0, name),
            proven: None,
            limits: None,
            stand_by: false,
        });
        let replies = ports.line.join(&sale(), Caps::of_line(100), joins.to_vec()).await.unwrap();
        let entries: Vec<_> = replies
            .into_iter()
            .map(|reply| {
                let JoinReply::New(place) = reply else { panic!("{reply:?}") };
                place.line_entry
            })
            .collect();
        ports.waiting.offer(&sale(), entries.clone()).await.unwrap();
        // A number that never left the process: nobody was told of it.
        let lost =
            Join { candidate: house.entry(0, "joe"), proven: None, limits: None, stand_by: false };
        ports.line.join(&sale(), Caps::of_line(100), vec![lost]).await.unwrap();
        entries
    };
    let embedded = house.open();
    let ports = embedded.ports();
    take_over(&ports, 2).await;
    let snapshot = ports.line.snapshot(&sale()).await.unwrap();
    assert_eq!(snapshot.last, Seq(3), "no number is lost, none is left out");
    assert_eq!(snapshot.cursor, Cursor::default(), "no hole");
    for entry in &first {
        let again = Join {
            candidate: house.entry(0, entry.buyer.as_str()),
            proven: None,
            limits: None,
            stand_by: false,
        };
        let reply =
            ports.line.join(&sale(), Caps::of_line(100), vec![again]).await.unwrap().remove(0);
        let JoinReply::Found(place) = reply else { panic!("{reply:?}") };
        assert_eq!((&place.line_entry, place.durable), (entry, true), "without a token");
    }
    let next =
        Join { candidate: house.entry(0, "zoe"), proven: None, limits: None, stand_by: false };
    let reply = ports.line.join(&sale(), Caps::of_line(100), vec![next]).await.unwrap().remove(0);
    let JoinReply::New(place) = reply else { panic!("{reply:?}") };
    assert_eq!(place.line_entry.seq, Seq(4));
}

#[tokio::test]
async fn a_restart_knows_how_far_everybody_had_come() {
    let house = House::new();
    let all: Vec<_> = (1..=5).map(|seq| house.entry(seq, &format!("buyer-{seq}"))).collect();
    {
        let embedded = house.open();
        let ports = embedded.ports();
        make_sale(&ports, 10).await;
        ports.waiting.offer(&sale(), all.clone()).await.unwrap();
        let mut drain = ports.waiting.drain(&sale()).await.unwrap();
        let message = drain.intake.next().await.unwrap();
        let turns = all[..3].iter().map(|entry| house.turn(entry.clone())).collect();
        drain.outlet.release(turns).await.unwrap();
        // The first one has its order, the fourth one has left, the others are on their way.
        let held = ports.ledger.hold(&sale(), vec![house.request(all[0].clone())]).await.unwrap();
        assert!(matches!(held[0], HoldReply::Settled { movement: Some(_), .. }));
        let (line_entry, reason) = (all[3].clone(), OutcomeReason::Plain);
        let left = NewOutcome { line_entry, outcome: Outcome::Left, reason };
        ports.ledger.settle(&sale(), vec![left]).await.unwrap();
        // The messages of the first order are acknowledged; its place is known by the order alone.
        drain.outlet.ack(&[message.tag]).await.unwrap();
        ports.waiting.offer(&sale(), all[3..].to_vec()).await.unwrap();
    }
    let embedded = house.open();
    let ports = embedded.ports();
    take_over(&ports, 2).await;
    let ids: Vec<_> = all.iter().map(|entry| entry.entry).collect();
    let places = ports.line.find(&sale(), &ids).await.unwrap();
    let states: Vec<_> = places.iter().map(|place| place.as_ref().unwrap().state).collect();
    let settled = |outcome, live| PlaceState::Settled(Settlement { outcome, live });
    assert_eq!(
        states,
        [
            settled(Outcome::Reserved, true),
            PlaceState::Called,
            PlaceState::Called,
            settled(Outcome::Left, false),
            PlaceState::Waiting,
        ]
    );
    let entries: Vec<_> = places.into_iter().map(|place| place.unwrap().line_entry).collect();
    assert_eq!(entries, all, "as they were");
    assert_eq!(ports.line.snapshot(&sale()).await.unwrap().called, 2);
    let level = ports.gate.levels(&sale()).await.unwrap().remove(0);
    assert_eq!((level.available, level.held, level.in_flight), (9, 1, 2));
    let standings = ports.line.call(&sale(), Epoch(2), None, &all[3..4]).await.unwrap();
    let left = Settlement { outcome: Outcome::Left, live: false };
    assert_eq!(standings, [Standing::Settled(left)], "who has left is not called");
}

#[tokio::test]
async fn a_lease_ends_with_its_process() {
    let house = House::new();
    let embedded = house.open();
    make_sale(&embedded.ports(), 10).await;
    let ttl = Duration::from_secs(600);
    let lease = embedded.ports().ledger.lease(&sale(), "first", ttl).await.unwrap();
    let LeaseReply::Held(first) = lease else { panic!("{lease:?}") };
    drop(embedded);
    let embedded = house.open();
    let lease = embedded.ports().ledger.lease(&sale(), "second", ttl).await.unwrap();
    let LeaseReply::Held(second) = lease else { panic!("nobody else has the file: {lease:?}") };
    assert!(second.epoch > first.epoch);
}

#[tokio::test]
async fn numbers_of_a_deleted_sale_are_not_given_again() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let first = ports.ledger.next_block(&sale(), 100).await.unwrap();
    let deleted = ports.ledger.delete_sale(&sale(), &crate::house::author(), None).await.unwrap();
    assert_eq!(deleted, sluice_core::ports::Deleted::Done);
    make_sale(&ports, 10).await;
    let second: Block = ports.ledger.next_block(&sale(), 100).await.unwrap();
    assert!(second.from > first.to, "{second:?} after {first:?}");
    assert_eq!(ports.ledger.cursor(&sale()).await.unwrap().serving, first.to);
}
