//! Rules of the book of the shop: one outcome per turn, however often and however late the shop reports; what it says is left
//! stands to the letter; its silence is noticed, and its turns are released again, but not what still lies in the queue.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{sync::Arc, time::Duration};

use super::{House, samples::*, together};
use crate::{
    entry::Outcome,
    event::Turn,
    ids::{EntryId, SaleId, ShopOrderId},
    order::{ClosingCause, Order, OrderState, ShopOrder},
    ports::{
        EntryRecord, Ledger, NewOutcome, NewPayment, OutcomeReason, ShopOutcome, ShopReply,
        ShopReport, ShopWord, StepReply,
    },
};

#[macro_export]
macro_rules! shop_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            shop:
            a_reserved_turn_has_an_order_of_the_shop,
            the_same_report_again_changes_nothing,
            the_first_outcome_wins,
            one_report_wins_whoever_reports_at_once,
            a_turn_that_was_not_handed_over_is_unknown,
            a_buyer_has_one_live_order_at_the_shop,
            what_the_shop_says_is_left_stands,
            a_paid_order_is_sold,
            a_closed_order_is_held_until_it_is_seen_through,
            the_shop_does_not_contradict_itself,
            only_the_shop_ends_its_orders,
            silence_is_noticed_once_in_a_while,
            what_lies_in_the_queue_is_not_silence,
            who_has_an_outcome_is_not_released_again,
            a_buried_turn_is_left_alone_and_may_still_be_reported,
            workers_that_ask_at_once_get_different_turns,
            the_book_survives_a_crash,
        );
    };
}

type Port = Arc<dyn Ledger>;

const LINK: &str = "https://shop.example.com/pay/1";
const SILENCE: Duration = Duration::from_secs(1);

fn name(text: &str) -> ShopOrderId {
    ShopOrderId::new(text).unwrap()
}

fn reserved(entry: EntryId, order: &str) -> ShopReport {
    let order = ShopOrder { id: name(order), link: Some(LINK.to_owned()) };
    let outcome = ShopOutcome::Reserved { id: new_order_id(), order, pay_by: Some(T0) };
    ShopReport { entry, outcome }
}

/// A sale with ten of `a`, and the turns of so many entries left to the shop.
async fn handed(ledger: &dyn Ledger, count: u64) -> (SaleId, Vec<Turn>) {
    let sale = open_sale(ledger, &[("a", 10)]).await;
    let turns = turns(1..=count);
    ledger.hand_over(&turns).await.unwrap();
    (sale, turns)
}

fn entry_of(turn: &Turn) -> EntryId {
    turn.line_entry.entry
}

async fn report(ledger: &dyn Ledger, report: &ShopReport) -> ShopReply {
    ledger.report(report).await.unwrap()
}

async fn reserve_at_shop(ledger: &dyn Ledger, turn: &Turn, order: &str) -> EntryRecord {
    let reply = report(ledger, &reserved(entry_of(turn), order)).await;
    let ShopReply::Settled(record) = reply else { panic!("it was to be reserved: {reply:?}") };
    assert!(record.shop.is_some(), "{record:?}");
    record
}

async fn order_of(ledger: &dyn Ledger, record: &EntryRecord) -> Order {
    ledger.order(record.order.unwrap().order).await.unwrap().unwrap()
}

/// (available, held, sold) of `a`; all of it adds up.
async fn stock(ledger: &dyn Ledger, sale: &SaleId) -> (u64, u64, u64) {
    let one = balance(ledger, sale, "a").await;
    assert_eq!(one.available + one.owed + one.held + one.sold, one.total, "{one:?}");
    (one.available, one.held, one.sold)
}

async fn unheard(ledger: &dyn Ledger, sale: &SaleId, queued: u64) -> Vec<u64> {
    let turns = ledger.unheard(sale, SILENCE, queued, 100).await.unwrap();
    turns.iter().map(|turn| turn.line_entry.seq.0).collect()
}

pub async fn a_reserved_turn_has_an_order_of_the_shop(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 1).await;
    let record = reserve_at_shop(&*ledger, &turns[0], "A-1").await;
    assert_eq!((record.outcome, record.seq), (Outcome::Reserved, turns[0].line_entry.seq));
    assert_eq!((&record.sale, &record.buyer), (&sale, &turns[0].line_entry.buyer));
    assert!(record.is_live());
    assert_eq!(ledger.entries(&[record.entry]).await.unwrap(), [Some(record.clone())]);
    assert_eq!(
        ledger.untold(10).await.unwrap(),
        std::slice::from_ref(&record),
        "it is in the outbox"
    );
    let order = order_of(&*ledger, &record).await;
    assert_eq!((order.state, order.pay_by), (OrderState::AwaitingPayment, T0));
    let shop = order.shop.unwrap();
    assert_eq!((shop.id.as_str(), shop.link.as_deref()), ("A-1", Some(LINK)));
    assert_eq!(order.lines.len(), 1);
    assert_eq!(order.history.len(), 1);
}

