//! The simulated provider on a bad day: what its knobs do, seen by whoever is called back, asks, or pays.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use sluice_core::{
    ids::{OrderId, PaymentId, RefundId},
    money::{AmountFen, Currency},
    order::OrderState,
    ports::{PaymentProvider, PaymentRequest, ProviderError, ProviderStatus, RefundStatus},
};
use sluice_worker::SimulatedKnobs;

use crate::{
    house::{House, PRICE, until},
    recorder::{Recorder, Sent},
    shop::{Opening, Shop},
};

/// The provider with these knobs, and somebody else who is called back.
struct Stage {
    house: House,
    shop: Shop,
    recorder: Recorder,
}

impl Stage {
    async fn open(knobs: SimulatedKnobs) -> Self {
        let house = House::open(10).await;
        let opening = Opening { callbacks: false, knobs, ..Opening::of(&house) };
        let shop = opening.open(&house).await;
        let recorder = Recorder::open(&[]).await;
        shop.simulated.call_back_to(&format!("http://{}", recorder.address)).unwrap();
        Self { house, shop, recorder }
    }

    /// A payment of no order of ours.
    fn request(&self) -> PaymentRequest {
        PaymentRequest {
            payment: self.house.new_payment(),
            order: OrderId::generate(self.house.now(), &self.house.random),
            amount: AmountFen(PRICE),
            currency: Currency::CNY,
        }
    }

    async fn create(&self) -> (PaymentId, String) {
        let request = self.request();
        let page = self.shop.simulated.create(&request).await.unwrap();
        (request.payment, page.pay_url)
    }

    async fn refund(&self, payment: PaymentId, amount: i64) -> Result<RefundStatus, ProviderError> {
        let refund = RefundId::generate(self.house.now(), &self.house.random);
        self.shop.simulated.refund(payment, refund, AmountFen(amount)).await
    }

    async fn close(self) {
        self.shop.close().await;
        self.recorder.close().await;
    }
}

