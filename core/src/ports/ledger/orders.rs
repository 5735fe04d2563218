//! The ledger's book of orders: their states, their payments, the stock they hold.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    clock::UnixMillis,
    ids::{OrderId, PaymentId, RefundId, SaleId, SkuId},
    money::{AmountFen, Currency},
    order::{ClosingCause, Order, OrderEvent, OrderState},
    ports::{
        PortResult,
        gate::{GateImage, HoldUpdate, Restock},
    },
};

/// The balance of one SKU: `available + owed + held + sold = total`, none negative. A seated SKU is counted in seat-legs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StockBalance {
    pub sku: SkuId,
    pub total: u64,
    pub available: u64,
    /// Set aside for standby.
    pub owed: u64,
    /// Held by orders that are not paid.
    pub held: u64,
    pub sold: u64,
    /// Units that were sold and came back, ever. They are counted in the others too.
    pub returned: u64,
}

impl StockBalance {
    /// What the gate is told of the SKU's stock. It never takes a sold unit back: what was returned is new stock there.
    #[must_use]
    pub fn restock(&self) -> Restock {
        Restock { sku: self.sku.clone(), total: self.total + self.returned, seats: None }
    }

    /// Units sold, ever: what the gate's image has beside that stock.
    #[must_use]
    pub fn ever_sold(&self) -> u64 {
        self.sold + self.returned
    }
}

/// How many orders of a sale are in a state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OrderCount {
    pub state: OrderState,
    pub count: u64,
}

/// A step was taken, or not.
#[derive(Clone, Debug, PartialEq)]
pub enum StepReply {
    /// The order after the step, and what the gate must be told of its hold.
    Done {
        order: Order,
        gate: Option<HoldUpdate>,
    },
    /// The order was in that state already: nothing changed. With the ledger's latest word on its hold, in case whoever
    /// took the step never heard: the gate may hear it any number of times.
    Already {
        order: Order,
        gate: Option<HoldUpdate>,
    },
    /// The step does not apply; the order as it is.
    Wrong(Order),
    NoSuchOrder,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PaymentState {
    Pending,
    Succeeded,
    Failed,
    Closed,
    Refunded,
}

impl PaymentState {
    pub const ALL: [Self; 5] =
        [Self::Pending, Self::Succeeded, Self::Failed, Self::Closed, Self::Refunded];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Closed => "closed",
            Self::Refunded => "refunded",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// One attempt to pay.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Payment {
    pub id: PaymentId,
    pub order: OrderId,
    pub provider: String,
    pub state: PaymentState,
    /// The version of the provider's last word; 0 before the first.
    pub version: u64,
    pub amount: AmountFen,
    pub currency: Currency,
}

impl Payment {
    /// The provider's word, given when it was asked: newer than any before, and of this payment's own amount.
    #[must_use]
    pub fn found(&self, state: PaymentState) -> PaymentUpdate {
        PaymentUpdate {
            payment: self.id,
            order: self.order,
            version: self.version.saturating_add(1),
            state,
            amount: self.amount,
            currency: self.currency,
        }
    }
}

/// The live payment of an order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NewPayment {
    New(Payment),
    /// The order has a live payment: that one.
    Live(Payment),
    WrongState(OrderState),
    NoSuchOrder,
}

/// The provider's authentic word on a payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PaymentUpdate {
    pub payment: PaymentId,
    pub order: OrderId,
    pub version: u64,
    pub state: PaymentState,
    pub amount: AmountFen,
    pub currency: Currency,
}

/// What the provider's word did.
#[derive(Clone, Debug, PartialEq)]
pub enum PaymentStep {
    /// It was news: the payment moved, and perhaps its order with it.
    Applied { order: Order, gate: Option<HoldUpdate> },
    /// A repeat or an older version: nothing changed. With the ledger's latest word on the order's hold, in case whoever
    /// was told of it first never heard: the gate may hear it any number of times.
    Ignored { order: Order, gate: Option<HoldUpdate> },
    /// Not the amount or currency of the payment: nothing changed.
    WrongAmount,
    /// We know no such payment of that order.
    Unknown,
    /// Money came for an order that is paid by another payment, or over: recorded with the payment, and its refund with it.
    Surplus(Order),
}

