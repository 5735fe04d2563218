//! The queues and the bulletin behind faults: deliveries that come twice, confirms that are lost, notices nobody hears.
//! What leaves through the drain is written into the history.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sluice_core::{event::Turn, ids::SaleId, line::LineEntry, ports::*};

use tokio::time::timeout;

use super::{
    decorated::Faulty,
    faults::{Faults, Sabotage, unavailable},
    history::History,
};

#[derive(Debug)]
pub(crate) struct FaultyWaiting {
    pub(crate) inner: Arc<dyn WaitingQueue>,
    pub(crate) faults: Arc<Faults>,
    pub(crate) history: Arc<History>,
}

#[async_trait]
impl WaitingQueue for FaultyWaiting {
    async fn declare(&self, sale: &SaleId) -> PortResult<()> {
        self.faults.effect("declare", self.inner.declare(sale)).await
    }

    async fn offer(&self, sale: &SaleId, entries: Vec<LineEntry>) -> PortResult<()> {
        if self.faults.sabotages(Sabotage::ForgottenOffers, 0.05) {
            return Ok(());
        }
        if self.faults.happens(self.faults.chances.twice) {
            self.inner.offer(sale, entries.clone()).await?;
        }
        self.faults.effect("offer", self.inner.offer(sale, entries)).await
    }

    async fn drain(&self, sale: &SaleId) -> PortResult<Drain> {
        let drain = self.faults.read("drain", self.inner.drain(sale)).await?;
        Ok(Drain {
            intake: Box::new(FaultyIntake {
                inner: drain.intake,
                faults: Arc::clone(&self.faults),
                first: None,
                second: None,
            }),
            outlet: Arc::new(FaultyOutlet {
                inner: drain.outlet,
                faults: Arc::clone(&self.faults),
                history: Arc::clone(&self.history),
            }),
        })
    }

    async fn remove(&self, sale: &SaleId) -> PortResult<()> {
        self.faults.effect("remove", self.inner.remove(sale)).await
    }
}

/// Hands messages on as they come, unless the order is sabotaged: then neighbours swap their numbers.
#[derive(Debug)]
struct FaultyIntake {
    inner: Box<dyn DrainIntake>,
    faults: Arc<Faults>,
    first: Option<WaitingMessage>,
    second: Option<WaitingMessage>,
}

/// How long the first of two waits for the second.
const NEIGHBOUR_WITHIN: Duration = Duration::from_secs(1);

#[async_trait]
impl DrainIntake for FaultyIntake {
    async fn next(&mut self) -> PortResult<WaitingMessage> {
        if self.faults.sabotage != Sabotage::Shuffled {
            return self.inner.next().await;
        }
        if let Some(second) = self.second.take() {
            return Ok(second);
        }
        if self.first.is_none() {
            self.first = Some(self.inner.next().await?);
        }
        if let Ok(second) = timeout(NEIGHBOUR_WITHIN, self.inner.next()).await {
            self.second = Some(second?);
        }
        let mut first = self.first.take().ok_or_else(unavailable)?;
        if let Some(second) = &mut self.second {
            for (a, b) in first.entries.iter_mut().zip(&mut second.entries) {
                std::mem::swap(a, b);
                std::mem::swap(&mut a.seq, &mut b.seq);
            }
        }
        Ok(first)
    }

    fn try_next(&mut self) -> PortResult<Option<WaitingMessage>> {
        if self.faults.sabotage == Sabotage::Shuffled {
            return Ok(self.second.take());
        }
        self.inner.try_next()
    }
}

#[derive(Debug)]
struct FaultyOutlet {
    inner: Arc<dyn DrainOutlet>,
    faults: Arc<Faults>,
    history: Arc<History>,
}

#[async_trait]
impl DrainOutlet for FaultyOutlet {
    async fn release(&self, turns: Vec<Turn>) -> PortResult<()> {
        self.history.released(&turns);
        if self.faults.sabotages(Sabotage::ForgottenTurns, 0.05) {
            return Ok(());
        }
        if self.faults.happens(self.faults.chances.twice) {
            self.inner.release(turns.clone()).await?;
        }
        self.faults.effect("release", self.inner.release(turns)).await
    }

    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        self.faults.effect("ack", self.inner.ack(tags)).await
    }
}

#[async_trait]
impl TurnQueue for Faulty<dyn TurnQueue> {
    async fn consume(&self, prefetch: usize) -> PortResult<TurnIntake> {
        let intake = self.faults.read("consume", self.inner.consume(prefetch)).await?;
        let outlet =
            Arc::new(FaultyWorkOutlet { inner: intake.outlet, faults: Arc::clone(&self.faults) });
        Ok(TurnIntake { deliveries: intake.deliveries, outlet })
    }

    async fn depths(&self) -> PortResult<QueueDepths> {
        self.faults.read("depths", self.inner.depths()).await
    }

    async fn release_again(&self, turns: &[Turn]) -> PortResult<()> {
        self.faults.effect("release_again", self.inner.release_again(turns)).await
    }

    async fn bury_unheard(&self, turn: &Turn, reason: &str) -> PortResult<()> {
        self.faults.effect("bury_unheard", self.inner.bury_unheard(turn, reason)).await
    }
}

#[derive(Debug)]
struct FaultyWorkOutlet {
    inner: Arc<dyn WorkOutlet>,
    faults: Arc<Faults>,
}

#[async_trait]
impl WorkOutlet for FaultyWorkOutlet {
    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        self.faults.effect("ack", self.inner.ack(tags)).await
    }

    async fn retry(&self, tag: u64, delay: Duration) -> PortResult<()> {
        self.faults.effect("retry", self.inner.retry(tag, delay)).await
    }

    async fn bury(&self, tag: u64, reason: &str) -> PortResult<()> {
        self.faults.effect("bury", self.inner.bury(tag, reason)).await
    }
}

#[async_trait]
impl Bulletin for Faulty<dyn Bulletin> {
    async fn publish(&self, notice: Notice) -> PortResult<()> {
        if self.faults.happens(self.faults.chances.unheard) {
            return Ok(());
        }
        self.inner.publish(notice).await
    }

    async fn subscribe(&self) -> PortResult<Box<dyn Subscription>> {
        self.inner.subscribe().await
    }
}
