//! The hold: a batch of turns becomes orders, or honest noes, in one transaction. Granted in order of `seq` by predicate,
//! against a balance that is read once and written once per SKU; the constraints of the schema are the last line. A batch
//! that trips one is cut in halves until the turn that trips it stands alone, and is answered by looking up why.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    entry::Outcome,
    ids::{BuyerId, SaleId, SkuId},
    line::LineEntry,
    order::{OrderLine, OrderState},
    ports::{GateSaid, HoldReply, HoldRequest, OutcomeReason},
    sale::{Control, Sale},
};

use super::{
    entries::{record, write},
    sales, seats,
    steps::{self, Movement},
};
use crate::embedded::{
    codec::{int, reach_text, text, whole},
    open::is_constraint,
};

/// Settles a batch; replies in the order of `requests`.
pub(super) fn hold(
    connection: &Connection,
    now: UnixMillis,
    sale: &SaleId,
    requests: &[HoldRequest],
) -> rusqlite::Result<Vec<HoldReply>> {
    let Some(sold) = sales::sale(connection, sale)? else {
        return requests.iter().map(|request| gone(connection, now, sale, request)).collect();
    };
    let mut order: Vec<usize> = (0..requests.len()).collect();
    order.sort_by_key(|n| requests[*n].line_entry.turn_order());
    let mut replies: Vec<Option<HoldReply>> = vec![None; requests.len()];
    bisect(connection, now, &sold, requests, &order, &mut replies)?;
    // Every index was answered: `order` names each once.
    Ok(replies.into_iter().map(|reply| reply.unwrap_or(HoldReply::GateWrong)).collect())
}

fn bisect(
    connection: &Connection,
    now: UnixMillis,
    sale: &Sale,
    requests: &[HoldRequest],
    order: &[usize],
    replies: &mut [Option<HoldReply>],
) -> rusqlite::Result<()> {
    execute(connection, "SAVEPOINT hold")?;
    match batch(connection, now, sale, requests, order) {
        Ok(held) => {
            execute(connection, "RELEASE hold")?;
            for (n, reply) in order.iter().zip(held) {
                replies[*n] = Some(reply);
            }
            Ok(())
        }
        Err(error) if is_constraint(&error) => {
            execute(connection, "ROLLBACK TO hold")?;
            execute(connection, "RELEASE hold")?;
            match order {
                [] => Ok(()),
                [n] => {
                    replies[*n] = Some(look_up(connection, now, sale, &requests[*n])?);
                    Ok(())
                }
                _ => {
                    let (first, second) = order.split_at(order.len() / 2);
                    bisect(connection, now, sale, requests, first, replies)?;
                    bisect(connection, now, sale, requests, second, replies)
                }
            }
        }
        Err(error) => Err(error),
    }
}

/// Units that are left while a batch is granted, and what it has taken of them.
struct Balance(BTreeMap<SkuId, Left>);

#[derive(Clone, Copy, Debug, Default)]
struct Left {
    available: u64,
    taken: u64,
}

impl Balance {
    fn read(connection: &Connection, sale: &SaleId) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached(sql!("orders/stock"))?;
        let rows = statement.query_map([sale.as_str()], |row| {
            Ok((text(row, 0)?, Left { available: whole(row, 2)?, taken: 0 }))
        })?;
        Ok(Self(rows.collect::<rusqlite::Result<_>>()?))
    }

    fn has(&self, basket: &Basket) -> bool {
        basket.items().iter().all(|item| {
            let left = self.0.get(&item.sku).copied().unwrap_or_default();
            left.available >= item.units()
        })
    }

    fn take(&mut self, basket: &Basket) {
        for item in basket.items() {
            if let Some(left) = self.0.get_mut(&item.sku) {
                left.available = left.available.saturating_sub(item.units());
                left.taken += item.units();
            }
        }
    }

    /// One write for each SKU, ascending.
    fn write(&self, connection: &Connection, sale: &SaleId) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(sql!("orders/stock_hold"))?;
        for (sku, left) in self.0.iter().filter(|(_, left)| left.taken > 0) {
            statement.execute(params![sale.as_str(), sku.as_str(), int(left.taken)])?;
        }
        Ok(())
    }
}

fn batch(
    connection: &Connection,
    now: UnixMillis,
    sale: &Sale,
    requests: &[HoldRequest],
    order: &[usize],
) -> rusqlite::Result<Vec<HoldReply>> {
    let mut balance = Balance::read(connection, &sale.id)?;
    let mut replies = Vec::with_capacity(order.len());
    for n in order {
        replies.push(one(connection, now, sale, &requests[*n], &mut balance)?);
    }
    balance.write(connection, &sale.id)?;
    Ok(replies)
}

fn one(
    connection: &Connection,
    now: UnixMillis,
    sale: &Sale,
    request: &HoldRequest,
    balance: &mut Balance,
) -> rusqlite::Result<HoldReply> {
    let line_entry = &request.line_entry;
    let basket = &line_entry.basket;
    if let Some((record, hold)) = record(connection, line_entry.entry)? {
        return Ok(HoldReply::Known { record, hold });
    }
    if sale.control == Control::Frozen {
        return Ok(HoldReply::Frozen);
    }
    let no = |outcome, reason| settled(connection, now, &sale.id, request, outcome, reason);
    if has_live_order(connection, &sale.id, &line_entry.buyer)? {
        return no(Outcome::Refused, OutcomeReason::Duplicate);
    }
    if basket.units() > sale.policy.per_buyer_units {
        return no(Outcome::Refused, OutcomeReason::OverLimit);
    }
    if !balance.has(basket) {
        return gone_elsewhere(line_entry, no);
    }
    let seated = match &request.gate {
        GateSaid::Short
            if basket.is_seated() && !seats::has_seats_for(connection, sale, basket)? =>
        {
            return gone_elsewhere(line_entry, no);
        }
        GateSaid::Short => return Ok(HoldReply::GateWrong),
        GateSaid::Held if basket.is_seated() => return Ok(HoldReply::GateWrong),
        GateSaid::Held => basket,
        GateSaid::Seated(seated) if !seated.is_seating_of(basket) => {
            return Ok(HoldReply::GateWrong);
        }
        GateSaid::Seated(seated) => seated,
    };
    let by = seats::taken_by(connection, &sale.id, seated)?;
    if !by.is_empty() {
        return Ok(HoldReply::SeatsTaken { by });
    }
    balance.take(basket);
    grant(connection, now, sale, (request, seated), now.plus(sale.policy.payment_window()))
}