/// What a callback says: its status and version.
fn said(sent: &Sent) -> (String, u64) {
    let word = sent.json();
    let version = word["version"].as_u64().unwrap();
    assert_eq!(
        sent.header("webhook-id"),
        format!("{}.{version}", word["payment"].as_str().unwrap())
    );
    (word["status"].as_str().unwrap().to_owned(), version)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_provider_says_each_thing_once_and_its_versions_rise() {
    let stage = Stage::open(SimulatedKnobs::default()).await;
    let (payment, page) = stage.create().await;
    assert_eq!(stage.shop.press(&page, "succeed").await.status, 200);
    stage.recorder.at_least(1).await;
    assert_eq!(stage.refund(payment, 1).await.unwrap(), RefundStatus::Done);
    assert_eq!(stage.refund(payment, PRICE - 1).await.unwrap(), RefundStatus::Done);
    let (_, other) = stage.create().await;
    stage.recorder.at_least(2).await;
    assert_eq!(stage.shop.press(&other, "fail").await.status, 200);
    let sent = stage.recorder.at_least(3).await;
    let said: Vec<_> = sent.iter().map(said).collect();
    let words: Vec<&str> = said.iter().map(|(status, _)| status.as_str()).collect();
    assert_eq!(words, ["succeeded", "refunded", "failed"], "a part that went back is no word");
    assert!(said[0].1 < said[1].1, "{said:?}");
    let page = stage.shop.send(http::Method::GET, &page, &[], "").await;
    assert!(page.text().contains("This payment was refunded."), "{page:?}");
    until("all is on record as answered", async || {
        let untold = stage.house.ports.ledger.untold_simulated(Duration::ZERO, 10).await.unwrap();
        untold.is_empty()
    })
    .await;
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn duplicates_are_the_same_word_and_a_late_one_is_older() {
    let knobs = SimulatedKnobs { duplicate: 1.0, reorder: 1.0, ..SimulatedKnobs::default() };
    let stage = Stage::open(knobs).await;
    let (payment, page) = stage.create().await;
    assert_eq!(stage.shop.press(&page, "succeed").await.status, 200);
    let sent = stage.recorder.at_least(3).await;
    let first: Vec<_> = sent.iter().map(said).collect();
    assert_eq!((first[0].0.as_str(), &first[0]), ("succeeded", &first[1]), "twice");
    assert_eq!(sent[0].body, sent[1].body);
    assert!(first[2].0 == "failed" && first[2].1 < first[0].1, "{first:?}");

    stage.refund(payment, PRICE).await.unwrap();
    let all: Vec<_> = stage.recorder.at_least(6).await.iter().map(said).collect();
    assert_eq!((all[3].0.as_str(), &all[3]), ("refunded", &all[4]));
    assert_eq!(all[5], first[0], "after the refund, the success once more");
    assert!(all[3].1 > all[5].1);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_on_the_way_is_told_again() {
    let stage = Stage::open(SimulatedKnobs { drop: 0.5, ..SimulatedKnobs::default() }).await;
    let mut due = BTreeSet::new();
    for _ in 0..6 {
        let (payment, page) = stage.create().await;
        assert_eq!(stage.shop.press(&page, "succeed").await.status, 200);
        due.insert(payment.to_string());
    }
    until("every payment was told", async || {
        let sent = stage.recorder.sent();
        let told: BTreeSet<String> =
            sent.iter().map(|one| one.json()["payment"].as_str().unwrap().to_owned()).collect();
        told == due
    })
    .await;
    assert_eq!(stage.recorder.sent().len(), due.len(), "each of them once");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_card_leaves_the_payment_failed_however_often_it_is_pressed() {
    let stage = Stage::open(SimulatedKnobs { fail: 1.0, ..SimulatedKnobs::default() }).await;
    let (payment, page) = stage.create().await;
    let pressed = stage.shop.press(&page, "succeed").await;
    assert_eq!((pressed.status, &pressed.json()["state"]), (200, &Value::from("failed")));
    stage.shop.press(&page, "succeed").await.assert_problem(409, "payment_over");
    assert_eq!(stage.shop.simulated.query(payment).await.unwrap(), ProviderStatus::Failed);
    let sent = stage.recorder.at_least(1).await;
    assert_eq!(said(&sent[0]).0, "failed");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_payment_takes_late_money_where_that_is_wanted() {
    let late = SimulatedKnobs { pay_after_close: 1.0, ..SimulatedKnobs::default() };
    let stage = Stage::open(late).await;
    let (payment, page) = stage.create().await;
    let provider = &stage.shop.simulated;
    assert_eq!(provider.close(payment).await.unwrap(), ProviderStatus::Closed);
    stage.shop.press(&page, "fail").await.assert_problem(409, "payment_over");
    let pressed = stage.shop.press(&page, "succeed").await;
    assert_eq!((pressed.status, &pressed.json()["state"]), (200, &Value::from("succeeded")));
    stage.shop.press(&page, "succeed").await.assert_problem(409, "payment_over");
    assert_eq!(provider.query(payment).await.unwrap(), ProviderStatus::Succeeded);
    assert_eq!(said(&stage.recorder.at_least(1).await[0]).0, "succeeded");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_the_calls_that_are_not_answered_some_took_effect() {
    let knobs = SimulatedKnobs { unreachable: 1.0, ..SimulatedKnobs::default() };
    let stage = Stage::open(knobs).await;
    let provider = &stage.shop.simulated;
    let mut opened = 0;
    for _ in 0..40 {
        let request = stage.request();
        let answer = provider.create(&request).await;
        assert!(matches!(answer, Err(ProviderError::Unreachable(_))), "{answer:?}");
        let known = stage.house.ports.ledger.simulated_payment(request.payment).await.unwrap();
        opened += u32::from(known.is_some());
    }
    assert!((5..=35).contains(&opened), "{opened} of 40");
    let payment = stage.house.new_payment();
    for answer in [provider.close(payment).await, provider.query(payment).await] {
        assert!(matches!(answer, Err(ProviderError::Unreachable(_))), "{answer:?}");
    }
    stage.close().await;
}

/// No callback ever arrives; the deadline asks, and the buyer who paid has the goods.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_whose_callback_never_comes_is_found_by_asking() {
    let house = House::open(10).await;
    let entry = house.entry(1, "ada", 2);
    let order = house.order(std::slice::from_ref(&entry)).await[0];
    let knobs = SimulatedKnobs { drop: 1.0, ..SimulatedKnobs::default() };
    let shop = Opening { knobs, ..Opening::of(&house) }.open(&house).await;
    let begun = shop.post(&format!("/v1/orders/{order}/payment"), &house.token(&entry)).await;
    let page = begun.json()["pay_url"].as_str().unwrap().to_owned();
    assert_eq!(shop.press(&page, "succeed").await.status, 200);
    assert_eq!(house.find(order).await.state, OrderState::AwaitingPayment);
    house.clock.advance(Duration::from_secs(900));
    house.order_in(order, OrderState::Fulfilled).await;
    house.assert_balanced().await;
    shop.close().await;
}

/// Callbacks come twice at once and out of order, and the order is paid once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disorder_pays_an_order_once() {
    let house = House::open(10).await;
    let entry = house.entry(1, "ada", 2);
    let order = house.order(std::slice::from_ref(&entry)).await[0];
    let knobs = SimulatedKnobs { duplicate: 1.0, reorder: 1.0, ..SimulatedKnobs::default() };
    let shop = Opening { knobs, ..Opening::of(&house) }.open(&house).await;
    let begun = shop.post(&format!("/v1/orders/{order}/payment"), &house.token(&entry)).await;
    let page = begun.json()["pay_url"].as_str().unwrap().to_owned();
    assert_eq!(shop.press(&page, "succeed").await.status, 200);
    house.order_in(order, OrderState::Fulfilled).await;
    until("the provider has nothing left to say", async || {
        house.ports.ledger.untold_simulated(Duration::ZERO, 10).await.unwrap().is_empty()
    })
    .await;
    // Those under way are finished first, the older word too.
    shop.close().await;
    let states: Vec<OrderState> =
        house.find(order).await.history.iter().map(|change| change.state).collect();
    use OrderState::{AwaitingPayment, Fulfilled, Fulfilling, Paid};
    assert_eq!(states, [AwaitingPayment, Paid, Fulfilling, Fulfilled]);
    assert_eq!(house.balance().await.sold, 2);
}
