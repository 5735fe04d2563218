//! Rules of words and steps that are taken together: each as it would be alone, and none for another's sake.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc};

use super::{
    House, assert_balanced,
    orders::{order, pay},
    samples::*,
};
use crate::{
    ids::{OrderId, PaymentId, SaleId},
    money::AmountFen,
    order::{ClosingCause, OrderState},
    ports::{
        HoldPhase, Ledger, NewPayment, OncePaid, OrderStep, Payment, PaymentState, PaymentStep,
        PaymentUpdate, StepReply,
    },
};

#[macro_export]
macro_rules! batches_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            batches:
            many_steps_are_taken_together,
            one_order_named_often_takes_each_step_once,
            many_words_are_applied_together,
            where_nobody_is_asked_an_order_is_fulfilled_with_its_payment,
        );
    };
}

type Port = Arc<dyn Ledger>;

async fn open(house: &impl House<Port = Port>) -> (Port, SaleId) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 100)]).await;
    (ledger, sale)
}

async fn ordered(ledger: &dyn Ledger, sale: &SaleId, seq: u64, units: u32) -> OrderId {
    reserve(ledger, sale, wanting(seq, &format!("buyer-{seq}"), &[("a", units)])).await
}

async fn begin(ledger: &dyn Ledger, order: OrderId) -> Payment {
    let reply = ledger.begin_payment(order, new_payment_id(), "simulated").await.unwrap();
    let NewPayment::New(payment) = reply else { panic!("a new payment was due: {reply:?}") };
    payment
}

async fn payment_state(ledger: &dyn Ledger, payment: PaymentId) -> PaymentState {
    ledger.payment(payment).await.unwrap().unwrap().state
}

async fn stock(ledger: &dyn Ledger, sale: &SaleId) -> (u64, u64, u64) {
    assert_balanced(ledger, sale).await;
    let a = balance(ledger, sale, "a").await;
    (a.available, a.held, a.sold)
}

pub async fn many_steps_are_taken_together(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let mut ids = Vec::new();
    for seq in 1..=9 {
        ids.push(ordered(&*ledger, &sale, seq, 1).await);
    }
    for id in &ids[..3] {
        ledger.begin_closing(*id, ClosingCause::Cancelled).await.unwrap();
    }
    for id in &ids[3..6] {
        pay(&*ledger, *id).await;
    }
    use OrderStep::{BeginFulfilment, CloseUnpaid, EndFulfilment};
    let mut steps: Vec<(OrderId, OrderStep)> =
        ids.iter().take(7).map(|id| (*id, CloseUnpaid)).collect();
    steps[3].1 = BeginFulfilment;
    steps[4].1 = EndFulfilment;
    steps.push((new_order_id(), CloseUnpaid));
    let replies = ledger.step_orders(steps).await.unwrap();
    assert_eq!(replies.len(), 8);
    let mut movements = BTreeSet::new();
    for (reply, id) in replies.iter().zip(&ids).take(3) {
        let StepReply::Done { order: closed, gate: Some(gate) } = reply else {
            panic!("{reply:?}")
        };
        assert_eq!((closed.id, closed.state), (*id, OrderState::Closed));
        assert_eq!(*closed, order(&*ledger, *id).await);
        assert_eq!((gate.hold, gate.phase), (closed.hold, HoldPhase::Released));
        movements.insert(gate.movement);
    }
    assert_eq!(movements.len(), 3, "a number for each");
    let StepReply::Done { order: begun, gate: None } = &replies[3] else { panic!("{replies:?}") };
    assert_eq!(*begun, order(&*ledger, ids[3]).await);
    for (place, state) in [(4, OrderState::Paid), (5, OrderState::Paid)] {
        assert_eq!(replies[place], StepReply::Wrong(order(&*ledger, ids[place]).await));
        assert_eq!(order(&*ledger, ids[place]).await.state, state);
    }
    assert!(matches!(replies[6], StepReply::Wrong(_)), "{:?}", replies[6]);
    assert_eq!(replies[7], StepReply::NoSuchOrder);
    let a = balance(&*ledger, &sale, "a").await;
    assert_eq!((a.available, a.held, a.sold), (94, 3, 3));
    assert_balanced(&*ledger, &sale).await;
}

pub async fn one_order_named_often_takes_each_step_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = ordered(&*ledger, &sale, 1, 1).await;
    pay(&*ledger, id).await;
    use OrderStep::{BeginFulfilment, EndFulfilment};
    let steps = [BeginFulfilment, EndFulfilment, EndFulfilment, BeginFulfilment];
    let steps = steps.into_iter().map(|step| (id, step)).collect();
    let replies = ledger.step_orders(steps).await.unwrap();
    let states: Vec<OrderState> =
        order(&*ledger, id).await.history.iter().map(|change| change.state).collect();
    use OrderState::{AwaitingPayment, Fulfilled, Fulfilling, Paid};
    assert_eq!(states, [AwaitingPayment, Paid, Fulfilling, Fulfilled], "{replies:?}");
    assert!(matches!(replies[2], StepReply::Already { .. }), "{replies:?}");
    assert!(matches!(replies[3], StepReply::Wrong(_)), "{replies:?}");
    assert_balanced(&*ledger, &sale).await;
}

