//! What the ports promise together: a place that was answered keeps its number and comes to its one outcome, whatever
//! is lost between the line, the queues, the gate and the ledger.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tokio::time::timeout;

use super::{House, assert_balanced, samples::*, soon};
use crate::{
    ids::{BuyerId, Epoch, HoldId, SaleId, Seq},
    line::{Caps, LineEntry},
    ports::{
        HoldReply, Join, JoinReply, LeaseReply, OutcomeReason, PortError, Ports, Reserved, Restore,
        Want,
    },
};

#[macro_export]
macro_rules! journey_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            journey:
            a_number_that_was_answered_never_comes_back,
            a_place_that_was_answered_is_drained_and_found_again,
            a_turn_released_twice_makes_one_order,
            a_gate_rebuilt_after_a_crash_agrees_with_the_ledger,
            a_buyer_whose_place_was_forgotten_gets_one_order,
            a_cursor_never_goes_back_across_crashes,
        );
    };
}

const HOLDER: &str = "speaker";

/// What a speaker does when it takes over: a higher epoch, a warm line, a rebuilt gate.
async fn take_over(ports: &Ports, sale: &SaleId) -> Epoch {
    let lease = ports.ledger.lease(sale, HOLDER, Duration::from_secs(600)).await.unwrap();
    assert!(matches!(lease, LeaseReply::Held(_)), "{lease:?}");
    let epoch = ports.ledger.renew_epoch(sale, HOLDER).await.unwrap().unwrap();
    match ports.line.warm(sale, epoch, None).await {
        Ok(()) => {}
        Err(PortError::Cold) => {
            let block = ports.ledger.next_block(sale, 1_000).await.unwrap();
            let cursor = ports.ledger.cursor(sale).await.unwrap();
            let last = ports.ledger.given_out(sale).await.unwrap();
            ports.line.warm(sale, epoch, Some(Restore { block, cursor, last })).await.unwrap();
        }
        Err(error) => panic!("neither warm nor cold: {error:?}"),
    }
    let image = ports.ledger.gate_image(sale).await.unwrap();
    ports.gate.rebuild(sale, epoch, image).await.unwrap();
    epoch
}

async fn open(ports: &Ports, stock: u64) -> SaleId {
    let sale = open_sale(&*ports.ledger, &[("a", stock)]).await;
    ports.waiting.declare(&sale).await.unwrap();
    take_over(ports, &sale).await;
    sale
}

/// What admission does before it answers: a place, offered and confirmed.
async fn admit(ports: &Ports, sale: &SaleId, name: &str) -> LineEntry {
    let reply =
        ports.line.join(sale, Caps::of_line(100_000), vec![join(name)]).await.unwrap().remove(0);
    let place = match &reply {
        JoinReply::New(_) => new_place(&reply),
        JoinReply::Found(_)
        | JoinReply::Full
        | JoinReply::OutOfNumbers
        | JoinReply::Limited { .. } => found_place(&reply),
    };
    ports.waiting.offer(sale, vec![place.line_entry.clone()]).await.unwrap();
    ports.line.confirm(sale, &[place.line_entry.entry]).await.unwrap();
    place.line_entry
}

fn demand(entry: &LineEntry) -> Want {
    let hold = HoldId::of_entry(entry.entry, 0);
    Want { hold, entry: entry.entry, basket: entry.basket.clone() }
}

pub async fn a_number_that_was_answered_never_comes_back(mut house: impl House<Port = Ports>) {
    let ports = house.port();
    let sale = open(&ports, 10).await;
    drop(ports);
    let mut answered: BTreeMap<Seq, BuyerId> = BTreeMap::new();
    for round in 0..6 {
        let ports = house.port();
        if round > 0 {
            take_over(&ports, &sale).await;
        }
        for n in 0..4 {
            let entry = admit(&ports, &sale, &format!("buyer-{round}-{n}")).await;
            let other = answered.insert(entry.seq, entry.buyer);
            assert_eq!(other, None, "number {} was answered before", entry.seq);
        }
        assert!(answered.keys().max().unwrap().0 - 4 >= round * 4, "numbers ascend");
        house.crash().await;
    }
}

pub async fn a_place_that_was_answered_is_drained_and_found_again(
    mut house: impl House<Port = Ports>,
) {
    let mut answered = BTreeMap::new();
    let sale = {
        let ports = house.port();
        let sale = open(&ports, 10).await;
        for n in 0..5 {
            let entry = admit(&ports, &sale, &format!("buyer-{n}")).await;
            answered.insert(entry.entry, entry);
        }
        sale
    };
    house.crash().await;
    let ports = house.port();
    take_over(&ports, &sale).await;
    for entry in answered.values() {
        let proven = Join { proven: Some(entry.clone()), ..join(entry.buyer.as_str()) };
        let reply =
            ports.line.join(&sale, Caps::of_line(100), vec![proven]).await.unwrap().remove(0);
        let found = found_place(&reply).line_entry;
        assert_eq!((found.entry, found.seq), (entry.entry, entry.seq));
    }
    let mut drain = soon("the drain", ports.waiting.drain(&sale)).await.unwrap();
    while !answered.is_empty() {
        for entry in soon("a message", drain.intake.next()).await.unwrap().entries {
            if let Some(known) = answered.remove(&entry.entry) {
                assert_eq!(entry, known, "with the number it was answered");
            }
        }
    }
}