/// Its goods went to somebody else: a turn is told so, one that stands by goes on doing that.
fn gone_elsewhere(
    line_entry: &LineEntry,
    no: impl FnOnce(Outcome, OutcomeReason) -> rusqlite::Result<HoldReply>,
) -> rusqlite::Result<HoldReply> {
    if line_entry.stands_by() {
        return Ok(HoldReply::StandsBy);
    }
    no(Outcome::SoldOut, OutcomeReason::Plain)
}

/// Records outcome, order, seats, movement and history; the balance is its caller's to write. `held` is what the request
/// wants, with its seats unless the shop seats its buyers itself.
pub(super) fn grant(
    connection: &Connection,
    now: UnixMillis,
    sale: &Sale,
    (request, held): (&HoldRequest, &Basket),
    pay_by: UnixMillis,
) -> rusqlite::Result<HoldReply> {
    let line_entry = &request.line_entry;
    // Foreign goods were found missing in the balance; a sum beyond an i64 is beyond every limit of a sale.
    let priced = sale.price(held).zip(OrderLine::of_basket(sale, held));
    let Some((amount, lines)) = priced else {
        return settled(
            connection,
            now,
            &sale.id,
            request,
            Outcome::Refused,
            OutcomeReason::OverLimit,
        );
    };
    write(connection, now, &sale.id, line_entry, Outcome::Reserved, OutcomeReason::Plain)?;
    connection.prepare_cached(sql!("orders/create"))?.execute(params![
        request.order.as_bytes().as_slice(),
        sale.id.as_str(),
        line_entry.entry.as_bytes().as_slice(),
        line_entry.buyer.as_str(),
        request.hold.as_bytes().as_slice(),
        OrderState::AwaitingPayment.as_str(),
        amount.0,
        sale.currency().as_str(),
        line_entry.basket.units(),
        pay_by.0,
        now.0,
        reach_text(line_entry)?,
    ])?;
    steps::write_lines(connection, request.order, &lines)?;
    seats::take(connection, &sale.id, (request.order, request.hold), held)?;
    let reason = "Your goods are set aside until the payment deadline.";
    steps::history(connection, now, request.order, 1, OrderState::AwaitingPayment, reason)?;
    let movement = steps::movement(connection, now, &sale.id, request.hold, Movement::Held)?;
    let known = record(connection, line_entry.entry)?;
    let (record, _) = known.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(HoldReply::Settled { record, movement: Some(movement) })
}

pub(super) fn settled(
    connection: &Connection,
    now: UnixMillis,
    sale: &SaleId,
    request: &HoldRequest,
    outcome: Outcome,
    reason: OutcomeReason,
) -> rusqlite::Result<HoldReply> {
    write(connection, now, sale, &request.line_entry, outcome, reason)?;
    let known = record(connection, request.line_entry.entry)?;
    let (record, _) = known.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
    Ok(HoldReply::Settled { record, movement: None })
}

/// The sale was deleted: its turns are answered with no.
fn gone(
    connection: &Connection,
    now: UnixMillis,
    sale: &SaleId,
    request: &HoldRequest,
) -> rusqlite::Result<HoldReply> {
    match record(connection, request.line_entry.entry)? {
        Some((record, hold)) => Ok(HoldReply::Known { record, hold }),
        None => {
            let (outcome, reason) = (Outcome::SoldOut, OutcomeReason::Closed);
            settled(connection, now, sale, request, outcome, reason)
        }
    }
}

/// A single turn tripped a constraint although every predicate let it pass: the books say why.
fn look_up(
    connection: &Connection,
    now: UnixMillis,
    sale: &Sale,
    request: &HoldRequest,
) -> rusqlite::Result<HoldReply> {
    let line_entry = &request.line_entry;
    if let Some((record, hold)) = record(connection, line_entry.entry)? {
        return Ok(HoldReply::Known { record, hold });
    }
    if has_live_order(connection, &sale.id, &line_entry.buyer)? {
        let (outcome, reason) = (Outcome::Refused, OutcomeReason::Duplicate);
        return settled(connection, now, &sale.id, request, outcome, reason);
    }
    if !Balance::read(connection, &sale.id)?.has(&line_entry.basket) {
        let no = |outcome, reason| settled(connection, now, &sale.id, request, outcome, reason);
        return gone_elsewhere(line_entry, no);
    }
    if let GateSaid::Seated(seated) = &request.gate {
        let by = seats::taken_by(connection, &sale.id, seated)?;
        if !by.is_empty() {
            return Ok(HoldReply::SeatsTaken { by });
        }
    }
    // What is left is the hold itself: the ledger has recorded it before, for another order, so the gate held it wrongly.
    Ok(HoldReply::GateWrong)
}

pub(super) fn has_live_order(
    connection: &Connection,
    sale: &SaleId,
    buyer: &BuyerId,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(sql!("orders/live"))?;
    statement.exists(params![sale.as_str(), buyer.as_str()])
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
