//! An order and the states it passes through: forward only, one event at a time. The ledger applies a step as a
//! compare-and-swap on (state, version) and writes a row of history with it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    basket::{Basket, Item},
    clock::UnixMillis,
    ids::{BuyerId, EntryId, HoldId, OrderId, PaymentId, SaleId, ShopOrderId, SkuId, Version},
    money::{AmountFen, Currency},
    ports::Reach,
    sale::Sale,
    seats::{Seat, Stretch},
};

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    AwaitingPayment,
    /// The provider is being asked before stock is given away.
    Closing,
    Closed,
    Paid,
    Fulfilling,
    Fulfilled,
    Failed,
    Refunding,
    Refunded,
    Changing,
}

/// Why an order is `closing`. Recorded, because a buyer who cancelled is refunded where one who was late is served.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClosingCause {
    Deadline,
    Cancelled,
}

impl ClosingCause {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deadline => "deadline",
            Self::Cancelled => "cancelled",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Deadline, Self::Cancelled].into_iter().find(|cause| cause.as_str() == text)
    }
}

/// What happens to an order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum OrderEvent {
    /// A payment succeeded, on time or found by asking while closing.
    Paid,
    /// The deadline passed, or the buyer cancelled.
    Close(ClosingCause),
    /// The provider closed the payment unpaid, or could not be reached for `closing_max`.
    ClosedUnpaid,
    FulfilmentBegan,
    Fulfilled,
    FulfilmentFailed,
    /// Money goes back: after a failure, a late payment that cannot be served, or on request.
    RefundBegan,
    Refunded,
    ChangeBegan,
    ChangeEnded,
}

/// The event does not apply to the state.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("an order that is {} cannot take this step", .state.as_str())]
pub struct WrongState {
    pub state: OrderState,
}

impl OrderState {
    pub const ALL: [Self; 10] = [
        Self::AwaitingPayment,
        Self::Closing,
        Self::Closed,
        Self::Paid,
        Self::Fulfilling,
        Self::Fulfilled,
        Self::Failed,
        Self::Refunding,
        Self::Refunded,
        Self::Changing,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingPayment => "awaiting_payment",
            Self::Closing => "closing",
            Self::Closed => "closed",
            Self::Paid => "paid",
            Self::Fulfilling => "fulfilling",
            Self::Fulfilled => "fulfilled",
            Self::Failed => "failed",
            Self::Refunding => "refunding",
            Self::Refunded => "refunded",
            Self::Changing => "changing",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the order still counts against its buyer: any state but `closed` and `refunded`.
    #[must_use]
    pub fn is_live(self) -> bool {
        !matches!(self, Self::Closed | Self::Refunded)
    }

    /// Whether nothing more can happen by itself: what deleting a sale waits for.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Closed | Self::Refunded | Self::Fulfilled)
    }

    /// Whether its stock is held but unpaid, so that it may yet come back to the line.
    #[must_use]
    pub fn is_unpaid_hold(self) -> bool {
        matches!(self, Self::AwaitingPayment | Self::Closing)
    }

    /// The state after `event`. `closing` found paid after the buyer cancelled goes to `refunding`, so the cause
    /// recorded with `closing` must be given.
    pub fn step(self, event: OrderEvent, cause: Option<ClosingCause>) -> Result<Self, WrongState> {
        match (self, event) {
            (Self::AwaitingPayment, OrderEvent::Paid) => Ok(Self::Paid),
            (Self::AwaitingPayment, OrderEvent::Close(_)) => Ok(Self::Closing),
            (Self::Closing, OrderEvent::ClosedUnpaid) => Ok(Self::Closed),
            (Self::Closing, OrderEvent::Paid) => match cause {
                Some(ClosingCause::Cancelled) => Ok(Self::Refunding),
                Some(ClosingCause::Deadline) | None => Ok(Self::Paid),
            },
            (Self::Closed, OrderEvent::Paid) => Ok(Self::Paid),
            (Self::Closed, OrderEvent::RefundBegan) => Ok(Self::Refunding),
            (Self::Paid, OrderEvent::FulfilmentBegan) => Ok(Self::Fulfilling),
            (Self::Fulfilling, OrderEvent::Fulfilled) => Ok(Self::Fulfilled),
            (Self::Fulfilling, OrderEvent::FulfilmentFailed) => Ok(Self::Failed),
            (Self::Failed | Self::Fulfilled, OrderEvent::RefundBegan) => Ok(Self::Refunding),
            (Self::Refunding, OrderEvent::Refunded) => Ok(Self::Refunded),
            (Self::Fulfilled, OrderEvent::ChangeBegan) => Ok(Self::Changing),
            (Self::Changing, OrderEvent::ChangeEnded) => Ok(Self::Fulfilled),
            _ => Err(WrongState { state: self }),
        }
    }
}

