//! Reads deliveries off one channel. Dropping it closes the channel, so that everything unsettled goes back in order.

use futures_util::{FutureExt, StreamExt};
use lapin::{Consumer, message::Delivery};
use tokio_util::sync::CancellationToken;

use super::{fault::Fault, sync::locked, writer::Hatch};

/// See the module.
#[derive(Debug)]
pub(super) struct Reader {
    consumer: Option<Consumer>,
    hatch: Hatch,
    over: CancellationToken,
}

impl Reader {
    /// Reads from `consumer` until `over`. The channel's writer looks after `hatch`.
    pub(super) fn new(consumer: Consumer, hatch: Hatch, over: CancellationToken) -> Self {
        Self { consumer: Some(consumer), hatch, over }
    }

    /// Waits for the next delivery. Cancel-safe.
    pub(super) async fn next(&mut self) -> Result<Delivery, Fault> {
        let Some(consumer) = &mut self.consumer else { return Err(Fault::Ended) };
        let delivery = tokio::select! {
            biased;
            () = self.over.cancelled() => Err(Fault::Ended),
            delivery = consumer.next() => judge(delivery),
        };
        self.mark(delivery)
    }

    /// A delivery if one is there.
    pub(super) fn try_next(&mut self) -> Result<Option<Delivery>, Fault> {
        let Some(consumer) = &mut self.consumer else { return Err(Fault::Ended) };
        if self.over.is_cancelled() {
            return Err(Fault::Ended);
        }
        let delivery = consumer.next().now_or_never().map(judge).transpose();
        self.mark(delivery)
    }

    /// Who is given nothing any more has lost the queue, and must not use the channel either.
    fn mark<T>(&self, read: Result<T, Fault>) -> Result<T, Fault> {
        if read.is_err() {
            self.over.cancel();
        }
        read
    }
}

fn judge(delivery: Option<lapin::Result<Delivery>>) -> Result<Delivery, Fault> {
    match delivery {
        Some(Ok(delivery)) => Ok(delivery),
        Some(Err(source)) => Err(Fault::Refused { what: "a consumer", source }),
        None => Err(Fault::Cancelled),
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        *locked(&self.hatch) = self.consumer.take();
        self.over.cancel();
    }
}
