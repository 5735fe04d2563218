//! How a consumer settles what it was delivered; the same for every queue whose consumers compete.

use std::{fmt::Debug, time::Duration};

use async_trait::async_trait;

use super::PortResult;

/// Settles deliveries of one intake, by their tags.
#[async_trait]
pub trait WorkOutlet: Debug + Send + Sync {
    /// Forgets these: what they ask for is in the ledger. A repeat is harmless.
    async fn ack(&self, tags: &[u64]) -> PortResult<()>;

    /// Puts one back, to be delivered again after about `delay` (rounded up to a delay the backend has), with one more try
    /// counted. Durable when it returns.
    async fn retry(&self, tag: u64, delay: Duration) -> PortResult<()>;

    /// Sets one aside for an operator, with a reason. Durable when it returns.
    async fn bury(&self, tag: u64, reason: &str) -> PortResult<()>;
}
