//! The hold: a batch of turns becomes orders, or honest noes, in one transaction of a few statements over arrays. Stock is
//! granted by looking, in order of `seq`; every row that others may insert too comes in an order that all writers share;
//! balances are written last, ascending by SKU, and then the movements, whose count is locked from there to the commit.
//!
//! The constraints of the schema are the last line. A batch that was overtaken, or that trips a constraint which its look had
//! let pass, is done again under a lock on its stock; if it still trips one, in halves, until the turn that trips it stands
//! alone and is answered by looking up why.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use sluice_core::{
    entry::Outcome,
    ids::{EntryId, HoldId, SaleId},
    order::{OrderLine, OrderState},
    ports::{HoldReply, HoldRequest, OutcomeReason, PortResult},
};
use sqlx::{PgConnection, types::Uuid};

use super::{
    SqlLedger,
    books::{self, Books, Look},
    entries::{self, Verdict},
    grant::{Grant, Plan, decide},
    row::{change_text, lines_text},
    seats,
};
use crate::postgres::{
    codec::{ToUuid, id, int, reach_text, small_int, whole},
    fault::{Fault, StoreError},
};

/// Turns of one transaction: locks are held for milliseconds, and a bisection ends soon.
const TURNS_MAX: usize = 256;
/// What a buyer reads with a new order.
const HELD: &str = "Your goods are set aside until the payment deadline.";

/// Turns of one transaction, in the order they are granted.
struct Batch {
    sale: SaleId,
    requests: Vec<HoldRequest>,
    manner: Mutex<Manner>,
}

/// How a batch is tried; each time it fails, more carefully.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Manner {
    AtAGlance,
    UnderLock,
    InHalves,
}

impl Batch {
    fn new(sale: &SaleId, requests: Vec<HoldRequest>) -> Self {
        Self { sale: sale.clone(), requests, manner: Mutex::new(Manner::AtAGlance) }
    }

    fn manner(&self) -> Manner {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_time(&self, manner: Manner) {
        *self.manner.lock().unwrap_or_else(PoisonError::into_inner) = manner;
    }
}

/// Settles turns in order of `seq`; replies in the order of `requests`.
pub(super) async fn in_batches(
    ledger: &SqlLedger,
    sale: &SaleId,
    requests: Vec<HoldRequest>,
) -> PortResult<Vec<HoldReply>> {
    let mut numbered: Vec<(usize, HoldRequest)> = requests.into_iter().enumerate().collect();
    numbered.sort_by_key(|(_, request)| request.line_entry.turn_order());
    let (places, mut rest): (Vec<usize>, Vec<HoldRequest>) = numbered.into_iter().unzip();
    let mut replies = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let later = rest.split_off(rest.len().min(TURNS_MAX));
        let batch = Batch::new(sale, rest);
        let held = ledger
            .write("ledger.hold", batch, |connection, batch| Box::pin(hold(connection, batch)));
        replies.extend(held.await?);
        rest = later;
    }
    let mut placed: Vec<(usize, HoldReply)> = places.into_iter().zip(replies).collect();
    placed.sort_by_key(|(place, _)| *place);
    Ok(placed.into_iter().map(|(_, reply)| reply).collect())
}

async fn hold(connection: &mut PgConnection, batch: &Batch) -> Result<Vec<HoldReply>, Fault> {
    let Batch { sale, requests, .. } = batch;
    let manner = batch.manner();
    let settled = match manner {
        Manner::AtAGlance => settle(connection, sale, requests, Look::Glance).await,
        Manner::UnderLock => settle(connection, sale, requests, Look::Lock).await,
        Manner::InHalves => return halves(connection, sale, requests).await,
    };
    match settled {
        Err(Fault::Raced) if manner == Manner::AtAGlance => {
            batch.next_time(Manner::UnderLock);
            Err(Fault::Raced)
        }
        Err(fault) if fault.is_constraint() && manner == Manner::AtAGlance => {
            batch.next_time(Manner::UnderLock);
            Err(Fault::Raced)
        }
        Err(fault) if fault.is_constraint() => {
            let error = StoreError::from(fault);
            tracing::warn!(%sale, %error, "a batch of turns is done again in halves");
            batch.next_time(Manner::InHalves);
            Err(Fault::Raced)
        }
        settled => settled,
    }
}

