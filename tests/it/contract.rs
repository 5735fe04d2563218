//! The contract, driven from outside against a real process: what a buyer and an operator do on the night.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::{client_async, tungstenite::client::IntoClientRequest};

use super::house::{House, LONG, bearer, one, text};

#[tokio::test]
async fn a_buyer_joins_waits_is_called_pays_and_gets_the_goods() {
    let house = House::start("").await;
    house.sale("drop", 10, json!({ "tail_per_second": 50 })).await;
    let joined = house.join("drop").await;
    assert_eq!((joined["seq"].as_u64(), joined["state"].as_str()), (Some(1), Some("waiting")));
    assert!(text(&joined["token"]).len() < 512);
    let mut reserved = house.until(&joined, |entry| entry["state"] == "reserved").await;
    assert!(reserved["pay_by"].is_string());
    reserved["token"] = joined["token"].clone();
    let order = house.pay(&reserved).await;
    assert_eq!(order["amount_fen"], 9900);
    let states: Vec<&str> =
        order["history"].as_array().unwrap().iter().map(|row| text(&row["state"])).collect();
    assert_eq!(states, ["awaiting_payment", "paid", "fulfilling", "fulfilled"]);
    let stats = house.operate("GET", "/v1/sales/drop/stats", None).await;
    assert_eq!(stats.status, 200);
    assert_eq!(house.terminate_cleanly(), Some(0));
}

#[tokio::test]
async fn sixty_units_sell_out_to_the_last_and_the_rest_hears_it() {
    let house = House::start("").await;
    // The default law takes four minutes for sixty: the same law, a hundred times as fast.
    house.sale("drop", 60, json!({ "fraction": 1.0, "ceiling_per_second": 2000 })).await;
    let mut places = Vec::new();
    for _ in 0..80 {
        places.push(house.join("drop").await);
    }
    for place in &places[..60] {
        let mut reserved = house.until(place, |entry| entry["state"] == "reserved").await;
        reserved["token"] = place["token"].clone();
        house.pay(&reserved).await;
    }
    for place in &places[60..] {
        let ended = house.until(place, |entry| entry["state"] != "waiting").await;
        assert_eq!(ended["state"], "sold_out", "{ended}");
    }
    let late = house.ask("POST", "/v1/sales/drop/entries", &[], Some(one())).await;
    late.is_problem(410, "sold_out");
}

#[tokio::test]
async fn a_change_of_rate_bites_at_once() {
    let house = House::start("").await;
    house.sale("drop", 100_000, json!({ "multiplier": 0 })).await;
    let place = house.join("drop").await;
    let still = house.poll(&place).await;
    assert_eq!(still.body["state"], "waiting");
    let tuned =
        house.operate("PATCH", "/v1/sales/drop/policy", Some(json!({ "multiplier": 1 }))).await;
    assert_eq!(tuned.status, 200, "{}", tuned.body);
    house.until(&place, |entry| entry["state"] == "reserved").await;
}

/// One budget for one address, whichever role it asks: line, push, orders, pay pages, callbacks nobody signed.
#[tokio::test]
async fn an_address_has_one_budget_for_all_doors() {
    let house = House::start("[limits]\nper_ip = { per_second = 1, burst = 20 }\n").await;
    let doors = [
        ("GET", "/v1/sales/none"),
        ("GET", "/v1/sales/none/events"),
        ("GET", "/v1/orders/none"),
        ("GET", "/v1/payments/simulated/none"),
        ("POST", "/v1/payments/simulated/callback"),
    ];
    let (began, mut passed) = (Instant::now(), 0);
    let refused = 'asking: loop {
        for (method, path) in doors {
            let answer = house.ask(method, path, &[], None).await;
            if answer.status == 429 {
                break 'asking answer;
            }
            passed += 1;
        }
        assert!(began.elapsed() < LONG, "nobody counts");
    };
    refused.is_problem(429, "too_many_requests");
    assert!(refused.body["retry_after_ms"].is_u64(), "{}", refused.body);
    for name in ["retry-after", "ratelimit", "ratelimit-policy"] {
        assert!(refused.headers.contains_key(name), "{name}: {:?}", refused.headers);
    }
    // Five budgets would have let a hundred pass.
    let most = 20 + began.elapsed().as_secs() + 1;
    assert!((20..=most).contains(&passed), "{passed} passed, {most} may");
}

