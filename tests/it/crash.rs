//! `kill -9` at any moment: every entry that was answered 202 still gets exactly one outcome, and the stock adds up.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::house::{House, LONG, bearer, one, text};

const KILLS: u64 = 12;
const STOCK: u64 = 150;
/// Joins per life, so that a quick machine does not fill the line for an hour.
const JOINS_PER_LIFE: usize = 20;

#[tokio::test]
async fn nothing_that_was_answered_is_lost() {
    let mut house =
        House::start("[limits]\nper_ip = { per_second = 100000, burst = 100000 }").await;
    house
        .sale("drop", STOCK, json!({ "tail_per_second": 40, "payment_window_seconds": 600 }))
        .await;
    let mut places: Vec<Value> = Vec::new();
    for kill in 0..KILLS {
        // Some join, some pay, and at an odd moment in the midst of it the process is gone.
        let doomed = tokio::time::sleep(Duration::from_millis(120 + 37 * (kill % 7)));
        tokio::pin!(doomed);
        loop {
            tokio::select! {
                () = &mut doomed => break,
                answer = house.try_ask("POST", "/v1/sales/drop/entries", &[], Some(one().to_string())),
                    if places.len() < JOINS_PER_LIFE * (kill as usize + 1) =>
                {
                    if let Some(answer) = answer && answer.status == 202 {
                        places.push(answer.body);
                    }
                }
            }
        }
        house.kill();
        house.run().await;
    }
    assert!(places.len() > 50, "the test must have joined some: {}", places.len());
    let numbers: BTreeSet<u64> =
        places.iter().map(|place| place["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), places.len(), "a number was given twice");

    let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
    let mut orders = BTreeSet::new();
    let mut cancelled = 0;
    for place in &places {
        let (ended, gave_up) = until_settled_or_standing(&house, place).await;
        *outcomes.entry(text(&ended["state"]).to_owned()).or_default() += 1;
        if let Some(order) = ended["order"].as_str() {
            assert!(orders.insert(order.to_owned()), "order {order} of two entries");
            // Reserved just before it was given up: the unit went to somebody else.
            cancelled += u64::from(gave_up);
        }
    }
    let stats = house.operate("GET", "/v1/sales/drop/stats", None).await.body;
    let reserved = outcomes.get("reserved").copied().unwrap_or(0);
    assert!(reserved - cancelled <= STOCK, "{outcomes:?}, {cancelled} of them given up");
    assert_eq!(reserved as usize, orders.len(), "{outcomes:?}");
    assert_eq!(outcomes.values().sum::<u64>() as usize, places.len());
    let balance = find_balance(&stats).unwrap_or_else(|| panic!("no balance in {stats}"));
    assert_eq!(balance.iter().sum::<u64>(), STOCK, "available, owed, held, sold in {stats}");
}

/// The outcome of a place, and whether it was given up: while everything left is held unpaid, those behind stand, and
/// leave.
async fn until_settled_or_standing(house: &House, place: &Value) -> (Value, bool) {
    let began = Instant::now();
    let mut gave_up = false;
    loop {
        let answer = house.poll(place).await;
        // 503: just after a start, before the line remembers whom it called.
        assert!(matches!(answer.status.as_u16(), 200 | 429 | 503), "{}", answer.body);
        if answer.status == 200 && !matches!(text(&answer.body["state"]), "waiting" | "called") {
            return (answer.body, gave_up);
        }
        let info = house.ask("GET", "/v1/sales/drop", &[], None).await.body;
        if info["remaining"] == 0 && answer.body["state"] == "waiting" {
            let headers = [("authorization", bearer(place))];
            let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
            let left = house.ask("DELETE", text(&place["links"]["self"]), &headers, None).await;
            gave_up |= left.status == 204;
        }
        assert!(began.elapsed() < LONG, "still {}", answer.body);
        tokio::time::sleep(Duration::from_millis(350)).await;
    }
}

/// `available`, `owed`, `held`, `sold` of the only SKU, wherever the statistics put them.
fn find_balance(value: &Value) -> Option<[u64; 4]> {
    let of = |value: &Value| {
        Some([
            value["available"].as_u64()?,
            value["owed"].as_u64()?,
            value["held"].as_u64()?,
            value["sold"].as_u64()?,
        ])
    };
    if let Some(found) = of(value) {
        return Some(found);
    }
    match value {
        Value::Object(object) => object.values().find_map(find_balance),
        Value::Array(list) => list.iter().find_map(find_balance),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}
