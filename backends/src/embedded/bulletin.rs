//! The bulletin within one process: a bounded broadcast. Who falls behind by more than its length misses the oldest, and
//! is told.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_core::ports::{Bulletin, Heard, Notice, PortError, PortResult, Subscription};
use tokio::sync::broadcast::{Receiver, Sender, error::RecvError};

/// See the module.
#[derive(Debug)]
pub(super) struct Broadcast(Sender<Arc<Notice>>);

impl Broadcast {
    pub(super) fn new(notices_max: usize) -> Self {
        Self(Sender::new(notices_max.max(1)))
    }
}

#[async_trait]
impl Bulletin for Broadcast {
    async fn publish(&self, notice: Notice) -> PortResult<()> {
        // An error means that nobody listens, which is not a fault.
        let _ = self.0.send(Arc::new(notice));
        Ok(())
    }

    async fn subscribe(&self) -> PortResult<Box<dyn Subscription>> {
        Ok(Box::new(Listener(self.0.subscribe())))
    }
}

#[derive(Debug)]
struct Listener(Receiver<Arc<Notice>>);

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> PortResult<Heard> {
        match self.0.recv().await {
            Ok(notice) => Ok(Heard::Notice(notice)),
            Err(RecvError::Lagged(_)) => Ok(Heard::Missed),
            Err(error @ RecvError::Closed) => Err(PortError::unavailable(error)),
        }
    }
}
