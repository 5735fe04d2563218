//! The turn queue: one quorum queue that order workers compete for, delays beside it, and the queue of the buried.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use lapin::{BasicProperties, types::ShortString};
use sluice_core::{
    event::{CONTENT_TYPE, Turn},
    ports::{PortResult, QueueDepths, TurnDeliveries, TurnDelivery, TurnIntake, TurnQueue},
};

use super::{
    Shared,
    consumer::{self, Deliveries, Held, Queue, Work},
    fault::Fault,
    link::{Bare, Link},
    metrics::watch,
    notes::{DURABLE, Parcel},
    press::Press,
    sync::locked,
    topology::{self, DELAYS},
    writer::Outgoing,
};

impl Work for TurnDelivery {
    const QUEUE: Queue =
        Queue { name: topology::TURNS, ack: "turns.ack", retry: "turns.retry", bury: "turns.bury" };

    fn read(tag: u64, parcel: &Parcel) -> Result<Self, String> {
        let turn = Turn::from_json(&parcel.body).map_err(|error| {
            let source = std::error::Error::source(&error);
            source.map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
        })?;
        Ok(Self { tag, turn, tries: parcel.tries() })
    }
}

#[async_trait]
impl TurnDeliveries for Deliveries<TurnDelivery> {
    async fn next(&mut self, most: usize) -> PortResult<Vec<TurnDelivery>> {
        self.some(most).await
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    shared: Arc<Shared>,
    press: Link<Press>,
    consumers: Link<Bare>,
    /// What the consumers of this process have in hand.
    held: Mutex<Vec<Weak<Held>>>,
}

impl Turns {
    pub(super) fn new(shared: Arc<Shared>, press: Link<Press>, consumers: Link<Bare>) -> Self {
        Self { shared, press, consumers, held: Mutex::default() }
    }

    async fn publish(&self, messages: Vec<Outgoing>) -> PortResult<()> {
        let live = self.press.live()?;
        live.kit.publish(messages, self.shared.options.answer_timeout).await.into()
    }

    fn in_hand(&self) -> u64 {
        let mut held = locked(&self.held);
        held.retain(|one| one.strong_count() > 0);
        let count = |one: &Weak<Held>| one.upgrade().map_or(0, |held| locked(&held).count());
        held.iter().map(count).sum::<usize>() as u64
    }
}

#[async_trait]
impl TurnQueue for Turns {
    async fn consume(&self, prefetch: usize) -> PortResult<TurnIntake> {
        let limit: Duration = self.shared.options.answer_timeout;
        let live = self.consumers.soon(limit).await?;
        let held = Arc::new(Held::default());
        let (press, hands) = (self.press.clone(), Arc::clone(&held));
        let (deliveries, outlet) =
            consumer::begin(&self.shared, &live.wire, press, hands, prefetch).await?;
        let mut all = locked(&self.held);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&held));
        Ok(TurnIntake { deliveries: Box::new(deliveries), outlet })
    }

    async fn depths(&self) -> PortResult<QueueDepths> {
        let _watch = watch("turns.depths");
        let live = self.press.live()?;
        let mut queues: Vec<ShortString> = vec![topology::DEAD.into(), topology::TURNS.into()];
        queues.extend(DELAYS.map(topology::retry));
        let limit = self.shared.options.answer_timeout;
        let counts = topology::ready(&live.wire, &queues, limit).await?;
        let mut counts = counts.into_iter().map(Option::unwrap_or_default);
        let dead = counts.next().unwrap_or_default();
        // The broker tells what lies ready; what is in hand it tells nobody. The few callbacks that wait out a delay count too.
        Ok(QueueDepths { turns: counts.sum::<u64>() + self.in_hand(), dead })
    }

    async fn release_again(&self, turns: &[Turn]) -> PortResult<()> {
        if turns.is_empty() {
            return Ok(());
        }
        let _watch = watch("turns.release_again");
        self.publish(turns.iter().map(outgoing).collect::<Result<_, Fault>>()?).await
    }

    async fn bury_unheard(&self, turn: &Turn, reason: &str) -> PortResult<()> {
        let _watch = watch("turns.bury_unheard");
        let Outgoing { body, properties, .. } = outgoing(turn)?;
        let parcel = Parcel::new(body, properties);
        let (letter, now) = (self.shared.new_letter(), self.shared.clock.now());
        self.publish(vec![parcel.buried(topology::TURNS, reason, &letter, now)]).await
    }
}

/// A turn as order workers read it.
pub(super) fn outgoing(turn: &Turn) -> Result<Outgoing, Fault> {
    let body = turn.to_json().map_err(Fault::Json)?;
    let seconds = u64::try_from(turn.called_at.0 / 1_000).unwrap_or(0);
    let properties = BasicProperties::default()
        .with_delivery_mode(DURABLE)
        .with_content_type(CONTENT_TYPE.into())
        .with_message_id(turn.line_entry.entry.to_string().into())
        .with_timestamp(seconds);
    Ok(Outgoing { exchange: topology::TURNS.into(), key: topology::TURNS.into(), properties, body })
}
