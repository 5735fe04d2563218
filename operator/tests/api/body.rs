//! Bodies that are no JSON, or not the JSON that is meant: 400 naming the field, and nothing is changed.

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use sluice_operator::{Limits, Role};

use crate::house::{House, sale_body};

async fn post_raw(
    house: &House,
    path: &str,
    content_type: &str,
    body: impl Into<Bytes>,
) -> crate::house::Answer {
    let mut request = house.request(Role::Admin, "POST", path, &json!({}));
    request.headers_mut().insert("content-type", content_type.parse().unwrap());
    *request.body_mut() = Full::new(body.into());
    house.ask(request).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_does_not_fit_is_named() {
    let house = House::open().await;
    house.sale("drop").await;
    let with = |pointer: &str, value: Value| {
        let mut body = sale_body("new");
        *body.pointer_mut(pointer).unwrap() = value;
        body
    };
    let mut without_stock = sale_body("new");
    without_stock["skus"][0].as_object_mut().unwrap().remove("stock");
    let mut unknown = sale_body("new");
    unknown["colour"] = json!("red");
    for (method, path, body, field) in [
        ("POST", "/v1/sales", with("/id", json!("Not A Name")), "id"),
        ("POST", "/v1/sales", with("/id", json!("x".repeat(10_000))), "id"),
        ("POST", "/v1/sales", with("/title", Value::Null), "title"),
        ("POST", "/v1/sales", with("/skus/0/sku", json!("")), "skus[0].sku"),
        ("POST", "/v1/sales", with("/skus/0/stock", json!(1.5)), "skus[0].stock"),
        ("POST", "/v1/sales", with("/skus/0/stock", json!("10")), "skus[0].stock"),
        ("POST", "/v1/sales", with("/skus/0/currency", json!("yuan")), "skus[0].currency"),
        ("POST", "/v1/sales", without_stock, "skus[0].stock"),
        ("POST", "/v1/sales", unknown, "colour"),
        ("POST", "/v1/sales", json!({ "id": "new" }), "skus"),
        ("PATCH", "/v1/sales/drop/policy", json!({ "fractoin": 0.1 }), "fractoin"),
        ("PATCH", "/v1/sales/drop/policy", json!({ "fraction": "fast" }), "fraction"),
        ("PATCH", "/v1/sales/drop/policy", json!({ "fraction": null }), "fraction"),
        ("PATCH", "/v1/sales/drop/policy", json!({ "line_cap": 1.5 }), "line_cap"),
        (
            "PATCH",
            "/v1/sales/drop/policy",
            json!({ "refuse_while_paused": 1 }),
            "refuse_while_paused",
        ),
        ("POST", "/v1/sales/drop/pause", json!({ "why": "x" }), "why"),
        ("POST", "/v1/sales/drop/pause", json!({ "reason": 7 }), "reason"),
        ("POST", "/v1/sales/drop/notice", json!({}), "text"),
        ("POST", "/v1/sales/drop/notice", json!({ "text": { "en": 7 } }), "text.en"),
        ("POST", "/v1/sales/drop/skus/standard/stock", json!({}), "add"),
        ("POST", "/v1/sales/drop/skus/standard/stock", json!({ "add": "5" }), "add"),
        ("POST", "/v1/bans", json!({ "buyer": "a b" }), "buyer"),
        ("POST", "/v1/bans", json!({ "header": { "name": "x" } }), "header.value"),
        ("POST", "/v1/bans", json!({ "cidr": "here" }), "cidr"),
    ] {
        let refusal =
            house.as_role(Role::Admin, method, path, body).await.refuses(400, "bad_request");
        assert_eq!(refusal["field"], field, "{method} {path}: {refusal}");
    }
    let sales = house.ports.ledger.sales().await.unwrap();
    assert_eq!((sales.len(), sales[0].version.0), (1, 1), "something was changed");
    assert_eq!(house.ports.ledger.bans().await.unwrap().bans, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_json_is_refused() {
    let house =
        House::open_with(Limits { body_bytes_max: 1_000, ..Limits::default() }, |ports| ports)
            .await;
    post_raw(&house, "/v1/sales", "application/json", "{\"id\":").await.refuses(400, "bad_request");
    post_raw(&house, "/v1/sales", "application/json", "").await.refuses(400, "bad_request");
    post_raw(&house, "/v1/sales", "application/json", sale_body("a").to_string() + "x")
        .await
        .refuses(400, "bad_request");
    post_raw(&house, "/v1/sales", "text/plain", sale_body("a").to_string())
        .await
        .refuses(415, "unsupported_media_type");
    let fat = post_raw(
        &house,
        "/v1/sales",
        "application/json",
        format!("{{\"id\":\"{}\"}}", "x".repeat(2_000)),
    )
    .await;
    assert_eq!(fat.status.as_u16(), 413, "{}", fat.body);
    assert_eq!(house.ports.ledger.sales().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_method_is_told_the_right_ones() {
    let house = House::open().await;
    let answer = house.as_role(Role::Admin, "PUT", "/v1/sales/drop/policy", json!({})).await;
    assert!(answer.header("allow").contains("PATCH"));
    answer.refuses(405, "method_not_allowed");
}
