//! The last line: with every check of the program out of the way, the database itself refuses what must never be. And a batch
//! of turns that trips it is settled all the same, but for the one turn that does.

use sluice_core::{
    entry::Outcome,
    ids::HoldId,
    order::ClosingCause,
    ports::{
        GateSaid, HoldReply, HoldRequest, StepReply,
        conformance::{House as _, assert_balanced},
    },
};
use sqlx::PgConnection;

use crate::{
    House,
    house::{entry, make_sale, orders_of, request, turns},
    server::{connect, number, run, try_run},
};

/// What the shell tries is refused by a constraint.
async fn refused(shell: &mut PgConnection, sql: &str) {
    match try_run(shell, sql).await {
        Ok(()) => panic!("the database let pass: {sql}"),
        Err(error) => {
            let code = error.as_database_error().and_then(|error| error.code().map(String::from));
            assert!(code.as_ref().is_some_and(|code| code.starts_with("23")), "{sql}: {error}");
        }
    }
}

#[tokio::test]
async fn the_balance_cannot_be_oversold() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 2).await;
    ledger.hold(&sale, turns(1..3)).await.unwrap();
    let mut shell = connect(&house.url).await;
    for sql in [
        "UPDATE stock SET available = available - 1, held = held + 1",
        "UPDATE stock SET held = held + 1",
        "UPDATE stock SET held = held - 3, sold = sold + 3",
        "UPDATE stock SET total = total + 1",
        "INSERT INTO stock (sale, sku, total, available) VALUES ('drop', 'b', 5, 6)",
    ] {
        refused(&mut shell, sql).await;
    }
    // Without the constraints the database would let it pass: they are what refuses.
    run(&mut shell, "BEGIN; ALTER TABLE stock DROP CONSTRAINT stock_available_check").await;
    run(&mut shell, "UPDATE stock SET available = available - 1, held = held + 1; ROLLBACK").await;
    assert_balanced(&*ledger, &sale).await;
}

#[tokio::test]
async fn a_seat_cannot_be_given_twice_on_a_leg() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 2).await;
    let both = vec![request(entry(1, "ada")), request(entry(2, "bob"))];
    ledger.hold(&sale, both).await.unwrap();
    let mut shell = connect(&house.url).await;
    let give = "INSERT INTO seat_leg SELECT sale, 't', 7, 3, id, hold FROM orders WHERE buyer = ";
    run(&mut shell, &format!("{give} 'ada'")).await;
    refused(&mut shell, &format!("{give} 'bob'")).await;
    refused(&mut shell, "UPDATE seat_leg SET leg = 64").await;
    // Without the key the database would let it pass: it is what refuses.
    run(&mut shell, "BEGIN; ALTER TABLE seat_leg DROP CONSTRAINT seat_leg_pkey").await;
    run(&mut shell, &format!("{give} 'bob'; ROLLBACK")).await;
}

#[tokio::test]
async fn a_buyer_cannot_have_two_live_orders() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 10).await;
    let (first, second) = (request(entry(1, "ada")), request(entry(2, "bob")));
    ledger.hold(&sale, vec![first.clone(), second]).await.unwrap();
    let mut shell = connect(&house.url).await;
    let twin = "UPDATE orders SET buyer = 'ada', version = version + 1, history = history || 'closed 0 .'::text WHERE buyer = 'bob'";
    refused(&mut shell, twin).await;
    ledger.begin_closing(first.order, ClosingCause::Cancelled).await.unwrap();
    ledger.close_unpaid(first.order).await.unwrap();
    run(&mut shell, twin).await;
}

