//! An order as its buyer sees it: the contract's order object.

use serde::Serialize;
use sluice_core::{
    basket::{Basket, Item},
    clock::UnixMillis,
    ids::{EntryId, OrderId, RefundId, SaleId, SkuId, Version},
    money::{AmountFen, Currency},
    order::{ClosingCause, Order, OrderState},
    refund::{Refund, RefundCause, RefundState},
    seats::Stretch,
    view::object::PublicUrls,
};

#[derive(Debug, Serialize)]
pub(super) struct OrderObject<'a> {
    order: OrderId,
    sale: &'a SaleId,
    entry: EntryId,
    state: OrderState,
    version: Version,
    items: Vec<ItemObject<'a>>,
    /// Of all items together.
    amount_fen: AmountFen,
    currency: Currency,
    pay_by: UnixMillis,
    /// Why it is or was closing: `history` says it in words for people, this is for programs.
    #[serde(skip_serializing_if = "Option::is_none")]
    closing_cause: Option<ClosingCause>,
    history: Vec<ChangeObject<'a>>,
    /// Money of it that goes back or went.
    refunds: Vec<RefundObject<'a>>,
    links: Links,
}

#[derive(Debug, Serialize)]
struct RefundObject<'a> {
    refund: RefundId,
    amount_fen: AmountFen,
    state: RefundState,
    cause: RefundCause,
    /// Goods that were given back with it.
    items: &'a [Item],
}

/// One line of an order. `seat`, `from` and `to` belong to seated goods, and are null for counted ones.
#[derive(Debug, Serialize)]
struct ItemObject<'a> {
    sku: &'a SkuId,
    quantity: u32,
    seat: Option<&'a str>,
    from: Option<u8>,
    to: Option<u8>,
    /// Of one unit, or of one seat whatever the stretch.
    amount_fen: AmountFen,
    /// Units of it that were given back.
    refunded: u32,
}

#[derive(Debug, Serialize)]
struct ChangeObject<'a> {
    state: OrderState,
    at: UnixMillis,
    reason: &'a str,
}

#[derive(Debug, Serialize)]
struct Links {
    #[serde(rename = "self")]
    own: String,
    /// Present while the order awaits payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancel: Option<String>,
    /// Present while the order can be given back or changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<String>,
}

impl<'a> OrderObject<'a> {
    pub(super) fn of(order: &'a Order, refunds: &'a [Refund], urls: &PublicUrls) -> Self {
        let own = format!("{}/v1/orders/{}", urls.worker, order.id);
        let open = order.state == OrderState::AwaitingPayment;
        let had = order.state == OrderState::Fulfilled && order.shop.is_none();
        Self {
            order: order.id,
            sale: &order.sale,
            entry: order.entry,
            state: order.state,
            version: order.version,
            items: order
                .lines
                .iter()
                .map(|line| ItemObject {
                    sku: &line.sku,
                    quantity: line.quantity,
                    seat: line.seat.as_ref().map(|seat| seat.label.as_str()),
                    from: line.stretch.map(Stretch::from),
                    to: line.stretch.map(Stretch::to),
                    amount_fen: line.amount,
                    refunded: line.refunded,
                })
                .collect(),
            amount_fen: order.amount,
            currency: order.currency,
            pay_by: order.pay_by,
            closing_cause: order.closing_cause,
            history: order
                .history
                .iter()
                .map(|change| ChangeObject {
                    state: change.state,
                    at: change.at,
                    reason: &change.reason,
                })
                .collect(),
            refunds: refunds.iter().map(RefundObject::of).collect(),
            links: Links {
                refund: had.then(|| format!("{own}/refund")),
                change: had.then(|| format!("{own}/change")),
                payment: open.then(|| format!("{own}/payment")),
                cancel: open.then(|| format!("{own}/cancel")),
                own,
            },
        }
    }
}

impl<'a> RefundObject<'a> {
    fn of(refund: &'a Refund) -> Self {
        Self {
            refund: refund.id,
            amount_fen: refund.amount,
            state: refund.state,
            cause: refund.cause,
            items: refund.items.as_ref().map_or(&[], Basket::items),
        }
    }
}
