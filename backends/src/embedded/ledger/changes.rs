//! Orders that are changed: the new goods are held with the first step, and with the second they are sold and the old ones
//! freed. Between the two the order is `changing`, and whoever finds it so may take the second.

use rusqlite::{Connection, OptionalExtension, params};
use sluice_core::{
    basket::Basket,
    change::{ChangePlan, NoChange},
    clock::UnixMillis,
    ids::{HoldId, OrderId, RefundId},
    money::AmountFen,
    order::{Order, OrderEvent, OrderLine, OrderState},
    ports::{ChangeEnd, ChangeReply, HoldPhase, HoldUpdate},
    refund::{NewRefund, RefundCause, RefundScope, RefundState},
};

use super::{
    goods, refunds, sales, seats,
    steps::{self, Become, Movement, swap},
};
use crate::{
    embedded::codec::{Baskets, id},
    shifts::{Shift, Shifts},
};

/// What an order that is `changing` is to become.
struct Change {
    hold: HoldId,
    plan: ChangePlan,
}

pub(super) fn begin(
    connection: &Connection,
    now: UnixMillis,
    (order, wish): (OrderId, Option<HoldId>),
    basket: &Basket,
) -> rusqlite::Result<ChangeReply> {
    let Some(order) = steps::order(connection, order)? else {
        return Ok(ChangeReply::NoSuchOrder);
    };
    if let Some(wish) = wish
        && steps::was_moved(connection, wish)?
    {
        return Ok(ChangeReply::Already(order));
    }
    let there = match get(connection, &order)? {
        Some(change) => change.plan.basket.is_seating_of(basket),
        None => order.state == OrderState::Fulfilled && order.consists_of(basket),
    };
    if there && order.lines.iter().all(|line| line.refunded == 0) {
        return Ok(ChangeReply::Already(order));
    }
    let available = goods::available(connection, &order.sale)?;
    let left = |sku: &_| available.get(sku).copied().unwrap_or_default();
    let planned = match sales::sale(connection, &order.sale)? {
        Some(sale) => {
            let mut maps = seats::maps(connection, &sale, basket)?;
            order.change(&sale, now, basket, left, &mut maps)
        }
        None => Err(NoChange::SaleClosed),
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(why) => return Ok(ChangeReply::Refused(order, why)),
    };
    let hold = wish.unwrap_or_else(|| HoldId::of_change(order.id, order.version));
    write(connection, order.id, hold, &plan)?;
    let reason = "Your new goods are set aside.";
    swap(connection, now, &order, OrderEvent::ChangeBegan, reason)?;
    goods::write(connection, &order.sale, &Shifts::of(&plan.lines, Shift::hold))?;
    seats::take(connection, &order.sale, (order.id, hold), &plan.basket)?;
    let movement = steps::movement(connection, now, &order.sale, hold, Movement::Held)?;
    let gate = HoldUpdate { hold, movement, phase: HoldPhase::Held, basket: plan.basket };
    Ok(ChangeReply::Done { order: again(connection, order.id)?, gate })
}

fn write(
    connection: &Connection,
    order: OrderId,
    hold: HoldId,
    plan: &ChangePlan,
) -> rusqlite::Result<()> {
    connection.prepare_cached(sql!("aftersales/change_add"))?.execute(params![
        order.as_bytes().as_slice(),
        hold.as_bytes().as_slice(),
        plan.amount.0,
        plan.basket.to_string(),
    ])?;
    Ok(())
}

/// Its lines are those of its basket: prices and seats of a sale never change.
fn get(connection: &Connection, order: &Order) -> rusqlite::Result<Option<Change>> {
    let found = connection
        .prepare_cached(sql!("aftersales/change_get"))?
        .query_row([order.id.as_bytes().as_slice()], |row| {
            let (hold, amount) = (id(row, 0, HoldId::from_bytes)?, AmountFen(row.get(1)?));
            Ok((hold, amount, Baskets::default().read(row, 2)?))
        })
        .optional()?;
    let Some((hold, amount, basket)) = found else { return Ok(None) };
    let sale = sales::sale(connection, &order.sale)?;
    let lines = sale.and_then(|sale| OrderLine::of_basket(&sale, &basket));
    let lines = lines.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(Some(Change { hold, plan: ChangePlan { lines, basket, amount } }))
}

