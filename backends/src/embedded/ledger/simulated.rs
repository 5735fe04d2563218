//! The simulated provider's own records. They live with the ledger so that any worker answers for it.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId},
    money::AmountFen,
    ports::{SimulatedPayment, SimulatedRefund, SimulatedState},
};

use crate::embedded::codec::{id, text, time, word};

pub(super) fn get(
    connection: &Connection,
    payment: PaymentId,
) -> rusqlite::Result<Option<SimulatedPayment>> {
    let mut statement = connection.prepare_cached(sql!("orders/simulated"))?;
    statement.query_row([payment.as_bytes().as_slice()], simulated).optional()
}

/// Records a new one, or finds the one there is.
pub(super) fn open(
    connection: &Connection,
    now: UnixMillis,
    new: &SimulatedPayment,
) -> rusqlite::Result<SimulatedPayment> {
    connection.prepare_cached(sql!("orders/simulated_open"))?.execute(params![
        new.payment.as_bytes().as_slice(),
        new.order.as_bytes().as_slice(),
        new.amount.0,
        new.currency.as_str(),
        as_str(new.state),
        new.told,
        now.0,
    ])?;
    get(connection, new.payment)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}

/// `None` if it was not in `from`.
pub(super) fn step(
    connection: &Connection,
    now: UnixMillis,
    payment: PaymentId,
    from: SimulatedState,
    to: SimulatedState,
) -> rusqlite::Result<Option<SimulatedPayment>> {
    let stepped = connection.prepare_cached(sql!("orders/simulated_step"))?.execute(params![
        payment.as_bytes().as_slice(),
        as_str(from),
        as_str(to),
        now.0,
    ])?;
    if stepped == 0 { Ok(None) } else { get(connection, payment) }
}

/// Gives money back, once for each refund id; `None` if there is not that much to give.
pub(super) fn refund(
    connection: &Connection,
    now: UnixMillis,
    asked: SimulatedRefund,
) -> rusqlite::Result<Option<SimulatedPayment>> {
    let SimulatedRefund { refund, payment, amount } = asked;
    let known = connection
        .prepare_cached(sql!("orders/simulated_refund"))?
        .query_row([refund.as_bytes().as_slice()], |row| {
            Ok((id(row, 0, PaymentId::from_bytes)?, AmountFen(row.get(1)?)))
        })
        .optional()?;
    if let Some(known) = known {
        return if known == (payment, amount) { get(connection, payment) } else { Ok(None) };
    }
    if amount.0 <= 0 {
        return Ok(None);
    }
    let id = payment.as_bytes().as_slice();
    let given = connection
        .prepare_cached(sql!("orders/simulated_give_back"))?
        .execute(params![id, amount.0, now.0])?;
    if given == 0 {
        return Ok(None);
    }
    connection.prepare_cached(sql!("orders/simulated_refund_add"))?.execute(params![
        refund.as_bytes().as_slice(),
        id,
        amount.0,
        now.0,
    ])?;
    get(connection, payment)
}

/// Its callback for `state` was answered; one that has moved on meanwhile has another to tell.
pub(super) fn told(
    connection: &Connection,
    payment: PaymentId,
    state: SimulatedState,
) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(sql!("orders/simulated_told"))?;
    statement.execute(params![payment.as_bytes().as_slice(), as_str(state)]).map(drop)
}

/// Whose callback was not answered, and that were not touched since `before`; oldest first.
pub(super) fn untold(
    connection: &Connection,
    before: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<SimulatedPayment>> {
    let mut statement = connection.prepare_cached(sql!("orders/simulated_untold"))?;
    statement.query_map(params![before.0, limit], simulated)?.collect()
}

fn simulated(row: &Row<'_>) -> rusqlite::Result<SimulatedPayment> {
    Ok(SimulatedPayment {
        payment: id(row, 0, PaymentId::from_bytes)?,
        order: id(row, 1, OrderId::from_bytes)?,
        amount: AmountFen(row.get(2)?),
        currency: text(row, 3)?,
        state: word(row, 4, parse)?,
        refunded: AmountFen(row.get(5)?),
        told: row.get(6)?,
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
