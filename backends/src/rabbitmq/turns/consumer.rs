//! One consumer of the turn queue, in two halves. Its acknowledgements go over the channel that delivers; what is retried
//! or buried is published and confirmed first, then acknowledged: a crash between the two repeats a turn and loses none.

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
use sluice_core::{
    event::Turn,
    ports::{PortError, PortResult, TurnDeliveries, TurnDelivery, TurnIntake, TurnOutlet},
};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::rabbitmq::{
    Shared,
    fault::{Fault, answered},
    hands::Hands,
    link::{Link, Wire},
    metrics::watch,
    notes::Parcel,
    press::{self, Press},
    reader::Reader,
    sync::locked,
    topology::{self, TURNS},
    writer::{Confirms, Outgoing, Settle, Writer},
};

/// What one consumer has in hand, as it was delivered.
pub(super) type Held = Mutex<Hands<Arc<Parcel>>>;

/// What both halves know.
#[derive(Debug)]
struct Counter {
    shared: Arc<Shared>,
    press: Link<Press>,
    writer: Writer,
    over: CancellationToken,
    held: Arc<Held>,
}

pub(super) async fn begin(
    shared: &Arc<Shared>,
    wire: &Arc<Wire>,
    press: Link<Press>,
    held: Arc<Held>,
    prefetch: usize,
) -> PortResult<TurnIntake> {
    let limit = shared.options.answer_timeout;
    let channel = wire.channel(limit).await?;
    let over = wire.over().child_token();
    let ends = over.clone().drop_guard();
    let writer = shared.writer(channel.clone(), wire, over.clone(), Confirms::None);
    let prefetch = u16::try_from(prefetch.max(1)).unwrap_or(u16::MAX);
    let qos = channel.basic_qos(prefetch, BasicQosOptions::default());
    answered(limit, "a prefetch", qos).await?;
    let (plain, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let consume = channel.basic_consume(TURNS.into(), "".into(), plain, none);
    let consumer = answered(limit, "a consumer", consume).await?;
    let reader = Reader::new(consumer, writer.hatch(), over.clone());
    let counter = Arc::new(Counter { shared: Arc::clone(shared), press, writer, over, held });
    let (give, ready) = mpsc::channel(prefetch.into());
    shared.tasks.spawn(take_in(reader, Arc::clone(&counter), give));
    let deliveries = Deliveries { ready, counter: Arc::clone(&counter), _ends: ends };
    Ok(TurnIntake { deliveries: Box::new(deliveries), outlet: Arc::new(Outlet(counter)) })
}

/// Takes in what the broker delivers, as it comes, so that it is known to be in hand. There is room for all of it: the
/// broker delivers no more than the prefetch.
async fn take_in(
    mut reader: Reader,
    counter: Arc<Counter>,
    give: mpsc::Sender<PortResult<TurnDelivery>>,
) {
    loop {
        let taken = match reader.next().await {
            Ok(delivery) => match counter.sort(delivery) {
                Some(turn) => Ok(turn),
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
    /// A turn out of a delivery; what is none is buried.
    fn sort(self: &Arc<Self>, delivery: Delivery) -> Option<TurnDelivery> {
        let tag = delivery.delivery_tag;
        let parcel = Parcel::new(delivery.data, delivery.properties);
        match Turn::from_json(&parcel.body) {
            Ok(turn) => {
                let tries = parcel.tries();
                locked(&self.held).hand(tag, Arc::new(parcel));
                Some(TurnDelivery { tag, turn, tries })
            }
            Err(error) => {
                locked(&self.held).keep(tag);
                let reason = match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                let (counter, over) = (Arc::clone(self), self.over.clone());
                let then = move || {
                    let writer = &counter.writer;
                    // No room: it stays unsettled, comes back one day, and is buried once more.
                    let _ = locked(&counter.held)
                        .let_go(Settle::Ack(tag), |settle| writer.settle_later(settle));
                };
                let press = self.press.clone();
                press::bury_foreign(&self.shared, press, parcel, TURNS.into(), reason, over, then);
                None
            }
        }
    }

    fn check(&self) -> PortResult<()> {
        if locked(&self.held).is_closed() { Err(PortError::Fenced) } else { Ok(()) }
    }

    /// Sends a turn elsewhere, and acknowledges it once it is stored there.
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
                "a turn that was sent away is not acknowledged; it will be repeated"
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

#[derive(Debug)]
struct Deliveries {
    ready: mpsc::Receiver<PortResult<TurnDelivery>>,
    counter: Arc<Counter>,
    /// Ends the channel.
    _ends: DropGuard,
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        locked(&self.counter.held).close();
    }
}

#[async_trait]
impl TurnDeliveries for Deliveries {
    async fn next(&mut self, most: usize) -> PortResult<Vec<TurnDelivery>> {
        let ended = || PortError::from(Fault::Ended);
        let first = self.ready.recv().await.ok_or_else(ended)??;
        let mut turns = vec![first];
        while turns.len() < most
            // What went wrong is told by the next call.
            && let Ok(Ok(turn)) = self.ready.try_recv()
        {
            turns.push(turn);
        }
        Ok(turns)
    }
}

#[derive(Debug)]
struct Outlet(Arc<Counter>);

#[async_trait]
impl TurnOutlet for Outlet {
    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        let Self(counter) = self;
        counter.check()?;
        let _watch = watch("turns.ack");
        counter.settle(tags).await
    }

    async fn retry(&self, tag: u64, delay: Duration) -> PortResult<()> {
        let Self(counter) = self;
        let _watch = watch("turns.retry");
        let now = counter.shared.clock.now();
        let message = |parcel: &Parcel| parcel.retried(TURNS, topology::delay_for(delay), now);
        counter.send_away(tag, message).await
    }

    async fn bury(&self, tag: u64, reason: &str) -> PortResult<()> {
        let Self(counter) = self;
        let _watch = watch("turns.bury");
        let now = counter.shared.clock.now();
        let message = |parcel: &Parcel| parcel.buried(TURNS, reason, now);
        counter.send_away(tag, message).await
    }
}
