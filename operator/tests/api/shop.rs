//! The reports of the shop's own order backend.

use serde_json::{Value, json};
use sluice_core::{
    clock::UnixMillis,
    event::Turn,
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq},
    line::LineEntry,
    ports::Notice,
    random::Random,
};
use sluice_operator::Role;

use crate::house::{Answer, House, heard};

/// A turn that was left to the shop.
async fn handed(house: &House, sale: &SaleId) -> EntryId {
    let entry = EntryId::generate(house.clock.now(), &Random::system());
    let turn = Turn {
        sale: sale.clone(),
        line_entry: LineEntry {
            entry,
            buyer: BuyerId::new(&format!("buyer-of-{entry}")).unwrap(),
            seq: Seq(1),
            holes_below: 0,
            basket: serde_json::from_value(json!([{ "sku": "standard", "quantity": 2 }])).unwrap(),
            joined_at: UnixMillis(0),
            address: None,
            reach: None,
            stands_since: None,
        },
        epoch: Epoch(1),
        attempt: 1,
        called_at: house.clock.now(),
    };
    house.ports.ledger.hand_over(&[turn]).await.unwrap();
    entry
}

async fn report(house: &House, entry: impl ToString, body: Value) -> Answer {
    let path = format!("/v1/turns/{}/outcome", entry.to_string());
    house.as_role(Role::Backend, "POST", &path, body).await
}

async fn remaining(house: &House, path: &str, body: Value) -> Answer {
    house.as_role(Role::Backend, "PUT", path, body).await
}

