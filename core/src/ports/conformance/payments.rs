//! Rules of payments: one live payment per order, the provider's word applied once and forward only, the right amount,
//! and no money swallowed. Money that goes back has [its own](super::aftersales).

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::sync::Arc;

use super::{
    House, assert_balanced,
    orders::{done, order},
    samples::*,
    together,
};
use crate::{
    ids::{OrderId, PaymentId, SaleId},
    money::AmountFen,
    order::{ClosingCause, Order, OrderState},
    ports::{
        HoldPhase, HoldUpdate, Ledger, NewPayment, Payment, PaymentState, PaymentStep,
        PaymentUpdate, StepReply,
    },
    refund::{RefundCause, RefundScope},
};

#[macro_export]
macro_rules! payments_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            payments:
            an_order_has_one_live_payment,
            an_order_paid_for_at_once_has_one_live_payment,
            an_order_that_awaits_nothing_is_not_paid_for,
            a_success_pays_the_order_and_sells_its_hold,
            a_repeated_word_is_ignored,
            a_repeat_tells_the_gate_the_same_word,
            a_word_repeated_at_once_is_applied_once,
            an_older_version_is_ignored,
            a_failure_leaves_the_order_and_lets_another_payment_begin,
            a_wrong_amount_changes_nothing,
            an_unknown_payment_changes_nothing,
            an_order_found_paid_at_its_deadline_is_paid,
            an_order_found_paid_when_cancelled_is_not_sold,
            late_money_holds_the_goods_again_and_pays,
            money_for_a_paid_order_goes_back,
            paying_and_closing_at_once_sell_once,
            what_was_answered_of_a_payment_survives_a_crash,
        );
    };
}

type Port = Arc<dyn Ledger>;

async fn open(house: &impl House<Port = Port>) -> (Port, SaleId, OrderId) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 100)]).await;
    let order = reserve(&*ledger, &sale, wanting(1, "ada", &[("a", 2)])).await;
    (ledger, sale, order)
}

async fn begin(ledger: &dyn Ledger, order: OrderId) -> Payment {
    let reply = ledger.begin_payment(order, new_payment_id(), "simulated").await.unwrap();
    let NewPayment::New(payment) = reply else { panic!("a new payment was due: {reply:?}") };
    payment
}

fn word(payment: &Payment, version: u64, state: PaymentState) -> PaymentUpdate {
    PaymentUpdate {
        payment: payment.id,
        order: payment.order,
        version,
        state,
        amount: payment.amount,
        currency: payment.currency,
    }
}

async fn apply(ledger: &dyn Ledger, update: PaymentUpdate) -> PaymentStep {
    ledger.apply_payment(update).await.unwrap()
}

async fn succeed(ledger: &dyn Ledger, payment: &Payment, version: u64) -> PaymentStep {
    apply(ledger, word(payment, version, PaymentState::Succeeded)).await
}

/// The order and the word for the gate that came with a word which is no news.
fn ignored(step: PaymentStep) -> (Order, Option<HoldUpdate>) {
    let PaymentStep::Ignored { order, gate } = step else { panic!("no news was due: {step:?}") };
    (order, gate)
}

async fn payment_state(ledger: &dyn Ledger, payment: PaymentId) -> (PaymentState, u64) {
    let payment = ledger.payment(payment).await.unwrap().unwrap();
    (payment.state, payment.version)
}

async fn stock(ledger: &dyn Ledger, sale: &SaleId) -> (u64, u64, u64) {
    assert_balanced(ledger, sale).await;
    let a = balance(ledger, sale, "a").await;
    (a.available, a.held, a.sold)
}

pub async fn an_order_has_one_live_payment(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let payment = begin(&*ledger, id).await;
    let order = order(&*ledger, id).await;
    assert_eq!((payment.order, payment.state, payment.version), (id, PaymentState::Pending, 0));
    assert_eq!((payment.amount, payment.currency), (order.amount, order.currency));
    assert_eq!(payment.provider, "simulated");
    assert_eq!(order.payment, Some(payment.id));
    assert_eq!(ledger.payment(payment.id).await.unwrap(), Some(payment.clone()));
    for asked in [payment.id, new_payment_id()] {
        let again = ledger.begin_payment(id, asked, "simulated").await.unwrap();
        assert_eq!(again, NewPayment::Live(payment.clone()));
    }
    assert_eq!(ledger.payment(new_payment_id()).await.unwrap(), None);
    assert_eq!(stock(&*ledger, &sale).await, (98, 2, 0));
}

