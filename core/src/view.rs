//! What an edge node knows by heart: every sale, how its line stands, who is banned, which places were moved. Polls and pushes are answered from
//! it, so a million watchers cost the stores nothing.
//!
//! [`Directory`] is the memory; [`follow`](follow::follow) keeps it fresh from the bulletin, and from the stores when the
//! bulletin is silent; [`Lookup`](lookup::Lookup) tells a buyer where an entry stands.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use tokio::{sync::watch, time::Instant};

use crate::{
    basket::Wants,
    clock::UnixMillis,
    forecast::{Outlook, Wanted},
    ids::{EntryId, SaleId},
    line::Cursor,
    policy::Limits,
    ports::{BanList, LineReport, PUSH_REPORT_EVERY, PlaceMove, PushReport},
    sale::{Sale, SaleState},
    token::Claims,
};

pub mod follow;
pub mod lookup;
mod moves;
pub mod object;

use moves::Moves;

/// A line that was not heard of for this long is pulled from the stores.
pub const SILENCE_MAX: Duration = Duration::from_secs(2);
/// A node that was not heard of for this long has no push connections any more.
const PUSH_SILENCE_MAX: Duration = PUSH_REPORT_EVERY.saturating_mul(3);

/// Everything an edge node knows.
#[derive(Debug, Default)]
pub struct Directory {
    sales: ArcSwap<HashMap<SaleId, Arc<SaleView>>>,
    bans: ArcSwap<BanList>,
    moves: Moves,
}

impl Directory {
    /// The view of a sale, if this node has heard of it.
    #[must_use]
    pub fn sale(&self, sale: &SaleId) -> Option<Arc<SaleView>> {
        self.sales.load().get(sale).cloned()
    }

    /// Every sale known.
    #[must_use]
    pub fn sales(&self) -> Vec<Arc<SaleView>> {
        self.sales.load().values().cloned().collect()
    }

    #[must_use]
    pub fn bans(&self) -> Arc<BanList> {
        self.bans.load_full()
    }

    /// Takes in a sale as the ledger has it; an older version of a known one is ignored.
    pub fn learn_sale(&self, sale: Arc<Sale>) -> Arc<SaleView> {
        if let Some(view) = self.sale(&sale.id) {
            view.learn_sale(sale);
            return view;
        }
        let view = Arc::new(SaleView::new(Arc::clone(&sale)));
        self.sales.rcu(|known| {
            let mut next = HashMap::clone(known);
            next.entry(sale.id.clone()).or_insert_with(|| Arc::clone(&view));
            next
        });
        // Another task may have been first: everybody must share one view.
        let view = self.sale(&sale.id).unwrap_or(view);
        view.learn_sale(sale);
        view
    }

    /// Takes in how a line stands; ignored for an unknown sale.
    pub fn learn_line(&self, report: LineReport) -> Option<Arc<SaleView>> {
        let view = self.sale(&report.sale)?;
        view.learn_line(report);
        Some(view)
    }

    /// Takes in how many push connections a node has; ignored for an unknown sale.
    pub fn learn_pushed(&self, report: &PushReport) {
        if let Some(view) = self.sale(&report.sale) {
            view.learn_pushed(report.node, report.connections);
        }
    }

    pub fn learn_bans(&self, bans: BanList) {
        if bans.version >= self.bans.load().version {
            self.bans.store(Arc::new(bans));
        }
    }

    /// Takes in that a place was moved to another device.
    pub fn learn_move(&self, told: PlaceMove) {
        self.moves.learn(told);
    }

    /// When a place was last moved, as far as this node has heard.
    #[must_use]
    pub fn moved_at(&self, entry: EntryId) -> Option<UnixMillis> {
        self.moves.at(entry)
    }

    /// Whether a place was taken to another device since these claims' holder has held it, as far as this node has heard: then they
    /// prove nothing any more.
    #[must_use]
    pub fn has_moved(&self, claims: &Claims) -> bool {
        self.has_moved_since(claims.entry, claims.held_since)
    }

    /// The same of an entry and since when it is held.
    #[must_use]
    pub fn has_moved_since(&self, entry: EntryId, held_since: UnixMillis) -> bool {
        self.moves.is_past(entry, held_since)
    }

    /// Forgets a deleted sale.
    pub fn forget(&self, sale: &SaleId) {
        // Whatever view is taken out is ended: it may be of a sale that was made again meanwhile.
        let before = self.sales.rcu(|known| {
            let mut next = HashMap::clone(known);
            next.remove(sale);
            next
        });
        if let Some(view) = before.get(sale) {
            view.end();
        }
    }
}

/// One sale, as an edge node sees it.
#[derive(Debug)]
pub struct SaleView {
    sale: ArcSwap<Sale>,
    line: ArcSwapOption<Heard>,
    /// Where the line stood in the ledger: what is known before the first report.
    start: ArcSwap<Cursor>,
    /// Push connections by node, and when that node was heard.
    pushed: Mutex<HashMap<u64, (u64, Instant)>>,
    changed: watch::Sender<Change>,
    gone: AtomicBool,
}

/// A line's report and when this node heard it.
#[derive(Debug)]
struct Heard {
    report: LineReport,
    at: Instant,
}

/// What a watcher of a view is woken for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Change {
    /// The `n`-th change.
    News(u64),
    /// The sale was deleted: nothing more will come.
    Gone,
}

impl SaleView {
    fn new(sale: Arc<Sale>) -> Self {
        Self {
            sale: ArcSwap::new(sale),
            line: ArcSwapOption::empty(),
            start: ArcSwap::default(),
            pushed: Mutex::default(),
            changed: watch::Sender::new(Change::News(0)),
            gone: AtomicBool::new(false),
        }
    }

