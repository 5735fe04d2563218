//! What every part of a worker works with: the ports, the outside world, and the ways to hand things on to its tasks.

use std::sync::Arc;

use sluice_core::{
    ids::OrderId,
    order::Order,
    ports::{HoldUpdate, IdempotencyKey, PortResult},
};
use tokio::sync::mpsc;

use crate::{
    Config, Fulfilment, WorkerPorts, aftermath::Aftermath, asking::Asking, callback,
    guarded::Guarded, metrics,
};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) ports: WorkerPorts,
    pub(crate) provider: Guarded,
    pub(crate) fulfilment: Arc<dyn Fulfilment>,
    pub(crate) steps: mpsc::Sender<Aftermath>,
    pub(crate) orders: mpsc::Sender<Order>,
    /// Outlive the requests that began them.
    pub(crate) callbacks: callback::Tasks,
}

impl Shared {
    fn asking(&self) -> Asking {
        Asking { timeout: self.config.port_timeout, tries_max: self.config.port_tries_max.max(1) }
    }

    /// Asks a store once; for answers somebody waits for.
    pub(crate) async fn once<T>(&self, call: impl Future<Output = PortResult<T>>) -> PortResult<T> {
        self.asking().once(call).await
    }

    /// Asks a store until it answers, within the limits of the configuration.
    pub(crate) async fn ask<T, F>(&self, call: impl FnMut() -> F) -> PortResult<T>
    where
        F: Future<Output = PortResult<T>>,
    {
        self.asking().repeat(&self.ports.random, call).await
    }

    /// Whether the ledger commits anything at all: writes one small record that nobody needs.
    pub(crate) async fn ledger_writes(&self) -> bool {
        let ports = &self.ports;
        let key = IdempotencyKey {
            scope: "worker/probe".to_owned(),
            key: OrderId::generate(ports.clock.now(), &ports.random).to_string(),
            body: [0; 32],
        };
        self.once(ports.ledger.replay(&key)).await.is_ok()
    }

    /// Takes note of a step the ledger has committed that brought the order into another state.
    pub(crate) fn entered(&self, order: &Order, gate: Option<HoldUpdate>) {
        metrics::orders_entered(&order.sale, order.state, 1);
        self.follow(order, gate);
    }

    /// Lets gate, line and bulletin follow what the ledger has committed.
    pub(crate) fn follow(&self, order: &Order, gate: Option<HoldUpdate>) {
        if self.steps.try_send(Aftermath::of(order, gate)).is_err() {
            tracing::error!(
                sale = %order.sale,
                order = %order.id,
                "too many steps of orders wait for gate, line and bulletin: one was left to reconciliation"
            );
        }
    }

    /// Hands an order that must be closed or fulfilled to the sweeper. When it has no room, the ledger tells it again.
    pub(crate) fn take_up(&self, order: Order) {
        if self.orders.try_send(order).is_err() {
            tracing::debug!("the sweeper is busy and finds the order later");
        }
    }
}