#[tokio::test]
async fn what_was_recorded_cannot_be_changed() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 10).await;
    let turn = request(entry(1, "ada"));
    ledger.hold(&sale, vec![turn.clone()]).await.unwrap();
    ledger.next_block(&sale, 10).await.unwrap();
    let mut shell = connect(&house.url).await;
    for sql in [
        "UPDATE outcome SET outcome = 'left'",
        "INSERT INTO outcome (entry, sale, buyer, seq, holes_below, joined_at, outcome, reason, at) \
         SELECT entry, sale, buyer, seq, holes_below, joined_at, 'left', reason, at FROM outcome",
        "UPDATE movement SET kind = 'sold'",
        "INSERT INTO movement (sale, number, hold, kind, at) SELECT sale, number, hold, 'held', at FROM movement",
        "UPDATE movement_count SET number = number - 1",
        "UPDATE orders SET state = 'paid'",
        "UPDATE orders SET state = 'lost', version = version + 1, history = history || 'lost 0 .'::text",
        "INSERT INTO orders (id, sale, entry, buyer, hold, state, version, amount, currency, units, pay_by, changed_at, lines, history) \
         SELECT gen_random_uuid(), sale, entry, 'eve', hold, state, version, amount, currency, units, pay_by, changed_at, lines, \
         history FROM orders",
        "UPDATE orders SET version = version + 1",
        "UPDATE orders SET version = version + 1, history = ARRAY[history[1] || ' because', 'closed 0 .']",
        "UPDATE orders SET version = version + 1, history = '{}'",
        "UPDATE speaker SET high_water = high_water - 1",
        "UPDATE audit SET author = '{}'",
        "DELETE FROM audit",
        "TRUNCATE audit",
        "INSERT INTO audit SELECT id + 1, at, author, verb, subject, before, after, result, reason, previous, hash FROM audit",
    ] {
        refused(&mut shell, sql).await;
    }
    // A hold ends once: sold or released, not both.
    let ends = "INSERT INTO movement (sale, number, hold, kind, at) \
        SELECT sale, number + 1, hold, 'sold', at FROM movement WHERE kind = 'held'";
    run(&mut shell, ends).await;
    refused(&mut shell, &ends.replace("'sold'", "'released'")).await;
}

#[tokio::test]
async fn an_order_has_one_live_payment_and_one_that_pays() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 10).await;
    ledger.hold(&sale, vec![request(entry(1, "ada"))]).await.unwrap();
    let mut shell = connect(&house.url).await;
    let payment = |state: &str| {
        format!(
            "INSERT INTO payment (id, order_id, provider, state, version, amount, currency, changed_at) \
             SELECT gen_random_uuid(), id, 'p', '{state}', 1, amount, currency, 0 FROM orders"
        )
    };
    for state in ["pending", "succeeded"] {
        run(&mut shell, &payment(state)).await;
        refused(&mut shell, &payment(state)).await;
    }
    refused(&mut shell, "UPDATE payment SET version = 0").await;
}

#[tokio::test]
async fn no_refund_gives_back_more_than_was_paid_or_bought() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 10).await;
    ledger.hold(&sale, vec![request(entry(1, "ada"))]).await.unwrap();
    let mut shell = connect(&house.url).await;
    run(
        &mut shell,
        "INSERT INTO payment (id, order_id, provider, state, version, amount, currency, changed_at) \
         SELECT gen_random_uuid(), id, 'p', 'succeeded', 1, amount, currency, 0 FROM orders",
    )
    .await;
    let refund = |state: &str| {
        format!(
            "INSERT INTO refund (id, order_id, payment, amount, currency, scope, cause, state, due_at, begun_at) \
             SELECT gen_random_uuid(), order_id, id, amount, currency, 'money', 'surplus', '{state}', 0, 0 FROM payment"
        )
    };
    run(&mut shell, &refund("done")).await;
    for sql in [
        "UPDATE payment SET refunding = amount + 1",
        "UPDATE payment SET refunding = -1",
        "UPDATE orders SET version = version + 1, history = history || 'closed 0 .'::text, lines = '[{\"quantity\": 1, \"refunded\": 2}]'",
        "UPDATE refund SET state = 'pending'",
        "UPDATE refund SET amount = amount + 1",
        "UPDATE refund SET amount = -1",
        "UPDATE stock SET returned = returned - 1",
        &refund("lost"),
    ] {
        refused(&mut shell, sql).await;
    }
    // Without the constraint the database would let it pass: it is what refuses.
    run(&mut shell, "BEGIN; ALTER TABLE payment DROP CONSTRAINT payment_refunding").await;
    run(&mut shell, "UPDATE payment SET refunding = amount + 1; ROLLBACK").await;
}

