//! Rules of what comes after the sale: money that goes back goes once, with its goods; nobody gets back more than they paid;
//! and after every step the books of goods and of money add up. Orders that are changed have [their own](super::changes).

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    House, assert_balanced,
    orders::{done, order, pay},
    samples::*,
    together,
};
use crate::{
    ids::{OrderId, PaymentId, RefundId, SaleId},
    money::AmountFen,
    order::{ClosingCause, Order, OrderState},
    policy::PolicyPatch,
    ports::{
        Author, Deleted, Ledger, NewPayment, Payment, PaymentState, PaymentStep, RefundReply,
        StepReply,
    },
    refund::{NoRefund, Refund, RefundAsked, RefundCause, RefundScope, RefundState},
    sale::SaleChange,
};

#[macro_export]
macro_rules! aftersales_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            aftersales:
            a_whole_refund_gives_goods_and_money_back,
            a_refund_by_item_leaves_the_order,
            the_last_item_ends_the_order,
            nobody_gets_back_more_than_they_bought,
            a_refund_is_begun_once_under_its_id,
            only_a_fulfilled_order_is_refunded,
            refunds_are_claimed_by_one_and_come_again,
            a_refund_is_finished_once,
            late_money_for_goods_that_are_gone_goes_back,
            late_money_of_a_buyer_with_another_order_is_surplus,
            late_money_for_a_closed_sale_goes_back,
            a_failed_fulfilment_gives_everything_back,
            what_the_provider_sends_back_by_itself_ends_the_order,
            money_sent_back_before_the_goods_were_issued_ends_the_order,
            money_sent_back_during_a_change_ends_the_order,
            a_payment_that_failed_and_went_back_is_not_the_orders,
            money_on_its_way_keeps_its_sale,
        );
    };
}

type Port = Arc<dyn Ledger>;

/// A sale of 10 `a` and 5 `b`, where a buyer may have 6 units.
pub(super) async fn open(house: &impl House<Port = Port>) -> (Port, SaleId) {
    let ledger = house.port();
    let patch = PolicyPatch { per_buyer_units: Some(6), ..PolicyPatch::default() };
    let sale = open_sale_with(&*ledger, &[("a", 10), ("b", 5)], patch).await;
    (ledger, sale)
}

/// An order of these items that its buyer has paid and got.
pub(super) async fn fulfilled(
    ledger: &dyn Ledger,
    sale: &SaleId,
    name: &str,
    items: &[(&str, u32)],
) -> Order {
    let id = reserve(ledger, sale, wanting(1, name, items)).await;
    pay(ledger, id).await;
    for to in [OrderState::Fulfilling, OrderState::Fulfilled] {
        ledger.fulfil(id, to).await.unwrap();
    }
    order(ledger, id).await
}

async fn begin(ledger: &dyn Ledger, order: OrderId) -> Payment {
    let reply = ledger.begin_payment(order, new_payment_id(), "simulated").await.unwrap();
    let NewPayment::New(payment) = reply else { panic!("a new payment was due: {reply:?}") };
    payment
}

async fn close(ledger: &dyn Ledger, order: OrderId) {
    ledger.begin_closing(order, ClosingCause::Deadline).await.unwrap();
    done(ledger.close_unpaid(order).await.unwrap());
}

/// Asks under a new id.
pub(super) async fn ask(ledger: &dyn Ledger, order: OrderId, asked: &RefundAsked) -> RefundReply {
    ledger.begin_refund(order, new_refund_id(), asked).await.unwrap()
}

pub(super) fn some(items: &[(&str, u32)]) -> RefundAsked {
    RefundAsked::Items(basket(items))
}

pub(super) fn begun(reply: RefundReply) -> (Refund, Order) {
    let RefundReply::Begun(refund, order) = reply else {
        panic!("the refund was to begin: {reply:?}")
    };
    (refund, order)
}

pub(super) async fn finish(ledger: &dyn Ledger, refund: RefundId) -> Order {
    ledger.finish_refund(refund).await.unwrap().unwrap().1
}

/// Available, held, sold and returned of a SKU; and the books add up.
pub(super) async fn stock(ledger: &dyn Ledger, sale: &SaleId, name: &str) -> (u64, u64, u64, u64) {
    assert_balanced(ledger, sale).await;
    let one = balance(ledger, sale, name).await;
    (one.available, one.held, one.sold, one.returned)
}