/// An order that the shop's own order backend made, holds the goods of, and sees through: we keep its name and follow its
/// states, and never close or pay it ourselves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ShopOrder {
    pub id: ShopOrderId,
    /// Where its buyer pays or looks at it: an `https` address on one of the configured hosts.
    pub link: Option<String>,
}

/// An order as its buyer is told of it: by our id, or by the shop's name for it.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OrderName {
    Own(OrderId),
    Shop(ShopOrderId),
}

impl fmt::Display for OrderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(id) => fmt::Display::fmt(id, f),
            Self::Shop(id) => fmt::Display::fmt(id, f),
        }
    }
}

/// One line of an order, priced when it was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OrderLine {
    pub sku: SkuId,
    pub quantity: u32,
    /// Price of one unit, or of one passenger whatever the stretch.
    pub amount: AmountFen,
    /// Units of it that were given back for their money.
    pub refunded: u32,
    /// Of seated goods.
    pub stretch: Option<Stretch>,
    /// Of seated goods, one line for each; `None` where the shop seats its buyers itself.
    pub seat: Option<Seat>,
}

impl OrderLine {
    /// Units of stock it takes: a seated SKU is counted in seat-legs.
    #[must_use]
    pub fn units(&self) -> u64 {
        u64::from(self.quantity) * u64::from(self.stretch.map_or(1, Stretch::legs))
    }

    /// The item it is, with its seat.
    pub(crate) fn item(&self) -> Item {
        Item {
            sku: self.sku.clone(),
            quantity: self.quantity,
            stretch: self.stretch,
            seats: self.seat.iter().map(|seat| seat.no).collect(),
        }
    }

    /// The lines of a basket: seats are lines of their own. `None` if the sale does not sell it so.
    #[must_use]
    pub fn of_basket(sale: &Sale, basket: &Basket) -> Option<Vec<Self>> {
        let mut lines = Vec::with_capacity(basket.items().len());
        for Item { sku, quantity, stretch, seats } in basket.items() {
            let goods = sale.sku(sku)?;
            let line = Self {
                sku: sku.clone(),
                quantity: *quantity,
                amount: goods.amount_fen,
                refunded: 0,
                stretch: *stretch,
                seat: None,
            };
            if seats.is_empty() {
                lines.push(line);
                continue;
            }
            for no in seats {
                let label = goods.seating.as_ref()?.label(*no)?.clone();
                let seat = Some(Seat { no: *no, label });
                lines.push(Self { quantity: 1, seat, ..line.clone() });
            }
        }
        Some(lines)
    }
}

/// One row of an order's history.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OrderChange {
    pub state: OrderState,
    pub at: UnixMillis,
    /// In words fit for the buyer; never a cause from inside.
    pub reason: String,
}

/// An order as the ledger keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Order {
    pub id: OrderId,
    pub sale: SaleId,
    pub entry: EntryId,
    pub buyer: BuyerId,
    pub hold: HoldId,
    pub state: OrderState,
    pub version: Version,
    pub closing_cause: Option<ClosingCause>,
    pub lines: Vec<OrderLine>,
    /// Sum over the lines.
    pub amount: AmountFen,
    pub currency: Currency,
    pub pay_by: UnixMillis,
    /// The live payment, if one was begun.
    pub payment: Option<PaymentId>,
    /// Present when the shop's own order backend made it.
    pub shop: Option<ShopOrder>,
    /// How its buyer is told who is not looking.
    pub reach: Option<Reach>,
    pub history: Vec<OrderChange>,
}

