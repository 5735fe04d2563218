//! The bulletin: a fanout exchange, and a queue for each listener, bounded, the oldest dropped first. Nothing of it is
//! durable or confirmed. Every publisher numbers its notices, so that a listener notices a gap.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable},
};
use sluice_core::{
    ports::{Bulletin, Notice, PortResult, Subscription},
    random::Random,
};

use super::{
    Shared,
    fault::Fault,
    link::{Bare, Link},
    metrics::watch,
    press::Press,
    sync::locked,
    topology::BULLETIN,
    writer::Outgoing,
};

mod subscription;

/// Who published a notice: chosen anew by each process.
const PUBLISHER: &str = "x-sluice-publisher";
/// The how-manieth of its publisher a notice is, from 1.
const NUMBER: &str = "x-sluice-number";

/// See the module.
#[derive(Debug)]
pub(super) struct Board {
    shared: Arc<Shared>,
    press: Link<Press>,
    listeners: Link<Bare>,
    publisher: String,
    /// The last number given out. Locked while a notice is handed in, so that numbers leave in order.
    last: Mutex<i64>,
}

impl Board {
    pub(super) fn new(shared: Arc<Shared>, press: Link<Press>, listeners: Link<Bare>) -> Self {
        let publisher = Random::system().bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        Self { shared, press, listeners, publisher, last: Mutex::new(0) }
    }

    fn outgoing(&self, body: Vec<u8>, number: i64) -> Outgoing {
        let mut headers = FieldTable::default();
        let publisher = self.publisher.as_str().into();
        headers.insert(PUBLISHER.into(), AMQPValue::LongString(publisher));
        headers.insert(NUMBER.into(), AMQPValue::LongLongInt(number));
        let properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_headers(headers);
        Outgoing { exchange: BULLETIN.into(), key: "".into(), properties, body }
    }
}

#[async_trait]
impl Bulletin for Board {
    async fn publish(&self, notice: Notice) -> PortResult<()> {
        let _watch = watch("bulletin.publish");
        let body = serde_json::to_vec(&notice).map_err(Fault::Json)?;
        let live = self.press.live()?;
        let begun = {
            let mut last = locked(&self.last);
            let begun = live.kit.bulletin.begin(vec![self.outgoing(body, *last + 1)]);
            if begun.is_ok() {
                *last += 1;
            }
            begun
        };
        let sent = match begun {
            Ok(underway) => underway.sent(self.shared.options.answer_timeout).await,
            Err(sent) => sent,
        };
        sent.into()
    }

    async fn subscribe(&self) -> PortResult<Box<dyn Subscription>> {
        let _watch = watch("bulletin.subscribe");
        let live = self.listeners.soon(self.shared.options.answer_timeout).await?;
        Ok(Box::new(subscription::begin(&self.shared, &live.wire).await?))
    }
}
