//! The ledger's book of the shop: turns that were left to the shop's own order backend, and its word on them.
//!
//! The shop decides about its goods; what is kept here is who was called and not heard of yet, and what the shop has said.
//! Its word on an entry is an outcome like any other: one per entry, the first one wins. What it says is left can be sold
//! is `available`, to the letter; goods of its orders come on top as `held`, so that a line stands while one may lapse.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    clock::UnixMillis,
    entry::Outcome,
    event::Turn,
    ids::{EntryId, OrderId, SaleId, ShopOrderId, SkuId},
    order::{OrderState, ShopOrder},
    ports::{EntryRecord, PortResult, StepReply},
};

/// The shop's word on one turn.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShopReport {
    pub entry: EntryId,
    pub outcome: ShopOutcome,
}

/// What an entry came to at the shop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ShopOutcome {
    Reserved {
        /// The id we give it, if it is new.
        id: OrderId,
        order: ShopOrder,
        /// `None`: after the sale's payment window.
        pay_by: Option<UnixMillis>,
    },
    SoldOut,
    Refused,
}

impl ShopOutcome {
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Reserved { .. } => Outcome::Reserved,
            Self::SoldOut => Outcome::SoldOut,
            Self::Refused => Outcome::Refused,
        }
    }

    /// Whether a record says the same: a repeat of this report, not a contradiction.
    #[must_use]
    pub fn is_that_of(&self, record: &EntryRecord) -> bool {
        let order = match self {
            Self::Reserved { order, .. } => Some(&order.id),
            Self::SoldOut | Self::Refused => None,
        };
        self.outcome() == record.outcome && order == record.shop.as_ref().map(|shop| &shop.id)
    }
}

/// What became of a report.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ShopReply {
    /// The entry has this outcome now, by this call. It is another one than reported only where the ledger cannot hold
    /// with it: the buyer has another live order, or wants more than a buyer may.
    Settled(EntryRecord),
    /// The entry had this outcome before; nothing changed.
    Known(EntryRecord),
    /// No such turn was left to the shop.
    NoSuchTurn,
}

/// What the shop says of an order later.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ShopWord {
    Paid,
    /// Unpaid or cancelled: its goods are the shop's again.
    Closed,
}

impl ShopWord {
    /// Whether an order in this state has heard it before.
    #[must_use]
    pub fn is_said_of(self, state: OrderState) -> bool {
        match self {
            Self::Paid => {
                matches!(state, OrderState::Paid | OrderState::Fulfilling | OrderState::Fulfilled)
            }
            Self::Closed => matches!(state, OrderState::Closing | OrderState::Closed),
        }
    }
}

/// See the module.
#[async_trait]
pub trait ShopBook {
    /// Records turns that are about to be released to the shop, so that its silence is noticed. One that is recorded, or
    /// whose entry has its outcome, stays as it is.
    async fn hand_over(&self, turns: &[Turn]) -> PortResult<()>;

    /// Turns of a sale of which the shop has said nothing for `silence` since their last release, longest first, at most
    /// `limit`; each counts as released once more now, and carries that attempt. Those that nobody can have taken yet are
    /// left out: the `queued` of all sales that were released last. So are those that were given up. Workers that ask at
    /// once get different ones.
    async fn unheard(
        &self,
        sale: &SaleId,
        silence: Duration,
        queued: u64,
        limit: u32,
    ) -> PortResult<Vec<Turn>>;

    /// Notes that these turns were buried: they are not released again. A report on them still counts.
    async fn give_up(&self, entries: &[EntryId]) -> PortResult<()>;

    /// Records the shop's word on a turn, unless the entry has an outcome: with `reserved` an order of the shop's, its
    /// history and its outbox row, its goods `held`. What is available is not touched: the shop says that itself.
    async fn report(&self, report: &ShopReport) -> PortResult<ShopReply>;

    /// Takes the shop's word on an order it made for this entry. `Paid`: `awaiting_payment` or `closing` to `paid`.
    /// `Closed`: to `closing`; [`close_unpaid`](super::OrderBook::close_unpaid) sees it through. `NoSuchOrder` when the
    /// entry has no such order. No gate follows a shop's order.
    async fn hear(
        &self,
        entry: EntryId,
        order: &ShopOrderId,
        word: ShopWord,
    ) -> PortResult<StepReply>;

    /// Takes the shop's word on how many units of a SKU can be sold now. `false` when there is no such SKU.
    async fn tell_remaining(&self, sale: &SaleId, sku: &SkuId, units: u64) -> PortResult<bool>;
}
