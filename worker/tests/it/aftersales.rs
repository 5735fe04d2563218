//! What comes after the sale, over real HTTP and by itself: refunds, changes, late money, and orders nobody can fulfil.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use sluice_core::{
    basket::Basket,
    ids::{OrderId, PaymentId, RefundId},
    line::LineEntry,
    money::AmountFen,
    order::{ClosingCause, Order, OrderState},
    ports::{
        NewPayment, PaymentProvider, PaymentRequest, PaymentState, ProviderError, ProviderPayment,
        ProviderStatus, RefundStatus,
    },
    refund::{RefundCause, RefundState},
};
use sluice_worker::{Config, Fulfilment, FulfilmentError, Immediate, Worker};

use crate::{
    house::{House, PRICE, Running, until},
    shop::{Answer, Shop},
};

/// A house with one fulfilled order of two units, and a shop beside it.
struct Scene {
    house: House,
    shop: Shop,
    entry: LineEntry,
    order: OrderId,
}

impl Scene {
    async fn open() -> Self {
        let house = House::open(10).await;
        let entry = house.entry(1, "ada", 2);
        let order = house.order(std::slice::from_ref(&entry)).await[0];
        let shop = Shop::open(&house).await;
        let scene = Self { house, shop, entry, order };
        let opened = scene.post("/payment", &[], Value::Null).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        let pay_url = opened.json()["pay_url"].as_str().unwrap().to_owned();
        assert_eq!(scene.shop.press(&pay_url, "succeed").await.status, 200);
        scene.house.order_in(order, OrderState::Fulfilled).await;
        scene
    }

    async fn post(&self, verb: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        let bearer = format!("Bearer {}", self.house.token(&self.entry));
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend_from_slice(headers);
        let body = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_empty() {
            all.push(("content-type", "application/json"));
        }
        let path = format!("/v1/orders/{}{verb}", self.order);
        self.shop.send(Method::POST, &path, &all, body).await
    }

    async fn show(&self) -> Value {
        let token = self.house.token(&self.entry);
        self.shop.get(&format!("/v1/orders/{}", self.order), &token).await.json()
    }

    async fn close(self) {
        self.house.assert_balanced().await;
        assert_no_money_lost(&self.house).await;
        self.shop.close().await;
    }
}

/// `no-swallowed-money`.
async fn assert_no_money_lost(house: &House) {
    for money in house.ports.ledger.books(&house.sale).await.unwrap().money {
        assert_eq!(money.gap(), 0, "{money:?}");
    }
}