const LEFT: &str = "/v1/sales/drop/skus/standard/remaining";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_is_recorded_told_and_answered_again() {
    let house = House::open_for_a_shop().await;
    let sale = house.sale("drop").await;
    let entry = handed(&house, &sale).await;
    let mut bulletin = house.ports.bulletin.subscribe().await.unwrap();
    let body = json!({ "outcome": "reserved", "order": "A-1", "url": "https://shop.example.com/1",
        "pay_by": "2027-01-15T08:15:00Z" });
    let told = report(&house, entry, body.clone()).await.is(200);
    assert_eq!(told["outcome"], "reserved");
    assert_eq!((&told["order"], &told["state"]), (&json!("A-1"), &json!("awaiting_payment")));
    assert_eq!(told["pay_by"], "2027-01-15T08:15:00.000Z");
    let Notice::Entries { entries, .. } = heard(&mut bulletin).await else { panic!("not told") };
    assert_eq!((entries[0].entry, entries[0].state.as_str()), (entry, "reserved"));
    assert_eq!(house.ports.ledger.untold(10).await.unwrap(), [], "nobody need tell it again");
    assert_eq!(report(&house, entry, body).await.is(200), told, "a repeat is answered the same");
    for other in
        [json!({ "outcome": "sold_out" }), json!({ "outcome": "reserved", "order": "A-2" })]
    {
        let problem = report(&house, entry, other).await.refuses(409, "wrong_state");
        assert!(problem["detail"].as_str().unwrap().contains("A-1"), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_paid_or_closed_by_its_name() {
    let house = House::open_for_a_shop().await;
    let sale = house.sale("drop").await;
    let (paid, closed) = (handed(&house, &sale).await, handed(&house, &sale).await);
    for (entry, order) in [(paid, "A-1"), (closed, "A-2")] {
        report(&house, entry, json!({ "outcome": "reserved", "order": order })).await.is(200);
    }
    let say = |state: &str, order: &str| json!({ "order": order, "state": state });
    report(&house, paid, say("paid", "A-2")).await.refuses(404, "no_such_order");
    let told = report(&house, paid, say("paid", "A-1")).await.is(200);
    assert_eq!(told["state"], "paid");
    report(&house, paid, say("paid", "A-1")).await.is(200);
    report(&house, paid, say("closed", "A-1")).await.refuses(409, "wrong_state");
    let told = report(&house, closed, say("closed", "A-2")).await.is(200);
    assert_eq!(told["state"], "closing");
    let stock = house.ports.ledger.stock(&sale).await.unwrap().remove(0);
    assert_eq!((stock.available, stock.held, stock.sold), (100, 2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_is_what_the_shop_says() {
    let house = House::open_for_a_shop().await;
    let sale = house.sale("drop").await;
    let mut bulletin = house.ports.bulletin.subscribe().await.unwrap();
    remaining(&house, LEFT, json!({ "remaining": 7 })).await.is(200);
    assert_eq!(heard(&mut bulletin).await, Notice::StockReturned { sale: sale.clone() });
    assert_eq!(house.ports.ledger.stock(&sale).await.unwrap()[0].available, 7);
    for bad in [json!(-1), json!(1_000_000_001_u64)] {
        let problem = remaining(&house, LEFT, json!({ "remaining": bad })).await;
        assert_eq!(problem.refuses(422, "out_of_range")["field"], "remaining");
    }
    remaining(&house, LEFT, json!({ "left": 7 })).await.refuses(400, "bad_request");
    let elsewhere = LEFT.replace("standard", "other");
    remaining(&house, &elsewhere, json!({ "remaining": 1 })).await.refuses(404, "no_such_sku");
    let elsewhere = LEFT.replace("drop", "other");
    remaining(&house, &elsewhere, json!({ "remaining": 1 })).await.refuses(404, "no_such_sale");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mistakes_name_the_field_and_change_nothing() {
    let house = House::open_for_a_shop().await;
    let sale = house.sale("drop").await;
    let entry = handed(&house, &sale).await;
    for (body, status, field) in [
        (json!({}), 422, "outcome"),
        (json!({ "outcome": "reserved" }), 422, "order"),
        (
            json!({ "outcome": "reserved", "order": "a", "url": "http://shop.example.com/" }),
            422,
            "url",
        ),
        (
            json!({ "outcome": "reserved", "order": "a", "url": "https://evil.example/" }),
            422,
            "url",
        ),
        (
            json!({ "outcome": "reserved", "order": "a", "pay_by": "2099-01-01T00:00:00Z" }),
            422,
            "pay_by",
        ),
        (json!({ "outcome": "reserved", "order": "a", "pay_by": "soon" }), 400, "pay_by"),
        (json!({ "outcome": "maybe" }), 400, "outcome"),
        (json!({ "outcome": "sold_out", "orders": [] }), 400, "orders"),
    ] {
        let problem = report(&house, entry, body).await.is(status);
        assert_eq!(problem["field"], field, "{problem}");
    }
    let body = || json!({ "outcome": "sold_out" });
    report(&house, "no-entry", body()).await.refuses(404, "no_such_turn");
    let stranger = EntryId::generate(UnixMillis(1), &Random::seeded(1));
    report(&house, stranger, body()).await.refuses(404, "no_such_turn");
    assert_eq!(house.ports.ledger.entries(&[entry]).await.unwrap(), [None]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_role_backend_reports_and_only_in_this_mode() {
    let house = House::open_for_a_shop().await;
    let sale = house.sale("drop").await;
    let entry = handed(&house, &sale).await;
    let path = format!("/v1/turns/{entry}/outcome");
    for role in [Role::Viewer, Role::Operator, Role::Admin] {
        let body = json!({ "outcome": "sold_out" });
        house.as_role(role, "POST", &path, body).await.refuses(403, "forbidden");
        let body = json!({ "remaining": 0 });
        house.as_role(role, "PUT", LEFT, body).await.refuses(403, "forbidden");
    }
    assert_eq!(house.ports.ledger.entries(&[entry]).await.unwrap(), [None]);
    let builtin = House::open().await;
    builtin.sale("drop").await;
    report(&builtin, entry, json!({ "outcome": "sold_out" })).await.refuses(409, "wrong_state");
    remaining(&builtin, LEFT, json!({ "remaining": 0 })).await.refuses(409, "wrong_state");
}
