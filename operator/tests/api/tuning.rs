//! Policy, course, notice and stock: what is changed bites at once, what is refused changes nothing.

use serde_json::{Value, json};
use sluice_core::{
    ids::SkuId,
    ports::{GateImage, Notice},
};
use sluice_operator::Role;

use crate::house::{House, heard};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_is_merged_and_bites_in_this_process_and_on_the_bulletin() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let mut bulletin = house.ports.bulletin.subscribe().await.unwrap();
    house.patch("/v1/sales/drop/policy", json!({ "multiplier": 0.5 })).await.is(200);
    let answer = house.patch("/v1/sales/drop/policy", json!({ "fraction": 0.1 })).await;
    assert_eq!(answer.header("etag"), "\"3\"");
    let body = answer.is(200);
    assert_eq!(
        (&body["policy"]["multiplier"], &body["policy"]["fraction"]),
        (&json!(0.5), &json!(0.1))
    );
    assert_eq!(body["policy"]["ceiling_per_second"], 2000.0, "what is not named stays");
    let known = house.directory.sale(&sale).unwrap().sale();
    assert_eq!((known.version.0, known.policy.multiplier), (3, 0.5));
    for version in [2, 3] {
        let Notice::Sale { sale } = heard(&mut bulletin).await else { panic!("not a sale") };
        assert_eq!(sale.version.0, version);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_version_is_refused_on_every_change() {
    let house = House::open().await;
    house.sale("drop").await;
    house
        .if_match("PATCH", "/v1/sales/drop/policy", "\"1\"", json!({ "fraction": 0.1 }))
        .await
        .is(200);
    for (method, path, body) in [
        ("PATCH", "/v1/sales/drop/policy", json!({ "fraction": 0.2 })),
        ("PATCH", "/v1/sales/drop/policy", json!({ "fraction": 0.1 })),
        ("POST", "/v1/sales/drop/pause", Value::Null),
        ("POST", "/v1/sales/drop/notice", json!({ "text": null })),
        ("POST", "/v1/sales/drop/skus/standard/stock", json!({ "add": 5 })),
        ("DELETE", "/v1/sales/drop", Value::Null),
    ] {
        let answer = house.if_match(method, path, "\"1\"", body.clone()).await;
        assert_eq!(answer.header("etag"), "\"2\"", "{method} {path}");
        assert!(answer.refuses(412, "stale")["detail"].as_str().unwrap().contains("version 2"));
        let malformed = house.if_match(method, path, "1", body).await;
        assert_eq!(malformed.refuses(400, "bad_request")["field"], "if-match");
    }
    let now = house.get("/v1/sales/drop").await.is(200);
    assert_eq!((&now["version"], &now["policy"]["fraction"]), (&json!(2), &json!(0.1)));
    house.if_match("POST", "/v1/sales/drop/pause", "*", Value::Null).await.is(200);
    house.if_match("POST", "/v1/sales/drop/resume", "\"3\"", Value::Null).await.is(200);
}

/// Every range of the contract, at its ends and beyond them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_range_is_kept_and_named() {
    let house = House::open().await;
    house.sale("drop").await;
    let numbers: [(&str, &[f64], &[f64], &str); 9] = [
        ("fraction", &[1e-9, 1.0], &[0.0, -0.1, 1.01, 1e300], "above 0 and at most 1"),
        (
            "ceiling_per_second",
            &[0.5, 1e6],
            &[0.0, -1.0, 1_000_001.0],
            "above 0 and at most 1000000",
        ),
        ("tail_per_second", &[0.0, 1e6], &[-0.1, 1_000_001.0], "0 to 1000000"),
        ("multiplier", &[0.0, 1.0], &[-0.1, 1.01], "0 to 1"),
        ("line_cap", &[1.0, 1e7], &[0.0, -1.0, 10_000_001.0, 1e30], "1 to 10000000"),
        ("standby_cap", &[0.0, 1e7], &[-1.0, 10_000_001.0], "0 to 10000000"),
        ("per_buyer_units", &[1.0, 1_000.0], &[0.0, -1.0, 1_001.0, 4_294_967_297.0], "1 to 1000"),
        (
            "payment_window_seconds",
            &[1.0, 86_400.0],
            &[0.0, -1.0, 86_401.0, 4_294_967_297.0],
            "1 to 86400",
        ),
        ("expire_silent_after_seconds", &[0.0, 86_400.0], &[-1.0, 86_401.0], "0 to 86400"),
    ];
    for (field, right, wrong, range) in numbers {
        for value in right {
            house.patch("/v1/sales/drop/policy", json!({ field: value })).await.is(200);
        }
        for value in wrong {
            refused(&house, json!({ field: value }), field, range).await;
        }
    }
    house.patch("/v1/sales/drop/policy", json!({ "outcome_timeout_seconds": 3_600 })).await.is(200);
    for value in [0, 3_601] {
        refused(
            &house,
            json!({ "outcome_timeout_seconds": value }),
            "outcome_timeout_seconds",
            "1 to 3600",
        )
        .await;
    }
    for name in ["per_buyer", "per_device", "per_ip"] {
        let half = json!({ "limits": { name: { "burst": 1 } } });
        refused(&house, half, &format!("limits.{name}.per_second"), "must be given too").await;
        for (key, other) in [("per_second", "burst"), ("burst", "per_second")] {
            let limit = |value: i64| json!({ "limits": { name: { key: value, other: 1 } } });
            for value in [1, 1_000_000] {
                house.patch("/v1/sales/drop/policy", limit(value)).await.is(200);
            }
            for value in [0, -1, 1_000_001, 1 << 40] {
                refused(&house, limit(value), &format!("limits.{name}.{key}"), "1 to 1000000")
                    .await;
            }
        }
    }
    for (field, words) in
        [("overflow", ["refuse", "standby"]), ("on_sold_out", ["standby", "settle"])]
    {
        for word in words {
            let body = json!({ field: word });
            let policy = house.patch("/v1/sales/drop/policy", body).await.is(200);
            assert_eq!(policy["policy"][field], word);
        }
    }
    let policy =
        house.patch("/v1/sales/drop/policy", json!({ "refuse_while_paused": true })).await.is(200);
    assert_eq!(policy["policy"]["refuse_while_paused"], true);
}