#[tokio::test]
async fn push_tells_what_polling_tells() {
    let house = House::start("").await;
    house.sale("drop", 10, json!({ "multiplier": 0 })).await;
    let place = house.join("drop").await;
    let mut request =
        format!("ws://{}/v1/sales/drop/push", house.public).into_client_request().unwrap();
    let protocols = format!("sluice.v1, bearer.{}", text(&place["token"]));
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    let stream = tokio::net::TcpStream::connect(house.public).await.unwrap();
    let (mut socket, answer) = client_async(request, stream).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "sluice.v1");
    let first: Value =
        serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!((text(&first["type"]), text(&first["state"])), ("entry", "waiting"));
    house
        .operate(
            "PATCH",
            "/v1/sales/drop/policy",
            Some(json!({ "multiplier": 1, "tail_per_second": 10 })),
        )
        .await;
    let (began, mut versions, mut serving) = (Instant::now(), vec![1], 0);
    loop {
        assert!(began.elapsed() < LONG);
        let frame = socket.next().await.unwrap().unwrap();
        let Ok(frame) = serde_json::from_str::<Value>(frame.to_text().unwrap()) else { continue };
        if frame["type"] == "line" {
            assert!(frame["serving"].as_u64().unwrap() >= serving, "serving went back");
            serving = frame["serving"].as_u64().unwrap();
        } else {
            versions.push(frame["version"].as_u64().unwrap());
            if frame["state"] == "reserved" {
                assert!(frame["order"].is_string() && frame["pay_by"].is_string(), "{frame}");
                break;
            }
        }
    }
    assert!(versions.is_sorted(), "{versions:?}");
    connected(&house, 1).await;
    drop(socket);
    connected(&house, 0).await;
}

