//! Rules of the book of orders: forward only, one step once, and stock given back with the step that ends an order.
//! Payments have [their own](super::payments).

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{House, assert_balanced, samples::*, together};
use crate::{
    ids::{OrderId, SaleId, Version},
    order::{ClosingCause, Order, OrderState},
    policy::PolicyPatch,
    ports::{HoldPhase, HoldUpdate, Ledger, OrderCount, PaymentState, PaymentUpdate, StepReply},
};

#[macro_export]
macro_rules! orders_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            orders:
            an_unknown_order_takes_no_step,
            an_order_begins_to_close_once,
            a_closed_order_gives_its_stock_back_once,
            an_order_closed_at_once_gives_its_stock_back_once,
            an_open_order_is_not_closed_unpaid,
            a_closed_order_frees_its_entry,
            a_paid_order_is_fulfilled_step_by_step,
            a_paid_order_is_not_closed,
            every_step_is_one_version_and_one_row_on,
            deadlines_are_swept_when_they_have_passed,
            deadlines_are_swept_once,
            sweepers_at_once_get_different_orders,
            sweeps_take_the_oldest_up_to_their_limit,
            what_a_crash_left_is_found,
            orders_are_counted_by_state,
            steps_survive_a_crash,
        );
    };
}

type Port = Arc<dyn Ledger>;

/// Longer than the window of [`open_short`].
const LATE: Duration = Duration::from_millis(1_400);

async fn open(house: &impl House<Port = Port>) -> (Port, SaleId) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 100)]).await;
    (ledger, sale)
}

/// A sale whose orders must be paid within a second.
async fn open_short(house: &impl House<Port = Port>) -> (Port, SaleId) {
    let ledger = house.port();
    let patch = PolicyPatch { payment_window_seconds: Some(1), ..PolicyPatch::default() };
    let sale = open_sale_with(&*ledger, &[("a", 100)], patch).await;
    (ledger, sale)
}

async fn ordered(ledger: &dyn Ledger, sale: &SaleId, seq: u64) -> OrderId {
    reserve(ledger, sale, entry(seq, &format!("buyer-{seq}"))).await
}

/// The order as it is.
pub(super) async fn order(ledger: &dyn Ledger, order: OrderId) -> Order {
    ledger.order(order).await.unwrap().unwrap()
}

/// The order after a step that must have been taken, and what the gate is told.
pub(super) fn done(reply: StepReply) -> (Order, Option<HoldUpdate>) {
    match reply {
        StepReply::Done { order, gate } => (order, gate),
        StepReply::Already { .. } | StepReply::Wrong(_) | StepReply::NoSuchOrder => {
            panic!("the step was to be taken: {reply:?}")
        }
    }
}

/// The order that was where the step leads, and the latest word on its hold.
fn already(reply: StepReply) -> (Order, Option<HoldUpdate>) {
    let StepReply::Already { order, gate } = reply else {
        panic!("the order was to be there: {reply:?}")
    };
    (order, gate)
}

/// Pays an order by a payment of its own.
pub(super) async fn pay(ledger: &dyn Ledger, order_id: OrderId) {
    let payment = new_payment_id();
    ledger.begin_payment(order_id, payment, "simulated").await.unwrap();
    let order = order(ledger, order_id).await;
    let update = PaymentUpdate {
        payment,
        order: order_id,
        version: 1,
        state: PaymentState::Succeeded,
        amount: order.amount,
        currency: order.currency,
    };
    ledger.apply_payment(update).await.unwrap();
    assert_eq!(self::order(ledger, order_id).await.state, OrderState::Paid);
}

async fn begin_closing(ledger: &dyn Ledger, order: OrderId) -> StepReply {
    ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap()
}

pub async fn an_unknown_order_takes_no_step(house: impl House<Port = Port>) {
    let (ledger, _) = open(&house).await;
    let nobody = new_order_id();
    assert_eq!(ledger.order(nobody).await.unwrap(), None);
    assert_eq!(begin_closing(&*ledger, nobody).await, StepReply::NoSuchOrder);
    assert_eq!(ledger.close_unpaid(nobody).await.unwrap(), StepReply::NoSuchOrder);
    let fulfil = ledger.fulfil(nobody, OrderState::Fulfilling).await.unwrap();
    assert_eq!(fulfil, StepReply::NoSuchOrder);
}

