//! Rules of the simulated provider's own records, which live with the ledger so that any worker answers for it.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{sync::Arc, time::Duration};

use super::{House, samples::*, together};
use crate::{
    ids::PaymentId,
    money::{AmountFen, Currency},
    ports::{Ledger, SimulatedPayment, SimulatedRefund, SimulatedState},
};

#[macro_export]
macro_rules! simulated_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            simulated:
            a_simulated_payment_is_opened_once,
            a_simulated_payment_steps_from_where_it_is,
            one_of_two_steps_at_once_is_taken,
            callbacks_are_told_until_they_were_answered,
            money_goes_back_once_and_never_more_than_came,
            refunds_at_once_give_back_no_more_than_came,
            an_answered_callback_answers_for_no_later_state,
            a_simulated_payment_survives_a_crash,
        );
    };
}

type Port = Arc<dyn Ledger>;

const IDLE: Duration = Duration::from_millis(500);
const LONGER: Duration = Duration::from_millis(900);

fn opened() -> SimulatedPayment {
    SimulatedPayment {
        payment: new_payment_id(),
        order: new_order_id(),
        amount: AmountFen(PRICE),
        currency: Currency::CNY,
        state: SimulatedState::Open,
        refunded: AmountFen(0),
        told: false,
        changed_at: T0,
    }
}

async fn open(ledger: &dyn Ledger) -> SimulatedPayment {
    ledger.open_simulated(opened()).await.unwrap()
}

async fn step(
    ledger: &dyn Ledger,
    payment: PaymentId,
    from: SimulatedState,
    to: SimulatedState,
) -> Option<SimulatedPayment> {
    ledger.step_simulated(payment, from, to).await.unwrap()
}

/// As it is, but for the time, which the ledger's clock stamps.
fn timeless(payment: SimulatedPayment) -> SimulatedPayment {
    SimulatedPayment { changed_at: T0, ..payment }
}

pub async fn a_simulated_payment_is_opened_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    let given = opened();
    assert_eq!(ledger.simulated_payment(given.payment).await.unwrap(), None);
    let first = ledger.open_simulated(given.clone()).await.unwrap();
    assert_eq!(timeless(first.clone()), given);
    let other = SimulatedPayment { amount: AmountFen(1), order: new_order_id(), ..given.clone() };
    assert_eq!(ledger.open_simulated(other).await.unwrap(), first, "the one there is");
    assert_eq!(ledger.simulated_payment(given.payment).await.unwrap(), Some(first));
}

pub async fn a_simulated_payment_steps_from_where_it_is(house: impl House<Port = Port>) {
    use SimulatedState::{Closed, Failed, Open, Succeeded};
    let ledger = house.port();
    let payment = open(&*ledger).await.payment;
    assert_eq!(step(&*ledger, payment, Failed, Open).await, None);
    let stepped = step(&*ledger, payment, Open, Succeeded).await.unwrap();
    assert_eq!((stepped.state, stepped.told), (Succeeded, false));
    assert_eq!(ledger.simulated_payment(payment).await.unwrap(), Some(stepped));
    assert_eq!(step(&*ledger, payment, Open, Closed).await, None, "it is no longer open");
    assert_eq!(step(&*ledger, new_payment_id(), Open, Closed).await, None);
    let now = ledger.simulated_payment(payment).await.unwrap().unwrap();
    assert_eq!(now.state, Succeeded);
}

pub async fn one_of_two_steps_at_once_is_taken(house: impl House<Port = Port>) {
    use SimulatedState::{Closed, Open, Succeeded};
    let ledger = house.port();
    for _ in 0..10 {
        let payment = open(&*ledger).await.payment;
        let steps = together(6, |n| {
            let ledger = Arc::clone(&ledger);
            let to = if n % 2 == 0 { Succeeded } else { Closed };
            async move { step(&*ledger, payment, Open, to).await }
        });
        let taken: Vec<SimulatedPayment> = steps.await.into_iter().flatten().collect();
        assert_eq!(taken.len(), 1, "the buyer pays, or we close: {taken:?}");
        let now = ledger.simulated_payment(payment).await.unwrap().unwrap();
        assert_eq!(now.state, taken[0].state);
    }
}

pub async fn callbacks_are_told_until_they_were_answered(house: impl House<Port = Port>) {
    use SimulatedState::{Closed, Failed, Open, Succeeded};
    let ledger = house.port();
    let mut ids = Vec::new();
    for to in [Some(Succeeded), Some(Failed), Some(Closed), None] {
        let payment = open(&*ledger).await.payment;
        if let Some(to) = to {
            step(&*ledger, payment, Open, to).await.unwrap();
        }
        ids.push(payment);
        house.pass(Duration::from_millis(5)).await;
    }
    let untold = async |idle, limit| -> Vec<PaymentId> {
        let found = ledger.untold_simulated(idle, limit).await.unwrap();
        found.iter().map(|payment| payment.payment).collect()
    };
    assert!(untold(Duration::from_secs(60), 10).await.is_empty(), "touched just now");
    house.pass(LONGER).await;
    assert_eq!(untold(IDLE, 10).await, ids[..2], "succeeded or failed, oldest first");
    assert_eq!(untold(IDLE, 1).await, ids[..1]);
    ledger.told_simulated(ids[0], Succeeded).await.unwrap();
    ledger.told_simulated(ids[0], Succeeded).await.unwrap();
    assert_eq!(untold(IDLE, 10).await, ids[1..2]);
    assert!(ledger.simulated_payment(ids[0]).await.unwrap().unwrap().told);
}

