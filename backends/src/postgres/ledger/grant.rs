//! Who of a batch of turns gets goods: a pure decision, made in the order of the requests by looking at what is left, not by
//! trying and failing.

use std::collections::BTreeMap;

use sluice_core::{
    basket::Basket,
    entry::Outcome,
    ids::{OrderId, SkuId, Version},
    money::AmountFen,
    order::OrderState,
    ports::{EntryRecord, GateSaid, HoldReply, HoldRequest, OrderRef, OutcomeReason},
    sale::Control,
};

use super::{
    books::{Books, SeatedBy},
    entries::{Known, Verdict},
};

/// What is to be written for a batch, and answered once it is.
#[derive(Debug, Default)]
pub(super) struct Plan<'a> {
    /// In the order of the requests. A granted one lacks the number of its movement.
    pub(super) replies: Vec<HoldReply>,
    /// Every outcome that is new, `reserved` among them.
    pub(super) verdicts: Vec<Verdict<'a>>,
    pub(super) grants: Vec<Grant<'a>>,
    /// Units that the grants take.
    pub(super) taken: BTreeMap<SkuId, u64>,
}

/// A turn that becomes an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grant<'a> {
    /// Where its reply stands.
    pub(super) place: usize,
    pub(super) request: &'a HoldRequest,
    /// What it wants, with its seats unless the shop seats its buyers itself.
    pub(super) held: &'a Basket,
    pub(super) amount: AmountFen,
}

/// Decides about each request in turn. The books follow: what one gets, the next one does not.
pub(super) fn decide<'a>(books: &mut Books, requests: &'a [HoldRequest]) -> Plan<'a> {
    let mut plan = Plan::default();
    for request in requests {
        let reply = match look(books, request) {
            Decision::Known(known) => HoldReply::Known { record: known.record, hold: known.hold },
            Decision::GateWrong => HoldReply::GateWrong,
            Decision::Frozen => HoldReply::Frozen,
            Decision::StandsBy => HoldReply::StandsBy,
            Decision::SeatsTaken(by) => HoldReply::SeatsTaken { by },
            Decision::No(outcome, reason) => {
                let record = settled(books, request, outcome, reason);
                books.known.insert(record.entry, Known { record: record.clone(), hold: None });
                plan.verdicts.push(Verdict { line_entry: &request.line_entry, outcome, reason });
                HoldReply::Settled { record, movement: None }
            }
            Decision::Yes(held, amount) => {
                let record = granted(books, &mut plan, (request, held), amount);
                HoldReply::Settled { record, movement: None }
            }
        };
        plan.replies.push(reply);
    }
    plan
}

enum Decision<'a> {
    Known(Known),
    GateWrong,
    Frozen,
    StandsBy,
    SeatsTaken(Vec<OrderId>),
    No(Outcome, OutcomeReason),
    Yes(&'a Basket, AmountFen),
}

fn look<'a>(books: &mut Books, request: &'a HoldRequest) -> Decision<'a> {
    let line_entry = &request.line_entry;
    if let Some(known) = books.known.get(&line_entry.entry) {
        return Decision::Known(known.clone());
    }
    if books.sale.control == Control::Frozen {
        return Decision::Frozen;
    }
    if books.live.contains(&line_entry.buyer) {
        return Decision::No(Outcome::Refused, OutcomeReason::Duplicate);
    }
    if line_entry.basket.units() > books.sale.policy.per_buyer_units {
        return Decision::No(Outcome::Refused, OutcomeReason::OverLimit);
    }
    // Its goods went to somebody else: a turn is told so, one that stands by goes on doing that.
    let gone = if line_entry.stands_by() {
        Decision::StandsBy
    } else {
        Decision::No(Outcome::SoldOut, OutcomeReason::Plain)
    };
    if !has(&books.available, &line_entry.basket) {
        return gone;
    }
    let basket = &line_entry.basket;
    let held = match (&request.gate, &mut books.seating) {
        (GateSaid::Short, SeatedBy::Gate(seats)) if basket.is_seated() => {
            return if seats.has_seats_for(basket) { Decision::GateWrong } else { gone };
        }
        (GateSaid::Short, _) => return Decision::GateWrong,
        (GateSaid::Held, SeatedBy::Gate(_)) if basket.is_seated() => return Decision::GateWrong,
        (GateSaid::Held, _) => basket,
        (GateSaid::Seated(_), SeatedBy::Shop) => return Decision::GateWrong,
        (GateSaid::Seated(seated), SeatedBy::Gate(seats)) => {
            if !seated.is_seating_of(basket) {
                return Decision::GateWrong;
            }
            let by = seats.taken_by(seated);
            if !by.is_empty() {
                return Decision::SeatsTaken(by);
            }
            seated
        }
    };
    match books.sale.price(basket) {
        Some(amount) => Decision::Yes(held, amount),
        // Foreign goods were found missing above; a sum beyond an i64 is beyond every limit of a sale.
        None => Decision::No(Outcome::Refused, OutcomeReason::OverLimit),
    }
}

fn has(available: &BTreeMap<SkuId, u64>, basket: &Basket) -> bool {
    basket.items().iter().all(|item| {
        let left = available.get(&item.sku).copied().unwrap_or_default();
        left >= item.units()
    })
}

fn granted<'a>(
    books: &mut Books,
    plan: &mut Plan<'a>,
    (request, held): (&'a HoldRequest, &'a Basket),
    amount: AmountFen,
) -> EntryRecord {
    let line_entry = &request.line_entry;
    if let SeatedBy::Gate(seats) = &mut books.seating {
        seats.take(request.order, held);
    }
    for item in line_entry.basket.items() {
        let units = item.units();
        if let Some(left) = books.available.get_mut(&item.sku) {
            *left = left.saturating_sub(units);
        }
        *plan.taken.entry(item.sku.clone()).or_default() += units;
    }
    books.live.insert(line_entry.buyer.clone());
    let mut record = settled(books, request, Outcome::Reserved, OutcomeReason::Plain);
    record.order = Some(OrderRef {
        order: request.order,
        state: OrderState::AwaitingPayment,
        version: Version(1),
        pay_by: books.pay_by,
    });
    let known = Known { record: record.clone(), hold: Some(request.hold) };
    books.known.insert(record.entry, known);
    let (outcome, reason) = (Outcome::Reserved, OutcomeReason::Plain);
    plan.verdicts.push(Verdict { line_entry, outcome, reason });
    plan.grants.push(Grant { place: plan.replies.len(), request, held, amount });
    record
}

fn settled(
    books: &Books,
    request: &HoldRequest,
    outcome: Outcome,
    reason: OutcomeReason,
) -> EntryRecord {
    let line_entry = &request.line_entry;
    EntryRecord {
        sale: books.sale.id.clone(),
        entry: line_entry.entry,
        buyer: line_entry.buyer.clone(),
        seq: line_entry.seq,
        outcome,
        reason,
        at: books.now,
        order: None,
        shop: None,
        changed_at: books.now,
    }
}

#[cfg(test)]
mod tests;
