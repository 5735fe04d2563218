//! The ledger's book of standby: who came beyond the line's cap, or lost their turn when stock ran out, and is made an offer
//! when goods are there that nobody before them wants.
//!
//! A row is there exactly as long as its entry stands by: an outcome ends it, in the same transaction.

use async_trait::async_trait;

use crate::{
    basket::Basket,
    ids::{EntryId, SaleId},
    line::LineEntry,
    ports::{EntryRecord, PortResult},
};

/// What became of an entry that was to stand by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StandReply {
    /// It stands by, now or since before.
    Stands,
    /// It has its outcome; nothing changed.
    Known(EntryRecord),
    /// Its buyer stands by with another entry; nothing changed.
    Twin { of: EntryId },
}

/// Those who stand by in one sale.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct StandbyList {
    /// In their order: who joined first, of those the smaller party, then by entry.
    pub first: Vec<LineEntry>,
    /// How many there are.
    pub count: u64,
}

/// See the module.
#[async_trait]
pub trait StandbyBook {
    /// Writes down that these entries stand by, each [without a number](LineEntry::standing_by). One of each buyer.
    async fn stand_by(&self, sale: &SaleId, entries: Vec<LineEntry>)
    -> PortResult<Vec<StandReply>>;

    /// Who stands by: the first `limit` of them; and the first `limit` of those who want other baskets than `but`, so that a crowd
    /// that cannot be served does not hide those who can.
    async fn standing(&self, sale: &SaleId, limit: u32, but: &[Basket]) -> PortResult<StandbyList>;

    /// Which of these entries stand by, in order.
    async fn stand(&self, entries: &[EntryId]) -> PortResult<Vec<bool>>;
}
