//! A drain of one sale's queue, in two halves. A message is handed to it as it is committed, unless it has a page in hand
//! already: then it reads the journal later, a page and a half ahead at most. Dropping the intake ends the drain, and what
//! was not acknowledged is read again by the next one, because it is still in the journal.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use rusqlite::{Connection, params};
use sluice_core::{
    event::Turn,
    ports::{Drain, DrainIntake, DrainOutlet, PortError, PortResult, WaitingMessage},
};
use tokio::sync::OwnedSemaphorePermit;

use super::{Queue, page};
use crate::embedded::{codec::int, store::Store, sync::locked, turns::Turns};

/// What both halves know.
pub(super) struct Shared {
    queue: Arc<Queue>,
    store: Arc<Store>,
    turns: Arc<Turns>,
    page_entries: usize,
    over: AtomicBool,
    ahead: Mutex<Ahead>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("sale", &self.queue.sale).finish_non_exhaustive()
    }
}

/// What was read ahead.
#[derive(Debug, Default)]
struct Ahead {
    ready: VecDeque<WaitingMessage>,
    ready_entries: usize,
    /// The last id that is ready, or was handed out.
    after: u64,
    reading: bool,
    fault: Option<PortError>,
    /// How many entries the messages have that were handed out and not acknowledged.
    unacked: HashMap<u64, u64>,
}

pub(super) fn begin(
    queue: Arc<Queue>,
    permit: OwnedSemaphorePermit,
    store: Arc<Store>,
    turns: Arc<Turns>,
    page_entries: usize,
) -> Drain {
    let shared = Arc::new(Shared {
        queue,
        store,
        turns,
        page_entries: page_entries.max(2),
        over: AtomicBool::new(false),
        ahead: Mutex::new(Ahead::default()),
    });
    *locked(&shared.queue.drained_by) = Arc::downgrade(&shared);
    let outlet = Arc::new(Outlet { shared: Arc::clone(&shared) });
    Drain { intake: Box::new(Intake { shared, _permit: permit }), outlet }
}

impl Shared {
    fn check(&self) -> PortResult<()> {
        let removed = self.queue.drain.is_closed();
        if removed || self.over.load(Ordering::Acquire) { Err(PortError::Fenced) } else { Ok(()) }
    }

    /// The next message that was read ahead; asks for more in time.
    fn take(self: &Arc<Self>) -> PortResult<Option<WaitingMessage>> {
        self.check()?;
        let taken = {
            let mut ahead = locked(&self.ahead);
            if let Some(fault) = ahead.fault.take() {
                return Err(fault);
            }
            let taken = ahead.ready.pop_front();
            if let Some(message) = &taken {
                ahead.ready_entries -= message.entries.len();
                ahead.unacked.insert(message.tag, message.entries.len() as u64);
            }
            taken
        };
        self.read_ahead()?;
        Ok(taken)
    }

    /// Takes in a message that was just committed; `before` is the id of the one before it. A drain that has fallen
    /// behind, or has enough, leaves it in the journal.
    pub(super) fn committed(&self, before: u64, message: WaitingMessage) {
        let mut ahead = locked(&self.ahead);
        let keeps_up = ahead.after == before && !ahead.reading;
        if keeps_up && ahead.ready_entries < self.page_entries {
            ahead.after = message.tag;
            ahead.ready_entries += message.entries.len();
            ahead.ready.push_back(message);
        }
    }

    fn read_ahead(self: &Arc<Self>) -> PortResult<()> {
        let after = {
            let mut ahead = locked(&self.ahead);
            let enough = ahead.ready_entries > self.page_entries / 2;
            let more = self.queue.committed.load(Ordering::Acquire) > ahead.after;
            if ahead.reading || enough || !more {
                return Ok(());
            }
            ahead.reading = true;
            ahead.after
        };
        let (shared, sale, entries) =
            (Arc::clone(self), self.queue.sale.clone(), self.page_entries);
        // Committed before the reading begins, so that the reading sees all of it.
        let committed = self.queue.committed.load(Ordering::Acquire);
        let asked = self.store.read_then(
            move |connection| page::read(connection, &sale, after, entries),
            move |page| shared.arrived(page, committed),
        );
        match asked {
            Ok(()) => Ok(()),
            // The readers are busy: whoever asks next asks again.
            Err(PortError::Full) => {
                locked(&self.ahead).reading = false;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn arrived(&self, page: PortResult<Vec<WaitingMessage>>, committed: u64) {
        {
            let mut ahead = locked(&self.ahead);
            ahead.reading = false;
            match page {
                Ok(messages) => {
                    // Nothing there: the ids up to the commit are acknowledged.
                    let reached = messages.last().map_or(committed, |message| message.tag);
                    ahead.after = ahead.after.max(reached);
                    for message in messages {
                        ahead.ready_entries += message.entries.len();
                        ahead.ready.push_back(message);
                    }
                }
                Err(error) => ahead.fault = Some(error),
            }
        }
        self.queue.news.notify_waiters();
    }
}

#[derive(Debug)]
struct Intake {
    shared: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Intake {
    fn drop(&mut self) {
        // Before the permit goes to the next one.
        self.shared.over.store(true, Ordering::Release);
    }
}

#[async_trait]
impl DrainIntake for Intake {
    async fn next(&mut self) -> PortResult<WaitingMessage> {
        loop {
            let mut news = std::pin::pin!(self.shared.queue.news.notified());
            news.as_mut().enable();
            if let Some(message) = self.shared.take()? {
                return Ok(message);
            }
            tokio::select! {
                biased;
                error = self.shared.store.stopped() => return Err(error),
                () = news => {}
            }
        }
    }

    fn try_next(&mut self) -> PortResult<Option<WaitingMessage>> {
        match self.shared.take()? {
            // With an inline store what was asked for is there already.
            None => self.shared.take(),
            some => Ok(some),
        }
    }
}

#[derive(Debug)]
struct Outlet {
    shared: Arc<Shared>,
}

#[async_trait]
impl DrainOutlet for Outlet {
    async fn release(&self, turns: Vec<Turn>) -> PortResult<()> {
        self.shared.check()?;
        let shared = Arc::clone(&self.shared);
        self.shared.turns.release(turns, move || shared.check()).await
    }

    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        self.shared.check()?;
        let found: Vec<(u64, u64)> = {
            let ahead = locked(&self.shared.ahead);
            tags.iter().filter_map(|tag| Some((*tag, *ahead.unacked.get(tag)?))).collect()
        };
        if found.is_empty() {
            return Ok(());
        }
        let (shared, done) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let messages = found.clone();
        let work = move |connection: &Connection| {
            if shared.check().is_err() {
                return Ok(None);
            }
            let mut statement = connection.prepare_cached(sql!("waiting/ack"))?;
            let mut gone = 0;
            for (id, entries) in &messages {
                let deleted = statement.execute(params![int(*id), shared.queue.sale.as_str()])?;
                gone += entries * deleted as u64;
            }
            Ok(Some(gone))
        };
        let then = move |gone: &Option<u64>| {
            let Some(gone) = gone else { return };
            done.queue.entries.fetch_sub(*gone, Ordering::AcqRel);
            let mut ahead = locked(&done.ahead);
            for (tag, _) in &found {
                ahead.unacked.remove(tag);
            }
        };
        let gone = self.shared.store.write("waiting.ack", work, then).await?;
        gone.map(drop).ok_or(PortError::Fenced)
    }
}
