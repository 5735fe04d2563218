//! The ledger's book of upkeep: whose duty it is to look after a sale, what the last reconciliation found, which keys are
//! remembered, and what happened in a sale, minute by minute.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    clock::UnixMillis,
    ids::{HoldId, SaleId},
    money::AmountFen,
    ports::{
        MoneyBalance, PortResult, StockBalance,
        gate::{GateImage, HoldPhase},
    },
    reconcile::Reconciliation,
};

/// What one process at a time does for a sale.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Duty {
    Reconciliation,
}

impl Duty {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Reconciliation => "reconciliation",
        }
    }
}

/// A sale's books: one consistent reading of its balances, its live holds and its money.
#[derive(Clone, Debug, Default)]
pub struct Books {
    pub balances: Vec<StockBalance>,
    pub image: GateImage,
    /// By currency.
    pub money: Vec<MoneyBalance>,
}

/// The last movement of a hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HoldWord {
    pub movement: u64,
    pub phase: HoldPhase,
    /// How long ago that was, by the ledger's clock.
    pub age: Duration,
}

/// What a sweep of idempotency keys did.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct KeysSwept {
    /// Older than 7 days: no longer compared, kept for 30 days more.
    pub archived: u64,
    /// Gone for good.
    pub dropped: u64,
}

/// What happened in a sale within one minute.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SaleMinute {
    /// When it began.
    pub at: UnixMillis,
    /// Entries that joined, of those that have an outcome.
    pub joined: u64,
    pub reserved: u64,
    pub sold_out: u64,
    pub left: u64,
    pub expired: u64,
    pub refused: u64,
    /// Orders that became so, and what those that were paid cost.
    pub paid: u64,
    pub paid_amount: AmountFen,
    pub closed: u64,
    pub fulfilled: u64,
    pub failed: u64,
    pub refunded: u64,
}

/// See the module.
#[async_trait]
pub trait UpkeepBook {
    /// Takes or prolongs a duty for `holder`; `false` while it is somebody else's. It runs out by itself.
    async fn take_duty(
        &self,
        sale: &SaleId,
        duty: Duty,
        holder: &str,
        ttl: Duration,
    ) -> PortResult<bool>;

    async fn books(&self, sale: &SaleId) -> PortResult<Books>;

    /// The last word on each of these holds, in order; `None` for one that was never recorded.
    async fn hold_words(&self, holds: &[HoldId]) -> PortResult<Vec<Option<HoldWord>>>;

    /// Keeps what a reconciliation found, in the place of what the one before it did. It goes with its sale.
    async fn keep_reconciliation(&self, found: &Reconciliation) -> PortResult<()>;

    /// The last one of every sale, in the order of their ids.
    async fn reconciliations(&self) -> PortResult<Vec<Reconciliation>>;

    /// Moves keys older than 7 days to the archive, and drops those that have been there for 30; at most `limit` of each.
    async fn sweep_keys(&self, limit: u32) -> PortResult<KeysSwept>;

    /// The last `limit` minutes in which something happened, in order.
    async fn minutes(&self, sale: &SaleId, limit: u32) -> PortResult<Vec<SaleMinute>>;
}
