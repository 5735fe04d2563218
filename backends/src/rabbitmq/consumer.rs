//! One consumer of a queue that workers compete for, in two halves. Its acknowledgements go over the channel that delivers;
//! what is retried or buried is published and confirmed first, then acknowledged: a crash between the two repeats a message
//! and loses none.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use lapin::{
    message::Delivery,
    options::{BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use sluice_core::ports::{PortError, PortResult, WorkOutlet};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Shared,
    fault::{Fault, answered},
    hands::Hands,
    link::{Link, Wire},
    metrics::watch,
    notes::Parcel,
    press::{self, Press},
    reader::Reader,
    sync::locked,
    topology,
    writer::{Confirms, Outgoing, Settle, Writer},
};

/// What one consumer has in hand, as it was delivered.
pub(super) type Held = Mutex<Hands<Arc<Parcel>>>;

/// A delivery out of one of these queues.
pub(super) trait Work: Sized + Send + 'static {
    const QUEUE: Queue;

    /// Reads a message, or says why it is none of ours.
    fn read(tag: u64, parcel: &Parcel) -> Result<Self, String>;
}

/// A queue, and what its calls are measured as.
#[derive(Clone, Copy, Debug)]
pub(super) struct Queue {
    pub(super) name: &'static str,
    pub(super) ack: &'static str,
    pub(super) retry: &'static str,
    pub(super) bury: &'static str,
}

/// What both halves know.
#[derive(Debug)]
struct Counter {
    queue: Queue,
    shared: Arc<Shared>,
    press: Link<Press>,
    writer: Writer,
    over: CancellationToken,
    held: Arc<Held>,
}

