//! The callback inbox: one quorum queue, with the delays and the queue of the buried that turns use too.
//!
//! A callback travels as JSON. The message's type says so, with a version; a format that changes gets a new type.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use lapin::BasicProperties;
use serde::{Deserialize, Serialize};
use sluice_core::{
    ids::{OrderId, PaymentId},
    money::{AmountFen, Currency},
    ports::{
        CallbackDeliveries, CallbackDelivery, CallbackInbox, CallbackIntake, PaymentState,
        PaymentUpdate, PortResult,
    },
};

use super::{
    Shared,
    consumer::{self, Deliveries, Held, Queue, Work},
    fault::Fault,
    link::{Bare, Link},
    metrics::watch,
    notes::{DURABLE, Parcel},
    press::Press,
    topology::CALLBACKS,
    writer::Outgoing,
};

const CALLBACK_V1: &str = "sluice.callback.v1";

/// See the module.
#[derive(Debug)]
pub(super) struct Inbox {
    shared: Arc<Shared>,
    press: Link<Press>,
    consumers: Link<Bare>,
}

impl Inbox {
    pub(super) fn new(shared: Arc<Shared>, press: Link<Press>, consumers: Link<Bare>) -> Self {
        Self { shared, press, consumers }
    }
}

#[async_trait]
impl CallbackInbox for Inbox {
    async fn keep(&self, update: &PaymentUpdate) -> PortResult<()> {
        let _watch = watch("callbacks.keep");
        let live = self.press.live()?;
        let messages = vec![outgoing(update)?];
        live.kit.publish(messages, self.shared.options.answer_timeout).await.into()
    }

    async fn consume(&self, prefetch: usize) -> PortResult<CallbackIntake> {
        let live = self.consumers.soon(self.shared.options.answer_timeout).await?;
        let (press, hands): (_, Arc<Held>) = (self.press.clone(), Arc::new(Mutex::default()));
        let (deliveries, outlet) =
            consumer::begin(&self.shared, &live.wire, press, hands, prefetch).await?;
        Ok(CallbackIntake { deliveries: Box::new(deliveries), outlet })
    }
}

impl Work for CallbackDelivery {
    const QUEUE: Queue = Queue {
        name: CALLBACKS,
        ack: "callbacks.ack",
        retry: "callbacks.retry",
        bury: "callbacks.bury",
    };

    fn read(tag: u64, parcel: &Parcel) -> Result<Self, String> {
        if parcel.kind() != Some(CALLBACK_V1) {
            return Err("not a kept callback, or of a newer version".into());
        }
        let kept: Kept = serde_json::from_slice(&parcel.body)
            .map_err(|error| format!("not a kept callback: {error}"))?;
        let state = PaymentState::parse(&kept.state)
            .ok_or_else(|| format!("{:?} is not the state of a payment", kept.state))?;
        let update = PaymentUpdate {
            payment: kept.payment,
            order: kept.order,
            version: kept.version,
            state,
            amount: kept.amount_fen,
            currency: kept.currency,
        };
        Ok(Self { tag, update, tries: parcel.tries() })
    }
}

#[async_trait]
impl CallbackDeliveries for Deliveries<CallbackDelivery> {
    async fn next(&mut self, most: usize) -> PortResult<Vec<CallbackDelivery>> {
        self.some(most).await
    }
}

/// A callback as it travels.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    payment: PaymentId,
    order: OrderId,
    version: u64,
    state: String,
    amount_fen: AmountFen,
    currency: Currency,
}

fn outgoing(update: &PaymentUpdate) -> Result<Outgoing, Fault> {
    let kept = Kept {
        payment: update.payment,
        order: update.order,
        version: update.version,
        state: update.state.as_str().to_owned(),
        amount_fen: update.amount,
        currency: update.currency,
    };
    let body = serde_json::to_vec(&kept).map_err(Fault::Json)?;
    let properties = BasicProperties::default()
        .with_delivery_mode(DURABLE)
        .with_content_type("application/json".into())
        .with_type(CALLBACK_V1.into())
        .with_message_id(format!("{}/{}", update.payment, update.version).into());
    Ok(Outgoing { exchange: CALLBACKS.into(), key: CALLBACKS.into(), properties, body })
}