pub async fn an_order_paid_for_at_once_has_one_live_payment(house: impl House<Port = Port>) {
    let (ledger, _, id) = open(&house).await;
    let replies = together(12, |_| {
        let ledger = Arc::clone(&ledger);
        async move { ledger.begin_payment(id, new_payment_id(), "simulated").await.unwrap() }
    });
    let replies = replies.await;
    let new: Vec<&Payment> = replies
        .iter()
        .filter_map(|reply| match reply {
            NewPayment::New(payment) => Some(payment),
            NewPayment::Live(_) | NewPayment::WrongState(_) | NewPayment::NoSuchOrder => None,
        })
        .collect();
    assert_eq!(new.len(), 1, "{replies:?}");
    let live = NewPayment::Live(new[0].clone());
    assert_eq!(replies.iter().filter(|reply| **reply == live).count(), 11);
}

pub async fn an_order_that_awaits_nothing_is_not_paid_for(house: impl House<Port = Port>) {
    let (ledger, _, id) = open(&house).await;
    let begin =
        async |order| ledger.begin_payment(order, new_payment_id(), "simulated").await.unwrap();
    assert_eq!(begin(new_order_id()).await, NewPayment::NoSuchOrder);
    ledger.begin_closing(id, ClosingCause::Cancelled).await.unwrap();
    assert_eq!(begin(id).await, NewPayment::WrongState(OrderState::Closing));
    ledger.close_unpaid(id).await.unwrap();
    assert_eq!(begin(id).await, NewPayment::WrongState(OrderState::Closed));
}

pub async fn a_success_pays_the_order_and_sells_its_hold(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let held = ledger.gate_image(&sale).await.unwrap().holds.remove(0);
    let payment = begin(&*ledger, id).await;
    let before = order(&*ledger, id).await;
    let step = succeed(&*ledger, &payment, 1).await;
    let PaymentStep::Applied { order: paid, gate: Some(gate) } = step else { panic!("{step:?}") };
    assert_eq!((paid.state, paid.version), (OrderState::Paid, before.version.next()));
    assert_eq!(paid, order(&*ledger, id).await);
    assert_eq!((gate.hold, gate.phase), (paid.hold, HoldPhase::Sold));
    assert_eq!(gate.basket, held.basket);
    assert!(gate.movement > held.movement, "a later word than the hold's own");
    assert_eq!(payment_state(&*ledger, payment.id).await, (PaymentState::Succeeded, 1));
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2));
}

pub async fn a_repeated_word_is_ignored(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let payment = begin(&*ledger, id).await;
    succeed(&*ledger, &payment, 1).await;
    let paid = order(&*ledger, id).await;
    for _ in 0..2 {
        assert_eq!(ignored(succeed(&*ledger, &payment, 1).await).0, paid);
    }
    let contradiction = word(&payment, 1, PaymentState::Failed);
    assert_eq!(ignored(apply(&*ledger, contradiction).await).0, paid);
    assert_eq!(order(&*ledger, id).await, paid);
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2));
}