fn refund_of(payment: PaymentId, amount: i64) -> SimulatedRefund {
    SimulatedRefund { refund: new_refund_id(), payment, amount: AmountFen(amount) }
}

async fn paid(ledger: &dyn Ledger) -> PaymentId {
    let payment = open(ledger).await.payment;
    step(ledger, payment, SimulatedState::Open, SimulatedState::Succeeded).await.unwrap();
    payment
}

pub async fn money_goes_back_once_and_never_more_than_came(house: impl House<Port = Port>) {
    let ledger = house.port();
    let payment = paid(&*ledger).await;
    let back = async |refund| ledger.refund_simulated(refund).await.unwrap();
    let part = refund_of(payment, 1);
    for _ in 0..2 {
        let after = back(part).await.unwrap();
        assert_eq!((after.state, after.refunded), (SimulatedState::Succeeded, AmountFen(1)));
    }
    assert_eq!(back(SimulatedRefund { amount: AmountFen(2), ..part }).await, None, "another sum");
    let other = paid(&*ledger).await;
    assert_eq!(back(SimulatedRefund { payment: other, ..part }).await, None, "another payment");
    for wrong in [PRICE, 0, -1, i64::MAX] {
        assert_eq!(back(refund_of(payment, wrong)).await, None, "{wrong} of {}", PRICE - 1);
    }
    let rest = refund_of(payment, PRICE - 1);
    for _ in 0..2 {
        let after = back(rest).await.unwrap();
        assert_eq!((after.state, after.refunded), (SimulatedState::Refunded, AmountFen(PRICE)));
    }
    assert_eq!(back(refund_of(payment, 1)).await, None, "nothing is left");
    assert_eq!(back(part).await.unwrap().state, SimulatedState::Refunded, "a repeat, still");

    let unpaid = open(&*ledger).await.payment;
    assert_eq!(back(refund_of(unpaid, 1)).await, None);
    step(&*ledger, unpaid, SimulatedState::Open, SimulatedState::Failed).await.unwrap();
    assert_eq!(back(refund_of(unpaid, 1)).await, None);
    assert_eq!(back(refund_of(new_payment_id(), 1)).await, None);
    assert_eq!(ledger.simulated_payment(other).await.unwrap().unwrap().refunded, AmountFen(0));
}

pub async fn refunds_at_once_give_back_no_more_than_came(house: impl House<Port = Port>) {
    let ledger = house.port();
    for _ in 0..5 {
        let payment = paid(&*ledger).await;
        let same = refund_of(payment, PRICE / 3);
        let asked = together(8, |n| {
            let ledger = Arc::clone(&ledger);
            // Half of them repeat one refund.
            let refund = if n % 2 == 0 { same } else { refund_of(payment, PRICE / 3) };
            async move { (n % 2 == 0, ledger.refund_simulated(refund).await.unwrap().is_some()) }
        });
        let asked = asked.await;
        let given = asked.iter().filter(|(repeat, given)| !repeat && *given).count();
        let repeats: Vec<bool> =
            asked.iter().filter(|(repeat, _)| *repeat).map(|(_, given)| *given).collect();
        assert!(repeats.iter().all(|given| *given == repeats[0]), "all repeats hear the same");
        let times = given + usize::from(repeats[0]);
        assert_eq!(times, 3, "a third goes back three times: {asked:?}");
        let now = ledger.simulated_payment(payment).await.unwrap().unwrap();
        assert_eq!(now.refunded, AmountFen(PRICE / 3 * 3));
    }
}

/// The answer to the callback of a success may come when the money went back already: that is another thing to tell.
pub async fn an_answered_callback_answers_for_no_later_state(house: impl House<Port = Port>) {
    let ledger = house.port();
    let payment = paid(&*ledger).await;
    ledger.refund_simulated(refund_of(payment, PRICE)).await.unwrap().unwrap();
    ledger.told_simulated(payment, SimulatedState::Succeeded).await.unwrap();
    house.pass(LONGER).await;
    let untold = ledger.untold_simulated(IDLE, 10).await.unwrap();
    assert!(untold.iter().any(|one| one.payment == payment && !one.told), "{untold:?}");
    ledger.told_simulated(payment, SimulatedState::Refunded).await.unwrap();
    let untold = ledger.untold_simulated(IDLE, 10).await.unwrap();
    assert!(untold.iter().all(|one| one.payment != payment), "{untold:?}");
}

pub async fn a_simulated_payment_survives_a_crash(mut house: impl House<Port = Port>) {
    for _ in 0..5 {
        let ledger = house.port();
        let payment = open(&*ledger).await.payment;
        house.crash().await;
        let ledger = house.port();
        let (from, to) = (SimulatedState::Open, SimulatedState::Succeeded);
        let stepped = step(&*ledger, payment, from, to).await.unwrap();
        house.crash().await;
        let ledger = house.port();
        assert_eq!(ledger.simulated_payment(payment).await.unwrap(), Some(stepped));
        ledger.told_simulated(payment, to).await.unwrap();
        house.crash().await;
        let ledger = house.port();
        assert!(ledger.simulated_payment(payment).await.unwrap().unwrap().told);
        let refund = refund_of(payment, PRICE);
        let after = ledger.refund_simulated(refund).await.unwrap().unwrap();
        house.crash().await;
        assert_eq!(house.port().refund_simulated(refund).await.unwrap(), Some(after), "a repeat");
    }
}