    /// The sale as last heard of.
    #[must_use]
    pub fn sale(&self) -> Arc<Sale> {
        self.sale.load_full()
    }

    /// The limits of the sale as last heard of.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.sale.load().policy.limits
    }

    /// Everything needed to answer a request, taken at one moment.
    #[must_use]
    pub fn read(&self) -> Reading {
        Reading { sale: self.sale.load(), line: self.line.load(), start: self.start.load() }
    }

    /// Wakes on every change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Change> {
        self.changed.subscribe()
    }

    /// How long the line has been silent; `None` if it was never heard of.
    #[must_use]
    pub fn silent_for(&self) -> Option<Duration> {
        self.line.load().as_ref().map(|heard| heard.at.elapsed())
    }

    /// Push connections of all nodes, as they say themselves.
    #[must_use]
    pub fn push_connections(&self) -> u64 {
        let pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = pushed.values().filter(|(_, at)| at.elapsed() < PUSH_SILENCE_MAX);
        heard.map(|(connections, _)| connections).sum()
    }

    fn learn_pushed(&self, node: u64, connections: u64) {
        let mut pushed = self.pushed.lock().unwrap_or_else(PoisonError::into_inner);
        pushed.insert(node, (connections, Instant::now()));
        pushed.retain(|_, (connections, at)| *connections > 0 && at.elapsed() < PUSH_SILENCE_MAX);
    }

    fn learn_sale(&self, sale: Arc<Sale>) {
        if self.sale.load().version < sale.version {
            self.sale.store(sale);
            self.wake();
        }
    }

    fn learn_start(&self, cursor: Cursor) {
        if self.start.load().serving <= cursor.serving {
            self.start.store(Arc::new(cursor));
        }
    }

    fn learn_line(&self, report: LineReport) {
        let newer = self.line.load().as_ref().is_none_or(|heard| {
            (heard.report.epoch, heard.report.version) < (report.epoch, report.version)
                && heard.report.cursor.serving <= report.cursor.serving
        });
        if newer {
            self.line.store(Some(Arc::new(Heard { report, at: Instant::now() })));
            self.wake();
        }
    }

    /// Lays what the stores say over the last report, when the bulletin has been silent.
    fn learn_snapshot(&self, cursor: Cursor, waiting: u64) {
        let Some(heard) = self.line.load_full() else { return };
        if heard.report.cursor.serving <= cursor.serving {
            let report = LineReport { cursor, waiting, ..heard.report.clone() };
            self.line.store(Some(Arc::new(Heard { report, at: Instant::now() })));
            self.wake();
        }
    }

    fn wake(&self) {
        self.changed.send_modify(|change| {
            if let Change::News(n) = change {
                *n += 1;
            }
        });
    }

    /// Whether the sale was deleted: one of the same name that is made later has a view of its own.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.gone.store(true, Ordering::Release);
        self.changed.send_replace(Change::Gone);
    }
}

/// A sale and its line at one moment. Kept for one answer, not longer: it borrows from the view without a shared count,
/// which polls on many processors would fight over.
#[derive(Debug)]
pub struct Reading {
    pub sale: Guard<Arc<Sale>>,
    line: Guard<Option<Arc<Heard>>>,
    start: Guard<Arc<Cursor>>,
}

impl Reading {
    /// The last report of the line; `None` before the first.
    #[must_use]
    pub fn report(&self) -> Option<&LineReport> {
        self.line.as_ref().map(|heard| &heard.report)
    }

    /// Whether the report is older than the bulletin's longest silence.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.line.as_ref().is_some_and(|heard| heard.at.elapsed() > SILENCE_MAX)
    }

    #[must_use]
    pub fn cursor(&self) -> &Cursor {
        self.report().map_or(&**self.start, |report| &report.cursor)
    }

    /// What the public is told at `now`.
    #[must_use]
    pub fn state(&self, now: UnixMillis) -> SaleState {
        self.sale.state(now, self.report().is_some_and(|report| report.sold_out))
    }

    /// Units that can be sold now; the stock it began with before the first report.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.report().map_or_else(
            || self.sale.skus.iter().map(|sku| sku.sellable(sku.stock)).sum(),
            |report| report.remaining,
        )
    }

    /// Turns per second, as the public is told.
    #[must_use]
    pub fn rate_per_second(&self) -> f64 {
        self.report().map_or(0.0, |report| report.rate_per_second)
    }

    /// What is left of the goods a buyer wants. Goods that the sale does not have are left out.
    pub fn wanted<'a>(&'a self, wants: &'a Wants) -> impl Iterator<Item = Wanted> + Clone + 'a {
        wants.lines().iter().filter_map(|want| {
            let sku = self.sale.skus.get(usize::from(want.sku))?;
            let remaining = match self.report() {
                None => sku.sellable(sku.stock),
                Some(report) => {
                    let told = report.skus.iter().find(|told| told.sku == sku.sku);
                    told.map_or(report.remaining, |told| told.remaining_over(want.stretch))
                }
            };
            Some(Wanted { units: want.quantity.into(), remaining })
        })
    }

    /// What forecasts are made from.
    #[must_use]
    pub fn outlook(&self, now: UnixMillis) -> Outlook {
        let state = self.state(now);
        let opens_in = self.sale.opens_at.map_or(Duration::ZERO, |at| at.since(now));
        Outlook {
            law: self.sale.policy.law(),
            moving: matches!(state, SaleState::Open | SaleState::Scheduled),
            opens_in_seconds: opens_in.as_secs_f64(),
            remaining: self.remaining(),
            unpaid: self.report().map_or(0, |report| report.unpaid),
            units_per_turn: self.report().map_or(1.0, |report| report.units_per_turn),
            sold_out: matches!(state, SaleState::SoldOut | SaleState::Closed),
        }
    }
}