/// Units' worth taken, kept, refunded and in flight.
pub(super) async fn money(ledger: &dyn Ledger, sale: &SaleId) -> [i64; 4] {
    let money = ledger.books(sale).await.unwrap().money;
    let [one] = &money[..] else { panic!("one currency: {money:?}") };
    [one.taken, one.kept, one.refunded, one.in_flight].map(|amount| {
        assert_eq!(amount.0 % PRICE, 0);
        amount.0 / PRICE
    })
}

pub async fn a_whole_refund_gives_goods_and_money_back(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 2), ("b", 1)]).await;
    assert_eq!(money(&*ledger, &sale).await, [3, 3, 0, 0]);
    let (refund, refunding) = begun(ask(&*ledger, before.id, &RefundAsked::Order).await);
    assert_eq!(
        (refunding.state, refunding.version),
        (OrderState::Refunding, before.version.next())
    );
    assert_eq!((refund.order, Some(refund.payment)), (before.id, before.payment));
    assert_eq!((refund.amount, refund.currency), (before.amount, before.currency));
    assert_eq!((refund.scope, refund.cause), (RefundScope::Order, RefundCause::Requested));
    assert_eq!((refund.state, refund.tries), (RefundState::Pending, 0));
    assert_eq!(refund.items, before.basket());
    assert!(refunding.lines.iter().all(|line| line.refunded == line.quantity));
    assert_eq!(stock(&*ledger, &sale, "a").await, (10, 0, 0, 2), "at once");
    assert_eq!(stock(&*ledger, &sale, "b").await, (5, 0, 0, 1));
    assert_eq!(money(&*ledger, &sale).await, [3, 0, 0, 3]);
    assert_eq!(ledger.refunds(before.id).await.unwrap(), std::slice::from_ref(&refund));

    let refunded = finish(&*ledger, refund.id).await;
    assert_eq!(refunded.state, OrderState::Refunded);
    assert_eq!(refunded, order(&*ledger, before.id).await);
    assert_eq!(money(&*ledger, &sale).await, [3, 0, 3, 0]);
    let payment = ledger.payment(refund.payment).await.unwrap().unwrap();
    assert_eq!(payment.state, PaymentState::Refunded);
    let again = fulfilled(&*ledger, &sale, "ada", &[("a", 6)]).await;
    assert_eq!(again.state, OrderState::Fulfilled, "its buyer is free");
    assert_eq!(stock(&*ledger, &sale, "a").await, (4, 0, 6, 2));
}

pub async fn a_refund_by_item_leaves_the_order(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 3), ("b", 1)]).await;
    let (refund, after) = begun(ask(&*ledger, before.id, &some(&[("a", 2)])).await);
    assert_eq!((after.state, after.version), (OrderState::Fulfilled, before.version.next()));
    assert_eq!(after.history.len(), before.history.len() + 1, "its buyer is told");
    assert_eq!(after.lines.iter().map(|line| line.refunded).collect::<Vec<_>>(), [2, 0]);
    assert_eq!((after.amount, refund.amount), (before.amount, AmountFen(2 * PRICE)));
    assert_eq!((refund.scope, refund.items), (RefundScope::Items, Some(basket(&[("a", 2)]))));
    assert_eq!(stock(&*ledger, &sale, "a").await, (9, 0, 1, 2));
    assert_eq!(money(&*ledger, &sale).await, [4, 2, 0, 2]);
    let still = finish(&*ledger, refund.id).await;
    assert_eq!(still, after);
    assert_eq!(money(&*ledger, &sale).await, [4, 2, 2, 0]);
    let payment = ledger.payment(refund.payment).await.unwrap().unwrap();
    assert_eq!(payment.state, PaymentState::Succeeded, "a part of it is kept");
}

pub async fn the_last_item_ends_the_order(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 2), ("b", 1)]).await;
    let (first, _) = begun(ask(&*ledger, before.id, &some(&[("b", 1)])).await);
    let (last, refunding) = begun(ask(&*ledger, before.id, &some(&[("a", 2)])).await);
    assert_eq!((last.scope, refunding.state), (RefundScope::Order, OrderState::Refunding));
    assert_eq!(last.amount, AmountFen(2 * PRICE), "what was left");
    let waits = finish(&*ledger, last.id).await;
    assert_eq!(waits.state, OrderState::Refunding, "the first is on its way yet");
    assert_eq!(finish(&*ledger, first.id).await.state, OrderState::Refunded);
    assert_eq!(stock(&*ledger, &sale, "a").await, (10, 0, 0, 2));
    assert_eq!(money(&*ledger, &sale).await, [3, 0, 3, 0]);
}

