//! Leaves the telling to the shop: a webhook for each notification, signed as Standard Webhooks 1.0 has it, with the
//! notification's id as `webhook-id`, so that a repeat is known as one. It carries the words too, in the buyer's language, ready
//! for a text message.
//!
//! The shop answers 2xx once it has taken it over. 408, 425 and 429 mean later, 5xx that it is as good as away; a redirect, 401,
//! 403, 404 and 405 that the two of us are not configured alike; anything else that it will never take this one.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{StatusCode, Uri};
use serde::Serialize;
use sluice_core::{
    clock::{Clock, UnixMillis},
    ids::{BuyerId, EntryId, SaleId},
    order::OrderName,
    ports::{Cause, Contact, Notification, Occasion},
    webhook::Secrets,
};
use sluice_http::client::{self, Client};

use super::{
    channel::{Channel, SendError},
    texts::{Texts, Words},
};
use crate::signed;

const TYPE: &str = "sluice.notification.v1";
/// Most bytes of an answer; only its status counts.
const ANSWER_BYTES_MAX: usize = 64 * 1_024;

/// See the module.
pub struct Webhook {
    url: Uri,
    client: Client,
    secrets: Secrets,
    clock: Arc<dyn Clock>,
    texts: Texts,
}

/// The URL may hold a secret of the shop's.
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
    /// When it happened: the same in every repeat.
    timestamp: UnixMillis,
    data: Data<'a>,
}

#[derive(Debug, Serialize)]
struct Data<'a> {
    occasion: Occasion,
    sale: &'a SaleId,
    title: &'a str,
    entry: EntryId,
    /// As the shop's own identity names them.
    buyer: &'a BuyerId,
    order: Option<&'a OrderName>,
    pay_by: Option<UnixMillis>,
    link: Option<&'a str>,
    contact: &'a Contact,
    /// As the buyer asked.
    locale: &'a str,
    /// What the words are written in.
    language: &'static str,
    subject: &'a str,
    text: &'a str,
}

impl Webhook {
    /// Fails when the URL is not one that may be called. The first of the secrets signs.
    pub fn new(
        url: &str,
        timeout: Duration,
        secrets: Secrets,
        clock: Arc<dyn Clock>,
        texts: Texts,
    ) -> Result<Self, client::BadUrl> {
        let url = client::check_outbound(url)?;
        Ok(Self { url, client: Client::new(timeout), secrets, clock, texts })
    }

    /// The status of the shop's answer.
    async fn post(&self, notification: &Notification) -> Result<StatusCode, Cause> {
        let words = self.texts.words(notification);
        let (id, message) = (notification.id.as_str(), message(notification, &words));
        let request = signed::post(&self.url, (&self.secrets, self.clock.now()), id, &message)?;
        Ok(self.client.send(request, ANSWER_BYTES_MAX).await?.status())
    }
}

fn message<'a>(notification: &'a Notification, words: &'a Words) -> Message<'a> {
    Message {
        kind: TYPE,
        timestamp: notification.at,
        data: Data {
            occasion: notification.occasion,
            sale: &notification.sale,
            title: &notification.title,
            entry: notification.entry,
            buyer: &notification.buyer,
            order: notification.order.as_ref(),
            pay_by: notification.pay_by,
            link: notification.link.as_deref(),
            contact: &notification.contact,
            locale: &notification.locale,
            language: words.language,
            subject: &words.subject,
            text: &words.body,
        },
    }
}

#[async_trait]
impl Channel for Webhook {
    fn name(&self) -> &'static str {
        "webhook"
    }

    /// The shop may know its buyer by more than we were told.
    fn reaches(&self, _notification: &Notification) -> bool {
        true
    }

    async fn send(&self, notification: &Notification) -> Result<(), SendError> {
        let status = self.post(notification).await.map_err(SendError::Away)?;
        let why = || format!("the shop answered {status}").into();
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Err(SendError::Later(why()))
            }
            status if status.is_server_error() => Err(SendError::Away(why())),
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED => Err(SendError::Barred(why())),
            status if status.is_redirection() => Err(SendError::Barred(why())),
            _ => Err(SendError::Never(why())),
        }
    }
}
