//! Reconciliation from outside: what a worker that died left undone is mended from the ledger, what is only on its way is left
//! alone, and what nobody can explain stops the sale. And a frozen sale holds nothing anew.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use sluice_core::{
    clock::Clock,
    entry::Outcome,
    ids::{HoldId, OrderId, PaymentId},
    order::{ClosingCause, OrderState},
    ports::{
        AuditRow, Author, GateImage, PaymentState, PaymentStep, PaymentUpdate, PortError, Reserved,
        StepReply, Want,
    },
    reconcile::{FindingKind, ReconcileSettings, Reconciliation, Verdict},
    sale::{Control, SaleChange},
};
use sluice_worker::{Config, WorkerPorts};

use crate::{
    house::{House, Running, until},
    shaky::{Shaky, shaky},
};

/// Reconciles all the time.
fn busy() -> Config {
    let settle = Duration::from_millis(20);
    Config {
        reconcile_interval: Duration::from_millis(20),
        reconcile: ReconcileSettings { settle, ..ReconcileSettings::default() },
        ..Config::default()
    }
}

/// The same, without upkeep.
fn careless() -> Config {
    Config { reconcile_interval: Duration::from_secs(3_600), ..busy() }
}

async fn level(house: &House) -> (u64, u64) {
    let levels = house.ports.gate.levels(&house.sale).await.unwrap();
    (levels[0].available, levels[0].held)
}

async fn last(house: &House) -> Option<Reconciliation> {
    house.ports.ledger.reconciliations().await.unwrap().pop()
}

/// Waits until another run has ended.
async fn another_run(house: &House) -> Reconciliation {
    // Every run is stamped with a clock that stands still: a moment later is another run.
    house.clock.advance(Duration::from_millis(1));
    let now = house.clock.now();
    until("another run", async || last(house).await.is_some_and(|found| found.at >= now)).await;
    last(house).await.unwrap()
}

async fn rows(house: &House, verb: &str) -> Vec<AuditRow> {
    let mut rows = house.ports.ledger.audit(None, 100).await.unwrap();
    rows.retain(|row| row.verb == verb);
    rows
}

/// Closes an order in the ledger alone: its worker died before it told the gate.
async fn close_unheard(house: &House, order: OrderId) {
    let ledger = &house.ports.ledger;
    ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
    let closed = ledger.close_unpaid(order).await.unwrap();
    assert!(matches!(closed, StepReply::Done { gate: Some(_), .. }), "{closed:?}");
}

/// Pays an order in the ledger alone.
async fn pay_unheard(house: &House, order: OrderId) {
    let ledger = &house.ports.ledger;
    let payment: PaymentId = house.new_payment();
    ledger.begin_payment(order, payment, "none").await.unwrap();
    let order = house.find(order).await;
    let update = PaymentUpdate {
        payment,
        order: order.id,
        version: 1,
        state: PaymentState::Succeeded,
        amount: order.amount,
        currency: order.currency,
    };
    let paid = ledger.apply_payment(update).await.unwrap();
    assert!(matches!(paid, PaymentStep::Applied { .. }), "{paid:?}");
}

/// A worker died between its commits and its words to the gate; how the gate counts after a while, and after an hour
/// without upkeep.
async fn after_a_death(config: Config) -> (House, (u64, u64)) {
    let house = House::open(10).await;
    let orders = house.order(&house.entries(3)).await;
    close_unheard(&house, orders[0]).await;
    pay_unheard(&house, orders[1]).await;
    assert_eq!(level(&house).await, (7, 3), "the gate has heard nothing");
    house.clock.advance(Duration::from_secs(60));
    let worker = Running::start(house.worker_over(house.worker_ports(), config.clone()));
    if config.reconcile_interval < Duration::from_secs(1) {
        until("the gate is mended", async || level(&house).await == (8, 1)).await;
        until("it is found mended", async || {
            last(&house).await.is_some_and(|found| found.verdict == Verdict::Balanced)
        })
        .await;
    } else {
        // Turns are worked meanwhile; nobody looks at the gate.
        let more = [house.entry(9, "late", 1)];
        house.release(&more).await;
        house.drained().await;
    }
    worker.stop().await;
    let level = level(&house).await;
    (house, level)
}

#[tokio::test]
async fn what_a_dead_worker_did_not_tell_the_gate_is_told() {
    let (house, _) = after_a_death(busy()).await;
    house.assert_balanced().await;
    let repairs = rows(&house, "reconciliation.repair").await;
    assert_eq!(repairs.len(), 1, "once: {repairs:?}");
    assert_eq!(repairs[0].author.name, "reconciliation");
    assert_eq!((&repairs[0].after["repaired"], &repairs[0].after["leaks"]), (&2.into(), &0.into()));
    assert_eq!(
        house.ports.ledger.sale(&house.sale).await.unwrap().unwrap().control,
        Control::Running
    );
}

