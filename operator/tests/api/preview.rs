//! Previews: both policies are followed from where the sale stands, wrong ones are named, and nothing is changed.

use serde_json::{Value, json};
use sluice_core::{
    ids::{Epoch, SaleId, Seq, SkuId, Version},
    line::Cursor,
    ports::{LineReport, SkuReport},
};
use sluice_operator::{Limits, Role};
use tokio_util::sync::CancellationToken;

use crate::house::{Answer, House, until};

/// The speaker's word that `waiting` entries stand before 1,000 units.
fn learn(house: &House, sale: &SaleId, waiting: u64) {
    house.directory.learn_line(LineReport {
        sale: sale.clone(),
        epoch: Epoch(1),
        version: Version(1),
        cursor: Cursor { serving: Seq(40), ..Cursor::default() },
        waiting,
        rate_per_second: 20.0,
        rate_actual: 20.0,
        remaining: 1_000,
        unpaid: 0,
        standby: 0,
        owed: 0,
        units_per_turn: 1.0,
        skus: vec![SkuReport {
            sku: SkuId::new("standard").unwrap(),
            remaining: 1_000,
            free_seats: Vec::new(),
        }],
        sold_out: false,
        wait_p50_ms: None,
        wait_p95_ms: None,
        turns: 40,
        sale_version: Version(1),
        at: house.clock.now(),
    });
}

