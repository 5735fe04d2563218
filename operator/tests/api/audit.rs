//! The audit log: one row for every attempt, in a chain that shows when one is missing.

use serde_json::{Value, json};
use sluice_operator::Role::{self, Admin, Backend, Operator, Viewer};

use crate::house::{House, sale_body};

/// Who asks, how, where, with which body; and the row it leaves: verb, subject, result.
type Try = (Role, &'static str, &'static str, Value, &'static str, &'static str, &'static str);

const DROP: &str = "/v1/sales/drop";
const POLICY: &str = "/v1/sales/drop/policy";
const STOCK: &str = "/v1/sales/drop/skus/standard/stock";

#[rustfmt::skip]
fn tries_on_a_sale() -> Vec<Try> {
    let none = || Value::Null;
    let fraction = |value: f64| json!({ "fraction": value });
    vec![
        (Operator, "POST", "/v1/sales", sale_body("drop"), "sale.create", "drop", "ok"),
        (Operator, "POST", "/v1/sales", sale_body("drop"), "sale.create", "drop", "sale_exists"),
        (Operator, "POST", "/v1/sales", json!({ "id": "x" }), "sale.create", "", "bad_request"),
        (Operator, "POST", "/v1/sales", json!({ "id": "x", "skus": [] }), "sale.create", "x", "out_of_range"),
        (Viewer, "POST", "/v1/sales", sale_body("new"), "sale.create", "", "forbidden"),
        (Operator, "PATCH", POLICY, fraction(0.5), "sale.policy", "drop", "ok"),
        (Operator, "PATCH", POLICY, fraction(0.5), "sale.policy", "drop", "unchanged"),
        (Operator, "PATCH", POLICY, fraction(5.0), "sale.policy", "drop", "out_of_range"),
        (Operator, "PATCH", POLICY, json!({ "fractoin": 5 }), "sale.policy", "drop", "bad_request"),
        (Operator, "PATCH", "/v1/sales/other/policy", json!({}), "sale.policy", "other", "no_such_sale"),
        (Operator, "POST", "/v1/sales/drop/pause", json!({ "reason": "tea" }), "sale.pause", "drop", "ok"),
        (Viewer, "POST", "/v1/sales/drop/resume", none(), "sale.resume", "drop", "forbidden"),
        (Operator, "POST", "/v1/sales/drop/freeze", none(), "sale.freeze", "drop", "forbidden"),
        (Operator, "POST", "/v1/sales/drop/notice", json!({ "text": {} }), "sale.notice", "drop", "out_of_range"),
        (Operator, "POST", STOCK, json!({ "add": 5 }), "sale.stock", "drop", "ok"),
        (Operator, "POST", "/v1/sales/drop/skus/b/stock", json!({ "add": 5 }), "sale.stock", "drop", "no_such_sku"),
    ]
}

#[rustfmt::skip]
fn tries_on_bans_and_ends() -> Vec<Try> {
    let none = || Value::Null;
    vec![
        (Admin, "POST", "/v1/bans", json!({ "buyer": "b" }), "ban.add", "1", "ok"),
        (Admin, "POST", "/v1/bans", json!({ "buyer": "b" }), "ban.add", "1", "unchanged"),
        (Admin, "POST", "/v1/bans", json!({}), "ban.add", "", "bad_request"),
        (Admin, "DELETE", "/v1/bans/1", none(), "ban.remove", "1", "ok"),
        (Admin, "DELETE", "/v1/bans/1", none(), "ban.remove", "1", "no_such_ban"),
        (Backend, "DELETE", "/v1/bans/1", none(), "ban.remove", "1", "forbidden"),
        (Operator, "POST", "/v1/sales/drop/close", none(), "sale.close", "drop", "ok"),
        (Operator, "POST", "/v1/sales/drop/close", none(), "sale.close", "drop", "unchanged"),
        (Operator, "POST", "/v1/sales/drop/resume", none(), "sale.resume", "drop", "sale_closed"),
        (Admin, "DELETE", DROP, none(), "sale.delete", "drop", "ok"),
        (Admin, "DELETE", DROP, none(), "sale.delete", "drop", "no_such_sale"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attempt_leaves_one_row_with_its_author_and_result() {
    let house = House::open().await;
    let tries = tries_on_a_sale().into_iter().chain(tries_on_bans_and_ends());
    for (rows, (role, method, path, body, verb, subject, result)) in (1..).zip(tries) {
        house.as_role(role, method, path, body).await;
        let log = house.log().await;
        assert_eq!(log.len(), rows, "{method} {path} as {}: {log:?}", role.as_str());
        let (author, wrote, about, came) = log.last().unwrap();
        let row = (author.as_str(), wrote.as_str(), about.as_str(), came.as_str());
        assert_eq!(row, (role.as_str(), verb, subject, result), "{method} {path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_told_with_what_was_before_and_after_and_why() {
    let house = House::open().await;
    house.sale("drop").await;
    house.patch("/v1/sales/drop/policy", json!({ "fraction": 0.5 })).await.is(200);
    house
        .post("/v1/sales/drop/pause", json!({ "reason": "the payment provider is down" }))
        .await
        .is(200);
    let page = house.get("/v1/audit?limit=2").await.is(200);
    let [pause, policy] = page["rows"].as_array().unwrap().as_slice() else { panic!("{page}") };
    assert_eq!(pause["reason"], "the payment provider is down");
    assert_eq!(pause["author"], json!({ "name": "admin", "address": "127.0.0.1" }));
    assert!(
        policy["before"].to_string().contains("0.02")
            && policy["after"].to_string().contains("0.5"),
        "{policy}"
    );
    assert_ne!(pause["before"], pause["after"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_is_read_page_by_page_and_the_chain_holds() {
    let house = House::open().await;
    house.sale("drop").await;
    for n in 1..=9 {
        house.patch("/v1/sales/drop/policy", json!({ "line_cap": n })).await.is(200);
    }
    let mut rows = Vec::new();
    let mut path = "/v1/audit?limit=4".to_owned();
    loop {
        let page = house.get(&path).await.is(200);
        rows.extend(page["rows"].as_array().unwrap().iter().cloned());
        match page["next_before"].as_u64() {
            Some(before) => path = format!("/v1/audit?limit=4&before={before}"),
            None => break,
        }
    }
    let ids: Vec<_> = rows.iter().map(|row| row["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=10).rev().collect::<Vec<_>>());
    for pair in rows.windows(2) {
        assert_eq!(pair[0]["previous"], pair[1]["hash"]);
        assert_eq!(pair[0]["hash"].as_str().unwrap().len(), 64);
        assert_ne!(pair[0]["hash"], pair[1]["hash"]);
    }
    for (query, status) in [
        ("limit=0", 422),
        ("limit=501", 422),
        ("limit=x", 400),
        ("before=-1", 400),
        ("before=1", 200),
    ] {
        let answer = house.get(&format!("/v1/audit?{query}")).await;
        assert_eq!(answer.status.as_u16(), status, "{query}: {}", answer.body);
    }
}

/// A token of the wrong role that polls must not fill the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_reads_are_written_down_once_a_minute() {
    let house = House::open().await;
    for _ in 0..5 {
        house.as_role(Backend, "GET", "/v1/sales", Value::Null).await.refuses(403, "forbidden");
    }
    assert_eq!(
        house.log().await,
        [("backend".into(), "read".into(), String::new(), "forbidden".into())]
    );
}