pub async fn an_order_begins_to_close_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = ordered(&*ledger, &sale, 1).await;
    let replies = together(8, |n| {
        let ledger = Arc::clone(&ledger);
        let cause = if n % 2 == 0 { ClosingCause::Cancelled } else { ClosingCause::Deadline };
        async move { (cause, ledger.begin_closing(id, cause).await.unwrap()) }
    });
    let replies = replies.await;
    let taken = replies.iter().filter(|(_, reply)| matches!(reply, StepReply::Done { .. }));
    let causes: Vec<ClosingCause> = taken.map(|(cause, _)| *cause).collect();
    assert_eq!(causes.len(), 1, "one of them closes it: {replies:?}");
    let now = order(&*ledger, id).await;
    assert_eq!((now.state, now.version), (OrderState::Closing, Version(2)));
    assert_eq!(now.closing_cause, Some(causes[0]), "the cause of the step that was taken");
    assert_eq!(already(begin_closing(&*ledger, id).await).0, now);
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 1, "held until it is closed");
    assert_balanced(&*ledger, &sale).await;
}

pub async fn a_closed_order_gives_its_stock_back_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = ordered(&*ledger, &sale, 1).await;
    let other = ordered(&*ledger, &sale, 2).await;
    let held = ledger.gate_image(&sale).await.unwrap().holds;
    begin_closing(&*ledger, id).await;
    let (closed, gate) = done(ledger.close_unpaid(id).await.unwrap());
    assert_eq!(closed.state, OrderState::Closed);
    let gate = gate.unwrap();
    assert_eq!((gate.hold, gate.phase), (closed.hold, HoldPhase::Released));
    assert_eq!(Some(&gate.basket), closed.basket().as_ref());
    let was = held.iter().find(|held| held.hold == closed.hold).unwrap().movement;
    assert!(gate.movement > was, "a later word than the hold's own");
    for _ in 0..3 {
        let again = ledger.close_unpaid(id).await.unwrap();
        let word = Some(gate.clone());
        assert_eq!(already(again), (closed.clone(), word), "the gate hears the same word");
        let a = balance(&*ledger, &sale, "a").await;
        assert_eq!((a.available, a.held), (99, 1), "given back once");
        assert_balanced(&*ledger, &sale).await;
    }
    assert_eq!(order(&*ledger, other).await.state, OrderState::AwaitingPayment);
}

pub async fn an_order_closed_at_once_gives_its_stock_back_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let mut ids = Vec::new();
    for seq in 1..=5 {
        ids.push(ordered(&*ledger, &sale, seq).await);
        begin_closing(&*ledger, ids[ids.len() - 1]).await;
    }
    let replies = together(20, |n| {
        let (ledger, id) = (Arc::clone(&ledger), ids[n % 5]);
        async move { ledger.close_unpaid(id).await.unwrap() }
    });
    let replies = replies.await;
    let taken = replies.iter().filter(|reply| matches!(reply, StepReply::Done { .. }));
    assert_eq!(taken.count(), 5, "each is closed by one of the calls");
    assert_eq!(balance(&*ledger, &sale, "a").await.available, 100);
    assert_balanced(&*ledger, &sale).await;
}

pub async fn an_open_order_is_not_closed_unpaid(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = ordered(&*ledger, &sale, 1).await;
    let before = order(&*ledger, id).await;
    let reply = ledger.close_unpaid(id).await.unwrap();
    assert_eq!(reply, StepReply::Wrong(before.clone()), "the provider was not asked");
    assert_eq!(order(&*ledger, id).await, before);
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 1);
}

pub async fn a_closed_order_frees_its_entry(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = ordered(&*ledger, &sale, 1).await;
    let entry = order(&*ledger, id).await.entry;
    let record = async || ledger.entries(&[entry]).await.unwrap().remove(0).unwrap();
    assert!(record().await.is_live());
    begin_closing(&*ledger, id).await;
    let closing = record().await;
    assert!(closing.is_live(), "the provider may still say paid");
    assert_eq!(closing.order.unwrap().state, OrderState::Closing);
    ledger.close_unpaid(id).await.unwrap();
    let closed = record().await;
    assert!(!closed.is_live());
    assert_eq!(closed.order.unwrap().state, OrderState::Closed);
    assert_eq!(closed.order.unwrap().version, order(&*ledger, id).await.version);
}

pub async fn a_paid_order_is_fulfilled_step_by_step(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = ordered(&*ledger, &sale, 1).await;
    let before = order(&*ledger, id).await;
    for to in [OrderState::Fulfilling, OrderState::Fulfilled] {
        assert_eq!(ledger.fulfil(id, to).await.unwrap(), StepReply::Wrong(before.clone()));
    }
    pay(&*ledger, id).await;
    let reply = ledger.fulfil(id, OrderState::Fulfilled).await.unwrap();
    assert!(matches!(reply, StepReply::Wrong(_)), "not before it is being fulfilled: {reply:?}");
    for to in [OrderState::Fulfilling, OrderState::Fulfilled] {
        let (order, _) = done(ledger.fulfil(id, to).await.unwrap());
        assert_eq!(order.state, to);
        let (again, word) = already(ledger.fulfil(id, to).await.unwrap());
        assert_eq!((again, word.map(|word| word.phase)), (order, Some(HoldPhase::Sold)));
        let a = balance(&*ledger, &sale, "a").await;
        assert_eq!((a.held, a.sold), (0, 1));
        assert_balanced(&*ledger, &sale).await;
    }
    let back = ledger.fulfil(id, OrderState::Fulfilling).await.unwrap();
    assert!(matches!(back, StepReply::Wrong(_)), "forward only: {back:?}");
}

