//! A bulletin that says what the test says.

use std::sync::Arc;

use async_trait::async_trait;
use sluice_core::{
    entry::EntryState,
    ids::{EntryId, SaleId, Version},
    ports::{Bulletin, EntryNotice, Heard, Notice, PortError, PortResult, Subscription},
};
use tokio::sync::broadcast::{self, error::RecvError};

#[derive(Debug)]
pub(crate) struct Board(broadcast::Sender<Heard>);

impl Board {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(10_000))
    }

    /// Tells what became of entries of the sale `demo`.
    pub(crate) fn tell(&self, entries: &[(EntryId, EntryState, u64)]) {
        let entries = entries.iter().map(|(entry, state, version)| EntryNotice {
            entry: *entry,
            version: Version(*version),
            state: *state,
            order: None,
            pay_by: None,
        });
        let sale = SaleId::new("demo").unwrap();
        let notice = Notice::Entries { sale, entries: entries.collect() };
        let _nobody = self.0.send(Heard::Notice(Arc::new(notice)));
    }

    pub(crate) fn lose_something(&self) {
        let _nobody = self.0.send(Heard::Missed);
    }

    pub(crate) fn listeners(&self) -> usize {
        self.0.receiver_count()
    }
}

#[async_trait]
impl Bulletin for Board {
    async fn publish(&self, notice: Notice) -> PortResult<()> {
        let _nobody = self.0.send(Heard::Notice(Arc::new(notice)));
        Ok(())
    }

    async fn subscribe(&self) -> PortResult<Box<dyn Subscription>> {
        Ok(Box::new(Listener(self.0.subscribe())))
    }
}

#[derive(Debug)]
struct Listener(broadcast::Receiver<Heard>);

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> PortResult<Heard> {
        match self.0.recv().await {
            Ok(heard) => Ok(heard),
            Err(RecvError::Lagged(_)) => Ok(Heard::Missed),
            Err(closed @ RecvError::Closed) => Err(PortError::unavailable(closed)),
        }
    }
}
