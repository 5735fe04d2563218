//! Orders that are changed: the new goods are held with the first step, and with the second they are sold and the old ones
//! freed. Between the two the order is `changing`, and whoever finds it so may take the second.

use sluice_core::{
    basket::Basket,
    change::{ChangePlan, NoChange},
    ids::{HoldId, OrderId, RefundId},
    money::AmountFen,
    order::{Order, OrderEvent, OrderLine, OrderState},
    ports::{ChangeEnd, ChangeReply, HoldPhase, HoldUpdate},
    refund::{NewRefund, RefundCause, RefundScope, RefundState},
};
use sqlx::{PgConnection, Row};

use super::{
    goods, refunds, row, sales, seats,
    steps::{self, Become, Locked, Movement, swap},
};
use crate::{
    postgres::{
        codec::{Baskets, ToUuid, id},
        fault::Fault,
    },
    shifts::{Shift, Shifts},
};

/// What an order that is `changing` is to become.
struct Change {
    hold: HoldId,
    plan: ChangePlan,
}

pub(super) async fn begin(
    connection: &mut PgConnection,
    order: OrderId,
    wish: Option<HoldId>,
    basket: &Basket,
) -> Result<ChangeReply, Fault> {
    let Some(locked) = steps::lock(connection, order).await? else {
        return Ok(ChangeReply::NoSuchOrder);
    };
    let order = &locked.order;
    if let Some(wish) = wish
        && steps::was_moved(connection, wish).await?
    {
        return Ok(ChangeReply::Already(locked.order));
    }
    let there = match get(connection, order).await? {
        Some(change) => change.plan.basket.is_seating_of(basket),
        None => order.state == OrderState::Fulfilled && order.consists_of(basket),
    };
    if there && order.lines.iter().all(|line| line.refunded == 0) {
        return Ok(ChangeReply::Already(locked.order));
    }
    let books = goods::look(connection, order).await?;
    let left = |sku: &_| books.available.get(sku).copied().unwrap_or_default();
    let planned = match &books.sale {
        Some(sale) => {
            let mut maps = seats::maps(connection, sale, basket).await?;
            order.change(sale, locked.now, basket, left, &mut maps)
        }
        None => Err(NoChange::SaleClosed),
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(why) => return Ok(ChangeReply::Refused(locked.order, why)),
    };
    let hold = wish.unwrap_or_else(|| HoldId::of_change(order.id, order.version));
    let reason = "Your new goods are set aside.";
    swap(connection, &locked, OrderEvent::ChangeBegan, reason).await?;
    write(connection, order.id, hold, &plan).await?;
    // Seats before stock, as a hold takes them.
    let seated = std::iter::once((order.id, hold, &plan.basket));
    seats::take(connection, &order.sale, seated).await.map_err(raced)?;
    goods::write(connection, &order.sale, &Shifts::of(&plan.lines, Shift::hold)).await?;
    let held = Movement::Held;
    let movement = steps::movement(connection, locked.now, &order.sale, hold, held).await?;
    let gate = HoldUpdate { hold, movement, phase: HoldPhase::Held, basket: plan.basket };
    Ok(ChangeReply::Done { order: again(connection, order.id).await?, gate })
}

async fn write(
    connection: &mut PgConnection,
    order: OrderId,
    hold: HoldId,
    plan: &ChangePlan,
) -> Result<(), Fault> {
    sqlx::query(sql!("aftersales/change_add"))
        .bind(order.uuid())
        .bind(hold.uuid())
        .bind(plan.amount.0)
        .bind(plan.basket.to_string())
        .execute(connection)
        .await?;
    Ok(())
}

/// A seat that our look had found free: look again.
fn raced(fault: Fault) -> Fault {
    if fault.is_constraint() { Fault::Raced } else { fault }
}

