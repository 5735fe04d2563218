//! Joins of one sale travel together: one question to the line and one message to the waiting queue for up to
//! [`JOINS_MAX`] of them, at most [`BATCHES_MAX`] on their way at once, and no timer. Idle, a join travels alone and waits
//! for nothing; busy, what arrives while they are on their way is the next one.
//!
//! A join is answered only once the queue has it for good. No answer in time means unknown, not failed: the record is
//! kept, and the buyer's retry finds the entry and offers it again. Twins that come of that are dropped downstream.

use std::{collections::HashSet, sync::Arc, time::Duration};

use foldhash::fast::RandomState;
use sluice_core::{
    clock::Clock,
    ids::SaleId,
    line::{Caps, LineEntry},
    ports::{Join, JoinReply, LimitedBy, Line, Place, PlaceState, PortError, WaitingQueue},
    sale::SaleState,
    view::SaleView,
};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Most joins in one batch.
const JOINS_MAX: usize = 128;
/// Most batches of one sale on their way at once: while one is written, the others are ready to share the next write.
const BATCHES_MAX: usize = 4;
/// How often a line that is cold or out of numbers is asked again: its speaker warms it, or hands it the next block.
const RETRY_EVERY: Duration = Duration::from_millis(20);
/// How long it is asked.
const RETRY_FOR: Duration = Duration::from_secs(1);

/// One join on its way.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) join: Join,
    /// It is answered by then: here, once for all that travel together, and not by a timer of each.
    pub(crate) until: Instant,
    pub(crate) reply: oneshot::Sender<Answer>,
}

/// What a join came to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A new place, durable.
    New(Place),
    /// The buyer's live place, durable if it waits or stands by.
    Found(Place),
    /// The line is at its cap, and nobody else may stand by; nothing was recorded.
    Full,
    /// The buyer or the device joins too often, over all nodes together.
    Limited { by: LimitedBy, retry_after: Duration },
    /// Nothing was recorded, or it is unknown: a retry finds it or makes it.
    Unavailable,
}

/// What carries the joins of one sale.
#[derive(Debug)]
pub(crate) struct Carrier {
    pub(crate) sale: SaleId,
    pub(crate) view: Arc<SaleView>,
    pub(crate) line: Arc<dyn Line>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waiting: Arc<dyn WaitingQueue>,
    /// A job with less time left than this is refused before anything is recorded: its answer would come too late, and whoever
    /// travels with it would have as little.
    pub(crate) least: Duration,
}

impl Carrier {
    /// Carries jobs until their senders are gone, or until `closing`: then it takes no more and finishes those in hand.
    pub(crate) async fn run(
        self: Arc<Self>,
        mut jobs: mpsc::Receiver<Job>,
        batches: TaskTracker,
        closing: CancellationToken,
    ) {
        let on_their_way = Arc::new(Semaphore::new(BATCHES_MAX));
        loop {
            let first = tokio::select! {
                biased;
                job = jobs.recv() => job,
                () = closing.cancelled(), if !jobs.is_closed() => {
                    jobs.close();
                    continue;
                }
            };
            let Some(first) = first else { return };
            let mut batch = vec![first];
            fill(&mut batch, &mut jobs);
            let Ok(permit) =
                timeout_at(until(&batch), Arc::clone(&on_their_way).acquire_owned()).await
            else {
                self.log_refusal("the batches before", batch.len(), None);
                refuse(batch);
                continue;
            };
            let Ok(permit) = permit else { return };
            self.refuse_late(&mut batch);
            fill(&mut batch, &mut jobs); // what arrived while all were on their way
            let carrier = Arc::clone(&self);
            batches.spawn(async move {
                carrier.carry(batch).await;
                drop(permit);
            });
        }
    }

    async fn carry(&self, mut batch: Vec<Job>) {
        let retry_until = Instant::now() + RETRY_FOR;
        loop {
            // Whoever hung up before being recorded is not recorded.
            batch.retain(|job| !job.reply.is_closed());
            self.refuse_late(&mut batch);
            if batch.is_empty() {
                return;
            }
            batch = self.round(batch).await;
            if Instant::now() + RETRY_EVERY > retry_until {
                break;
            }
            if !batch.is_empty() {
                sleep(RETRY_EVERY).await;
            }
        }
        if !batch.is_empty() {
            tracing::warn!(sale = %self.sale, joins = batch.len(), "the line stayed cold or out of numbers; joins were refused");
        }
        refuse(batch);
    }

    fn refuse_late(&self, batch: &mut Vec<Job>) {
        let least = Instant::now() + self.least;
        let late: Vec<Job> = batch.extract_if(.., |job| job.until < least).collect();
        if !late.is_empty() {
            self.log_refusal("the batches before", late.len(), None);
            refuse(late);
        }
    }