/// A turn whose hold the ledger knows under another order, in the middle of a batch.
#[tokio::test]
async fn a_batch_that_trips_a_constraint_is_settled_but_for_the_one_that_does() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 100).await;
    let known = request(entry(1, "ada"));
    ledger.hold(&sale, vec![known.clone()]).await.unwrap();
    let mut batch = turns(10..40);
    batch[17] = HoldRequest { hold: known.hold, ..request(entry(27, "eve")) };
    batch[23] = HoldRequest { order: known.order, ..request(entry(33, "joe")) };
    let replies = ledger.hold(&sale, batch.clone()).await.unwrap();
    for (n, reply) in replies.iter().enumerate() {
        if n == 17 || n == 23 {
            assert_eq!(*reply, HoldReply::GateWrong, "{n}");
        } else {
            let HoldReply::Settled { record, movement: Some(_) } = reply else {
                panic!("{reply:?}")
            };
            assert_eq!(record.outcome, Outcome::Reserved);
        }
    }
    assert_eq!(orders_of(&replies).len(), 28);
    assert_balanced(&*ledger, &sale).await;
    let mended =
        HoldRequest { hold: HoldId::of_entry(batch[17].line_entry.entry, 1), ..batch[17].clone() };
    let replies = ledger.hold(&sale, vec![mended]).await.unwrap();
    assert!(matches!(replies[0], HoldReply::Settled { movement: Some(_), .. }), "{replies:?}");
}

/// The stock is gone behind the program's back while the gate says yes: the look finds it, and says so honestly.
#[tokio::test]
async fn the_last_units_go_to_the_lowest_numbers_whatever_the_gate_says() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 300).await;
    let mut batch = turns(1..601);
    batch.reverse();
    batch.iter_mut().step_by(7).for_each(|turn| turn.gate = GateSaid::Short);
    let replies = ledger.hold(&sale, batch).await.unwrap();
    assert_eq!(orders_of(&replies).len(), 300, "to the last unit, over several transactions");
    assert_balanced(&*ledger, &sale).await;
    let mut shell = connect(&house.url).await;
    let lines =
        number(&mut shell, "SELECT sum((lines->0->>'quantity')::integer)::bigint FROM orders")
            .await;
    assert_eq!(lines, 300);
}

/// A sale that is deleted takes every row of its own with it, and nothing of another.
#[tokio::test]
async fn a_deleted_sale_leaves_no_row() {
    let house = House::new().await;
    let ledger = house.port();
    let sale = make_sale(&*ledger, 100).await;
    let replies = ledger.hold(&sale, turns(1..151)).await.unwrap();
    for order in orders_of(&replies) {
        ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
        let closed = ledger.close_unpaid(order).await.unwrap();
        assert!(matches!(closed, StepReply::Done { .. }));
    }
    ledger.delete_sale(&sale, &crate::house::author(), None).await.unwrap();
    let mut shell = connect(&house.url).await;
    for table in
        ["sale", "stock", "outcome", "outbox", "orders", "movement", "refund", "order_change"]
    {
        let left = number(&mut shell, &format!("SELECT count(*) FROM {table}")).await;
        assert_eq!(left, 0, "{table}");
    }
    // Its turns that come late are answered with no, once.
    let late = turns(200..203);
    let first = ledger.hold(&sale, late.clone()).await.unwrap();
    let again = ledger.hold(&sale, late).await.unwrap();
    for (first, again) in first.iter().zip(&again) {
        let HoldReply::Settled { record, movement: None } = first else { panic!("{first:?}") };
        assert_eq!(*again, HoldReply::Known { record: record.clone(), hold: None });
    }
}
