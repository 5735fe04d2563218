//! Port: the callback inbox. Authentic payment callbacks that the ledger could not store, kept until it can.
//!
//! A backend without one says so ([`Ports::inbox`](super::Ports::inbox) is `None`): then the provider alone repeats them.

use std::{fmt::Debug, sync::Arc};

use async_trait::async_trait;

use super::{PaymentUpdate, PortResult, WorkOutlet};

/// A kept callback in the hands of one worker. Not settled (acknowledged, retried, buried) before its intake is dropped, it
/// comes back to somebody.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CallbackDelivery {
    /// Names the delivery to its intake's outlet.
    pub tag: u64,
    pub update: PaymentUpdate,
    /// How often it was retried for faults of its own; redeliveries after crashes do not count.
    pub tries: u32,
}

/// See the module. Callbacks come in no particular order: their versions tell which word is the newest.
#[async_trait]
pub trait CallbackInbox: Debug + Send + Sync {
    /// Keeps a callback whose signature was verified. Durable when it returns. Kept twice, it is delivered twice.
    async fn keep(&self, update: &PaymentUpdate) -> PortResult<()>;

    /// Begins to consume, with at most `prefetch` callbacks unsettled at a time.
    async fn consume(&self, prefetch: usize) -> PortResult<CallbackIntake>;
}

/// A consumer in two halves. Dropping `deliveries` returns what is unsettled to the inbox.
#[derive(Debug)]
pub struct CallbackIntake {
    pub deliveries: Box<dyn CallbackDeliveries>,
    pub outlet: Arc<dyn WorkOutlet>,
}

#[async_trait]
pub trait CallbackDeliveries: Debug + Send {
    /// Waits for a callback, then takes what else is ready, up to `most`. Cancel-safe. `Unavailable` ends the consumer:
    /// consume again.
    async fn next(&mut self, most: usize) -> PortResult<Vec<CallbackDelivery>>;
}
