//! What goes wrong, and how often: drawn from the seed, so that a seed replays its faults.

use std::{
    fmt::Debug,
    future::{Future, pending},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use sluice_core::{
    ports::{PortError, PortResult},
    random::Random,
};
use tokio_util::sync::CancellationToken;

/// Chances per call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chances {
    /// The process is gone, before or after the effect.
    pub(crate) crash: f64,
    /// No answer comes: half the time the effect has happened.
    pub(crate) lost: f64,
    /// The call takes up to half a second.
    pub(crate) slow: f64,
    /// What may be delivered twice is.
    pub(crate) twice: f64,
    /// A bulletin's notice is dropped.
    pub(crate) unheard: f64,
}

/// A promise that the store breaks on purpose, to see that the checker notices.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Sabotage {
    #[default]
    None,
    /// One offer in twenty is confirmed and forgotten.
    ForgottenOffers,
    /// One release in twenty is confirmed and forgotten.
    ForgottenTurns,
    /// Neighbours in the queue swap their numbers.
    Shuffled,
    /// Reservations and orders are granted whatever the stock: the ledger is told that there is more.
    Oversold,
}

#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) random: Random,
    pub(crate) chances: Chances,
    pub(crate) sabotage: Sabotage,
    on: AtomicBool,
    life: Mutex<CancellationToken>,
    pub(crate) crashes: AtomicU64,
}

impl Faults {
    pub(crate) fn new(seed: u64, chances: Chances, sabotage: Sabotage) -> Self {
        Self {
            random: Random::seeded(seed),
            chances,
            sabotage,
            on: AtomicBool::new(false),
            life: Mutex::new(CancellationToken::new()),
            crashes: AtomicU64::new(0),
        }
    }

    /// Whether anything goes wrong from now on.
    pub(crate) fn turn(&self, on: bool) {
        self.on.store(on, SeqCst);
    }

    /// A new life: the token ends when it crashes.
    pub(crate) fn begin_life(&self) -> CancellationToken {
        let token = CancellationToken::new();
        *self.life.lock().unwrap_or_else(PoisonError::into_inner) = token.clone();
        token
    }

    pub(crate) fn happens(&self, chance: f64) -> bool {
        self.on.load(SeqCst) && self.random.unit() < chance
    }

    /// A sabotage is not a fault that ends: it happens all the time.
    pub(crate) fn sabotages(&self, what: Sabotage, chance: f64) -> bool {
        self.sabotage == what && self.random.unit() < chance
    }

    /// The process is gone: whoever calls this never goes on.
    pub(crate) async fn crash(&self) {
        self.crashes.fetch_add(1, SeqCst);
        self.life.lock().unwrap_or_else(PoisonError::into_inner).cancel();
        pending::<()>().await;
    }

    /// A call that changes something.
    pub(crate) async fn effect<T>(
        &self,
        _name: &str,
        call: impl Future<Output = PortResult<T>>,
    ) -> PortResult<T> {
        let (crash, lost) = (self.chances.crash / 2.0, self.chances.lost / 2.0);
        if self.happens(crash) {
            self.crash().await;
        }
        if self.happens(lost) {
            return Err(unavailable());
        }
        self.dawdle().await;
        let answer = call.await;
        if self.happens(crash) {
            self.crash().await;
        }
        if self.happens(lost) { Err(unavailable()) } else { answer }
    }

    /// A call that only looks.
    pub(crate) async fn read<T>(
        &self,
        _name: &str,
        call: impl Future<Output = PortResult<T>>,
    ) -> PortResult<T> {
        if self.happens(self.chances.lost) {
            return Err(unavailable());
        }
        self.dawdle().await;
        call.await
    }

    async fn dawdle(&self) {
        if self.happens(self.chances.slow) {
            tokio::time::sleep(Duration::from_millis(self.random.below(500))).await;
        }
    }
}

pub(crate) fn unavailable() -> PortError {
    PortError::unavailable("the simulator lost the answer")
}
