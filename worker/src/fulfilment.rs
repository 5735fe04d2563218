//! What is done for an order that is paid: a parcel asked for, a ticket sent. Ours needs nothing done: an order's id is its
//! ticket number. A shop that does more is told by a signed [webhook](Webhook).

use std::fmt::Debug;

use async_trait::async_trait;
use sluice_core::{
    order::Order,
    ports::{Cause, OncePaid},
};

mod webhook;

pub use webhook::{Webhook, WebhookSettings};

/// Why an order is not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum FulfilmentError {
    /// No answer, or not yet: asked again with the same order, for as long as it takes.
    #[error("the fulfilment did not answer")]
    Unreachable(#[source] Cause),
    /// It will never be fulfilled: the order fails, its money and its goods go back.
    #[error("the fulfilment refused: {0}")]
    Refused(String),
}

/// Fulfils orders. Called at least once for each paid order, and for what each changed one is to be: so its effect must be
/// made once, by the order's hold, which is another one after a change.
#[async_trait]
pub trait Fulfilment: Debug + Send + Sync {
    async fn fulfil(&self, order: &Order) -> Result<(), FulfilmentError>;

    /// How far an order goes with its payment. [`fulfil`](Self::fulfil) is called for those that wait, for those that an earlier
    /// process left waiting, and for changes.
    fn once_paid(&self) -> OncePaid {
        OncePaid::Waits
    }
}

/// Nothing is left to do once an order is paid: its id is the number of its ticket.
#[derive(Clone, Copy, Debug, Default)]
pub struct Immediate;

#[async_trait]
impl Fulfilment for Immediate {
    async fn fulfil(&self, _order: &Order) -> Result<(), FulfilmentError> {
        Ok(())
    }

    fn once_paid(&self) -> OncePaid {
        OncePaid::Fulfilled
    }
}
