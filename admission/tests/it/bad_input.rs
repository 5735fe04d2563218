//! Bad input: each kind gets the answer of the contract and changes nothing.

use http::Method;
use serde_json::json;
use sluice_core::sale::NewSale;

use crate::stage::{START, Stage, assert_problem, author};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_do_not_fit_are_named() {
    let stage = Stage::open().await;
    let items = |item: &str| format!(r#"{{"items":[{item}]}}"#);
    let contact = |contact: &str| {
        format!(r#"{{"items":[{{"sku":"standard","quantity":1}}],"contact":{contact}}}"#)
    };
    for (body, says) in [
        (String::new(), "empty"),
        ("{".into(), "not valid JSON"),
        ("nonsense".into(), "not valid JSON"),
        (r#"{"items":[{"sku":"standard","quantity":1}]}{}"#.into(), "not valid JSON"),
        ("null".into(), ""),
        ("[]".into(), ""),
        ("{}".into(), "items"),
        (r#"{"items":7}"#.into(), "items"),
        (r#"{"items":[]}"#.into(), "items"),
        (r#"{"items":["standard"]}"#.into(), "items[0]"),
        (items(r#"{"sku":"standard"}"#), "quantity"),
        (items(r#"{"quantity":1}"#), "sku"),
        (items(r#"{"sku":"standard","quantity":0}"#), "quantity"),
        (items(r#"{"sku":"standard","quantity":-1}"#), "quantity"),
        (items(r#"{"sku":"standard","quantity":1.5}"#), "quantity"),
        (items(r#"{"sku":"standard","quantity":"1"}"#), "quantity"),
        (items(r#"{"sku":"standard","quantity":9223372036854775808}"#), "quantity"),
        (items(r#"{"sku":"standard","quantity":1e400}"#), "quantity"),
        (items(r#"{"sku":"standard","quantity":11}"#), "from 1 to 10"),
        (items(r#"{"sku":"standard","quantity":6},{"sku":"standard","quantity":5}"#), "at most 10"),
        (items(r#"{"sku":"unknown","quantity":1}"#), "`unknown` is not sold"),
        (items(r#"{"sku":"Not A Slug","quantity":1}"#), "sku"),
        (items(&format!(r#"{{"sku":"{}","quantity":1}}"#, "x".repeat(10_000))), "sku"),
        (items(r#"{"sku":"standard","quantity":1,"colour":"red"}"#), "colour"),
        (items(r#"{"sku":"standard","quantity":1,"from":0,"to":2}"#), "`standard`: it is counted"),
        (r#"{"items":[{"sku":"standard","quantity":1}],"priority":true}"#.into(), "priority"),
        (contact(r#"{"email":"ada"}"#), "contact.email"),
        (contact(r#"{"phone":"call me"}"#), "contact.phone"),
        (contact(r#"{"fax":"1"}"#), "fax"),
        (contact("7"), "contact"),
        (r#"{"items":[{"sku":"standard","quantity":1}],"locale":"en_US"}"#.into(), "locale"),
    ] {
        let ask = stage.ask(Method::POST, "/v1/sales/demo/entries").header("x-sluice-buyer", "ada");
        let reply = ask.text(body.clone()).send().await;
        assert_problem(&reply, 400, "bad_request", says);
    }
    assert!(stage.queued().await.is_empty(), "nothing of this was recorded");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_is_never_echoed() {
    let stage = Stage::open().await;
    let ask = stage.ask(Method::POST, "/v1/sales/demo/entries").header("x-sluice-buyer", "ada");
    let body = r#"{"items":[{"sku":"standard","quantity":1}],"contact":{"phone":"+86 secret"}}"#;
    let reply = ask.text(body).send().await;
    reply.expect(400, "bad_request");
    assert!(!String::from_utf8_lossy(&reply.body).contains("secret"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fat_bodies_and_foreign_kinds() {
    let stage = Stage::open().await;
    let join = || stage.ask(Method::POST, "/v1/sales/demo/entries").header("x-sluice-buyer", "ada");
    for bytes in [16 * 1024 + 1, 100_000, 1_000_000] {
        join().text(" ".repeat(bytes)).send().await.expect(413, "body_too_large");
    }
    let padded =
        format!(r#"{{"items":[{{"sku":"standard","quantity":1}}]{}}}"#, " ".repeat(16 * 1024 - 47));
    assert!(padded.len() <= 16 * 1024);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json5", ""] {
        let ask = join().body(kind, padded.clone());
        ask.send().await.expect(415, "unsupported_media_type");
    }
    join().send().await.expect(415, "unsupported_media_type");
    join()
        .text(padded.clone())
        .header("content-type", "text/plain")
        .send()
        .await
        .expect(415, "unsupported_media_type");
    assert!(stage.queued().await.is_empty());
    join().body("application/json; charset=utf-8", padded).send().await.expect(202, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_methods_name_the_right_ones() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let reply = stage.ask(Method::PUT, "/v1/sales/demo/entries").json(&json!({})).send().await;
    reply.expect(405, "method_not_allowed");
    assert!(reply.header("allow").unwrap().contains("POST"));
    stage.about(Method::PATCH, &mine, "").send().await.expect(405, "method_not_allowed");
    stage.about(Method::GET, &mine, "/token").send().await.expect(405, "method_not_allowed");
    stage.ask(Method::GET, "/v1/sales/demo/nothing").send().await.expect(404, "not_found");
}

/// Legs reversed, out of range, cut in half, on the wrong goods: each is named, and nobody joins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stretch_must_be_one_of_the_sales() {
    let stage = Stage::open().await;
    let train = serde_json::from_value::<NewSale>(json!({ "id": "train", "skus": [
        { "sku": "second", "seats": ["01A", "01B"], "stops": ["a", "b", "c", "d"], "amount_fen": 100, "currency": "CNY" },
    ] }));
    let train = train.unwrap().build(START).unwrap();
    stage.ports.ledger.create_sale(train, &author()).await.unwrap();
    for (item, says) in [
        (json!({ "sku": "second", "quantity": 1 }), "`items.from` must be given with `to`"),
        (json!({ "sku": "second", "quantity": 1, "from": 1 }), "`items[0].to` is missing"),
        (json!({ "sku": "second", "quantity": 1, "to": 1 }), "`items[0].from` is missing"),
        (json!({ "sku": "second", "quantity": 1, "from": 2, "to": 1 }), "must be below `to`"),
        (json!({ "sku": "second", "quantity": 1, "from": 1, "to": 1 }), "must be below `to`"),
        (json!({ "sku": "second", "quantity": 1, "from": -1, "to": 1 }), "`items[0].from`"),
        (
            json!({ "sku": "second", "quantity": 1, "from": 0, "to": 4 }),
            "`items.to` must be at most 3",
        ),
        (json!({ "sku": "second", "quantity": 1, "from": 0, "to": 65 }), "at most 64"),
        (json!({ "sku": "second", "quantity": 1, "from": 0, "to": "1" }), "to"),
        (json!({ "sku": "second", "quantity": 11, "from": 0, "to": 1 }), "from 1 to 10"),
        (json!({ "sku": "second", "quantity": 1, "from": 0, "to": 1, "seats": [0] }), "seats"),
    ] {
        let ask = stage.ask(Method::POST, "/v1/sales/train/entries");
        let body = json!({ "items": [item] });
        let reply = ask.header("x-sluice-buyer", "ada").text(body.to_string()).send().await;
        assert_problem(&reply, 400, "bad_request", says);
    }
    // Two lines of one stretch are summed before they are checked.
    let lines = [6, 5].map(|n| json!({ "sku": "second", "quantity": n, "from": 0, "to": 1 }));
    let ask = stage.ask(Method::POST, "/v1/sales/train/entries");
    let body = json!({ "items": lines }).to_string();
    let reply = ask.header("x-sluice-buyer", "ada").text(body).send().await;
    assert_problem(&reply, 400, "bad_request", "at most 10 units together");
}
