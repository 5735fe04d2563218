//! Leaving: the place is given up for good; after `reserved` the order is cancelled; what is paid stays.

use std::sync::Arc;

use async_trait::async_trait;
use http::Method;
use serde_json::json;
use sluice_core::{
    order::{ClosingCause, OrderState},
    ports::{
        Bulletin, Heard, NewPayment, Notice, PaymentState, PaymentUpdate, PortError, PortResult,
        Ports, Subscription,
    },
};

use crate::stage::{Script, Stage, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_is_given_up_for_good() {
    let stage = Stage::open().await;
    let mut bulletin = stage.ports.bulletin.subscribe().await.unwrap();
    let mine = stage.join("ada").await;
    let leave = stage.about(Method::DELETE, &mine, "").send().await;
    leave.expect(204, "");
    assert!(leave.body.is_empty());
    stage.about(Method::DELETE, &mine, "").send().await.expect(204, "");
    assert_eq!(stage.poll(&mine).await["state"], "left");
    let told = loop {
        if let Heard::Notice(notice) = bulletin.next().await.unwrap()
            && let Notice::Entries { entries, .. } = &*notice
        {
            break entries.clone();
        }
    };
    assert_eq!(json!(told[0].entry), mine["entry"]);
    let again = stage.join("ada").await;
    assert_ne!(again["entry"], mine["entry"], "the buyer is free to join again");
    assert!(again["seq"].as_u64() > mine["seq"].as_u64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_after_reserved_cancels_the_order() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let order = stage.reserve(&mine).await;
    stage.about(Method::DELETE, &mine, "").send().await.expect(204, "");
    let closing = stage.ports.ledger.order(order).await.unwrap().unwrap();
    assert_eq!(
        (closing.state, closing.closing_cause),
        (OrderState::Closing, Some(ClosingCause::Cancelled))
    );
    stage.about(Method::DELETE, &mine, "").send().await.expect(204, "");
    stage.ports.ledger.close_unpaid(order).await.unwrap();
    stage.about(Method::DELETE, &mine, "").send().await.expect(204, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_paid_cannot_be_left() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let order = stage.reserve(&mine).await;
    let payment = sluice_core::ids::PaymentId::from_bytes([7; 16]);
    let begun = stage.ports.ledger.begin_payment(order, payment, "simulated").await.unwrap();
    let NewPayment::New(payment) = begun else { panic!("not begun: {begun:?}") };
    let update = PaymentUpdate {
        payment: payment.id,
        order,
        version: 1,
        state: PaymentState::Succeeded,
        amount: payment.amount,
        currency: payment.currency,
    };
    stage.ports.ledger.apply_payment(update).await.unwrap();
    let refusal = stage.about(Method::DELETE, &mine, "").send().await.expect(409, "wrong_state");
    assert!(text(&refusal["detail"]).contains("paid"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_called_entry_may_still_leave_and_the_first_outcome_wins() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    stage.call(&mine).await;
    stage.about(Method::DELETE, &mine, "").send().await.expect(204, "");
    let id = text(&mine["entry"]).parse().unwrap();
    let record = stage.ports.ledger.entries(&[id]).await.unwrap();
    assert_eq!(record[0].as_ref().unwrap().outcome.as_str(), "left");
    assert_eq!(record[0].as_ref().unwrap().order, None);
}

/// A bulletin that neither tells nor hears.
#[derive(Debug)]
struct Mute;

#[async_trait]
impl Bulletin for Mute {
    async fn publish(&self, _: Notice) -> PortResult<()> {
        Err(PortError::unavailable("mute"))
    }
    async fn subscribe(&self) -> PortResult<Box<dyn Subscription>> {
        Err(PortError::unavailable("deaf"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_needs_no_bulletin() {
    let wrap = |ports: &mut Ports| ports.bulletin = Arc::new(Mute);
    let stage = Stage::play(Script { wrap: Box::new(wrap), ..Script::default() }).await;
    let mine = stage.join("ada").await;
    stage.about(Method::DELETE, &mine, "").send().await.expect(204, "");
    assert_eq!(stage.poll(&mine).await["state"], "left", "this node knows what it did");
    let untold = stage.ports.ledger.untold(10).await.unwrap();
    assert_eq!(untold.len(), 1, "the relay will tell the others");
}