/// Its lines are those of its basket: prices and seats of a sale never change.
async fn get(connection: &mut PgConnection, order: &Order) -> Result<Option<Change>, Fault> {
    let asked = sqlx::query(sql!("aftersales/change_get")).bind(order.id.uuid());
    let Some(row) = asked.fetch_optional(&mut *connection).await? else { return Ok(None) };
    let (hold, amount) = (id(&row, 0, HoldId::from_bytes)?, AmountFen(row.try_get(1)?));
    let basket = Baskets::default().read(&row, 2)?;
    let sale = sales::sale(connection, &order.sale).await?;
    let lines = sale.and_then(|sale| OrderLine::of_basket(&sale, &basket)).ok_or(Fault::Raced)?;
    Ok(Some(Change { hold, plan: ChangePlan { lines, basket, amount } }))
}

/// An order as it will be.
pub(super) async fn changed(
    connection: &mut PgConnection,
    order: OrderId,
) -> Result<Option<Order>, Fault> {
    let Some(order) = row::order(connection, order).await? else { return Ok(None) };
    let Some(change) = get(connection, &order).await? else { return Ok(None) };
    let ChangePlan { lines, amount, .. } = change.plan;
    Ok(Some(Order { hold: change.hold, lines, amount, ..order }))
}

pub(super) async fn end(
    connection: &mut PgConnection,
    order: OrderId,
    end: ChangeEnd,
) -> Result<ChangeReply, Fault> {
    let Some(locked) = steps::lock(connection, order).await? else {
        return Ok(ChangeReply::NoSuchOrder);
    };
    let Some(change) = get(connection, &locked.order).await? else {
        return Ok(ChangeReply::Already(locked.order));
    };
    let phase = match end {
        ChangeEnd::Made => HoldPhase::Sold,
        ChangeEnd::Undone => HoldPhase::Released,
    };
    let movement = match end {
        ChangeEnd::Made => make(connection, &locked, &change).await?,
        ChangeEnd::Undone => undo(connection, &locked, &change).await?,
    };
    let gate = HoldUpdate { hold: change.hold, movement, phase, basket: change.plan.basket };
    Ok(ChangeReply::Done { order: again(connection, order).await?, gate })
}

/// The new goods are sold, the old ones freed, the difference goes back.
async fn make(
    connection: &mut PgConnection,
    locked: &Locked,
    change: &Change,
) -> Result<u64, Fault> {
    let Locked { order, now } = locked;
    let (amount, units) = (change.plan.amount, change.plan.basket.units());
    let next = Become { hold: change.hold, lines: &change.plan.lines, amount, units };
    let reason = "Your order was changed.";
    steps::become_other(connection, locked, OrderEvent::ChangeEnded, reason, next).await?;
    let delete = sqlx::query(sql!("aftersales/change_delete")).bind(order.id.uuid());
    delete.execute(&mut *connection).await?;
    seats::free(connection, std::iter::once((order.id, order.hold))).await?;
    let difference = AmountFen(order.amount.0 - amount.0);
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
        refunds::record(connection, locked, &new).await?;
    }
    let mut shifts = Shifts::of(&change.plan.lines, Shift::sell_held);
    shifts.add(order.lines.iter().map(|line| (&line.sku, line.units())), Shift::put_back);
    goods::write(connection, &order.sale, &shifts).await?;
    steps::movement(connection, *now, &order.sale, change.hold, Movement::Sold).await
}

/// The new goods are given back; the order is as it was.
async fn undo(
    connection: &mut PgConnection,
    locked: &Locked,
    change: &Change,
) -> Result<u64, Fault> {
    let Locked { order, now } = locked;
    let reason = "The new goods could not be issued; your order is as it was.";
    swap(connection, locked, OrderEvent::ChangeEnded, reason).await?;
    let delete = sqlx::query(sql!("aftersales/change_delete")).bind(order.id.uuid());
    delete.execute(&mut *connection).await?;
    seats::free(connection, std::iter::once((order.id, change.hold))).await?;
    goods::write(connection, &order.sale, &Shifts::of(&change.plan.lines, Shift::release)).await?;
    steps::movement(connection, *now, &order.sale, change.hold, Movement::Released).await
}

async fn again(connection: &mut PgConnection, order: OrderId) -> Result<Order, Fault> {
    row::order(connection, order).await?.ok_or(Fault::Raced)
}