/// An order as it will be.
pub(super) fn changed(connection: &Connection, order: OrderId) -> rusqlite::Result<Option<Order>> {
    let Some(order) = steps::order(connection, order)? else { return Ok(None) };
    let Some(change) = get(connection, &order)? else { return Ok(None) };
    let ChangePlan { lines, amount, .. } = change.plan;
    Ok(Some(Order { hold: change.hold, lines, amount, ..order }))
}

pub(super) fn end(
    connection: &Connection,
    now: UnixMillis,
    order: OrderId,
    end: ChangeEnd,
) -> rusqlite::Result<ChangeReply> {
    let Some(order) = steps::order(connection, order)? else {
        return Ok(ChangeReply::NoSuchOrder);
    };
    let Some(change) = get(connection, &order)? else {
        return Ok(ChangeReply::Already(order));
    };
    let phase = match end {
        ChangeEnd::Made => HoldPhase::Sold,
        ChangeEnd::Undone => HoldPhase::Released,
    };
    let movement = match end {
        ChangeEnd::Made => make(connection, now, &order, &change)?,
        ChangeEnd::Undone => undo(connection, now, &order, &change)?,
    };
    let gate = HoldUpdate { hold: change.hold, movement, phase, basket: change.plan.basket };
    Ok(ChangeReply::Done { order: again(connection, order.id)?, gate })
}

/// The new goods are sold, the old ones freed, the difference goes back.
fn make(
    connection: &Connection,
    now: UnixMillis,
    order: &Order,
    change: &Change,
) -> rusqlite::Result<u64> {
    let id = order.id.as_bytes().as_slice();
    connection.prepare_cached(sql!("aftersales/lines_delete"))?.execute([id])?;
    steps::write_lines(connection, order.id, &change.plan.lines)?;
    seats::free(connection, order.id, order.hold)?;
    connection.prepare_cached(sql!("aftersales/change_delete"))?.execute([id])?;
    let difference = AmountFen(order.amount.0 - change.plan.amount.0);
    if let Some(payment) = order.payment.filter(|_| difference.0 > 0) {
        let new = NewRefund {
            id: RefundId::of_change(order.id, order.version),
            payment,
            amount: difference,
            scope: RefundScope::Money,
            items: None,
            cause: RefundCause::Changed,
            state: RefundState::Pending,
        };
        refunds::record(connection, now, order, &new)?;
    }
    let units = change.plan.basket.units();
    let next = Become { hold: change.hold, amount: change.plan.amount, units };
    let reason = "Your order was changed.";
    steps::become_other(connection, now, order, OrderEvent::ChangeEnded, reason, next)?;
    let mut shifts = Shifts::of(&change.plan.lines, Shift::sell_held);
    shifts.add(order.lines.iter().map(|line| (&line.sku, line.units())), Shift::put_back);
    goods::write(connection, &order.sale, &shifts)?;
    steps::movement(connection, now, &order.sale, change.hold, Movement::Sold)
}

/// The new goods are given back; the order is as it was.
fn undo(
    connection: &Connection,
    now: UnixMillis,
    order: &Order,
    change: &Change,
) -> rusqlite::Result<u64> {
    let id = order.id.as_bytes().as_slice();
    connection.prepare_cached(sql!("aftersales/change_delete"))?.execute([id])?;
    let reason = "The new goods could not be issued; your order is as it was.";
    swap(connection, now, order, OrderEvent::ChangeEnded, reason)?;
    goods::write(connection, &order.sale, &Shifts::of(&change.plan.lines, Shift::release))?;
    seats::free(connection, order.id, change.hold)?;
    steps::movement(connection, now, &order.sale, change.hold, Movement::Released)
}

fn again(connection: &Connection, order: OrderId) -> rusqlite::Result<Order> {
    steps::order(connection, order)?.ok_or(rusqlite::Error::QueryReturnedNoRows)
}
