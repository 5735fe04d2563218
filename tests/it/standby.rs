//! Standing by, driven from outside against a real process: beyond the line's cap, and when stock has run out.

use serde_json::{Value, json};

use super::house::{House, bearer, one, text};

fn brisk(more: Value) -> Value {
    let mut policy = json!({ "tail_per_second": 100, "fraction": 1 });
    policy.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    policy
}

fn is(state: &str) -> impl Fn(&Value) -> bool {
    move |entry| entry["state"] == state
}

async fn send(house: &House, method: &str, path: &str, place: &Value, body: Option<Value>) -> u16 {
    house.ask(method, path, &[("authorization", &bearer(place))], body).await.status.as_u16()
}

/// Gives back what a reserved entry holds.
async fn leave(house: &House, place: &Value) {
    assert_eq!(send(house, "DELETE", text(&place["links"]["self"]), place, None).await, 204);
}

/// Whether an entry holds goods and the line has moved past its number: the next who joins finds room there.
fn has_passed(entry: &Value) -> bool {
    entry["state"] == "reserved" && entry["serving"] == entry["seq"]
}

async fn public(house: &House) -> Value {
    house.ask("GET", "/v1/sales/drop", &[], None).await.body
}

#[tokio::test]
async fn beyond_the_cap_one_stands_by_and_is_offered_what_comes_back() {
    let house = House::start("").await;
    house.sale("drop", 1, brisk(json!({ "line_cap": 1, "standby_cap": 2 }))).await;
    let first = house.join("drop").await;
    house.until(&first, has_passed).await;
    let second = house.join("drop").await;
    assert_eq!(second["state"], "waiting");

    let third = house.join("drop").await;
    assert_eq!((&third["state"], &third["version"]), (&json!("standby"), &json!(2)));
    assert_eq!((&third["seq"], &third["position"]), (&Value::Null, &Value::Null));
    assert_eq!(third["odds"], "unlikely");
    let again = [("authorization", bearer(&third))];
    let again: Vec<(&str, &str)> = again.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let found = house.ask("POST", "/v1/sales/drop/entries", &again, Some(one())).await;
    assert_eq!((found.status.as_u16(), &found.body["entry"]), (200, &third["entry"]));
    assert_eq!(found.body["state"], "standby");
    assert_eq!(house.poll(&third).await.body["state"], "standby");

    let fourth = house.join("drop").await;
    assert_eq!(fourth["state"], "standby");
    let fifth = house.ask("POST", "/v1/sales/drop/entries", &[], Some(one())).await;
    fifth.is_problem(503, "line_full");
    let stats = || async { house.operate("GET", "/v1/sales/drop/stats", None).await.body };
    while stats().await["standby"] != 2 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }

    leave(&house, &first).await;
    house.until(&second, is("reserved")).await;
    assert_eq!(house.poll(&third).await.body["state"], "standby", "the line comes first");
    assert_eq!(public(&house).await["remaining"], 0);
    leave(&house, &second).await;
    let offered = house.until(&third, is("reserved")).await;
    assert!(offered["order"].is_string() && offered["pay_by"].is_string(), "{offered}");
    leave(&house, &fourth).await;
    assert_eq!(house.poll(&fourth).await.body["state"], "left");
    let mut paying = offered;
    paying["token"] = third["token"].clone();
    house.pay(&paying).await;
}

#[tokio::test]
async fn a_full_line_refuses_where_nobody_may_stand_by() {
    let house = House::start("").await;
    let policy = brisk(json!({ "line_cap": 1, "overflow": "refuse", "multiplier": 0 }));
    house.sale("drop", 5, policy).await;
    house.join("drop").await;
    let full = house.ask("POST", "/v1/sales/drop/entries", &[], Some(one())).await;
    full.is_problem(503, "line_full");
}

