//! A drain of one sale's queue, in two halves. The intake reads ahead by at most a page and a half; dropping it ends the
//! drain, and what was not acknowledged is read again by the next one, because it is still in the journal.

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

use super::{
    Queue,
    page::{self, Paged},
};
use crate::embedded::{codec::int, store::Store, sync::locked, turns::Turns};

/// What both halves know.
struct Shared {
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
    ready: VecDeque<Paged>,
    ready_entries: usize,
    /// The last id that was read.
    after: u64,
    reading: bool,
    fault: Option<PortError>,
    /// Where the messages lie that were handed out and not acknowledged.
    unacked: HashMap<u64, (u64, u64)>,
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
            if let Some(paged) = &taken {
                ahead.ready_entries -= paged.message.entries.len();
                ahead.unacked.insert(paged.message.tag, paged.ids);
            }
            taken
        };
        self.read_ahead()?;
        Ok(taken.map(|paged| paged.message))
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
            move |pages| shared.arrived(pages, committed),
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

    fn arrived(&self, pages: PortResult<Vec<Paged>>, committed: u64) {
        {
            let mut ahead = locked(&self.ahead);
            ahead.reading = false;
            match pages {
                Ok(pages) => {
                    // Nothing there: the ids up to the commit were twins, or are acknowledged.
                    let reached = pages.last().map_or(committed, |paged| paged.ids.1);
                    ahead.after = ahead.after.max(reached);
                    for paged in pages {
                        ahead.ready_entries += paged.message.entries.len();
                        ahead.ready.push_back(paged);
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
        let found: Vec<(u64, (u64, u64))> = {
            let ahead = locked(&self.shared.ahead);
            tags.iter().filter_map(|tag| Some((*tag, *ahead.unacked.get(tag)?))).collect()
        };
        if found.is_empty() {
            return Ok(());
        }
        let (shared, done) = (Arc::clone(&self.shared), Arc::clone(&self.shared));
        let spans = found.clone();
        let work = move |connection: &Connection| {
            if shared.check().is_err() {
                return Ok(None);
            }
            let mut statement = connection.prepare_cached(sql!("waiting/ack"))?;
            let mut gone = 0;
            for (_, (from, to)) in &spans {
                let sale = shared.queue.sale.as_str();
                gone += statement.execute(params![sale, int(*from), int(*to)])?;
            }
            Ok(Some(gone as u64))
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