pub async fn nobody_gets_back_more_than_they_bought(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 3)]).await;
    begun(ask(&*ledger, before.id, &some(&[("a", 2)])).await);
    let now = order(&*ledger, before.id).await;
    for (name, left) in [("a", 1), ("b", 0)] {
        let reply = ask(&*ledger, before.id, &some(&[(name, 2)])).await;
        let why = NoRefund::NotLeft { sku: sku(name), left };
        assert_eq!(reply, RefundReply::Refused(now.clone(), why));
    }
    let replies = together(8, |_| {
        let (ledger, id) = (Arc::clone(&ledger), before.id);
        async move { ask(&*ledger, id, &some(&[("a", 1)])).await }
    });
    let replies = replies.await;
    let begun = replies.iter().filter(|reply| matches!(reply, RefundReply::Begun(..)));
    assert_eq!(begun.count(), 1, "the last one once: {replies:?}");
    assert_eq!(stock(&*ledger, &sale, "a").await, (10, 0, 0, 3));
    assert_eq!(money(&*ledger, &sale).await, [3, 0, 0, 3]);
}

pub async fn a_refund_is_begun_once_under_its_id(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 4)]).await;
    let id = RefundId::of_request(before.id, "once");
    let replies = together(8, |_| {
        let (ledger, order) = (Arc::clone(&ledger), before.id);
        async move { ledger.begin_refund(order, id, &some(&[("a", 1)])).await.unwrap() }
    });
    let replies = replies.await;
    let first = replies.iter().filter(|reply| matches!(reply, RefundReply::Begun(..)));
    assert_eq!(first.count(), 1, "{replies:?}");
    let repeats = replies.iter().filter(|reply| matches!(reply, RefundReply::Already(..)));
    assert_eq!(repeats.count(), 7, "{replies:?}");
    assert_eq!(stock(&*ledger, &sale, "a").await, (7, 0, 3, 1));
    let other = fulfilled(&*ledger, &sale, "bob", &[("a", 1)]).await;
    let foreign = ledger.begin_refund(other.id, id, &RefundAsked::Order).await.unwrap();
    assert_eq!(foreign, RefundReply::Refused(other, NoRefund::WrongState), "another order's");
}

pub async fn only_a_fulfilled_order_is_refunded(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let nobody = ask(&*ledger, new_order_id(), &RefundAsked::Order).await;
    assert_eq!(nobody, RefundReply::NoSuchOrder);
    let id = reserve(&*ledger, &sale, wanting(1, "ada", &[("a", 1)])).await;
    let refused = async || {
        let now = order(&*ledger, id).await;
        let reply = ask(&*ledger, id, &RefundAsked::Order).await;
        assert_eq!(reply, RefundReply::Refused(now, NoRefund::WrongState));
    };
    refused().await;
    pay(&*ledger, id).await;
    refused().await;
    ledger.fulfil(id, OrderState::Fulfilling).await.unwrap();
    refused().await;
    ledger.fulfil(id, OrderState::Fulfilled).await.unwrap();
    let (refund, _) = begun(ask(&*ledger, id, &RefundAsked::Order).await);
    refused().await;
    finish(&*ledger, refund.id).await;
    refused().await;
    assert_eq!(money(&*ledger, &sale).await, [1, 0, 1, 0]);
}

