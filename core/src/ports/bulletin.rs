//! Port: the bulletin. What is broadcast to every edge node: the line's state, what became of entries, changed sales.
//!
//! Lossy by design: a subscriber that falls behind is told that it missed something and pulls a snapshot; nothing is
//! carried by the bulletin alone. Order is kept per publisher; newest wins, by the versions inside.

use std::{fmt::Debug, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{EntryRecord, PlaceMove, PortResult};
use crate::{
    clock::UnixMillis,
    entry::EntryState,
    ids::{EntryId, Epoch, OrderId, SaleId, SkuId, Version},
    line::Cursor,
    sale::Sale,
    seats::Stretch,
};

/// One thing everybody should hear.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Notice {
    /// How a line stands; on change at most 10 a second, at least every second.
    Line(LineReport),
    /// What became of entries.
    Entries {
        sale: SaleId,
        entries: Vec<EntryNotice>,
    },
    /// A sale was made or changed.
    Sale {
        sale: Arc<Sale>,
    },
    SaleDeleted {
        sale: SaleId,
    },
    /// Stock came back or was added: the dispatcher wakes.
    StockReturned {
        sale: SaleId,
    },
    /// The list of bans changed: read it again.
    Bans,
    /// A place was taken to another device.
    Moved(PlaceMove),
    /// How many push connections one node has of a sale: on change at most once a second, and while there are any at least
    /// every [`PUSH_REPORT_EVERY`].
    Pushed(PushReport),
}

/// How often a node that has push connections says so at least.
pub const PUSH_REPORT_EVERY: Duration = Duration::from_secs(5);

/// The push connections of one node. Whoever is silent for three times [`PUSH_REPORT_EVERY`] has none.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PushReport {
    pub sale: SaleId,
    /// Drawn by the node when it starts.
    pub node: u64,
    pub connections: u64,
}

/// One SKU in a line's report.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct SkuReport {
    pub sku: SkuId,
    pub remaining: u64,
    /// Of a seated SKU, free seats on each leg: to be shown, not to be trusted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub free_seats: Vec<u32>,
}

impl SkuReport {
    /// What is left for one who wants this stretch: no more than the seats that are free on each leg of it.
    #[must_use]
    pub fn remaining_over(&self, stretch: Option<Stretch>) -> u64 {
        let legs = stretch.and_then(|stretch| {
            self.free_seats.get(usize::from(stretch.from())..usize::from(stretch.to()))
        });
        let least = legs.and_then(|legs| legs.iter().min());
        least.map_or(self.remaining, |free| u64::from(*free))
    }
}

/// How a line stands. A report replaces another when its (epoch, version) is higher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineReport {
    pub sale: SaleId,
    pub epoch: Epoch,
    /// Counts the reports of one epoch.
    pub version: Version,
    pub cursor: Cursor,
    /// Entries that wait: behind the cursor, or parked.
    pub waiting: u64,
    /// Turns per second by the law as it is applied now: 0 while paused, lowered by back-pressure.
    pub rate_per_second: f64,
    /// Turns per second actually released, over the last few seconds.
    pub rate_actual: f64,
    /// Units that can be sold now, over all SKUs.
    pub remaining: u64,
    /// Units held but unpaid.
    pub unpaid: u64,
    /// Entries that stand by.
    #[serde(default)]
    pub standby: u64,
    /// Units that are free and promised to those who stand by: nobody in line wants them. Not part of `remaining`.
    #[serde(default)]
    pub owed: u64,
    /// Units one turn takes on average; at least 1.
    pub units_per_turn: f64,
    pub skus: Vec<SkuReport>,
    /// Nothing available and no unpaid hold.
    pub sold_out: bool,
    /// From join to call, over the last minute; `None` when nobody was called.
    pub wait_p50_ms: Option<u64>,
    pub wait_p95_ms: Option<u64>,
    /// Turns released since the sale began, as far as this speaker knows.
    pub turns: u64,
    /// The version of the sale it was made under: a subscriber that knows a lower one reads the sale again.
    pub sale_version: Version,
    pub at: UnixMillis,
}

/// What became of one entry. Ignored unless `version` is higher than what is known.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct EntryNotice {
    pub entry: EntryId,
    pub version: Version,
    pub state: EntryState,
    pub order: Option<OrderId>,
    pub pay_by: Option<UnixMillis>,
}

impl EntryNotice {
    /// What everybody is told of a recorded outcome.
    #[must_use]
    pub fn of(record: &EntryRecord) -> Self {
        let state = EntryState::from(record.outcome);
        Self {
            entry: record.entry,
            version: state.version(record.order.map(|order| order.version)),
            state,
            order: record.order.map(|order| order.order),
            pay_by: record.order.map(|order| order.pay_by),
        }
    }
}

/// What a subscriber hears.
#[derive(Clone, Debug)]
pub enum Heard {
    Notice(Arc<Notice>),
    /// Something was lost: pull a snapshot.
    Missed,
}

#[async_trait]
pub trait Bulletin: Debug + Send + Sync {
    /// Tells everybody who listens now. `Unavailable` when that could not be done; nobody waits for it.
    async fn publish(&self, notice: Notice) -> PortResult<()>;

    /// Begins to listen: hears everything published after it returns, or `Missed`.
    async fn subscribe(&self) -> PortResult<Box<dyn Subscription>>;
}

#[async_trait]
pub trait Subscription: Debug + Send {
    /// Waits for the next thing. Cancel-safe. `Unavailable` ends the subscription: subscribe again, and pull a snapshot.
    async fn next(&mut self) -> PortResult<Heard>;
}