pub async fn a_paid_order_is_not_closed(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let id = ordered(&*ledger, &sale, 1).await;
    pay(&*ledger, id).await;
    let paid = order(&*ledger, id).await;
    assert_eq!(begin_closing(&*ledger, id).await, StepReply::Wrong(paid.clone()));
    assert_eq!(ledger.close_unpaid(id).await.unwrap(), StepReply::Wrong(paid.clone()));
    assert_eq!(order(&*ledger, id).await, paid);
    assert_eq!(balance(&*ledger, &sale, "a").await.sold, 1);
    assert_balanced(&*ledger, &sale).await;
}

pub async fn every_step_is_one_version_and_one_row_on(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let (closed, fulfilled) =
        (ordered(&*ledger, &sale, 1).await, ordered(&*ledger, &sale, 2).await);
    begin_closing(&*ledger, closed).await;
    ledger.close_unpaid(closed).await.unwrap();
    pay(&*ledger, fulfilled).await;
    ledger.fulfil(fulfilled, OrderState::Fulfilling).await.unwrap();
    ledger.fulfil(fulfilled, OrderState::Fulfilled).await.unwrap();
    use OrderState::{AwaitingPayment, Closed, Closing, Fulfilled, Fulfilling, Paid};
    let closed = order(&*ledger, closed).await;
    let fulfilled = order(&*ledger, fulfilled).await;
    let states = |order: &Order| -> Vec<OrderState> {
        order.history.iter().map(|change| change.state).collect()
    };
    assert_eq!(states(&closed), [AwaitingPayment, Closing, Closed]);
    assert_eq!(states(&fulfilled), [AwaitingPayment, Paid, Fulfilling, Fulfilled]);
    assert_eq!((closed.version, fulfilled.version), (Version(3), Version(4)));
    for order in [&closed, &fulfilled] {
        assert!(order.history.is_sorted_by_key(|change| change.at), "time does not run back");
    }
}

pub async fn deadlines_are_swept_when_they_have_passed(house: impl House<Port = Port>) {
    let (ledger, sale) = open_short(&house).await;
    let (late, paid) = (ordered(&*ledger, &sale, 1).await, ordered(&*ledger, &sale, 2).await);
    let cancelled = ordered(&*ledger, &sale, 3).await;
    pay(&*ledger, paid).await;
    begin_closing(&*ledger, cancelled).await;
    assert!(ledger.sweep_deadlines(10).await.unwrap().is_empty(), "nothing is late yet");
    house.pass(LATE).await;
    let swept = ledger.sweep_deadlines(10).await.unwrap();
    assert_eq!(swept.iter().map(|order| order.id).collect::<Vec<_>>(), [late]);
    assert_eq!(swept[0], order(&*ledger, late).await);
    assert_eq!(swept[0].state, OrderState::Closing);
    assert_eq!(swept[0].closing_cause, Some(ClosingCause::Deadline));
    assert_eq!(order(&*ledger, paid).await.state, OrderState::Paid);
    assert_balanced(&*ledger, &sale).await;
}

pub async fn deadlines_are_swept_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open_short(&house).await;
    let id = ordered(&*ledger, &sale, 1).await;
    house.pass(LATE).await;
    assert_eq!(ledger.sweep_deadlines(10).await.unwrap().len(), 1);
    assert!(ledger.sweep_deadlines(10).await.unwrap().is_empty());
    ledger.close_unpaid(id).await.unwrap();
    assert!(ledger.sweep_deadlines(10).await.unwrap().is_empty());
}

pub async fn sweepers_at_once_get_different_orders(house: impl House<Port = Port>) {
    let (ledger, sale) = open_short(&house).await;
    let batch = entries(1..=40).into_iter().map(request).collect();
    ledger.hold(&sale, batch).await.unwrap();
    house.pass(LATE).await;
    let swept = together(10, |_| {
        let ledger = Arc::clone(&ledger);
        async move { ledger.sweep_deadlines(7).await.unwrap() }
    });
    let mut swept: Vec<OrderId> = swept.await.into_iter().flatten().map(|order| order.id).collect();
    // A sweeper may have passed over what another one had locked.
    swept.extend(ledger.sweep_deadlines(100).await.unwrap().into_iter().map(|order| order.id));
    let distinct: BTreeSet<OrderId> = swept.iter().copied().collect();
    assert_eq!((swept.len(), distinct.len()), (40, 40), "each is swept by one of them");
}

