//! Order workers, as simple as can be: what they do to the gate, the ledger and the line.

use std::{sync::Arc, time::Duration};

use sluice_core::{
    clock::{Clock, TokioClock, UnixMillis},
    ids::{HoldId, OrderId, PaymentId, SaleId},
    line::LineEntry,
    ports::{
        EntryRecord, GateSaid, HoldPhase, HoldReply, HoldRequest, HoldUpdate, PaymentState,
        PaymentStep, PaymentUpdate, Ports, Reserved, Settlement, Want,
    },
    random::Random,
};
use tokio::time::sleep;

/// What order workers do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Workers {
    /// They take turns off the queue and never ask for goods: what was called stays in flight.
    Swallow,
    /// They hold the goods; nobody pays.
    Hold,
    /// They hold the goods, and the buyer pays at once.
    Sell,
}

/// Takes turns off the queue for ever.
pub(crate) async fn work(
    workers: Workers,
    ports: Ports,
    random: Arc<Random>,
    clock: Arc<TokioClock>,
) {
    let mut intake = ports.turns.consume(1_000).await.unwrap();
    loop {
        let deliveries = intake.deliveries.next(256).await.unwrap();
        for delivery in &deliveries {
            let (sale, entry) = (&delivery.turn.sale, &delivery.turn.line_entry);
            if workers == Workers::Swallow {
                continue;
            }
            let record = hold(&ports, &random, clock.now(), sale, entry.clone()).await;
            if workers == Workers::Sell
                && let Some(order) = record.and_then(|record| record.order)
            {
                pay(&ports, &random, clock.now(), order.order).await;
            }
        }
        let tags: Vec<u64> = deliveries.iter().map(|delivery| delivery.tag).collect();
        intake.outlet.ack(&tags).await.unwrap();
    }
}

/// What a worker does with a turn: gate, ledger, gate, line.
async fn hold(
    ports: &Ports,
    random: &Random,
    now: UnixMillis,
    sale: &SaleId,
    line_entry: LineEntry,
) -> Option<EntryRecord> {
    let hold = HoldId::of_entry(line_entry.entry, 0);
    let basket = line_entry.basket.clone();
    let entry = line_entry.entry;
    let want = Want { hold, entry, basket: basket.clone() };
    let gate = loop {
        match ports.gate.reserve(sale, std::slice::from_ref(&want)).await {
            Ok(said) if said[0] == Reserved::Held => break GateSaid::Held,
            Ok(_) => break GateSaid::Short,
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    };
    let order = OrderId::generate(now, random);
    let request = HoldRequest { line_entry, hold, order, gate: gate.clone() };
    let reply = ports.ledger.hold(sale, vec![request]).await.unwrap().remove(0);
    let (record, held) = match reply {
        HoldReply::Settled { record, movement } => (record, movement.map(|n| (hold, n))),
        HoldReply::Known { record, .. } => (record, None),
        HoldReply::StandsBy => {
            if gate == GateSaid::Held {
                let update = HoldUpdate { hold, movement: 0, phase: HoldPhase::Released, basket };
                let _ = ports.gate.set(sale, &[update]).await;
            }
            return None;
        }
        HoldReply::GateWrong | HoldReply::Frozen | HoldReply::SeatsTaken { .. } => {
            panic!("the gate is wrong")
        }
    };
    if let Some((hold, movement)) = held {
        let update = HoldUpdate { hold, movement, phase: HoldPhase::Held, basket };
        let _ = ports.gate.set(sale, &[update]).await;
    } else if gate == GateSaid::Held && record.order.is_none() {
        let update = HoldUpdate { hold, movement: 0, phase: HoldPhase::Released, basket };
        let _ = ports.gate.set(sale, &[update]).await;
    }
    let settlement = Settlement { outcome: record.outcome, live: record.is_live() };
    let _ = ports.line.settle(sale, &[(record.entry, settlement)]).await;
    Some(record)
}

pub(crate) async fn pay(ports: &Ports, random: &Random, now: UnixMillis, order: OrderId) {
    let ledger = &ports.ledger;
    let payment = PaymentId::generate(now, random);
    ledger.begin_payment(order, payment, "simulated").await.unwrap();
    let payment = ledger.payment(payment).await.unwrap().unwrap();
    let update = PaymentUpdate {
        payment: payment.id,
        order,
        version: 1,
        state: PaymentState::Succeeded,
        amount: payment.amount,
        currency: payment.currency,
    };
    let step = ledger.apply_payment(update).await.unwrap();
    let PaymentStep::Applied { order, gate } = step else { panic!("{step:?}") };
    let _ = ports.gate.set(&order.sale, &[gate.unwrap()]).await;
}
