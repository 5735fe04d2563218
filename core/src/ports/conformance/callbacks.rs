//! Rules of the callback inbox: what was kept is delivered to one worker at a time until it is acknowledged, retried or
//! buried; and nothing of that is lost in a crash.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::time::{Instant, timeout};

use super::{House, QUIET, not_now, samples::*, soon, together};
use crate::{
    ids::PaymentId,
    money::{AmountFen, Currency},
    ports::{CallbackDelivery, CallbackInbox, CallbackIntake, PaymentState, PaymentUpdate},
};

#[macro_export]
macro_rules! callbacks_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            callbacks:
            a_callback_comes_out_as_it_was_kept,
            a_worker_waits_for_a_callback_to_come,
            a_dropped_next_loses_no_callback,
            workers_share_what_was_kept,
            every_callback_that_was_kept_survives_a_crash,
            unsettled_callbacks_come_back,
            acknowledged_callbacks_are_gone,
            who_lost_a_callback_does_not_settle_it_for_another,
            a_retried_callback_comes_back_later_with_one_more_try,
            a_buried_callback_is_delivered_to_nobody,
        );
    };
}

type Port = Arc<dyn CallbackInbox>;

/// The provider's word on a new payment.
fn word(state: PaymentState) -> PaymentUpdate {
    PaymentUpdate {
        payment: new_payment_id(),
        order: new_order_id(),
        version: 3,
        state,
        amount: AmountFen(2 * PRICE),
        currency: Currency::CNY,
    }
}

/// Keeps `count` callbacks; answers their payments.
async fn keep(inbox: &Port, count: usize) -> Vec<PaymentId> {
    let mut payments = Vec::new();
    for _ in 0..count {
        let word = word(PaymentState::Succeeded);
        inbox.keep(&word).await.unwrap();
        payments.push(word.payment);
    }
    payments
}

async fn consume(inbox: &Port) -> CallbackIntake {
    inbox.consume(10).await.unwrap()
}

/// Takes deliveries until `count` have come.
async fn take(intake: &mut CallbackIntake, count: usize) -> Vec<CallbackDelivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let some = soon("a callback", intake.deliveries.next(count - all.len())).await.unwrap();
        assert!(!some.is_empty(), "it waits for a callback");
        all.extend(some);
    }
    all
}

async fn nothing_more(intake: &mut CallbackIntake) {
    not_now("a callback", intake.deliveries.next(100)).await;
}