/// Whoever was told first may have lost it on the way to the gate.
pub async fn a_repeat_tells_the_gate_the_same_word(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let held = ledger.gate_image(&sale).await.unwrap().holds.remove(0);
    let failed = begin(&*ledger, id).await;
    apply(&*ledger, word(&failed, 1, PaymentState::Failed)).await;
    let repeated = ignored(apply(&*ledger, word(&failed, 1, PaymentState::Failed)).await).1;
    let said = repeated.map(|gate| (gate.hold, gate.movement, gate.phase));
    assert_eq!(said, Some((held.hold, held.movement, HoldPhase::Held)), "it is still held");

    let payment = begin(&*ledger, id).await;
    let step = succeed(&*ledger, &payment, 1).await;
    let PaymentStep::Applied { gate: Some(sold), .. } = step else { panic!("{step:?}") };
    for update in [
        word(&payment, 1, PaymentState::Succeeded),
        word(&payment, 0, PaymentState::Failed),
        word(&failed, 1, PaymentState::Failed),
    ] {
        assert_eq!(ignored(apply(&*ledger, update).await).1.as_ref(), Some(&sold));
    }

    let cancelled = reserve(&*ledger, &sale, wanting(2, "bob", &[("a", 3)])).await;
    let payment = begin(&*ledger, cancelled).await;
    ledger.begin_closing(cancelled, ClosingCause::Cancelled).await.unwrap();
    let step = succeed(&*ledger, &payment, 1).await;
    let PaymentStep::Applied { gate: Some(released), .. } = step else { panic!("{step:?}") };
    assert_eq!(released.phase, HoldPhase::Released);
    assert_eq!(ignored(succeed(&*ledger, &payment, 1).await).1, Some(released));
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2), "told twice, done once");
}

pub async fn a_word_repeated_at_once_is_applied_once(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let payment = begin(&*ledger, id).await;
    let steps = together(16, |_| {
        let (ledger, payment) = (Arc::clone(&ledger), payment.clone());
        async move { succeed(&*ledger, &payment, 1).await }
    });
    let steps = steps.await;
    let applied = steps.iter().filter(|step| matches!(step, PaymentStep::Applied { .. }));
    assert_eq!(applied.count(), 1);
    let ignored = steps.iter().filter(|step| matches!(step, PaymentStep::Ignored { .. }));
    assert_eq!(ignored.count(), 15, "{steps:?}");
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2));
}

pub async fn an_older_version_is_ignored(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let payment = begin(&*ledger, id).await;
    succeed(&*ledger, &payment, 5).await;
    let paid = order(&*ledger, id).await;
    for state in [PaymentState::Failed, PaymentState::Succeeded, PaymentState::Closed] {
        let old = word(&payment, 4, state);
        assert_eq!(ignored(apply(&*ledger, old).await).0, paid, "{state:?}");
    }
    assert_eq!(payment_state(&*ledger, payment.id).await, (PaymentState::Succeeded, 5));

    let second = reserve(&*ledger, &sale, entry(2, "bob")).await;
    let payment = begin(&*ledger, second).await;
    apply(&*ledger, word(&payment, 5, PaymentState::Failed)).await;
    let step = succeed(&*ledger, &payment, 4).await;
    assert!(matches!(step, PaymentStep::Ignored { .. }), "an older success pays nothing: {step:?}");
    assert_eq!(order(&*ledger, second).await.state, OrderState::AwaitingPayment);
    assert_eq!(stock(&*ledger, &sale).await, (97, 1, 2));
}

pub async fn a_failure_leaves_the_order_and_lets_another_payment_begin(
    house: impl House<Port = Port>,
) {
    let (ledger, sale, id) = open(&house).await;
    let first = begin(&*ledger, id).await;
    let step = apply(&*ledger, word(&first, 1, PaymentState::Failed)).await;
    let PaymentStep::Applied { order: still, .. } = step else { panic!("{step:?}") };
    assert_eq!(still.state, OrderState::AwaitingPayment);
    assert_eq!(payment_state(&*ledger, first.id).await, (PaymentState::Failed, 1));
    assert_eq!(stock(&*ledger, &sale).await, (98, 2, 0));
    let second = begin(&*ledger, id).await;
    assert_ne!(second.id, first.id);
    assert_eq!(order(&*ledger, id).await.payment, Some(second.id));
    succeed(&*ledger, &second, 1).await;
    assert_eq!(order(&*ledger, id).await.state, OrderState::Paid);
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2));
}

