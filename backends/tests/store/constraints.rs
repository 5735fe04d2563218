//! The last line: with every check of the program out of the way, the file itself refuses what must never be. Each is the
//! twin of a rule in the suites, with the program's own protection off.

use rusqlite::{Connection, ErrorCode};
use sluice_core::{
    entry::Outcome,
    ids::HoldId,
    order::ClosingCause,
    ports::{GateSaid, HoldReply, HoldRequest, StepReply},
};

use crate::house::{House, author, make_sale, sale};

/// What the shell tries is refused by a constraint.
fn refused(shell: &Connection, sql: &str) {
    match shell.execute_batch(sql) {
        Ok(()) => panic!("the file let pass: {sql}"),
        Err(error) => {
            let code = error.sqlite_error_code();
            assert_eq!(code, Some(ErrorCode::ConstraintViolation), "{sql}: {error}");
        }
    }
}

#[tokio::test]
async fn the_balance_cannot_be_oversold() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 2).await;
    let both = [house.entry(1, "ada"), house.entry(2, "bob")];
    let requests = both.iter().map(|entry| house.request(entry.clone())).collect();
    ports.ledger.hold(&sale(), requests).await.unwrap();
    let shell = house.shell();
    refused(&shell, "UPDATE stock SET available = available - 1, held = held + 1");
    refused(&shell, "UPDATE stock SET held = held + 1");
    refused(&shell, "UPDATE stock SET held = held - 3, sold = sold + 3");
    refused(&shell, "UPDATE stock SET total = total + 1");
    // Without the constraints the file would let it pass: they are what refuses.
    shell.execute_batch("PRAGMA ignore_check_constraints = ON; BEGIN").unwrap();
    shell.execute_batch("UPDATE stock SET available = available - 1, held = held + 1").unwrap();
    shell.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn a_seat_cannot_be_given_twice_on_a_leg() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 2).await;
    let both = [house.entry(1, "ada"), house.entry(2, "bob")];
    let requests = both.iter().map(|entry| house.request(entry.clone())).collect();
    ports.ledger.hold(&sale(), requests).await.unwrap();
    let shell = house.shell();
    let give = "INSERT INTO seat_leg SELECT sale, 't', 7, 3, id, hold FROM orders WHERE buyer = ";
    shell.execute_batch(&format!("{give} 'ada'")).unwrap();
    refused(&shell, &format!("{give} 'bob'"));
    refused(&shell, "UPDATE seat_leg SET leg = 64");
    // Without the key the file would let it pass: it is what refuses.
    shell.execute_batch("CREATE TABLE keyless AS SELECT * FROM seat_leg").unwrap();
    shell.execute_batch(&format!("{} 'bob'", give.replace("seat_leg", "keyless"))).unwrap();
}

#[tokio::test]
async fn a_buyer_cannot_have_two_live_orders() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let (first, second) =
        (house.request(house.entry(1, "ada")), house.request(house.entry(2, "bob")));
    ports.ledger.hold(&sale(), vec![first.clone(), second]).await.unwrap();
    let shell = house.shell();
    refused(&shell, "UPDATE orders SET buyer = 'ada', version = version + 1 WHERE buyer = 'bob'");
    ports.ledger.begin_closing(first.order, ClosingCause::Cancelled).await.unwrap();
    ports.ledger.close_unpaid(first.order).await.unwrap();
    shell
        .execute_batch("UPDATE orders SET buyer = 'ada', version = version + 1 WHERE buyer = 'bob'")
        .unwrap();
    refused(
        &shell,
        "UPDATE orders SET state = 'paid', version = version + 1 WHERE state = 'closed'",
    );
}

#[tokio::test]
async fn what_is_final_cannot_be_changed() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let request = house.request(house.entry(1, "ada"));
    ports.ledger.hold(&sale(), vec![request.clone()]).await.unwrap();
    ports.ledger.begin_closing(request.order, ClosingCause::Cancelled).await.unwrap();
    ports.ledger.close_unpaid(request.order).await.unwrap();
    ports.ledger.next_block(&sale(), 10).await.unwrap();
    let shell = house.shell();
    for sql in [
        "UPDATE outcome SET outcome = 'sold_out'",
        "UPDATE orders SET state = 'paid'",
        "UPDATE orders SET state = 'paid', version = version - 1",
        "UPDATE movement SET kind = 'sold' WHERE kind = 'released'",
        "INSERT INTO movement (sale, hold, kind, at) SELECT sale, hold, 'released', 1 FROM orders",
        "INSERT INTO movement (sale, hold, kind, at) SELECT sale, hold, 'sold', 1 FROM orders",
        "UPDATE speaker SET high_water = high_water - 1",
        "UPDATE audit SET author = '{}'",
        "DELETE FROM audit",
    ] {
        refused(&shell, sql);
    }
}