pub async fn sweeps_take_the_oldest_up_to_their_limit(house: impl House<Port = Port>) {
    let (ledger, sale) = open_short(&house).await;
    let mut ids = Vec::new();
    for seq in 1..=4 {
        ids.push(ordered(&*ledger, &sale, seq).await);
        house.pass(Duration::from_millis(5)).await;
    }
    house.pass(LATE).await;
    let mut swept = Vec::new();
    for _ in 0..2 {
        let some = ledger.sweep_deadlines(2).await.unwrap();
        assert_eq!(some.len(), 2);
        swept.extend(some.into_iter().map(|order| order.id));
    }
    assert_eq!(swept, ids);
}

pub async fn what_a_crash_left_is_found(mut house: impl House<Port = Port>) {
    const IDLE: Duration = Duration::from_millis(800);
    let (ledger, sale) = open(&house).await;
    let mut ids = Vec::new();
    for seq in 1..=6 {
        ids.push(ordered(&*ledger, &sale, seq).await);
    }
    let [closing, paid, fulfilling, closed, fulfilled, _awaiting] = ids[..] else { panic!() };
    begin_closing(&*ledger, closing).await;
    pay(&*ledger, paid).await;
    for id in [fulfilling, fulfilled] {
        pay(&*ledger, id).await;
        ledger.fulfil(id, OrderState::Fulfilling).await.unwrap();
    }
    ledger.fulfil(fulfilled, OrderState::Fulfilled).await.unwrap();
    begin_closing(&*ledger, closed).await;
    ledger.close_unpaid(closed).await.unwrap();
    assert!(ledger.unfinished(Duration::from_secs(60), 10).await.unwrap().is_empty());
    house.crash().await;
    let ledger = house.port();
    house.pass(IDLE + Duration::from_millis(400)).await;
    let found = ledger.unfinished(IDLE, 10).await.unwrap();
    let states: BTreeSet<OrderState> = found.iter().map(|order| order.state).collect();
    assert_eq!(found.len(), 3, "{found:?}");
    use OrderState::{Closing, Fulfilling, Paid};
    assert_eq!(states, BTreeSet::from([Closing, Paid, Fulfilling]));
    assert_eq!(ledger.unfinished(IDLE, 2).await.unwrap().len(), 2, "at most so many");
    let begun = ledger.begun(10).await.unwrap();
    assert_eq!(begun.iter().map(|order| order.id).collect::<Vec<_>>(), [closing]);
    ledger.fulfil(paid, OrderState::Fulfilling).await.unwrap();
    let found = ledger.unfinished(IDLE, 10).await.unwrap();
    assert!(found.iter().all(|order| order.id != paid), "it was touched");
}

pub async fn orders_are_counted_by_state(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    assert!(ledger.order_counts(&sale).await.unwrap().iter().all(|count| count.count == 0));
    for seq in 1..=6 {
        let id = ordered(&*ledger, &sale, seq).await;
        if seq <= 3 {
            begin_closing(&*ledger, id).await;
        }
        if seq <= 1 {
            ledger.close_unpaid(id).await.unwrap();
        }
    }
    let counts = ledger.order_counts(&sale).await.unwrap();
    let mut counted: Vec<(OrderState, u64)> = counts
        .iter()
        .filter(|OrderCount { count, .. }| *count > 0)
        .map(|OrderCount { state, count }| (*state, *count))
        .collect();
    counted.sort_unstable();
    use OrderState::{AwaitingPayment, Closed, Closing};
    assert_eq!(counted, [(AwaitingPayment, 3), (Closing, 2), (Closed, 1)]);
}

/// An answer that comes before the commit is caught here: the crash follows the answer at once.
pub async fn steps_survive_a_crash(mut house: impl House<Port = Port>) {
    let (mut ledger, sale) = open(&house).await;
    for seq in 1..=4 {
        let id = ordered(&*ledger, &sale, seq).await;
        house.crash().await;
        ledger = house.port();
        let (closing, _) = done(begin_closing(&*ledger, id).await);
        house.crash().await;
        ledger = house.port();
        assert_eq!(order(&*ledger, id).await, closing);
        let (closed, _) = done(ledger.close_unpaid(id).await.unwrap());
        house.crash().await;
        ledger = house.port();
        assert_eq!(order(&*ledger, id).await, closed);
        assert_eq!(balance(&*ledger, &sale, "a").await.available, 100);
        assert_balanced(&*ledger, &sale).await;
    }
    let id = ordered(&*ledger, &sale, 9).await;
    pay(&*ledger, id).await;
    for to in [OrderState::Fulfilling, OrderState::Fulfilled] {
        let (after, _) = done(ledger.fulfil(id, to).await.unwrap());
        house.crash().await;
        ledger = house.port();
        assert_eq!(order(&*ledger, id).await, after);
    }
}