impl Order {
    /// What it holds, as a basket; `None` only for an order without lines, which no ledger makes.
    #[must_use]
    pub fn basket(&self) -> Option<Basket> {
        Basket::new(self.lines.iter().map(OrderLine::item).collect()).ok()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::random::Random;

    /// An order in a state, of lines of SKU, quantity and price.
    pub(crate) fn order(state: OrderState, lines: &[(&str, u32, i64)]) -> Order {
        let random = Random::seeded(7);
        let entry = EntryId::generate(UnixMillis(1), &random);
        let line = |(sku, quantity, amount): &(&str, u32, i64)| OrderLine {
            sku: SkuId::new(sku).unwrap(),
            quantity: *quantity,
            amount: AmountFen(*amount),
            refunded: 0,
            stretch: None,
            seat: None,
        };
        Order {
            id: OrderId::generate(UnixMillis(1), &random),
            sale: SaleId::new("drop").unwrap(),
            entry,
            buyer: BuyerId::new("ada").unwrap(),
            hold: HoldId::of_entry(entry, 0),
            state,
            version: Version(1),
            closing_cause: None,
            lines: lines.iter().map(line).collect(),
            amount: AmountFen(
                lines.iter().map(|(_, units, price)| i64::from(*units) * price).sum(),
            ),
            currency: Currency::CNY,
            pay_by: UnixMillis(2),
            payment: None,
            shop: None,
            reach: None,
            history: Vec::new(),
        }
    }

    const EVENTS: [OrderEvent; 11] = [
        OrderEvent::Paid,
        OrderEvent::Close(ClosingCause::Deadline),
        OrderEvent::Close(ClosingCause::Cancelled),
        OrderEvent::ClosedUnpaid,
        OrderEvent::FulfilmentBegan,
        OrderEvent::Fulfilled,
        OrderEvent::FulfilmentFailed,
        OrderEvent::RefundBegan,
        OrderEvent::Refunded,
        OrderEvent::ChangeBegan,
        OrderEvent::ChangeEnded,
    ];

    #[test]
    fn the_machine_is_the_drawn_one() {
        use OrderState as S;
        let mut steps = Vec::new();
        for from in S::ALL {
            for event in EVENTS {
                if let Ok(to) = from.step(event, Some(ClosingCause::Deadline)) {
                    steps.push((from, to));
                }
            }
        }
        steps.sort();
        steps.dedup();
        let mut drawn = vec![
            (S::AwaitingPayment, S::Paid),
            (S::AwaitingPayment, S::Closing),
            (S::Closing, S::Closed),
            (S::Closing, S::Paid),
            (S::Closed, S::Paid),
            (S::Closed, S::Refunding),
            (S::Paid, S::Fulfilling),
            (S::Fulfilling, S::Fulfilled),
            (S::Fulfilling, S::Failed),
            (S::Failed, S::Refunding),
            (S::Fulfilled, S::Refunding),
            (S::Fulfilled, S::Changing),
            (S::Refunding, S::Refunded),
            (S::Changing, S::Fulfilled),
        ];
        drawn.sort();
        assert_eq!(steps, drawn);
    }

    #[test]
    fn a_cancelled_order_found_paid_is_refunded() {
        let step = |cause| OrderState::Closing.step(OrderEvent::Paid, Some(cause));
        assert_eq!(step(ClosingCause::Cancelled), Ok(OrderState::Refunding));
        assert_eq!(step(ClosingCause::Deadline), Ok(OrderState::Paid));
    }

    #[test]
    fn refunded_is_the_end() {
        assert!(EVENTS.into_iter().all(|event| OrderState::Refunded.step(event, None).is_err()));
    }

    /// However things happen, an order ends, and what has ended with its money back stays so. Each random run takes only
    /// steps of the drawing; from wherever it stands, some events lead it to an end.
    #[test]
    fn every_order_can_come_to_an_end() {
        let causes = [None, Some(ClosingCause::Deadline), Some(ClosingCause::Cancelled)];
        let ends = |state: OrderState, cause| {
            let mut reached = vec![state];
            let mut next = 0;
            while next < reached.len() {
                for event in EVENTS {
                    if let Ok(to) = reached[next].step(event, cause)
                        && !reached.contains(&to)
                    {
                        reached.push(to);
                    }
                }
                next += 1;
            }
            reached.into_iter().any(OrderState::is_final)
        };
        for state in OrderState::ALL {
            assert!(causes.into_iter().all(|cause| ends(state, cause)), "{state:?}");
        }
    }

    #[test]
    fn a_random_life_sells_and_refunds_at_most_once() {
        let random = Random::seeded(23);
        let mut ended = 0;
        for _ in 0..2_000 {
            let (mut state, mut cause) = (OrderState::AwaitingPayment, None);
            let (mut paid, mut refunded) = (0, 0);
            for _ in 0..60 {
                let event = EVENTS[usize::try_from(random.below(EVENTS.len() as u64)).unwrap()];
                let Ok(to) = state.step(event, cause) else { continue };
                if let OrderEvent::Close(because) = event {
                    cause = Some(because);
                }
                paid += u32::from(event == OrderEvent::Paid);
                refunded += u32::from(to == OrderState::Refunded);
                assert!(to != state, "a step leads elsewhere");
                assert!(to != OrderState::Fulfilled || paid == 1, "nothing for nothing");
                let over = matches!(state, OrderState::Closed) && to.is_live();
                assert!(
                    !over || matches!(event, OrderEvent::Paid | OrderEvent::RefundBegan),
                    "what is closed lives again only by money"
                );
                state = to;
            }
            assert!(paid <= 1 && refunded <= 1, "{state:?}: paid {paid}, refunded {refunded}");
            ended += u32::from(state == OrderState::Refunded);
        }
        assert!(ended > 100, "the lives went somewhere: {ended}");
    }
}
