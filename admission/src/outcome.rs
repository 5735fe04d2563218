//! Ending a place on its buyer's behalf: it is left, or refused to the banned. The ledger decides, the first outcome wins;
//! then the line frees the buyer and the bulletin tells everybody.

use std::error::Error as StdError;

use sluice_core::{
    basket::{Basket, Item},
    entry::Outcome,
    ids::BuyerId,
    line::LineEntry,
    ports::{EntryNotice, EntryRecord, NewOutcome, Notice, OutcomeReason, PortError, Settlement},
    sale::Sale,
    token::Claims,
};
use sluice_http::{Exchange, Problem};

use crate::{Admission, edge::Edge};

impl Admission {
    /// Records an outcome and returns the one that won.
    pub(crate) async fn end(
        &self,
        edge: &Edge,
        claims: &Claims,
        outcome: Outcome,
        reason: OutcomeReason,
    ) -> Result<EntryRecord, Problem> {
        // A line that is away must not keep the ledger from deciding.
        let place = self.ask(self.ports.line.find(&claims.sale, &[claims.entry])).await.ok();
        let line_entry = match place.and_then(|mut found| found.pop().flatten()) {
            Some(place) => place.line_entry,
            None => stand_in(claims, &edge.view.sale())?,
        };
        let outcomes = vec![NewOutcome { line_entry, outcome, reason }];
        let mut records = self.ask(self.ports.ledger.settle(&claims.sale, outcomes)).await?;
        let record = records.pop().ok_or_else(|| {
            Problem::from(PortError::unavailable("the ledger answered no record"))
        })?;
        self.told.insert(claims.entry);
        self.spread_word(&record).await;
        Ok(record)
    }

    /// Refuses the waiting place of a request with a banned header, and the request with it.
    pub(crate) async fn turn_away(&self, edge: &Edge, claims: &Claims) -> Result<Problem, Problem> {
        self.end(edge, claims, Outcome::Refused, OutcomeReason::Banned).await?;
        Ok(banned())
    }

    pub(crate) fn has_banned_header(&self, exchange: &Exchange) -> bool {
        self.ports.directory.bans().covers_header(|name| exchange.header(name))
    }

    /// What the line and the bulletin miss here they hear later: from the dispatcher, which meets the ledger's outcome,
    /// and from the relay of untold outcomes.
    async fn spread_word(&self, record: &EntryRecord) {
        let settlement = Settlement { outcome: record.outcome, live: record.is_live() };
        let settled =
            self.ask(self.ports.line.settle(&record.sale, &[(record.entry, settlement)])).await;
        let notice =
            Notice::Entries { sale: record.sale.clone(), entries: vec![EntryNotice::of(record)] };
        let told = self.ask(self.ports.bulletin.publish(notice)).await;
        if told.is_ok() && settled.is_ok() {
            let marked = self.ask(self.ports.ledger.told(&[record.entry])).await;
            drop(marked); // the relay tells it once more
        }
        if settled.is_err() || told.is_err() {
            tracing::warn!(sale = %record.sale, "an outcome is recorded, but the line or the bulletin has not heard of it");
        }
    }
}

pub(crate) fn banned() -> Problem {
    Problem::forbidden(
        "banned",
        "Buyers, addresses or headers like these are kept out of this sale.",
    )
}

/// The entry as far as its token tells, for a line that has forgotten it. Neither `left` nor `refused` moves stock, so
/// the unknown buyer changes nothing.
fn stand_in(claims: &Claims, sale: &Sale) -> Result<LineEntry, Problem> {
    let impossible =
        |cause: &dyn StdError| Problem::from(PortError::unavailable(cause.to_string()));
    let buyer =
        BuyerId::new(&format!("unknown-{}", claims.entry)).map_err(|error| impossible(&error))?;
    let mut items = sale.items(&claims.wants);
    if items.is_empty() {
        // The sale was made again, with other goods.
        items.extend(sale.skus.first().map(|sku| Item::counted(sku.sku.clone(), 1)));
    }
    let basket = Basket::new(items).map_err(|error| impossible(&error))?;
    Ok(LineEntry {
        entry: claims.entry,
        buyer,
        seq: claims.seq,
        holes_below: claims.holes_below,
        basket,
        joined_at: claims.joined_at,
        address: None,
        reach: None,
        stands_since: None,
    })
}
