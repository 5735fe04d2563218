//! Port: the line. Numbers places, keeps one live place per buyer, knows who is called and not yet settled.
//!
//! It may forget everything, or its last second, at any moment; the ledger and the waiting queue do not. It is *cold*
//! for a sale until [`Line::warm`]; every other call on a cold sale answers `Cold` and does nothing.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use super::PortResult;
use crate::{
    clock::UnixMillis,
    entry::Outcome,
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq},
    line::{Caps, Cursor, LineEntry},
    policy::RateLimit,
};

/// One buyer asking for a place.
#[derive(Clone, Debug)]
pub struct Join {
    /// The place as it will be if it is new. `seq` and `holes_below` are filled in by the line.
    pub candidate: LineEntry,
    /// A place the buyer proved with a queue token: if the line has forgotten it, it is registered again with its number.
    pub proven: Option<LineEntry>,
    /// How often the buyer and the device may join, over all nodes; for a line that [shares](Line::shares_limits) limits.
    /// `None` counts nothing.
    pub limits: Option<JoinLimits>,
    /// Asks to stand by whether the line is full or not, where there is room for that.
    pub stand_by: bool,
}

/// The limits one join counts in, as the sale's policy has them now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct JoinLimits {
    pub buyer: RateLimit,
    pub device: Option<(DeviceKey, RateLimit)>,
}

/// A device as limits know it: a hash, the same on every node.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DeviceKey(pub [u8; 16]);

/// Whose limit a join met.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LimitedBy {
    Buyer,
    Device,
}

/// The answer to one join.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum JoinReply {
    /// A new place, in line or standing by. It counts once it has been offered to the waiting queue.
    New(Place),
    /// The buyer's live place. If it waits or stands by and is not `durable`, it must be offered again before it is answered.
    Found(Place),
    /// The line is at its cap, and nobody else may stand by. Nothing was recorded.
    Full,
    /// The block of numbers is used up; the sale's speaker will extend it. Nothing was recorded.
    OutOfNumbers,
    /// The buyer or the device joins too often; `retry_after` from now it may again. A place the buyer has stays as it is,
    /// seen just now.
    Limited { by: LimitedBy, retry_after: Duration },
}

/// A place in the line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    pub line_entry: LineEntry,
    pub state: PlaceState,
    /// Whether the waiting queue is known to have confirmed it.
    pub durable: bool,
    /// When somebody last proved to be holding it.
    pub seen_at: UnixMillis,
    /// Whether what it wants counts as in flight: it is called, or made an offer, and no worker has asked for its goods.
    pub in_flight: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PlaceState {
    Waiting,
    Called,
    /// Called or not: an offer changes it only when it is settled.
    Standby,
    Settled(Settlement),
}

/// An entry's outcome, and whether its buyer still has a live place by it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Settlement {
    pub outcome: Outcome,
    /// `true` for `reserved` with a live order: the buyer's next join finds this entry. `false` frees the buyer.
    pub live: bool,
}

/// What the line says to a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// It is called now (or was before, and is not settled): release it.
    Called,
    /// It has an outcome already: drop it.
    Settled(Settlement),
    /// Nobody held it since `seen_at`, which is before the limit given: it stays `waiting`; write its outcome `expired`.
    Silent { seen_at: UnixMillis },
    /// Its buyer has a live place with a lower number: drop this one as `refused`.
    Twin { of: EntryId },
}

/// Sequence numbers that the ledger handed out: `from` to `to`, both included.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Block {
    pub from: Seq,
    pub to: Seq,
}

/// What a line that remembers nothing begins from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Restore {
    /// The numbers it may give out.
    pub block: Block,
    pub cursor: Cursor,
    /// The highest number that is known to have been given out before: whoever has one up to it may still wait.
    pub last: Seq,
}

/// What a line knows of a sale.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LineSnapshot {
    pub epoch: Epoch,
    pub cursor: Cursor,
    /// The highest number given out; `serving` at least.
    pub last: Seq,
    /// The highest number that may be given out.
    pub high_water: Seq,
    /// Entries called and not yet settled.
    pub called: u64,
    /// Entries known to stand by. A line that has forgotten counts from there anew.
    pub standby: u64,
}

