//! Operations: each runs in a task of its own, from its connection to its commit, whether or not its caller still waits. So
//! nobody's cancellation can leave a transaction open. A task ends by itself: every one has a deadline.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use sluice_core::{
    ports::{PortError, PortResult},
    random::Random,
};
use sqlx::PgConnection;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    connections::{Connections, Held},
    fault::{Fault, Remedy, StoreError},
    metrics,
    options::PostgresOptions,
    tries::Tries,
    watch,
};

/// What an operation does on its connection. It may be called again from the beginning.
pub(super) type Work<A, T> =
    for<'a> fn(&'a mut PgConnection, &'a A) -> BoxFuture<'a, Result<T, Fault>>;

/// How an operation is wrapped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Shape {
    /// Single statements, each its own transaction, that may be repeated without harm.
    Plain,
    /// One transaction that reads what is committed and locks what it changes.
    Write,
    /// A transaction that grows with the sale.
    LongWrite,
    /// One consistent reading, which grows with the sale.
    LongSnapshot,
}

impl Shape {
    fn begin(self) -> Option<&'static str> {
        match self {
            Self::Plain => None,
            Self::Write | Self::LongWrite => Some("BEGIN ISOLATION LEVEL READ COMMITTED"),
            Self::LongSnapshot => Some("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
        }
    }

    fn is_long(self) -> bool {
        match self {
            Self::LongWrite | Self::LongSnapshot => true,
            Self::Plain | Self::Write => false,
        }
    }
}

/// The operations of one open ledger.
#[derive(Clone)]
pub(super) struct Operations {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

/// What every task has.
pub(super) struct Shared {
    pub(super) connections: Arc<Connections>,
    in_hand: Arc<Semaphore>,
    operations_max: usize,
    answer_timeout: Duration,
    long_timeout: Duration,
    closing: CancellationToken,
    crashed: CancellationToken,
    up: AtomicBool,
    random: Random,
}

impl Operations {
    /// Begins to watch the connections as well. Inside a runtime.
    pub(super) fn start(
        connections: Arc<Connections>,
        options: &PostgresOptions,
        crashed: CancellationToken,
    ) -> Self {
        let operations_max = options.operations_max.clamp(1, Semaphore::MAX_PERMITS);
        let shared = Arc::new(Shared {
            connections,
            in_hand: Arc::new(Semaphore::new(operations_max)),
            operations_max,
            answer_timeout: options.answer_timeout,
            long_timeout: options.long_timeout,
            closing: CancellationToken::new(),
            crashed,
            up: AtomicBool::new(true),
            random: Random::system(),
        });
        metrics::set_up(true);
        let tasks = TaskTracker::new();
        tasks.spawn(watch::watch(Arc::clone(&shared), options.watch_interval));
        Self { shared, tasks }
    }

    /// Runs an operation to its end.
    pub(super) async fn run<A, T>(
        &self,
        op: &'static str,
        shape: Shape,
        asked: A,
        work: Work<A, T>,
    ) -> PortResult<T>
    where
        A: Send + Sync + 'static,
        T: Send + 'static,
    {
        let place = match Arc::clone(&self.shared.in_hand).try_acquire_owned() {
            Ok(place) => place,
            Err(TryAcquireError::NoPermits) => return Err(PortError::Full),
            Err(TryAcquireError::Closed) => return Err(StoreError::Closed.into()),
        };
        let shared = Arc::clone(&self.shared);
        let task = self.tasks.spawn(async move {
            let started = Instant::now();
            let answer = shared.answer(shape, &asked, work, place).await;
            metrics::record(op, started.elapsed());
            match answer {
                Ok(value) => {
                    shared.heard();
                    Ok(value)
                }
                Err(fault) => Err(shared.told(op, fault)),
            }
        });
        match task.await {
            Ok(answer) => answer,
            Err(_) => Err(StoreError::Panicked.into()),
        }
    }

    /// Takes no more, waits for what is in hand, and says goodbye.
    pub(super) async fn close(&self, patience: Duration) {
        self.shared.in_hand.close();
        self.shared.closing.cancel();
        self.tasks.close();
        let ended = timeout(patience, self.tasks.wait()).await;
        if ended.is_err() {
            tracing::warn!(
                operations = self.tasks.len(),
                "the ledger closes before every operation has ended"
            );
        }
        self.shared.connections.close().await;
        metrics::set_up(false);
    }
}

impl Shared {
    async fn answer<A, T>(
        &self,
        shape: Shape,
        asked: &A,
        work: Work<A, T>,
        _place: OwnedSemaphorePermit,
    ) -> Result<T, Fault> {
        let most = if shape.is_long() { self.long_timeout } else { self.answer_timeout };
        // Dropping the attempts drops their connection, and with it everything that was not committed.
        tokio::select! {
            biased;
            () = self.crashed.cancelled() => Err(Fault::Closing),
            ended = timeout(most, self.attempts(shape, asked, work)) => match ended {
                Ok(answer) => answer,
                Err(_) => {
                    self.connections.forget_idle();
                    Err(Fault::Late(most))
                }
            },
        }
    }

