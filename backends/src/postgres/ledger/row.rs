//! An order as its row: the lines as JSON, and an element of text for each change of its history.

use serde::{Deserialize, Serialize};
use sluice_core::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, HoldId, OrderId, PaymentId, SkuId, Version},
    money::AmountFen,
    order::{ClosingCause, Order, OrderChange, OrderLine, OrderState},
    seats::{Seat, SeatNo, Stretch},
};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{entries::shop_order, steps::Locked};
use crate::postgres::{
    codec::{Unknown, damaged, id, some_id, some_json, text, time, to_json, uuids, whole, word},
    fault::Fault,
};

/// A line as the row has it.
#[derive(Debug, Deserialize, Serialize)]
struct Line<'a> {
    #[serde(borrow)]
    sku: &'a str,
    quantity: u32,
    amount: i64,
    #[serde(default, skip_serializing_if = "is_zero")]
    refunded: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seat_no: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seat: Option<String>,
}

fn is_zero(units: &u32) -> bool {
    *units == 0
}

/// Lines as a row keeps them, by SKU.
pub(super) fn lines_text(lines: &[OrderLine]) -> sqlx::Result<String> {
    let mut sorted: Vec<&OrderLine> = lines.iter().collect();
    sorted.sort_by(|a, b| a.sku.cmp(&b.sku));
    let lines = sorted.into_iter().map(|line| Line {
        sku: line.sku.as_str(),
        quantity: line.quantity,
        amount: line.amount.0,
        refunded: line.refunded,
        from: line.stretch.map(Stretch::from),
        to: line.stretch.map(Stretch::to),
        seat_no: line.seat.as_ref().map(|seat| seat.no.0),
        seat: line.seat.as_ref().map(|seat| seat.label.to_string()),
    });
    to_json(&lines.collect::<Vec<_>>())
}

/// A change as a row keeps it.
pub(super) fn change_text(state: OrderState, at: UnixMillis, reason: &str) -> String {
    format!("{} {} {reason}", state.as_str(), at.0)
}

/// Orders with their lines, live payments and histories, in the order of asking; unknown ones are left out.
pub(super) async fn orders(
    connection: &mut PgConnection,
    orders: &[OrderId],
) -> Result<Vec<Order>, Fault> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let asked = sqlx::query(sql!("orders/get")).bind(uuids(orders));
    let rows = asked.fetch_all(connection).await?;
    Ok(rows.iter().map(read).collect::<sqlx::Result<_>>()?)
}

pub(super) async fn order(
    connection: &mut PgConnection,
    order: OrderId,
) -> Result<Option<Order>, Fault> {
    Ok(orders(connection, &[order]).await?.pop())
}

/// Orders that are locked, in the order of asking; each with the time, which is not before its last change.
pub(super) async fn locked(
    connection: &mut PgConnection,
    orders: &[OrderId],
) -> Result<Vec<Locked>, Fault> {
    let asked = sqlx::query(sql!("orders/get")).bind(uuids(orders));
    let rows = asked.fetch_all(connection).await?;
    let locked = rows.iter().map(|row| {
        let (order, now) = (read(row)?, time(row, 17)?);
        let now = order.history.last().map_or(now, |last| now.max(last.at));
        Ok(Locked { order, now })
    });
    Ok(locked.collect::<sqlx::Result<_>>()?)
}

