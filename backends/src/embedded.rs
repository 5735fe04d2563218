//! The embedded backend: every port over one SQLite file, in one process.
//!
//! What must survive is a row before it is answered: the journals of the waiting and the turn queue, and the ledger. What
//! may be forgotten is memory: the line, the stock gate, the bulletin. `kill -9` at any moment loses nothing that was
//! answered. One process has the file; a second one is refused.

use std::{path::Path, sync::Arc, time::Duration};

use sluice_core::{clock::Clock, ports::Ports};

/// A statement, in its own file.
macro_rules! sql {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/src/embedded/sql/", $name, ".sql"))
    };
}

mod bulletin;
mod codec;
mod gate;
mod ledger;
mod line;
mod memory;
mod open;
mod store;
mod sync;
mod turns;
mod waiting;

use memory::{Memory, Remembered};
pub use open::OpenError;
use open::{Durability, Lock};
pub use store::Failure;
use store::{Limits, Store, Threads};
use waiting::WaitingLimits;

/// The limits of the embedded backend. The defaults carry the largest sale that a policy allows.
#[derive(Clone, Debug)]
pub struct EmbeddedSettings {
    /// Entries of one sale that wait in the journal; beyond it an offer is `Full`. Default: the highest `line_cap`.
    pub waiting_entries_max: u64,
    /// Turns released and not settled, over all sales; beyond it a release is `Full`. Default 100,000.
    pub turns_max: u64,
    /// Notices a listener may fall behind; beyond it the oldest are missed. Default 4,096.
    pub bulletin_notices_max: usize,
    /// Writes that wait for the writer; beyond it a call is `Full`. Default 8,192.
    pub writes_max: usize,
    /// Writes in one commit; the others wait for the next. Default 1,024.
    pub commit_writes_max: usize,
    /// Reads that wait for a reader; beyond it a call is `Full`. Default 8,192.
    pub reads_max: usize,
    /// Threads that read, 1 at least. Default 2.
    pub reader_threads: usize,
    /// Entries a drain reads ahead; it reads on when half of them are taken. Default 4,096.
    pub page_entries: usize,
    /// Settled places of a sale whose buyer is free, and settlements of strangers; the oldest are forgotten first, the
    /// ledger knows them. Default 100,000.
    pub settled_places_max: usize,
    /// Holds of a sale that are sold or released; the oldest are forgotten first, the ledger knows them. Default 100,000.
    pub holds_over_max: usize,
    /// How long a call waits for its answer; then it is `Unavailable`, and may yet take effect. Default 10 s.
    pub answer_timeout: Duration,
}

impl Default for EmbeddedSettings {
    fn default() -> Self {
        Self {
            waiting_entries_max: 10_000_000,
            turns_max: 100_000,
            bulletin_notices_max: 4_096,
            writes_max: 8_192,
            commit_writes_max: 1_024,
            reads_max: 8_192,
            reader_threads: 2,
            page_entries: 4_096,
            settled_places_max: 100_000,
            holds_over_max: 100_000,
            answer_timeout: Duration::from_secs(10),
        }
    }
}

/// An open store. Dropping it is a crash: what was not answered may be lost, what was answered is in the file.
#[derive(Debug)]
pub struct Embedded {
    ports: Ports,
    store: Arc<Store>,
    threads: Option<Threads>,
    _lock: Lock,
}

impl Embedded {
    /// Opens the file, and makes it if it is not there; its folder must exist. Writes go to a thread of their own, which
    /// commits everything that arrived meanwhile at once.
    pub fn open(
        file: &Path,
        clock: Arc<dyn Clock>,
        settings: EmbeddedSettings,
    ) -> Result<Self, OpenError> {
        let lock = open::lock(file)?;
        let writer = open::writer(file, Durability::Full)?;
        let readers = (0..settings.reader_threads.max(1)).map(|_| open::reader(file));
        let readers = readers.collect::<Result<Vec<_>, OpenError>>()?;
        let loader = open::reader(file)?;
        let limits = Limits {
            jobs_max: settings.writes_max,
            reads_max: settings.reads_max,
            group_jobs_max: settings.commit_writes_max,
            answer_timeout: settings.answer_timeout,
        };
        let started = Threads::start(file.to_owned(), writer, readers, limits);
        let (store, threads) = started.map_err(|source| OpenError::Threads { source })?;
        let store = Arc::new(store);
        match ports(&loader, &store, &clock, &settings) {
            Ok(ports) => {
                tracing::info!(file = %file.display(), "the embedded store is open");
                Ok(Self { ports, store, threads: Some(threads), _lock: lock })
            }
            Err(source) => {
                store.halt();
                threads.join();
                Err(OpenError::Sqlite { file: file.to_owned(), source })
            }
        }
    }

    /// Opens the file without threads: every call runs and commits in the calling task. For simulations on paused time,
    /// which waiting for a thread would let run away; answered work survives the end of the process, not a power cut.
    pub fn open_inline(
        file: &Path,
        clock: Arc<dyn Clock>,
        settings: EmbeddedSettings,
    ) -> Result<Self, OpenError> {
        let lock = open::lock(file)?;
        let writer = open::writer(file, Durability::Process)?;
        let loader = open::reader(file)?;
        let store = Arc::new(Store::inline(file.to_owned(), writer));
        let ports = ports(&loader, &store, &clock, &settings)
            .map_err(|source| OpenError::Sqlite { file: file.to_owned(), source })?;
        Ok(Self { ports, store, threads: None, _lock: lock })
    }

    /// All ports, over this file.
    #[must_use]
    pub fn ports(&self) -> Ports {
        self.ports.clone()
    }

    /// Resolves when a commit failed (a full disk, a fault of the disk): nothing is stored any more, and the process must
    /// say so and end. Never resolves otherwise.
    pub async fn failed(&self) -> Failure {
        self.store.failed().await
    }

    /// Finishes what was handed in, writes the log back into the file, and closes it.
    pub async fn close(self) {
        self.store.close().await;
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.store.halt();
        // The lock must not be free before the file is closed.
        if let Some(threads) = self.threads.take() {
            threads.join();
        }
    }
}

fn ports(
    loader: &rusqlite::Connection,
    store: &Arc<Store>,
    clock: &Arc<dyn Clock>,
    settings: &EmbeddedSettings,
) -> rusqlite::Result<Ports> {
    let memory = Arc::new(Memory::new(Remembered {
        settled_places_max: settings.settled_places_max,
        holds_over_max: settings.holds_over_max,
    }));
    let turns =
        turns::Turns::load(loader, Arc::clone(store), Arc::clone(clock), settings.turns_max)?;
    let turns = Arc::new(turns);
    let limits = WaitingLimits {
        entries_max: settings.waiting_entries_max,
        page_entries: settings.page_entries,
    };
    let journal = waiting::Journal::load(loader, Arc::clone(store), Arc::clone(&turns), limits)?;
    let line = line::MemoryLine::new(Arc::clone(&memory), Arc::clone(store), Arc::clone(clock));
    let ledger = ledger::SqlLedger::new(Arc::clone(store), Arc::clone(clock), Arc::clone(&turns));
    Ok(Ports {
        line: Arc::new(line),
        waiting: Arc::new(journal),
        letters: Arc::new(turns::LetterPort(Arc::clone(&turns))),
        turns: Arc::new(turns::TurnPort(turns)),
        bulletin: Arc::new(bulletin::Broadcast::new(settings.bulletin_notices_max)),
        gate: Arc::new(gate::MemoryGate::new(memory, Arc::clone(clock))),
        ledger: Arc::new(ledger),
        inbox: None,
    })
}

#[cfg(test)]
mod tests;
