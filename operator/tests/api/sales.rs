//! Making, listing and showing sales, from the API and from the configuration.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice_core::{
    ids::SaleId,
    line::LineEntry,
    ports::{Drain, Notice, PortError, PortResult, Ports, WaitingQueue},
    sale::NewSale,
};
use sluice_operator::{ConfiguredError, Limits};

use crate::house::{House, heard, sale_body};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_made_shown_and_announced() {
    let house = House::open().await;
    let mut bulletin = house.ports.bulletin.subscribe().await.unwrap();
    let answer = house.post("/v1/sales", sale_body("drop")).await;
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(answer.header("location"), "/v1/sales/drop");
    assert_eq!(answer.header("cache-control"), "no-store");
    let made = answer.is(201);
    assert_eq!(made["id"], "drop");
    assert_eq!(made["title"], "A drop");
    assert_eq!(made["state"], "open");
    assert_eq!(made["control"], "running");
    assert_eq!(made["version"], 1);
    assert_eq!(
        made["skus"],
        json!([{ "sku": "standard", "stock": 100, "amount_fen": 9900, "currency": "CNY" }])
    );
    assert_eq!(made["policy"]["fraction"], 0.02);
    assert_eq!(made["policy"]["line_cap"], 50_000);
    assert_eq!(made["policy"]["overflow"], "standby");
    let Notice::Sale { sale } = heard(&mut bulletin).await else { panic!("not a sale") };
    assert_eq!(sale.id.as_str(), "drop");
    assert!(house.directory.sale(&sale.id).is_some(), "this process has not heard of it");

    let shown = house.get("/v1/sales/drop").await;
    assert_eq!(shown.header("etag"), "\"1\"");
    assert_eq!(shown.is(200)["skus"], made["skus"]);
    let list = house.get("/v1/sales").await.is(200);
    assert_eq!(list["sales"][0]["id"], "drop");
    assert_eq!(list["sales"].as_array().unwrap().len(), 1);
    house.get("/v1/sales/other").await.refuses(404, "no_such_sale");
    house.get("/v1/sales/NOT%20A%20NAME").await.refuses(404, "no_such_sale");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_given_once() {
    let house = House::open().await;
    house.sale("drop").await;
    let mut other = sale_body("drop");
    other["title"] = json!("Another");
    house.post("/v1/sales", other).await.refuses(409, "sale_exists");
    assert_eq!(house.get("/v1/sales/drop").await.is(200)["title"], "A drop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_may_open_later_and_brings_its_policy() {
    let house = House::open().await;
    let mut body = sale_body("later");
    body["opens_at"] = json!("2999-11-11T20:00:00+08:00");
    body["closes_at"] = json!("2999-11-12T00:00:00+08:00");
    body["policy"] =
        json!({ "line_cap": 10, "limits": { "per_ip": { "per_second": 5, "burst": 6 } } });
    let made = house.post("/v1/sales", body).await.is(201);
    assert_eq!(made["state"], "scheduled");
    assert_eq!(made["opens_at"], "2999-11-11T12:00:00.000Z");
    assert_eq!(made["policy"]["line_cap"], 10);
    assert_eq!(made["policy"]["limits"]["per_ip"]["burst"], 6);
}

/// What is out of range is 422, names the field, and makes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_out_of_range_is_refused() {
    let house = House::open().await;
    let sku = |change: Value| {
        let mut body = sale_body("drop");
        for (key, value) in change.as_object().unwrap() {
            body["skus"][0][key] = value.clone();
        }
        body
    };
    let with = |key: &str, value: Value| {
        let mut body = sale_body("drop");
        body[key] = value;
        body
    };
    let seated = |seats: Value, stops: Value| {
        let mut body = sku(json!({ "seats": seats, "stops": stops }));
        body["skus"][0].as_object_mut().unwrap().remove("stock");
        body
    };
    let twice = json!([sale_body("a")["skus"][0], sale_body("a")["skus"][0]]);
    let mut currencies = twice.clone();
    currencies[1]["sku"] = json!("other");
    currencies[1]["currency"] = json!("EUR");
    for (body, field, range) in [
        (sku(json!({ "stock": -1 })), "skus.stock", "0 to 1000000000"),
        (sku(json!({ "stock": 1_000_000_001 })), "skus.stock", "0 to 1000000000"),
        (sku(json!({ "stock": 1e300 })), "skus.stock", "0 to 1000000000"),
        (sku(json!({ "amount_fen": -1 })), "skus.amount_fen", "0 to"),
        (sku(json!({ "amount_fen": 1e18 })), "skus.amount_fen", "0 to"),
        (with("skus", json!([])), "skus", "1 to 200"),
        (with("skus", twice), "skus.sku", "once"),
        (with("skus", currencies), "skus.currency", "same"),
        (with("title", json!("x".repeat(501))), "title", "500"),
        (with("closes_at", json!("2020-01-01T00:00:00Z")), "closes_at", "after"),
        (with("policy", json!({ "fraction": 2 })), "policy.fraction", "at most 1"),
        (with("policy", json!({ "standby_cap": 1e8 })), "policy.standby_cap", "0 to 10000000"),
        (sku(json!({ "seats": ["01A"], "stops": ["a", "b"] })), "skus[0].stock", "not both"),
        (sku(json!({ "stops": [] })), "skus[0].stock", "not both"),
        (seated(json!(["01A"]), json!(["a"])), "skus[0].stops", "2 to 65 stops"),
        (seated(json!(["01A"]), json!(["a", ""])), "skus[0].stops", "1 to 64 characters"),
        (seated(json!([]), json!(["a", "b"])), "skus[0].seats", "1 to 5000 seats"),
        (seated(json!(["01A", "01A"]), json!(["a", "b"])), "skus[0].seats", "`01A` comes twice"),
    ] {
        let mut body = body;
        if field == "closes_at" {
            body["opens_at"] = json!("2020-01-01T00:00:00Z");
        }
        let refusal = house.post("/v1/sales", body).await.refuses(422, "out_of_range");
        assert_eq!(refusal["field"], field, "{refusal}");
        assert!(refusal["detail"].as_str().unwrap().contains(range), "{refusal}");
    }
    assert_eq!(house.ports.ledger.sales().await.unwrap(), []);
}

fn configured(id: &str, stock: u64) -> NewSale {
    let body = json!({ "id": id, "skus": [{ "sku": "a", "stock": stock, "amount_fen": 1, "currency": "CNY" }] });
    serde_json::from_value(body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn configured_sales_are_made_once_and_then_left_alone() {
    let house = House::open().await;
    house
        .operator
        .create_configured(vec![configured("drop", 5), configured("demo", 7)])
        .await
        .unwrap();
    house.post("/v1/sales/drop/pause", Value::Null).await.is(200);
    house.operator.create_configured(vec![configured("drop", 50)]).await.unwrap();
    let drop = house.get("/v1/sales/drop").await.is(200);
    assert_eq!((&drop["skus"][0]["stock"], &drop["state"]), (&json!(5), &json!("paused")));
    assert!(house.directory.sale(&SaleId::new("demo").unwrap()).is_some());
    let log = house.log().await;
    let made: Vec<_> = log
        .iter()
        .filter(|(author, ..)| author == "config")
        .map(|(_, verb, sale, _)| (verb, sale))
        .collect();
    assert_eq!(
        made,
        [(&"sale.create".to_owned(), &"drop".to_owned()), (&"sale.create".into(), &"demo".into())]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configured_sale_out_of_range_is_named() {
    let house = House::open().await;
    let error =
        house.operator.create_configured(vec![configured("drop", u64::MAX)]).await.unwrap_err();
    let ConfiguredError::OutOfRange { sale, source } = error else { panic!("{error:?}") };
    assert_eq!((sale.as_str(), source.field.as_str()), ("drop", "skus.stock"));
}

/// A waiting queue that remembers what was declared, and can be away.
#[derive(Debug)]
struct Declarations {
    inner: Arc<dyn WaitingQueue>,
    away: AtomicBool,
    made: Mutex<Vec<SaleId>>,
}

#[async_trait]
impl WaitingQueue for Declarations {
    async fn declare(&self, sale: &SaleId) -> PortResult<()> {
        if self.away.load(Ordering::SeqCst) {
            return Err(PortError::unavailable("away"));
        }
        self.inner.declare(sale).await?;
        self.made.lock().unwrap().push(sale.clone());
        Ok(())
    }

    async fn offer(&self, sale: &SaleId, entries: Vec<LineEntry>) -> PortResult<()> {
        self.inner.offer(sale, entries).await
    }

    async fn drain(&self, sale: &SaleId) -> PortResult<Drain> {
        self.inner.drain(sale).await
    }

    async fn remove(&self, sale: &SaleId) -> PortResult<()> {
        self.inner.remove(sale).await
    }
}

/// A house, and its waiting queue, which is away if asked.
async fn house_with_declarations(away: bool) -> (House, Arc<Declarations>) {
    let mut kept = None;
    let house = House::open_with(Limits::default(), |ports| {
        let waiting = Arc::new(Declarations {
            inner: Arc::clone(&ports.waiting),
            away: AtomicBool::new(away),
            made: Mutex::default(),
        });
        kept = Some(Arc::clone(&waiting));
        Ports { waiting, ..ports }
    });
    let house = house.await;
    (house, kept.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_not_shown_before_its_queue_is_there() {
    let (house, queues) = house_with_declarations(true).await;
    let id = SaleId::new("drop").unwrap();
    house.post("/v1/sales", sale_body("drop")).await.refuses(503, "unavailable");
    assert!(house.directory.sale(&id).is_none(), "buyers were let in");
    queues.away.store(false, Ordering::SeqCst);
    // The ledger knew it already; the repeat sees to the rest.
    house.post("/v1/sales", sale_body("drop")).await.refuses(409, "sale_exists");
    assert_eq!(*queues.made.lock().unwrap(), std::slice::from_ref(&id));
    assert!(house.directory.sale(&id).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_declares_the_queue_of_every_sale() {
    let (house, queues) = house_with_declarations(true).await;
    house.post("/v1/sales", sale_body("drop")).await.refuses(503, "unavailable");
    let away = house.operator.create_configured(vec![configured("demo", 7)]).await.unwrap_err();
    assert!(matches!(away, ConfiguredError::Store(_)), "{away:?}");
    queues.away.store(false, Ordering::SeqCst);
    house.operator.create_configured(vec![configured("demo", 7)]).await.unwrap();
    let mut made = queues.made.lock().unwrap().clone();
    made.sort();
    assert_eq!(made.iter().map(SaleId::as_str).collect::<Vec<_>>(), ["demo", "drop"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seated_sale_is_made_of_seats_and_stops() {
    let house = House::open().await;
    let mut body = sale_body("train");
    let seats = ["01A", "01B", "02A"];
    body["skus"] = json!([{
        "sku": "second", "seats": seats, "stops": ["x", "y", "z"], "amount_fen": 100, "currency": "CNY",
    }]);
    let made = house.post("/v1/sales", body.clone()).await;
    let made = made.is(201);
    assert_eq!((&made["skus"], &made["remaining"]), (&body["skus"], &json!(3)));
    let sale = SaleId::new("train").unwrap();
    assert_eq!(house.ports.ledger.stock(&sale).await.unwrap()[0].available, 6, "in seat-legs");
    let more = house.post("/v1/sales/train/skus/second/stock", json!({ "add": 1 })).await;
    let refusal = more.refuses(422, "out_of_range");
    assert!(
        refusal["detail"].as_str().unwrap().contains("fixed when the sale is made"),
        "{refusal}"
    );
    body["id"] = json!("other");
    body["skus"][0]["seats"][1] = json!("1 B");
    let refusal = house.post("/v1/sales", body).await;
    let refusal = refusal.refuses(400, "bad_request");
    assert!(refusal["detail"].as_str().unwrap().contains("label of a seat"), "{refusal}");
}