    /// One question to the line, one message to the queue. Returns the jobs that may be asked again.
    async fn round(&self, batch: Vec<Job>) -> Vec<Job> {
        let deadline = until(&batch);
        let caps = self.caps();
        let joins = batch.iter().map(|job| job.join.clone()).collect();
        let replies = match timeout_at(deadline, self.line.join(&self.sale, caps, joins)).await {
            Ok(Ok(replies)) => replies,
            Ok(Err(PortError::Cold)) => return batch,
            Ok(Err(error)) => {
                self.log_refusal("the line", batch.len(), Some(&error));
                refuse(batch);
                return Vec::new();
            }
            Err(_elapsed) => {
                self.log_refusal("the line", batch.len(), None);
                refuse(batch);
                return Vec::new();
            }
        };
        let (mut again, mut placed) = (Vec::new(), Vec::with_capacity(batch.len()));
        for (job, reply) in batch.into_iter().zip(replies) {
            match reply {
                JoinReply::New(place) => placed.push(Placed { new: true, place, reply: job.reply }),
                JoinReply::Found(place) => {
                    placed.push(Placed { new: false, place, reply: job.reply })
                }
                JoinReply::Full => tell(job.reply, Answer::Full),
                JoinReply::OutOfNumbers => again.push(job),
                JoinReply::Limited { by, retry_after } => {
                    tell(job.reply, Answer::Limited { by, retry_after });
                }
            }
        }
        let offered = self.offer(&placed, deadline).await;
        for placed in placed {
            placed.tell(offered);
        }
        again
    }

    /// As the policy has them now. The line counts who stands by itself; one that forgot is told by the speaker's report.
    fn caps(&self) -> Caps {
        let reading = self.view.read();
        let sold_out = reading.state(self.clock.now()) == SaleState::SoldOut;
        let caps = reading.sale.policy.caps(sold_out);
        let full = reading.report().is_some_and(|report| report.standby >= caps.standby);
        if full { Caps { standby: 0, ..caps } } else { caps }
    }

    /// Makes durable what is not: one message for all. Says whether the queue has them for good.
    async fn offer(&self, placed: &[Placed], deadline: Instant) -> Offered {
        let mut named = HashSet::with_capacity_and_hasher(placed.len(), RandomState::default());
        let entries: Vec<LineEntry> = placed
            .iter()
            .filter(|placed| placed.needs_offer() && named.insert(placed.place.line_entry.entry))
            .map(|placed| placed.place.line_entry.clone())
            .collect();
        if entries.is_empty() {
            return Offered::Durable;
        }
        let ids: Vec<_> = entries.iter().map(|line_entry| line_entry.entry).collect();
        match timeout_at(deadline, self.waiting.offer(&self.sale, entries)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                self.log_refusal("the waiting queue", ids.len(), Some(&error));
                return Offered::Unknown;
            }
            Err(_elapsed) => {
                self.log_refusal("the waiting queue", ids.len(), None);
                return Offered::Unknown;
            }
        }
        // Unconfirmed places are offered again when their buyers come back: a twin each, no harm.
        if let Ok(Err(error)) = timeout_at(deadline, self.line.confirm(&self.sale, &ids)).await {
            tracing::warn!(sale = %self.sale, error = &error as &dyn std::error::Error, "joins could not be marked as durable");
        }
        Offered::Durable
    }

    fn log_refusal(&self, store: &str, joins: usize, error: Option<&PortError>) {
        let error = error.map(|error| error as &dyn std::error::Error);
        tracing::warn!(sale = %self.sale, joins, store, error, timed_out = error.is_none(), "joins were answered 503");
    }
}

/// A join the line has given a place, on its way to the queue.
struct Placed {
    new: bool,
    place: Place,
    reply: oneshot::Sender<Answer>,
}

/// Whether the queue has what was offered.
#[derive(Clone, Copy)]
enum Offered {
    Durable,
    Unknown,
}

impl Placed {
    fn needs_offer(&self) -> bool {
        let in_queue = matches!(self.place.state, PlaceState::Waiting | PlaceState::Standby);
        self.new || (in_queue && !self.place.durable)
    }

    fn tell(self, offered: Offered) {
        let answer = match offered {
            Offered::Unknown if self.needs_offer() => Answer::Unavailable,
            Offered::Durable | Offered::Unknown if self.new => Answer::New(self.place),
            Offered::Durable | Offered::Unknown => Answer::Found(self.place),
        };
        tell(self.reply, answer);
    }
}

fn fill(batch: &mut Vec<Job>, jobs: &mut mpsc::Receiver<Job>) {
    while batch.len() < JOINS_MAX {
        match jobs.try_recv() {
            Ok(job) => batch.push(job),
            Err(_none_waits) => return,
        }
    }
}

/// By when a batch is answered: nobody in it waits longer than whoever may wait least.
fn until(batch: &[Job]) -> Instant {
    batch.iter().map(|job| job.until).min().unwrap_or_else(Instant::now)
}

fn refuse(batch: Vec<Job>) {
    for job in batch {
        tell(job.reply, Answer::Unavailable);
    }
}

/// A buyer who hung up meanwhile is not told; the retry finds the place.
fn tell(reply: oneshot::Sender<Answer>, answer: Answer) {
    let _ = reply.send(answer);
}

#[cfg(test)]
mod tests;