#[tokio::test]
async fn when_everything_is_sold_one_may_stand_by_for_what_is_given_back() {
    let house = House::start("").await;
    house.sale("drop", 1, brisk(json!({ "on_sold_out": "standby" }))).await;
    let first = house.join("drop").await;
    let mut paying = house.until(&first, is("reserved")).await;
    let second = house.join("drop").await;
    paying["token"] = first["token"].clone();
    house.pay(&paying).await;
    let standing = house.until(&second, is("standby")).await;
    assert_eq!(standing["seq"], second["seq"], "a place that had a number keeps showing it");
    while public(&house).await["state"] != "sold_out" {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let third = house.join("drop").await;
    assert_eq!(third["state"], "standby");

    let refund = format!("{}/refund", text(&paying["links"]["order"]));
    assert_eq!(send(&house, "POST", &refund, &paying, Some(json!({}))).await, 200);
    house.until(&second, is("reserved")).await;
    assert_eq!(public(&house).await["remaining"], 0, "what comes back is not for walk-ins");

    let closed = house.operate("POST", "/v1/sales/drop/close", None).await;
    assert_eq!(closed.status, 200, "{}", closed.body);
    house.until(&third, is("sold_out")).await;
}

/// Whoever stands by is still there when the process comes back.
#[tokio::test]
async fn standing_by_outlives_the_process() {
    let mut house = House::start("").await;
    house.sale("drop", 1, brisk(json!({ "line_cap": 1 }))).await;
    let first = house.join("drop").await;
    house.until(&first, has_passed).await;
    let second = house.join("drop").await;
    let third = house.join("drop").await;
    assert_eq!(third["state"], "standby");
    for _ in 0..2 {
        house.kill();
        house.run().await;
        let found = house.until(&third, is("standby")).await;
        assert_eq!(found["entry"], third["entry"]);
    }
    leave(&house, &second).await;
    leave(&house, &first).await;
    house.until(&third, is("reserved")).await;
}

/// Whoever fell silent and comes back stands by: behind those who are in line, before those who stand by since later.
#[tokio::test]
async fn a_place_that_expired_stands_by_when_its_own_buyer_joins_again() {
    let house = House::start("").await;
    house.sale("drop", 1, brisk(json!({ "expire_silent_after_seconds": 2 }))).await;
    let holder = house.join("drop").await;
    house.until(&holder, is("reserved")).await;
    let joined = house.ask("POST", "/v1/sales/drop/entries", &[], Some(one())).await;
    let cookies = joined.headers.get_all("set-cookie").iter();
    let cookies: Vec<&str> =
        cookies.filter_map(|cookie| cookie.to_str().ok()?.split(';').next()).collect();
    let cookies = cookies.join("; ");
    let silent = joined.body;
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    leave(&house, &holder).await;
    house.until(&silent, is("expired")).await;

    // Somebody has the unit now; who joined meanwhile waits in line.
    let second = house.join("drop").await;
    house.until(&second, is("reserved")).await;
    let patient = json!({ "expire_silent_after_seconds": 0 });
    assert_eq!(house.operate("PATCH", "/v1/sales/drop/policy", Some(patient)).await.status, 200);
    let third = house.join("drop").await;
    let token = bearer(&silent);
    let stranger = house
        .ask("POST", "/v1/sales/drop/entries", &[("authorization", &token)], Some(one()))
        .await;
    assert_eq!(stranger.body["state"], "waiting", "the token alone is not its buyer");
    let full = json!({ "line_cap": 1 });
    assert_eq!(house.operate("PATCH", "/v1/sales/drop/policy", Some(full)).await.status, 200);
    let late = house.join("drop").await;
    assert_eq!(late["state"], "standby");
    let headers = [("authorization", token.as_str()), ("cookie", &cookies)];
    let again = house.ask("POST", "/v1/sales/drop/entries", &headers, Some(one())).await;
    assert_eq!(again.status, 202, "{}", again.body);
    assert_eq!(again.body["state"], "standby");
    assert_ne!(again.body["entry"], silent["entry"]);
    leave(&house, &second).await;
    house.until(&third, is("reserved")).await;
    leave(&house, &third).await;
    house.until(&stranger.body, is("reserved")).await;
    leave(&house, &stranger.body).await;
    house.until(&again.body, is("reserved")).await;
    assert_eq!(house.poll(&late).await.body["state"], "standby");
    leave(&house, &again.body).await;
    house.until(&late, is("reserved")).await;
}

/// The shop's proxy names a class; among those who stand by it goes first, and in line it is nothing.
#[tokio::test]
async fn a_class_has_a_head_start_among_those_who_stand_by() {
    let classes = "#trusted\n[identity]\nmode = \"header\"\nclass = \"x-shop-class\"\nhead_start_seconds = { gold = 600 }";
    let house = House::start(classes).await;
    house.sale("drop", 1, brisk(json!({ "line_cap": 2 }))).await;
    let join = async |name: &str, class: &str| {
        let headers = [("x-sluice-buyer", name), ("x-shop-class", class)];
        let joined = house.ask("POST", "/v1/sales/drop/entries", &headers, Some(one())).await;
        assert_eq!(joined.status, 202, "{}", joined.body);
        joined.body
    };
    let holder = join("ada", "plain").await;
    house.until(&holder, is("reserved")).await;
    let (plain, gold) = (join("bob", "plain").await, join("cid", "gold").await);
    assert_eq!((&plain["state"], &gold["state"]), (&json!("waiting"), &json!("waiting")));
    let (unknown, golden) = (join("dan", "silver").await, join("eve", "gold").await);
    assert_eq!((&unknown["state"], &golden["state"]), (&json!("standby"), &json!("standby")));

    let mut before = holder;
    for next in [plain, gold, golden, unknown] {
        leave(&house, &before).await;
        house.until(&next, is("reserved")).await;
        before = next;
    }
}
