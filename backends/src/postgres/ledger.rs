//! The ledger in PostgreSQL: nine books in one database. Each method is one operation; what it does on its connection is a
//! plain function beside it.

use sluice_core::ports::PortResult;

use super::operations::{Operations, Shape, Work};

mod aftersales;
mod audit;
mod bans;
mod books;
mod changes;
mod entries;
mod goods;
mod grant;
mod hold;
mod moves;
mod orders;
mod payments;
mod refunds;
mod row;
mod sales;
mod seats;
mod settle;
mod shop;
mod simulated;
mod speaker;
mod standby;
mod steps;
mod upkeep;
mod words;

/// See the module.
#[derive(Debug)]
pub(super) struct SqlLedger {
    operations: Operations,
}

impl SqlLedger {
    pub(super) fn new(operations: Operations) -> Self {
        Self { operations }
    }

    /// Statements that stand each for itself and may be repeated.
    async fn plain<A, T>(&self, op: &'static str, asked: A, work: Work<A, T>) -> PortResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.operations.run(op, Shape::Plain, asked, work).await
    }

    /// One transaction.
    async fn write<A, T>(&self, op: &'static str, asked: A, work: Work<A, T>) -> PortResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.operations.run(op, Shape::Write, asked, work).await
    }
}