fn tags(deliveries: &[CallbackDelivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}

fn payments(deliveries: &[CallbackDelivery]) -> BTreeSet<PaymentId> {
    deliveries.iter().map(|delivery| delivery.update.payment).collect()
}

pub async fn a_callback_comes_out_as_it_was_kept(house: impl House<Port = Port>) {
    let inbox = house.port();
    let mut intake = consume(&inbox).await;
    for state in [PaymentState::Succeeded, PaymentState::Failed, PaymentState::Refunded] {
        let word = word(state);
        inbox.keep(&word).await.unwrap();
        let came = take(&mut intake, 1).await.remove(0);
        assert_eq!((came.update, came.tries), (word, 0));
    }
}

pub async fn a_worker_waits_for_a_callback_to_come(house: impl House<Port = Port>) {
    let inbox = house.port();
    let mut intake = consume(&inbox).await;
    nothing_more(&mut intake).await;
    let (came, kept) = tokio::join!(take(&mut intake, 1), keep(&inbox, 1));
    assert_eq!(came[0].update.payment, kept[0]);
}

pub async fn a_dropped_next_loses_no_callback(house: impl House<Port = Port>) {
    let inbox = house.port();
    let mut intake = consume(&inbox).await;
    let kept: BTreeSet<_> = keep(&inbox, 8).await.into_iter().collect();
    let mut came = BTreeSet::new();
    let began = Instant::now();
    while came.len() < kept.len() {
        assert!(began.elapsed() < super::PATIENCE, "only {} of {}", came.len(), kept.len());
        let waited = timeout(Duration::from_micros(200), intake.deliveries.next(1)).await;
        if let Ok(some) = waited {
            came.extend(payments(&some.unwrap()));
        }
    }
    assert_eq!(came, kept);
}

pub async fn workers_share_what_was_kept(house: impl House<Port = Port>) {
    let inbox = house.port();
    let mut one = inbox.consume(2).await.unwrap();
    let kept = keep(&inbox, 6).await;
    let first = take(&mut one, 2).await;
    nothing_more(&mut one).await;
    let mut other = consume(&inbox).await;
    let rest = take(&mut other, 4).await;
    let all: BTreeSet<_> = payments(&first).union(&payments(&rest)).copied().collect();
    assert_eq!(all, kept.into_iter().collect(), "each is in the hands of one worker");
    nothing_more(&mut other).await;
}

/// An answer that comes before the write is durable is caught here: the crash follows the answer at once.
pub async fn every_callback_that_was_kept_survives_a_crash(mut house: impl House<Port = Port>) {
    let mut kept = BTreeSet::new();
    for _ in 0..4 {
        let inbox = house.port();
        let some = together(8, |_| {
            let inbox = Arc::clone(&inbox);
            async move { keep(&inbox, 3).await }
        })
        .await;
        drop(inbox);
        house.crash().await;
        kept.extend(some.into_iter().flatten());
    }
    let mut intake = house.port().consume(1_000).await.unwrap();
    let came = take(&mut intake, kept.len()).await;
    assert_eq!(payments(&came), kept);
}

pub async fn unsettled_callbacks_come_back(mut house: impl House<Port = Port>) {
    let kept: BTreeSet<_> = keep(&house.port(), 2).await.into_iter().collect();
    let mut first = consume(&house.port()).await;
    take(&mut first, 2).await;
    drop(first);
    let mut second = consume(&house.port()).await;
    assert_eq!(payments(&take(&mut second, 2).await), kept, "after they were dropped");
    house.crash().await;
    let mut third = consume(&house.port()).await;
    let came = take(&mut third, 2).await;
    assert_eq!(payments(&came), kept, "after a crash");
    assert!(came.iter().all(|one| one.tries == 0), "that was no fault of theirs");
    drop(second);
}

pub async fn acknowledged_callbacks_are_gone(mut house: impl House<Port = Port>) {
    let inbox = house.port();
    keep(&inbox, 3).await;
    let mut intake = consume(&inbox).await;
    let held = take(&mut intake, 3).await;
    let done = tags(&held[..2]);
    intake.outlet.ack(&done).await.unwrap();
    intake.outlet.ack(&done).await.unwrap();
    drop((inbox, intake));
    let mut again = consume(&house.port()).await;
    assert_eq!(payments(&take(&mut again, 1).await), payments(&held[2..]));
    nothing_more(&mut again).await;
    drop(again);
    house.crash().await;
    let mut again = consume(&house.port()).await;
    assert_eq!(payments(&take(&mut again, 1).await), payments(&held[2..]));
    nothing_more(&mut again).await;
}

pub async fn who_lost_a_callback_does_not_settle_it_for_another(house: impl House<Port = Port>) {
    let inbox = house.port();
    keep(&inbox, 1).await;
    let CallbackIntake { mut deliveries, outlet } = consume(&inbox).await;
    let lost = soon("a callback", deliveries.next(1)).await.unwrap();
    drop(deliveries);
    let mut second = consume(&inbox).await;
    let held = take(&mut second, 1).await;
    // Whatever they answer: the callback is in other hands.
    let _answers = (
        outlet.ack(&tags(&lost)).await.is_ok(),
        outlet.retry(lost[0].tag, Duration::from_secs(1)).await.is_ok(),
        outlet.bury(lost[0].tag, "too late").await.is_ok(),
    );
    drop(second);
    let mut third = consume(&inbox).await;
    let back = take(&mut third, 1).await;
    assert_eq!((payments(&back), back[0].tries), (payments(&held), 0));
    nothing_more(&mut third).await;
}

pub async fn a_retried_callback_comes_back_later_with_one_more_try(
    mut house: impl House<Port = Port>,
) {
    keep(&house.port(), 1).await;
    let mut intake = consume(&house.port()).await;
    let held = take(&mut intake, 1).await.remove(0);
    let began = Instant::now();
    intake.outlet.retry(held.tag, Duration::from_secs(1)).await.unwrap();
    nothing_more(&mut intake).await;
    let again = take_as_time_passes(&house, &mut intake).await;
    assert_eq!((&again.update, again.tries), (&held.update, 1));
    assert!(began.elapsed() >= QUIET, "not at once");
    intake.outlet.retry(again.tag, Duration::from_secs(1)).await.unwrap();
    house.crash().await;
    let mut intake = consume(&house.port()).await;
    let again = take_as_time_passes(&house, &mut intake).await;
    assert_eq!((again.update, again.tries), (held.update, 2), "a crash forgets no try");
}

/// Waits for the next callback while time passes for the backend.
async fn take_as_time_passes(
    house: &impl House<Port = Port>,
    intake: &mut CallbackIntake,
) -> CallbackDelivery {
    let step = Duration::from_millis(500);
    for _ in 0..40 {
        house.pass(step).await;
        if let Ok(some) = timeout(step, intake.deliveries.next(1)).await {
            return some.unwrap().remove(0);
        }
    }
    panic!("the callback did not come back");
}

pub async fn a_buried_callback_is_delivered_to_nobody(mut house: impl House<Port = Port>) {
    keep(&house.port(), 2).await;
    let mut intake = consume(&house.port()).await;
    let held = take(&mut intake, 2).await;
    intake.outlet.bury(held[0].tag, "nobody knows this payment").await.unwrap();
    drop(intake);
    // A crash right after it may have it delivered once more: its queue had not heard yet.
    let mut intake = consume(&house.port()).await;
    assert_eq!(payments(&take(&mut intake, 1).await), payments(&held[1..]));
    nothing_more(&mut intake).await;
    drop(intake);
    house.crash().await;
    let mut intake = consume(&house.port()).await;
    assert_eq!(payments(&take(&mut intake, 1).await), payments(&held[1..]));
    nothing_more(&mut intake).await;
}
