//! Orders that are changed: the new goods are held with the first step, and with the second they are sold and the old ones
//! freed. Between the two the order is `changing`, and whoever finds it so may take the second.

use sluice_core::{
    basket::{Basket, Item},
    change::{ChangePlan, NoChange},
    ids::{HoldId, OrderId, RefundId},
    money::AmountFen,
    order::{Order, OrderEvent, OrderLine, OrderState},
    ports::{ChangeEnd, ChangeReply, HoldPhase, HoldUpdate},
    refund::{RefundCause, RefundScope, RefundState},
};
use sqlx::{PgConnection, Row};

use super::{
    goods::{self, Shift, Shifts},
    refunds::{self, New},
    steps::{self, Become, Locked, Movement, swap},
};
use crate::postgres::{
    codec::{ToUuid, damaged, id, small_int},
    fault::Fault,
};

/// What an order that is `changing` is to become.
struct Change {
    hold: HoldId,
    plan: ChangePlan,
    basket: Basket,
}

pub(super) async fn begin(
    connection: &mut PgConnection,
    order: OrderId,
    basket: &Basket,
) -> Result<ChangeReply, Fault> {
    let Some(locked) = steps::lock(connection, order).await? else {
        return Ok(ChangeReply::NoSuchOrder);
    };
    let order = &locked.order;
    let there = match get(connection, order.id).await? {
        Some(change) => change.basket == *basket,
        None => order.state == OrderState::Fulfilled && order.consists_of(basket),
    };
    if there && order.lines.iter().all(|line| line.refunded == 0) {
        return Ok(ChangeReply::Already(locked.order));
    }
    let books = goods::look(connection, order).await?;
    let left = |sku: &_| books.available.get(sku).copied().unwrap_or_default();
    let planned = match &books.sale {
        Some(sale) => order.change(sale, locked.now, basket, left),
        None => Err(NoChange::SaleClosed),
    };
    let plan = match planned {
        Ok(plan) => plan,
        Err(why) => return Ok(ChangeReply::Refused(locked.order, why)),
    };
    let hold = HoldId::of_change(order.id, order.version);
    let reason = "Your new goods are set aside.";
    swap(connection, &locked, OrderEvent::ChangeBegan, reason).await?;
    write(connection, order.id, hold, &plan).await?;
    Shifts::of(&plan.lines, Shift::hold).write(connection, &order.sale).await?;
    let held = Movement::Held;
    let movement = steps::movement(connection, locked.now, &order.sale, hold, held).await?;
    let gate = HoldUpdate { hold, movement, phase: HoldPhase::Held, basket: basket.clone() };
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
        .execute(&mut *connection)
        .await?;
    write_lines(connection, sql!("aftersales/change_lines_add"), order, &plan.lines).await
}

async fn write_lines(
    connection: &mut PgConnection,
    statement: &'static str,
    order: OrderId,
    lines: &[OrderLine],
) -> Result<(), Fault> {
    let skus: Vec<&str> = lines.iter().map(|line| line.sku.as_str()).collect();
    let quantities: Vec<i32> = lines.iter().map(|line| small_int(line.quantity)).collect();
    let amounts: Vec<i64> = lines.iter().map(|line| line.amount.0).collect();
    sqlx::query(statement)
        .bind(order.uuid())
        .bind(skus)
        .bind(quantities)
        .bind(amounts)
        .execute(connection)
        .await?;
    Ok(())
}

async fn get(connection: &mut PgConnection, order: OrderId) -> Result<Option<Change>, Fault> {
    let asked = sqlx::query(sql!("aftersales/change_get")).bind(order.uuid());
    let Some(row) = asked.fetch_optional(connection).await? else { return Ok(None) };
    let (hold, amount) = (id(&row, 0, HoldId::from_bytes)?, AmountFen(row.try_get(1)?));
    let skus: Vec<String> = row.try_get(2)?;
    let (quantities, prices): (Vec<i32>, Vec<i64>) = (row.try_get(3)?, row.try_get(4)?);
    let lines = skus.iter().zip(quantities).zip(prices).map(|((sku, quantity), price)| {
        Ok(OrderLine {
            sku: sku.parse().map_err(|error| damaged(2, error))?,
            quantity: u32::try_from(quantity).map_err(|error| damaged(3, error))?,
            amount: AmountFen(price),
            refunded: 0,
        })
    });
    let lines = lines.collect::<sqlx::Result<Vec<_>>>()?;
    let items = lines.iter().map(|line| Item { sku: line.sku.clone(), quantity: line.quantity });
    let basket = Basket::new(items.collect()).map_err(|error| damaged(2, error))?;
    Ok(Some(Change { hold, plan: ChangePlan { lines, amount }, basket }))
}

/// An order as it will be.
pub(super) async fn changed(
    connection: &mut PgConnection,
    order: OrderId,
) -> Result<Option<Order>, Fault> {
    let Some(change) = get(connection, order).await? else { return Ok(None) };
    let Some(order) = steps::order(connection, order).await? else { return Ok(None) };
    let ChangePlan { lines, amount } = change.plan;
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
    let Some(change) = get(connection, order).await? else {
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
    let gate = HoldUpdate { hold: change.hold, movement, phase, basket: change.basket };
    Ok(ChangeReply::Done { order: again(connection, order).await?, gate })
}

/// The new goods are sold, the old ones freed, the difference goes back.
async fn make(
    connection: &mut PgConnection,
    locked: &Locked,
    change: &Change,
) -> Result<u64, Fault> {
    let Locked { order, now } = locked;
    let (amount, units) = (change.plan.amount, change.basket.units());
    let next = Become { hold: change.hold, amount, units };
    let reason = "Your order was changed.";
    steps::become_other(connection, locked, OrderEvent::ChangeEnded, reason, next).await?;
    for statement in [sql!("aftersales/lines_delete"), sql!("aftersales/change_delete")] {
        sqlx::query(statement).bind(order.id.uuid()).execute(&mut *connection).await?;
    }
    let lines = sql!("aftersales/lines_add");
    write_lines(connection, lines, order.id, &change.plan.lines).await?;
    let difference = AmountFen(order.amount.0 - amount.0);
    if let Some(payment) = order.payment.filter(|_| difference.0 > 0) {
        let new = New {
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
    shifts.add(order.lines.iter().map(|line| (&line.sku, line.quantity)), Shift::put_back);
    shifts.write(connection, &order.sale).await?;
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
    Shifts::of(&change.plan.lines, Shift::release).write(connection, &order.sale).await?;
    steps::movement(connection, *now, &order.sale, change.hold, Movement::Released).await
}

async fn again(connection: &mut PgConnection, order: OrderId) -> Result<Order, Fault> {
    steps::order(connection, order).await?.ok_or(Fault::Raced)
}