/// A step of an order on its way from one of many.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OrderStep {
    /// `closing → closed`, with the release of its hold, the buyer's limit and a movement in the same transaction.
    CloseUnpaid,
    /// `paid → fulfilling`.
    BeginFulfilment,
    /// `fulfilling → fulfilled`.
    EndFulfilment,
}

impl OrderStep {
    /// What happens to the order, and what its buyer is told.
    #[must_use]
    pub fn change(self) -> (OrderEvent, &'static str) {
        match self {
            Self::CloseUnpaid => {
                (OrderEvent::ClosedUnpaid, "It was not paid; the goods went back.")
            }
            Self::BeginFulfilment => {
                (OrderEvent::FulfilmentBegan, "Your order is being fulfilled.")
            }
            Self::EndFulfilment => (OrderEvent::Fulfilled, "Your order is fulfilled."),
        }
    }

    /// The state it leads to.
    #[must_use]
    pub fn leads_to(self) -> OrderState {
        match self {
            Self::CloseUnpaid => OrderState::Closed,
            Self::BeginFulfilment => OrderState::Fulfilling,
            Self::EndFulfilment => OrderState::Fulfilled,
        }
    }
}

/// How far an order goes with the word that pays it, in the same transaction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum OncePaid {
    /// It stays `paid`, for somebody is to be asked.
    Waits,
    /// `paid → fulfilling → fulfilled`: nobody is asked.
    Fulfilled,
}

impl OncePaid {
    /// The steps after `paid`.
    #[must_use]
    pub fn steps(self) -> &'static [OrderStep] {
        match self {
            Self::Waits => &[],
            Self::Fulfilled => &[OrderStep::BeginFulfilment, OrderStep::EndFulfilment],
        }
    }
}

/// The simulated provider's own record of a payment.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SimulatedPayment {
    pub payment: PaymentId,
    pub order: OrderId,
    pub amount: AmountFen,
    pub currency: Currency,
    pub state: SimulatedState,
    /// What went back of `amount`.
    pub refunded: AmountFen,
    /// Whether the callback for the present state was answered 2xx.
    pub told: bool,
    pub changed_at: UnixMillis,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SimulatedState {
    Open,
    Succeeded,
    Failed,
    Closed,
    /// All of its money went back.
    Refunded,
}

/// Money that the simulated provider is asked to give back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SimulatedRefund {
    /// Given back once for each id.
    pub refund: RefundId,
    pub payment: PaymentId,
    pub amount: AmountFen,
}

/// See the module.
#[async_trait]
pub trait OrderBook {
    async fn order(&self, order: OrderId) -> PortResult<Option<Order>>;

    /// `awaiting_payment → closing`, with its cause. Anybody may ask: the worker sees it through.
    async fn begin_closing(&self, order: OrderId, cause: ClosingCause) -> PortResult<StepReply>;

    /// Takes a step of each of these orders, in one transaction; replies in their order. An error is of them all: nothing
    /// of it was done, or nobody knows. Whoever gathered them asks for each by itself when the ledger rejects them.
    async fn step_orders(&self, steps: Vec<(OrderId, OrderStep)>) -> PortResult<Vec<StepReply>>;

    /// [`OrderStep::CloseUnpaid`] of one order.
    async fn close_unpaid(&self, order: OrderId) -> PortResult<StepReply> {
        let mut replies = self.step_orders(vec![(order, OrderStep::CloseUnpaid)]).await?;
        Ok(replies.pop().unwrap_or(StepReply::NoSuchOrder))
    }

    /// `paid → fulfilling`, or `fulfilling → fulfilled`, of one order.
    async fn fulfil(&self, order: OrderId, to: OrderState) -> PortResult<StepReply> {
        let step = match to {
            OrderState::Fulfilling => OrderStep::BeginFulfilment,
            OrderState::Fulfilled => OrderStep::EndFulfilment,
            OrderState::AwaitingPayment
            | OrderState::Closing
            | OrderState::Closed
            | OrderState::Paid
            | OrderState::Failed
            | OrderState::Refunding
            | OrderState::Refunded
            | OrderState::Changing => {
                return Ok(self
                    .order(order)
                    .await?
                    .map_or(StepReply::NoSuchOrder, StepReply::Wrong));
            }
        };
        let mut replies = self.step_orders(vec![(order, step)]).await?;
        Ok(replies.pop().unwrap_or(StepReply::NoSuchOrder))
    }