pub async fn the_same_report_again_changes_nothing(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 2).await;
    let first = reserve_at_shop(&*ledger, &turns[0], "A-1").await;
    let again = reserved(entry_of(&turns[0]), "A-1");
    assert!(again.outcome.is_that_of(&first));
    assert_eq!(report(&*ledger, &again).await, ShopReply::Known(first));
    assert_eq!(stock(&*ledger, &sale).await, (10, 1, 0));
    let gone = ShopReport { entry: entry_of(&turns[1]), outcome: ShopOutcome::SoldOut };
    let ShopReply::Settled(record) = report(&*ledger, &gone).await else { panic!("it is new") };
    assert_eq!((record.outcome, record.order), (Outcome::SoldOut, None));
    assert_eq!(report(&*ledger, &gone).await, ShopReply::Known(record));
}

pub async fn the_first_outcome_wins(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 2).await;
    let first = reserve_at_shop(&*ledger, &turns[0], "A-1").await;
    for other in [
        ShopReport { entry: entry_of(&turns[0]), outcome: ShopOutcome::Refused },
        reserved(entry_of(&turns[0]), "A-2"),
    ] {
        assert!(!other.outcome.is_that_of(&first));
        assert_eq!(report(&*ledger, &other).await, ShopReply::Known(first.clone()));
    }
    let (line_entry, outcome) = (turns[1].line_entry.clone(), Outcome::Left);
    let left = NewOutcome { line_entry, outcome, reason: OutcomeReason::Plain };
    let left = ledger.settle(&sale, vec![left]).await.unwrap().remove(0);
    let late = reserved(entry_of(&turns[1]), "A-3");
    assert_eq!(report(&*ledger, &late).await, ShopReply::Known(left));
    assert_eq!(stock(&*ledger, &sale).await, (10, 1, 0));
}

pub async fn one_report_wins_whoever_reports_at_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 1).await;
    let entry = entry_of(&turns[0]);
    let replies = together(8, |n| {
        let (ledger, said) = (Arc::clone(&ledger), reserved(entry, &format!("A-{n}")));
        async move { ledger.report(&said).await.unwrap() }
    })
    .await;
    let winners = replies.iter().filter(|reply| matches!(reply, ShopReply::Settled(_)));
    assert_eq!(winners.count(), 1, "{replies:?}");
    let known = replies.iter().map(|reply| match reply {
        ShopReply::Settled(record) | ShopReply::Known(record) => record,
        ShopReply::NoSuchTurn => panic!("it was handed over"),
    });
    let orders: std::collections::BTreeSet<_> =
        known.map(|record| record.shop.as_ref().unwrap().id.clone()).collect();
    assert_eq!(orders.len(), 1, "all are told the one that won");
    assert_eq!(stock(&*ledger, &sale).await, (10, 1, 0));
}

pub async fn a_turn_that_was_not_handed_over_is_unknown(house: impl House<Port = Port>) {
    let ledger = house.port();
    handed(&*ledger, 1).await;
    let stranger = entry(9, "eve").entry;
    assert_eq!(report(&*ledger, &reserved(stranger, "A-9")).await, ShopReply::NoSuchTurn);
    assert_eq!(ledger.entries(&[stranger]).await.unwrap(), [None]);
    let heard = ledger.hear(stranger, &name("A-9"), ShopWord::Paid).await.unwrap();
    assert_eq!(heard, StepReply::NoSuchOrder);
}

pub async fn a_buyer_has_one_live_order_at_the_shop(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let [first, second] = [1, 2].map(|seq| turn(&sale, entry(seq, "ada")));
    ledger.hand_over(&[first.clone(), second.clone()]).await.unwrap();
    reserve_at_shop(&*ledger, &first, "A-1").await;
    let reply = report(&*ledger, &reserved(entry_of(&second), "A-2")).await;
    let ShopReply::Settled(record) = reply else { panic!("{reply:?}") };
    let refused = (Outcome::Refused, OutcomeReason::Duplicate);
    assert_eq!((record.outcome, record.reason), refused, "no-double-order");
    assert_eq!(stock(&*ledger, &sale).await, (10, 1, 0));
}

