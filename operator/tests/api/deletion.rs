//! A sale is deleted when nobody waits, nobody is called and every order is final; never before, and then wholly.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    entry::Outcome,
    ids::{BuyerId, EntryId, Epoch, HoldId, OrderId, SaleId, Seq},
    line::{Caps, Cursor, LineEntry},
    order::ClosingCause,
    ports::{
        GateSaid, HoldReply, HoldRequest, Join, JoinReply, LeaseReply, Notice, PortError, Restore,
        Settlement,
    },
    random::Random,
};

use crate::house::{House, heard, sale_body};

fn settled(outcome: Outcome) -> Settlement {
    Settlement { outcome, live: false }
}

/// Warms the line and joins one buyer.
async fn joined(house: &House, sale: &SaleId) -> (Epoch, LineEntry) {
    let lease = house.ports.ledger.lease(sale, "test", Duration::from_secs(60)).await.unwrap();
    let LeaseReply::Held(lease) = lease else { panic!("{lease:?}") };
    let block = house.ports.ledger.next_block(sale, 100).await.unwrap();
    house
        .ports
        .line
        .warm(sale, lease.epoch, Some(Restore { block, cursor: Cursor::default(), last: Seq(0) }))
        .await
        .unwrap();
    let now = house.clock.now();
    let basket: Basket = serde_json::from_str(r#"[{"sku":"standard","quantity":1}]"#).unwrap();
    let candidate = LineEntry {
        entry: EntryId::generate(now, &Random::system()),
        buyer: BuyerId::new("ada").unwrap(),
        seq: Seq(0),
        holes_below: 0,
        basket,
        joined_at: now,
        address: None,
        reach: None,
        stands_since: None,
    };
    let replies = house
        .ports
        .line
        .join(
            sale,
            Caps::of_line(100),
            vec![Join { candidate, proven: None, limits: None, stand_by: false }],
        )
        .await
        .unwrap();
    let [JoinReply::New(place)] = replies.as_slice() else { panic!("{replies:?}") };
    (lease.epoch, place.line_entry.clone())
}

async fn is_busy(house: &House, with: &str) {
    let refusal = house.delete("/v1/sales/drop").await.refuses(409, "sale_busy");
    assert!(refusal["detail"].as_str().unwrap().contains(with), "{refusal}");
    assert_eq!(
        house.get("/v1/sales/drop").await.is(200)["version"],
        1,
        "a refused deletion changed something"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_with_somebody_in_line_stays() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let (epoch, entry) = joined(&house, &sale).await;
    is_busy(&house, "1 entries wait").await;
    house.ports.line.call(&sale, epoch, None, std::slice::from_ref(&entry)).await.unwrap();
    house
        .ports
        .line
        .advance(&sale, epoch, &Cursor { serving: entry.seq, ..Cursor::default() })
        .await
        .unwrap();
    is_busy(&house, "1 are called").await;
    house.ports.line.settle(&sale, &[(entry.entry, settled(Outcome::Left))]).await.unwrap();

    let mut bulletin = house.ports.bulletin.subscribe().await.unwrap();
    house.delete("/v1/sales/drop").await.is(204);
    assert_eq!(house.ports.ledger.sale(&sale).await.unwrap(), None);
    assert!(house.directory.sale(&sale).is_none(), "this process still shows it");
    assert!(
        matches!(house.ports.line.snapshot(&sale).await, Err(PortError::Cold)),
        "the line remembers it"
    );
    assert!(
        matches!(house.ports.gate.levels(&sale).await, Err(PortError::Cold)),
        "the gate remembers it"
    );
    // It was on, so nobody may join while it goes: it is closed first.
    assert!(
        matches!(heard(&mut bulletin).await, Notice::Sale { sale } if sale.is_over(UnixMillis(0)))
    );
    assert_eq!(heard(&mut bulletin).await, Notice::SaleDeleted { sale: sale.clone() });
    house.get("/v1/sales/drop").await.refuses(404, "no_such_sale");
    house.delete("/v1/sales/drop").await.refuses(404, "no_such_sale");
    // Its name is free again, and nothing of the old one shows.
    assert_eq!(house.post("/v1/sales", sale_body("drop")).await.is(201)["version"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_with_an_open_order_stays_until_the_order_is_final() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    let (epoch, entry) = joined(&house, &sale).await;
    house.ports.line.call(&sale, epoch, None, std::slice::from_ref(&entry)).await.unwrap();
    house
        .ports
        .line
        .advance(&sale, epoch, &Cursor { serving: entry.seq, ..Cursor::default() })
        .await
        .unwrap();
    let order = OrderId::generate(house.clock.now(), &Random::system());
    let request = HoldRequest {
        hold: HoldId::of_entry(entry.entry, 0),
        line_entry: entry.clone(),
        order,
        gate: GateSaid::Held,
    };
    let replies = house.ports.ledger.hold(&sale, vec![request]).await.unwrap();
    assert!(matches!(replies.as_slice(), [HoldReply::Settled { .. }]), "{replies:?}");
    house
        .ports
        .line
        .settle(&sale, &[(entry.entry, Settlement { outcome: Outcome::Reserved, live: true })])
        .await
        .unwrap();

    house.post("/v1/sales/drop/close", Value::Null).await.is(200);
    let refusal = house.delete("/v1/sales/drop").await.refuses(409, "sale_busy");
    assert!(refusal["detail"].as_str().unwrap().contains("1 of its orders"), "{refusal}");
    house.ports.ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
    house.delete("/v1/sales/drop").await.refuses(409, "sale_busy");
    house.ports.ledger.close_unpaid(order).await.unwrap();
    house.delete("/v1/sales/drop").await.is(204);
    assert_eq!(house.ports.ledger.sales().await.unwrap(), [] as [Arc<_>; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_nobody_ever_joined_goes_at_once() {
    let house = House::open().await;
    let sale = house.sale("drop").await;
    house.delete("/v1/sales/drop").await.is(204);
    assert_eq!(house.ports.ledger.sale(&sale).await.unwrap(), None);
    let verbs: Vec<_> = house.log().await.into_iter().map(|(_, verb, ..)| verb).collect();
    assert_eq!(verbs, ["sale.create", "sale.close", "sale.delete"]);
}

/// A node that has not heard of the close yet lets one more buyer in: the place is not lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_overtakes_the_close_keeps_the_sale() {
    let (house, mut beginnings, go_on) = House::open_with_slow_bulletin().await;
    go_on.add_permits(1);
    let sale = house.sale("drop").await;
    beginnings.recv().await.unwrap();
    let late = async {
        beginnings.recv().await.unwrap();
        joined(&house, &sale).await;
        go_on.add_permits(1);
    };
    let (answer, ()) = tokio::join!(house.delete("/v1/sales/drop"), late);
    answer.refuses(409, "sale_busy");
    let kept = house.get("/v1/sales/drop").await.is(200);
    assert_eq!(kept["state"], "closed", "nobody else may join");
    assert_eq!(house.ports.line.snapshot(&sale).await.unwrap().last, Seq(1));
}
