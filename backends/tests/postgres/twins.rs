//! Two processes on one database: the same turns, the same orders, at the same time; and nothing happens twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sluice_core::{
    entry::Outcome,
    ids::{EntryId, OrderId},
    order::{ClosingCause, OrderState},
    ports::{
        HoldReply, HoldRequest, NewOutcome, OutcomeReason, PaymentState, PaymentUpdate, StepReply,
        conformance::assert_balanced,
    },
};
use tokio::task::JoinSet;

use crate::{
    house::{entry, make_sale, new_database, open, orders_of, request, turns},
    server::{Server, connect, number},
};

fn told(reply: &HoldReply) -> (EntryId, Outcome, Option<OrderId>) {
    match reply {
        HoldReply::Settled { record, .. } | HoldReply::Known { record, .. } => {
            (record.entry, record.outcome, record.order.map(|order| order.order))
        }
        HoldReply::GateWrong
        | HoldReply::StandsBy
        | HoldReply::Frozen
        | HoldReply::SeatsTaken { .. } => {
            panic!("the gate had said yes")
        }
    }
}

/// There is less than is asked for: stock is locked before it is looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn scarce_goods_asked_for_by_two_processes_make_one_order_each() {
    the_same_turns_held_twice(400, 400).await;
}

/// There is plenty: nobody locks anything before the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn plenty_asked_for_by_two_processes_makes_one_order_each() {
    the_same_turns_held_twice(1_000_000, BUYERS).await;
}

/// It begins as plenty and becomes scarce under way.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn goods_that_run_out_under_two_processes_are_never_oversold() {
    const STOCK: u64 = 3_000;
    let url = new_database(Server::shared().await).await;
    let (one, other) = (open(&url).await, open(&url).await);
    let sale = make_sale(&*one.ledger(), STOCK).await;
    let mut workers = JoinSet::new();
    for n in 0..6_u64 {
        let ledger = if n % 2 == 0 { one.ledger() } else { other.ledger() };
        let sale = sale.clone();
        workers.spawn(async move {
            let mut orders = 0;
            for round in 0..32 {
                let from = n * 10_000 + round * 20;
                let replies = ledger.hold(&sale, turns(from..from + 20)).await.unwrap();
                orders += orders_of(&replies).len() as u64;
            }
            orders
        });
    }
    let orders: u64 = workers.join_all().await.into_iter().sum();
    assert_eq!(orders, STOCK, "of 3,840 turns, to the last unit");
    assert_balanced(&*one.ledger(), &sale).await;
}

const BUYERS: u64 = 450;

/// Every buyer comes twice, as two entries; every turn is delivered to both processes, in different batches and orders, and
/// each time the worker has another order in mind.
async fn the_same_turns_held_twice(stock: u64, due: u64) {
    let url = new_database(Server::shared().await).await;
    let (one, other) = (open(&url).await, open(&url).await);
    let sale = make_sale(&*one.ledger(), stock).await;
    let all: Vec<HoldRequest> =
        (0..900).map(|seq| request(entry(seq, &format!("buyer-{}", seq % BUYERS)))).collect();
    let mut workers = JoinSet::new();
    for n in 0..6 {
        let ledger = if n % 2 == 0 { one.ledger() } else { other.ledger() };
        let sale = sale.clone();
        let mut mine: Vec<HoldRequest> =
            all.iter().map(|turn| request(turn.line_entry.clone())).collect();
        mine.rotate_left(n * 150);
        if n % 3 == 0 {
            mine.reverse();
        }
        workers.spawn(async move {
            let mut replies = Vec::new();
            for batch in mine.chunks(20 + n * 13) {
                replies.extend(ledger.hold(&sale, batch.to_vec()).await.unwrap());
            }
            replies
        });
    }
    let replies: Vec<HoldReply> = workers.join_all().await.into_iter().flatten().collect();
    let mut outcomes: BTreeMap<EntryId, (Outcome, Option<OrderId>)> = BTreeMap::new();
    for reply in &replies {
        let (entry, outcome, order) = told(reply);
        let first = *outcomes.entry(entry).or_insert((outcome, order));
        assert_eq!(first, (outcome, order), "everybody is told the same of one entry");
    }
    assert_eq!(outcomes.len(), all.len());
    let orders: BTreeSet<OrderId> = outcomes.values().filter_map(|(_, order)| *order).collect();
    assert_eq!(orders.len() as u64, due, "to the last unit, and not beyond");
    let settled = replies.iter().filter(|reply| matches!(reply, HoldReply::Settled { .. })).count();
    assert_eq!(settled, all.len(), "each is settled by one call");
    let mut shell = connect(&url).await;
    let twice =
        "SELECT count(*) FROM (SELECT 1 FROM orders GROUP BY buyer HAVING count(*) > 1) AS twice";
    assert_eq!(number(&mut shell, twice).await, 0, "no buyer has two");
    assert_eq!(number(&mut shell, "SELECT count(*) FROM orders").await, due as i64);
    assert_balanced(&*one.ledger(), &sale).await;
}