pub async fn what_the_shop_says_is_left_stands(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 2).await;
    assert!(ledger.tell_remaining(&sale, &sku("a"), 0).await.unwrap());
    assert_eq!(stock(&*ledger, &sale).await, (0, 0, 0));
    reserve_at_shop(&*ledger, &turns[0], "A-1").await;
    assert_eq!(stock(&*ledger, &sale).await, (0, 1, 0), "the shop has it, though nothing is left");
    assert!(ledger.tell_remaining(&sale, &sku("a"), 7).await.unwrap());
    reserve_at_shop(&*ledger, &turns[1], "A-2").await;
    assert_eq!(stock(&*ledger, &sale).await, (7, 2, 0), "told and decided may come in any order");
    assert!(!ledger.tell_remaining(&sale, &sku("b"), 7).await.unwrap());
    assert!(!ledger.tell_remaining(&other_sale(), &sku("a"), 7).await.unwrap());
}

pub async fn a_paid_order_is_sold(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 1).await;
    let record = reserve_at_shop(&*ledger, &turns[0], "A-1").await;
    let reply = ledger.hear(record.entry, &name("A-1"), ShopWord::Paid).await.unwrap();
    let StepReply::Done { order, gate: None } = reply else { panic!("{reply:?}") };
    assert_eq!(order.state, OrderState::Paid);
    assert_eq!(stock(&*ledger, &sale).await, (10, 0, 1));
    let again = ledger.hear(record.entry, &name("A-1"), ShopWord::Paid).await.unwrap();
    assert!(matches!(again, StepReply::Already { gate: None, .. }), "{again:?}");
    for to in [OrderState::Fulfilling, OrderState::Fulfilled] {
        ledger.fulfil(order.id, to).await.unwrap();
    }
    let again = ledger.hear(record.entry, &name("A-1"), ShopWord::Paid).await.unwrap();
    assert!(matches!(again, StepReply::Already { gate: None, .. }), "{again:?}");
    assert_eq!(stock(&*ledger, &sale).await, (10, 0, 1));
}

pub async fn a_closed_order_is_held_until_it_is_seen_through(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 1).await;
    let record = reserve_at_shop(&*ledger, &turns[0], "A-1").await;
    let reply = ledger.hear(record.entry, &name("A-1"), ShopWord::Closed).await.unwrap();
    let StepReply::Done { order, gate: None } = reply else { panic!("{reply:?}") };
    assert_eq!(order.state, OrderState::Closing);
    assert_eq!(stock(&*ledger, &sale).await, (10, 1, 0));
    let unfinished = ledger.unfinished(Duration::ZERO, 10).await.unwrap();
    assert_eq!(unfinished.iter().map(|order| order.id).collect::<Vec<_>>(), [order.id]);
    let reply = ledger.close_unpaid(order.id).await.unwrap();
    let StepReply::Done { order, gate: None } = reply else { panic!("{reply:?}") };
    assert_eq!(order.state, OrderState::Closed);
    assert_eq!(stock(&*ledger, &sale).await, (10, 0, 0), "the shop says itself what is left");
    let again = ledger.hear(record.entry, &name("A-1"), ShopWord::Closed).await.unwrap();
    assert!(matches!(again, StepReply::Already { gate: None, .. }), "{again:?}");
}

pub async fn the_shop_does_not_contradict_itself(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 2).await;
    let paid = reserve_at_shop(&*ledger, &turns[0], "A-1").await;
    ledger.hear(paid.entry, &name("A-1"), ShopWord::Paid).await.unwrap();
    let reply = ledger.hear(paid.entry, &name("A-1"), ShopWord::Closed).await.unwrap();
    assert!(matches!(reply, StepReply::Wrong(_)), "{reply:?}");
    let closed = reserve_at_shop(&*ledger, &turns[1], "A-2").await;
    ledger.hear(closed.entry, &name("A-2"), ShopWord::Closed).await.unwrap();
    ledger.close_unpaid(closed.order.unwrap().order).await.unwrap();
    let reply = ledger.hear(closed.entry, &name("A-2"), ShopWord::Paid).await.unwrap();
    assert!(matches!(reply, StepReply::Wrong(_)), "{reply:?}");
    let other = ledger.hear(paid.entry, &name("A-2"), ShopWord::Closed).await.unwrap();
    assert_eq!(other, StepReply::NoSuchOrder, "it is another entry's");
    assert_eq!(stock(&*ledger, &sale).await, (10, 0, 1));
}

