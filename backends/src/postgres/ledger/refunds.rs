//! Refunds: rows of their own, written with the step that decides them. Goods that were sold come back with the row, the
//! money once the provider has confirmed it. Whoever touches the refunds of an order has locked it.

use sluice_core::{
    basket::Item,
    ids::{OrderId, PaymentId, RefundId},
    money::AmountFen,
    order::{Order, OrderEvent, OrderLine, OrderState},
    ports::{ChangeEnd, RefundReply},
    refund::{
        NewRefund, NoRefund, Refund, RefundAsked, RefundCause, RefundPlan, RefundScope, RefundState,
    },
};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{
    changes, goods, payments, row, seats,
    steps::{self, Locked, swap},
};
use crate::{
    postgres::{
        codec::{Baskets, ToUuid, damaged, id, int, text, word},
        fault::Fault,
    },
    shifts::{Shift, Shifts},
};

const BACK: &str = "The money went back.";

/// Writes a refund down; its payment's sum refuses what is not left of it.
pub(super) async fn record(
    connection: &mut PgConnection,
    locked: &Locked,
    new: &NewRefund<'_>,
) -> Result<(), Fault> {
    sqlx::query(sql!("aftersales/payment_refunding"))
        .bind(new.payment.uuid())
        .bind(new.amount.0)
        .execute(&mut *connection)
        .await?;
    sqlx::query(sql!("aftersales/refund_add"))
        .bind(new.id.uuid())
        .bind(locked.order.id.uuid())
        .bind(new.payment.uuid())
        .bind(new.amount.0)
        .bind(locked.order.currency.as_str())
        .bind(new.scope.as_str())
        .bind(new.items.map(ToString::to_string))
        .bind(new.cause.as_str())
        .bind(new.state.as_str())
        .bind(locked.now.0)
        .execute(connection)
        .await?;
    Ok(())
}

async fn get(connection: &mut PgConnection, refund: RefundId) -> Result<Option<Refund>, Fault> {
    let asked = sqlx::query(sql!("aftersales/refund_get")).bind(refund.uuid());
    let row = asked.fetch_optional(connection).await?;
    Ok(row.as_ref().map(read).transpose()?)
}

pub(super) async fn of_order(
    connection: &mut PgConnection,
    order: OrderId,
) -> Result<Vec<Refund>, Fault> {
    let asked = sqlx::query(sql!("aftersales/refunds_of")).bind(order.uuid());
    let rows = asked.fetch_all(connection).await?;
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}

/// Takes what is due; it is due again after `lease_millis`.
pub(super) async fn claim(
    connection: &mut PgConnection,
    lease_millis: u64,
    limit: u32,
) -> Result<Vec<Refund>, Fault> {
    let asked =
        sqlx::query(sql!("aftersales/refund_claim")).bind(int(lease_millis)).bind(i64::from(limit));
    let rows = asked.fetch_all(connection).await?;
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}

fn read(row: &PgRow) -> sqlx::Result<Refund> {
    let items: Option<&str> = row.try_get(6)?;
    let items = items.map(|_| Baskets::default().read(row, 6)).transpose()?;
    let tries: i32 = row.try_get(9)?;
    Ok(Refund {
        id: id(row, 0, RefundId::from_bytes)?,
        order: id(row, 1, OrderId::from_bytes)?,
        payment: id(row, 2, PaymentId::from_bytes)?,
        amount: AmountFen(row.try_get(3)?),
        currency: text(row, 4)?,
        scope: word(row, 5, RefundScope::parse)?,
        items,
        cause: word(row, 7, RefundCause::parse)?,
        state: word(row, 8, RefundState::parse)?,
        tries: u32::try_from(tries).map_err(|error| damaged(9, error))?,
    })
}

/// Begins a refund that the buyer asked for.
pub(super) async fn begin(
    connection: &mut PgConnection,
    order: OrderId,
    refund: RefundId,
    asked: &RefundAsked,
) -> Result<RefundReply, Fault> {
    let Some(locked) = steps::lock(connection, order).await? else {
        return Ok(RefundReply::NoSuchOrder);
    };
    if let Some(known) = get(connection, refund).await? {
        return Ok(if known.order == order {
            RefundReply::Already(known, locked.order)
        } else {
            RefundReply::Refused(locked.order, NoRefund::WrongState)
        });
    }
    put_back(connection, locked, asked, refund, RefundCause::Requested).await
}

