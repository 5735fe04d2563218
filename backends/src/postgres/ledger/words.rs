//! The provider's words on many payments, applied in one transaction of a few statements: the ordinary ones. What holds goods
//! again, sends money back or is the second of an order in its batch is applied [alone](super::payments::apply).

use std::collections::{HashMap, HashSet};

use sluice_core::{
    ids::{OrderId, PaymentId},
    late::Success,
    order::{Order, OrderEvent},
    ports::{OncePaid, PaymentState, PaymentStep, PaymentUpdate, PortResult},
};
use sqlx::{PgConnection, types::Uuid};

use super::{
    SqlLedger,
    payments::{self, Known},
    row,
    settle::{self, ORDERS_MAX, Taken},
    steps::{Locked, Movement},
};
use crate::postgres::{
    codec::{ToUuid, int},
    fault::Fault,
};

/// Applies words; replies in their order. Of a batch that the ledger rejects nothing is done: whoever gathered it asks for each.
pub(super) async fn apply_all(
    ledger: &SqlLedger,
    updates: Vec<PaymentUpdate>,
    once_paid: OncePaid,
) -> PortResult<Vec<PaymentStep>> {
    let mut steps = Vec::with_capacity(updates.len());
    for batch in updates.chunks(ORDERS_MAX) {
        let words = (batch.to_vec(), once_paid);
        let applied = ledger
            .write("ledger.apply_payments", words, |connection, (batch, once_paid)| {
                Box::pin(apply_batch(connection, batch, *once_paid))
            })
            .await;
        let applied = match applied {
            Ok(applied) => applied,
            Err(error) if error.is_silence() || batch.len() > 1 => return Err(error),
            Err(_) => vec![None],
        };
        for (step, update) in applied.into_iter().zip(batch) {
            steps.push(match step {
                Some(step) => Ok(step),
                None => alone(ledger, update.clone(), once_paid).await,
            });
        }
    }
    steps.into_iter().collect()
}

async fn alone(
    ledger: &SqlLedger,
    update: PaymentUpdate,
    once_paid: OncePaid,
) -> PortResult<PaymentStep> {
    let word = (update, once_paid);
    ledger
        .write("ledger.apply_payment", word, |connection, (update, once_paid)| {
            Box::pin(payments::apply(connection, update, *once_paid))
        })
        .await
}

/// What an ordinary word does.
enum Verdict {
    Answered(PaymentStep),
    Ignored,
    /// The payment moves, and nothing else.
    Noted,
    Pays(Taken),
    /// Not an ordinary one.
    Alone,
}

fn judge(
    update: &PaymentUpdate,
    locked: &Locked,
    known: Option<&Known>,
    once_paid: OncePaid,
) -> Verdict {
    let Some(known) = known.filter(|known| known.payment.order == update.order) else {
        return Verdict::Answered(PaymentStep::Unknown);
    };
    let payment = &known.payment;
    if (update.amount, update.currency) != (payment.amount, payment.currency) {
        return Verdict::Answered(PaymentStep::WrongAmount);
    }
    if update.version <= payment.version || !payments::moves_on(payment.state, update.state) {
        return Verdict::Ignored;
    }
    match (update.state, payment.state != update.state) {
        (PaymentState::Succeeded, true) if locked.order.success() == Success::Pays => {
            let paid = (OrderEvent::Paid, payments::paid(locked.order.state));
            let then = once_paid.steps().iter().map(|step| step.change());
            let changes = std::iter::once(paid).chain(then);
            let taken = Taken::new(locked, changes, Some(Movement::Sold));
            taken.map_or(Verdict::Alone, Verdict::Pays)
        }
        (PaymentState::Succeeded | PaymentState::Refunded, true) => Verdict::Alone,
        (
            PaymentState::Pending
            | PaymentState::Succeeded
            | PaymentState::Failed
            | PaymentState::Closed
            | PaymentState::Refunded,
            _,
        ) => Verdict::Noted,
    }
}

