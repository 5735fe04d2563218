//! Why something was changed: in the body where it has a place for it, otherwise in a header; in the audit log either way.

use serde_json::{Value, json};

use crate::house::House;

const POLICY: &str = "/v1/sales/drop/policy";

/// The newest row of the log: what was done, what came of it, and why.
async fn newest(house: &House) -> (Value, Value, Value) {
    let page = house.get("/v1/audit?limit=1").await.is(200);
    let row = &page["rows"][0];
    (row["verb"].clone(), row["result"].clone(), row["reason"].clone())
}

fn row(verb: &str, result: &str, reason: &str) -> (Value, Value, Value) {
    (json!(verb), json!(result), json!(reason))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_body_for_it_carries_its_reason_in_a_header() {
    let house = House::open().await;
    house.sale("drop").await;
    let stop = json!({ "multiplier": 0 });
    house.because("the shop is slow", "PATCH", POLICY, stop.clone()).await.is(200);
    assert_eq!(newest(&house).await, row("sale.policy", "ok", "the shop is slow"));
    house.because("again", "PATCH", POLICY, stop).await.is(200);
    assert_eq!(newest(&house).await, row("sale.policy", "unchanged", "again"));
    let far = json!({ "fraction": 7 });
    house.because("a slip", "PATCH", POLICY, far).await.refuses(422, "out_of_range");
    assert_eq!(newest(&house).await, row("sale.policy", "out_of_range", "a slip"));

    house.post("/v1/bans", json!({ "buyer": "eve", "reason": "resells" })).await.is(201);
    assert_eq!(newest(&house).await, row("ban.add", "ok", "resells"));
    house.because("a mistake", "DELETE", "/v1/bans/1", Value::Null).await.is(204);
    assert_eq!(newest(&house).await, row("ban.remove", "ok", "a mistake"));
    house.because("resells", "POST", "/v1/bans", json!({ "buyer": "eve" })).await.is(201);
    assert_eq!(newest(&house).await, row("ban.add", "ok", "resells"));
    house.because("by id", "DELETE", "/v1/bans?id=2", Value::Null).await.is(204);
    assert_eq!(newest(&house).await, row("ban.remove", "ok", "by id"));

    house.because("a rehearsal", "DELETE", "/v1/sales/drop", Value::Null).await.is(204);
    assert_eq!(newest(&house).await, row("sale.delete", "ok", "a rehearsal"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_in_the_body_goes_before_one_in_the_header() {
    let house = House::open().await;
    house.sale("drop").await;
    let said = json!({ "reason": "in the body" });
    house.because("in the header", "POST", "/v1/sales/drop/pause", said).await.is(200);
    assert_eq!(newest(&house).await, row("sale.pause", "ok", "in the body"));
    house.because("in the header", "POST", "/v1/sales/drop/resume", Value::Null).await.is(200);
    assert_eq!(newest(&house).await, row("sale.resume", "ok", "in the header"));
    house.post("/v1/bans", json!({ "buyer": "eve" })).await.is(201);
    let named = json!({ "buyer": "eve", "reason": "in the body" });
    house.because("in the header", "DELETE", "/v1/bans", named).await.is(204);
    assert_eq!(newest(&house).await, row("ban.remove", "ok", "in the body"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reason_may_be_in_any_language_and_only_so_long() {
    let house = House::open().await;
    house.sale("drop").await;
    let tune = async |reason: &str, cap: u32| {
        house.because(reason, "PATCH", POLICY, json!({ "line_cap": cap })).await
    };
    tune("%E6%94%AF%E4%BB%98%E5%8F%98%E6%85%A2, 100%25", 1).await.is(200);
    assert_eq!(newest(&house).await, row("sale.policy", "ok", "支付变慢, 100%"));
    tune(&"%E6%85%A2".repeat(500), 2).await.is(200);
    assert_eq!(newest(&house).await, row("sale.policy", "ok", &"慢".repeat(500)));
    for blank in ["", "%20%20"] {
        tune(blank, 2).await.is(200);
        assert_eq!(newest(&house).await.2, Value::Null, "`{blank}` says nothing");
    }
    for wrong in ["100%", "%zz", "%ff", &"%E6%85%A2".repeat(501), &"x".repeat(501)] {
        let problem = tune(wrong, 3).await.refuses(400, "bad_request");
        assert_eq!(problem["field"], "x-sluice-reason", "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("x-sluice-reason"), "{problem}");
    }
    let mut twice =
        house.request(sluice_operator::Role::Admin, "PATCH", POLICY, &json!({ "line_cap": 3 }));
    for reason in ["one", "another"] {
        twice.headers_mut().append("x-sluice-reason", reason.parse().unwrap());
    }
    assert_eq!(house.ask(twice).await.refuses(400, "bad_request")["field"], "x-sluice-reason");
    let kept = house.get("/v1/sales/drop").await.is(200);
    assert_eq!(kept["policy"]["line_cap"], 2, "what was refused changed nothing");
}
