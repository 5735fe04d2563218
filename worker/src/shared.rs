//! What every part of a worker works with: the ports, the outside world, and the ways to hand things on to its tasks.

use std::sync::Arc;

use sluice_core::{
    ids::OrderId,
    order::{Order, OrderState},
    ports::{
        HoldUpdate, IdempotencyKey, OrderStep, PaymentStep, PaymentUpdate, PortResult, StepReply,
    },
};
use tokio::sync::mpsc;

use crate::{
    Config, Fulfilment, WorkerPorts,
    aftermath::{Aftermath, Goods},
    asking::Asking,
    callback,
    gather::Gather,
    guarded::Guarded,
    metrics,
    notify::Notices,
    tills::Tills,
};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) ports: WorkerPorts,
    pub(crate) provider: Guarded,
    pub(crate) fulfilment: Arc<dyn Fulfilment>,
    pub(crate) tills: Tills,
    pub(crate) steps: mpsc::Sender<Aftermath>,
    pub(crate) orders: mpsc::Sender<Order>,
    /// Outlive the requests that began them.
    pub(crate) callbacks: callback::Tasks,
    /// Words of the provider, on their way to the ledger.
    pub(crate) words: Gather<PaymentUpdate, PaymentStep>,
    /// Steps of orders, on their way to the ledger.
    pub(crate) taking: Gather<(OrderId, OrderStep), StepReply>,
    /// What buyers are to be told.
    pub(crate) notices: Notices,
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

    /// Applies the provider's word with the next batch.
    pub(crate) async fn apply(&self, word: PaymentUpdate) -> PortResult<PaymentStep> {
        self.once(self.words.ask(word)).await
    }

    /// Takes a step of an order with the next batch.
    pub(crate) async fn step(&self, order: OrderId, step: OrderStep) -> PortResult<StepReply> {
        self.ask(|| self.taking.ask((order, step))).await
    }

    /// Takes note of a step the ledger has committed that brought the order into another state.
    pub(crate) fn entered(&self, order: &Order, gate: Option<HoldUpdate>) {
        self.entered_with(order, gate, Goods::Stay);
    }

    /// As [`entered`](Self::entered), with what became of goods that were sold.
    pub(crate) fn entered_with(&self, order: &Order, gate: Option<HoldUpdate>, goods: Goods) {
        metrics::orders_entered(&order.sale, order.state, 1);
        self.tell_entered(order);
        self.follow_with(order, gate, goods);
    }

    /// As [`entered`](Self::entered), by a word on a payment. Money that moved an order moved its hold too, or goes back; a word
    /// that only repeats in another version moved nothing.
    pub(crate) fn entered_by_payment(&self, order: &Order, gate: Option<HoldUpdate>) {
        let over = order.state == OrderState::Refunded;
        if gate.is_none() && !over && order.state != OrderState::Refunding {
            return;
        }
        let goods = if over { Goods::CameBack } else { Goods::Stay };
        if order.state == OrderState::Fulfilled {
            // The same transaction led through these.
            for passed in [OrderState::Paid, OrderState::Fulfilling] {
                metrics::orders_entered(&order.sale, passed, 1);
            }
        }
        self.entered_with(order, gate, goods);
    }

    /// Lets gate, line and bulletin follow what the ledger has committed.
    pub(crate) fn follow(&self, order: &Order, gate: Option<HoldUpdate>) {
        self.follow_with(order, gate, Goods::Stay);
    }

    /// As [`follow`](Self::follow), with what became of goods that were sold.
    pub(crate) fn follow_with(&self, order: &Order, gate: Option<HoldUpdate>, goods: Goods) {
        if self.steps.try_send(Aftermath::of(order, gate, goods)).is_err() {
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