/// Money in and goods back, from both sides at once: each order ends once, and every fen and unit is accounted for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn paying_closing_and_sweeping_by_two_processes_keep_the_balance() {
    let url = new_database(Server::shared().await).await;
    let (one, other) = (open(&url).await, open(&url).await);
    let sale = make_sale(&*one.ledger(), 200).await;
    let orders = orders_of(&one.ledger().hold(&sale, turns(0..200)).await.unwrap());
    assert_eq!(orders.len(), 200);
    let random = sluice_core::random::Random::system();
    let mut work = JoinSet::new();
    for (n, order) in orders.iter().copied().enumerate() {
        let (left, right) = (one.ledger(), other.ledger());
        let payment = sluice_core::ids::PaymentId::generate(Default::default(), &random);
        work.spawn(async move {
            let begun = left.begin_payment(order, payment, "simulated").await;
            assert!(begun.is_ok(), "{begun:?}");
            let known = left.order(order).await.unwrap().unwrap();
            let update = PaymentUpdate {
                payment,
                order,
                version: 1,
                state: PaymentState::Succeeded,
                amount: known.amount,
                currency: known.currency,
            };
            left.apply_payment(update).await.unwrap();
        });
        if n % 2 == 0 {
            work.spawn(async move {
                right.begin_closing(order, ClosingCause::Deadline).await.unwrap();
                right.close_unpaid(order).await.unwrap();
            });
        }
    }
    for n in 0..10 {
        let ledger = if n % 2 == 0 { one.ledger() } else { other.ledger() };
        let sale = sale.clone();
        work.spawn(async move {
            ledger.hold(&sale, turns(1_000 + n * 10..1_005 + n * 10)).await.unwrap();
            ledger.sweep_deadlines(20).await.unwrap();
        });
    }
    work.join_all().await;
    let ledger = one.ledger();
    let (mut paid, mut closed) = (0, 0);
    for order in orders {
        let order = ledger.order(order).await.unwrap().unwrap();
        if order.state == OrderState::Paid {
            paid += 1;
        } else {
            assert_eq!(order.state, OrderState::Closed, "neither paid nor closed");
            closed += 1;
        }
        assert!(order.history.is_sorted_by_key(|change| change.at));
    }
    assert_eq!(paid + closed, 200);
    let stock = ledger.stock(&sale).await.unwrap().remove(0);
    assert_eq!(stock.sold, paid);
    assert_balanced(&*ledger, &sale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_process_leaves_and_another_holds() {
    let url = new_database(Server::shared().await).await;
    let (one, other) = (open(&url).await, open(&url).await);
    let sale = make_sale(&*one.ledger(), 1_000).await;
    let all = turns(0..200);
    let (holder, leaver) = (one.ledger(), other.ledger());
    let mut work = JoinSet::new();
    let (sale_of_holder, held) = (sale.clone(), all.clone());
    work.spawn(async move {
        for batch in held.chunks(25) {
            holder.hold(&sale_of_holder, batch.to_vec()).await.unwrap();
        }
    });
    let (sale_of_leaver, left) = (sale.clone(), all.clone());
    work.spawn(async move {
        for batch in left.rchunks(10) {
            let leave = |turn: &HoldRequest| NewOutcome {
                line_entry: turn.line_entry.clone(),
                outcome: Outcome::Left,
                reason: OutcomeReason::Plain,
            };
            leaver.settle(&sale_of_leaver, batch.iter().map(leave).collect()).await.unwrap();
        }
    });
    work.join_all().await;
    let ledger = Arc::clone(&one.ledger());
    let entries: Vec<EntryId> = all.iter().map(|turn| turn.line_entry.entry).collect();
    let records = ledger.entries(&entries).await.unwrap();
    let mut reserved = 0;
    for record in records.into_iter().map(Option::unwrap) {
        match (record.outcome, record.order) {
            (Outcome::Reserved, Some(order)) => {
                reserved += 1;
                let closing = ledger.begin_closing(order.order, ClosingCause::Cancelled).await;
                assert!(matches!(closing, Ok(StepReply::Done { .. })), "{closing:?}");
            }
            (Outcome::Left, None) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(ledger.stock(&sale).await.unwrap()[0].held, reserved);
    assert_balanced(&*ledger, &sale).await;
}
