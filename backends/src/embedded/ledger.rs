//! The ledger in SQLite: nine books in one file. Each method is one job of the writer or one reading; every time is taken
//! from the store's clock, when the job comes to its turn.

use std::sync::Arc;

use rusqlite::Connection;
use sluice_core::{
    clock::{Clock, UnixMillis},
    ports::PortResult,
};

use super::{store::Store, turns::Turns};

mod aftersales;
mod audit;
mod bans;
mod changes;
mod entries;
mod goods;
mod hold;
mod moves;
mod orders;
mod payments;
mod refunds;
mod sales;
mod seats;
mod shop;
mod simulated;
mod speaker;
mod standby;
mod steps;
mod upkeep;

/// See the module.
#[derive(Debug)]
pub(super) struct SqlLedger {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    /// Told when a deleted sale takes its buried turns along.
    turns: Arc<Turns>,
}

impl SqlLedger {
    pub(super) fn new(store: Arc<Store>, clock: Arc<dyn Clock>, turns: Arc<Turns>) -> Self {
        Self { store, clock, turns }
    }

    /// One transaction, at the time it is given.
    async fn write<T, W>(&self, op: &'static str, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection, UnixMillis) -> rusqlite::Result<T> + Send + 'static,
    {
        let clock = Arc::clone(&self.clock);
        self.store.write(op, move |connection| work(connection, clock.now()), |_| ()).await
    }

    async fn read<T, W>(&self, op: &'static str, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        self.store.read(op, work).await
    }
}
