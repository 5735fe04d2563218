//! A train, driven from outside against a real process: who gets which seat, and what a returned journey is good for.

use std::time::Duration;

use serde_json::{Value, json};

use super::house::{House, bearer, text};

async fn train(house: &House) {
    let sale = json!({
        "id": "train",
        "skus": [{
            "sku": "second", "seats": ["01A", "01B"], "stops": ["a", "b", "c", "d"], "amount_fen": 100, "currency": "CNY",
        }],
        "policy": { "tail_per_second": 100 },
    });
    let made = house.operate("POST", "/v1/sales", Some(sale)).await;
    assert_eq!(made.status, 201, "{}", made.body);
}

async fn join(house: &House, passengers: u32, from: u32, to: u32) -> Value {
    let item = json!({ "sku": "second", "quantity": passengers, "from": from, "to": to });
    let body = json!({ "items": [item] });
    let joined = house.ask("POST", "/v1/sales/train/entries", &[], Some(body)).await;
    assert_eq!(joined.status, 202, "{}", joined.body);
    joined.body
}

/// Waits for the outcome; the order, when there is one.
async fn settled(house: &House, place: &Value) -> (Value, Value) {
    let over = |entry: &Value| !["waiting", "called"].contains(&text(&entry["state"]));
    let entry = house.until(place, over).await;
    if entry["state"] != "reserved" {
        return (entry, Value::Null);
    }
    let path = format!("/v1/orders/{}", text(&entry["order"]));
    let order = house.ask("GET", &path, &[("authorization", &bearer(place))], None).await;
    assert_eq!(order.status, 200, "{}", order.body);
    (entry, order.body)
}

async fn seats(house: &House, place: &Value) -> Vec<(String, u64, u64)> {
    let (entry, order) = settled(house, place).await;
    assert_eq!(entry["state"], "reserved", "{entry}");
    let item = |item: &Value| {
        assert_eq!((&item["quantity"], &item["amount_fen"]), (&json!(1), &json!(100)));
        let end = |name: &str| item[name].as_u64().unwrap();
        (text(&item["seat"]).to_owned(), end("from"), end("to"))
    };
    order["items"].as_array().unwrap().iter().map(item).collect()
}

#[tokio::test]
async fn a_returned_journey_serves_two_shorter_ones() {
    let house = House::start("").await;
    train(&house).await;
    let pair = join(&house, 2, 0, 3).await;
    let sat = |label: &str, from, to| (label.to_owned(), from, to);
    assert_eq!(seats(&house, &pair).await, [sat("01A", 0, 3), sat("01B", 0, 3)]);

    // Everything is held, unpaid: these wait, and keep their places.
    let there = join(&house, 1, 0, 1).await;
    let back = join(&house, 2, 1, 3).await;
    for place in [&there, &back] {
        assert_eq!(house.poll(place).await.body["state"], "waiting");
    }
    let order = settled(&house, &pair).await.1;
    let cancel = format!("/v1/orders/{}/cancel", text(&order["order"]));
    let bearer = bearer(&pair);
    let cancelled =
        house.ask("POST", &cancel, &[("authorization", &bearer)], Some(json!({}))).await;
    assert!(cancelled.status.is_success(), "{}", cancelled.body);

    assert_eq!(seats(&house, &there).await, [sat("01A", 0, 1)]);
    assert_eq!(seats(&house, &back).await, [sat("01A", 1, 3), sat("01B", 1, 3)]);
    let told = house.ask("GET", "/v1/sales/train", &[], None).await.body;
    assert_eq!(told["skus"][0]["stops"], json!(["a", "b", "c", "d"]));
}

/// One seat is sold on the first leg, the other on the last: free on each leg, and yet nobody can ride through.
#[tokio::test]
async fn who_cannot_ride_through_is_told_so_and_the_others_go_on() {
    let house = House::start("").await;
    train(&house).await;
    for (from, to) in [(0, 2), (1, 3)] {
        let place = join(&house, 1, from, to).await;
        let mut reserved = settled(&house, &place).await.0;
        reserved["token"] = place["token"].clone();
        house.pay(&reserved).await;
    }
    let through = join(&house, 1, 0, 3).await;
    let (entry, _) = settled(&house, &through).await;
    assert_eq!(entry["state"], "sold_out", "{entry}");
    let short = join(&house, 1, 2, 3).await;
    assert_eq!(seats(&house, &short).await, [("01A".to_owned(), 2, 3)]);
    let first = join(&house, 1, 0, 1).await;
    assert_eq!(seats(&house, &first).await, [("01B".to_owned(), 0, 1)]);
}

/// Sends a wish to an order, and waits until it is `fulfilled` again.
async fn wish(house: &House, place: &Value, verb: &str, body: Value) -> Value {
    let order = settled(house, place).await.1;
    let path = format!("/v1/orders/{}", text(&order["order"]));
    let bearer = bearer(place);
    let headers = [("authorization", bearer.as_str())];
    until_fulfilled(house, place).await;
    let asked = house.ask("POST", &format!("{path}/{verb}"), &headers, Some(body)).await;
    assert_eq!(asked.status, 200, "{}", asked.body);
    until_fulfilled(house, place).await
}

async fn until_fulfilled(house: &House, place: &Value) -> Value {
    for _ in 0..200 {
        let order = settled(house, place).await.1;
        if order["state"] == "fulfilled" {
            return order;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the order was not fulfilled: {}", settled(house, place).await.1)
}

async fn bought(house: &House, passengers: u32, from: u32, to: u32) -> Value {
    let place = join(house, passengers, from, to).await;
    let mut reserved = settled(house, &place).await.0;
    reserved["token"] = place["token"].clone();
    house.pay(&reserved).await;
    place
}

/// What was sold and comes back is sold again, seat by seat and leg by leg.
#[tokio::test]
async fn seats_that_are_given_back_or_changed_are_sold_again() {
    let house = House::start("").await;
    train(&house).await;
    let pair = bought(&house, 2, 0, 3).await;
    let one_back = json!({ "items": [{ "sku": "second", "quantity": 1, "seat": "01A" }] });
    let left = wish(&house, &pair, "refund", one_back).await;
    let refunded = |n: usize| left["items"][n]["refunded"].as_u64();
    assert_eq!((refunded(0), refunded(1)), (Some(1), Some(0)), "{left}");

    let later = bought(&house, 1, 1, 3).await;
    assert_eq!(seats(&house, &later).await, [("01A".to_owned(), 1, 3)]);
    let earlier = json!({ "items": [{ "sku": "second", "quantity": 1, "from": 0, "to": 1 }] });
    wish(&house, &later, "change", earlier).await;
    assert_eq!(seats(&house, &later).await, [("01A".to_owned(), 0, 1)]);
    let last = bought(&house, 1, 1, 3).await;
    assert_eq!(seats(&house, &last).await, [("01A".to_owned(), 1, 3)]);
}