/// See the module.
#[async_trait]
pub trait Line: Debug + Send + Sync {
    /// Whether it counts joins against limits for all nodes together. One that lives in its only node's memory does not: there
    /// the node's own limits are all there are, and [`Join::limits`] is ignored.
    fn shares_limits(&self) -> bool {
        false
    }

    /// Makes `epoch` the one that speaks. A line that remembers the sale keeps what it knows and ignores `restore`; one
    /// that does not answers `Cold` without it, and with it starts from there: numbers begin at `block.from`, or just above
    /// the highest number the backend can prove was given out, and what was skipped above `last`, and above what is
    /// proven, is a hole of the cursor. A lower epoch than the present one is `Fenced`. Repeats are harmless.
    async fn warm(&self, sale: &SaleId, epoch: Epoch, restore: Option<Restore>) -> PortResult<()>;

    /// Raises the highest number that may be given out, to the end of a block that follows the last one. Never lowers it.
    async fn extend(&self, sale: &SaleId, epoch: Epoch, to: Seq) -> PortResult<()>;

    /// Gives each buyer a place or finds theirs; replies are in the order of `joins`, numbers ascend in that order. Two
    /// joins of one buyer in one call find each other. When the cursor leaves `caps.line` or more waiting, a join stands by:
    /// it gets no number. `Full` when `caps.standby` or more do.
    ///
    /// A line that shares limits counts first: a join over one of them is `Limited`, counts nowhere, and gets nothing. A
    /// repeat of the very same join (its candidate has its place), and one that is `Cold` or `OutOfNumbers`, cost nothing.
    async fn join(&self, sale: &SaleId, caps: Caps, joins: Vec<Join>)
    -> PortResult<Vec<JoinReply>>;

    /// Notes that the waiting queue has confirmed these entries. Unknown ones are ignored.
    async fn confirm(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()>;

    /// The places of these entries, in order; `None` for one it does not know, which proves nothing.
    async fn find(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<Vec<Option<Place>>>;

    /// The live place of a buyer, if the line knows one.
    async fn find_buyer(&self, sale: &SaleId, buyer: &BuyerId) -> PortResult<Option<Place>>;

    /// Notes that somebody held these places at `at`. Never moves `seen_at` back; unknown entries are ignored.
    async fn seen(&self, sale: &SaleId, entries: &[EntryId], at: UnixMillis) -> PortResult<()>;

    /// Calls entries, in order: each that is live and not silent becomes `called` and what it wants counts as in flight
    /// until it is reserved, settled or found again by a worker. An entry the line does not know is registered from what
    /// is given. A repeat for an entry that is called answers `Called` again and counts nothing twice.
    ///
    /// One that [stands by](LineEntry::stands_by) is made an offer: it is `Called` too and what it wants is in flight, but it
    /// goes on standing by until it is settled, whose last offer came to nothing is called again, and it is never silent.
    async fn call(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        silent_before: Option<UnixMillis>,
        entries: &[LineEntry],
    ) -> PortResult<Vec<Standing>>;

    /// These wait no longer: they stand by now, as the ledger has written down. Those that are called, settled or unknown stay
    /// as they are.
    async fn stand_by(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()>;

    /// Records outcomes the ledger has decided: the entry is no longer in flight, and a settlement that is not live
    /// frees its buyer. A later settlement of the same entry replaces an earlier live one, never the other way round.
    /// It stands for an entry the line has not heard of, too: neither a call nor a token that comes late revives it.
    async fn settle(&self, sale: &SaleId, settled: &[(EntryId, Settlement)]) -> PortResult<()>;

    /// Moves the cursor forward. A cursor behind the present one changes nothing; an old epoch is `Fenced`.
    async fn advance(&self, sale: &SaleId, epoch: Epoch, cursor: &Cursor) -> PortResult<()>;

    async fn snapshot(&self, sale: &SaleId) -> PortResult<LineSnapshot>;

    /// Forgets a deleted sale.
    async fn forget(&self, sale: &SaleId) -> PortResult<()>;
}
