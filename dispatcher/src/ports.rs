//! What the dispatcher needs of the world, and the limit every call to it has.

use std::{future::Future, sync::Arc, time::Duration};

use sluice_core::{
    clock::Clock,
    ids::SaleId,
    ports::{
        BanList, Bulletin, Ledger, Line, PortError, PortResult, StockGate, TurnQueue, WaitingQueue,
    },
    random::Random,
    sale::Sale,
};
use tokio::sync::watch;

use crate::Config;

/// One of each port, a clock and a source of randomness.
#[derive(Clone, Debug)]
pub struct DispatcherPorts {
    pub line: Arc<dyn Line>,
    pub waiting: Arc<dyn WaitingQueue>,
    pub turns: Arc<dyn TurnQueue>,
    pub gate: Arc<dyn StockGate>,
    pub ledger: Arc<dyn Ledger>,
    pub bulletin: Arc<dyn Bulletin>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<Random>,
}

/// What every drain loop shares.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) ports: DispatcherPorts,
    /// Turns in the turn queue, of all sales.
    pub(crate) depth: watch::Receiver<u64>,
    pub(crate) bans: watch::Receiver<Arc<BanList>>,
}

/// What one drain loop is told of its sale.
#[derive(Clone, Debug)]
pub(crate) struct Feed {
    pub(crate) id: SaleId,
    pub(crate) sale: watch::Receiver<Arc<Sale>>,
    /// Counts how often stock came back.
    pub(crate) stock_returned: watch::Receiver<u64>,
}

/// The call took longer than its limit.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no answer within {} ms", .0.as_millis())]
struct TimedOut(Duration);

/// A port's call under a limit; too late is `Unavailable`: its effect is unknown.
pub(crate) async fn within<T>(
    limit: Duration,
    call: impl Future<Output = PortResult<T>>,
) -> PortResult<T> {
    match tokio::time::timeout(limit, call).await {
        Ok(result) => result,
        Err(_) => Err(PortError::unavailable(TimedOut(limit))),
    }
}

/// A pause before the `failures`-th attempt to do something again: exponential, with full jitter.
pub(crate) fn backoff(config: &Config, random: &Random, failures: u32) -> Duration {
    let doubled = config.backoff_min.saturating_mul(1 << failures.min(16));
    doubled.min(config.backoff_max).mul_f64(random.unit()).max(config.tick)
}