fn units(quantity: u32) -> Value {
    json!({ "items": [{ "sku": "standard", "quantity": quantity }] })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_gives_the_whole_order_back() {
    let scene = Scene::open().await;
    let links = scene.show().await["links"].clone();
    assert!(links["refund"].as_str().unwrap().ends_with("/refund"), "{links}");
    let key = [("idempotency-key", "whole")];
    let given = scene.post("/refund", &key, Value::Null).await;
    assert_eq!((given.status, given.json()["state"].as_str()), (200, Some("refunding")));
    scene.house.order_in(scene.order, OrderState::Refunded).await;
    let shown = scene.show().await;
    let refund = &shown["refunds"][0];
    assert_eq!((&refund["amount_fen"], &refund["cause"]), (&json!(2 * PRICE), &json!("requested")));
    assert_eq!(refund["state"], "done");
    assert_eq!(refund["items"], units(2)["items"]);
    assert_eq!(shown["items"][0]["refunded"], 2);
    assert!(shown["links"].get("refund").is_none(), "{shown}");
    let again = scene.post("/refund", &key, Value::Null).await;
    assert_eq!((again.status, again.json()["state"].as_str()), (200, Some("refunded")), "a repeat");
    scene.post("/refund", &[], Value::Null).await.assert_problem(409, "wrong_state");
    scene.post("/change", &[], units(1)).await.assert_problem(409, "wrong_state");
    scene.post("/refund", &key, units(1)).await.assert_problem(422, "idempotency_key_reused");
    assert_eq!(scene.house.balance().await.available, 10);
    assert_eq!(shown["refunds"].as_array().unwrap().len(), 1);
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_gives_one_item_back_and_no_more_than_there_are() {
    let scene = Scene::open().await;
    let key = [("idempotency-key", "one")];
    for _ in 0..2 {
        let given = scene.post("/refund", &key, units(1)).await;
        assert_eq!((given.status, given.json()["state"].as_str()), (200, Some("fulfilled")));
        assert_eq!(given.json()["items"][0]["refunded"], 1, "once for its key: {given:?}");
    }
    let greedy = scene.post("/refund", &[], units(2)).await;
    greedy.assert_problem(422, "not_left");
    assert!(greedy.json()["detail"].as_str().unwrap().contains("left to refund: 1"), "{greedy:?}");
    scene.post("/refund", &[], json!({ "items": [] })).await.assert_problem(400, "bad_request");
    scene.post("/refund", &[], units(0)).await.assert_problem(400, "bad_request");
    scene.post("/refund", &[], json!({ "all": true })).await.assert_problem(400, "bad_request");
    until("the money is back", async || scene.show().await["refunds"][0]["state"] == "done").await;
    assert_eq!(scene.house.balance().await.returned, 1);
    scene.house.assert_balanced().await;
    scene.post("/change", &[], units(1)).await.assert_problem(409, "partly_refunded");
    let last = scene.post("/refund", &[], units(1)).await;
    assert_eq!((last.status, last.json()["state"].as_str()), (200, Some("refunding")));
    scene.house.order_in(scene.order, OrderState::Refunded).await;
    scene.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_changes_the_order_and_gets_the_difference() {
    let scene = Scene::open().await;
    scene.post("/change", &[], json!({})).await.assert_problem(400, "bad_request");
    scene.post("/change", &[], units(3)).await.assert_problem(422, "dearer");
    scene.post("/change", &[], units(11)).await.assert_problem(422, "over_limit");
    let foreign = json!({ "items": [{ "sku": "other", "quantity": 1 }] });
    scene.post("/change", &[], foreign).await.assert_problem(422, "no_such_sku");
    let same = scene.post("/change", &[], units(2)).await;
    assert_eq!((same.status, same.json()["state"].as_str()), (200, Some("fulfilled")));
    let version = same.json()["version"].clone();
    let changed = scene.post("/change", &[], units(1)).await;
    assert_eq!(changed.status, 200, "{changed:?}");
    assert_ne!(changed.json()["version"], version);
    let after = scene.house.order_in(scene.order, OrderState::Fulfilled).await;
    assert_eq!(after.amount, AmountFen(PRICE));
    let balance = scene.house.balance().await;
    assert_eq!((balance.available, balance.sold, balance.returned), (9, 1, 2));
    until("the difference is back", async || scene.show().await["refunds"][0]["state"] == "done")
        .await;
    assert_eq!(scene.show().await["refunds"][0]["cause"], "changed");
    scene.close().await;
}

/// Fulfils nothing, for good, while it is told so.
#[derive(Debug, Default)]
struct Refusing(AtomicBool);

#[async_trait]
impl Fulfilment for Refusing {
    async fn fulfil(&self, _: &Order) -> Result<(), FulfilmentError> {
        if self.0.load(Ordering::SeqCst) {
            return Err(FulfilmentError::Refused("no ticket".into()));
        }
        Ok(())
    }
}

/// Sends money back after so many calls that it does not answer, and once that it only takes note.
#[derive(Debug, Default)]
struct Payer {
    away: AtomicU64,
    noted: AtomicBool,
    sent: AtomicU64,
}

#[async_trait]
impl PaymentProvider for Payer {
    fn name(&self) -> &'static str {
        "payer"
    }

    async fn create(&self, _: &PaymentRequest) -> Result<ProviderPayment, ProviderError> {
        Ok(ProviderPayment { pay_url: "https://pay.example/1".into() })
    }

    async fn close(&self, _: PaymentId) -> Result<ProviderStatus, ProviderError> {
        Ok(ProviderStatus::Closed)
    }

    async fn query(&self, _: PaymentId) -> Result<ProviderStatus, ProviderError> {
        Ok(ProviderStatus::Closed)
    }

    async fn refund(
        &self,
        _: PaymentId,
        _: RefundId,
        amount: AmountFen,
    ) -> Result<RefundStatus, ProviderError> {
        let left = self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() {
            return Err(ProviderError::Unreachable("away".into()));
        }
        if !self.noted.swap(true, Ordering::SeqCst) {
            return Ok(RefundStatus::Pending);
        }
        self.sent.fetch_add(u64::try_from(amount.0).unwrap(), Ordering::SeqCst);
        Ok(RefundStatus::Done)
    }
}

fn worker(house: &House, payer: &Arc<Payer>, fulfilment: Arc<dyn Fulfilment>) -> Running {
    let provider = Arc::clone(payer) as Arc<dyn PaymentProvider>;
    Running::start(Worker::build(Config::default(), house.worker_ports(), provider, fulfilment))
}

/// A payment of an order that awaits one, and the provider's word that it succeeded.
async fn paid(house: &House, order: OrderId) {
    let id = house.new_payment();
    let begun = house.ports.ledger.begin_payment(order, id, "payer").await.unwrap();
    let NewPayment::New(payment) = begun else { panic!("a new payment was due: {begun:?}") };
    let word = payment.found(PaymentState::Succeeded);
    house.ports.ledger.apply_payment(word).await.unwrap();
}

/// Time passes until a refund that was postponed is through.
async fn until_refunded(house: &House, order: OrderId) {
    until("the money is back", async || {
        house.clock.advance(Duration::from_secs(1));
        house.find(order).await.state == OrderState::Refunded
    })
    .await;
}

#[tokio::test]
async fn an_order_that_nobody_can_fulfil_gives_goods_and_money_back() {
    let house = House::open(3).await;
    let order = house.order(&house.entries(1)).await[0];
    paid(&house, order).await;
    house.forget_gate().await;
    house.clock.advance(Duration::from_secs(60));
    let payer = Arc::new(Payer { away: AtomicU64::new(3), ..Payer::default() });
    let worker = worker(&house, &payer, Arc::new(Refusing(AtomicBool::new(true))));
    house.order_in(order, OrderState::Refunding).await;
    assert_eq!(house.balance().await.available, 3);
    house.assert_balanced().await;
    until_refunded(&house, order).await;
    let states: Vec<OrderState> =
        house.find(order).await.history.iter().map(|change| change.state).collect();
    use OrderState::{AwaitingPayment, Failed, Fulfilling, Paid, Refunded, Refunding};
    assert_eq!(states, [AwaitingPayment, Paid, Fulfilling, Failed, Refunding, Refunded]);
    assert_eq!(payer.sent.load(Ordering::SeqCst), u64::try_from(PRICE).unwrap(), "once");
    let refund = house.ports.ledger.refunds(order).await.unwrap().remove(0);
    assert_eq!((refund.cause, refund.state), (RefundCause::Failed, RefundState::Done));
    assert!(refund.tries >= 5, "it was asked until it said so: {refund:?}");
    house.assert_balanced().await;
    assert_no_money_lost(&house).await;
    worker.stop().await;
}

#[tokio::test]
async fn money_that_comes_when_the_order_is_closed_buys_what_is_there_and_else_goes_back() {
    let house = House::open(1).await;
    let entries = house.entries(2);
    let first = house.order(&entries[..1]).await[0];
    let payment = house.new_payment();
    house.ports.ledger.begin_payment(first, payment, "payer").await.unwrap();
    house.ports.ledger.begin_closing(first, ClosingCause::Deadline).await.unwrap();
    let payer = Arc::new(Payer::default());
    let worker = worker(&house, &payer, Arc::new(Immediate));
    house.order_in(first, OrderState::Closed).await;
    let second = house.order(&entries[1..]).await[0];
    let late = house.new_payment();
    house.ports.ledger.begin_payment(second, late, "payer").await.unwrap();
    house.ports.ledger.begin_closing(second, ClosingCause::Deadline).await.unwrap();
    house.order_in(second, OrderState::Closed).await;

    for (payment, state) in [(late, OrderState::Fulfilled), (payment, OrderState::Refunded)] {
        let known = house.ports.ledger.payment(payment).await.unwrap().unwrap();
        house.ports.ledger.apply_payment(known.found(PaymentState::Succeeded)).await.unwrap();
        until(state.as_str(), async || {
            house.clock.advance(Duration::from_secs(1));
            house.find(known.order).await.state == state
        })
        .await;
    }
    let balance = house.balance().await;
    assert_eq!((balance.available, balance.sold), (0, 1), "one unit, one buyer");
    assert_no_money_lost(&house).await;
    worker.stop().await;
}

#[tokio::test]
async fn a_change_that_a_crash_cut_in_two_leaves_one_valid_order() {
    for refuses in [false, true] {
        let house = House::open(5).await;
        let entry = house.entry(1, "ada", 2);
        let order = house.order(std::slice::from_ref(&entry)).await[0];
        let (payer, fulfilment) = (Arc::new(Payer::default()), Arc::new(Refusing::default()));
        let first = worker(&house, &payer, Arc::clone(&fulfilment) as Arc<dyn Fulfilment>);
        paid(&house, order).await;
        house.clock.advance(Duration::from_secs(60));
        let before = house.order_in(order, OrderState::Fulfilled).await;
        first.kill().await;

        let goods: Basket = serde_json::from_value(units(1)["items"].clone()).unwrap();
        house.ports.ledger.begin_change(order, None, &goods).await.unwrap();
        house.forget_gate().await;
        house.assert_balanced().await;
        fulfilment.0.store(refuses, Ordering::SeqCst);
        let second = worker(&house, &payer, fulfilment);
        let after = house.order_in(order, OrderState::Fulfilled).await;
        if refuses {
            assert_eq!((after.basket(), after.hold), (before.basket(), before.hold), "undone");
        } else {
            assert_eq!(after.basket(), Some(goods), "made");
        }
        house.assert_balanced().await;
        assert_no_money_lost(&house).await;
        second.stop().await;
    }
}