pub async fn refunds_are_claimed_by_one_and_come_again(house: impl House<Port = Port>) {
    const LEASE: Duration = Duration::from_millis(900);
    let (ledger, sale) = open(&house).await;
    let mut begun_ids = BTreeSet::new();
    for name in ["ada", "bob", "cem", "dee", "eve"] {
        let order = fulfilled(&*ledger, &sale, name, &[("a", 1)]).await;
        begun_ids.insert(begun(ask(&*ledger, order.id, &RefundAsked::Order).await).0.id);
    }
    let claims = together(4, |_| {
        let ledger = Arc::clone(&ledger);
        async move { ledger.claim_refunds(LEASE, 2).await.unwrap() }
    });
    let mut claimed: Vec<Refund> = claims.await.into_iter().flatten().collect();
    claimed.extend(ledger.claim_refunds(LEASE, 10).await.unwrap());
    assert_eq!(claimed.len(), 5, "each by one of them");
    assert_eq!(claimed.iter().map(|refund| refund.id).collect::<BTreeSet<_>>(), begun_ids);
    assert!(claimed.iter().all(|refund| refund.tries == 1));
    assert!(ledger.claim_refunds(LEASE, 10).await.unwrap().is_empty());
    let ids: Vec<RefundId> = begun_ids.into_iter().collect();
    ledger.postpone_refund(ids[0], Duration::ZERO).await.unwrap();
    ledger.postpone_refund(ids[1], Duration::from_secs(600)).await.unwrap();
    finish(&*ledger, ids[2]).await;
    let soon = ledger.claim_refunds(LEASE, 10).await.unwrap();
    assert_eq!(
        soon.iter().map(|refund| (refund.id, refund.tries)).collect::<Vec<_>>(),
        [(ids[0], 2)]
    );
    house.pass(LEASE + Duration::from_millis(400)).await;
    let again = ledger.claim_refunds(LEASE, 10).await.unwrap();
    let again: BTreeSet<RefundId> = again.into_iter().map(|refund| refund.id).collect();
    assert_eq!(again, BTreeSet::from([ids[0], ids[3], ids[4]]), "what nobody finished");
}

pub async fn a_refund_is_finished_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    assert_eq!(ledger.finish_refund(new_refund_id()).await.unwrap(), None);
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 1)]).await;
    let (refund, _) = begun(ask(&*ledger, before.id, &RefundAsked::Order).await);
    let ends = together(6, |_| {
        let ledger = Arc::clone(&ledger);
        async move { ledger.finish_refund(refund.id).await.unwrap().unwrap() }
    });
    let now = order(&*ledger, before.id).await;
    for (known, order) in ends.await {
        assert_eq!((known.state, known.id), (RefundState::Done, refund.id));
        assert_eq!(order.state, OrderState::Refunded);
        assert_eq!(order.version, before.version.next().next(), "one step each: {now:?}");
    }
    assert_eq!(money(&*ledger, &sale).await, [1, 0, 1, 0]);
}

pub async fn late_money_for_goods_that_are_gone_goes_back(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = reserve(&*ledger, &sale, wanting(1, "ada", &[("b", 3)])).await;
    let payment = begin(&*ledger, id).await;
    close(&*ledger, id).await;
    fulfilled(&*ledger, &sale, "bob", &[("b", 3)]).await;
    let word = payment.found(PaymentState::Succeeded);
    let step = ledger.apply_payment(word.clone()).await.unwrap();
    let PaymentStep::Applied { order: refunding, gate: None } = step else { panic!("{step:?}") };
    assert_eq!(refunding.state, OrderState::Refunding);
    assert_eq!(
        stock(&*ledger, &sale, "b").await,
        (2, 0, 3, 0),
        "nothing is sold that is not there"
    );
    assert_eq!(money(&*ledger, &sale).await, [6, 3, 0, 3]);
    let refunds = ledger.refunds(id).await.unwrap();
    let [refund] = &refunds[..] else { panic!("{refunds:?}") };
    assert_eq!((refund.payment, refund.amount), (payment.id, payment.amount));
    assert_eq!((refund.cause, refund.scope), (RefundCause::Late, RefundScope::Order));
    assert_eq!(refund.items, None);
    let again = ledger.apply_payment(word).await.unwrap();
    assert!(matches!(again, PaymentStep::Ignored { .. }), "{again:?}");
    assert_eq!(ledger.refunds(id).await.unwrap().len(), 1);
    assert_eq!(finish(&*ledger, refund.id).await.state, OrderState::Refunded);
    assert_eq!(money(&*ledger, &sale).await, [6, 3, 3, 0]);
}

