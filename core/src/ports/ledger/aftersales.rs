//! The ledger's book of what comes after the sale: money that goes back, orders that are changed, and the balance of money.
//!
//! A refund is a row of its own, written in the transaction that decides it: an outbox, which a worker works off at the
//! payment provider until that confirms. Goods that were sold and come back are available at once: the balance says so, and
//! the gate is told by [`StockBalance::restock`](super::StockBalance::restock).

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    basket::Basket,
    change::NoChange,
    ids::{HoldId, OrderId, RefundId},
    money::{AmountFen, Currency},
    order::Order,
    ports::{PortResult, gate::HoldUpdate},
    refund::{NoRefund, Refund, RefundAsked},
};

/// What became of a wish for money back.
#[derive(Clone, Debug, PartialEq)]
pub enum RefundReply {
    /// It is on record and will be seen through.
    Begun(Refund, Order),
    /// It was begun before, under the same id; as it is now.
    Already(Refund, Order),
    /// Nothing changed.
    Refused(Order, NoRefund),
    NoSuchOrder,
}

/// What became of a wish for other goods.
#[derive(Clone, Debug, PartialEq)]
pub enum ChangeReply {
    /// The step was taken; what the gate must be told of the hold of the new goods.
    Done {
        order: Order,
        gate: HoldUpdate,
    },
    /// The order is where the step leads: it changes to those goods or consists of them, or its change has ended.
    Already(Order),
    /// Nothing changed.
    Refused(Order, NoChange),
    NoSuchOrder,
}

/// How a change ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeEnd {
    /// The new goods are sold, the old ones freed, the difference refunded.
    Made,
    /// The new goods are released; the order is as it was.
    Undone,
}

/// `no-swallowed-money` of one sale in one currency: `taken = kept + refunded + in_flight`. Each is summed by itself: what
/// came in over the payments, what is kept over the orders, what goes back over the refunds.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct MoneyBalance {
    pub currency: Currency,
    /// Payments that succeeded, whatever became of their money.
    pub taken: AmountFen,
    /// The price of orders that are paid, on their way, fulfilled or being changed, less their refunded items.
    pub kept: AmountFen,
    /// Refunds that the provider has confirmed.
    pub refunded: AmountFen,
    /// Refunds on their way.
    pub in_flight: AmountFen,
}

impl MoneyBalance {
    /// What is missing on the right side: 0 unless money was swallowed (more) or invented (less).
    #[must_use]
    pub fn gap(&self) -> i64 {
        self.taken.0 - self.kept.0 - self.refunded.0 - self.in_flight.0
    }
}

/// See the module.
#[async_trait]
pub trait AfterSales {
    /// Begins a refund that its buyer asked for. With all that is left: `fulfilled → refunding`; with a part the order
    /// stays, and its lines know what was refunded. Done once for each `refund`.
    async fn begin_refund(
        &self,
        order: OrderId,
        refund: RefundId,
        asked: &RefundAsked,
    ) -> PortResult<RefundReply>;

    /// `fulfilling → failed → refunding`, goods and money going back, in one transaction.
    async fn fail_fulfilment(&self, order: OrderId) -> PortResult<RefundReply>;

    /// The refunds of an order, in the order they were begun.
    async fn refunds(&self, order: OrderId) -> PortResult<Vec<Refund>>;

    /// Refunds whose next try is due, longest due first, at most `limit`; each counts as tried once more, and is due again
    /// after `lease` unless it is postponed or finished. Workers that ask at once get different ones.
    async fn claim_refunds(&self, lease: Duration, limit: u32) -> PortResult<Vec<Refund>>;

    /// Has a pending refund tried again after `delay`.
    async fn postpone_refund(&self, refund: RefundId, delay: Duration) -> PortResult<()>;

    /// The provider has confirmed a refund. An order that is `refunding` and waits for no other is `refunded`. A repeat
    /// changes nothing and answers the same; `None` when there is no such refund.
    async fn finish_refund(&self, refund: RefundId) -> PortResult<Option<(Refund, Order)>>;

    /// `fulfilled → changing`: holds the new goods under all checks of a first hold, its own units aside. With a `wish`
    /// ([`HoldId::of_request`]) they are held under it, and once: a repeat answers with the order as it is, whatever was made
    /// of it since.
    async fn begin_change(
        &self,
        order: OrderId,
        wish: Option<HoldId>,
        basket: &Basket,
    ) -> PortResult<ChangeReply>;

    /// An order that is `changing`, as it will be once that is made; `None` for any other.
    async fn changed(&self, order: OrderId) -> PortResult<Option<Order>>;

    /// `changing → fulfilled`, in one transaction.
    async fn end_change(&self, order: OrderId, end: ChangeEnd) -> PortResult<ChangeReply>;
}
