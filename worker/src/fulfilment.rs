//! What is done for an order that is paid: tickets issued, a parcel asked for. The shop's own; ours is immediate.

use std::fmt::Debug;

use async_trait::async_trait;
use sluice_core::{order::Order, ports::Cause};

/// Why an order could not be fulfilled now.
#[derive(Debug, thiserror::Error)]
pub enum FulfilmentError {
    /// No answer, or not yet: asked again with the same order, for as long as it takes.
    #[error("the fulfilment did not answer")]
    Unreachable(#[source] Cause),
    /// It will never be fulfilled: the order fails, its money and its goods go back.
    #[error("the fulfilment refused: {0}")]
    Refused(String),
}

/// Fulfils orders. Called at least once for each paid order, so its effect must be made once, by the order's id.
#[async_trait]
pub trait Fulfilment: Debug + Send + Sync {
    async fn fulfil(&self, order: &Order) -> Result<(), FulfilmentError>;
}

/// Nothing is left to do once an order is paid.
#[derive(Clone, Copy, Debug, Default)]
pub struct Immediate;

#[async_trait]
impl Fulfilment for Immediate {
    async fn fulfil(&self, _order: &Order) -> Result<(), FulfilmentError> {
        Ok(())
    }
}