#[tokio::test]
async fn a_batch_that_trips_a_constraint_is_cut_down_to_who_tripped_it() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 100).await;
    let batch: Vec<HoldRequest> =
        (1..=33).map(|seq| house.request(house.entry(seq, &format!("b-{seq}")))).collect();
    // The ledger knows this hold already, which no predicate looks for.
    let spent: HoldId = batch[20].hold;
    let hold = spent.as_bytes().as_slice();
    house
        .shell()
        .execute(
            "INSERT INTO movement (sale, hold, kind, at) VALUES ('drop', ?1, 'held', 1)",
            [hold],
        )
        .unwrap();
    let replies = ports.ledger.hold(&sale(), batch.clone()).await.unwrap();
    for (n, reply) in replies.iter().enumerate() {
        match reply {
            HoldReply::GateWrong => assert_eq!(n, 20, "only the one with the spent hold"),
            HoldReply::Settled { record, .. } => assert_eq!(record.outcome, Outcome::Reserved),
            HoldReply::Known { .. }
            | HoldReply::StandsBy
            | HoldReply::Frozen
            | HoldReply::SeatsTaken { .. } => {
                panic!("{reply:?}")
            }
        }
    }
    let stock = ports.ledger.stock(&sale()).await.unwrap().remove(0);
    assert_eq!((stock.available, stock.held), (68, 32));
    let again = HoldRequest {
        hold: HoldId::of_entry(batch[20].line_entry.entry, 1),
        gate: GateSaid::Held,
        ..batch[20].clone()
    };
    let replies = ports.ledger.hold(&sale(), vec![again]).await.unwrap();
    assert!(matches!(&replies[0], HoldReply::Settled { movement: Some(_), .. }), "its next hold");
}

#[tokio::test]
async fn no_refund_gives_back_more_than_was_paid_or_bought() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    ports.ledger.hold(&sale(), vec![house.request(house.entry(1, "ada"))]).await.unwrap();
    let shell = house.shell();
    let refund = |state: &str| {
        format!(
            "INSERT INTO refund (id, order_id, payment, amount, currency, scope, cause, state, due_at, begun_at) \
             SELECT randomblob(16), order_id, id, amount, currency, 'money', 'surplus', '{state}', 0, 0 FROM payment"
        )
    };
    shell
        .execute_batch(
            "INSERT INTO payment (id, order_id, provider, state, version, amount, currency, changed_at) \
             SELECT randomblob(16), id, 'p', 'succeeded', 1, amount, currency, 0 FROM orders",
        )
        .unwrap();
    shell.execute_batch(&refund("done")).unwrap();
    for sql in [
        "UPDATE payment SET refunding = amount + 1",
        "UPDATE payment SET refunding = -1",
        "UPDATE order_line SET refunded = quantity + 1",
        "UPDATE refund SET state = 'pending'",
        "UPDATE refund SET amount = amount + 1",
        "UPDATE stock SET returned = returned - 1",
        &refund("lost"),
    ] {
        refused(&shell, sql);
    }
    // Without the constraint the database would let it pass: it is what refuses.
    shell.execute_batch("PRAGMA ignore_check_constraints = ON; BEGIN").unwrap();
    shell.execute_batch("UPDATE payment SET refunding = amount + 1").unwrap();
    shell.execute_batch("ROLLBACK").unwrap();
}

#[tokio::test]
async fn a_step_that_cannot_move_its_stock_is_not_taken() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let request = house.request(house.entry(1, "ada"));
    ports.ledger.hold(&sale(), vec![request.clone()]).await.unwrap();
    ports.ledger.begin_closing(request.order, ClosingCause::Cancelled).await.unwrap();
    // Somebody has cooked the books: nothing is held.
    house.shell().execute_batch("UPDATE stock SET held = 0, available = 10").unwrap();
    assert!(ports.ledger.close_unpaid(request.order).await.is_err());
    let order = ports.ledger.order(request.order).await.unwrap().unwrap();
    assert_eq!(order.state, sluice_core::order::OrderState::Closing, "all of it or nothing");
    house.shell().execute_batch("UPDATE stock SET held = 1, available = 9").unwrap();
    let closed = ports.ledger.close_unpaid(request.order).await.unwrap();
    assert!(matches!(closed, StepReply::Done { .. }), "{closed:?}");
}

#[tokio::test]
async fn a_changed_audit_row_breaks_the_chain() {
    let house = House::new();
    let embedded = house.open();
    let ports = embedded.ports();
    make_sale(&ports, 10).await;
    let pause = sluice_core::sale::SaleChange::Pause;
    ports.ledger.change_sale(&sale(), None, pause, &author(), None).await.unwrap();
    let rows = ports.ledger.audit(None, 10).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.content_hash() == row.hash));
    assert_eq!(rows[1].previous, sluice_core::ports::AuditRow::FIRST_PREVIOUS);
    // An intruder who can write the file takes the guard away first.
    house
        .shell()
        .execute_batch(
            "DROP TRIGGER audit_is_append_only; UPDATE audit SET verb = 'sale.nap' WHERE id = 2",
        )
        .unwrap();
    let rows = ports.ledger.audit(None, 10).await.unwrap();
    assert_ne!(rows[0].content_hash(), rows[0].hash, "it shows");
    assert_eq!(rows[1].content_hash(), rows[1].hash);
}
