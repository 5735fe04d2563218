//! Everything that is written to one channel, in the order in which it was handed in: messages, and acknowledgements.
//!
//! One task owns the channel. Callers hand it jobs and wait for the answer as long as they like: a call that gives up or
//! is dropped leaves the job with the task, so that a late confirm finds somebody, and never more than a window of
//! messages is unconfirmed. Messages are never published as `mandatory`: the client library hands a returned message to
//! whichever confirm comes next. What no queue takes goes to the alternate exchange instead.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, poll, stream::FuturesUnordered};
use lapin::{
    BasicProperties, Channel, Confirmation, Consumer, PublisherConfirm,
    options::{BasicAckOptions, BasicNackOptions, BasicPublishOptions},
    types::ShortString,
};
use sluice_core::ports::{PortError, PortResult};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, interval, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{fault::Fault, link::Wire, metrics, sync::locked};

/// How often the task looks whether confirms still come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a channel's farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// A message on its way out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) exchange: ShortString,
    pub(super) key: ShortString,
    pub(super) properties: BasicProperties,
    pub(super) body: Vec<u8>,
}

/// What became of the messages of one job.
#[derive(Debug)]
pub(super) enum Sent {
    /// All are durable in their queues.
    Stored,
    /// None was taken: the broker, its queue, or our own buffer is full.
    Full,
    /// None was written.
    Unsent(Fault),
    /// Some may be stored.
    Unknown(Fault),
}

impl From<Sent> for PortResult<()> {
    fn from(sent: Sent) -> Self {
        match sent {
            Sent::Stored => Ok(()),
            Sent::Full => Err(PortError::Full),
            Sent::Unsent(fault) | Sent::Unknown(fault) => Err(fault.into()),
        }
    }
}

/// What is settled with the broker about a delivery.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Settle {
    /// This one is done.
    Ack(u64),
    /// This one and every earlier one is done.
    AckUpTo(u64),
    /// Put back to where it was.
    Return(u64),
}

/// Whether messages are confirmed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Confirms {
    Awaited,
    /// A message is done once it is written: it may be lost.
    None,
}

/// The limits of a writer.
#[derive(Clone, Copy, Debug)]
pub(super) struct WriterLimits {
    /// Messages unconfirmed at a time; beyond it jobs wait.
    pub(super) window: usize,
    /// Jobs that wait; beyond it a call is `Full`.
    pub(super) jobs_max: usize,
    /// For how long no confirm may come while some are due; then the channel is given up, and all of them are unknown.
    pub(super) stalled_after: Duration,
}

/// Where a consumer is laid whose channel is to be closed before it is dropped: dropped first, it would be cancelled
/// first, and the next consumer would be given newer messages before the older ones came back.
pub(super) type Hatch = Arc<Mutex<Option<Consumer>>>;

/// The handle to hand in jobs with.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    wire: Arc<Wire>,
    hatch: Hatch,
}

#[derive(Debug)]
enum Job {
    Publish { messages: Vec<Outgoing>, reply: oneshot::Sender<Sent> },
    Settle { settles: Vec<Settle>, reply: Option<oneshot::Sender<Result<(), Fault>>> },
}

impl Writer {
    /// Begins to write to `channel`. The writer ends with `over`, and cancels it when it cannot go on; then it closes the
    /// channel.
    pub(super) fn start(
        channel: Channel,
        wire: &Arc<Wire>,
        over: CancellationToken,
        confirms: Confirms,
        limits: WriterLimits,
        tasks: &TaskTracker,
    ) -> Self {
        let (jobs, queue) = mpsc::channel(limits.jobs_max.max(1));
        let hatch = Hatch::default();
        let desk = Desk {
            channel,
            wire: Arc::clone(wire),
            over,
            confirms,
            limits,
            due: FuturesUnordered::new(),
            open: HashMap::new(),
            last_job: 0,
            progress: Instant::now(),
        };
        tasks.spawn(desk.run(queue, Arc::clone(&hatch)));
        Self { jobs, wire: Arc::clone(wire), hatch }
    }

    pub(super) fn hatch(&self) -> Hatch {
        Arc::clone(&self.hatch)
    }