/// The shop says that it will never fulfil an order: it fails, and everything goes back.
pub(super) async fn fail(
    connection: &mut PgConnection,
    order: OrderId,
) -> Result<RefundReply, Fault> {
    let Some(locked) = steps::lock(connection, order).await? else {
        return Ok(RefundReply::NoSuchOrder);
    };
    let Some(payment) = locked.order.payment.filter(|_| locked.order.shop.is_none()) else {
        return Ok(RefundReply::Refused(locked.order, NoRefund::WrongState));
    };
    let refund = RefundId::of_payment(payment);
    if let Some(known) = get(connection, refund).await? {
        return Ok(RefundReply::Already(known, locked.order));
    }
    let reason = "It could not be fulfilled.";
    if swap(connection, &locked, OrderEvent::FulfilmentFailed, reason).await?.is_none() {
        return Ok(RefundReply::Refused(locked.order, NoRefund::WrongState));
    }
    let locked = again(connection, &locked).await?;
    put_back(connection, locked, &RefundAsked::Order, refund, RefundCause::Failed).await
}

/// Gives goods that were sold back for their money.
async fn put_back(
    connection: &mut PgConnection,
    locked: Locked,
    asked: &RefundAsked,
    refund: RefundId,
    cause: RefundCause,
) -> Result<RefundReply, Fault> {
    let plan = match locked.order.refund(asked) {
        Ok(plan) => plan,
        Err(why) => return Ok(RefundReply::Refused(locked.order, why)),
    };
    let known = match locked.order.payment {
        Some(payment) => payments::payment(connection, payment).await?,
        None => None,
    };
    let Some(known) = known.filter(|known| plan.amount <= known.left()) else {
        return Ok(RefundReply::Refused(locked.order, NoRefund::WrongState));
    };
    let new = NewRefund {
        id: refund,
        payment: known.payment.id,
        amount: plan.amount,
        scope: plan.scope,
        items: Some(&plan.items),
        cause,
        state: RefundState::Pending,
    };
    record(connection, &locked, &new).await?;
    take_goods(connection, &locked, &plan).await?;
    let recorded = get(connection, refund).await?.ok_or(Fault::Raced)?;
    Ok(RefundReply::Begun(recorded, again(connection, &locked).await?.order))
}

/// The goods of a refund come back, and the order knows.
async fn take_goods(
    connection: &mut PgConnection,
    locked: &Locked,
    plan: &RefundPlan,
) -> Result<(), Fault> {
    let Locked { order, .. } = locked;
    let (to, reason) = match plan.scope {
        RefundScope::Order => {
            let to = order.state.step(OrderEvent::RefundBegan, order.closing_cause);
            (to.map_err(|_| Fault::Raced)?, "The goods went back, and the money follows.")
        }
        RefundScope::Items | RefundScope::Money => {
            (order.state, "A part of it went back, and its money follows.")
        }
    };
    let items = plan.items.items();
    steps::give_back(connection, locked, to, reason, &refunded(order, items)).await?;
    seats::give_back(connection, locked.order.id, &plan.items).await?;
    let mut shifts = Shifts::default();
    shifts.add(items.iter().map(|item| (&item.sku, item.units())), Shift::put_back);
    goods::write(connection, &locked.order.sale, &shifts).await
}

/// The lines of an order of which these items go back: of seated goods each seat is a line.
fn refunded(order: &Order, items: &[Item]) -> Vec<OrderLine> {
    let mut lines = order.lines.clone();
    for item in items {
        let of_it = |line: &&mut OrderLine| line.sku == item.sku && line.stretch == item.stretch;
        for line in lines.iter_mut().filter(of_it) {
            match &line.seat {
                None if item.seats.is_empty() => line.refunded += item.quantity,
                Some(seat) if item.seats.contains(&seat.no) => line.refunded += 1,
                None | Some(_) => {}
            }
        }
    }
    lines
}

