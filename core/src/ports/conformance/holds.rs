//! Rules of the hold: a turn becomes one order or an honest no, whatever comes twice, at once, or with a lie from the
//! gate; and the balance adds up after every step.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{House, assert_balanced, orders::pay, samples::*, together};
use crate::{
    clock::UnixMillis,
    entry::Outcome,
    ids::{EntryId, HoldId, SaleId, Version},
    line::LineEntry,
    money::{AmountFen, Currency},
    order::{ClosingCause, Order, OrderState},
    policy::PolicyPatch,
    ports::{EntryRecord, GateSaid, HoldReply, HoldRequest, Ledger, NewOutcome, OutcomeReason},
    sale::SaleChange,
};

#[macro_export]
macro_rules! holds_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            holds:
            a_granted_turn_has_an_order,
            replies_are_in_the_order_of_requests,
            a_repeated_turn_gets_its_own_order_again,
            a_turn_repeated_in_one_batch_gets_one_order,
            a_turn_repeated_at_once_gets_one_order,
            a_turn_that_lost_is_not_tried_again,
            stock_is_granted_in_order_of_numbers,
            a_basket_is_held_whole_or_not_at_all,
            a_lying_gate_does_not_oversell,
            a_lying_gate_does_not_oversell_whoever_holds_at_once,
            a_wrong_no_of_the_gate_changes_nothing,
            a_right_no_of_the_gate_is_sold_out,
            a_buyer_has_one_live_order,
            a_buyer_has_one_live_order_whoever_holds_at_once,
            a_buyer_may_order_again_when_the_order_is_over,
            a_basket_over_the_limit_is_refused,
            what_is_not_sold_here_is_not_held,
            a_frozen_sale_holds_nothing_anew,
            prices_and_windows_are_those_of_the_moment,
            what_was_answered_of_a_hold_survives_a_crash,
            a_crash_in_the_middle_leaves_the_books_balanced,
        );
    };
}

type Port = Arc<dyn Ledger>;

pub(super) async fn open(house: &impl House<Port = Port>, stock: &[(&str, u64)]) -> (Port, SaleId) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, stock).await;
    (ledger, sale)
}

/// Holds a batch, and looks that the books add up.
pub(super) async fn hold(
    ledger: &dyn Ledger,
    sale: &SaleId,
    batch: Vec<HoldRequest>,
) -> Vec<HoldReply> {
    let count = batch.len();
    let replies = ledger.hold(sale, batch).await.unwrap();
    assert_eq!(replies.len(), count, "one reply for each request");
    assert_balanced(ledger, sale).await;
    replies
}

async fn hold_one(ledger: &dyn Ledger, sale: &SaleId, one: HoldRequest) -> HoldReply {
    hold(ledger, sale, vec![one]).await.remove(0)
}

fn record_of(reply: &HoldReply) -> &EntryRecord {
    match reply {
        HoldReply::Settled { record, .. } | HoldReply::Known { record, .. } => record,
        HoldReply::GateWrong
        | HoldReply::StandsBy
        | HoldReply::Frozen
        | HoldReply::SeatsTaken { .. } => {
            panic!("an outcome was due")
        }
    }
}

fn outcome_of(reply: &HoldReply) -> (Outcome, OutcomeReason) {
    (record_of(reply).outcome, record_of(reply).reason)
}

fn outcomes(replies: &[HoldReply]) -> Vec<Outcome> {
    replies.iter().map(|reply| record_of(reply).outcome).collect()
}

async fn order_of(ledger: &dyn Ledger, reply: &HoldReply) -> Order {
    let order = record_of(reply).order.unwrap();
    ledger.order(order.order).await.unwrap().unwrap()
}