pub async fn a_turn_released_twice_makes_one_order(mut house: impl House<Port = Ports>) {
    let sale = {
        let ports = house.port();
        let sale = open(&ports, 10).await;
        admit(&ports, &sale, "ada").await;
        let mut drain = ports.waiting.drain(&sale).await.unwrap();
        let message = soon("the message", drain.intake.next()).await.unwrap();
        let turn = turn(&sale, message.entries[0].clone());
        drain.outlet.release(vec![turn]).await.unwrap();
        sale
    };
    // It dies before it acknowledges: the message comes again, and another turn of the entry leaves.
    house.crash().await;
    let ports = house.port();
    take_over(&ports, &sale).await;
    let mut drain = ports.waiting.drain(&sale).await.unwrap();
    let message = soon("the message", drain.intake.next()).await.unwrap();
    drain.outlet.release(vec![turn(&sale, message.entries[0].clone())]).await.unwrap();
    drain.outlet.ack(&[message.tag]).await.unwrap();
    let mut workers = ports.turns.consume(10).await.unwrap();
    let mut orders = BTreeSet::new();
    // Once or twice, as the queue likes; what is not acknowledged in between comes to another worker as well.
    for _ in 0..3 {
        let next = timeout(super::QUIET, workers.deliveries.next(10)).await;
        let deliveries = next.map_or_else(|_| Vec::new(), Result::unwrap);
        for delivery in &deliveries {
            let entry = delivery.turn.line_entry.clone();
            let reserved = ports.gate.reserve(&sale, &[demand(&entry)]).await.unwrap();
            assert_eq!(reserved, [Reserved::Held]);
            match ports.ledger.hold(&sale, vec![request(entry)]).await.unwrap().remove(0) {
                HoldReply::Settled { record, .. } | HoldReply::Known { record, .. } => {
                    orders.insert(record.order.unwrap().order);
                }
                HoldReply::GateWrong
                | HoldReply::StandsBy
                | HoldReply::Frozen
                | HoldReply::SeatsTaken { .. } => {
                    panic!("the gate had said yes")
                }
            }
        }
        drop(workers);
        workers = ports.turns.consume(10).await.unwrap();
    }
    assert_eq!(orders.len(), 1, "one order for one entry");
    let levels = ports.gate.levels(&sale).await.unwrap();
    assert_eq!((levels[0].available, levels[0].held), (9, 1), "held once in the gate too");
    assert_balanced(&*ports.ledger, &sale).await;
}

pub async fn a_gate_rebuilt_after_a_crash_agrees_with_the_ledger(
    mut house: impl House<Port = Ports>,
) {
    let kept = entry(1, "ada");
    let sale = {
        let ports = house.port();
        let sale = open(&ports, 10).await;
        let leak = entry(2, "bob");
        let wants = [demand(&kept), demand(&leak)];
        assert_eq!(ports.gate.reserve(&sale, &wants).await.unwrap(), [const { Reserved::Held }; 2]);
        reserve(&*ports.ledger, &sale, kept.clone()).await;
        sale
    };
    house.crash().await;
    let ports = house.port();
    take_over(&ports, &sale).await;
    for _ in 0..2 {
        let level = ports.gate.levels(&sale).await.unwrap().remove(0);
        let stock = balance(&*ports.ledger, &sale, "a").await;
        assert_eq!((level.available, level.held), (stock.available, stock.held));
        assert_eq!((level.available, level.held), (9, 1), "what never became an order is free");
        // The turn is delivered again.
        let again = ports.gate.reserve(&sale, &[demand(&kept)]).await.unwrap();
        assert_eq!(again, [Reserved::Held]);
    }
}

pub async fn a_buyer_whose_place_was_forgotten_gets_one_order(mut house: impl House<Port = Ports>) {
    let (sale, first) = {
        let ports = house.port();
        let sale = open(&ports, 10).await;
        (sale.clone(), admit(&ports, &sale, "ada").await)
    };
    house.crash().await;
    let ports = house.port();
    take_over(&ports, &sale).await;
    reserve(&*ports.ledger, &sale, first.clone()).await;
    // Without the token, and before the line has heard of the order.
    let second = admit(&ports, &sale, "ada").await;
    let reply = ports.ledger.hold(&sale, vec![request(second.clone())]).await.unwrap().remove(0);
    match reply {
        HoldReply::Known { record, .. } => assert_eq!(record.entry, first.entry),
        HoldReply::Settled { record, .. } => {
            assert_ne!(record.entry, first.entry);
            assert_eq!(record.reason, OutcomeReason::Duplicate);
        }
        HoldReply::GateWrong
        | HoldReply::StandsBy
        | HoldReply::Frozen
        | HoldReply::SeatsTaken { .. } => {
            panic!("the gate had said yes")
        }
    }
    assert_eq!(balance(&*ports.ledger, &sale, "a").await.held, 1);
    assert_balanced(&*ports.ledger, &sale).await;
}

pub async fn a_cursor_never_goes_back_across_crashes(mut house: impl House<Port = Ports>) {
    let ports = house.port();
    let sale = open(&ports, 10).await;
    drop(ports);
    let mut furthest = Seq(0);
    for round in 0..4_u64 {
        let ports = house.port();
        let epoch = take_over(&ports, &sale).await;
        let cursor = ports.line.snapshot(&sale).await.unwrap().cursor;
        assert!(cursor.serving >= furthest, "{} after {furthest}", cursor.serving);
        let mut last = Seq(0);
        for n in 0..3 {
            last = admit(&ports, &sale, &format!("buyer-{round}-{n}")).await.seq;
        }
        let mut next = ports.line.snapshot(&sale).await.unwrap().cursor;
        next.serving = last;
        ports.line.advance(&sale, epoch, &next).await.unwrap();
        ports.ledger.save_cursor(&sale, epoch, &next, last).await.unwrap();
        furthest = last;
        drop(ports);
        house.crash().await;
    }
}