pub async fn only_the_shop_ends_its_orders(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 1).await;
    // Its payment deadline is long past.
    let record = reserve_at_shop(&*ledger, &turns[0], "A-1").await;
    let order = record.order.unwrap().order;
    assert_eq!(ledger.sweep_deadlines(10).await.unwrap(), []);
    let reply = ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
    assert!(matches!(reply, StepReply::Wrong(_)), "{reply:?}");
    let payment = ledger.begin_payment(order, new_payment_id(), "simulated").await.unwrap();
    assert_eq!(payment, NewPayment::WrongState(OrderState::AwaitingPayment));
    assert_eq!(stock(&*ledger, &sale).await, (10, 1, 0));
}

pub async fn silence_is_noticed_once_in_a_while(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 3).await;
    assert_eq!(unheard(&*ledger, &sale, 0).await, [0; 0], "it is too early");
    reserve_at_shop(&*ledger, &turns[1], "A-1").await;
    house.pass(SILENCE).await;
    assert_eq!(unheard(&*ledger, &other_sale(), 0).await, [0; 0]);
    let again = ledger.unheard(&sale, SILENCE, 0, 100).await.unwrap();
    let released_again = |turn: &Turn| Turn { attempt: 2, ..turn.clone() };
    assert_eq!(again, [released_again(&turns[0]), released_again(&turns[2])]);
    assert_eq!(unheard(&*ledger, &sale, 0).await, [0; 0], "it has the same time again");
    // Handing over once more, as a dispatcher that took over does, starts nothing anew.
    ledger.hand_over(&turns).await.unwrap();
    house.pass(SILENCE).await;
    let third = ledger.unheard(&sale, SILENCE, 0, 1).await.unwrap();
    assert_eq!((third.len(), third[0].attempt), (1, 3));
}

pub async fn what_lies_in_the_queue_is_not_silence(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, _) = handed(&*ledger, 2).await;
    house.pass(SILENCE).await;
    let later = [turn(&sale, entry(3, "cleo")), turn(&sale, entry(4, "dan"))];
    ledger.hand_over(&later).await.unwrap();
    house.pass(SILENCE).await;
    assert_eq!(unheard(&*ledger, &sale, 4).await, [0; 0], "nobody has been given anything");
    assert_eq!(unheard(&*ledger, &sale, 2).await, [1, 2], "the last two still lie there");
    // Those two were released last now.
    assert_eq!(unheard(&*ledger, &sale, 2).await, [3, 4]);
}

pub async fn who_has_an_outcome_is_not_released_again(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 2).await;
    let (line_entry, outcome) = (turns[0].line_entry.clone(), Outcome::Left);
    let left = NewOutcome { line_entry, outcome, reason: OutcomeReason::Plain };
    ledger.settle(&sale, vec![left]).await.unwrap();
    ledger.hand_over(&turns[..1]).await.unwrap();
    house.pass(SILENCE).await;
    assert_eq!(unheard(&*ledger, &sale, 0).await, [2]);
}

pub async fn a_buried_turn_is_left_alone_and_may_still_be_reported(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, turns) = handed(&*ledger, 2).await;
    house.pass(SILENCE).await;
    ledger.give_up(&[entry_of(&turns[0])]).await.unwrap();
    assert_eq!(unheard(&*ledger, &sale, 0).await, [2]);
    reserve_at_shop(&*ledger, &turns[0], "A-1").await;
}

pub async fn workers_that_ask_at_once_get_different_turns(house: impl House<Port = Port>) {
    let ledger = house.port();
    let (sale, _) = handed(&*ledger, 40).await;
    house.pass(SILENCE).await;
    let found = together(4, |_| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        async move { unheard(&*ledger, &sale, 0).await }
    })
    .await;
    let mut all: Vec<u64> = found.into_iter().flatten().collect();
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(1..=40));
}

pub async fn the_book_survives_a_crash(mut house: impl House<Port = Port>) {
    let (sale, turns, record) = {
        let ledger = house.port();
        let (sale, turns) = handed(&*ledger, 2).await;
        let record = reserve_at_shop(&*ledger, &turns[0], "A-1").await;
        assert!(ledger.tell_remaining(&sale, &sku("a"), 3).await.unwrap());
        (sale, turns, record)
    };
    house.crash().await;
    let ledger = house.port();
    let again = report(&*ledger, &reserved(entry_of(&turns[0]), "A-1")).await;
    assert_eq!(again, ShopReply::Known(record));
    assert_eq!(stock(&*ledger, &sale).await, (3, 1, 0));
    house.pass(SILENCE).await;
    assert_eq!(unheard(&*ledger, &sale, 0).await, [2]);
    assert!(ledger.delete_sale(&sale, &author(), None).await.is_ok());
}
