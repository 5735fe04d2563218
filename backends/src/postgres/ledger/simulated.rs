//! The simulated provider's own records. They live with the ledger so that any worker answers for it.

use std::time::Duration;

use sluice_core::{
    ids::{OrderId, PaymentId},
    money::AmountFen,
    ports::{SimulatedPayment, SimulatedRefund, SimulatedState},
};
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::postgres::{
    codec::{ToUuid, id, text, time, word},
    fault::Fault,
};

pub(super) async fn get(
    connection: &mut PgConnection,
    payment: PaymentId,
) -> Result<Option<SimulatedPayment>, Fault> {
    let asked = sqlx::query(sql!("payments/simulated")).bind(payment.uuid());
    let row = asked.fetch_optional(connection).await?;
    Ok(row.map(|row| simulated(&row)).transpose()?)
}

/// Records a new one, or finds the one there is.
pub(super) async fn open(
    connection: &mut PgConnection,
    new: &SimulatedPayment,
) -> Result<SimulatedPayment, Fault> {
    sqlx::query(sql!("payments/simulated_open"))
        .bind(new.payment.uuid())
        .bind(new.order.uuid())
        .bind(new.amount.0)
        .bind(new.currency.as_str())
        .bind(as_str(new.state))
        .bind(new.told)
        .execute(&mut *connection)
        .await?;
    // If it is gone, its sale was just deleted.
    get(connection, new.payment).await?.ok_or(Fault::Raced)
}

/// `None` if it was not in `from`.
pub(super) async fn step(
    connection: &mut PgConnection,
    payment: PaymentId,
    from: SimulatedState,
    to: SimulatedState,
) -> Result<Option<SimulatedPayment>, Fault> {
    let row = sqlx::query(sql!("payments/simulated_step"))
        .bind(payment.uuid())
        .bind(as_str(from))
        .bind(as_str(to))
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| simulated(&row)).transpose()?)
}

/// Gives money back, once for each refund id; `None` if there is not that much to give.
pub(super) async fn refund(
    connection: &mut PgConnection,
    asked: SimulatedRefund,
) -> Result<Option<SimulatedPayment>, Fault> {
    let SimulatedRefund { refund, payment, amount } = asked;
    if amount.0 <= 0 {
        return Ok(None);
    }
    // Whoever comes second waits here, and finds the first one's row.
    sqlx::query(sql!("payments/simulated_lock"))
        .bind(payment.uuid())
        .execute(&mut *connection)
        .await?;
    let known = sqlx::query(sql!("payments/simulated_refund")).bind(refund.uuid());
    if let Some(known) = known.fetch_optional(&mut *connection).await? {
        let known = (id(&known, 0, PaymentId::from_bytes)?, AmountFen(known.try_get(1)?));
        return if known == (payment, amount) { get(connection, payment).await } else { Ok(None) };
    }
    let given =
        sqlx::query(sql!("payments/simulated_give_back")).bind(payment.uuid()).bind(amount.0);
    let Some(row) = given.fetch_optional(&mut *connection).await? else { return Ok(None) };
    sqlx::query(sql!("payments/simulated_refund_add"))
        .bind(refund.uuid())
        .bind(payment.uuid())
        .bind(amount.0)
        .execute(connection)
        .await?;
    Ok(Some(simulated(&row)?))
}

/// Its callback for `state` was answered; one that has moved on meanwhile has another to tell.
pub(super) async fn told(
    connection: &mut PgConnection,
    payment: PaymentId,
    state: SimulatedState,
) -> Result<(), Fault> {
    let told = sqlx::query(sql!("payments/simulated_told")).bind(payment.uuid());
    told.bind(as_str(state)).execute(connection).await?;
    Ok(())
}

/// Whose callback was not answered, and that were not touched for `idle`; oldest first.
pub(super) async fn untold(
    connection: &mut PgConnection,
    idle: Duration,
    limit: u32,
) -> Result<Vec<SimulatedPayment>, Fault> {
    let rows = sqlx::query(sql!("payments/simulated_untold"))
        .bind(i64::try_from(idle.as_millis()).unwrap_or(i64::MAX / 2))
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(simulated).collect::<sqlx::Result<_>>()?)
}

fn simulated(row: &PgRow) -> sqlx::Result<SimulatedPayment> {
    Ok(SimulatedPayment {
        payment: id(row, 0, PaymentId::from_bytes)?,
        order: id(row, 1, OrderId::from_bytes)?,
        amount: AmountFen(row.try_get(2)?),
        currency: text(row, 3)?,
        state: word(row, 4, parse)?,
        refunded: AmountFen(row.try_get(5)?),
        told: row.try_get(6)?,
        changed_at: time(row, 7)?,
    })
}

const STATES: [SimulatedState; 5] = [
    SimulatedState::Open,
    SimulatedState::Succeeded,
    SimulatedState::Failed,
    SimulatedState::Closed,
    SimulatedState::Refunded,
];

fn as_str(state: SimulatedState) -> &'static str {
    match state {
        SimulatedState::Open => "open",
        SimulatedState::Succeeded => "succeeded",
        SimulatedState::Failed => "failed",
        SimulatedState::Closed => "closed",
        SimulatedState::Refunded => "refunded",
    }
}

fn parse(text: &str) -> Option<SimulatedState> {
    STATES.into_iter().find(|state| as_str(*state) == text)
}