#[tokio::test]
async fn without_upkeep_the_gate_goes_on_counting_a_dead_workers_holds() {
    let (_house, (available, held)) = after_a_death(careless()).await;
    assert_eq!((available, held), (6, 4), "one more order, and still the two that are over");
}

#[tokio::test]
async fn a_hold_without_a_row_is_let_go_once_it_is_old() {
    let house = House::open(10).await;
    let entry = house.entry(1, "ada", 4);
    let hold = HoldId::of_entry(entry.entry, 0);
    let wants = [Want { hold, entry: entry.entry, basket: entry.basket.clone() }];
    let reserved = house.ports.gate.reserve(&house.sale, &wants).await.unwrap();
    assert_eq!(reserved, [Reserved::Held]);
    let worker = Running::start(house.worker_over(house.worker_ports(), busy()));
    for _ in 0..5 {
        let found = another_run(&house).await;
        assert_eq!(
            (found.verdict, found.leaks),
            (Verdict::Balanced, 0),
            "its batch may be under way"
        );
    }
    assert_eq!(level(&house).await, (6, 4));
    house.clock.advance(Duration::from_secs(5));
    until("the leak is released", async || level(&house).await == (10, 0)).await;
    until("it is on record", async || rows(&house, "reconciliation.repair").await.len() == 1).await;
    // The worker that was only slow is not hurt by it: the ledger's word stands above the release.
    house.release(&[entry]).await;
    house.drained().await;
    worker.stop().await;
    assert_eq!(house.balance().await.held, 4);
    house.assert_balanced().await;
}

#[tokio::test]
async fn what_is_only_on_its_way_is_left_alone() {
    let house = House::open(10).await;
    let orders = house.order(&house.entries(2)).await;
    close_unheard(&house, orders[0]).await;
    let worker = Running::start(house.worker_over(house.worker_ports(), busy()));
    for _ in 0..5 {
        let found = another_run(&house).await;
        assert_eq!((found.verdict, found.repaired), (Verdict::Balanced, 0));
    }
    assert_eq!(level(&house).await, (8, 2));
    house.clock.advance(Duration::from_secs(3));
    until("its time has come", async || level(&house).await == (9, 1)).await;
    worker.stop().await;
}

/// The gate counts 20 units too many, and no hold explains it.
async fn drifting(settings: ReconcileSettings) -> (House, Running) {
    let house = House::open(100).await;
    house.order(&house.entries(2)).await;
    let ports = &house.ports;
    let mut image: GateImage = ports.ledger.gate_image(&house.sale).await.unwrap();
    image.skus[0].1 += 20;
    let epoch = crate::house::warm(ports, &house.sale).await;
    ports.gate.rebuild(&house.sale, epoch, image).await.unwrap();
    let config = Config { reconcile: settings, ..busy() };
    let worker = Running::start(house.worker_over(house.worker_ports(), config));
    (house, worker)
}

#[tokio::test]
async fn a_drift_that_no_hold_explains_has_the_gate_rebuilt() {
    let (house, worker) = drifting(busy().reconcile).await;
    until("the gate is cold", async || {
        matches!(house.ports.gate.levels(&house.sale).await, Err(PortError::Cold))
    })
    .await;
    worker.stop().await;
    let rebuilt = rows(&house, "reconciliation.rebuild").await;
    assert_eq!(rebuilt.len(), 1, "{rebuilt:?}");
    let drift = |of: &serde_json::Value| of["drift"]["standard"].clone();
    assert_eq!((drift(&rebuilt[0].before), drift(&rebuilt[0].after)), (20.into(), 20.into()));
    // As its speaker does.
    crate::house::warm(&house.ports, &house.sale).await;
    // The other's duty runs out.
    house.clock.advance(Duration::from_secs(1));
    let worker = Running::start(house.worker_over(house.worker_ports(), busy()));
    let found = another_run(&house).await;
    worker.stop().await;
    assert_eq!((found.verdict, found.unexplained_runs), (Verdict::Balanced, 0));
    house.assert_balanced().await;
}

