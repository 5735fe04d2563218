//! Refunds: rows of their own, written with the step that decides them. Goods that were sold come back with the row, the
//! money once the provider has confirmed it.

use rusqlite::{Connection, OptionalExtension, Row, params};
use sluice_core::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId, RefundId},
    money::AmountFen,
    order::{Order, OrderEvent, OrderState},
    ports::{ChangeEnd, RefundReply},
    refund::{
        NewRefund, NoRefund, Refund, RefundAsked, RefundCause, RefundPlan, RefundScope, RefundState,
    },
    seats::Stretch,
};

use super::{
    changes, goods, payments, seats,
    steps::{self, swap},
};
use crate::{
    embedded::codec::{Baskets, id, is_null, small, text, word},
    shifts::{Shift, Shifts},
};

const BACK: &str = "The money went back.";

/// Writes a refund down; its payment's sum refuses what is not left of it.
pub(super) fn record(
    connection: &Connection,
    now: UnixMillis,
    order: &Order,
    new: &NewRefund<'_>,
) -> rusqlite::Result<()> {
    let payment = new.payment.as_bytes().as_slice();
    connection
        .prepare_cached(sql!("aftersales/payment_refunding"))?
        .execute(params![payment, new.amount.0])?;
    connection.prepare_cached(sql!("aftersales/refund_add"))?.execute(params![
        new.id.as_bytes().as_slice(),
        order.id.as_bytes().as_slice(),
        payment,
        new.amount.0,
        order.currency.as_str(),
        new.scope.as_str(),
        new.items.map(ToString::to_string),
        new.cause.as_str(),
        new.state.as_str(),
        now.0,
    ])?;
    Ok(())
}

pub(super) fn get(connection: &Connection, refund: RefundId) -> rusqlite::Result<Option<Refund>> {
    let mut statement = connection.prepare_cached(sql!("aftersales/refund_get"))?;
    statement.query_row([refund.as_bytes().as_slice()], read).optional()
}

pub(super) fn of_order(connection: &Connection, order: OrderId) -> rusqlite::Result<Vec<Refund>> {
    let mut statement = connection.prepare_cached(sql!("aftersales/refunds_of"))?;
    statement.query_map([order.as_bytes().as_slice()], read)?.collect()
}

