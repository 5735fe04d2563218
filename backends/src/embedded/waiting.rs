//! The waiting queue in the journal: an offer is one job of the writer and is answered after its commit. A message is what
//! one offer brought; a drain is given what is committed, in the order of commits: from memory while it keeps up, by
//! paging through the journal when it has fallen behind.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use rusqlite::{Connection, params};
use sluice_core::{
    ids::SaleId,
    line::LineEntry,
    ports::{Drain, PortError, PortResult, WaitingMessage, WaitingQueue},
};
use tokio::sync::{Notify, Semaphore};

use super::{
    codec::{int, text, to_json, whole},
    store::Store,
    sync::locked,
    turns::Turns,
};

mod drain;
mod page;

/// A queue that is not declared, or was removed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no waiting queue is declared for the sale")]
struct NotDeclared;

/// How much is kept, and how much at a time in memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingLimits {
    /// Entries of one sale in the journal; beyond it an offer is `Full`.
    pub(super) entries_max: u64,
    /// Entries that a drain reads ahead.
    pub(super) page_entries: usize,
}

/// One sale's queue.
#[derive(Debug)]
struct Queue {
    sale: SaleId,
    /// One permit: who has it drains.
    drain: Arc<Semaphore>,
    /// Entries in the journal. Changed on the writer only.
    entries: AtomicU64,
    /// The highest id that is committed.
    committed: AtomicU64,
    /// Who drains, if anybody does.
    drained_by: Mutex<Weak<drain::Shared>>,
    /// Something was committed, read ahead, or removed.
    news: Notify,
}

impl Queue {
    fn new(sale: SaleId, entries: u64, committed: u64) -> Self {
        Self {
            sale,
            drain: Arc::new(Semaphore::new(1)),
            entries: AtomicU64::new(entries),
            committed: AtomicU64::new(committed),
            drained_by: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// Takes note of a message that is durable now. On the writer.
    fn commit(&self, message: WaitingMessage) {
        let id = message.tag;
        let before = self.committed.swap(id, Ordering::AcqRel);
        if let Some(drain) = locked(&self.drained_by).upgrade() {
            drain.committed(before, message);
        }
        self.news.notify_waiters();
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Journal {
    store: Arc<Store>,
    turns: Arc<Turns>,
    limits: WaitingLimits,
    queues: Mutex<HashMap<SaleId, Arc<Queue>>>,
    /// The id that the next message gets, over all sales. Changed on the writer only.
    next_id: Arc<AtomicU64>,
}

impl Journal {
    /// The journal as the file has it; `connection` is used for this reading only.
    pub(super) fn load(
        connection: &Connection,
        store: Arc<Store>,
        turns: Arc<Turns>,
        limits: WaitingLimits,
    ) -> rusqlite::Result<Self> {
        let mut queues = HashMap::new();
        let mut highest = 0;
        let mut statement = connection.prepare(sql!("waiting/queues"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (sale, entries, last) = (text::<SaleId>(row, 0)?, whole(row, 1)?, whole(row, 2)?);
            highest = highest.max(last);
            queues.insert(sale.clone(), Arc::new(Queue::new(sale, entries, last)));
        }
        Ok(Self {
            store,
            turns,
            limits,
            queues: Mutex::new(queues),
            next_id: Arc::new(AtomicU64::new(highest + 1)),
        })
    }

    fn queue(&self, sale: &SaleId) -> PortResult<Arc<Queue>> {
        let queue = locked(&self.queues).get(sale).cloned();
        queue.ok_or_else(|| PortError::unavailable(NotDeclared))
    }
}

#[async_trait]
impl WaitingQueue for Journal {
    async fn declare(&self, sale: &SaleId) -> PortResult<()> {
        if self.queue(sale).is_ok() {
            return Ok(());
        }
        let name = sale.clone();
        let work = move |connection: &Connection| {
            connection.prepare_cached(sql!("waiting/declare"))?.execute([name.as_str()])
        };
        self.store.write("waiting.declare", work, |_| ()).await?;
        locked(&self.queues)
            .entry(sale.clone())
            .or_insert_with(|| Arc::new(Queue::new(sale.clone(), 0, 0)));
        Ok(())
    }

    async fn offer(&self, sale: &SaleId, entries: Vec<LineEntry>) -> PortResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let queue = self.queue(sale)?;
        let of_sale = Arc::clone(&queue);
        let (next_id, most) = (Arc::clone(&self.next_id), self.limits.entries_max);
        let body = to_json(&entries).map_err(PortError::unavailable)?;
        let count = entries.len() as u64;
        let work = move |connection: &Connection| {
            insert(connection, &queue, (count, &body), &next_id, most)
        };
        let then = move |stored: &Stored| {
            let Stored::As(id) = stored else { return };
            of_sale.commit(WaitingMessage { tag: *id, entries });
        };
        match self.store.write("waiting.offer", work, then).await? {
            Stored::As(_) => Ok(()),
            Stored::Full => Err(PortError::Full),
            Stored::Gone => Err(PortError::unavailable(NotDeclared)),
        }
    }

    async fn drain(&self, sale: &SaleId) -> PortResult<Drain> {
        let queue = self.queue(sale)?;
        let permit = tokio::select! {
            biased;
            error = self.store.stopped() => return Err(error),
            permit = Arc::clone(&queue.drain).acquire_owned() => permit,
        };
        let permit = permit.map_err(|_| PortError::unavailable(NotDeclared))?;
        let (store, turns) = (Arc::clone(&self.store), Arc::clone(&self.turns));
        Ok(drain::begin(queue, permit, store, turns, self.limits.page_entries))
    }

    async fn remove(&self, sale: &SaleId) -> PortResult<()> {
        let Some(queue) = locked(&self.queues).remove(sale) else { return Ok(()) };
        queue.drain.close();
        queue.news.notify_waiters();
        let name = sale.clone();
        let work = move |connection: &Connection| {
            connection.prepare_cached(sql!("waiting/clear"))?.execute([name.as_str()])?;
            connection.prepare_cached(sql!("waiting/remove"))?.execute([name.as_str()])
        };
        let removed = self.store.write("waiting.remove", work, |_| ()).await;
        if removed.is_err() {
            // Unknown: what the file still has must be found when the removal is repeated.
            let mut queues = locked(&self.queues);
            let (entries, last) =
                (queue.entries.load(Ordering::Acquire), queue.committed.load(Ordering::Acquire));
            queues
                .entry(sale.clone())
                .or_insert_with(|| Arc::new(Queue::new(sale.clone(), entries, last)));
        }
        removed.map(drop)
    }
}

/// What became of an offer.
#[derive(Clone, Copy, Debug)]
enum Stored {
    /// The id it was given.
    As(u64),
    Full,
    /// The queue was removed meanwhile.
    Gone,
}

fn insert(
    connection: &Connection,
    queue: &Queue,
    (entries, body): (u64, &str),
    next_id: &AtomicU64,
    entries_max: u64,
) -> rusqlite::Result<Stored> {
    if queue.drain.is_closed() {
        return Ok(Stored::Gone);
    }
    let there = queue.entries.load(Ordering::Acquire);
    if there.saturating_add(entries) > entries_max {
        return Ok(Stored::Full);
    }
    // Taken for good, even if the job is undone: ids only ascend.
    let id = next_id.fetch_add(1, Ordering::AcqRel);
    let mut statement = connection.prepare_cached(sql!("waiting/offer"))?;
    statement.execute(params![int(id), queue.sale.as_str(), int(entries), body])?;
    queue.entries.fetch_add(entries, Ordering::AcqRel);
    Ok(Stored::As(id))
}