async fn preview(house: &House, body: Value) -> Value {
    house.as_role(Role::Viewer, "POST", "/v1/sales/drop/preview", body).await.is(200)
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no {path} in {value}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quicker_policy_is_seen_to_be_quicker() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    learn(&house, &sale, 1_500);
    let before = house.ports.ledger.sale(&sale).await.unwrap();
    let seen = preview(&house, json!({ "policy": { "tail_per_second": 100 } })).await;
    assert_eq!((&seen["sale"], &seen["version"]), (&json!("drop"), &json!(1)));
    assert_eq!(
        (&seen["assumed"]["waiting"], &seen["assumed"]["remaining"], &seen["assumed"]["held"]),
        (&json!(1_500), &json!(1_000), &json!(0))
    );
    assert_eq!(seen["present"]["policy"]["tail_per_second"], 0.0);
    assert_eq!(seen["patched"]["policy"]["tail_per_second"], 100.0);
    // 100 a second from the beginning: 10 s, and a minute at most to pay. The law alone leaves the last for minutes.
    let quick = number(&seen, "/patched/sold_out_seconds");
    assert!((10.0..75.0).contains(&quick), "{quick}");
    assert!(number(&seen, "/present/sold_out_seconds") > 4.0 * quick, "{seen}");
    for wait in ["p50", "p95"] {
        let of = |policy: &str| number(&seen, &format!("/{policy}/waits_seconds/{wait}"));
        assert!(of("present") > 2.0 * of("patched"), "{wait}: {seen}");
    }
    for policy in ["present", "patched"] {
        let of = |what: &str| number(&seen, &format!("/{policy}/{what}"));
        assert_eq!((of("orders"), of("paid"), of("without")), (1_000.0, 1_000.0, 500.0));
        let timeline = seen[policy]["timeline"].as_array().unwrap();
        assert!((2..=201).contains(&timeline.len()), "{}", timeline.len());
        let first = number(&timeline[0], "/waiting");
        assert!((1_490.0..=1_500.0).contains(&first), "the first step has called a few: {first}");
    }
    assert_eq!(house.ports.ledger.sale(&sale).await.unwrap(), before, "a look changed something");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_are_expected_come_too() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    learn(&house, &sale, 10);
    let alone = preview(&house, json!({ "policy": {} })).await;
    assert_eq!(alone["present"]["sold_out_at"], Value::Null, "nobody wants the rest");
    assert_eq!(alone["present"]["orders"], 10);
    assert_eq!(alone["present"], alone["patched"], "the same policy, the same sale");
    let crowd = json!({ "shoppers": 2_000, "within_seconds": 60 });
    let seen = preview(&house, json!({ "policy": {}, "crowd": crowd })).await;
    assert_eq!(seen["present"]["orders"], 1_000);
    assert!(seen["present"]["sold_out_at"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_policy_is_named_with_its_range() {
    let house = House::open().await;
    house.sale("drop").await;
    let path = "/v1/sales/drop/preview";
    for (body, field, range) in [
        (json!({ "policy": { "fraction": 2 } }), "policy.fraction", "at most 1"),
        (json!({ "policy": { "line_cap": -1 } }), "policy.line_cap", "1 to 10000000"),
        (
            json!({ "policy": { "limits": { "per_ip": { "per_second": 0, "burst": 1 } } } }),
            "policy.limits.per_ip.per_second",
            "1 to 1000000",
        ),
        (
            json!({ "policy": {}, "crowd": { "shoppers": 1_000_001, "within_seconds": 1 } }),
            "crowd.shoppers",
            "0 to 1000000",
        ),
        (
            json!({ "policy": {}, "crowd": { "shoppers": 1, "within_seconds": 86_401 } }),
            "crowd.within_seconds",
            "0 to 86400",
        ),
    ] {
        let refusal = house.post(path, body).await.refuses(422, "out_of_range");
        assert_eq!(refusal["field"], field);
        assert!(refusal["detail"].as_str().unwrap().contains(range), "{refusal}");
    }
    for body in [json!({}), json!({ "policy": { "speed": 1 } }), json!({ "policy": null })] {
        house.post(path, body).await.refuses(400, "bad_request");
    }
    house
        .post("/v1/sales/other/preview", json!({ "policy": {} }))
        .await
        .refuses(404, "no_such_sale");
    house.post("/v1/sales/drop/close", Value::Null).await.is(200);
    house.post(path, json!({ "policy": {} })).await.refuses(409, "sale_closed");
}

/// Nothing is sold at a rate of nothing, so the line is followed for a day: a reckoning that takes a while.
fn endless() -> Value {
    json!({ "policy": { "multiplier": 0 }, "crowd": { "shoppers": 500_000, "within_seconds": 86_400 } })
}

/// Asks for one that does not end by itself. One of those that look whether it has begun may be in hand when it comes.
async fn held_up(house: &House, path: &str) -> Answer {
    loop {
        let answer = house.post(path, endless()).await;
        if answer.body["code"] != "preview_busy" {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_one_at_a_time() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    learn(&house, &sale, 10);
    let path = "/v1/sales/drop/preview";
    let long = held_up(&house, path);
    let meanwhile = until("a refusal", async || {
        let answer = house.post(path, json!({ "policy": {} })).await;
        (answer.status == 503).then(|| answer.refuses(503, "preview_busy"))
    });
    let (_, refusal) = tokio::join!(long, meanwhile);
    assert_eq!(refusal["retry_after_ms"], 1_000);
    // The next one has its turn, whatever became of the one before.
    until("a turn", async || {
        (house.post(path, json!({ "policy": {} })).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_not_reckon_for_ever() {
    let limits = Limits { preview_ms_max: 1, ..Limits::default() };
    let house = House::open_with(limits, |ports| ports).await;
    let sale = house.sale("drop").await;
    learn(&house, &sale, 10);
    house.post("/v1/sales/drop/preview", endless()).await.refuses(503, "preview_too_long");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_in_hand_does_not_outlive_the_process() {
    let limits = Limits { preview_ms_max: 3_600_000, ..Limits::default() };
    let house = House::open_with(limits, |ports| ports).await;
    let sale = house.sale("drop").await;
    learn(&house, &sale, 10);
    let (path, shutdown) = ("/v1/sales/drop/preview", CancellationToken::new());
    let asked = held_up(&house, path);
    let stopped = async {
        until("it to begin", async || {
            let answer = house.post(path, json!({ "policy": {} })).await;
            (answer.status == 503).then_some(())
        })
        .await;
        shutdown.cancel();
        house.operator.run(shutdown.clone()).await;
    };
    let (answer, ()) = tokio::join!(asked, stopped);
    answer.refuses(503, "preview_too_long");
}