pub async fn late_money_of_a_buyer_with_another_order_is_surplus(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = reserve(&*ledger, &sale, wanting(1, "ada", &[("a", 2)])).await;
    let payment = begin(&*ledger, id).await;
    close(&*ledger, id).await;
    let other = reserve(&*ledger, &sale, wanting(2, "ada", &[("a", 1)])).await;
    let step = ledger.apply_payment(payment.found(PaymentState::Succeeded)).await.unwrap();
    assert!(matches!(&step, PaymentStep::Surplus(order) if order.id == id), "{step:?}");
    assert_eq!(order(&*ledger, id).await.state, OrderState::Closed, "it may not live again");
    assert_eq!(order(&*ledger, other).await.state, OrderState::AwaitingPayment);
    assert_eq!(stock(&*ledger, &sale, "a").await, (9, 1, 0, 0));
    assert_eq!(money(&*ledger, &sale).await, [2, 0, 0, 2]);
    let refund = ledger.refunds(id).await.unwrap().remove(0);
    assert_eq!(refund.cause, RefundCause::Surplus);
    assert_eq!(finish(&*ledger, refund.id).await.state, OrderState::Closed);
    assert_eq!(money(&*ledger, &sale).await, [2, 0, 2, 0]);
}

pub async fn late_money_for_a_closed_sale_goes_back(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = reserve(&*ledger, &sale, wanting(1, "ada", &[("a", 2)])).await;
    let payment = begin(&*ledger, id).await;
    close(&*ledger, id).await;
    let by = Author { name: "ops".into(), address: None };
    ledger.change_sale(&sale, None, SaleChange::Close, &by, None).await.unwrap();
    ledger.apply_payment(payment.found(PaymentState::Succeeded)).await.unwrap();
    assert_eq!(order(&*ledger, id).await.state, OrderState::Refunding);
    assert_eq!(stock(&*ledger, &sale, "a").await, (10, 0, 0, 0));
    assert_eq!(money(&*ledger, &sale).await, [2, 0, 0, 2]);
}

pub async fn a_failed_fulfilment_gives_everything_back(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = reserve(&*ledger, &sale, wanting(1, "ada", &[("a", 2)])).await;
    assert_eq!(ledger.fail_fulfilment(new_order_id()).await.unwrap(), RefundReply::NoSuchOrder);
    let early = ledger.fail_fulfilment(id).await.unwrap();
    assert!(matches!(early, RefundReply::Refused(_, NoRefund::WrongState)), "{early:?}");
    pay(&*ledger, id).await;
    let early = ledger.fail_fulfilment(id).await.unwrap();
    assert!(matches!(early, RefundReply::Refused(_, NoRefund::WrongState)), "{early:?}");
    ledger.fulfil(id, OrderState::Fulfilling).await.unwrap();
    let (refund, refunding) = begun(ledger.fail_fulfilment(id).await.unwrap());
    let states: Vec<OrderState> = refunding.history.iter().map(|change| change.state).collect();
    use OrderState::{AwaitingPayment, Failed, Fulfilling, Paid, Refunding};
    assert_eq!(states, [AwaitingPayment, Paid, Fulfilling, Failed, Refunding]);
    assert_eq!((refund.cause, refund.amount), (RefundCause::Failed, refunding.amount));
    assert_eq!(stock(&*ledger, &sale, "a").await, (10, 0, 0, 2));
    let again = ledger.fail_fulfilment(id).await.unwrap();
    assert_eq!(again, RefundReply::Already(refund.clone(), refunding));
    assert_eq!(finish(&*ledger, refund.id).await.state, OrderState::Refunded);
    assert_eq!(money(&*ledger, &sale).await, [2, 0, 2, 0]);
}

pub async fn what_the_provider_sends_back_by_itself_ends_the_order(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 3)]).await;
    begun(ask(&*ledger, before.id, &some(&[("a", 1)])).await);
    let payment = ledger.payment(before.payment.unwrap()).await.unwrap().unwrap();
    let word = payment.found(PaymentState::Refunded);
    let step = ledger.apply_payment(word.clone()).await.unwrap();
    let PaymentStep::Applied { order: refunded, .. } = step else { panic!("{step:?}") };
    assert_eq!(refunded.state, OrderState::Refunded);
    assert_eq!(stock(&*ledger, &sale, "a").await, (10, 0, 0, 3));
    assert_eq!(money(&*ledger, &sale).await, [3, 0, 3, 0]);
    let refunds = ledger.refunds(before.id).await.unwrap();
    assert!(refunds.iter().all(|refund| refund.state == RefundState::Done), "{refunds:?}");
    let causes: Vec<RefundCause> = refunds.iter().map(|refund| refund.cause).collect();
    assert!(causes.contains(&RefundCause::Provider) && causes.len() == 2, "{causes:?}");
    let again = ledger.apply_payment(word).await.unwrap();
    assert!(matches!(again, PaymentStep::Ignored { .. }), "{again:?}");
    assert!(ledger.claim_refunds(Duration::ZERO, 10).await.unwrap().is_empty());
}

