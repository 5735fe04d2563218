//! Access to the one SQLite file: writes go to one writer and are answered after their commit, reads go beside it.
//!
//! Two engines. *Threads*: a writer thread that commits everything which arrived during the last commit as one
//! transaction (group commit: all wait for one fsync together), and a few reader threads, so that reads never wait for an
//! fsync. *Inline*: every job runs and commits in the calling task; for simulations on paused time, which a waiting thread
//! would let run away.
//!
//! Nothing that was read from an uncommitted record leaves this module. A commit that fails stops the store for good:
//! whatever came after it in memory could not be trusted, so the process must end and start from the file.

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection;
use sluice_core::ports::{PortError, PortResult};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout},
};

use super::sync::locked;
use crate::metrics::{self, Up};

mod failure;
mod group;
mod threads;

pub use failure::Failure;
pub(super) use failure::remedy;
use group::{Job, Task};
pub(super) use threads::{Limits, Threads};

/// A read on its way to a reader.
type Read = Box<dyn FnOnce(&Connection) + Send>;

/// What the writer is handed.
enum Order {
    Job(Box<dyn Job>),
    /// Finish what came before, then end.
    Close,
}

/// Whether the store still stores.
#[derive(Clone, Debug)]
enum Life {
    Running,
    Closed,
    Failed(Failure),
}

/// Why a call to a store that has stopped was not answered.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the embedded store has stopped")]
struct Stopped;

/// The call was taken, but its answer did not come in time; it may yet take effect.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the embedded store did not answer in time")]
struct Late;

/// What the engines share.
#[derive(Debug)]
struct Shared {
    file: PathBuf,
    life: watch::Sender<Life>,
    /// Set when the store is dropped without a close: what was not begun is dropped with it.
    halted: AtomicBool,
}

impl Shared {
    fn new(file: PathBuf) -> Self {
        Self { file, life: watch::Sender::new(Life::Running), halted: AtomicBool::new(false) }
    }

    /// Stops the store for good.
    fn fail(&self, source: rusqlite::Error) {
        self.leave(Life::Failed(Failure::new(self.file.clone(), source)));
    }

    /// Notes that the store was closed or halted, unless it has failed before.
    fn end(&self) {
        self.leave(Life::Closed);
    }

    fn leave(&self, next: Life) {
        let left = self.life.send_if_modified(|life| {
            let running = matches!(life, Life::Running);
            if running {
                *life = next;
            }
            running
        });
        if left {
            metrics::set_up(Up::No);
        }
    }

    fn is_running(&self) -> bool {
        matches!(*self.life.borrow(), Life::Running) && !self.halted.load(Ordering::Acquire)
    }
}

enum Engine {
    Threads {
        orders: mpsc::Sender<Order>,
        reads: mpsc::Sender<Option<Read>>,
        readers: usize,
    },
    /// Empty once it is closed.
    Inline(Mutex<Option<Connection>>),
}

/// See the module. Shared by all ports of one embedded backend.
pub(super) struct Store {
    engine: Engine,
    shared: Arc<Shared>,
    answer_timeout: Duration,
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").field("file", &self.shared.file).finish_non_exhaustive()
    }
}

impl Store {
    /// A store whose jobs run in the calling task.
    pub(super) fn inline(file: PathBuf, connection: Connection) -> Self {
        metrics::set_up(Up::Yes);
        Self {
            engine: Engine::Inline(Mutex::new(Some(connection))),
            shared: Arc::new(Shared::new(file)),
            answer_timeout: Duration::MAX,
        }
    }

