//! Fulfilment by webhook, against a shop that listens on a real server.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use sluice_core::{
    clock::Clock,
    ids::OrderId,
    order::{Order, OrderState},
    webhook::Secrets,
};
use sluice_worker::{Fulfilment, FulfilmentError, Webhook, WebhookSettings};

use crate::{
    house::{House, PRICE},
    recorder::{PATH, Recorder},
    shop::{Opening, Shop},
};

const SIGNING: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

fn webhook(house: &House, settings: &WebhookSettings) -> Webhook {
    let secrets = Secrets::new(&[SIGNING]).unwrap();
    Webhook::new(settings, secrets, Arc::new(house.clock.clone())).unwrap()
}

async fn one_order(house: &House) -> OrderId {
    house.order(&[house.entry(1, "ada", 2)]).await[0]
}

/// Pays the only order of a house at its shop.
async fn pay(house: &House, shop: &Shop, order: OrderId) {
    let ledger = &house.ports.ledger;
    let id = house.new_payment();
    ledger.begin_payment(order, id, "simulated").await.unwrap();
    let word = json!({"payment": id, "order": order, "version": 1, "status": "succeeded",
        "amount_fen": 2 * PRICE, "currency": "CNY", "occurred_at": "2026-11-11T12:00:00Z"});
    let answer = shop.call_back(house, &word).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_is_told_by_a_signed_webhook_until_it_takes_the_order_over() {
    let house = House::open(10).await;
    let order = one_order(&house).await;
    let recorder = Recorder::open(&[Some(503), Some(302), Some(404), Some(204)]).await;
    let fulfilment = webhook(&house, &WebhookSettings::new(recorder.url()));
    let opening = Opening { fulfilment: Arc::new(fulfilment), ..Opening::of(&house) };
    let shop = opening.open(&house).await;
    pay(&house, &shop, order).await;
    let done = house.order_in(order, OrderState::Fulfilled).await;

    let sent = recorder.sent();
    assert_eq!(sent.len(), 4, "refused three times, then taken: {sent:?}");
    let paid = done.history.iter().find(|change| change.state == OrderState::Paid).unwrap();
    let due = json!({"type": "sluice.order.paid.v1", "timestamp": paid.at, "data": {
        "order": order, "sale": "drop", "entry": done.entry, "buyer": "ada",
        "items": [{"sku": "standard", "quantity": 2, "amount_fen": PRICE}],
        "amount_fen": 2 * PRICE, "currency": "CNY"}});
    let secrets = Secrets::new(&[SIGNING]).unwrap();
    for one in &sent {
        assert_eq!(one.path, PATH, "a redirect is not followed");
        assert_eq!(one.header("webhook-id"), order.to_string());
        assert_eq!(one.header("content-type"), "application/json");
        assert_eq!(one.json(), due);
        let (timestamp, signature) =
            (one.header("webhook-timestamp"), one.header("webhook-signature"));
        let now = house.clock.now();
        secrets.verify(&order.to_string(), timestamp, signature, &one.body, now).unwrap();
    }
    shop.close().await;
    recorder.close().await;
}

/// An order as a worker would have it fulfilled.
async fn paid_order(house: &House) -> Order {
    let order = one_order(house).await;
    house.find(order).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_done_never_or_again() {
    let house = House::open(10).await;
    let order = paid_order(&house).await;
    let statuses = [200, 202, 204, 410, 422, 301, 400, 401, 404, 409, 429, 500, 503];
    let recorder = Recorder::open(&statuses.map(Some)).await;
    let webhook = webhook(&house, &WebhookSettings::new(recorder.url()));
    for status in statuses {
        let answer = webhook.fulfil(&order).await;
        let right = match status {
            200..300 => answer.is_ok(),
            410 | 422 => matches!(answer, Err(FulfilmentError::Refused(_))),
            _ => matches!(answer, Err(FulfilmentError::Unreachable(_))),
        };
        assert!(right, "{status}: {answer:?}");
    }
    assert_eq!(recorder.sent().len(), statuses.len());
    recorder.close().await;
}

/// What an order is changed to is no repeat of what it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_told_under_an_id_of_its_own() {
    let house = House::open(10).await;
    let order = paid_order(&house).await;
    let changing = Order { state: OrderState::Changing, ..order.clone() };
    let recorder = Recorder::open(&[]).await;
    let webhook = webhook(&house, &WebhookSettings::new(recorder.url()));
    for one in [&order, &changing, &changing] {
        webhook.fulfil(one).await.unwrap();
    }
    let sent = recorder.sent();
    let ids: Vec<&str> = sent.iter().map(|one| one.header("webhook-id")).collect();
    let id = order.id.to_string();
    assert!(ids[0] == id && ids[1].starts_with(&id) && ids[1] != id, "{ids:?}");
    assert_eq!(ids[1], ids[2]);
    assert_eq!(sent[1].json()["type"], "sluice.order.changed.v1");
    recorder.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_shop_is_waited_for_no_longer_than_its_time_and_then_left_alone() {
    let house = House::open(10).await;
    let order = paid_order(&house).await;
    let recorder = Recorder::open(&[None; 3]).await;
    let patient = WebhookSettings {
        timeout: Duration::from_millis(200),
        failures_max: 3,
        rest: Duration::from_secs(3_600),
        ..WebhookSettings::new(recorder.url())
    };
    let webhook_of = |settings: &WebhookSettings| webhook(&house, settings);
    let webhook = webhook_of(&patient);
    for _ in 0..6 {
        let answer = webhook.fulfil(&order).await;
        assert!(matches!(answer, Err(FulfilmentError::Unreachable(_))), "{answer:?}");
    }
    assert_eq!(recorder.sent().len(), 3, "it is left alone after the third");
    let hasty = WebhookSettings { rest: Duration::ZERO, ..patient };
    let webhook = webhook_of(&hasty);
    webhook.fulfil(&order).await.unwrap();
    recorder.close().await;
}

#[tokio::test]
async fn only_addresses_that_may_be_called_are_taken() {
    let house = House::open(1).await;
    let secrets = || Secrets::new(&[SIGNING]).unwrap();
    for (url, fits) in [
        ("https://shop.example/paid", true),
        ("http://127.0.0.1:9/paid", true),
        ("http://shop.example/paid", false),
        ("https://ada:secret@shop.example/paid", false),
        ("/paid", false),
    ] {
        let clock = Arc::new(house.clock.clone());
        let made = Webhook::new(&WebhookSettings::new(url), secrets(), clock);
        assert_eq!(made.is_ok(), fits, "{url}");
        if let Err(error) = made {
            assert!(!error.to_string().contains("secret"));
        }
    }
}
