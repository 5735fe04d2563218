//! What can go wrong with one call to the broker, and the deadline that every call has.

use std::time::Duration;

use sluice_core::ports::PortError;
use tokio::time::timeout;

/// Why a call did not get its answer. For the log; a caller sees a [`PortError`].
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("there is no connection to RabbitMQ")]
    Away,
    #[error("RabbitMQ did not answer {what} within {limit:?}")]
    Silent { what: &'static str, limit: Duration },
    #[error(
        "RabbitMQ confirmed nothing for {limit:?} although it is there; look for a queue without a leader (rabbitmq-queues quorum_status)"
    )]
    Stalled { limit: Duration },
    #[error("RabbitMQ refused {what}")]
    Refused { what: &'static str, source: lapin::Error },
    #[error("the channel ended before the broker answered")]
    Ended,
    #[error("the broker ended the consumer: its queue was deleted or has moved")]
    Cancelled,
    #[error("no waiting queue is declared for the sale")]
    NotDeclared,
    #[error("somebody else looks at the dead letters; try again in a moment")]
    Busy,
    #[error("a message was returned, so it is unknown which of its channel were stored")]
    Returned,
    #[error("some of the messages were stored and some were refused")]
    Partly,
    #[error("a value could not be written as JSON")]
    Json(#[source] serde_json::Error),
    #[error(transparent)]
    Open(Box<super::open::OpenError>),
}

impl Fault {
    /// The code with which the broker refused; 0 if that was not it.
    pub(super) fn reply_code(&self) -> u16 {
        if let Self::Refused { source, .. } = self { reply_code(source) } else { 0 }
    }
}

impl From<Fault> for PortError {
    fn from(fault: Fault) -> Self {
        Self::unavailable(fault)
    }
}

impl From<super::open::OpenError> for Fault {
    fn from(error: super::open::OpenError) -> Self {
        Self::Open(Box::new(error))
    }
}

/// Waits for an answer, for so long at most.
pub(super) async fn answered<T>(
    limit: Duration,
    what: &'static str,
    call: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Fault> {
    match timeout(limit, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(source)) => Err(Fault::Refused { what, source }),
        Err(_) => Err(Fault::Silent { what, limit }),
    }
}

/// The reply code of a refusal; 0 if there was none.
pub(super) fn reply_code(error: &lapin::Error) -> u16 {
    if let lapin::ErrorKind::ProtocolError(said) = error.kind() { said.get_id() } else { 0 }
}