/// The provider has confirmed a refund.
pub(super) async fn finish(
    connection: &mut PgConnection,
    refund: RefundId,
) -> Result<Option<(Refund, Order)>, Fault> {
    let Some(known) = get(connection, refund).await? else { return Ok(None) };
    let Some(locked) = steps::lock(connection, known.order).await? else { return Ok(None) };
    let done = sqlx::query(sql!("aftersales/refund_done")).bind(refund.uuid());
    if done.execute(&mut *connection).await?.rows_affected() == 1 {
        sqlx::query(sql!("aftersales/payment_refunded"))
            .bind(known.payment.uuid())
            .bind(locked.now.0)
            .execute(&mut *connection)
            .await?;
        end(connection, &locked).await?;
    }
    let order = again(connection, &locked).await?.order;
    Ok(Some((Refund { state: RefundState::Done, ..known }, order)))
}

/// An order that waits for no money to go back any more is refunded.
async fn end(connection: &mut PgConnection, locked: &Locked) -> Result<(), Fault> {
    let order = &locked.order;
    let Some(payment) = order.payment.filter(|_| order.state == OrderState::Refunding) else {
        return Ok(());
    };
    let pending = sqlx::query(sql!("aftersales/pending"))
        .bind(order.id.uuid())
        .bind(payment.uuid())
        .fetch_one(&mut *connection)
        .await?;
    if pending.try_get::<bool, _>(0)? {
        return Ok(());
    }
    swap(connection, locked, OrderEvent::Refunded, BACK).await.map(drop)
}

/// Takes an order whose money is gone as far as it must come for its goods to come back: nothing more is issued for it.
async fn give_up(connection: &mut PgConnection, order: OrderId) -> Result<(), Fault> {
    let reason = "The payment provider sent the money back.";
    for event in [OrderEvent::FulfilmentBegan, OrderEvent::FulfilmentFailed] {
        let Some(locked) = steps::lock(connection, order).await? else { return Ok(()) };
        match locked.order.state {
            OrderState::Changing => {
                changes::end(connection, order, ChangeEnd::Undone).await?;
            }
            OrderState::Paid | OrderState::Fulfilling => {
                swap(connection, &locked, event, reason).await?;
            }
            OrderState::AwaitingPayment
            | OrderState::Closing
            | OrderState::Closed
            | OrderState::Fulfilled
            | OrderState::Failed
            | OrderState::Refunding
            | OrderState::Refunded => {}
        }
    }
    Ok(())
}

/// The provider says that all of a payment went back: by our refunds, and the rest of it by itself. The goods of the order
/// that it paid come back with the rest.
pub(super) async fn sent_back(
    connection: &mut PgConnection,
    locked: &Locked,
    known: &payments::Known,
) -> Result<(), Fault> {
    let payment = known.payment.id;
    let done = sqlx::query(sql!("aftersales/refunds_done")).bind(payment.uuid());
    done.execute(&mut *connection).await?;
    let rest = known.left();
    if rest.0 > 0 {
        let own = locked.order.payment == Some(payment);
        if own {
            give_up(connection, locked.order.id).await?;
        }
        let locked = &again(connection, locked).await?;
        let plan = own.then(|| locked.order.refund(&RefundAsked::Order).ok()).flatten();
        let scope = plan.as_ref().map_or(RefundScope::Money, |plan| plan.scope);
        let new = NewRefund {
            scope,
            items: plan.as_ref().map(|plan| &plan.items),
            state: RefundState::Done,
            ..NewRefund::of_payment(payment, rest, RefundCause::Provider)
        };
        record(connection, locked, &new).await?;
        if let Some(plan) = &plan {
            take_goods(connection, locked, plan).await?;
        }
    }
    let locked = again(connection, locked).await?;
    end(connection, &locked).await
}

/// As it is after a step; still locked.
async fn again(connection: &mut PgConnection, locked: &Locked) -> Result<Locked, Fault> {
    let order = row::order(connection, locked.order.id).await?.ok_or(Fault::Raced)?;
    Ok(Locked { order, now: locked.now })
}
