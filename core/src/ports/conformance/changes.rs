//! Rules of orders that are changed: the new goods are held before the old are freed, once, and whatever happens in between
//! leaves one valid order; the books of goods and of money add up after every step.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{sync::Arc, time::Duration};

use super::{
    House,
    aftersales::{ask, begun, finish, fulfilled, money, open, some, stock},
    orders::order,
    samples::*,
    together,
};
use crate::{
    change::NoChange,
    ids::{HoldId, OrderId},
    money::AmountFen,
    order::{Order, OrderState},
    ports::{ChangeEnd, ChangeReply, HoldPhase, HoldUpdate, Ledger, PaymentState},
    refund::{RefundAsked, RefundCause, RefundScope, RefundState},
};

#[macro_export]
macro_rules! changes_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            changes:
            a_change_holds_the_new_goods_before_it_frees_the_old,
            a_change_that_ends_at_once_ends_once,
            a_change_is_undone,
            a_wish_is_granted_once,
            a_change_that_does_not_fit_changes_nothing,
            a_changed_order_is_given_back_like_any_other,
            what_was_begun_after_the_sale_survives_a_crash,
        );
    };
}

type Port = Arc<dyn Ledger>;

/// The order and the word for the gate after a step of a change that must have been taken.
fn changed(reply: ChangeReply) -> (Order, HoldUpdate) {
    let ChangeReply::Done { order, gate } = reply else { panic!("the step was due: {reply:?}") };
    (order, gate)
}

pub async fn a_change_holds_the_new_goods_before_it_frees_the_old(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 4)]).await;
    assert_eq!(ledger.changed(before.id).await.unwrap(), None);
    let goods = basket(&[("a", 1), ("b", 2)]);
    let (changing, held) = changed(ledger.begin_change(before.id, None, &goods).await.unwrap());
    assert_eq!((changing.state, changing.version), (OrderState::Changing, before.version.next()));
    assert_eq!((&changing.lines, changing.hold), (&before.lines, before.hold), "as it was yet");
    assert_eq!((held.phase, &held.basket), (HoldPhase::Held, &goods));
    assert_eq!(stock(&*ledger, &sale, "a").await, (5, 1, 4, 0), "both are its own");
    assert_eq!(stock(&*ledger, &sale, "b").await, (3, 2, 0, 0));
    assert_eq!(money(&*ledger, &sale).await, [4, 4, 0, 0]);
    let will_be = ledger.changed(before.id).await.unwrap().unwrap();
    assert_eq!((will_be.basket(), will_be.amount), (Some(goods.clone()), AmountFen(3 * PRICE)));
    let again = ledger.begin_change(before.id, None, &goods).await.unwrap();
    assert_eq!(again, ChangeReply::Already(changing));
    let other = ledger.begin_change(before.id, None, &basket(&[("b", 1)])).await.unwrap();
    assert!(matches!(other, ChangeReply::Refused(_, NoChange::WrongState)), "{other:?}");

    let (after, sold) = changed(ledger.end_change(before.id, ChangeEnd::Made).await.unwrap());
    assert_eq!((after.state, after.basket()), (OrderState::Fulfilled, Some(goods.clone())));
    assert_eq!((after.amount, after.hold), (AmountFen(3 * PRICE), held.hold));
    assert_eq!((sold.hold, sold.phase), (held.hold, HoldPhase::Sold));
    assert!(sold.movement > held.movement);
    assert_eq!(stock(&*ledger, &sale, "a").await, (9, 0, 1, 4));
    assert_eq!(stock(&*ledger, &sale, "b").await, (3, 0, 2, 0));
    assert_eq!(money(&*ledger, &sale).await, [4, 3, 0, 1], "the difference goes back");
    let refund = ledger.refunds(before.id).await.unwrap().remove(0);
    assert_eq!((refund.cause, refund.scope), (RefundCause::Changed, RefundScope::Money));
    assert_eq!(finish(&*ledger, refund.id).await, after);
    let same = ledger.begin_change(before.id, None, &goods).await.unwrap();
    assert_eq!(same, ChangeReply::Already(after), "it consists of them");
}

