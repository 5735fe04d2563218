//! Rules of the ledger's book of upkeep.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{sync::Arc, time::Duration};

use super::{
    House,
    orders::{order, pay},
    samples::*,
    together, until,
};
use crate::{
    basket::Basket,
    clock::UnixMillis,
    entry::Outcome,
    ids::{HoldId, OrderId, SaleId},
    order::ClosingCause,
    ports::{Changed, Deleted, Duty, HoldPhase, Ledger, NewOutcome, OutcomeReason, SaleMinute},
    reconcile::{Finding, FindingKind, GateFound, Reconciliation, SkuFound, Verdict, gaps},
    sale::SaleChange,
};

#[macro_export]
macro_rules! upkeep_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            upkeep:
            a_duty_is_one_holders,
            a_duty_runs_out,
            a_duty_taken_at_once_goes_to_one,
            books_add_up_and_are_one_reading,
            the_last_word_on_a_hold_is_told,
            a_reconciliation_is_kept,
            a_reconciliation_goes_with_its_sale,
            minutes_tell_what_happened,
            young_keys_stay,
        );
    };
}

type Port = Arc<dyn Ledger>;
const TTL: Duration = Duration::from_secs(60);
const DUTY: Duty = Duty::Reconciliation;

async fn open(house: &impl House<Port = Port>) -> (Port, SaleId) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    (ledger, sale)
}

pub async fn a_duty_is_one_holders(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    assert!(ledger.take_duty(&sale, DUTY, "one", TTL).await.unwrap());
    assert!(!ledger.take_duty(&sale, DUTY, "two", TTL).await.unwrap());
    assert!(ledger.take_duty(&sale, DUTY, "one", TTL).await.unwrap(), "it is prolonged");
    assert!(ledger.take_duty(&other_sale(), DUTY, "two", TTL).await.unwrap(), "of another sale");
}

pub async fn a_duty_runs_out(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let short = Duration::from_millis(200);
    assert!(ledger.take_duty(&sale, DUTY, "one", short).await.unwrap());
    until("the other has it", async || {
        house.pass(Duration::from_millis(50)).await;
        ledger.take_duty(&sale, DUTY, "two", TTL).await.unwrap().then_some(())
    })
    .await;
    assert!(!ledger.take_duty(&sale, DUTY, "one", TTL).await.unwrap());
}

pub async fn a_duty_taken_at_once_goes_to_one(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let taken = together(8, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        async move { ledger.take_duty(&sale, DUTY, &format!("holder-{n}"), TTL).await.unwrap() }
    });
    assert_eq!(taken.await.into_iter().filter(|taken| *taken).count(), 1);
}

/// A reserved order, and its hold.
async fn held(ledger: &Port, sale: &SaleId, seq: u64, units: u32) -> (OrderId, HoldId) {
    let name = format!("buyer-{seq}");
    let id = reserve(&**ledger, sale, wanting(seq, &name, &[("a", units)])).await;
    (id, order(&**ledger, id).await.hold)
}

async fn close(ledger: &Port, id: OrderId) {
    ledger.begin_closing(id, ClosingCause::Cancelled).await.unwrap();
    ledger.close_unpaid(id).await.unwrap();
}

pub async fn books_add_up_and_are_one_reading(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let empty = ledger.books(&sale).await.unwrap();
    assert_eq!((empty.balances.len(), empty.image.holds.len()), (1, 0));
    assert_eq!(gaps(&empty), []);
    let work = together(4, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        async move {
            for round in 0..5_u64 {
                let (id, _) = held(&ledger, &sale, n as u64 * 10 + round, 1).await;
                close(&ledger, id).await;
            }
        }
    });
    let look = async {
        for _ in 0..20 {
            assert_eq!(gaps(&ledger.books(&sale).await.unwrap()), [], "however it moves");
        }
    };
    tokio::join!(work, look);
    held(&ledger, &sale, 100, 3).await;
    let books = ledger.books(&sale).await.unwrap();
    let image = ledger.gate_image(&sale).await.unwrap();
    assert_eq!((books.balances[0].held, books.image.moved), (3, image.moved));
    assert_eq!(books.image.holds[0].basket, Basket::clone(&image.holds[0].basket));
}