/// The provider says that it sent all of a payment back; the order after that.
async fn sent_back(ledger: &dyn Ledger, payment: PaymentId) -> Order {
    let payment = ledger.payment(payment).await.unwrap().unwrap();
    let step = ledger.apply_payment(payment.found(PaymentState::Refunded)).await.unwrap();
    let PaymentStep::Applied { order, .. } = step else { panic!("{step:?}") };
    order
}

pub async fn money_sent_back_before_the_goods_were_issued_ends_the_order(
    house: impl House<Port = Port>,
) {
    let (ledger, sale) = open(&house).await;
    for (name, begun) in [("ada", false), ("bob", true)] {
        let id = reserve(&*ledger, &sale, wanting(1, name, &[("a", 2)])).await;
        pay(&*ledger, id).await;
        if begun {
            ledger.fulfil(id, OrderState::Fulfilling).await.unwrap();
        }
        let payment = order(&*ledger, id).await.payment.unwrap();
        let over = sent_back(&*ledger, payment).await;
        assert_eq!((over.state, over.lines[0].refunded), (OrderState::Refunded, 2), "{begun}");
        let fulfilled = ledger.fulfil(id, OrderState::Fulfilled).await.unwrap();
        assert!(matches!(fulfilled, StepReply::Wrong(_)), "nothing is issued: {fulfilled:?}");
    }
    assert_eq!(stock(&*ledger, &sale, "a").await, (10, 0, 0, 4));
    assert_eq!(money(&*ledger, &sale).await, [4, 0, 4, 0]);
}

pub async fn money_sent_back_during_a_change_ends_the_order(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 3)]).await;
    ledger.begin_change(before.id, None, &basket(&[("b", 1)])).await.unwrap();
    let over = sent_back(&*ledger, before.payment.unwrap()).await;
    assert_eq!(over.state, OrderState::Refunded);
    assert_eq!(ledger.changed(before.id).await.unwrap(), None);
    assert_eq!(stock(&*ledger, &sale, "a").await, (10, 0, 0, 3));
    assert_eq!(stock(&*ledger, &sale, "b").await, (5, 0, 0, 0));
    assert_eq!(money(&*ledger, &sale).await, [3, 0, 3, 0]);
}

pub async fn a_payment_that_failed_and_went_back_is_not_the_orders(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = reserve(&*ledger, &sale, wanting(1, "ada", &[("a", 2)])).await;
    let first = begin(&*ledger, id).await;
    assert_eq!(sent_back(&*ledger, first.id).await.state, OrderState::AwaitingPayment);
    let second = begin(&*ledger, id).await;
    ledger.apply_payment(second.found(PaymentState::Failed)).await.unwrap();
    pay(&*ledger, id).await;
    for to in [OrderState::Fulfilling, OrderState::Fulfilled] {
        ledger.fulfil(id, to).await.unwrap();
    }
    let paid_by = order(&*ledger, id).await.payment;
    assert!(paid_by.is_some_and(|payment| payment != first.id && payment != second.id));
    assert_eq!(sent_back(&*ledger, second.id).await.payment, paid_by);
    let (refund, _) = begun(ask(&*ledger, id, &RefundAsked::Order).await);
    assert_eq!(Some(refund.payment), paid_by);
    assert_eq!(finish(&*ledger, refund.id).await.state, OrderState::Refunded);
    assert_eq!(money(&*ledger, &sale).await, [6, 0, 6, 0]);
}

pub async fn money_on_its_way_keeps_its_sale(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 3)]).await;
    let (refund, _) = begun(ask(&*ledger, before.id, &some(&[("a", 1)])).await);
    let by = Author { name: "ops".into(), address: None };
    let kept = ledger.delete_sale(&sale, &by, None).await.unwrap();
    assert_eq!(kept, Deleted::Busy { open_orders: 1 });
    finish(&*ledger, refund.id).await;
    assert_eq!(ledger.delete_sale(&sale, &by, None).await.unwrap(), Deleted::Done);
    assert_eq!(ledger.refunds(before.id).await.unwrap(), []);
    assert_eq!(ledger.books(&sale).await.unwrap().money, []);
}
