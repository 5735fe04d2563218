//! Passing: outcomes without a turn, in bulk and free of the law. The ledger first, then the line, then the bulletin.

use std::time::Duration;

use sluice_core::{
    entry::Outcome,
    event::SettledBy,
    ids::Seq,
    ports::{EntryRecord, NewOutcome, OutcomeReason, PortResult},
};
use tokio::time::Instant;

use super::{
    Speech,
    jobs::{Done, Hands, LedgerStock},
    taking_in::settlement,
};
use crate::{
    ending,
    ports::within,
    takeover,
    window::{Arrival, Place, place},
};

/// How long the gate and the ledger may disagree that goods are gone before the gate is set right.
const DISAGREE_MAX: Duration = Duration::from_secs(2);
/// How often the ledger is asked while the gate says that somebody's goods are gone.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How often while nobody waits for them.
const ASK_IDLE_EVERY: Duration = Duration::from_secs(1);

/// What is known of the end of the stock.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The ledger has confirmed that nothing is available and nothing held. Cleared by whatever says otherwise.
    pub(super) sold_out: bool,
    asked_at: Option<Instant>,
    /// Who was here when the ledger was asked: its answer is about nobody else.
    asked_for: Arrival,
    /// Since when the gate has been saying `gone` and the ledger not.
    disagree_since: Option<Instant>,
    /// Whether the stock or the line has changed since it was last looked at.
    look: bool,
    /// By the last look, somebody waits whose goods cannot come back by the gate's word.
    lost: bool,
}

impl Ending {
    /// The stock or the line has changed.
    pub(super) fn look_again(&mut self) {
        self.look = true;
    }

    /// The ledger could not be asked: not again at once.
    pub(super) fn ask_later(&mut self, now: Instant) {
        self.asked_at = Some(now + ASK_IDLE_EVERY);
    }
}

impl Speech<'_> {
    /// Passes everybody when the sale is over, and asks the ledger when the gate says that somebody's goods are gone.
    pub(super) async fn end_what_is_over(&mut self, now: Instant) {
        if self.is_over() {
            for entry in self.window.take_all(|_| true) {
                self.pass(entry, Outcome::SoldOut, OutcomeReason::Closed);
            }
            self.end_standby(now);
            self.telling.touch();
        }
        let gone = self.stock.is_gone();
        if !gone && self.ending.sold_out {
            self.ending.sold_out = false;
            self.telling.hasten();
        }
        if self.ending.look {
            self.ending.look = false;
            self.ending.lost = self.somebody_lost();
        }
        let lost = self.ending.lost && self.is_open();
        if !gone && !lost {
            self.ending.disagree_since = None;
            return;
        }
        let every = if lost { ASK_EVERY } else { ASK_IDLE_EVERY };
        let due = self.ending.asked_at.is_none_or(|asked| now.duration_since(asked) >= every);
        if due && !self.under_way.stock {
            self.ending.asked_at = Some(now);
            self.ending.asked_for = self.window.last_arrival();
            self.under_way.stock = true;
            let hands = self.hands();
            // Where the shop settles, nobody here knows who sits where.
            let seats = lost
                && self.sale.skus.iter().any(|sku| sku.seating.is_some())
                && self.shared.config.settled_by == SettledBy::Worker;
            self.begin(async move { Done::Stock(read_ledger(hands, seats).await) }).await;
        }
    }

    /// The ledger's word on the stock: ends those whose goods are gone, if the gate still agrees.
    pub(super) async fn stock_read(&mut self, read: &LedgerStock) {
        let LedgerStock { balances, seats } = read;
        let sold_out = ending::is_sold_out(balances) && self.stock.is_gone();
        if sold_out != self.ending.sold_out {
            self.ending.sold_out = sold_out;
            self.telling.hasten();
        }
        if self.is_open() {
            let stock = &self.stock;
            let ended = self.window.take_kinds(self.ending.asked_for, |basket| {
                !stock.may_come_to_fit(basket) && ending::is_gone(basket, balances, seats.as_ref())
            });
            for entry in ended {
                self.end_or_stand(entry);
            }
            self.end_standby_without_goods(balances, seats.as_ref());
        }
        self.ending.look_again();
        let lost = self.somebody_lost();
        let disagree = lost || (self.stock.is_gone() && !sold_out);
        if !disagree {
            self.ending.disagree_since = None;
            return;
        }
        let now = Instant::now();
        let since = *self.ending.disagree_since.get_or_insert(now);
        if now.duration_since(since) >= DISAGREE_MAX && !self.under_way.gate {
            self.ending.disagree_since = None;
            self.set_gate_right().await;
        }
    }

    /// The gate says gone, the ledger does not: the gate has missed something, and the line would stand for ever.
    async fn set_gate_right(&mut self) {
        tracing::warn!(sale = %self.feed.id, "the stock gate lacks what the ledger has; rebuilding it");
        self.under_way.gate = true;
        let (Hands { shared, epoch, .. }, feed) = (self.hands(), self.feed.clone());
        let job = async move {
            let rebuilt = takeover::rebuild_gate(&shared.config, &shared.ports, &feed, epoch);
            Done::GateRebuilt(rebuilt.await)
        };
        self.begin(job).await;
    }

    /// Writes the outcomes of those in hand, as many at once as is allowed.
    pub(super) async fn settle_passing(&mut self) {
        let (most, at_once) =
            (self.shared.config.settlement_entries_max, self.shared.config.settlements_max);
        while !self.passing.is_empty() && self.under_way.settlements < at_once {
            let count = self.passing.len().min(most);
            let outcomes: Vec<NewOutcome> = self.passing.drain(..count).collect();
            let places = outcomes.iter().map(|outcome| place(&outcome.line_entry)).collect();
            self.under_way.settlements += 1;
            let hands = self.hands();
            let job =
                async move { Done::Settled { places, result: settle(hands, outcomes).await } };
            self.begin(job).await;
        }
    }

    /// Outcomes are durable: whichever won, these or earlier ones.
    pub(super) async fn settled(&mut self, places: &[Place], records: Vec<EntryRecord>) {
        for place in places {
            self.window.finish(*place);
        }
        if places.iter().any(|(seq, _)| *seq == Seq(0)) {
            self.standing.read_again();
        }
        self.tell_outcomes(records).await;
    }
}

/// The balances, and the seats if they are asked for.
async fn read_ledger(hands: Hands, seats: bool) -> PortResult<LedgerStock> {
    let Hands { shared, sale, .. } = hands;
    let (limit, ledger) = (shared.config.port_timeout, &shared.ports.ledger);
    let balances = within(limit, ledger.stock(&sale)).await?;
    let seats = if seats { Some(within(limit, ledger.gate_image(&sale)).await?) } else { None };
    Ok(LedgerStock { balances, seats })
}

/// The ledger decides, the line hears of it.
async fn settle(hands: Hands, outcomes: Vec<NewOutcome>) -> PortResult<Vec<EntryRecord>> {
    let Hands { shared, sale, .. } = hands;
    let limit = shared.config.port_timeout;
    let records = within(limit, shared.ports.ledger.settle(&sale, outcomes)).await?;
    let settled: Vec<_> = records.iter().map(|record| (record.entry, settlement(record))).collect();
    within(limit, shared.ports.line.settle(&sale, &settled)).await?;
    Ok(records)
}