pub async fn the_last_word_on_a_hold_is_told(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let (_, waits) = held(&ledger, &sale, 1, 1).await;
    let (closed, released) = held(&ledger, &sale, 2, 1).await;
    let (paid, sold) = held(&ledger, &sale, 3, 1).await;
    close(&ledger, closed).await;
    pay(&*ledger, paid).await;
    house.pass(Duration::from_millis(150)).await;
    let stranger = HoldId::of_entry(entry(9, "nobody").entry, 0);
    let words = ledger.hold_words(&[released, stranger, waits, sold]).await.unwrap();
    let phases: Vec<_> = words.iter().map(|word| word.map(|word| word.phase)).collect();
    let expected = [Some(HoldPhase::Released), None, Some(HoldPhase::Held), Some(HoldPhase::Sold)];
    assert_eq!(phases, expected, "in order");
    let known: Vec<_> = words.into_iter().flatten().collect();
    assert!(known.iter().all(|word| word.age >= Duration::from_millis(150)), "{known:?}");
    assert!(known[1].movement < known[0].movement && known[0].movement < known[2].movement);
    assert_eq!(ledger.hold_words(&[]).await.unwrap(), []);
}

fn found(sale: &SaleId, runs: u32) -> Reconciliation {
    let sku = SkuFound {
        sku: sku("a"),
        total: 10,
        available: 7,
        owed: 0,
        held: 2,
        sold: 1,
        gate: Some(GateFound { available: 6, held: 3, in_flight: 0 }),
        drift: -1,
        remaining_drift: 0,
    };
    let finding =
        Finding {
            kind: FindingKind::Drift, sku: None, units: -1, detail: "“odd” units".into()
        };
    Reconciliation {
        money: Vec::new(),
        sale: sale.clone(),
        at: UnixMillis(1_767_225_600_000),
        verdict: Verdict::Drifting,
        skus: vec![sku],
        live_holds: 2,
        repaired: 1,
        leaks: 1,
        findings: vec![finding.clone()],
        frozen_for: vec![finding],
        unexplained_runs: runs,
    }
}

pub async fn a_reconciliation_is_kept(mut house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    assert_eq!(ledger.reconciliations().await.unwrap(), []);
    for runs in [1, 2] {
        ledger.keep_reconciliation(&found(&sale, runs)).await.unwrap();
    }
    drop(ledger);
    house.crash().await;
    let kept = house.port().reconciliations().await.unwrap();
    assert_eq!(kept, [found(&sale, 2)], "the last one, and that whole");
}

pub async fn a_reconciliation_goes_with_its_sale(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    ledger.keep_reconciliation(&found(&sale, 1)).await.unwrap();
    let closed = ledger.change_sale(&sale, None, SaleChange::Close, &author(), None).await.unwrap();
    assert!(matches!(closed, Changed::Done(_)));
    assert_eq!(ledger.delete_sale(&sale, &author(), None).await.unwrap(), Deleted::Done);
    ledger.keep_reconciliation(&found(&sale, 2)).await.unwrap();
    assert_eq!(ledger.reconciliations().await.unwrap(), [], "nor does it come back");
}

pub async fn minutes_tell_what_happened(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let (paid, _) = held(&ledger, &sale, 1, 2).await;
    let (closed, _) = held(&ledger, &sale, 2, 1).await;
    pay(&*ledger, paid).await;
    close(&ledger, closed).await;
    let left = NewOutcome {
        line_entry: entry(3, "cleo"),
        outcome: Outcome::Left,
        reason: OutcomeReason::Plain,
    };
    ledger.settle(&sale, vec![left]).await.unwrap();
    let minutes = ledger.minutes(&sale, 100).await.unwrap();
    assert!(minutes.is_sorted_by_key(|minute| minute.at));
    assert!(minutes.iter().all(|minute| minute.at.0 % 60_000 == 0));
    let sum = |of: fn(&SaleMinute) -> u64| minutes.iter().map(of).sum::<u64>();
    assert_eq!((sum(|m| m.joined), sum(|m| m.reserved), sum(|m| m.left)), (3, 2, 1));
    assert_eq!((sum(|m| m.paid), sum(|m| m.closed), sum(|m| m.sold_out)), (1, 1, 0));
    let amount: i64 = minutes.iter().map(|minute| minute.paid_amount.0).sum();
    assert_eq!(amount, order(&*ledger, paid).await.amount.0);
    let last = ledger.minutes(&sale, 1).await.unwrap();
    assert_eq!(last, minutes[minutes.len() - 1..]);
    assert_eq!(ledger.minutes(&other_sale(), 100).await.unwrap(), []);
}

pub async fn young_keys_stay(house: impl House<Port = Port>) {
    use crate::ports::{IdempotencyKey, KeysSwept, Replay};
    let (ledger, _) = open(&house).await;
    let key = IdempotencyKey { scope: "order".into(), key: "k".into(), body: [7; 32] };
    assert_eq!(ledger.replay(&key).await.unwrap(), Replay::First);
    assert_eq!(ledger.sweep_keys(100).await.unwrap(), KeysSwept::default());
    assert_eq!(ledger.replay(&key).await.unwrap(), Replay::Same);
}