pub async fn a_wrong_amount_changes_nothing(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let payment = begin(&*ledger, id).await;
    let before = order(&*ledger, id).await;
    let good = word(&payment, 1, PaymentState::Succeeded);
    let wrong = [
        PaymentUpdate { amount: AmountFen(good.amount.0 - 1), ..good.clone() },
        PaymentUpdate { amount: AmountFen(good.amount.0 + 1), ..good.clone() },
        PaymentUpdate { amount: AmountFen(0), ..good.clone() },
        PaymentUpdate { amount: AmountFen(-good.amount.0), ..good.clone() },
        PaymentUpdate { currency: "USD".parse().unwrap(), ..good.clone() },
    ];
    for update in wrong {
        assert_eq!(apply(&*ledger, update).await, PaymentStep::WrongAmount);
    }
    assert_eq!(order(&*ledger, id).await, before);
    assert_eq!(payment_state(&*ledger, payment.id).await, (PaymentState::Pending, 0));
    assert_eq!(stock(&*ledger, &sale).await, (98, 2, 0));
    let step = apply(&*ledger, good).await;
    assert!(matches!(step, PaymentStep::Applied { .. }), "the right one is still news: {step:?}");
}

pub async fn an_unknown_payment_changes_nothing(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let payment = begin(&*ledger, id).await;
    let other = reserve(&*ledger, &sale, wanting(2, "bob", &[("a", 2)])).await;
    let good = word(&payment, 1, PaymentState::Succeeded);
    for update in [
        PaymentUpdate { payment: new_payment_id(), ..good.clone() },
        PaymentUpdate { order: other, ..good.clone() },
        PaymentUpdate { order: new_order_id(), ..good },
    ] {
        assert_eq!(apply(&*ledger, update).await, PaymentStep::Unknown);
    }
    for id in [id, other] {
        assert_eq!(order(&*ledger, id).await.state, OrderState::AwaitingPayment);
    }
    assert_eq!(stock(&*ledger, &sale).await, (96, 4, 0));
}

pub async fn an_order_found_paid_at_its_deadline_is_paid(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let payment = begin(&*ledger, id).await;
    ledger.begin_closing(id, ClosingCause::Deadline).await.unwrap();
    let step = succeed(&*ledger, &payment, 1).await;
    assert!(matches!(step, PaymentStep::Applied { gate: Some(_), .. }), "{step:?}");
    assert_eq!(order(&*ledger, id).await.state, OrderState::Paid);
    let close = ledger.close_unpaid(id).await.unwrap();
    assert!(matches!(close, StepReply::Wrong(_)), "{close:?}");
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2));
}

/// Nobody keeps money for what was cancelled.
pub async fn an_order_found_paid_when_cancelled_is_not_sold(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let payment = begin(&*ledger, id).await;
    ledger.begin_closing(id, ClosingCause::Cancelled).await.unwrap();
    let step = succeed(&*ledger, &payment, 1).await;
    assert!(!matches!(step, PaymentStep::Ignored { .. }), "money is never swallowed: {step:?}");
    assert_eq!(payment_state(&*ledger, payment.id).await, (PaymentState::Succeeded, 1));
    let after = order(&*ledger, id).await.state;
    assert_eq!(after, OrderState::Refunding, "the buyer had cancelled");
    assert_eq!(stock(&*ledger, &sale).await, (100, 0, 0), "nothing is sold");
    let refunds = ledger.refunds(id).await.unwrap();
    let [refund] = &refunds[..] else { panic!("{refunds:?}") };
    assert_eq!((refund.cause, refund.amount), (RefundCause::Cancelled, payment.amount));
    let (_, refunded) = ledger.finish_refund(refund.id).await.unwrap().unwrap();
    assert_eq!(refunded.state, OrderState::Refunded);
    assert_eq!(stock(&*ledger, &sale).await, (100, 0, 0));
}

pub async fn late_money_holds_the_goods_again_and_pays(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let payment = begin(&*ledger, id).await;
    ledger.begin_closing(id, ClosingCause::Deadline).await.unwrap();
    let (closed, released) = done(ledger.close_unpaid(id).await.unwrap());
    let step = succeed(&*ledger, &payment, 1).await;
    let PaymentStep::Applied { order: paid, gate: Some(gate) } = step else { panic!("{step:?}") };
    assert_eq!((paid.state, paid.version), (OrderState::Paid, closed.version.next()));
    assert_eq!(paid, order(&*ledger, id).await);
    assert_ne!(paid.hold, closed.hold, "the old one is over for good");
    assert_eq!((gate.hold, gate.phase), (paid.hold, HoldPhase::Sold));
    assert_eq!(Some(&gate.basket), paid.basket().as_ref());
    assert!(gate.movement > released.unwrap().movement, "a later word");
    assert_eq!(payment_state(&*ledger, payment.id).await, (PaymentState::Succeeded, 1));
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2));
    for _ in 0..2 {
        let (again, word) = ignored(succeed(&*ledger, &payment, 1).await);
        assert_eq!((again, word), (paid.clone(), Some(gate.clone())));
    }
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2), "held again once");
}

