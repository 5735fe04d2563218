//! A tap on the waiting queue: sees every release as it begins, and can delay it, lose its answer, or hold it; and it can
//! deliver every message again, at once and a while later.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sluice_core::{
    event::Turn,
    ids::{EntryId, SaleId},
    line::LineEntry,
    ports::{Drain, DrainIntake, DrainOutlet, PortError, PortResult, WaitingMessage, WaitingQueue},
};
use tokio::time::{Instant, sleep, sleep_until};

/// One turn as it left.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) at: Instant,
    pub(crate) turn: Turn,
    /// Whether the queue took it.
    pub(crate) durable: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Tap {
    queue: Arc<dyn WaitingQueue>,
    pub(crate) log: Arc<Log>,
}

/// What the tap saw, and what it does.
#[derive(Debug, Default)]
pub(crate) struct Log {
    releases: Mutex<Vec<Release>>,
    delay_ms: AtomicU64,
    /// The answer to the release that is this many ahead is lost, 1 being the next.
    lose_answer_in: AtomicU64,
    /// The release that is this many ahead is refused, and nothing stored.
    refuse_in: AtomicU64,
    hold: AtomicBool,
    repeat: AtomicBool,
}

impl Log {
    pub(crate) fn releases(&self) -> Vec<Release> {
        self.releases.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.releases.lock().unwrap().len()
    }

    /// Numbers in the order of their first release.
    pub(crate) fn first_numbers(&self) -> Vec<u64> {
        self.first_releases().iter().map(|release| release.turn.line_entry.seq.0).collect()
    }

    /// The first durable release of each entry, in order.
    pub(crate) fn first_releases(&self) -> Vec<Release> {
        let mut seen = std::collections::HashSet::<EntryId>::new();
        let mut first = self.releases();
        first.retain(|release| release.durable && seen.insert(release.turn.line_entry.entry));
        first
    }

    pub(crate) fn delay(&self, by: Duration) {
        self.delay_ms.store(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub(crate) fn lose_answer_in(&self, releases: u64) {
        self.lose_answer_in.store(releases, Ordering::SeqCst);
    }

    pub(crate) fn refuse_in(&self, releases: u64) {
        self.refuse_in.store(releases, Ordering::SeqCst);
    }

    /// Delivers every message three times.
    pub(crate) fn repeat(&self) {
        self.repeat.store(true, Ordering::SeqCst);
    }

    /// Holds every release back until told otherwise.
    pub(crate) fn hold(&self, hold: bool) {
        self.hold.store(hold, Ordering::SeqCst);
    }
}

fn comes_due(counter: &AtomicU64) -> bool {
    let before = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
    before == Ok(1)
}

impl Tap {
    pub(crate) fn on(queue: Arc<dyn WaitingQueue>) -> Self {
        Self { queue, log: Arc::new(Log::default()) }
    }
}

#[async_trait]
impl WaitingQueue for Tap {
    async fn declare(&self, sale: &SaleId) -> PortResult<()> {
        self.queue.declare(sale).await
    }

    async fn offer(&self, sale: &SaleId, entries: Vec<LineEntry>) -> PortResult<()> {
        self.queue.offer(sale, entries).await
    }

    async fn drain(&self, sale: &SaleId) -> PortResult<Drain> {
        let Drain { intake, outlet } = self.queue.drain(sale).await?;
        let log = Arc::clone(&self.log);
        let outlet = Arc::new(Outlet { outlet, log: Arc::clone(&log) });
        Ok(Drain { intake: Box::new(Intake { intake, log, again: VecDeque::new() }), outlet })
    }

    async fn remove(&self, sale: &SaleId) -> PortResult<()> {
        self.queue.remove(sale).await
    }
}

/// Tags of repeated messages begin here; they are not the queue's own.
const REPEATED: u64 = 1 << 40;
/// When a message comes the last time.
const LATE: Duration = Duration::from_millis(300);

#[derive(Debug)]
struct Intake {
    intake: Box<dyn DrainIntake>,
    log: Arc<Log>,
    /// What is to be delivered again, and when.
    again: VecDeque<(Instant, WaitingMessage)>,
}

impl Intake {
    fn note(&mut self, message: WaitingMessage) -> WaitingMessage {
        if self.log.repeat.load(Ordering::SeqCst) {
            for (n, after) in [(1, Duration::ZERO), (2, LATE)] {
                let copy = WaitingMessage { tag: message.tag + n * REPEATED, ..message.clone() };
                self.again.push_back((Instant::now() + after, copy));
            }
            self.again.make_contiguous().sort_by_key(|(due, _)| *due);
        }
        message
    }
}

#[async_trait]
impl DrainIntake for Intake {
    async fn next(&mut self) -> PortResult<WaitingMessage> {
        let due = self.again.front().map(|(due, _)| *due);
        let repeated = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let fresh = tokio::select! {
            biased;
            () = repeated => None,
            fresh = self.intake.next() => Some(fresh?),
        };
        match fresh {
            Some(message) => Ok(self.note(message)),
            None => Ok(self.again.pop_front().unwrap().1),
        }
    }

    fn try_next(&mut self) -> PortResult<Option<WaitingMessage>> {
        let fresh = self.intake.try_next()?;
        Ok(fresh.map(|message| self.note(message)))
    }
}

#[derive(Debug)]
struct Outlet {
    outlet: Arc<dyn DrainOutlet>,
    log: Arc<Log>,
}

#[async_trait]
impl DrainOutlet for Outlet {
    async fn release(&self, turns: Vec<Turn>) -> PortResult<()> {
        let at = Instant::now();
        if comes_due(&self.log.refuse_in) {
            return Err(PortError::unavailable("refused"));
        }
        let delay = self.log.delay_ms.load(Ordering::SeqCst);
        if delay > 0 {
            sleep(Duration::from_millis(delay)).await;
        }
        while self.log.hold.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(5)).await;
        }
        let result = self.outlet.release(turns.clone()).await;
        let durable = result.is_ok();
        let releases = turns.into_iter().map(|turn| Release { at, turn, durable });
        self.log.releases.lock().unwrap().extend(releases);
        result?;
        if comes_due(&self.log.lose_answer_in) {
            return Err(PortError::unavailable("the answer was lost"));
        }
        Ok(())
    }

    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        let own: Vec<u64> = tags.iter().copied().filter(|tag| *tag < REPEATED).collect();
        self.outlet.ack(&own).await
    }
}