pub async fn a_granted_turn_has_an_order(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10), ("b", 10)]).await;
    let asked = request(wanting(7, "ada", &[("a", 2), ("b", 1)]));
    let reply = hold_one(&*ledger, &sale, asked.clone()).await;
    let HoldReply::Settled { record, movement: Some(movement) } = &reply else {
        panic!("{reply:?}")
    };
    assert!(*movement >= 1);
    assert_eq!(outcome_of(&reply), (Outcome::Reserved, OutcomeReason::Plain));
    let entry = &asked.line_entry;
    assert_eq!((record.entry, &record.buyer, record.seq), (entry.entry, &entry.buyer, entry.seq));
    assert!(record.is_live());
    assert_eq!(ledger.entries(&[entry.entry]).await.unwrap(), [Some(record.clone())]);

    let order = order_of(&*ledger, &reply).await;
    assert_eq!((order.id, order.hold, order.entry), (asked.order, asked.hold, entry.entry));
    assert_eq!((&order.sale, &order.buyer), (&sale, &entry.buyer));
    assert_eq!((order.state, order.version), (OrderState::AwaitingPayment, Version(1)));
    assert_eq!(order.basket().as_ref(), Some(&entry.basket));
    assert!(order.lines.iter().all(|line| line.amount == AmountFen(PRICE)));
    assert_eq!((order.amount, order.currency), (AmountFen(3 * PRICE), Currency::CNY));
    assert_eq!((order.closing_cause, order.payment), (None, None));
    let history: Vec<OrderState> = order.history.iter().map(|change| change.state).collect();
    assert_eq!(history, [OrderState::AwaitingPayment]);
    let told = record.order.unwrap();
    assert_eq!((told.state, told.version, told.pay_by), (order.state, order.version, order.pay_by));
    let a = balance(&*ledger, &sale, "a").await;
    assert_eq!((a.available, a.held, a.sold), (8, 2, 0));
}

pub async fn replies_are_in_the_order_of_requests(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10)]).await;
    let mut batch: Vec<HoldRequest> = entries(1..=6).into_iter().map(request).collect();
    batch.swap(0, 5);
    batch.swap(2, 3);
    let asked: Vec<EntryId> = batch.iter().map(|one| one.line_entry.entry).collect();
    let replies = hold(&*ledger, &sale, batch).await;
    let told: Vec<EntryId> = replies.iter().map(|reply| record_of(reply).entry).collect();
    assert_eq!(told, asked);
}

pub async fn a_repeated_turn_gets_its_own_order_again(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10)]).await;
    let first = request(entry(1, "ada"));
    let granted = hold_one(&*ledger, &sale, first.clone()).await;
    let record = record_of(&granted).clone();
    // The redelivered turn meets another worker, which thinks of another order and perhaps of another hold.
    let other_order = request(first.line_entry.clone());
    let other_hold =
        HoldRequest { hold: HoldId::of_entry(first.line_entry.entry, 1), ..other_order.clone() };
    let short = HoldRequest { gate: GateSaid::Short, ..other_order.clone() };
    for again in [first.clone(), other_order.clone(), other_hold.clone(), short] {
        let reply = hold_one(&*ledger, &sale, again).await;
        let known = HoldReply::Known { record: record.clone(), hold: Some(first.hold) };
        assert_eq!(reply, known);
    }
    assert_eq!(ledger.order(other_order.order).await.unwrap(), None);
    assert_eq!(ledger.order(other_hold.order).await.unwrap(), None);
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 1);
}

pub async fn a_turn_repeated_in_one_batch_gets_one_order(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10)]).await;
    let (ada, bob) = (entry(1, "ada"), entry(2, "bob"));
    let batch = vec![request(ada.clone()), request(bob), request(ada)];
    let replies = hold(&*ledger, &sale, batch).await;
    assert_eq!(record_of(&replies[0]), record_of(&replies[2]));
    let settled = |reply: &&HoldReply| matches!(reply, HoldReply::Settled { .. });
    assert_eq!(replies.iter().filter(settled).count(), 2, "{replies:?}");
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 2);
}

pub async fn a_turn_repeated_at_once_gets_one_order(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 100)]).await;
    let all = entries(1..=6);
    let replies = together(12, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        let mut batch: Vec<HoldRequest> = all.iter().cloned().map(request).collect();
        batch.rotate_left(n % 6);
        async move { ledger.hold(&sale, batch).await.unwrap() }
    });
    let replies: Vec<HoldReply> = replies.await.into_iter().flatten().collect();
    let settled = replies.iter().filter(|reply| matches!(reply, HoldReply::Settled { .. }));
    assert_eq!(settled.count(), 6, "each turn is settled by one of the calls");
    let orders: BTreeSet<_> =
        replies.iter().map(|reply| record_of(reply).order.unwrap().order).collect();
    assert_eq!(orders.len(), 6);
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 6);
    assert_balanced(&*ledger, &sale).await;
}