pub async fn money_for_a_paid_order_goes_back(house: impl House<Port = Port>) {
    let (ledger, sale, id) = open(&house).await;
    let first = begin(&*ledger, id).await;
    apply(&*ledger, word(&first, 1, PaymentState::Failed)).await;
    let second = begin(&*ledger, id).await;
    succeed(&*ledger, &second, 1).await;
    let paid: Order = order(&*ledger, id).await;
    let step = succeed(&*ledger, &first, 2).await;
    assert!(matches!(&step, PaymentStep::Surplus(order) if order.id == id), "{step:?}");
    let after = order(&*ledger, id).await;
    assert_eq!((after.state, after.payment), (paid.state, Some(second.id)));
    assert_eq!(payment_state(&*ledger, first.id).await, (PaymentState::Succeeded, 2));
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2), "sold once");
    let refunds = ledger.refunds(id).await.unwrap();
    let [refund] = &refunds[..] else { panic!("{refunds:?}") };
    assert_eq!((refund.payment, refund.amount), (first.id, first.amount));
    assert_eq!((refund.cause, refund.scope), (RefundCause::Surplus, RefundScope::Money));
    ledger.finish_refund(refund.id).await.unwrap();
    assert_eq!(payment_state(&*ledger, first.id).await.0, PaymentState::Refunded);
    let still = order(&*ledger, id).await;
    assert_eq!((still.state, still.payment), (paid.state, Some(second.id)));
    assert_eq!(stock(&*ledger, &sale).await, (98, 0, 2), "it keeps what it paid for");
}

/// Money that comes before the close pays, and money that comes after it holds the goods again.
pub async fn paying_and_closing_at_once_sell_once(house: impl House<Port = Port>) {
    let (ledger, sale, first) = open(&house).await;
    let mut expected = (100, 0, 0);
    for seq in 1..=12 {
        let id = if seq == 1 {
            first
        } else {
            reserve(&*ledger, &sale, wanting(seq, &format!("buyer-{seq}"), &[("a", 2)])).await
        };
        let payment = begin(&*ledger, id).await;
        ledger.begin_closing(id, ClosingCause::Deadline).await.unwrap();
        let (payer, closer) = (Arc::clone(&ledger), Arc::clone(&ledger));
        let mut race = tokio::task::JoinSet::new();
        race.spawn(async move { succeed(&*payer, &payment, 1).await.eq(&PaymentStep::Unknown) });
        race.spawn(async move { closer.close_unpaid(id).await.is_err() });
        assert!(race.join_all().await.into_iter().all(|failed| !failed));
        assert_eq!(order(&*ledger, id).await.state, OrderState::Paid);
        (expected.0, expected.2) = (expected.0 - 2, expected.2 + 2);
        assert_eq!(stock(&*ledger, &sale).await, expected);
    }
}

/// An answer that comes before the commit is caught here: the crash follows the answer at once.
pub async fn what_was_answered_of_a_payment_survives_a_crash(mut house: impl House<Port = Port>) {
    let (mut ledger, sale, first) = open(&house).await;
    for seq in 1..=6 {
        let id = if seq == 1 {
            first
        } else {
            reserve(&*ledger, &sale, wanting(seq, &format!("buyer-{seq}"), &[("a", 2)])).await
        };
        let payment = begin(&*ledger, id).await;
        house.crash().await;
        ledger = house.port();
        assert_eq!(ledger.payment(payment.id).await.unwrap().as_ref(), Some(&payment));
        let step = succeed(&*ledger, &payment, 1).await;
        house.crash().await;
        ledger = house.port();
        let PaymentStep::Applied { order: paid, .. } = step else { panic!("{step:?}") };
        assert_eq!(order(&*ledger, id).await, paid);
        assert_eq!(stock(&*ledger, &sale).await, (100 - 2 * seq, 0, 2 * seq));
    }
}
