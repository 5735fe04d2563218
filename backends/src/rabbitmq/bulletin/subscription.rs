//! One listener's queue. A task empties it, so that a slow listener costs the broker nothing: what the listener does not
//! hear in time is missed here, and it is told.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;
use lapin::{
    message::Delivery,
    options::{BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use sluice_core::ports::{Heard, Notice, PortResult, Subscription};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::DropGuard;

use super::{NUMBER, PUBLISHER};
use crate::rabbitmq::{
    Shared,
    fault::{Fault, answered},
    link::Wire,
    notes,
    reader::Reader,
    topology::BULLETIN,
    writer::{Confirms, Settle, Writer},
};

/// Notices on their way at a time; acknowledged by the quarter.
const PREFETCH: u16 = 1_024;
const ACK_EVERY: u64 = 256;
/// Publishers whose last number is remembered; beyond it all are forgotten, and something may have been missed.
const PUBLISHERS_MAX: usize = 4_096;

pub(super) async fn begin(shared: &Arc<Shared>, wire: &Arc<Wire>) -> Result<Listener, Fault> {
    let limit = shared.options.answer_timeout;
    let channel = wire.channel(limit).await?;
    let over = wire.over().child_token();
    let ends = over.clone().drop_guard();
    let writer = shared.writer(channel.clone(), wire, over.clone(), Confirms::None);
    let notices_max = shared.options.bulletin_notices_max.max(1);
    let mut table = FieldTable::default();
    let most = i64::try_from(notices_max).unwrap_or(i64::MAX);
    table.insert("x-max-length".into(), AMQPValue::LongLongInt(most));
    table.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
    // Gone with its connection, or with its only consumer.
    let own = QueueDeclareOptions::exclusive().auto_delete();
    let declare = channel.queue_declare("".into(), own, table);
    let queue = answered(limit, "a listener's queue", declare).await?.name().clone();
    let (plain, none) = (QueueBindOptions::default(), FieldTable::default());
    let bind = channel.queue_bind(queue.clone(), BULLETIN.into(), "".into(), plain, none);
    answered(limit, "a listener's binding", bind).await?;
    let qos = channel.basic_qos(PREFETCH, BasicQosOptions::default());
    answered(limit, "a prefetch", qos).await?;
    let (plain, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let consume = channel.basic_consume(queue, "".into(), plain, none);
    let consumer = answered(limit, "a consumer", consume).await?;
    let reader = Reader::new(consumer, writer.hatch(), over);
    let (tell, heard) = broadcast::channel(notices_max);
    let ear = Ear { reader, writer, tell, last: HashMap::new(), unacknowledged: 0 };
    shared.tasks.spawn(ear.run());
    Ok(Listener { heard, _ends: ends })
}

/// The task that empties the queue.
struct Ear {
    reader: Reader,
    writer: Writer,
    tell: broadcast::Sender<Heard>,
    /// The last number heard from each publisher.
    last: HashMap<String, i64>,
    unacknowledged: u64,
}

impl Ear {
    /// Until the channel ends, or the listener is dropped, which ends it.
    async fn run(mut self) {
        while let Ok(delivery) = self.reader.next().await {
            self.unacknowledged += 1;
            if self.unacknowledged >= ACK_EVERY
                && self.writer.settle_later(Settle::AckUpTo(delivery.delivery_tag))
            {
                self.unacknowledged = 0;
            }
            self.hear(&delivery);
        }
    }

    fn hear(&mut self, delivery: &Delivery) {
        if self.has_gap(delivery) {
            self.say(Heard::Missed);
        }
        match serde_json::from_slice::<Notice>(&delivery.data) {
            Ok(notice) => self.say(Heard::Notice(Arc::new(notice))),
            Err(error) => {
                // Of a newer version, most likely: a snapshot tells what it meant. A stranger's means nothing.
                let ours = notes::text(&delivery.properties, PUBLISHER).is_some();
                tracing::debug!(error = &error as &dyn std::error::Error, ours, "not a notice");
                if ours {
                    self.say(Heard::Missed);
                }
            }
        }
    }

    fn say(&self, heard: Heard) {
        // An error means that the listener was just dropped.
        let _ = self.tell.send(heard);
    }

    /// Whether something of the same publisher was lost before this.
    fn has_gap(&mut self, delivery: &Delivery) -> bool {
        let publisher = notes::text(&delivery.properties, PUBLISHER);
        let number = notes::number(&delivery.properties, NUMBER);
        let (Some(publisher), Some(number)) = (publisher, number) else { return false };
        let forgotten = self.last.len() >= PUBLISHERS_MAX && !self.last.contains_key(&publisher);
        if forgotten {
            self.last.clear();
        }
        let before = self.last.insert(publisher, number);
        forgotten || before.is_some_and(|before| number > before.saturating_add(1))
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Listener {
    heard: broadcast::Receiver<Heard>,
    _ends: DropGuard,
}

#[async_trait]
impl Subscription for Listener {
    async fn next(&mut self) -> PortResult<Heard> {
        match self.heard.recv().await {
            Ok(heard) => Ok(heard),
            Err(RecvError::Lagged(_)) => Ok(Heard::Missed),
            Err(RecvError::Closed) => Err(Fault::Ended.into()),
        }
    }
}