    /// Moves orders whose deadline has passed, by the ledger's clock, to `closing`; at most `limit`, oldest first.
    /// Workers that sweep at once get different ones.
    async fn sweep_deadlines(&self, limit: u32) -> PortResult<Vec<Order>>;

    /// Orders that are `closing`, `changing` or on their way to `fulfilled`, untouched for `idle`, oldest first: what a crash
    /// left.
    async fn unfinished(&self, idle: Duration, limit: u32) -> PortResult<Vec<Order>>;

    /// Orders that are `closing` or `changing`, however long, oldest first: a request begins these at one process, and any may
    /// see them through.
    async fn begun(&self, limit: u32) -> PortResult<Vec<Order>>;

    /// Opens a payment for an order that awaits one, or answers its live one.
    async fn begin_payment(
        &self,
        order: OrderId,
        payment: PaymentId,
        provider: &str,
    ) -> PortResult<NewPayment>;

    async fn payment(&self, payment: PaymentId) -> PortResult<Option<Payment>>;

    /// Applies the provider's words, in one transaction where they are the ordinary ones; replies in their order. Versions
    /// only move forward. A success pays the order and sells its hold, and the order goes on as `once_paid` says. One for a
    /// closed order holds its goods again under all checks of a first hold and pays it, else the money goes back; so does
    /// what no order can take. An error is of them all, as with [`step_orders`](Self::step_orders).
    async fn apply_payments(
        &self,
        updates: Vec<PaymentUpdate>,
        once_paid: OncePaid,
    ) -> PortResult<Vec<PaymentStep>>;

    /// One word; an order that it pays waits.
    async fn apply_payment(&self, update: PaymentUpdate) -> PortResult<PaymentStep> {
        let mut steps = self.apply_payments(vec![update], OncePaid::Waits).await?;
        Ok(steps.pop().unwrap_or(PaymentStep::Unknown))
    }

    /// The ledger's balance of a sale, in the order of SKU ids.
    async fn stock(&self, sale: &SaleId) -> PortResult<Vec<StockBalance>>;

    /// One consistent reading for rebuilding the gate.
    async fn gate_image(&self, sale: &SaleId) -> PortResult<GateImage>;

    /// The latest word on the hold of each of these orders, for the gate to hear; unknown ones are left out.
    async fn words(&self, orders: &[OrderId]) -> PortResult<Vec<HoldUpdate>>;

    async fn order_counts(&self, sale: &SaleId) -> PortResult<Vec<OrderCount>>;

    /// The simulated provider's records: any worker answers for it, so they live with the ledger.
    async fn simulated_payment(&self, payment: PaymentId) -> PortResult<Option<SimulatedPayment>>;

    /// Records a new one, or returns the one there is.
    async fn open_simulated(&self, payment: SimulatedPayment) -> PortResult<SimulatedPayment>;

    /// `from → to`, with `told` cleared; `None` if it was not in `from`.
    async fn step_simulated(
        &self,
        payment: PaymentId,
        from: SimulatedState,
        to: SimulatedState,
    ) -> PortResult<Option<SimulatedPayment>>;

    /// Gives money back, once for each refund id: the payment after it, `refunded` with `told` cleared once nothing is
    /// left. `None`, and nothing changed, if the payment has not succeeded or has less left, or the id is another refund's.
    async fn refund_simulated(
        &self,
        refund: SimulatedRefund,
    ) -> PortResult<Option<SimulatedPayment>>;

    /// Marks the callback of `state` as answered, if the payment is still in it.
    async fn told_simulated(&self, payment: PaymentId, state: SimulatedState) -> PortResult<()>;

    /// Succeeded, failed or refunded ones whose callback was not answered, untouched for `idle`, oldest first.
    async fn untold_simulated(
        &self,
        idle: Duration,
        limit: u32,
    ) -> PortResult<Vec<SimulatedPayment>>;
}
