//! Leaves fulfilment to the shop: a webhook for each paid order, signed as Standard Webhooks 1.0 has it, with the order's id
//! as `webhook-id`, so that a repeat is known as one. An order that is changed to other goods is told once more, under an
//! id of that change.
//!
//! The shop answers 2xx once it has taken the order over for good, and 410 or 422 if it never will; anything else, silence
//! and redirects included, means that it is asked again. A shop that keeps silent is left alone for a while.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{StatusCode, Uri};
use serde::Serialize;
use sluice_core::{
    clock::{Clock, UnixMillis},
    ids::{EntryId, OrderId, SaleId, SkuId},
    money::{AmountFen, Currency},
    order::{Order, OrderState},
    ports::Cause,
    seats::Stretch,
    webhook::Secrets,
};
use sluice_http::client::{self, Client};
use tokio::time::Instant;

use super::{Fulfilment, FulfilmentError};
use crate::{
    breaker::{Breaker, BreakerSettings},
    metrics, signed,
};

/// What the message is: an order that is paid, or what a paid one is changed to.
const PAID: &str = "sluice.order.paid.v1";
const CHANGED: &str = "sluice.order.changed.v1";
/// Most bytes of an answer; only its status counts, but a larger one is no answer of a shop.
const ANSWER_BYTES_MAX: usize = 256 * 1_024;

/// Settings of the webhook.
#[derive(Clone, Eq, PartialEq)]
pub struct WebhookSettings {
    /// Where the shop listens: https, or http to a loopback address.
    pub url: String,
    /// Longest wait for its answer.
    pub timeout: Duration,
    /// How many webhooks in a row may go unanswered, before the shop is left alone for `rest`.
    pub failures_max: u32,
    /// How long it is left alone; its orders wait.
    pub rest: Duration,
}

impl WebhookSettings {
    /// The defaults, with this address.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            timeout: Duration::from_secs(3),
            failures_max: 5,
            rest: Duration::from_secs(5),
        }
    }
}

/// The URL may hold a secret of the shop's.
impl fmt::Debug for WebhookSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSettings").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// See the module.
pub struct Webhook {
    url: Uri,
    client: Client,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
    breaker: Breaker,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook").field("client", &self.client).finish_non_exhaustive()
    }
}

/// The body.
#[derive(Debug, Serialize)]
struct Message<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    /// When the order was paid, or the change begun: the same in every repeat.
    timestamp: UnixMillis,
    data: Goods<'a>,
}

#[derive(Debug, Serialize)]
struct Goods<'a> {
    order: OrderId,
    sale: &'a SaleId,
    entry: EntryId,
    /// As the shop's own identity names the buyer.
    buyer: &'a str,
    items: Vec<Item<'a>>,
    /// Of all items together.
    amount_fen: AmountFen,
    currency: Currency,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    sku: &'a SkuId,
    quantity: u32,
    /// Of seated goods, of which every seat is an item.
    #[serde(skip_serializing_if = "Option::is_none")]
    seat: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<u8>,
    /// Of one unit, or of one seat.
    amount_fen: AmountFen,
}

impl Webhook {
    /// Fails when the URL is not one that may be called. The first of the secrets signs.
    pub fn new(
        settings: &WebhookSettings,
        secrets: Secrets,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, client::BadUrl> {
        let breaker = BreakerSettings {
            name: "the shop's fulfilment",
            failures_max: settings.failures_max,
            rest: settings.rest,
        };
        Ok(Self {
            url: client::check_outbound(&settings.url)?,
            client: Client::new(settings.timeout),
            secrets,
            clock,
            breaker: Breaker::new(breaker),
        })
    }

    /// Sends it once; the status of the answer.
    async fn send(&self, order: &Order) -> Result<StatusCode, Cause> {
        let (id, message) = (message_id(order), message(order));
        let request = signed::post(&self.url, (&self.secrets, self.clock.now()), &id, &message)?;
        Ok(self.client.send(request, ANSWER_BYTES_MAX).await?.status())
    }
}

/// The same for every repeat, and another for each change: its goods are held anew.
fn message_id(order: &Order) -> String {
    if order.state == OrderState::Changing {
        format!("{}.{}", order.id, order.hold)
    } else {
        order.id.to_string()
    }
}

fn message(order: &Order) -> Message<'_> {
    let (kind, since) = if order.state == OrderState::Changing {
        (CHANGED, OrderState::Changing)
    } else {
        (PAID, OrderState::Paid)
    };
    let began = order.history.iter().rfind(|change| change.state == since);
    Message {
        kind,
        timestamp: began.or(order.history.last()).map(|change| change.at).unwrap_or_default(),
        data: Goods {
            order: order.id,
            sale: &order.sale,
            entry: order.entry,
            buyer: order.buyer.as_str(),
            items: order
                .lines
                .iter()
                .map(|line| Item {
                    sku: &line.sku,
                    quantity: line.quantity,
                    seat: line.seat.as_ref().map(|seat| seat.label.as_str()),
                    from: line.stretch.map(Stretch::from),
                    to: line.stretch.map(Stretch::to),
                    amount_fen: line.amount,
                })
                .collect(),
            amount_fen: order.amount,
            currency: order.currency,
        },
    }
}

#[async_trait]
impl Fulfilment for Webhook {
    async fn fulfil(&self, order: &Order) -> Result<(), FulfilmentError> {
        let pass = self.breaker.enter(Instant::now()).map_err(|resting| {
            metrics::fulfilment("resting");
            FulfilmentError::Unreachable(resting.into())
        })?;
        let answer = self.send(order).await;
        // A shop that says 503 is as good as away; any other answer shows that it is there.
        match &answer {
            Ok(status) if !status.is_server_error() => pass.answered(),
            Ok(_) | Err(_) => pass.failed(Instant::now()),
        }
        let (result, fulfilled) = match answer {
            Ok(status) if status.is_success() => ("done", Ok(())),
            Ok(status @ (StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY)) => {
                let why = format!("the shop answered {status}");
                ("refused", Err(FulfilmentError::Refused(why)))
            }
            Ok(status) => {
                let why = format!("the shop answered {status}").into();
                ("later", Err(FulfilmentError::Unreachable(why)))
            }
            Err(cause) => ("later", Err(FulfilmentError::Unreachable(cause))),
        };
        metrics::fulfilment(result);
        fulfilled
    }
}
