//! Tells the log that somebody would be told, and nobody else: what a sluice does that has not been given a channel. No
//! address, no buyer, no text.

use async_trait::async_trait;
use sluice_core::ports::Notification;

use super::channel::{Channel, SendError};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Log;

#[async_trait]
impl Channel for Log {
    fn name(&self) -> &'static str {
        "log"
    }

    fn reaches(&self, _notification: &Notification) -> bool {
        true
    }

    async fn send(&self, notification: &Notification) -> Result<(), SendError> {
        tracing::info!(
            sale = %notification.sale,
            notification = %notification.id,
            occasion = notification.occasion.as_str(),
            email = notification.contact.email().is_some(),
            phone = notification.contact.phone().is_some(),
            "a buyer would be told; no channel is configured"
        );
        Ok(())
    }
}
