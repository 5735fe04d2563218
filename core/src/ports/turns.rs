//! Port: the turn queue. Called entries on their way to order workers, which compete for them.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use super::{PortResult, WorkOutlet};
use crate::event::Turn;

/// A turn in the hands of one worker. Not settled (acknowledged, retried, buried) before its intake is dropped, it comes
/// back to somebody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TurnDelivery {
    /// Names the delivery to its intake's outlet.
    pub tag: u64,
    pub turn: Turn,
    /// How often this turn was retried for faults of its own; redeliveries after crashes do not count.
    pub tries: u32,
}

/// How much lies where.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct QueueDepths {
    /// Released and not yet acknowledged, waiting out a delay included. A broker does not tell what is in the hands of
    /// consumers in other processes; a backend that cannot see that leaves it out: at most their prefetch. Where kept
    /// callbacks wait out their delays in the same place, those few are counted in.
    pub turns: u64,
    /// Buried messages of every kind: turns, and callbacks where there is an inbox.
    pub dead: u64,
}

/// See the module.
#[async_trait]
pub trait TurnQueue: Debug + Send + Sync {
    /// Begins to consume, with at most `prefetch` turns unsettled at a time.
    async fn consume(&self, prefetch: usize) -> PortResult<TurnIntake>;

    async fn depths(&self) -> PortResult<QueueDepths>;

    /// Releases turns once more, of which the shop's order backend has said nothing. Durable when it returns. First
    /// releases leave through the drain alone; an entry that is released again moves nobody's place.
    async fn release_again(&self, turns: &[Turn]) -> PortResult<()>;

    /// Sets a turn that nobody has in hand aside for an operator, with a reason. Durable when it returns.
    async fn bury_unheard(&self, turn: &Turn, reason: &str) -> PortResult<()>;
}

/// A consumer in two halves. Dropping `deliveries` returns what is unsettled to the queue.
#[derive(Debug)]
pub struct TurnIntake {
    pub deliveries: Box<dyn TurnDeliveries>,
    pub outlet: Arc<dyn WorkOutlet>,
}

#[async_trait]
pub trait TurnDeliveries: Debug + Send {
    /// Waits for a turn, then takes what else is ready, up to `most`. In order of release, except for retries and
    /// redeliveries. Cancel-safe. `Unavailable` ends the consumer: consume again.
    async fn next(&mut self, most: usize) -> PortResult<Vec<TurnDelivery>>;
}