/// A PATCH is a merge patch (RFC 7396), and may say so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_merged_into_the_one_that_stands_and_null_removes_it() {
    let house = House::open().await;
    house.sale("drop").await;
    let limit = |limit: Value| json!({ "limits": { "per_ip": limit } });
    let whole = limit(json!({ "per_second": 5, "burst": 6 }));
    house.patch("/v1/sales/drop/policy", whole).await.is(200);
    let half = limit(json!({ "per_second": 7 }));
    let mut request = house.request(Role::Operator, "PATCH", "/v1/sales/drop/policy", &half);
    let media_type = "application/merge-patch+json".parse().unwrap();
    request.headers_mut().insert("content-type", media_type);
    let tuned = house.ask(request).await.is(200);
    assert_eq!(tuned["policy"]["limits"]["per_ip"], json!({ "per_second": 7, "burst": 6 }));
    let tuned = house.patch("/v1/sales/drop/policy", limit(Value::Null)).await.is(200);
    assert_eq!(tuned["policy"]["limits"], json!({}), "the configuration's own counts again");
    let again = house.patch("/v1/sales/drop/policy", limit(Value::Null)).await.is(200);
    assert_eq!(again["policy"], tuned["policy"]);
    for (nothing, field) in [
        (json!({ "fraction": null }), "fraction"),
        (json!({ "line_cap": null }), "line_cap"),
        (json!({ "overflow": null }), "overflow"),
        (json!({ "limits": null }), "limits"),
        (limit(json!({ "per_second": 1, "burst": null })), "limits.per_ip.burst"),
    ] {
        let refused = house.patch("/v1/sales/drop/policy", nothing.clone()).await;
        let refused = refused.refuses(400, "bad_request");
        assert_eq!(refused["field"], field, "{nothing}");
        assert!(refused["detail"].as_str().unwrap().contains("null"), "{refused}");
    }
}

