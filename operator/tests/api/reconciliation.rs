//! Reconciliation on demand, and the report of a sale.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_core::{
    ids::SaleId,
    ports::{GateImage, LeaseReply, PortError},
};
use sluice_operator::Role;

use crate::house::House;

/// Rebuilds the gate from the ledger, with `surplus` units too many.
async fn warm(house: &House, sale: &SaleId, surplus: u64) {
    let ports = &house.ports;
    let lease = ports.ledger.lease(sale, "test", Duration::from_secs(60)).await.unwrap();
    let LeaseReply::Held(lease) = lease else { panic!("{lease:?}") };
    let mut image: GateImage = ports.ledger.gate_image(sale).await.unwrap();
    image.skus[0].1 += surplus;
    ports.gate.rebuild(sale, lease.epoch, image).await.unwrap();
}

async fn run(house: &House, body: Value) -> Value {
    house.as_role(Role::Operator, "POST", "/v1/reconciliation/run", body).await.is(200)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_answers_the_balance_and_is_kept() {
    let house = House::open().await;
    let none = house.get("/v1/reconciliation").await.is(200);
    assert_eq!(none, json!({ "sound": true, "sales": [] }));
    for sale in ["drop", "other"] {
        let sale = house.sale(sale).await;
        warm(&house, &sale, 0).await;
    }
    let found = run(&house, Value::Null).await;
    assert_eq!((&found["sound"], &found["sales"][1]["sale"]), (&json!(true), &json!("other")));
    let drop = &found["sales"][0];
    assert_eq!((&drop["sale"], &drop["verdict"]), (&json!("drop"), &json!("balanced")));
    assert_eq!(
        drop["skus"][0],
        json!({ "sku": "standard", "total": 100, "available": 100, "owed": 0, "held": 0, "sold": 0,
            "gate": { "available": 100, "held": 0, "in_flight": 0 }, "drift": 0, "remaining_drift": 0 })
    );
    assert_eq!(house.get("/v1/reconciliation").await.is(200), found, "as it was");
    let one = house.get("/v1/reconciliation?sale=other").await.is(200);
    assert_eq!(
        (one["sales"].as_array().unwrap().len(), &one["sales"][0]["sale"]),
        (1, &json!("other"))
    );
    let rows = house.log().await;
    let runs: Vec<_> = rows.iter().filter(|row| row.1 == "reconciliation.run").collect();
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].0.as_str(), runs[0].3.as_str()), ("operator", "ok"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drift_is_told_and_a_hand_does_not_freeze_for_it() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    warm(&house, &sale, 50).await;
    for _ in 0..3 {
        let found = run(&house, json!({ "sale": "drop" })).await;
        let drop = &found["sales"][0];
        assert_eq!((&found["sound"], &drop["verdict"]), (&json!(false), &json!("drifting")));
        assert_eq!(drop["skus"][0]["remaining_drift"], 50);
        let detail = drop["findings"][0]["detail"].as_str().unwrap();
        assert!(detail.contains("`standard`") && detail.contains("50 units more"), "{detail}");
    }
    assert_eq!(house.get("/v1/sales/drop").await.is(200)["state"], "open");
    assert!(house.ports.gate.levels(&sale).await.is_ok(), "nor is the gate emptied");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_cold_gate_nothing_is_said() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    assert!(matches!(house.ports.gate.levels(&sale).await, Err(PortError::Cold)));
    let found = run(&house, Value::Null).await;
    assert_eq!(
        (&found["sound"], &found["sales"][0]["skus"][0]["gate"]),
        (&json!(true), &Value::Null)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_runs_are_refused() {
    let house = House::open().await;
    let post = async |body| house.post("/v1/reconciliation/run", body).await;
    post(json!({ "sale": "nowhere" })).await.refuses(404, "no_such_sale");
    post(json!({ "sale": "No Sale" })).await.refuses(400, "bad_request");
    post(json!({ "sales": [] })).await.refuses(400, "bad_request");
    for sale in ["nowhere", "No%20Sale"] {
        let path = format!("/v1/reconciliation?sale={sale}");
        house.get(&path).await.refuses(404, "no_such_sale");
    }
    let shop = House::open_for_a_shop().await;
    shop.post("/v1/reconciliation/run", Value::Null).await.refuses(409, "wrong_state");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_is_a_table_of_minutes() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let csv = async || {
        let path = "/v1/sales/drop/report.csv";
        let answer = house.send(house.request(Role::Viewer, "GET", path, &Value::Null)).await;
        let headers = answer.headers().clone();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        (headers, String::from_utf8(body.to_vec()).unwrap())
    };
    let (headers, empty) = csv().await;
    assert_eq!(headers["content-type"], "text/csv; charset=utf-8");
    assert_eq!(headers["content-disposition"], "attachment; filename=\"drop-report.csv\"");
    assert_eq!(empty.lines().count(), 1, "only the head: {empty}");
    let (id, _) = crate::letters::bury(&house, &sale, 1).await.remove(0);
    house.post(&format!("/v1/dead-letters/{id}/refuse"), Value::Null).await.is(200);
    let (_, text) = csv().await;
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split(',').collect()).collect();
    let refused = rows[0].iter().position(|head| *head == "refused").unwrap();
    let sum: u64 = rows[1..].iter().map(|row| row[refused].parse::<u64>().unwrap()).sum();
    assert_eq!(sum, 1, "{text}");
    house.get("/v1/sales/nowhere/report.csv").await.refuses(404, "no_such_sale");
}