    /// Hands messages in, now; they leave in the order of these calls.
    pub(super) fn begin(&self, messages: Vec<Outgoing>) -> Result<Underway, Sent> {
        if self.wire.is_blocked() {
            return Err(Sent::Full);
        }
        let (reply, sent) = oneshot::channel();
        match self.jobs.try_send(Job::Publish { messages, reply }) {
            Ok(()) => Ok(Underway(sent)),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Sent::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Sent::Unsent(Fault::Ended)),
        }
    }

    /// Hands messages in and waits until they are confirmed.
    pub(super) async fn publish(&self, messages: Vec<Outgoing>, limit: Duration) -> Sent {
        match self.begin(messages) {
            Ok(underway) => underway.sent(limit).await,
            Err(sent) => sent,
        }
    }

    /// Settles deliveries and waits until that is written. `Full`: nothing was.
    pub(super) async fn settle(&self, settles: Vec<Settle>, limit: Duration) -> Sent {
        if settles.is_empty() {
            return Sent::Stored;
        }
        let (reply, written) = oneshot::channel();
        match self.jobs.try_send(Job::Settle { settles, reply: Some(reply) }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => return Sent::Full,
            Err(mpsc::error::TrySendError::Closed(_)) => return Sent::Unsent(Fault::Ended),
        }
        match timeout(limit, written).await {
            Ok(Ok(Ok(()))) => Sent::Stored,
            Ok(Ok(Err(fault))) => Sent::Unknown(fault),
            Ok(Err(_)) => Sent::Unknown(Fault::Ended),
            Err(_) => Sent::Unknown(Fault::Silent { what: "an acknowledgement", limit }),
        }
    }

    /// Settles deliveries without waiting. Whether there was room for it.
    pub(super) fn settle_later(&self, settles: Vec<Settle>) -> bool {
        self.jobs.try_send(Job::Settle { settles, reply: None }).is_ok()
    }
}

/// Messages that were handed in.
#[derive(Debug)]
pub(super) struct Underway(oneshot::Receiver<Sent>);

impl Underway {
    /// Waits until they are confirmed, for so long at most.
    pub(super) async fn sent(self, limit: Duration) -> Sent {
        match timeout(limit, self.0).await {
            Ok(Ok(sent)) => sent,
            Ok(Err(_)) => Sent::Unknown(Fault::Ended),
            Err(_) => Sent::Unknown(Fault::Silent { what: "a message", limit }),
        }
    }
}

/// Messages of one job that are not confirmed yet.
#[derive(Debug)]
struct Open {
    left: usize,
    stored: usize,
    refused: usize,
    reply: oneshot::Sender<Sent>,
}

type Written<T> = Pin<Box<dyn Future<Output = lapin::Result<T>> + Send>>;

/// The task.
struct Desk {
    channel: Channel,
    wire: Arc<Wire>,
    over: CancellationToken,
    confirms: Confirms,
    limits: WriterLimits,
    due: FuturesUnordered<BoxFuture<'static, (u64, lapin::Result<Confirmation>)>>,
    open: HashMap<u64, Open>,
    last_job: u64,
    progress: Instant,
}