/// Waits until operators are told of so many push connections.
async fn connected(house: &House, count: u64) {
    let began = Instant::now();
    loop {
        let stats = house.operate("GET", "/v1/sales/drop/stats", None).await.body;
        if stats["push_connections"] == count {
            return;
        }
        assert!(began.elapsed() < LONG, "{}", stats["push_connections"]);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn bad_input_is_named_and_changes_nothing() {
    let house = House::start("").await;
    house.sale("drop", 10, json!({ "multiplier": 0 })).await;
    let join =
        |body: &str| house.try_ask("POST", "/v1/sales/drop/entries", &[], Some(body.to_owned()));
    for (body, word) in [
        ("{", "EOF"),
        (r#"{"items":[]}"#, "items"),
        (r#"{"items":[{"sku":"standard","quantity":0}]}"#, "quantity"),
        (r#"{"items":[{"sku":"standard","quantity":-1}]}"#, "quantity"),
        (r#"{"items":[{"sku":"standard","quantity":9223372036854775808}]}"#, "quantity"),
        (r#"{"items":[{"sku":"standard","quantity":"1"}]}"#, "quantity"),
        (r#"{"items":[{"sku":"nothing","quantity":1}]}"#, "sku"),
        (r#"{"items":[{"sku":"standard","quantity":11}]}"#, "10"),
        (r#"{"itmes":[]}"#, "itmes"),
    ] {
        let answer = join(body).await.unwrap();
        answer.is_problem(400, "bad_request");
        assert!(text(&answer.body["detail"]).contains(word), "{body}: {}", answer.body);
    }
    let long = format!(r#"{{"items":[{{"sku":"{}","quantity":1}}]}}"#, "a".repeat(10_000));
    join(&long).await.unwrap().is_problem(400, "bad_request");
    let huge = format!(
        r#"{{"items":[{{"sku":"standard","quantity":1}}],"locale":"{}"}}"#,
        "a".repeat(20_000)
    );
    assert_eq!(join(&huge).await.unwrap().status, 413);
    let kind = [("content-type", "text/plain")];
    assert_eq!(
        house
            .try_ask("POST", "/v1/sales/drop/entries", &kind, Some(one().to_string()))
            .await
            .unwrap()
            .status,
        415
    );
    assert_eq!(house.ask("PUT", "/v1/sales/drop/entries", &[], None).await.status, 405);
    house.ask("GET", "/v1/sales/none", &[], None).await.is_problem(404, "no_such_sale");
    let info = house.ask("GET", "/v1/sales/drop", &[], None).await;
    assert_eq!(
        (info.body["waiting"].as_u64(), info.body["remaining"].as_u64()),
        (Some(0), Some(10)),
        "{}",
        info.body
    );
    assert_eq!(house.join("drop").await["seq"], 1, "nothing that was refused took a number");
}

#[tokio::test]
async fn places_belong_to_their_tokens() {
    let house = House::start("").await;
    house.sale("drop", 10, json!({ "multiplier": 0 })).await;
    let (mine, theirs) = (house.join("drop").await, house.join("drop").await);
    let path = text(&theirs["links"]["self"]);
    house.ask("GET", path, &[], None).await.is_problem(401, "bad_token");
    house
        .ask("GET", path, &[("authorization", "Bearer AAAA")], None)
        .await
        .is_problem(401, "bad_token");
    let foreign = house.ask("DELETE", path, &[("authorization", &bearer(&mine))], None).await;
    assert_eq!(foreign.status, 403, "{}", foreign.body);
    assert_eq!(house.poll(&theirs).await.body["state"], "waiting");
    let left = house.ask("DELETE", path, &[("authorization", &bearer(&theirs))], None).await;
    assert_eq!(left.status, 204);
    assert_eq!(house.until(&theirs, |entry| entry["state"] != "waiting").await["state"], "left");
}

#[tokio::test]
async fn one_buyer_has_one_place() {
    let house = House::start("[identity]\nmode = \"header\"\n#trusted").await;
    house.sale("drop", 10, json!({ "multiplier": 0 })).await;
    let ada = [("x-sluice-buyer", "ada")];
    let join = || house.ask("POST", "/v1/sales/drop/entries", &ada, Some(one()));
    let (first, second) = tokio::join!(join(), join());
    let mut statuses = [first.status.as_u16(), second.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 202]);
    assert_eq!(
        (&first.body["entry"], &first.body["seq"]),
        (&second.body["entry"], &second.body["seq"])
    );
    house
        .ask("POST", "/v1/sales/drop/entries", &[], Some(one()))
        .await
        .is_problem(401, "identity_required");
    let key = [("x-sluice-buyer", "bob"), ("idempotency-key", "k1")];
    assert_eq!(house.ask("POST", "/v1/sales/drop/entries", &key, Some(one())).await.status, 202);
    assert_eq!(house.ask("POST", "/v1/sales/drop/entries", &key, Some(one())).await.status, 200);
    let other = json!({ "items": [{ "sku": "standard", "quantity": 2 }] });
    house
        .ask("POST", "/v1/sales/drop/entries", &key, Some(other))
        .await
        .is_problem(422, "idempotency_key_reused");
}

#[tokio::test]
async fn a_drain_says_goodbye() {
    let mut house = House::start("").await;
    house.sale("drop", 10, json!({ "multiplier": 0 })).await;
    let place = house.join("drop").await;
    let mut request =
        format!("ws://{}/v1/sales/drop/push", house.public).into_client_request().unwrap();
    let protocols = format!("sluice.v1, bearer.{}", text(&place["token"]));
    request.headers_mut().insert("sec-websocket-protocol", protocols.parse().unwrap());
    let stream = tokio::net::TcpStream::connect(house.public).await.unwrap();
    let (mut socket, _) = client_async(request, stream).await.unwrap();
    let mut listener = tokio::task::JoinSet::new();
    listener.spawn(async move {
        let mut said = Vec::new();
        while let Ok(Some(Ok(frame))) =
            tokio::time::timeout(Duration::from_secs(20), socket.next()).await
        {
            said.push(frame.to_text().unwrap_or_default().to_owned());
        }
        said
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(tokio::task::spawn_blocking(move || house.terminate()).await.unwrap(), Some(0));
    let said = listener.join_next().await.unwrap().unwrap();
    assert!(said.iter().any(|frame| frame.contains("\"type\":\"bye\"")), "{said:?}");
}

impl House {
    fn terminate_cleanly(mut self) -> Option<i32> {
        self.terminate()
    }
}

/// Before the first buyer: an alarm on a series that is not there yet would never ring.
#[tokio::test]
async fn metrics_are_there_from_the_start_and_say_what_they_are() {
    let house = House::start("").await;
    house.sale("drop", 10, json!({ "multiplier": 0 })).await;
    let wanted = [
        "sluice_standby{sale=\"drop\"} 0",
        "sluice_push_connections{sale=\"drop\"} 0",
        "sluice_dead_letters{queue=\"dead\"} 0",
        "# HELP sluice_payment_callbacks_total",
        "# HELP sluice_standby",
        "# HELP sluice_dead_letters",
        "# HELP sluice_backend_up",
        "# HELP sluice_backend_seconds",
    ];
    let client = sluice_http::client::Client::new(LONG);
    let began = Instant::now();
    loop {
        // By a name the admin address was not told of, as a probe in a cluster asks.
        let request = http::Request::get(format!("http://{}/metrics", house.admin))
            .header("host", "10.0.0.7:8081")
            .body(bytes::Bytes::new())
            .unwrap();
        let answer = client.send(request, 1 << 20).await.unwrap();
        assert_eq!(answer.status(), 200);
        let shown = String::from_utf8(answer.body().to_vec()).unwrap();
        let missing: Vec<_> = wanted.iter().filter(|line| !shown.contains(**line)).collect();
        if missing.is_empty() {
            break;
        }
        assert!(began.elapsed() < LONG, "{missing:?} is not in\n{shown}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let elsewhere = format!("localhost:{}", house.admin.port().wrapping_add(1));
    let sales = format!("http://{}/v1/sales", house.admin);
    let tunnelled = house.ask("GET", &sales, &[("host", &elsewhere)], None).await;
    assert_eq!(tunnelled.status, 401, "ours by name, whatever the port");
}
