//! Port: the waiting queue. Remembers, durably, who joined; one drain at a time takes them out in order.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use super::PortResult;
use crate::{event::Turn, ids::SaleId, line::LineEntry};

/// Several joined entries, delivered and acknowledged together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WaitingMessage {
    /// Names the message to its drain; ascends within one drain.
    pub tag: u64,
    pub entries: Vec<LineEntry>,
}

/// See the module.
#[async_trait]
pub trait WaitingQueue: Debug + Send + Sync {
    /// Makes the queue of a sale exist, before the sale is shown to anybody. Repeats are harmless.
    async fn declare(&self, sale: &SaleId) -> PortResult<()>;

    /// Durable when it returns `Ok`: the entries survive any crash and will be drained at least once. `Unavailable`
    /// means unknown: offer the same entries again. Calls that overlap may be stored in either order. `Full`: nothing
    /// was taken. An entry offered twice may be delivered twice.
    async fn offer(&self, sale: &SaleId, entries: Vec<LineEntry>) -> PortResult<()>;

    /// Becomes the one that drains the sale. Waits while somebody else does (single active consumer), for ever if need
    /// be: select on shutdown around it. A new drain is given every message that was never acknowledged, oldest first.
    async fn drain(&self, sale: &SaleId) -> PortResult<Drain>;

    /// Removes the queue of a deleted sale with all that is in it.
    async fn remove(&self, sale: &SaleId) -> PortResult<()>;
}

/// A drain in two halves, so that one loop may take messages in while releases are under way. Dropping `intake` ends the
/// drain: what was not acknowledged goes to the next one, and `outlet` answers `Fenced` from then on.
#[derive(Debug)]
pub struct Drain {
    pub intake: Box<dyn DrainIntake>,
    pub outlet: Arc<dyn DrainOutlet>,
}

#[async_trait]
pub trait DrainIntake: Debug + Send {
    /// The next message; waits for one. Cancel-safe: a dropped call loses nothing. `Fenced` or `Unavailable` end the
    /// drain: drop it and drain again.
    async fn next(&mut self) -> PortResult<WaitingMessage>;

    /// A message if one is ready now.
    fn try_next(&mut self) -> PortResult<Option<WaitingMessage>>;
}

/// Releases turns and acknowledges messages on behalf of a drain. Turns leave through the drain itself, so that whoever
/// lost the queue cannot release.
#[async_trait]
pub trait DrainOutlet: Debug + Send + Sync {
    /// Durable when it returns `Ok`: the turns will be delivered at least once, in this order unless retried. Order
    /// between overlapping calls is the order in which they were begun.
    async fn release(&self, turns: Vec<Turn>) -> PortResult<()>;

    /// Forgets these messages: all their entries are settled or released. `Fenced` if the drain is over; they will be
    /// delivered again.
    async fn ack(&self, tags: &[u64]) -> PortResult<()>;
}