/// Begins to consume; the second half settles what the first one gives.
pub(super) async fn begin<W: Work>(
    shared: &Arc<Shared>,
    wire: &Arc<Wire>,
    press: Link<Press>,
    held: Arc<Held>,
    prefetch: usize,
) -> PortResult<(Deliveries<W>, Arc<dyn WorkOutlet>)> {
    let limit = shared.options.answer_timeout;
    let channel = wire.channel(limit).await?;
    let over = wire.over().child_token();
    let ends = over.clone().drop_guard();
    let writer = shared.writer(channel.clone(), wire, over.clone(), Confirms::None);
    let prefetch = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
    let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
    answered(limit, "a prefetch", qos).await?;
    let (plain, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let consume = channel.basic_consume(W::QUEUE.name.into(), "".into(), plain, none);
    let consumer = answered(limit, "a consumer", consume).await?;
    let reader = Reader::new(consumer, writer.hatch(), over.clone());
    let (queue, shared) = (W::QUEUE, Arc::clone(shared));
    let counter = Arc::new(Counter { queue, shared, press, writer, over, held });
    let (give, ready) = mpsc::channel(prefetch.into());
    counter.shared.tasks.spawn(take_in(reader, Arc::clone(&counter), give));
    let deliveries = Deliveries { ready, counter: Arc::clone(&counter), _ends: ends };
    Ok((deliveries, Arc::new(Outlet(counter))))
}

/// Takes in what the broker delivers, as it comes, so that it is known to be in hand. There is room for all of it: the
/// broker delivers no more than the prefetch.
async fn take_in<W: Work>(
    mut reader: Reader,
    counter: Arc<Counter>,
    give: mpsc::Sender<PortResult<W>>,
) {
    loop {
        let taken = match reader.next().await {
            Ok(delivery) => match counter.sort(delivery) {
                Some(work) => Ok(work),
                None => continue,
            },
            Err(fault) => Err(fault.into()),
        };
        let ended = taken.is_err();
        if give.send(taken).await.is_err() || ended {
            return;
        }
    }
}

impl Counter {
    /// Work out of a delivery; what is none is buried.
    fn sort<W: Work>(self: &Arc<Self>, delivery: Delivery) -> Option<W> {
        let tag = delivery.delivery_tag;
        let parcel = Parcel::new(delivery.data, delivery.properties);
        match W::read(tag, &parcel) {
            Ok(work) => {
                locked(&self.held).hand(tag, Arc::new(parcel));
                Some(work)
            }
            Err(reason) => {
                locked(&self.held).keep(tag);
                let (counter, over) = (Arc::clone(self), self.over.clone());
                let then = move || {
                    let writer = &counter.writer;
                    // No room: it stays unsettled, comes back one day, and is buried once more.
                    let _ = locked(&counter.held)
                        .let_go(Settle::Ack(tag), |settle| writer.settle_later(settle));
                };
                let (press, source) = (self.press.clone(), self.queue.name.into());
                press::bury_foreign(&self.shared, press, parcel, source, reason, over, then);
                None
            }
        }
    }

    fn check(&self) -> PortResult<()> {
        if locked(&self.held).is_closed() { Err(PortError::Fenced) } else { Ok(()) }
    }

    /// Sends a message elsewhere, and acknowledges it once it is stored there.
    async fn send_away(
        &self,
        tag: u64,
        message: impl FnOnce(&Parcel) -> Outgoing,
    ) -> PortResult<()> {
        self.check()?;
        let Some(parcel) = locked(&self.held).get(tag).cloned() else { return Ok(()) };
        let limit = self.shared.options.answer_timeout;
        let live = self.press.live()?;
        let sent = live.kit.publish(vec![message(&parcel)], limit).await;
        PortResult::from(sent)?;
        let settled = self.settle(&[tag]).await;
        if let Err(error) = settled {
            let error = &error as &dyn std::error::Error;
            tracing::info!(
                error,
                queue = self.queue.name,
                "a message that was sent away is not acknowledged; it will be repeated"
            );
        }
        Ok(())
    }

    async fn settle(&self, tags: &[u64]) -> PortResult<()> {
        let settling =
            locked(&self.held).settle(tags, |settles| self.writer.begin_settling(settles));
        match settling {
            Ok(settling) => settling.written(self.shared.options.answer_timeout).await.into(),
            Err(sent) => sent.into(),
        }
    }
}

/// The first half. Dropping it returns what is unsettled.
#[derive(Debug)]
pub(super) struct Deliveries<W> {
    ready: mpsc::Receiver<PortResult<W>>,
    counter: Arc<Counter>,
    /// Ends the channel.
    _ends: DropGuard,
}

impl<W> Drop for Deliveries<W> {
    fn drop(&mut self) {
        locked(&self.counter.held).close();
    }
}

impl<W> Deliveries<W> {
    /// Waits for one, then takes what else is ready, up to `most`. Cancel-safe.
    pub(super) async fn some(&mut self, most: usize) -> PortResult<Vec<W>> {
        let ended = || PortError::from(Fault::Ended);
        let first = self.ready.recv().await.ok_or_else(ended)??;
        let mut some = vec![first];
        while some.len() < most
            // What went wrong is told by the next call.
            && let Ok(Ok(work)) = self.ready.try_recv()
        {
            some.push(work);
        }
        Ok(some)
    }
}

#[derive(Debug)]
struct Outlet(Arc<Counter>);

#[async_trait]
impl WorkOutlet for Outlet {
    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        let Self(counter) = self;
        counter.check()?;
        let _watch = watch(counter.queue.ack);
        counter.settle(tags).await
    }

    async fn retry(&self, tag: u64, delay: Duration) -> PortResult<()> {
        let Self(counter) = self;
        let _watch = watch(counter.queue.retry);
        let (queue, now) = (counter.queue.name, counter.shared.clock.now());
        let message = |parcel: &Parcel| parcel.retried(queue, topology::delay_for(delay), now);
        counter.send_away(tag, message).await
    }

    async fn bury(&self, tag: u64, reason: &str) -> PortResult<()> {
        let Self(counter) = self;
        let _watch = watch(counter.queue.bury);
        let (queue, now) = (counter.queue.name, counter.shared.clock.now());
        let letter = counter.shared.new_letter();
        let message = |parcel: &Parcel| parcel.buried(queue, reason, &letter, now);
        counter.send_away(tag, message).await
    }
}