pub async fn a_change_that_ends_at_once_ends_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 2)]).await;
    ledger.begin_change(before.id, None, &basket(&[("b", 2)])).await.unwrap();
    let ends = together(8, |n| {
        let (ledger, id) = (Arc::clone(&ledger), before.id);
        let end = if n % 2 == 0 { ChangeEnd::Made } else { ChangeEnd::Undone };
        async move { (end, ledger.end_change(id, end).await.unwrap()) }
    });
    let ends = ends.await;
    let taken = ends.iter().filter(|(_, reply)| matches!(reply, ChangeReply::Done { .. }));
    let taken: Vec<ChangeEnd> = taken.map(|(end, _)| *end).collect();
    assert_eq!(taken.len(), 1, "{ends:?}");
    let now = order(&*ledger, before.id).await;
    assert_eq!(now.state, OrderState::Fulfilled);
    let (a, b) = (stock(&*ledger, &sale, "a").await, stock(&*ledger, &sale, "b").await);
    match taken[0] {
        ChangeEnd::Made => assert_eq!((a, b), ((10, 0, 0, 2), (3, 0, 2, 0))),
        ChangeEnd::Undone => assert_eq!((a, b), ((8, 0, 2, 0), (5, 0, 0, 0))),
    }
}

/// Its repeat comes late, after another wish.
pub async fn a_wish_is_granted_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 2)]).await;
    let wish = |key| Some(HoldId::of_request(before.id, key));
    let (first, second) = (basket(&[("b", 2)]), basket(&[("a", 1)]));
    let refused = ledger.begin_change(before.id, wish("one"), &basket(&[("b", 6)])).await.unwrap();
    assert!(matches!(refused, ChangeReply::Refused(..)), "{refused:?}");
    for (key, goods) in [("one", &first), ("two", &second)] {
        let (_, held) = changed(ledger.begin_change(before.id, wish(key), goods).await.unwrap());
        assert_eq!(Some(held.hold), wish(key), "what was refused is not granted");
        changed(ledger.end_change(before.id, ChangeEnd::Made).await.unwrap());
    }
    let now = order(&*ledger, before.id).await;
    for (key, goods) in [("one", &first), ("two", &second)] {
        let again = ledger.begin_change(before.id, wish(key), goods).await.unwrap();
        assert_eq!(again, ChangeReply::Already(now.clone()), "{key}");
    }
    assert_eq!(now.basket(), Some(second));
    assert_eq!(stock(&*ledger, &sale, "b").await, (5, 0, 0, 2));
}

pub async fn a_change_is_undone(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 2)]).await;
    let (_, held) =
        changed(ledger.begin_change(before.id, None, &basket(&[("b", 2)])).await.unwrap());
    let (after, word) = changed(ledger.end_change(before.id, ChangeEnd::Undone).await.unwrap());
    assert_eq!((after.state, after.basket()), (OrderState::Fulfilled, before.basket()));
    assert_eq!((after.hold, after.amount), (before.hold, before.amount));
    assert_eq!((word.hold, word.phase), (held.hold, HoldPhase::Released));
    assert_eq!(stock(&*ledger, &sale, "a").await, (8, 0, 2, 0));
    assert_eq!(stock(&*ledger, &sale, "b").await, (5, 0, 0, 0));
    assert_eq!(ledger.refunds(before.id).await.unwrap(), []);
    let (again, other) =
        changed(ledger.begin_change(before.id, None, &basket(&[("b", 1)])).await.unwrap());
    assert_eq!(again.state, OrderState::Changing);
    assert_ne!(other.hold, held.hold, "another hold for another try");
}