/// An order from the columns of `orders/get`.
fn read(row: &PgRow) -> sqlx::Result<Order> {
    let cause: Option<&str> = row.try_get(7)?;
    let lines: &str = row.try_get(12)?;
    let history: Vec<String> = row.try_get(13)?;
    Ok(Order {
        id: id(row, 0, OrderId::from_bytes)?,
        sale: text(row, 1)?,
        entry: id(row, 2, EntryId::from_bytes)?,
        buyer: text::<BuyerId>(row, 3)?,
        hold: id(row, 4, HoldId::from_bytes)?,
        state: word(row, 5, OrderState::parse)?,
        version: Version(whole(row, 6)?),
        closing_cause: cause.and_then(ClosingCause::parse),
        lines: read_lines(lines)?,
        amount: AmountFen(row.try_get(8)?),
        currency: text(row, 9)?,
        pay_by: time(row, 10)?,
        payment: some_id(row, 11, PaymentId::from_bytes)?,
        shop: shop_order(row, 15)?,
        reach: some_json(row, 14)?,
        history: history.iter().map(|change| read_change(change)).collect::<sqlx::Result<_>>()?,
    })
}

fn read_lines(text: &str) -> sqlx::Result<Vec<OrderLine>> {
    let lines: Vec<Line<'_>> = serde_json::from_str(text).map_err(|error| damaged(12, error))?;
    let lines = lines.into_iter().map(|line| {
        let stretch = line.from.zip(line.to);
        let stretch = stretch.map(|(from, to)| Stretch::new(from, to).ok_or(Unknown));
        let seat = line.seat_no.zip(line.seat).map(|(no, label)| {
            let label = label.parse().map_err(|error| damaged(12, error))?;
            Ok::<_, sqlx::Error>(Seat { no: SeatNo(no), label })
        });
        Ok(OrderLine {
            sku: SkuId::new(line.sku).map_err(|error| damaged(12, error))?,
            quantity: line.quantity,
            amount: AmountFen(line.amount),
            refunded: line.refunded,
            stretch: stretch.transpose().map_err(|unknown| damaged(12, unknown))?,
            seat: seat.transpose()?,
        })
    });
    lines.collect()
}

fn read_change(text: &str) -> sqlx::Result<OrderChange> {
    let mut parts = text.splitn(3, ' ');
    let state = parts.next().and_then(OrderState::parse);
    let at = parts.next().and_then(|at| at.parse().ok()).map(UnixMillis);
    match (state, at, parts.next()) {
        (Some(state), Some(at), Some(reason)) => {
            Ok(OrderChange { state, at, reason: reason.to_owned() })
        }
        _ => Err(damaged(13, Unknown)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sku: &str) -> OrderLine {
        OrderLine {
            sku: sku.parse().unwrap(),
            quantity: 2,
            amount: AmountFen(1_999),
            refunded: 0,
            stretch: None,
            seat: None,
        }
    }

    #[test]
    fn lines_are_read_as_they_were_written_by_sku() {
        let seat = Seat { no: SeatNo(7), label: "02-A".parse().unwrap() };
        let seated = OrderLine {
            quantity: 1,
            refunded: 1,
            stretch: Stretch::new(0, 4),
            seat: Some(seat),
            ..line("train")
        };
        let text = lines_text(&[seated.clone(), line("a")]).unwrap();
        assert_eq!(read_lines(&text).unwrap(), [line("a"), seated]);
        assert_eq!(
            lines_text(&[line("a")]).unwrap(),
            r#"[{"sku":"a","quantity":2,"amount":1999}]"#
        );
        for damaged in
            ["{}", r#"[{"sku":"a"}]"#, r#"[{"sku":"a","quantity":1,"amount":1,"from":4,"to":4}]"#]
        {
            assert!(read_lines(damaged).is_err(), "{damaged}");
        }
    }

    #[test]
    fn a_change_is_read_as_it_was_written() {
        let at = UnixMillis(1_762_819_200_000);
        let text = change_text(OrderState::Paid, at, "Paid just in time.");
        let change =
            OrderChange { state: OrderState::Paid, at, reason: "Paid just in time.".into() };
        assert_eq!(text, "paid 1762819200000 Paid just in time.");
        assert_eq!(read_change(&text).unwrap(), change);
        for damaged in ["", "paid", "paid 1", "lost 1 x", "paid soon x"] {
            assert!(read_change(damaged).is_err(), "{damaged}");
        }
    }
}
