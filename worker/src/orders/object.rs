//! An order as its buyer sees it: the contract's order object.

use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::{EntryId, OrderId, SaleId, SkuId, Version},
    money::{AmountFen, Currency},
    order::{Order, OrderState},
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
    history: Vec<ChangeObject<'a>>,
    links: Links,
}

/// One line of an order. `seat`, `from` and `to` belong to seated goods, and are null for counted ones.
#[derive(Debug, Serialize)]
struct ItemObject<'a> {
    sku: &'a SkuId,
    quantity: u32,
    seat: Option<&'a str>,
    from: Option<u32>,
    to: Option<u32>,
    /// Of one unit.
    amount_fen: AmountFen,
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
}

impl<'a> OrderObject<'a> {
    pub(super) fn of(order: &'a Order, urls: &PublicUrls) -> Self {
        let own = format!("{}/v1/orders/{}", urls.worker, order.id);
        let open = order.state == OrderState::AwaitingPayment;
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
                    seat: None,
                    from: None,
                    to: None,
                    amount_fen: line.amount,
                })
                .collect(),
            amount_fen: order.amount,
            currency: order.currency,
            pay_by: order.pay_by,
            history: order
                .history
                .iter()
                .map(|change| ChangeObject {
                    state: change.state,
                    at: change.at,
                    reason: &change.reason,
                })
                .collect(),
            links: Links {
                payment: open.then(|| format!("{own}/payment")),
                cancel: open.then(|| format!("{own}/cancel")),
                own,
            },
        }
    }
}