    /// Runs `work` in a transaction and answers its value once that is durable. `then` is run first, on the writer, in
    /// the order of commits: it carries the effect into memory, and must not call the store. When `work` fails, what it
    /// wrote is undone, and nobody else's work with it.
    pub(super) async fn write<T, W, A>(&self, op: &'static str, work: W, then: A) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        A: FnOnce(&T) + Send + 'static,
    {
        let began = Instant::now();
        let (reply, answer) = oneshot::channel();
        let task = Box::new(Task::new(work, then, reply));
        let answered = match &self.engine {
            Engine::Inline(connection) => {
                tokio::task::consume_budget().await;
                self.write_here(connection, task)?;
                answer.await.map_err(|_| PortError::unavailable(Stopped))
            }
            Engine::Threads { orders, .. } => {
                orders.try_send(Order::Job(task)).map_err(|error| match error {
                    mpsc::error::TrySendError::Full(_) => PortError::Full,
                    mpsc::error::TrySendError::Closed(_) => PortError::unavailable(Stopped),
                })?;
                self.answer(answer).await
            }
        };
        metrics::record(op, began.elapsed());
        answered?
    }

    /// Runs `work` on one consistent reading of everything committed before now.
    pub(super) async fn read<T, W>(&self, op: &'static str, work: W) -> PortResult<T>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let began = Instant::now();
        let (reply, answer) = oneshot::channel();
        if let Engine::Inline(_) = &self.engine {
            tokio::task::consume_budget().await;
        }
        self.read_then(work, move |value| {
            // The caller may have given up.
            let _ = reply.send(value);
        })?;
        let answered = self.answer(answer).await;
        metrics::record(op, began.elapsed());
        answered?
    }

    /// Like [`Store::read`], for callers that cannot wait: `then` gets what was read. It is never run if the store stops
    /// first.
    pub(super) fn read_then<T, W, A>(&self, work: W, then: A) -> PortResult<()>
    where
        T: 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        A: FnOnce(PortResult<T>) + Send + 'static,
    {
        if !self.shared.is_running() {
            return Err(PortError::unavailable(Stopped));
        }
        let read = move |connection: &Connection| {
            then(group::read(connection, work).map_err(PortError::unavailable));
        };
        match &self.engine {
            Engine::Inline(connection) => {
                let slot = locked(connection);
                let connection = slot.as_ref().ok_or_else(|| PortError::unavailable(Stopped))?;
                read(connection);
                Ok(())
            }
            Engine::Threads { reads, .. } => {
                reads.try_send(Some(Box::new(read))).map_err(|error| match error {
                    mpsc::error::TrySendError::Full(_) => PortError::Full,
                    mpsc::error::TrySendError::Closed(_) => PortError::unavailable(Stopped),
                })
            }
        }
    }

    /// Resolves when the store stores no more, for whatever reason.
    pub(super) async fn stopped(&self) -> PortError {
        let mut life = self.shared.life.subscribe();
        // The sender lives in `self`.
        let _ = life.wait_for(|life| !matches!(life, Life::Running)).await;
        PortError::unavailable(Stopped)
    }

    /// Resolves when a commit failed; never, when the store is closed in order.
    pub(super) async fn failed(&self) -> Failure {
        let mut life = self.shared.life.subscribe();
        loop {
            if let Life::Failed(failure) = &*life.borrow_and_update() {
                return failure.clone();
            }
            if life.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Lets the writer finish what it was handed, writes the log back into the file, and stops.
    pub(super) async fn close(&self) {
        match &self.engine {
            Engine::Inline(connection) => {
                if let Some(connection) = locked(connection).take() {
                    group::checkpoint(&connection);
                }
                self.shared.end();
            }
            Engine::Threads { orders, reads, readers } => {
                if orders.send(Order::Close).await.is_ok() {
                    self.stopped().await;
                }
                for _ in 0..*readers {
                    // A reader that is gone needs no telling.
                    let _ = reads.send(None).await;
                }
            }
        }
    }

    /// Stops at once: what the writer has not begun is dropped, as in a crash.
    pub(super) fn halt(&self) {
        self.shared.halted.store(true, Ordering::Release);
        match &self.engine {
            Engine::Inline(connection) => drop(locked(connection).take()),
            Engine::Threads { orders, reads, readers } => {
                // A full channel means that the thread is awake and will see `halted` by itself.
                let _ = orders.try_send(Order::Close);
                for _ in 0..*readers {
                    let _ = reads.try_send(None);
                }
            }
        }
        self.shared.end();
    }

    fn write_here(
        &self,
        connection: &Mutex<Option<Connection>>,
        task: Box<dyn Job>,
    ) -> PortResult<()> {
        let mut slot = locked(connection);
        let open = slot.as_ref().ok_or_else(|| PortError::unavailable(Stopped))?;
        if let Err(error) = group::commit(open, vec![task]) {
            *slot = None;
            self.shared.fail(error);
        }
        Ok(())
    }

    async fn answer<T>(&self, answer: oneshot::Receiver<T>) -> PortResult<T> {
        let answer = match &self.engine {
            Engine::Inline(_) => answer.await,
            Engine::Threads { .. } => {
                timeout(self.answer_timeout, answer).await.map_err(|_| PortError::silent(Late))?
            }
        };
        answer.map_err(|_| PortError::unavailable(Stopped))
    }
}
