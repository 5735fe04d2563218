//! One way to reach a buyer, and what it may come to.

use std::fmt::Debug;

use async_trait::async_trait;
use sluice_core::ports::{Cause, Notification};

/// Why a channel did not take a notification.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No answer, or none of any use. It may have been taken all the same; the same again is recognised by its id.
    #[error("it is away")]
    Away(#[source] Cause),
    /// It is there, and does not take this one now: a mailbox is full, we are too quick.
    #[error("it does not take it now")]
    Later(#[source] Cause),
    /// It takes nothing from us: a wrong password, a redirect. Somebody has to mend the configuration; until then no other
    /// notification fares better.
    #[error("it takes nothing from us as we are configured")]
    Barred(#[source] Cause),
    /// It will never take this one.
    #[error("it refused the notification for good")]
    Never(#[source] Cause),
}

/// A way to reach a buyer. Called again with the same notification after [`SendError::Away`] and [`SendError::Later`].
#[async_trait]
pub trait Channel: Debug + Send + Sync {
    /// For logs and metrics.
    fn name(&self) -> &'static str;

    /// Whether there is an address that it can use.
    fn reaches(&self, notification: &Notification) -> bool;

    /// Sends it once. Whoever calls keeps the deadline, and drops what is not done by then.
    async fn send(&self, notification: &Notification) -> Result<(), SendError>;
}