/// The provider's first word: it is paid.
fn word(payment: &Payment) -> PaymentUpdate {
    PaymentUpdate { version: 1, ..payment.found(PaymentState::Succeeded) }
}

pub async fn many_words_are_applied_together(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let mut payments = Vec::new();
    for seq in 1..=12 {
        payments.push(begin(&*ledger, ordered(&*ledger, &sale, seq, 2).await).await);
    }
    ledger.apply_payment(word(&payments[0])).await.unwrap();
    ledger.begin_closing(payments[1].order, ClosingCause::Cancelled).await.unwrap();
    ledger.begin_closing(payments[2].order, ClosingCause::Deadline).await.unwrap();
    ledger.close_unpaid(payments[2].order).await.unwrap();
    let mut words: Vec<PaymentUpdate> = payments.iter().map(word).collect();
    words[3].amount = AmountFen(1);
    words[4].payment = new_payment_id();
    words[5].state = PaymentState::Failed;
    words[6].order = new_order_id();
    // The second of one order, in the same batch.
    words.push(words[7].clone());
    let steps = ledger.apply_payments(words, OncePaid::Waits).await.unwrap();
    assert_eq!(steps.len(), 13);
    let state = async |place: usize| order(&*ledger, payments[place].order).await.state;
    assert!(matches!(steps[0], PaymentStep::Ignored { gate: Some(_), .. }), "{:?}", steps[0]);
    assert_eq!(state(1).await, OrderState::Refunding);
    assert_eq!(state(2).await, OrderState::Paid, "its goods were still there");
    assert_eq!(steps[3], PaymentStep::WrongAmount);
    assert_eq!(steps[4], PaymentStep::Unknown);
    assert_eq!(state(5).await, OrderState::AwaitingPayment);
    let PaymentStep::Applied { order: failed, gate: None } = &steps[5] else {
        panic!("{:?}", steps[5])
    };
    assert_eq!(
        (failed.payment, payment_state(&*ledger, payments[5].id).await),
        (None, PaymentState::Failed)
    );
    assert_eq!(steps[6], PaymentStep::Unknown);
    for place in 7..12 {
        let PaymentStep::Applied { order: paid, gate: Some(gate) } = &steps[place] else {
            panic!("{:?}", steps[place])
        };
        assert_eq!(*paid, order(&*ledger, payments[place].order).await);
        assert_eq!((paid.state, gate.hold), (OrderState::Paid, paid.hold));
        assert_eq!((gate.phase, Some(&gate.basket)), (HoldPhase::Sold, paid.basket().as_ref()));
    }
    assert!(matches!(steps[12], PaymentStep::Ignored { gate: Some(_), .. }), "{:?}", steps[12]);
    // 1 + 5 + the late one are sold; 3, 4, 5 and 6 are still held; the cancelled one is free.
    assert_eq!(stock(&*ledger, &sale).await, (78, 8, 14));
}

pub async fn where_nobody_is_asked_an_order_is_fulfilled_with_its_payment(
    house: impl House<Port = Port>,
) {
    let (ledger, sale) = open(&house).await;
    let mut payments = Vec::new();
    for seq in 1..=6 {
        payments.push(begin(&*ledger, ordered(&*ledger, &sale, seq, 2).await).await);
    }
    ledger.begin_closing(payments[1].order, ClosingCause::Deadline).await.unwrap();
    ledger.begin_closing(payments[2].order, ClosingCause::Deadline).await.unwrap();
    ledger.close_unpaid(payments[2].order).await.unwrap();
    ledger.begin_closing(payments[3].order, ClosingCause::Cancelled).await.unwrap();
    ledger.apply_payment(word(&payments[4])).await.unwrap();
    let mut words: Vec<PaymentUpdate> = payments.iter().map(word).collect();
    // One whose order waits for somebody: that the payment is told again does not fulfil it.
    words[4].version = 2;
    let steps = ledger.apply_payments(words.clone(), OncePaid::Fulfilled).await.unwrap();
    use OrderState::{Fulfilled, Fulfilling, Paid};
    for place in [0, 1, 2, 5] {
        let PaymentStep::Applied { order: now, gate: Some(gate) } = &steps[place] else {
            panic!("{place}: {:?}", steps[place])
        };
        assert_eq!(*now, order(&*ledger, payments[place].order).await, "{place}");
        let states: Vec<OrderState> = now.history.iter().map(|change| change.state).collect();
        assert!(states.ends_with(&[Paid, Fulfilling, Fulfilled]), "{place}: {states:?}");
        assert_eq!((now.state, now.version.0), (Fulfilled, states.len() as u64), "{place}");
        assert_eq!(now.payment, Some(payments[place].id));
        assert_eq!((gate.hold, gate.phase), (now.hold, HoldPhase::Sold));
    }
    let state = async |place: usize| order(&*ledger, payments[place].order).await.state;
    assert_eq!(state(3).await, OrderState::Refunding);
    assert!(matches!(steps[4], PaymentStep::Applied { gate: None, .. }), "{:?}", steps[4]);
    assert_eq!(state(4).await, Paid);
    let again = ledger.apply_payments(words, OncePaid::Fulfilled).await.unwrap();
    for (place, step) in again.iter().enumerate() {
        assert!(matches!(step, PaymentStep::Ignored { .. }), "{place}: {step:?}");
    }
    assert_eq!(stock(&*ledger, &sale).await, (90, 0, 10));
}