/// `None` for what must be applied alone.
async fn apply_batch(
    connection: &mut PgConnection,
    batch: &[PaymentUpdate],
    once_paid: OncePaid,
) -> Result<Vec<Option<PaymentStep>>, Fault> {
    let orders: Vec<OrderId> = batch.iter().map(|update| update.order).collect();
    let locked = settle::lock_all(connection, &orders).await?;
    let asked: Vec<PaymentId> = batch.iter().map(|update| update.payment).collect();
    let known = payments::all(connection, &asked).await?;
    let (mut steps, mut met) = (vec![None; batch.len()], HashSet::new());
    let (mut ignored, mut noted) = (Vec::new(), Vec::new());
    let (mut taken, mut paid) = (Vec::new(), Vec::new());
    for (place, update) in batch.iter().enumerate() {
        let Some(found) = locked.get(&update.order) else {
            steps[place] = Some(PaymentStep::Unknown);
            continue;
        };
        if !met.insert(update.order) {
            continue;
        }
        match judge(update, found, known.get(&update.payment), once_paid) {
            Verdict::Answered(step) => steps[place] = Some(step),
            Verdict::Ignored => ignored.push((place, &found.order)),
            Verdict::Noted => noted.push((place, update, found)),
            Verdict::Pays(step) => {
                taken.push(step);
                paid.push((place, update, found));
            }
            Verdict::Alone => {}
        }
    }
    let written: Vec<_> =
        noted.iter().chain(&paid).map(|(_, word, found)| (*word, *found)).collect();
    write(connection, &written).await?;
    ignore(connection, &ignored, &mut steps).await?;
    note(connection, &noted, &mut steps).await?;
    // Last, since it takes the count of the movements.
    let after = settle::write(connection, taken).await?;
    for ((place, update, _), (mut order, gate)) in paid.into_iter().zip(after) {
        order.payment = Some(update.payment);
        steps[place] = Some(PaymentStep::Applied { order, gate });
    }
    Ok(steps)
}

async fn ignore(
    connection: &mut PgConnection,
    ignored: &[(usize, &Order)],
    steps: &mut [Option<PaymentStep>],
) -> Result<(), Fault> {
    let orders: Vec<&Order> = ignored.iter().map(|(_, order)| *order).collect();
    let words = settle::last_words(connection, &orders).await?;
    for (place, order) in ignored {
        let gate = words.get(&order.hold).cloned();
        steps[*place] = Some(PaymentStep::Ignored { order: (*order).clone(), gate });
    }
    Ok(())
}

/// As they are after the payments moved: their live payment may be another.
async fn note(
    connection: &mut PgConnection,
    noted: &[(usize, &PaymentUpdate, &Locked)],
    steps: &mut [Option<PaymentStep>],
) -> Result<(), Fault> {
    let orders: Vec<OrderId> = noted.iter().map(|(_, update, _)| update.order).collect();
    let orders = row::orders(connection, &orders).await?;
    let orders: HashMap<OrderId, Order> =
        orders.into_iter().map(|order| (order.id, order)).collect();
    for (place, update, _) in noted {
        let order = orders.get(&update.order).cloned().ok_or(Fault::Raced)?;
        steps[*place] = Some(PaymentStep::Applied { order, gate: None });
    }
    Ok(())
}

async fn write(
    connection: &mut PgConnection,
    words: &[(&PaymentUpdate, &Locked)],
) -> Result<(), Fault> {
    if words.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = words.iter().map(|(word, _)| word.payment.uuid()).collect();
    let states: Vec<&str> = words.iter().map(|(word, _)| word.state.as_str()).collect();
    let versions: Vec<i64> = words.iter().map(|(word, _)| int(word.version)).collect();
    let times: Vec<i64> = words.iter().map(|(_, locked)| locked.now.0).collect();
    sqlx::query(sql!("settle/payments"))
        .bind(ids)
        .bind(states)
        .bind(versions)
        .bind(times)
        .execute(connection)
        .await?;
    Ok(())
}
