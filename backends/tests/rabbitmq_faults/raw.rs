//! A plain client beside the backend: what a stranger does, and a look into queues.

use std::time::Duration;

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    message::Delivery,
    options::{BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::FieldTable,
};

use crate::soon;

/// See the module.
pub(crate) struct Raw {
    connection: Connection,
    pub(crate) channel: Channel,
}

impl Raw {
    pub(crate) async fn connect(url: &str) -> Self {
        let properties = ConnectionProperties::default();
        let connection = soon("a connection", Connection::connect(url, properties)).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { connection, channel }
    }

    /// Publishes one message and waits for its confirm.
    pub(crate) async fn publish(
        &self,
        exchange: &str,
        key: &str,
        body: &[u8],
        properties: BasicProperties,
    ) {
        let plain = BasicPublishOptions::default();
        let publish =
            self.channel.basic_publish(exchange.into(), key.into(), plain, body, properties);
        let confirm = soon("a confirm", publish.await.unwrap()).await.unwrap();
        assert!(confirm.is_ack(), "{confirm:?}");
    }

    /// How many messages lie ready in a queue.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions::default().passive();
        let look = self.channel.queue_declare(queue.into(), passive, FieldTable::default());
        soon("a depth", look).await.unwrap().message_count()
    }

    /// Everything that lies ready in a queue; it is put back when this client goes.
    pub(crate) async fn all(&self, queue: &str) -> Vec<Delivery> {
        let mut all = Vec::new();
        while let Some(message) =
            self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap()
        {
            all.push(message.delivery);
        }
        all
    }

    pub(crate) async fn close(self) {
        let farewell = self.connection.close(200, "bye".into());
        let _ = tokio::time::timeout(Duration::from_secs(2), farewell).await;
    }
}
