//! Everything that is written to one channel, in the order in which it was handed in: messages, and acknowledgements.
//!
//! One task owns the channel. Callers hand it jobs and wait for the answer as long as they like: a call that gives up or
//! is dropped leaves the job with the task, so that a late confirm finds somebody, and never more than a window of
//! messages is unconfirmed. Messages are never published as `mandatory`: the client library hands a returned message to
//! whichever confirm comes next. What no queue takes goes to the alternate exchange instead.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lapin::{BasicProperties, Channel, Consumer, types::ShortString};
use sluice_core::ports::{PortError, PortResult};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{fault::Fault, link::Wire};

mod desk;

use desk::Desk;

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
        let desk = Desk::new(channel, wire, over, confirms, limits);
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

    /// Hands settlements in, now; they are written in the order of these calls. `Full`, `Unsent`: nothing was handed in.
    pub(super) fn begin_settling(&self, settles: Vec<Settle>) -> Result<Settling, Sent> {
        if settles.is_empty() {
            return Ok(Settling(None));
        }
        let (reply, written) = oneshot::channel();
        match self.jobs.try_send(Job::Settle { settles, reply: Some(reply) }) {
            Ok(()) => Ok(Settling(Some(written))),
            Err(mpsc::error::TrySendError::Full(_)) => Err(Sent::Full),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Sent::Unsent(Fault::Ended)),
        }
    }

    /// Settles a delivery without waiting. Whether there was room for it.
    pub(super) fn settle_later(&self, settle: Settle) -> bool {
        self.jobs.try_send(Job::Settle { settles: vec![settle], reply: None }).is_ok()
    }
}

/// Settlements that were handed in.
#[derive(Debug)]
pub(super) struct Settling(Option<oneshot::Receiver<Result<(), Fault>>>);

impl Settling {
    /// Waits until they are written, for so long at most.
    pub(super) async fn written(self, limit: Duration) -> Sent {
        let Self(Some(written)) = self else { return Sent::Stored };
        match timeout(limit, written).await {
            Ok(Ok(Ok(()))) => Sent::Stored,
            Ok(Ok(Err(fault))) => Sent::Unknown(fault),
            Ok(Err(_)) => Sent::Unknown(Fault::Ended),
            Err(_) => Sent::Unknown(Fault::Silent { what: "an acknowledgement", limit }),
        }
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
