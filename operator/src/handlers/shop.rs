//! The shop's own order backend reports: what a turn came to, what became of its order, how much can still be sold.
//!
//! The ledger decides, once per entry; then the line and the bulletin hear of it, before the shop is answered. A repeat does
//! all of that again, so a report that was not answered is repeated until it is. None of it is in the audit log: it is
//! the sale's own traffic, and stands in outcomes and histories.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    entry::{EntryState, Outcome},
    ids::{EntryId, OrderId, SaleId, ShopOrderId, SkuId, Version},
    order::{Order, OrderState},
    policy::OutOfRange,
    ports::{
        EntryNotice, EntryRecord, Notice, OutcomeReason, ShopOutcome, ShopReply, ShopReport,
        ShopWord, StepReply,
    },
    sale::STOCK_MAX,
};
use sluice_http::{Exchange, Problem, Response};

use crate::{
    audited::sale_of,
    config::Shop,
    desk::Desk,
    metrics,
    reply::{fresh, no_such_sale, no_such_sku},
    wire::{RemainingBody, ShopBody, ShopSays},
};

/// What the shop is answered: where the entry, and its order, stand.
#[derive(Debug, Serialize)]
struct TurnObject<'a> {
    entry: EntryId,
    sale: &'a SaleId,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    order: Option<&'a ShopOrderId>,
    state: Option<OrderState>,
    version: Version,
    pay_by: Option<UnixMillis>,
    url: Option<&'a str>,
}

/// `POST /v1/turns/{entry}/outcome`
pub(crate) async fn outcome(desk: Arc<Desk>, mut exchange: Exchange) -> Result<Response, Problem> {
    let shop = desk.shop()?;
    let body: ShopBody = exchange.json(desk.limits.body_bytes_max).await?;
    let entry: EntryId = exchange.param("entry").parse().map_err(|_| no_such_turn())?;
    let now = desk.ports.clock.now();
    let id = OrderId::generate(now, &desk.random);
    match body.read(&shop.link_hosts, now, id)? {
        ShopSays::Outcome(outcome) => settle(&desk, entry, outcome).await,
        ShopSays::State { order, word } => step(&desk, entry, &order, word).await,
    }
}

async fn settle(desk: &Desk, entry: EntryId, outcome: ShopOutcome) -> Result<Response, Problem> {
    let report = ShopReport { entry, outcome };
    let record = match desk.ports.ledger.report(&report).await? {
        ShopReply::NoSuchTurn => return Err(no_such_turn()),
        ShopReply::Settled(record) => {
            if let Some(order) = record.order {
                metrics::order_entered(&record.sale, order.state);
            }
            record
        }
        ShopReply::Known(record) => record,
    };
    desk.spread(&record).await?;
    if report.outcome.is_that_of(&record) {
        return Ok(answer(&record));
    }
    let stands = match (&record.shop, record.reason) {
        (Some(shop), _) => format!("`reserved`, with the order `{}`", shop.id),
        (None, OutcomeReason::Plain) => format!("`{}`", record.outcome.as_str()),
        (None, reason) => format!("`{}` ({})", record.outcome.as_str(), reason.as_str()),
    };
    let detail = format!(
        "The entry has ended as {stands}, and that stands: take back what was set aside for it."
    );
    Err(Problem::conflict("wrong_state", detail))
}

async fn step(
    desk: &Desk,
    entry: EntryId,
    order: &ShopOrderId,
    word: ShopWord,
) -> Result<Response, Problem> {
    let order = match desk.ports.ledger.hear(entry, order, word).await? {
        StepReply::Done { order, gate: _ } => {
            metrics::order_entered(&order.sale, order.state);
            order
        }
        StepReply::Already { order, gate: _ } => order,
        StepReply::Wrong(order) => {
            let detail = format!(
                "The order is `{}`; only one that awaits payment is paid or closed.",
                order.state.as_str()
            );
            return Err(Problem::conflict("wrong_state", detail));
        }
        StepReply::NoSuchOrder => {
            return Err(Problem::not_found(
                "no_such_order",
                "No order of this name was reported for this entry. Report its `outcome` first.",
            ));
        }
    };
    announce(desk, &order).await;
    let mut known = desk.ports.ledger.entries(&[entry]).await?;
    let record = known.pop().flatten().ok_or_else(no_such_turn)?;
    Ok(answer(&record))
}

async fn announce(desk: &Desk, order: &Order) {
    let notice = EntryNotice {
        entry: order.entry,
        version: EntryState::Reserved.version(Some(order.version)),
        state: EntryState::Reserved,
        order: Some(order.id),
        pay_by: Some(order.pay_by),
    };
    desk.tell(Notice::Entries { sale: order.sale.clone(), entries: vec![notice] }).await;
}

fn answer(record: &EntryRecord) -> Response {
    let state = EntryState::from(record.outcome);
    let shop = record.shop.as_ref();
    let object = TurnObject {
        entry: record.entry,
        sale: &record.sale,
        outcome: record.outcome,
        reason: (record.reason != OutcomeReason::Plain).then(|| record.reason.as_str()),
        order: shop.map(|shop| &shop.id),
        state: record.order.map(|order| order.state),
        version: state.version(record.order.map(|order| order.version)),
        pay_by: record.order.map(|order| order.pay_by),
        url: shop.and_then(|shop| shop.link.as_deref()),
    };
    fresh(StatusCode::OK, &object)
}

/// `PUT /v1/sales/{sale}/skus/{sku}/remaining`: units, and of a seated SKU whole journeys, as `remaining` is told to buyers.
pub(crate) async fn remaining(
    desk: Arc<Desk>,
    mut exchange: Exchange,
) -> Result<Response, Problem> {
    desk.shop()?;
    let body: RemainingBody = exchange.json(desk.limits.body_bytes_max).await?;
    let (sale, sku) = (sale_of(&exchange)?, sku_of(&exchange)?);
    let units = body.remaining.to_u64();
    if units > STOCK_MAX {
        let rule = format!("must be 0 to {STOCK_MAX}");
        return Err(Problem::out_of_range(&OutOfRange::new("remaining", rule)));
    }
    let known = desk.ports.ledger.sale(&sale).await?.ok_or_else(no_such_sale)?;
    let goods = known.sku(&sku).ok_or_else(no_such_sku)?;
    let legs = goods.seating.as_ref().map_or(1, |seating| u64::from(seating.legs()));
    if !desk.ports.ledger.tell_remaining(&sale, &sku, units * legs).await? {
        return Err(no_such_sku());
    }
    desk.tell(Notice::StockReturned { sale: sale.clone() }).await;
    Ok(fresh(StatusCode::OK, &Told { sale: &sale, sku: &sku, remaining: units }))
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    sale: &'a SaleId,
    sku: &'a SkuId,
    remaining: u64,
}

impl Desk {
    /// How the shop's own order backend is set up; 409 when turns are settled here.
    fn shop(&self) -> Result<&Shop, Problem> {
        self.shop.as_ref().ok_or_else(|| {
            Problem::conflict(
                "wrong_state",
                "Turns are settled by sluice's own workers: set `worker.mode = \"external\"` in every process first.",
            )
        })
    }
}

fn sku_of(exchange: &Exchange) -> Result<SkuId, Problem> {
    SkuId::new(exchange.param("sku")).map_err(|_| no_such_sku())
}

fn no_such_turn() -> Problem {
    Problem::not_found("no_such_turn", "No turn of this entry was released to an order backend.")
}
