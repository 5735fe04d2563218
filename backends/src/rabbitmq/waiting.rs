//! The waiting queue: a quorum queue of each sale. An offer is stored when the broker confirms it; a drain is its single
//! active consumer.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use sluice_core::{
    ids::SaleId,
    line::LineEntry,
    ports::{Drain, PortError, PortResult, WaitingQueue},
};

use tokio::time::sleep_until;

use super::{
    Shared,
    fault::Fault,
    link::{Bare, Link, Live},
    metrics::watch,
    press::Press,
    sync::locked,
    topology,
};

mod codec;
mod drain;

/// See the module.
#[derive(Debug)]
pub(super) struct Waiting {
    shared: Arc<Shared>,
    press: Link<Press>,
    drains: Link<Bare>,
    /// Sales that were declared here: declared again if a broker comes back without them.
    declared: Mutex<BTreeSet<SaleId>>,
}

impl Waiting {
    pub(super) fn new(shared: Arc<Shared>, press: Link<Press>, drains: Link<Bare>) -> Self {
        Self { shared, press, drains, declared: Mutex::default() }
    }

    /// Makes sure that the queue is there: a message to one that is not would be confirmed and end among the unrouted.
    async fn ensure(&self, live: &Live<Press>, sale: &SaleId) -> Result<(), Fault> {
        if live.kit.knows(sale) {
            return Ok(());
        }
        let limit = self.shared.options.answer_timeout;
        let queue = topology::waiting_queue(sale);
        if topology::ready(&live.wire, &[queue], limit).await? == [None] {
            if !locked(&self.declared).contains(sale) {
                return Err(Fault::NotDeclared);
            }
            tracing::error!(%sale, "the waiting queue of a sale is gone; declaring it anew");
            self.make(live, sale).await?;
        }
        live.kit.know(sale);
        Ok(())
    }

    /// Declares the queue, and waits until the broker will not forget it.
    async fn make(&self, live: &Live<Press>, sale: &SaleId) -> Result<(), Fault> {
        let limit = self.shared.options.answer_timeout;
        let declared = topology::declare_waiting(&live.wire, sale, limit).await?;
        topology::settle(declared, self.shared.options.settle_time).await;
        Ok(())
    }
}

#[async_trait]
impl WaitingQueue for Waiting {
    async fn declare(&self, sale: &SaleId) -> PortResult<()> {
        let _watch = watch("waiting.declare");
        let live = self.press.live()?;
        if let Err(fault) = self.make(&live, sale).await {
            let error = &fault as &dyn std::error::Error;
            tracing::error!(%sale, error, "the waiting queue of a sale was not declared");
            return Err(fault.into());
        }
        live.kit.know(sale);
        locked(&self.declared).insert(sale.clone());
        Ok(())
    }

    async fn offer(&self, sale: &SaleId, entries: Vec<LineEntry>) -> PortResult<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let _watch = watch("waiting.offer");
        let live = self.press.live()?;
        if live.wire.is_blocked() {
            return Err(PortError::Full);
        }
        self.ensure(&live, sale).await?;
        let messages = codec::joins(sale, &entries)?;
        live.kit.publish(messages, self.shared.options.answer_timeout).await.into()
    }

    async fn drain(&self, sale: &SaleId) -> PortResult<Drain> {
        let live = self.drains.soon(self.shared.options.answer_timeout).await?;
        drain::begin(&self.shared, &live.wire, self.press.clone(), sale).await
    }

    async fn remove(&self, sale: &SaleId) -> PortResult<()> {
        let _watch = watch("waiting.remove");
        locked(&self.declared).remove(sale);
        let live = self.press.live()?;
        live.kit.forget(sale);
        // A broker that has just started may lose all its dead-lettering when queues are deleted too soon (3.10.8).
        sleep_until(live.wire.since() + self.shared.options.settle_time * 3).await;
        let limit = self.shared.options.answer_timeout;
        Ok(topology::remove_waiting(&live.wire, sale, limit).await?)
    }
}