/// Settles a batch in parts, each under a savepoint; a part that trips a constraint is cut in two.
async fn halves(
    connection: &mut PgConnection,
    sale: &SaleId,
    requests: &[HoldRequest],
) -> Result<Vec<HoldReply>, Fault> {
    books::lock(connection, sale, requests).await?;
    let mut replies = Vec::with_capacity(requests.len());
    // The part on top comes first: turns are settled in their order.
    let mut parts = vec![requests];
    while let Some(part) = parts.pop() {
        sqlx::raw_sql("SAVEPOINT part").execute(&mut *connection).await?;
        match settle(connection, sale, part, Look::Lock).await {
            Ok(settled) => {
                sqlx::raw_sql("RELEASE SAVEPOINT part").execute(&mut *connection).await?;
                replies.extend(settled);
            }
            Err(fault) if fault.is_constraint() => {
                let undo = "ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part";
                sqlx::raw_sql(undo).execute(&mut *connection).await?;
                if let [alone] = part {
                    replies.push(look_up(connection, sale, alone).await?);
                } else {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(replies)
}

/// Decides about a part and writes what was decided.
async fn settle(
    connection: &mut PgConnection,
    sale: &SaleId,
    requests: &[HoldRequest],
    look: Look,
) -> Result<Vec<HoldReply>, Fault> {
    let Some(mut books) = books::read(connection, sale, requests, look).await? else {
        return gone(connection, sale, requests).await;
    };
    let plan = decide(&mut books, requests);
    let movements = write(connection, &books, &plan, sql!("hold/take_stock")).await?;
    let Plan { mut replies, grants, .. } = plan;
    for grant in &grants {
        if let Some(HoldReply::Settled { movement, .. }) = replies.get_mut(grant.place) {
            *movement = movements.get(&grant.request.hold).copied();
        }
    }
    Ok(replies)
}

/// Writes a plan; the numbers of the movements, by hold. `take_stock` is the statement for the balances: after all that
/// may collide, before the one count of the movements.
pub(super) async fn write(
    connection: &mut PgConnection,
    books: &Books,
    plan: &Plan<'_>,
    take_stock: &'static str,
) -> Result<HashMap<HoldId, u64>, Fault> {
    if plan.verdicts.is_empty() {
        return Ok(HashMap::new());
    }
    let sale = &books.sale.id;
    let written = entries::write(connection, sale, Some(books.now), &plan.verdicts).await?;
    if written != plan.verdicts.len() as u64 {
        // An entry got its outcome after we had looked: what it would have had is another's.
        return Err(Fault::Raced);
    }
    if plan.grants.is_empty() {
        return Ok(HashMap::new());
    }
    let mut grants = plan.grants.clone();
    // Others may be inserting an order of the same buyer: all wait for each other in this order.
    grants.sort_by(|a, b| a.request.line_entry.buyer.cmp(&b.request.line_entry.buyer));
    write_orders(connection, books, &grants).await?;
    let taken =
        grants.iter().map(|Grant { request, held, .. }| (request.order, request.hold, *held));
    seats::take(connection, &books.sale.id, taken).await?;
    for (sku, units) in &plan.taken {
        let taken = sqlx::query(take_stock)
            .bind(sale.as_str())
            .bind(sku.as_str())
            .bind(int(*units))
            .execute(&mut *connection)
            .await?;
        if taken.rows_affected() != 1 {
            return Err(Fault::Raced);
        }
    }
    write_movements(connection, books, &grants).await
}

/// The orders, with the first change of their history.
async fn write_orders(
    connection: &mut PgConnection,
    books: &Books,
    grants: &[Grant<'_>],
) -> Result<(), Fault> {
    let mut lines = Vec::with_capacity(grants.len());
    for grant in grants {
        // They were priced: the sale has all of them.
        let priced = OrderLine::of_basket(&books.sale, grant.held).ok_or(Fault::Raced)?;
        lines.push(lines_text(&priced)?);
    }
    let requests = grants.iter().map(|grant| grant.request);
    let orders: Vec<Uuid> = requests.clone().map(|request| request.order.uuid()).collect();
    let entries: Vec<Uuid> =
        requests.clone().map(|request| request.line_entry.entry.uuid()).collect();
    let buyers: Vec<&str> =
        requests.clone().map(|request| request.line_entry.buyer.as_str()).collect();
    let holds: Vec<Uuid> = requests.clone().map(|request| request.hold.uuid()).collect();
    let units: Vec<i32> =
        requests.map(|request| small_int(request.line_entry.basket.units())).collect();
    let reaches = grants.iter().map(|grant| reach_text(&grant.request.line_entry));
    let reaches: Vec<Option<String>> = reaches.collect::<sqlx::Result<_>>()?;
    let amounts: Vec<i64> = grants.iter().map(|grant| grant.amount.0).collect();
    let state = OrderState::AwaitingPayment;
    sqlx::query(sql!("hold/orders"))
        .bind(books.sale.id.as_str())
        .bind(state.as_str())
        .bind(books.sale.currency().as_str())
        .bind(books.pay_by.0)
        .bind(books.now.0)
        .bind(change_text(state, books.now, HELD))
        .bind(orders)
        .bind(entries)
        .bind(buyers)
        .bind(holds)
        .bind(amounts)
        .bind(units)
        .bind(reaches)
        .bind(lines)
        .execute(connection)
        .await?;
    Ok(())
}

async fn write_movements(
    connection: &mut PgConnection,
    books: &Books,
    grants: &[Grant<'_>],
) -> Result<HashMap<HoldId, u64>, Fault> {
    let mut holds: Vec<HoldId> = grants.iter().map(|grant| grant.request.hold).collect();
    holds.sort_unstable();
    let holds: Vec<Uuid> = holds.iter().map(ToUuid::uuid).collect();
    let rows = sqlx::query(sql!("hold/movements"))
        .bind(books.sale.id.as_str())
        .bind(books.now.0)
        .bind(holds)
        .fetch_all(connection)
        .await?;
    let numbers = rows.iter().map(|row| Ok((id(row, 0, HoldId::from_bytes)?, whole(row, 1)?)));
    Ok(numbers.collect::<sqlx::Result<_>>()?)
}

/// The sale was deleted: its turns are answered with no.
async fn gone(
    connection: &mut PgConnection,
    sale: &SaleId,
    requests: &[HoldRequest],
) -> Result<Vec<HoldReply>, Fault> {
    let before = books::known(connection, requests).await?;
    let mut new: HashMap<EntryId, Verdict<'_>> = HashMap::new();
    for HoldRequest { line_entry, .. } in requests {
        if !before.contains_key(&line_entry.entry) {
            let (outcome, reason) = (Outcome::SoldOut, OutcomeReason::Closed);
            new.insert(line_entry.entry, Verdict { line_entry, outcome, reason });
        }
    }
    let verdicts: Vec<Verdict<'_>> = new.values().copied().collect();
    entries::write(connection, sale, None, &verdicts).await?;
    let after = books::known(connection, requests).await?;
    let replies = requests.iter().map(|request| {
        let entry = request.line_entry.entry;
        let known = after.get(&entry).cloned().ok_or(Fault::Raced)?;
        Ok(if new.remove(&entry).is_some() {
            HoldReply::Settled { record: known.record, movement: None }
        } else {
            HoldReply::Known { record: known.record, hold: known.hold }
        })
    });
    replies.collect()
}

/// A single turn tripped a constraint although every look let it pass: the books say why.
async fn look_up(
    connection: &mut PgConnection,
    sale: &SaleId,
    request: &HoldRequest,
) -> Result<HoldReply, Fault> {
    let alone = std::slice::from_ref(request);
    let Some(mut books) = books::read(connection, sale, alone, Look::Lock).await? else {
        return Err(Fault::Raced);
    };
    let mut plan = decide(&mut books, alone);
    if !plan.grants.is_empty() {
        // What is left is the hold or the order itself: the ledger has recorded that name before, for another order.
        return Ok(HoldReply::GateWrong);
    }
    write(connection, &books, &plan, sql!("hold/take_stock")).await?;
    plan.replies.pop().ok_or(Fault::Raced)
}