#[tokio::test]
async fn a_drift_that_stays_freezes_the_sale() {
    let settings = ReconcileSettings { rebuild_after_runs: 1_000, ..busy().reconcile };
    let (house, worker) = drifting(settings).await;
    let control = async || house.ports.ledger.sale(&house.sale).await.unwrap().unwrap().control;
    until("the sale is frozen", async || control().await == Control::Frozen).await;
    another_run(&house).await;
    worker.stop().await;
    let frozen = rows(&house, "sale.freeze").await;
    assert_eq!(frozen.len(), 1, "once");
    assert_eq!(frozen[0].author.name, "reconciliation");
    assert!(frozen[0].reason.as_ref().unwrap().contains("20 units more"), "{frozen:?}");
    let found = last(&house).await.unwrap();
    assert!(found.verdict == Verdict::Broken && found.unexplained_runs >= 4, "{found:?}");
    assert!(found.findings.iter().all(|finding| finding.kind == FindingKind::Drift));
}

#[tokio::test]
async fn a_gap_in_the_ledgers_own_sums_freezes_the_sale_at_once() {
    let house = House::open(10).await;
    house.order(&house.entries(1)).await;
    let (ports, ledger): (WorkerPorts, _) = shaky(&house, None, false);
    ledger.miscounts.store(1, Ordering::SeqCst);
    let worker = Running::start(house.worker_over(ports, busy()));
    until("the sale is frozen", async || {
        let sale = house.ports.ledger.sale(&house.sale).await.unwrap().unwrap();
        sale.control == Control::Frozen
    })
    .await;
    until("it is told", async || {
        last(&house).await.is_some_and(|found| found.verdict == Verdict::Broken)
    })
    .await;
    ledger.miscounts.store(0, Ordering::SeqCst);
    until("it adds up again", async || {
        last(&house).await.is_some_and(|found| found.verdict == Verdict::Balanced)
    })
    .await;
    worker.stop().await;
    let sale = house.ports.ledger.sale(&house.sale).await.unwrap().unwrap();
    assert_eq!(sale.control, Control::Frozen, "nobody but an operator lifts it");
}

/// A sale whose ledger miscounts by one, and a worker that looks.
async fn miscounting() -> (House, Arc<Shaky>, Running) {
    let house = House::open(10).await;
    house.order(&house.entries(1)).await;
    let (ports, ledger) = shaky(&house, None, false);
    ledger.miscounts.store(1, Ordering::SeqCst);
    let worker = Running::start(house.worker_over(ports, busy()));
    (house, ledger, worker)
}

async fn control(house: &House) -> Control {
    house.ports.ledger.sale(&house.sale).await.unwrap().unwrap().control
}

async fn steer(house: &House, change: SaleChange) {
    let author = Author { name: "test".into(), address: None };
    house.ports.ledger.change_sale(&house.sale, None, change, &author, None).await.unwrap();
}

async fn until_frozen_for(house: &House, units: i64) {
    until("the sale is frozen, and it is told what for", async || {
        let found = last(house).await;
        let known = found.is_some_and(|found| found.frozen_for.iter().any(|f| f.units == units));
        known && control(house).await == Control::Frozen
    })
    .await;
}

#[tokio::test]
async fn a_freeze_that_was_lifted_stays_lifted_until_something_else_is_found() {
    let (house, ledger, worker) = miscounting().await;
    until_frozen_for(&house, 1).await;
    steer(&house, SaleChange::Resume).await;
    for _ in 0..3 {
        let found = another_run(&house).await;
        assert_eq!(found.verdict, Verdict::Broken, "it is told all the same");
    }
    assert_eq!(control(&house).await, Control::Running);
    ledger.miscounts.store(2, Ordering::SeqCst);
    until_frozen_for(&house, 2).await;
    // It grows while the sale stands: that is news to whoever lifts it.
    ledger.miscounts.store(500, Ordering::SeqCst);
    until("it has grown", async || last(&house).await.unwrap().findings[0].units == 500).await;
    steer(&house, SaleChange::Resume).await;
    until_frozen_for(&house, 500).await;
    worker.stop().await;
    assert_eq!(rows(&house, "sale.freeze").await.len(), 3);
}

/// Whoever froze it knew nothing of the gap.
#[tokio::test]
async fn a_gap_found_while_a_sale_was_frozen_for_something_else_freezes_it_anew() {
    let (house, ledger, worker) = miscounting().await;
    ledger.miscounts.store(0, Ordering::SeqCst);
    until("it adds up", async || {
        last(&house).await.is_some_and(|found| found.verdict == Verdict::Balanced)
    })
    .await;
    steer(&house, SaleChange::Freeze).await;
    ledger.miscounts.store(3, Ordering::SeqCst);
    until("it is found", async || last(&house).await.unwrap().verdict == Verdict::Broken).await;
    steer(&house, SaleChange::Resume).await;
    until_frozen_for(&house, 3).await;
    worker.stop().await;
}