pub async fn a_turn_that_lost_is_not_tried_again(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 1)]).await;
    let order = reserve(&*ledger, &sale, entry(1, "ada")).await;
    let late = request(entry(2, "bob"));
    let first = hold_one(&*ledger, &sale, late.clone()).await;
    assert_eq!(outcome_of(&first), (Outcome::SoldOut, OutcomeReason::Plain));
    ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
    ledger.close_unpaid(order).await.unwrap();
    let again = hold_one(&*ledger, &sale, late).await;
    let record = record_of(&first).clone();
    assert_eq!(again, HoldReply::Known { record, hold: None }, "one outcome for each entry");
    assert_eq!(balance(&*ledger, &sale, "a").await.available, 1);
}

pub async fn stock_is_granted_in_order_of_numbers(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 3)]).await;
    let mut batch: Vec<HoldRequest> = entries(1..=6).into_iter().map(request).collect();
    batch.reverse();
    batch.swap(1, 4);
    let replies = hold(&*ledger, &sale, batch).await;
    for reply in &replies {
        let record = record_of(reply);
        let due = if record.seq.0 <= 3 { Outcome::Reserved } else { Outcome::SoldOut };
        assert_eq!(record.outcome, due, "number {}", record.seq);
    }
}

pub async fn a_basket_is_held_whole_or_not_at_all(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 5), ("b", 1)]).await;
    let batch = vec![
        request(wanting(1, "ada", &[("a", 2), ("b", 2)])),
        request(wanting(2, "bob", &[("a", 4), ("b", 1)])),
        request(wanting(3, "eve", &[("a", 1), ("b", 1)])),
        request(wanting(4, "joe", &[("a", 1)])),
    ];
    let replies = hold(&*ledger, &sale, batch).await;
    use Outcome::{Reserved, SoldOut};
    assert_eq!(outcomes(&replies), [SoldOut, Reserved, SoldOut, Reserved]);
    let (a, b) = (balance(&*ledger, &sale, "a").await, balance(&*ledger, &sale, "b").await);
    assert_eq!((a.available, a.held), (0, 5));
    assert_eq!((b.available, b.held), (0, 1));
}

pub async fn a_lying_gate_does_not_oversell(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10)]).await;
    let batch: Vec<HoldRequest> = entries(1..=30).into_iter().map(request).collect();
    let replies = hold(&*ledger, &sale, batch).await;
    let reserved = outcomes(&replies).into_iter().filter(|one| *one == Outcome::Reserved).count();
    assert_eq!(reserved, 10, "to the last unit, and not beyond");
    assert!(outcomes(&replies)[10..].iter().all(|one| *one == Outcome::SoldOut));
}

pub async fn a_lying_gate_does_not_oversell_whoever_holds_at_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 55), ("b", 40)]).await;
    let replies = together(40, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        let items: &[(&str, u32)] = if n % 2 == 0 { &[("a", 1), ("b", 1)] } else { &[("a", 1)] };
        let batch = (0..3_u64).map(|m| {
            let seq = n as u64 * 3 + m + 1;
            request(wanting(seq, &format!("buyer-{seq}"), items))
        });
        let batch: Vec<HoldRequest> = batch.collect();
        async move { ledger.hold(&sale, batch).await.unwrap() }
    });
    let replies: Vec<HoldReply> = replies.await.into_iter().flatten().collect();
    let reserved = outcomes(&replies).into_iter().filter(|one| *one == Outcome::Reserved).count();
    let (a, b) = (balance(&*ledger, &sale, "a").await, balance(&*ledger, &sale, "b").await);
    assert_eq!((a.available, a.held), (0, 55), "to the last unit, and not beyond");
    assert_eq!(reserved, 55);
    assert!(b.held <= 40);
    assert_balanced(&*ledger, &sale).await;
}

pub async fn a_wrong_no_of_the_gate_changes_nothing(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 2)]).await;
    let ada = entry(1, "ada");
    let short = HoldRequest { gate: GateSaid::Short, ..request(ada.clone()) };
    let batch = vec![short.clone(), request(entry(2, "bob"))];
    let replies = hold(&*ledger, &sale, batch).await;
    assert_eq!(replies[0], HoldReply::GateWrong);
    assert_eq!(record_of(&replies[1]).outcome, Outcome::Reserved);
    assert_eq!(ledger.entries(&[ada.entry]).await.unwrap(), [None]);
    assert_eq!(ledger.order(short.order).await.unwrap(), None);
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 1);
    let reply = hold_one(&*ledger, &sale, request(ada)).await;
    assert_eq!(record_of(&reply).outcome, Outcome::Reserved, "the gate was set right");
}

