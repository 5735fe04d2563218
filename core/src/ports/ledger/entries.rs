//! The ledger's book of entries: one outcome each, the first one wins; and the hold that makes an order.

use async_trait::async_trait;

use crate::{
    basket::Basket,
    clock::UnixMillis,
    entry::Outcome,
    ids::{BuyerId, EntryId, HoldId, OrderId, SaleId, Seq, Version},
    line::LineEntry,
    order::{OrderState, ShopOrder},
    ports::PortResult,
};

/// Why an outcome came about, in one word for support and pages; finer than the outcome.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OutcomeReason {
    /// The ordinary reason of that outcome.
    Plain,
    /// `refused`: the buyer has another live order or place in this sale.
    Duplicate,
    /// `refused`: over `per_buyer_units`.
    OverLimit,
    /// `refused`: banned.
    Banned,
    /// `sold_out`: the sale was closed before the turn came.
    Closed,
}

impl OutcomeReason {
    pub const ALL: [Self; 5] =
        [Self::Plain, Self::Duplicate, Self::OverLimit, Self::Banned, Self::Closed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Duplicate => "duplicate",
            Self::OverLimit => "over_limit",
            Self::Banned => "banned",
            Self::Closed => "closed",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}

/// An outcome to record, other than `reserved`.
#[derive(Clone, Debug)]
pub struct NewOutcome {
    pub line_entry: LineEntry,
    pub outcome: Outcome,
    pub reason: OutcomeReason,
}

/// The order of a reserved entry, as far as its buyer is told with the entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OrderRef {
    pub order: OrderId,
    pub state: OrderState,
    pub version: Version,
    pub pay_by: UnixMillis,
}

/// An entry that has its outcome.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EntryRecord {
    pub sale: SaleId,
    pub entry: EntryId,
    pub buyer: BuyerId,
    pub seq: Seq,
    pub outcome: Outcome,
    pub reason: OutcomeReason,
    pub at: UnixMillis,
    /// Present exactly when the outcome is `reserved`.
    pub order: Option<OrderRef>,
    /// Present when the shop's own order backend made that order.
    pub shop: Option<ShopOrder>,
    /// The last change of the entry or its order: its token may be renewed for 30 days after it.
    pub changed_at: UnixMillis,
}

impl EntryRecord {
    /// Whether its buyer still has a live place by it: reserved with a live order.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.order.is_some_and(|order| order.state.is_live())
    }
}

/// A turn that asks for its goods.
#[derive(Clone, Debug)]
pub struct HoldRequest {
    pub line_entry: LineEntry,
    pub hold: HoldId,
    /// The id of the order, if there is to be one.
    pub order: OrderId,
    pub gate: GateSaid,
}

/// What the stock gate said of a demand: the ledger grants only what the gate has set aside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GateSaid {
    Held,
    /// Held, with these seats: the same basket, seated.
    Seated(Basket),
    Short,
}

/// What became of a turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HoldReply {
    /// The entry has this outcome now, by this call. `movement` is the number of the hold's row when it is `reserved`.
    Settled { record: EntryRecord, movement: Option<u64> },
    /// The entry had this outcome before; nothing changed. If it is `reserved`, `hold` is the hold of its order.
    Known { record: EntryRecord, hold: Option<HoldId> },
    /// The gate said no but the ledger has the stock: set the gate right and try again. Nothing changed.
    GateWrong,
    /// It is an offer, and its goods went to somebody else: the entry goes on standing by. Nothing changed.
    StandsBy,
    /// The sale is frozen: nothing is held anew until somebody lifts that. Nothing changed.
    Frozen,
    /// The gate chose seats that the ledger has given to these orders: tell the gate the ledger's word on each
    /// ([`words`](super::OrderBook::words)), give back what it set aside, and ask again under another hold. Nothing changed.
    SeatsTaken { by: Vec<OrderId> },
}

/// A request that must be done once. `body` is a hash of the canonical request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdempotencyKey {
    /// What the key is unique within: a sale and buyer, or an order and verb.
    pub scope: String,
    pub key: String,
    pub body: [u8; 32],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Replay {
    /// Not seen before; recorded now.
    First,
    /// Seen before with the same body.
    Same,
    /// Seen before with another body.
    Different,
}

/// See the module.
#[async_trait]
pub trait EntryBook {
    /// What is recorded of these entries, in order; `None` for one that has no outcome.
    async fn entries(&self, entries: &[EntryId]) -> PortResult<Vec<Option<EntryRecord>>>;

    /// Records outcomes, each unless the entry has one; answers the one that won, in order.
    async fn settle(
        &self,
        sale: &SaleId,
        outcomes: Vec<NewOutcome>,
    ) -> PortResult<Vec<EntryRecord>>;

    /// Settles a batch of turns of one sale in one transaction, granted in order of `seq`: an outcome per entry, first
    /// one wins; order, hold, movement, history and outbox row with each `reserved`. Demand is checked against the
    /// balance by predicate, and what the balance lacks is `sold_out` whatever the gate said; so is a demand for seats to
    /// which the gate said no, where the ledger's own seat map has none. An entry that stands by goes on doing so instead. `no-oversell`, per SKU and per seat-leg, and one
    /// live order per (sale, buyer) are constraints below that. Prices and
    /// the payment window are the sale's at this moment. Replies in the order of `requests`.
    async fn hold(&self, sale: &SaleId, requests: Vec<HoldRequest>) -> PortResult<Vec<HoldReply>>;

    /// Remembers an idempotency key for 7 days, or compares it.
    async fn replay(&self, key: &IdempotencyKey) -> PortResult<Replay>;

    /// Outcomes that were committed but not yet marked as told, oldest first: what a crash kept from the bulletin.
    async fn untold(&self, limit: u32) -> PortResult<Vec<EntryRecord>>;

    /// Marks outcomes as told. A ledger may go on telling some that were written together with others not told yet: whoever
    /// hears of an outcome goes by its version.
    async fn told(&self, entries: &[EntryId]) -> PortResult<()>;
}
