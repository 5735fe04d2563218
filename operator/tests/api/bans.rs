//! Bans: kept in the ledger, known to this process at once, told to everybody else.

use serde_json::{Value, json};
use sluice_core::{ids::BuyerId, ports::Notice};
use sluice_operator::{Limits, Role};

use crate::house::{House, heard};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_bites_here_and_is_told_to_all() {
    let house = House::open().await;
    let mut bulletin = house.ports.bulletin.subscribe().await.unwrap();
    let ban = house
        .post("/v1/bans", json!({ "buyer": "mallory", "reason": "resold 400 places" }))
        .await
        .is(201);
    assert_eq!((&ban["buyer"], &ban["reason"]), (&json!("mallory"), &json!("resold 400 places")));
    let mallory = BuyerId::new("mallory").unwrap();
    assert!(house.directory.bans().covers(&mallory, None));
    assert_eq!(heard(&mut bulletin).await, Notice::Bans);
    house.post("/v1/bans", json!({ "cidr": "192.0.2.9/24" })).await.is(201);
    house
        .post("/v1/bans", json!({ "header": { "name": "User-Agent", "value": "grabber/1" } }))
        .await
        .is(201);
    assert!(
        house.directory.bans().covers_header(|name| (name == "user-agent").then_some("grabber/1"))
    );

    let list = house.get("/v1/bans").await.is(200);
    let bans = list["bans"].as_array().unwrap();
    assert_eq!(bans.len(), 3);
    assert_eq!(bans[1]["cidr"], "192.0.2.0/24");
    assert_eq!(bans[2]["header"], json!({ "name": "user-agent", "value": "grabber/1" }));
    assert!(bans.iter().all(|ban| ban["id"].is_u64() && ban["at"].is_string()));

    house.delete(&format!("/v1/bans/{}", ban["id"])).await.is(204);
    assert!(!house.directory.bans().covers(&mallory, None));
    for id in [ban["id"].to_string(), "999".to_owned(), "-1".to_owned(), "x".to_owned()] {
        house.delete(&format!("/v1/bans/{id}")).await.refuses(404, "no_such_ban");
    }
    assert_eq!(house.get("/v1/bans").await.is(200)["bans"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_that_is_there_is_found_again() {
    let house = House::open().await;
    let first = house.post("/v1/bans", json!({ "cidr": "192.0.2.7" })).await.is(201);
    let again =
        house.post("/v1/bans", json!({ "cidr": "192.0.2.7/32", "reason": "again" })).await.is(200);
    assert_eq!(first["id"], again["id"]);
    assert_eq!(again["reason"], Value::Null);
    assert_eq!(house.get("/v1/bans").await.is(200)["bans"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ban_is_lifted_by_what_it_was_made_with() {
    let house = House::open().await;
    let lift = async |path: &str, body: &Value| {
        house.ask(house.request(Role::Admin, "DELETE", path, body)).await
    };
    for body in [
        json!({ "buyer": "mallory" }),
        json!({ "cidr": "192.0.2.9/24" }),
        json!({ "header": { "name": "User-Agent", "value": "grabber/1" } }),
    ] {
        house.post("/v1/bans", body.clone()).await.is(201);
        assert_eq!(lift("/v1/bans", &body).await.is(204), Value::Null);
        assert_eq!(house.get("/v1/bans").await.is(200)["bans"], json!([]), "{body}");
        lift("/v1/bans", &body).await.refuses(404, "no_such_ban");
    }
    assert!(!house.directory.bans().covers(&BuyerId::new("mallory").unwrap(), None));
    let ban = house.post("/v1/bans", json!({ "buyer": "eve" })).await.is(201);
    lift("/v1/bans", &Value::Null).await.refuses(400, "bad_request");
    lift("/v1/bans", &json!({ "seller": "eve" })).await.refuses(400, "bad_request");
    lift("/v1/bans?id=x", &Value::Null).await.refuses(404, "no_such_ban");
    assert_eq!(house.get("/v1/bans").await.is(200)["bans"].as_array().unwrap().len(), 1);
    lift(&format!("/v1/bans?id={}", ban["id"]), &Value::Null).await.is(204);
    assert_eq!(house.get("/v1/bans").await.is(200)["bans"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_only_so_many_bans() {
    let house = House::open_with(Limits { bans_max: 2, ..Limits::default() }, |ports| ports).await;
    for n in 0..2 {
        house.post("/v1/bans", json!({ "buyer": format!("b{n}") })).await.is(201);
    }
    house.post("/v1/bans", json!({ "buyer": "b2" })).await.refuses(409, "too_many_bans");
    house.post("/v1/bans", json!({ "buyer": "b1" })).await.is(200);
    house
        .post("/v1/bans", json!({ "buyer": "b", "reason": "x".repeat(501) }))
        .await
        .refuses(422, "out_of_range");
    assert_eq!(house.get("/v1/bans").await.is(200)["bans"].as_array().unwrap().len(), 2);
}
