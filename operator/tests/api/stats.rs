//! Statistics: what each store knows, and what is still told when one of them is away.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use sluice_core::{
    ids::{Epoch, SaleId, Seq, SkuId, Version},
    line::Cursor,
    ports::{
        GateHolds, GateImage, HoldUpdate, HoldsPlace, LeaseReply, LineReport, PortError,
        PortResult, Ports, Reserved, Restock, Restore, SkuLevel, SkuReport, StockGate, Want,
    },
};
use sluice_operator::Limits;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::house::{House, until};

/// Rebuilds the gate from the ledger, with `surplus` units too many.
async fn warm(house: &House, sale: &SaleId, surplus: u64) -> Epoch {
    let lease = house.ports.ledger.lease(sale, "test", Duration::from_secs(60)).await.unwrap();
    let LeaseReply::Held(lease) = lease else { panic!("{lease:?}") };
    let mut image: GateImage = house.ports.ledger.gate_image(sale).await.unwrap();
    image.skus[0].1 += surplus;
    house.ports.gate.rebuild(sale, lease.epoch, image).await.unwrap();
    let block = house.ports.ledger.next_block(sale, 1_000).await.unwrap();
    house
        .ports
        .line
        .warm(sale, lease.epoch, Some(Restore { block, cursor: Cursor::default(), last: Seq(0) }))
        .await
        .unwrap();
    lease.epoch
}

fn report(house: &House, sale: &SaleId) -> LineReport {
    LineReport {
        sale: sale.clone(),
        epoch: Epoch(1),
        version: Version(1),
        cursor: Cursor { serving: Seq(40), ..Cursor::default() },
        waiting: 12,
        rate_per_second: 2.5,
        rate_actual: 2.25,
        remaining: 88,
        unpaid: 3,
        standby: 4,
        owed: 2,
        units_per_turn: 1.5,
        skus: vec![SkuReport {
            sku: SkuId::new("standard").unwrap(),
            remaining: 88,
            free_seats: Vec::new(),
        }],
        sold_out: false,
        wait_p50_ms: Some(1_500),
        wait_p95_ms: Some(4_000),
        turns: 40,
        sale_version: Version(1),
        at: house.clock.now(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_figures_come_from_every_store() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    warm(&house, &sale, 2).await;
    house.directory.learn_line(report(&house, &sale));
    let stats = house.get("/v1/sales/drop/stats").await.is(200);
    assert_eq!(
        (&stats["sale"], &stats["state"], &stats["version"]),
        (&json!("drop"), &json!("open"), &json!(1))
    );
    assert_eq!(
        stats["line"],
        json!({ "waiting": 12, "serving": 40, "last": 0, "called": 0, "turns": 40, "stale": false })
    );
    assert_eq!(stats["rate"], json!({ "wanted_per_second": 2.5, "actual_per_second": 2.25 }));
    assert_eq!(stats["waits"], json!({ "p50_ms": 1500, "p95_ms": 4000 }));
    assert_eq!(stats["remaining"], 88);
    assert_eq!(
        stats["skus"][0],
        json!({
            "sku": "standard",
            "remaining": 88,
            "ledger": { "total": 100, "available": 100, "held": 0, "sold": 0, "owed": 0 },
            "gate": { "available": 102, "held": 0, "in_flight": 0 },
            "drift": 2,
        })
    );
    assert_eq!(stats["drift"], 2);
    assert_eq!(stats["orders"]["awaiting_payment"], 0);
    assert_eq!(stats["orders"].as_object().unwrap().len(), 10);
    assert_eq!(
        (&stats["holds"], &stats["owed"], &stats["standby"]),
        (&json!(0), &json!(2), &json!(4))
    );
    assert_eq!((&stats["turn_queue_depth"], &stats["dead_letters"]), (&json!(0), &json!(0)));
    assert_eq!(stats["missing"], json!([]));
    assert!(stats["now"].as_str().unwrap().ends_with('Z'));
    house.get("/v1/sales/other/stats").await.refuses(404, "no_such_sale");
}

#[derive(Debug)]
struct GateAway;

#[async_trait]
impl StockGate for GateAway {
    async fn rebuild(&self, _: &SaleId, _: Epoch, _: GateImage) -> PortResult<()> {
        Err(PortError::unavailable("away"))
    }

    async fn reserve(&self, _: &SaleId, _: &[Want]) -> PortResult<Vec<Reserved>> {
        Err(PortError::unavailable("away"))
    }

    async fn set(&self, _: &SaleId, _: &[HoldUpdate]) -> PortResult<()> {
        Err(PortError::unavailable("away"))
    }

    async fn restock(&self, _: &SaleId, _: &Restock) -> PortResult<()> {
        Err(PortError::unavailable("away"))
    }

    async fn levels(&self, _: &SaleId) -> PortResult<Vec<SkuLevel>> {
        Err(PortError::unavailable("away"))
    }

    async fn holds(&self, _: &SaleId, _: Option<&HoldsPlace>) -> PortResult<GateHolds> {
        Err(PortError::unavailable("away"))
    }

    async fn forget(&self, _: &SaleId) -> PortResult<()> {
        Err(PortError::unavailable("away"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_is_named_and_the_rest_is_told() {
    let house =
        House::open_with(Limits::default(), |ports| Ports { gate: Arc::new(GateAway), ..ports })
            .await;
    let sale = house.sale("drop").await;
    // The ledger decides: stock is added whether the gate hears of it or not.
    house.post("/v1/sales/drop/skus/standard/stock", json!({ "add": 5 })).await.is(200);
    assert_eq!(house.ports.ledger.stock(&sale).await.unwrap()[0].available, 105);
    let stats = house.get("/v1/sales/drop/stats").await.is(200);
    assert!(stats["missing"].as_array().unwrap().contains(&json!("gate")), "{stats}");
    assert_eq!((&stats["drift"], &stats["skus"][0]["gate"]), (&Value::Null, &Value::Null));
    assert_eq!(stats["skus"][0]["ledger"]["total"], 105);
    // A deletion that cannot reach everybody is not reported as done; a repeat goes on with it.
    house.delete("/v1/sales/drop").await.refuses(503, "unavailable");
    house.delete("/v1/sales/drop").await.refuses(503, "unavailable");
    assert_eq!(house.ports.ledger.sale(&sale).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arrivals_are_counted_while_it_runs() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    warm(&house, &sale, 0).await;
    assert_eq!(house.get("/v1/sales/drop/stats").await.is(200)["arrivals_per_second"], Value::Null);
    let (operator, shutdown) = (house.operator.clone(), CancellationToken::new());
    let mut tasks = JoinSet::new();
    let token = shutdown.clone();
    tasks.spawn(async move { operator.run(token).await });
    let rate = until("a rate of arrivals", async || {
        house.get("/v1/sales/drop/stats").await.is(200)["arrivals_per_second"].as_f64()
    });
    assert!(rate.await.abs() < f64::EPSILON, "nobody came");
    shutdown.cancel();
    tasks.join_next().await.unwrap().unwrap();
}