impl Desk {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>, hatch: Hatch) {
        let over = self.over.clone();
        let fault = tokio::select! {
            biased;
            () = over.cancelled() => Fault::Ended,
            fault = self.work(&mut jobs) => fault,
        };
        self.end(jobs, &hatch, fault).await;
    }

    /// Works until something ends the channel.
    async fn work(&mut self, jobs: &mut mpsc::Receiver<Job>) -> Fault {
        let mut look = interval(LOOK_EVERY);
        let mut closed = false;
        while !(closed && self.due.is_empty()) {
            let room = !closed && self.due.len() < self.limits.window;
            let step = tokio::select! {
                Some((job, confirm)) = self.due.next() => self.confirmed(job, confirm),
                job = jobs.recv(), if room => match job {
                    Some(job) => self.begin(job).await,
                    None => { closed = true; Ok(()) }
                },
                _ = look.tick() => self.look(),
            };
            if let Err(fault) = step {
                return fault;
            }
        }
        Fault::Ended
    }

    async fn begin(&mut self, job: Job) -> Result<(), Fault> {
        match job {
            Job::Publish { messages, reply } => self.publish(messages, reply).await,
            Job::Settle { settles, reply } => {
                let channel = self.channel.clone();
                let settled = settle(&channel, settles).await;
                let ended = settled.is_err();
                if let Some(reply) = reply {
                    // An error means that the caller has given up.
                    let _ = reply.send(settled);
                }
                if ended { Err(Fault::Ended) } else { Ok(()) }
            }
        }
    }

    async fn publish(
        &mut self,
        messages: Vec<Outgoing>,
        reply: oneshot::Sender<Sent>,
    ) -> Result<(), Fault> {
        if reply.is_closed() {
            // Told as unknown already: not storing it is one of the two.
            return Ok(());
        }
        self.last_job += 1;
        let job = self.last_job;
        let left = messages.len();
        self.open.insert(job, Open { left, stored: 0, refused: 0, reply });
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            while self.due.len() >= self.limits.window {
                if let Some((job, confirm)) = self.due.next().await {
                    self.confirmed(job, confirm)?;
                }
            }
            let room = self.limits.window.saturating_sub(self.due.len()).max(1);
            if self.due.is_empty() {
                self.progress = Instant::now();
            }
            let channel = self.channel.clone();
            for confirm in write(&channel, messages.by_ref().take(room)).await? {
                self.due.push(async move { (job, confirm.await) }.boxed());
            }
        }
        Ok(())
    }

    /// One message was confirmed.
    fn confirmed(&mut self, job: u64, confirm: lapin::Result<Confirmation>) -> Result<(), Fault> {
        self.progress = Instant::now();
        let confirmation =
            confirm.map_err(|source| Fault::Refused { what: "a message", source })?;
        let stored = match confirmation {
            Confirmation::Ack(None) => true,
            Confirmation::Nack(None) => false,
            Confirmation::NotRequested if self.confirms == Confirms::None => true,
            // We ask for neither returns nor unconfirmed messages here: whose confirm is whose can no longer be told.
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                metrics::returned();
                return Err(Fault::Returned);
            }
            Confirmation::NotRequested => return Err(Fault::Ended),
        };
        let Some(open) = self.open.get_mut(&job) else { return Ok(()) };
        open.left -= 1;
        if stored {
            open.stored += 1
        } else {
            open.refused += 1
        }
        if open.left == 0
            && let Some(open) = self.open.remove(&job)
        {
            let sent = match (open.stored, open.refused) {
                (_, 0) => Sent::Stored,
                (0, _) => Sent::Full,
                (_, _) => Sent::Unknown(Fault::Partly),
            };
            // An error means that the caller has given up.
            let _ = open.reply.send(sent);
        }
        Ok(())
    }

    /// Gives up a channel whose confirms do not come although the connection lives: a queue without a majority.
    fn look(&self) -> Result<(), Fault> {
        let limit = self.limits.stalled_after;
        let waiting = !self.due.is_empty() && !self.wire.is_blocked();
        if waiting && self.progress.elapsed() > limit {
            return Err(Fault::Stalled { limit });
        }
        Ok(())
    }

    async fn end(self, mut jobs: mpsc::Receiver<Job>, hatch: &Hatch, fault: Fault) {
        let by_us = self.over.is_cancelled();
        self.over.cancel();
        if !by_us {
            let error = &fault as &dyn std::error::Error;
            tracing::warn!(at = %self.wire.address(), error, open = self.due.len(), "a channel to RabbitMQ ended");
        }
        for open in self.open.into_values() {
            let _ = open.reply.send(Sent::Unknown(Fault::Ended));
        }
        jobs.close();
        while let Ok(job) = jobs.try_recv() {
            match job {
                Job::Publish { reply, .. } => drop(reply.send(Sent::Unsent(Fault::Ended))),
                Job::Settle { reply, .. } => {
                    reply.map(|reply| reply.send(Err(Fault::Ended)));
                }
            }
        }
        if self.channel.status().connected() {
            // Whether it was heard does not matter: then the connection is ending too.
            let _ = timeout(FAREWELL, self.channel.close(200, "done".into())).await;
        }
        drop(locked(hatch).take());
    }
}

/// Begins all of these, in order, then waits for each to be written.
async fn written<T>(
    what: &'static str,
    writes: impl Iterator<Item = Written<T>>,
) -> Result<Vec<T>, Fault> {
    let mut begun = Vec::new();
    for mut write in writes {
        let polled = poll!(write.as_mut());
        begun.push((write, polled));
    }
    let mut results = Vec::with_capacity(begun.len());
    for (write, polled) in begun {
        let result = match polled {
            std::task::Poll::Ready(result) => result,
            std::task::Poll::Pending => write.await,
        };
        results.push(result.map_err(|source| Fault::Refused { what, source })?);
    }
    Ok(results)
}

/// Writes messages; all are begun, in order, before the first is waited for.
async fn write(
    channel: &Channel,
    messages: impl Iterator<Item = Outgoing>,
) -> Result<Vec<PublisherConfirm>, Fault> {
    let writes = messages.map(|message| {
        let channel = channel.clone();
        let write: Written<PublisherConfirm> = Box::pin(async move {
            let Outgoing { exchange, key, properties, body } = message;
            let plain = BasicPublishOptions::default();
            channel.basic_publish(exchange, key, plain, &body, properties).await
        });
        write
    });
    written("a message", writes).await
}

async fn settle(channel: &Channel, settles: Vec<Settle>) -> Result<(), Fault> {
    let writes = settles.into_iter().map(|settle| {
        let channel = channel.clone();
        let write: Written<()> = Box::pin(async move {
            match settle {
                Settle::Ack(tag) => {
                    channel.basic_ack(tag, BasicAckOptions { multiple: false }).await
                }
                Settle::AckUpTo(tag) => {
                    channel.basic_ack(tag, BasicAckOptions { multiple: true }).await
                }
                Settle::Return(tag) => {
                    let put_back = BasicNackOptions { multiple: false, requeue: true };
                    channel.basic_nack(tag, put_back).await
                }
            }
        });
        write
    });
    written("an acknowledgement", writes).await.map(drop)
}