pub async fn a_right_no_of_the_gate_is_sold_out(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 1)]).await;
    reserve(&*ledger, &sale, entry(1, "ada")).await;
    let short = HoldRequest { gate: GateSaid::Short, ..request(entry(2, "bob")) };
    let reply = hold_one(&*ledger, &sale, short).await;
    assert_eq!(outcome_of(&reply), (Outcome::SoldOut, OutcomeReason::Plain));
    assert!(matches!(reply, HoldReply::Settled { movement: None, .. }), "{reply:?}");
}

pub async fn a_buyer_has_one_live_order(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10)]).await;
    reserve(&*ledger, &sale, entry(1, "ada")).await;
    let reply = hold_one(&*ledger, &sale, request(entry(2, "ada"))).await;
    assert_eq!(outcome_of(&reply), (Outcome::Refused, OutcomeReason::Duplicate));
    let batch = vec![request(entry(4, "bob")), request(entry(3, "bob"))];
    let replies = hold(&*ledger, &sale, batch).await;
    assert_eq!(outcome_of(&replies[0]), (Outcome::Refused, OutcomeReason::Duplicate));
    assert_eq!(outcome_of(&replies[1]).0, Outcome::Reserved, "the lower number");
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 2);
}

pub async fn a_buyer_has_one_live_order_whoever_holds_at_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 100)]).await;
    let replies = together(20, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        let seq = n as u64 * 2 + 1;
        let batch = vec![request(entry(seq, "ada")), request(entry(seq + 1, "bob"))];
        async move { ledger.hold(&sale, batch).await.unwrap() }
    });
    for reply in replies.await.iter().flatten() {
        let (outcome, reason) = outcome_of(reply);
        let duplicate = (outcome, reason) == (Outcome::Refused, OutcomeReason::Duplicate);
        assert!(outcome == Outcome::Reserved || duplicate, "{reply:?}");
    }
    assert_eq!(orders_in(&*ledger, &sale, OrderState::AwaitingPayment).await, 2);
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 2);
    assert_balanced(&*ledger, &sale).await;
}

pub async fn a_buyer_may_order_again_when_the_order_is_over(house: impl House<Port = Port>) {
    let patch = PolicyPatch { per_buyer_units: Some(2), ..PolicyPatch::default() };
    let ledger = house.port();
    let sale = open_sale_with(&*ledger, &[("a", 2)], patch).await;
    for seq in 1..=3 {
        let order = reserve(&*ledger, &sale, wanting(seq, "ada", &[("a", 2)])).await;
        ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
        let closing = hold_one(&*ledger, &sale, request(entry(seq + 10, "ada"))).await;
        assert_eq!(outcome_of(&closing), (Outcome::Refused, OutcomeReason::Duplicate));
        ledger.close_unpaid(order).await.unwrap();
        assert_balanced(&*ledger, &sale).await;
    }
}

pub async fn a_basket_over_the_limit_is_refused(house: impl House<Port = Port>) {
    let patch = PolicyPatch { per_buyer_units: Some(3), ..PolicyPatch::default() };
    let ledger = house.port();
    let sale = open_sale_with(&*ledger, &[("a", 10), ("b", 10)], patch).await;
    let over = request(wanting(1, "ada", &[("a", 2), ("b", 2)]));
    let reply = hold_one(&*ledger, &sale, over).await;
    assert_eq!(outcome_of(&reply), (Outcome::Refused, OutcomeReason::OverLimit));
    reserve(&*ledger, &sale, wanting(2, "bob", &[("a", 2), ("b", 1)])).await;
    assert_balanced(&*ledger, &sale).await;
}

pub async fn what_is_not_sold_here_is_not_held(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10)]).await;
    let batch = vec![request(wanting(1, "ada", &[("a", 1), ("z", 1)])), request(entry(2, "bob"))];
    let replies = hold(&*ledger, &sale, batch).await;
    assert_eq!(record_of(&replies[0]).outcome, Outcome::SoldOut);
    assert_eq!(record_of(&replies[1]).outcome, Outcome::Reserved, "the others are not spoilt");
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 1);
}