pub async fn a_change_that_does_not_fit_changes_nothing(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let unpaid = reserve(&*ledger, &sale, wanting(1, "bob", &[("b", 4)])).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 2)]).await;
    let refused = async |id: OrderId, items: &[(&str, u32)], why: NoChange| {
        let now = order(&*ledger, id).await;
        let reply = ledger.begin_change(id, None, &basket(items)).await.unwrap();
        assert_eq!(reply, ChangeReply::Refused(now.clone(), why));
        assert_eq!(order(&*ledger, id).await, now);
    };
    refused(unpaid, &[("a", 1)], NoChange::WrongState).await;
    refused(before.id, &[("b", 2)], NoChange::SoldOut(sku("b"))).await;
    refused(before.id, &[("a", 3)], NoChange::Dearer { by: AmountFen(PRICE) }).await;
    refused(before.id, &[("a", 7)], NoChange::OverLimit { most: 6 }).await;
    refused(before.id, &[("c", 1)], NoChange::NoSuchSku(sku("c"))).await;
    let nobody = ledger.begin_change(new_order_id(), None, &basket(&[("a", 1)])).await.unwrap();
    assert_eq!(nobody, ChangeReply::NoSuchOrder);
    begun(ask(&*ledger, before.id, &some(&[("a", 1)])).await);
    refused(before.id, &[("b", 1)], NoChange::PartlyRefunded).await;
    assert_eq!(stock(&*ledger, &sale, "a").await, (9, 0, 1, 1));
    assert_eq!(stock(&*ledger, &sale, "b").await, (1, 4, 0, 0));
}

pub async fn a_changed_order_is_given_back_like_any_other(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 3)]).await;
    ledger.begin_change(before.id, None, &basket(&[("b", 2)])).await.unwrap();
    ledger.end_change(before.id, ChangeEnd::Made).await.unwrap();
    let (refund, refunding) = begun(ask(&*ledger, before.id, &RefundAsked::Order).await);
    assert_eq!((refund.amount, refunding.state), (AmountFen(2 * PRICE), OrderState::Refunding));
    assert_eq!(stock(&*ledger, &sale, "b").await, (5, 0, 0, 2));
    assert_eq!(money(&*ledger, &sale).await, [3, 0, 0, 3]);
    assert_eq!(finish(&*ledger, refund.id).await.state, OrderState::Refunding);
    for refund in ledger.refunds(before.id).await.unwrap() {
        finish(&*ledger, refund.id).await;
    }
    assert_eq!(order(&*ledger, before.id).await.state, OrderState::Refunded);
    let payment = ledger.payment(refund.payment).await.unwrap().unwrap();
    assert_eq!(payment.state, PaymentState::Refunded, "all of it, in two parts");
    assert_eq!(money(&*ledger, &sale).await, [3, 0, 3, 0]);
}

/// An answer that comes before the commit is caught here: the crash follows the answer at once.
pub async fn what_was_begun_after_the_sale_survives_a_crash(mut house: impl House<Port = Port>) {
    let (mut ledger, sale) = open(&house).await;
    let before = fulfilled(&*ledger, &sale, "ada", &[("a", 4)]).await;
    let goods = basket(&[("b", 3)]);
    let (changing, _) = changed(ledger.begin_change(before.id, None, &goods).await.unwrap());
    house.crash().await;
    ledger = house.port();
    assert_eq!(order(&*ledger, before.id).await, changing);
    house.pass(Duration::from_millis(900)).await;
    let left = ledger.unfinished(Duration::from_millis(500), 10).await.unwrap();
    assert_eq!(left, [changing], "whoever sweeps finds it");
    assert_eq!(ledger.begun(10).await.unwrap(), left);
    let (after, _) = changed(ledger.end_change(before.id, ChangeEnd::Made).await.unwrap());
    house.crash().await;
    ledger = house.port();
    assert_eq!(order(&*ledger, before.id).await, after);
    let (refund, partly) = begun(ask(&*ledger, before.id, &some(&[("b", 1)])).await);
    house.crash().await;
    ledger = house.port();
    assert_eq!(order(&*ledger, before.id).await, partly);
    assert!(ledger.refunds(before.id).await.unwrap().contains(&refund));
    finish(&*ledger, refund.id).await;
    house.crash().await;
    ledger = house.port();
    let known = ledger.refunds(before.id).await.unwrap();
    let known = known.iter().find(|known| known.id == refund.id).unwrap();
    assert_eq!(known.state, RefundState::Done);
    assert_eq!(stock(&*ledger, &sale, "a").await, (10, 0, 0, 4));
    assert_eq!(stock(&*ledger, &sale, "b").await, (3, 0, 2, 1));
    assert_eq!(money(&*ledger, &sale).await, [4, 2, 1, 1]);
}