pub(super) fn due(
    connection: &Connection,
    now: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<Refund>> {
    let mut statement = connection.prepare_cached(sql!("aftersales/refunds_due"))?;
    statement.query_map(params![now.0, limit], read)?.collect()
}

/// Takes what is due; it is due again at `again`.
pub(super) fn claim(
    connection: &Connection,
    now: UnixMillis,
    again: UnixMillis,
    limit: u32,
) -> rusqlite::Result<Vec<Refund>> {
    let mut claimed = due(connection, now, limit)?;
    let mut statement = connection.prepare_cached(sql!("aftersales/refund_claim"))?;
    for refund in &mut claimed {
        statement.execute(params![refund.id.as_bytes().as_slice(), again.0])?;
        refund.tries += 1;
    }
    Ok(claimed)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Refund> {
    let items = if is_null(row, 6)? { None } else { Some(Baskets::default().read(row, 6)?) };
    Ok(Refund {
        id: id(row, 0, RefundId::from_bytes)?,
        order: id(row, 1, OrderId::from_bytes)?,
        payment: id(row, 2, PaymentId::from_bytes)?,
        amount: AmountFen(row.get(3)?),
        currency: text(row, 4)?,
        scope: word(row, 5, RefundScope::parse)?,
        items,
        cause: word(row, 7, RefundCause::parse)?,
        state: word(row, 8, RefundState::parse)?,
        tries: small(row, 9)?,
    })
}

/// Begins a refund that the buyer asked for.
pub(super) fn begin(
    connection: &Connection,
    now: UnixMillis,
    order: OrderId,
    refund: RefundId,
    asked: &RefundAsked,
) -> rusqlite::Result<RefundReply> {
    let Some(order) = steps::order(connection, order)? else {
        return Ok(RefundReply::NoSuchOrder);
    };
    if let Some(known) = get(connection, refund)? {
        return Ok(if known.order == order.id {
            RefundReply::Already(known, order)
        } else {
            RefundReply::Refused(order, NoRefund::WrongState)
        });
    }
    put_back(connection, now, order, asked, refund, RefundCause::Requested)
}

/// The shop says that it will never fulfil an order: it fails, and everything goes back.
pub(super) fn fail(
    connection: &Connection,
    now: UnixMillis,
    order: OrderId,
) -> rusqlite::Result<RefundReply> {
    let Some(order) = steps::order(connection, order)? else {
        return Ok(RefundReply::NoSuchOrder);
    };
    let Some(payment) = order.payment.filter(|_| order.shop.is_none()) else {
        return Ok(RefundReply::Refused(order, NoRefund::WrongState));
    };
    let refund = RefundId::of_payment(payment);
    if let Some(known) = get(connection, refund)? {
        return Ok(RefundReply::Already(known, order));
    }
    let reason = "It could not be fulfilled.";
    if swap(connection, now, &order, OrderEvent::FulfilmentFailed, reason)?.is_none() {
        return Ok(RefundReply::Refused(order, NoRefund::WrongState));
    }
    let order = again(connection, order.id)?;
    put_back(connection, now, order, &RefundAsked::Order, refund, RefundCause::Failed)
}

/// Gives goods that were sold back for their money.
fn put_back(
    connection: &Connection,
    now: UnixMillis,
    order: Order,
    asked: &RefundAsked,
    refund: RefundId,
    cause: RefundCause,
) -> rusqlite::Result<RefundReply> {
    let plan = match order.refund(asked) {
        Ok(plan) => plan,
        Err(why) => return Ok(RefundReply::Refused(order, why)),
    };
    let known = order.payment.map(|payment| payments::payment(connection, payment));
    let Some(known) = known.transpose()?.flatten().filter(|known| plan.amount <= known.left())
    else {
        return Ok(RefundReply::Refused(order, NoRefund::WrongState));
    };
    take_goods(connection, now, &order, &plan)?;
    let new = NewRefund {
        id: refund,
        payment: known.payment.id,
        amount: plan.amount,
        scope: plan.scope,
        items: Some(&plan.items),
        cause,
        state: RefundState::Pending,
    };
    record(connection, now, &order, &new)?;
    let recorded = get(connection, refund)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(RefundReply::Begun(recorded, again(connection, order.id)?))
}

/// The goods of a refund come back, and the order knows.
fn take_goods(
    connection: &Connection,
    now: UnixMillis,
    order: &Order,
    plan: &RefundPlan,
) -> rusqlite::Result<()> {
    let mut lines = connection.prepare_cached(sql!("aftersales/line_refunded"))?;
    for item in plan.items.items() {
        let (id, sku) = (order.id.as_bytes().as_slice(), item.sku.as_str());
        if item.seats.is_empty() {
            lines.execute(params![id, sku, item.quantity, None::<u16>, None::<u8>])?;
        }
        for seat in &item.seats {
            lines.execute(params![id, sku, 1, seat.0, item.stretch.map(Stretch::from)])?;
        }
    }
    seats::give_back(connection, order.id, &plan.items)?;
    let mut shifts = Shifts::default();
    shifts.add(plan.items.items().iter().map(|item| (&item.sku, item.units())), Shift::put_back);
    goods::write(connection, &order.sale, &shifts)?;
    match plan.scope {
        RefundScope::Order => {
            let reason = "The goods went back, and the money follows.";
            swap(connection, now, order, OrderEvent::RefundBegan, reason).map(drop)
        }
        RefundScope::Items | RefundScope::Money => {
            steps::note(connection, now, order, "A part of it went back, and its money follows.")
        }
    }
}

/// The provider has confirmed a refund.
pub(super) fn finish(
    connection: &Connection,
    now: UnixMillis,
    refund: RefundId,
) -> rusqlite::Result<Option<(Refund, Order)>> {
    let Some(known) = get(connection, refund)? else { return Ok(None) };
    if known.state == RefundState::Pending {
        connection
            .prepare_cached(sql!("aftersales/refund_done"))?
            .execute([refund.as_bytes().as_slice()])?;
        connection
            .prepare_cached(sql!("aftersales/payment_refunded"))?
            .execute(params![known.payment.as_bytes().as_slice(), now.0])?;
        let order = again(connection, known.order)?;
        end(connection, now, &order)?;
    }
    let order = again(connection, known.order)?;
    Ok(Some((Refund { state: RefundState::Done, ..known }, order)))
}

/// An order that waits for no money to go back any more is refunded.
fn end(connection: &Connection, now: UnixMillis, order: &Order) -> rusqlite::Result<()> {
    let Some(payment) = order.payment.filter(|_| order.state == OrderState::Refunding) else {
        return Ok(());
    };
    let (order_id, payment) = (order.id.as_bytes().as_slice(), payment.as_bytes().as_slice());
    let mut pending = connection.prepare_cached(sql!("aftersales/pending"))?;
    if pending.exists(params![order_id, payment])? {
        return Ok(());
    }
    swap(connection, now, order, OrderEvent::Refunded, BACK).map(drop)
}

/// An order whose money is gone, as far as it must come for its goods to come back: nothing more is issued for it.
fn given_up(connection: &Connection, now: UnixMillis, order: &Order) -> rusqlite::Result<Order> {
    let reason = "The payment provider sent the money back.";
    if order.state == OrderState::Changing {
        changes::end(connection, now, order.id, ChangeEnd::Undone)?;
        return again(connection, order.id);
    }
    for event in [OrderEvent::FulfilmentBegan, OrderEvent::FulfilmentFailed] {
        let order = again(connection, order.id)?;
        if matches!(order.state, OrderState::Paid | OrderState::Fulfilling) {
            swap(connection, now, &order, event, reason)?;
        }
    }
    again(connection, order.id)
}

/// The provider says that all of a payment went back: by our refunds, and the rest of it by itself. The goods of the order
/// that it paid come back with the rest.
pub(super) fn sent_back(
    connection: &Connection,
    now: UnixMillis,
    order: &Order,
    known: &payments::Known,
) -> rusqlite::Result<()> {
    let payment = known.payment.id;
    connection
        .prepare_cached(sql!("aftersales/refunds_done"))?
        .execute([payment.as_bytes().as_slice()])?;
    let rest = known.left();
    if rest.0 > 0 {
        let own = order.payment == Some(payment);
        let order = &if own { given_up(connection, now, order)? } else { order.clone() };
        let plan = own.then(|| order.refund(&RefundAsked::Order).ok()).flatten();
        if let Some(plan) = &plan {
            take_goods(connection, now, order, plan)?;
        }
        let scope = plan.as_ref().map_or(RefundScope::Money, |plan| plan.scope);
        let new = NewRefund {
            scope,
            items: plan.as_ref().map(|plan| &plan.items),
            state: RefundState::Done,
            ..NewRefund::of_payment(payment, rest, RefundCause::Provider)
        };
        record(connection, now, order, &new)?;
    }
    end(connection, now, &again(connection, order.id)?)
}

fn again(connection: &Connection, order: OrderId) -> rusqlite::Result<Order> {
    steps::order(connection, order)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}