async fn refused(house: &House, patch: Value, field: &str, range: &str) {
    let before = house.get("/v1/sales/drop").await.is(200);
    let refusal =
        house.patch("/v1/sales/drop/policy", patch.clone()).await.refuses(422, "out_of_range");
    assert_eq!(refusal["field"], field, "{patch}");
    assert!(refusal["detail"].as_str().unwrap().contains(range), "{patch}: {refusal}");
    let after = house.get("/v1/sales/drop").await.is(200);
    assert_eq!(before["policy"], after["policy"], "{patch}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_steered_and_a_repeat_changes_nothing() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let mut version = 1;
    for (verb, state) in [
        ("pause", "paused"),
        ("resume", "open"),
        ("freeze", "frozen"),
        ("resume", "open"),
        ("close", "closed"),
    ] {
        version += 1;
        for body in [Value::Null, json!({ "reason": "as agreed" }), json!({ "reason": null })] {
            let body = house.post(&format!("/v1/sales/drop/{verb}"), body).await.is(200);
            assert_eq!(
                (&body["state"], &body["version"]),
                (&json!(state), &json!(version)),
                "{verb}"
            );
            assert_eq!(house.directory.sale(&sale).unwrap().sale().version.0, version);
        }
    }
    for verb in ["pause", "resume", "freeze"] {
        house
            .post(&format!("/v1/sales/drop/{verb}"), Value::Null)
            .await
            .refuses(409, "sale_closed");
    }
    assert_eq!(house.get("/v1/sales/drop").await.is(200)["version"], version);
    house.post("/v1/sales/other/pause", Value::Null).await.refuses(404, "no_such_sale");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_does_not_lift_a_freeze() {
    let house = House::open().await;
    house.sale("drop").await;
    house
        .post("/v1/sales/drop/freeze", json!({ "reason": "the books do not add up" }))
        .await
        .is(200);
    assert_eq!(house.post("/v1/sales/drop/pause", Value::Null).await.is(200)["state"], "frozen");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notice_is_shown_replaced_and_taken_away() {
    let house = House::open().await;
    house.sale("drop").await;
    let text = json!({ "en": "Back in 5 minutes", "zh-CN": "五分钟后继续" });
    let shown = house.post("/v1/sales/drop/notice", json!({ "text": text })).await.is(200);
    assert_eq!(shown["notice"], text);
    let longest = json!({ "en": "候".repeat(500) });
    house.post("/v1/sales/drop/notice", json!({ "text": longest })).await.is(200);
    let languages = |count: usize| -> Value {
        (0..count)
            .map(|n| (format!("x-{n}"), json!("Hello")))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    house.post("/v1/sales/drop/notice", json!({ "text": languages(20) })).await.is(200);
    for (text, field) in [
        (json!({ "en": "x".repeat(501) }), "text.en"),
        (json!({ "en": "" }), "text.en"),
        (json!({}), "text"),
        (languages(21), "text"),
        (json!({ "<script>": "x" }), "text"),
        (json!({ "e": "x" }), "text"),
    ] {
        let refusal = house
            .post("/v1/sales/drop/notice", json!({ "text": text }))
            .await
            .refuses(422, "out_of_range");
        assert_eq!(refusal["field"], field, "{text}");
    }
    assert_eq!(house.get("/v1/sales/drop").await.is(200)["notice"], languages(20));
    let cleared = house.post("/v1/sales/drop/notice", json!({ "text": null })).await.is(200);
    assert_eq!(cleared["notice"], Value::Null);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn added_stock_reaches_the_ledger_the_gate_and_the_dispatcher() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let lease =
        house.ports.ledger.lease(&sale, "test", std::time::Duration::from_secs(60)).await.unwrap();
    let sluice_core::ports::LeaseReply::Held(lease) = lease else { panic!("{lease:?}") };
    let image: GateImage = house.ports.ledger.gate_image(&sale).await.unwrap();
    house.ports.gate.rebuild(&sale, lease.epoch, image).await.unwrap();
    let mut bulletin = house.ports.bulletin.subscribe().await.unwrap();

    let body = house
        .post("/v1/sales/drop/skus/standard/stock", json!({ "add": 5, "reason": "found a box" }))
        .await
        .is(200);
    assert_eq!(body["skus"][0]["stock"], 105);
    let stock = house.ports.ledger.stock(&sale).await.unwrap();
    assert_eq!((stock[0].total, stock[0].available), (105, 105));
    assert_eq!(house.ports.gate.levels(&sale).await.unwrap()[0].available, 105);
    assert!(
        matches!(heard(&mut bulletin).await, Notice::Sale { sale } if sale.skus[0].stock == 105)
    );
    assert!(
        matches!(heard(&mut bulletin).await, Notice::StockReturned { sale: named } if named == sale)
    );

    for add in [json!(0), json!(-5), json!(1_000_000_000), json!(u64::MAX), json!(1e40)] {
        let refusal = house.post("/v1/sales/drop/skus/standard/stock", json!({ "add": add })).await;
        assert_eq!(refusal.refuses(422, "out_of_range")["field"], "add", "{add}");
    }
    house
        .post("/v1/sales/drop/skus/other/stock", json!({ "add": 1 }))
        .await
        .refuses(404, "no_such_sku");
    house
        .post("/v1/sales/drop/skus/NO/stock", json!({ "add": 1 }))
        .await
        .refuses(404, "no_such_sku");
    assert_eq!(house.ports.ledger.stock(&sale).await.unwrap()[0].total, 105);
    assert_eq!(
        house
            .directory
            .sale(&sale)
            .unwrap()
            .sale()
            .sku(&SkuId::new("standard").unwrap())
            .unwrap()
            .stock,
        105
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_changes_meant_for_one_version_are_made_once() {
    let house = House::open().await;
    house.sale("drop").await;
    let add = || {
        house.if_match("POST", "/v1/sales/drop/skus/standard/stock", "\"1\"", json!({ "add": 5 }))
    };
    let (one, two) = tokio::join!(add(), add());
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    assert_eq!(house.get("/v1/sales/drop").await.is(200)["skus"][0]["stock"], 105);
}
