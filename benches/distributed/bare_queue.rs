//! lapin alone: persistent messages to a quorum queue, confirms awaited, so many open at a time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueuePurgeOptions},
    types::{AMQPValue, FieldTable},
};

const QUEUE: &str = "bare";
/// Messages published and not yet confirmed.
pub(crate) const OPEN_MAX: usize = 512;
/// About as many as an entry takes.
const MESSAGE_BYTES: usize = 300;
const PERSISTENT: u8 = 2;

/// See the module.
pub(crate) struct BareQueue {
    channel: Channel,
    _connection: Connection,
}

impl BareQueue {
    pub(crate) async fn declare(url: &str) -> Self {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let mut quorum = FieldTable::default();
        quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let durable = QueueDeclareOptions::durable();
        channel.queue_declare(QUEUE.into(), durable, quorum).await.unwrap();
        Self { channel, _connection: connection }
    }

    /// Publishes for so long; messages confirmed per second.
    pub(crate) async fn publish(&self, time: Duration) -> f64 {
        let body = [b'x'; MESSAGE_BYTES];
        let persistent = BasicProperties::default().with_delivery_mode(PERSISTENT);
        let mut open = VecDeque::with_capacity(OPEN_MAX);
        let mut confirmed = 0;
        let began = Instant::now();
        while began.elapsed() < time {
            if open.len() == OPEN_MAX {
                confirmed += taken(open.pop_front()).await;
            }
            let plain = BasicPublishOptions::default();
            let publish = self.channel.basic_publish(
                "".into(),
                QUEUE.into(),
                plain,
                &body,
                persistent.clone(),
            );
            open.push_back(publish.await.unwrap());
        }
        while !open.is_empty() {
            confirmed += taken(open.pop_front()).await;
        }
        let pace = f64::from(confirmed) / began.elapsed().as_secs_f64();
        self.channel.queue_purge(QUEUE.into(), QueuePurgeOptions::default()).await.unwrap();
        pace
    }
}

/// Waits until the broker has a message; how many those are.
async fn taken(message: Option<PublisherConfirm>) -> u32 {
    assert!(message.unwrap().await.unwrap().is_ack(), "the broker refused a message");
    1
}