    /// Tries until it is done, or there is no use in trying.
    async fn attempts<A, T>(&self, shape: Shape, asked: &A, work: Work<A, T>) -> Result<T, Fault> {
        let mut tries = Tries::default();
        loop {
            let fault = match self.attempt(shape, asked, work).await {
                Ok(value) => return Ok(value),
                Err(Ended::Undone(fault)) => fault,
                Err(Ended::Unknown(fault)) => return Err(fault),
            };
            match fault.remedy() {
                Remedy::Again => {}
                Remedy::Reconnect => self.connections.forget_idle(),
                Remedy::Constraint | Remedy::None => return Err(fault),
            }
            let Some(pause) = tries.next(&self.random) else { return Err(fault) };
            metrics::count_repeat();
            sleep(pause).await;
        }
    }

    async fn attempt<A, T>(&self, shape: Shape, asked: &A, work: Work<A, T>) -> Result<T, Ended> {
        let mut held = self.connections.take().await.map_err(Ended::Undone)?;
        let Some(begin) = shape.begin() else {
            let worked = work(held.connection(), asked).await;
            return finish(held, worked).map_err(Ended::Undone);
        };
        let opened = open(held.connection(), shape, begin, self.long_timeout).await;
        if let Err(error) = opened {
            return Err(Ended::Undone(error.into()));
        }
        match work(held.connection(), asked).await {
            Ok(value) => {
                // From here on the server may have done it, whatever we hear.
                let committed = sqlx::raw_sql("COMMIT").execute(held.connection()).await;
                let committed = committed.map(drop).map_err(Fault::from);
                match finish(held, committed) {
                    Ok(()) => Ok(value),
                    Err(fault) if fault.remedy() == Remedy::Again => Err(Ended::Undone(fault)),
                    Err(fault) => Err(Ended::Unknown(fault)),
                }
            }
            Err(fault) => {
                let rolled_back = sqlx::raw_sql("ROLLBACK").execute(held.connection()).await;
                if rolled_back.is_ok() && fault.remedy() != Remedy::Reconnect {
                    held.give_back();
                }
                Err(Ended::Undone(fault))
            }
        }
    }

    /// What the caller hears; and the log, when the server goes away or comes back.
    fn told(&self, op: &'static str, fault: Fault) -> PortError {
        let is_outage = fault.is_outage();
        let error = StoreError::from(fault);
        if is_outage && self.up.swap(false, Ordering::Relaxed) {
            metrics::set_up(false);
            tracing::warn!(op, error = %Chain(&error), "PostgreSQL does not answer");
        }
        error.into()
    }

    /// The server answered.
    pub(super) fn heard(&self) {
        if !self.is_up() && !self.up.swap(true, Ordering::Relaxed) {
            metrics::set_up(true);
            tracing::info!("PostgreSQL answers again");
        }
    }

    pub(super) fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    pub(super) fn crashed(&self) -> &CancellationToken {
        &self.crashed
    }

    pub(super) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    pub(super) fn tell_usage(&self) {
        let in_hand = self.operations_max.saturating_sub(self.in_hand.available_permits());
        let in_hand = u32::try_from(in_hand).unwrap_or(u32::MAX);
        metrics::set_usage(self.connections.usage(in_hand));
    }
}

/// How an attempt failed.
enum Ended {
    /// Nothing of it is in the database.
    Undone(Fault),
    /// It may be in the database.
    Unknown(Fault),
}

/// Begins the transaction, with more time for what grows with a sale.
async fn open(
    connection: &mut PgConnection,
    shape: Shape,
    begin: &'static str,
    long: Duration,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(begin).execute(&mut *connection).await?;
    if shape.is_long() {
        let most = format!("{}ms", long.as_millis().max(1));
        sqlx::query(sql!("connection/long")).bind(most).execute(connection).await?;
    }
    Ok(())
}

/// Gives the connection back unless the conversation on it broke.
fn finish<T>(held: Held, worked: Result<T, Fault>) -> Result<T, Fault> {
    let keep = worked.as_ref().err().is_none_or(|fault| fault.remedy() != Remedy::Reconnect);
    if keep {
        held.give_back();
    }
    worked
}

/// An error with all its causes in one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operations")
            .field("connections", &self.shared.connections)
            .finish_non_exhaustive()
    }
}
