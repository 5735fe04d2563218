//! The ledger on PostgreSQL, version 13 or newer.
//!
//! What the domain promises is a constraint of the schema, a row lock or a compare-and-swap, so that any number of
//! processes may share one database. Every call is an operation: a task of its own on a connection of its own, under
//! deadlines on both sides, which ends by itself whether or not its caller still waits. Times are the database's.

use std::{sync::Arc, time::Duration};

use sluice_core::ports::Ledger;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A statement, in its own file.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/postgres/sql/", $name, ".sql"))
    };
}

mod codec;
mod connections;
mod fault;
mod ledger;
pub(crate) mod metrics;
mod migrations;
mod open;
mod operations;
mod options;
mod tries;
mod watch;

use connections::Connections;
pub use migrations::{Migrated, migrate};
pub use open::{Cause, OpenError};
use operations::Operations;
pub use options::PostgresOptions;

/// An open ledger. Dropping it is a crash: what is in hand is dropped with its connection, and the server rolls it back
/// unless its commit was on the way.
#[derive(Debug)]
pub struct Postgres {
    operations: Operations,
    _crash: DropGuard,
}

impl Postgres {
    /// Connects, looks whether the database will do, lays the schema or brings it up to date, and keeps a connection for
    /// use. Tries for `start_timeout` while there is nobody to talk to.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        let server = options.server()?;
        let first = open::first_connection(&server, &options).await?;
        migrations::run(first, &server, &options).await?;
        let crashed = CancellationToken::new();
        let connections = Arc::new(Connections::new(server.session, &options));
        let operations = Operations::start(connections, &options, crashed.clone());
        tracing::info!(server = %server.place, "the ledger is open");
        Ok(Self { operations, _crash: crashed.drop_guard() })
    }

    /// The port.
    #[must_use]
    pub fn ledger(&self) -> Arc<dyn Ledger> {
        Arc::new(ledger::SqlLedger::new(self.operations.clone()))
    }

    /// Takes no more calls, waits for those in hand, at most `patience`, and says goodbye to the server.
    pub async fn close(self, patience: Duration) {
        self.operations.close(patience).await;
    }
}
