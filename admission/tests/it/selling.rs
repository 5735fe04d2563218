//! What anybody may know of a sale.

use http::Method;
use serde_json::{Value, json};
use sluice_core::sale::{NewSale, SaleChange};

use crate::stage::{START, Stage, author, eventually};

async fn info(stage: &Stage) -> Value {
    stage.ask(Method::GET, "/v1/sales/demo").send().await.expect(200, "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_is_the_contracts_object() {
    let stage = Stage::open().await;
    let reply = stage.ask(Method::GET, "/v1/sales/demo").send().await;
    let sale = reply.expect(200, "");
    assert_eq!(reply.header("cache-control"), Some("public, max-age=1"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let told = json!({
        "sale": "demo", "title": "A drop", "state": "open", "opens_at": null, "closes_at": null,
        "now": "2027-01-15T08:00:00.000Z", "waiting": 0, "serving": 0, "rate_per_second": 0.0, "remaining": 110,
        "notice": null, "policy_version": 1, "skus": [
            { "sku": "standard", "amount_fen": 9900, "currency": "CNY", "remaining": 100 },
            { "sku": "deluxe", "amount_fen": 19900, "currency": "CNY", "remaining": 10 },
        ],
    });
    assert_eq!(sale, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn news_is_told_within_a_quarter_of_a_second() {
    let mut stage = Stage::open().await;
    assert_eq!(info(&stage).await["serving"], 0);
    stage.report(41, false);
    stage.change(SaleChange::Pause).await;
    stage.change(SaleChange::Notice(Some([("en".to_owned(), "Soon".to_owned())].into()))).await;
    eventually("the sale tells its news", async || info(&stage).await["state"] == "paused").await;
    let sale = info(&stage).await;
    assert_eq!(
        (&sale["serving"], &sale["waiting"], &sale["rate_per_second"]),
        (&json!(41), &json!(12), &json!(2.0))
    );
    assert_eq!(sale["notice"], json!({ "en": "Soon" }));
    assert_eq!(sale["policy_version"], 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_shares_one_snapshot() {
    let mut stage = Stage::open().await;
    let first = info(&stage).await;
    stage.report(41, false);
    stage.clock.advance(std::time::Duration::from_secs(5));
    // Within the tenth of a second the very same bytes are told; later ones differ. Which it is depends on this
    // machine's speed, so look for both.
    eventually("a new snapshot follows", async || info(&stage).await != first).await;
    assert_eq!(info(&stage).await["serving"], 41);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_sale_is_gone() {
    let stage = Stage::open().await;
    info(&stage).await;
    stage.ports.ledger.delete_sale(&stage.sale, &crate::stage::author(), None).await.unwrap();
    stage.directory.forget(&stage.sale);
    stage.ask(Method::GET, "/v1/sales/demo").send().await.expect(404, "no_such_sale");
    stage.joining("ada").send().await.expect(404, "no_such_sale");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seated_sku_shows_its_stops_and_free_seats() {
    let stage = Stage::open().await;
    let train = serde_json::from_value::<NewSale>(json!({ "id": "train", "skus": [
        { "sku": "second", "seats": ["01A", "01B"], "stops": ["a", "b", "c"], "amount_fen": 100, "currency": "CNY" },
    ] }));
    let train = train.unwrap().build(START).unwrap();
    stage.ports.ledger.create_sale(train, &author()).await.unwrap();
    let sale = stage.ask(Method::GET, "/v1/sales/train").send().await.expect(200, "");
    let told = json!([{
        "sku": "second", "amount_fen": 100, "currency": "CNY", "remaining": 2,
        "stops": ["a", "b", "c"], "free_seats": [2, 2],
    }]);
    assert_eq!((&sale["skus"], &sale["remaining"]), (&told, &json!(2)));
}
