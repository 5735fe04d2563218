//! The task that owns a channel: it writes, collects confirms, and tells those who wait.

use std::{collections::HashMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, poll, stream::FuturesUnordered};
use lapin::{
    Channel, Confirmation, PublisherConfirm,
    options::{BasicAckOptions, BasicNackOptions, BasicPublishOptions},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, Interval, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Confirms, Hatch, Job, Outgoing, Sent, Settle, WriterLimits};
use crate::rabbitmq::{fault::Fault, link::Wire, metrics, sync::locked};

/// How often the task looks whether confirms still come.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a channel's farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Messages of one job that are not confirmed yet.
#[derive(Debug)]
struct Open {
    left: usize,
    stored: usize,
    refused: usize,
    reply: oneshot::Sender<Sent>,
}

type Written<T> = Pin<Box<dyn Future<Output = lapin::Result<T>> + Send>>;

/// See the module.
pub(super) struct Desk {
    channel: Channel,
    wire: Arc<Wire>,
    over: CancellationToken,
    confirms: Confirms,
    limits: WriterLimits,
    due: FuturesUnordered<BoxFuture<'static, (u64, lapin::Result<Confirmation>)>>,
    open: HashMap<u64, Open>,
    last_job: u64,
    progress: Instant,
    look: Interval,
}

impl Desk {
    pub(super) fn new(
        channel: Channel,
        wire: &Arc<Wire>,
        over: CancellationToken,
        confirms: Confirms,
        limits: WriterLimits,
    ) -> Self {
        Self {
            channel,
            wire: Arc::clone(wire),
            over,
            confirms,
            limits,
            due: FuturesUnordered::new(),
            open: HashMap::new(),
            last_job: 0,
            progress: Instant::now(),
            look: interval(LOOK_EVERY),
        }
    }

    /// Works until the channel ends, or is to end.
    pub(super) async fn run(mut self, mut jobs: mpsc::Receiver<Job>, hatch: Hatch) {
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
        let mut closed = false;
        while !(closed && self.due.is_empty()) {
            let room = !closed && self.due.len() < self.limits.window;
            let step = tokio::select! {
                Some((job, confirm)) = self.due.next() => self.confirmed(job, confirm),
                job = jobs.recv(), if room => match job {
                    Some(job) => self.begin(job).await,
                    None => { closed = true; Ok(()) }
                },
                _ = self.look.tick() => self.look(),
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
                tokio::select! {
                    Some((job, confirm)) = self.due.next() => self.confirmed(job, confirm)?,
                    _ = self.look.tick() => self.look()?,
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
    fn look(&mut self) -> Result<(), Fault> {
        let limit = self.limits.stalled_after;
        if self.wire.is_blocked() {
            // It says so; the time it may take begins anew when it goes on.
            self.progress = Instant::now();
        } else if !self.due.is_empty() && self.progress.elapsed() > limit {
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