pub async fn prices_and_windows_are_those_of_the_moment(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10)]).await;
    let window = |seconds| {
        let patch = PolicyPatch { payment_window_seconds: Some(seconds), ..PolicyPatch::default() };
        SaleChange::Policy(patch)
    };
    let mut deadlines: Vec<UnixMillis> = Vec::new();
    for (seq, seconds) in [(1, 1_000), (2, 10_000)] {
        ledger.change_sale(&sale, None, window(seconds), &author(), None).await.unwrap();
        let reply = hold_one(&*ledger, &sale, request(entry(seq, &format!("b-{seq}")))).await;
        let order = order_of(&*ledger, &reply).await;
        assert_eq!(order.pay_by.since(record_of(&reply).at), Duration::from_secs(seconds.into()));
        deadlines.push(order.pay_by);
    }
    assert!(deadlines[1].since(deadlines[0]) >= Duration::from_secs(9_000));
}

/// An answer that comes before the commit is caught here: the crash follows the answer at once.
pub async fn what_was_answered_of_a_hold_survives_a_crash(mut house: impl House<Port = Port>) {
    let (mut ledger, sale) = open(&house, &[("a", 10_000)]).await;
    let mut answered: Vec<EntryRecord> = Vec::new();
    for round in 0..12_u64 {
        let numbers = round * 100 + 1..=round * 100 + 60;
        let batch = entries(numbers).into_iter().map(request).collect();
        let replies = ledger.hold(&sale, batch).await.unwrap();
        house.crash().await;
        answered.extend(replies.iter().map(|reply| record_of(reply).clone()));
        ledger = house.port();
        let ids: Vec<EntryId> = answered.iter().map(|record| record.entry).collect();
        let read = ledger.entries(&ids).await.unwrap();
        let lost = read.iter().filter(|record| record.is_none()).count();
        assert_eq!(lost, 0, "outcomes that were answered are lost");
        assert_eq!(read.into_iter().flatten().collect::<Vec<_>>(), answered);
        assert_eq!(balance(&*ledger, &sale, "a").await.held, answered.len() as u64);
        assert_balanced(&*ledger, &sale).await;
    }
}

/// Whatever was under way when the process died is there wholly or not at all.
pub async fn a_crash_in_the_middle_leaves_the_books_balanced(mut house: impl House<Port = Port>) {
    let (mut ledger, sale) = open(&house, &[("a", 150), ("b", 150)]).await;
    for round in 0..10_u64 {
        let mut under_way = tokio::task::JoinSet::new();
        for n in 0..6 {
            let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
            let from = round * 1_000 + n * 100;
            let batch = (from..from + 8)
                .map(|seq| request(wanting(seq, &format!("buyer-{seq}"), &[("a", 1), ("b", 1)])));
            let batch: Vec<HoldRequest> = batch.collect();
            let leavers: Vec<LineEntry> = entries(from + 20..=from + 24);
            under_way.spawn(async move {
                let left = leavers.into_iter().map(|line_entry| NewOutcome {
                    line_entry,
                    outcome: Outcome::Left,
                    reason: OutcomeReason::Plain,
                });
                let held = ledger.hold(&sale, batch).await.is_ok();
                held && ledger.settle(&sale, left.collect()).await.is_ok()
            });
        }
        if round % 2 == 0 {
            under_way.join_next().await;
        } else {
            tokio::task::yield_now().await;
        }
        house.crash().await;
        drop(under_way);
        ledger = house.port();
        assert_balanced(&*ledger, &sale).await;
    }
}

pub async fn a_frozen_sale_holds_nothing_anew(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house, &[("a", 10)]).await;
    let before = request(wanting(1, "ada", &[("a", 1)]));
    let held = hold_one(&*ledger, &sale, before.clone()).await;
    let author = author();
    let steer = |change| ledger.change_sale(&sale, None, change, &author, None);
    steer(SaleChange::Freeze).await.unwrap();
    let after = request(wanting(2, "bob", &[("a", 1)]));
    assert_eq!(hold_one(&*ledger, &sale, after.clone()).await, HoldReply::Frozen);
    assert_eq!(ledger.entries(&[after.line_entry.entry]).await.unwrap(), [None]);
    let known = hold_one(&*ledger, &sale, before.clone()).await;
    assert!(matches!(known, HoldReply::Known { .. }), "what was held stays: {known:?}");
    let order = order_of(&*ledger, &held).await;
    pay(&*ledger, order.id).await;
    steer(SaleChange::Resume).await.unwrap();
    let reply = hold_one(&*ledger, &sale, after).await;
    assert_eq!(outcome_of(&reply), (Outcome::Reserved, OutcomeReason::Plain));
}
