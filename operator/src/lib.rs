//! The operator API and the console: sales are made, watched, tuned, paused and ended here, and every change is on record.
//!
//! This is the admin address and nothing a buyer sees. It holds no state of its own: the ledger decides every change
//! and keeps the audit log; what was decided is then told to the other stores, to this process's own view, and to
//! everybody else by the bulletin.
//!
//! Not here: `/metrics`, `/live` and `/ready` (the composition root adds them), and the check of the `Host` header,
//! which is the router's.

use std::sync::Arc;

use sluice_core::{
    clock::Clock,
    ports::{Bulletin, DeadLetters, Ledger, Line, Ports, StockGate, TurnQueue, WaitingQueue},
    sale::NewSale,
    view::Directory,
};
use sluice_http::Routes;
use tokio_util::sync::CancellationToken;

mod audited;
mod auth;
mod config;
mod configured;
mod console;
mod desk;
mod handlers;
mod metrics;
mod reply;
mod routes;
mod watch;
mod wire;

pub use auth::Role;
pub use config::{AdminSecret, AdminToken, Config, ConfigError, Limits, Shop};
pub use configured::ConfiguredError;

/// What the operator API needs of the world.
#[derive(Clone, Debug)]
pub struct OperatorPorts {
    pub ledger: Arc<dyn Ledger>,
    pub line: Arc<dyn Line>,
    pub waiting: Arc<dyn WaitingQueue>,
    pub turns: Arc<dyn TurnQueue>,
    pub letters: Arc<dyn DeadLetters>,
    pub gate: Arc<dyn StockGate>,
    pub bulletin: Arc<dyn Bulletin>,
    /// This process's own view of the sales. Somebody else keeps it fresh; changes made here are put in at once.
    pub directory: Arc<Directory>,
    pub clock: Arc<dyn Clock>,
}

impl OperatorPorts {
    /// The ports of one backend, with this process's view and clock.
    #[must_use]
    pub fn new(ports: &Ports, directory: Arc<Directory>, clock: Arc<dyn Clock>) -> Self {
        Self {
            ledger: Arc::clone(&ports.ledger),
            line: Arc::clone(&ports.line),
            waiting: Arc::clone(&ports.waiting),
            turns: Arc::clone(&ports.turns),
            letters: Arc::clone(&ports.letters),
            gate: Arc::clone(&ports.gate),
            bulletin: Arc::clone(&ports.bulletin),
            directory,
            clock,
        }
    }
}

/// The operator role.
#[derive(Clone, Debug)]
pub struct Operator {
    desk: Arc<desk::Desk>,
}

impl Operator {
    /// Checks the configuration. Starts nothing.
    pub fn build(config: Config, ports: OperatorPorts) -> Result<Self, ConfigError> {
        metrics::describe();
        Ok(Self { desk: Arc::new(desk::Desk::new(config, ports)?) })
    }

    /// The routes of the admin address, for the router.
    #[must_use]
    pub fn routes(&self) -> Routes {
        routes::routes(&self.desk)
    }

    /// Makes the sales of the configuration that are not in the ledger yet, and sees to it that every sale has its
    /// waiting queue. Call it at start, before anybody is served. Repeats are harmless.
    pub async fn create_configured(&self, sales: Vec<NewSale>) -> Result<(), ConfiguredError> {
        configured::create(&self.desk, sales).await
    }

    /// Watches what the API reports as rates, until `shutdown`; then ends the streams and waits for changes in hand.
    pub async fn run(&self, shutdown: CancellationToken) {
        watch::run(&self.desk, &shutdown).await;
        self.desk.close().await;
    }
}