#[tokio::test]
async fn one_worker_at_a_time_reconciles_a_sale() {
    let house = House::open(10).await;
    let first = Running::start(house.worker_over(house.worker_ports(), busy()));
    another_run(&house).await;
    // The other's duty would be to find this; it is not its turn.
    let (ports, ledger) = shaky(&house, None, false);
    ledger.miscounts.store(1, Ordering::SeqCst);
    let second = Running::start(house.worker_over(ports, busy()));
    for _ in 0..10 {
        assert_eq!(another_run(&house).await.verdict, Verdict::Balanced);
    }
    first.stop().await;
    // It runs out by itself.
    until("the other takes over", async || {
        house.clock.advance(Duration::from_millis(20));
        last(&house).await.is_some_and(|found| found.verdict == Verdict::Broken)
    })
    .await;
    second.stop().await;
}

#[tokio::test]
async fn a_frozen_sale_holds_nothing_anew_and_its_payments_go_on() {
    let house = House::open(10).await;
    let order = house.order(&house.entries(1)).await[0];
    let author = Author { name: "test".into(), address: None };
    let steer = async |change| {
        house.ports.ledger.change_sale(&house.sale, None, change, &author, None).await.unwrap()
    };
    steer(SaleChange::Freeze).await;
    let later = [house.entry(2, "bob", 1), house.entry(3, "cy", 1)];
    house.release(&later).await;
    let worker = Running::start(house.worker_over(house.worker_ports(), Config::default()));
    until("the worker has asked for them", async || {
        house.ports.gate.levels(&house.sale).await.unwrap()[0].in_flight == 0
    })
    .await;
    pay_unheard(&house, order).await;
    // Somebody else finds it left behind.
    house.clock.advance(Duration::from_secs(10));
    house.order_in(order, OrderState::Fulfilled).await;
    let ids = later.each_ref().map(|entry| entry.entry);
    assert_eq!(house.ports.ledger.entries(&ids).await.unwrap(), [None, None]);
    assert_eq!(house.balance().await.held, 0);
    let depths = house.ports.turns.depths().await.unwrap();
    assert!(depths.turns >= 2 && depths.dead == 0, "they wait: {depths:?}");
    steer(SaleChange::Resume).await;
    house.drained().await;
    worker.stop().await;
    assert_eq!(house.outcomes(&later).await, [Outcome::Reserved; 2]);
    assert_eq!(house.balance().await.held, 2);
}

#[tokio::test]
async fn old_keys_are_archived_and_swept() {
    use sluice_core::ports::{IdempotencyKey, KeysSwept, Replay};
    let house = House::open(1).await;
    let ledger = Arc::clone(&house.ports.ledger);
    let key =
        |n: u32| IdempotencyKey { scope: "order".into(), key: format!("k-{n}"), body: [7; 32] };
    for n in 0..25 {
        assert_eq!(ledger.replay(&key(n)).await.unwrap(), Replay::First);
    }
    let days = |days: u64| Duration::from_secs(days * 24 * 3600);
    house.clock.advance(days(6));
    assert_eq!(ledger.replay(&key(0)).await.unwrap(), Replay::Same, "not yet");
    assert_eq!(ledger.sweep_keys(100).await.unwrap(), KeysSwept::default());
    house.clock.advance(days(2));
    assert_eq!(ledger.replay(&key(0)).await.unwrap(), Replay::First, "forgotten");
    let config =
        Config { keys_interval: Duration::from_millis(10), keys_max: 10, ..Config::default() };
    let worker = Running::start(house.worker_over(house.worker_ports(), config));
    until("the old ones are in the archive", async || {
        // What is left to do of the first thing a sweep does.
        house.ports.ledger.sweep_keys(1).await.unwrap().archived == 0
    })
    .await;
    assert_eq!(ledger.replay(&key(0)).await.unwrap(), Replay::Same, "the new one stays");
    worker.stop().await;
    house.clock.advance(days(29));
    assert_eq!(ledger.sweep_keys(100).await.unwrap(), KeysSwept { archived: 1, dropped: 0 });
    house.clock.advance(days(2));
    let mut dropped = 0;
    loop {
        let swept = ledger.sweep_keys(10).await.unwrap();
        assert!(swept.dropped <= 10, "bounded");
        dropped += swept.dropped;
        if swept.dropped == 0 {
            break;
        }
    }
    assert_eq!(dropped, 25, "30 days after they were archived");
}
