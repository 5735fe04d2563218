//! Money that goes back: which of it, with which goods, and why. Pure decisions about one order; the ledger writes them
//! down as rows of their own, in the transaction that takes them, and a worker sees each row through at the provider.

use serde::{Deserialize, Serialize};

use crate::{
    basket::{Basket, Item},
    ids::{OrderId, PaymentId, RefundId, SkuId},
    money::{AmountFen, Currency},
    order::{Order, OrderLine, OrderState},
};

macro_rules! words {
    ($name:ident { $($word:ident = $text:literal),+ $(,)? }) => {
        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$word),+];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$word => $text),+ }
            }

            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }
    };
}

/// Why money goes back.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundCause {
    /// The order was found paid after its buyer had cancelled it.
    Cancelled,
    /// It came when the order was closed, and the goods could not be held again.
    Late,
    /// The order was paid by another payment, or is over.
    Surplus,
    /// The order could not be fulfilled.
    Failed,
    /// The buyer asked for it.
    Requested,
    /// The order was changed to cheaper goods.
    Changed,
    /// The provider sent it back by itself, and said so.
    Provider,
}

words!(RefundCause {
    Cancelled = "cancelled",
    Late = "late",
    Surplus = "surplus",
    Failed = "failed",
    Requested = "requested",
    Changed = "changed",
    Provider = "provider",
});

/// What a refund leaves of its order.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundScope {
    /// Nothing: the order ends `refunded` once the money is back.
    Order,
    /// What was not among its items.
    Items,
    /// All of it: the money was beyond the order's price.
    Money,
}

words!(RefundScope { Order = "order", Items = "items", Money = "money" });

/// How far a refund is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefundState {
    /// On record; the provider has not confirmed it yet.
    Pending,
    Done,
}

words!(RefundState { Pending = "pending", Done = "done" });

/// One refund as the ledger keeps it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refund {
    pub id: RefundId,
    pub order: OrderId,
    pub payment: PaymentId,
    pub amount: AmountFen,
    pub currency: Currency,
    pub scope: RefundScope,
    /// Goods that came back with it.
    pub items: Option<Basket>,
    pub cause: RefundCause,
    pub state: RefundState,
    /// How often the provider was asked.
    pub tries: u32,
}

/// A refund to be written down.
#[derive(Debug)]
pub struct NewRefund<'a> {
    pub id: RefundId,
    pub payment: PaymentId,
    pub amount: AmountFen,
    pub scope: RefundScope,
    pub items: Option<&'a Basket>,
    pub cause: RefundCause,
    pub state: RefundState,
}

impl NewRefund<'_> {
    /// All that a payment brought, with no goods.
    #[must_use]
    pub fn of_payment(payment: PaymentId, amount: AmountFen, cause: RefundCause) -> Self {
        let scope = match cause {
            RefundCause::Cancelled | RefundCause::Late => RefundScope::Order,
            RefundCause::Surplus
            | RefundCause::Failed
            | RefundCause::Requested
            | RefundCause::Changed
            | RefundCause::Provider => RefundScope::Money,
        };
        let (id, state) = (RefundId::of_payment(payment), RefundState::Pending);
        Self { id, payment, amount, scope, items: None, cause, state }
    }
}

/// What a buyer wants back.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RefundAsked {
    /// All that is left of the order.
    Order,
    Items(Basket),
}

/// What is to be written down for a refund of goods that were sold.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RefundPlan {
    pub scope: RefundScope,
    pub items: Basket,
    pub amount: AmountFen,
}

/// Why there is no refund.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NoRefund {
    /// Only what is fulfilled is refunded on request, and what failed by itself.
    WrongState,
    /// The order has not so many units of this SKU left to refund.
    NotLeft { sku: SkuId, left: u32 },
}

impl Order {
    /// What a refund of its goods takes: for a buyer who asks, while it is `fulfilled`; for the shop, once it `failed`. An
    /// order that the shop's own backend made is refunded there.
    pub fn refund(&self, asked: &RefundAsked) -> Result<RefundPlan, NoRefund> {
        let fits = matches!(self.state, OrderState::Fulfilled | OrderState::Failed);
        if !fits || self.shop.is_some() {
            return Err(NoRefund::WrongState);
        }
        let left: Vec<u32> = self.lines.iter().map(OrderLine::left).collect();
        let taken = match asked {
            RefundAsked::Order => left.clone(),
            RefundAsked::Items(basket) => self.units_of(basket, &left)?,
        };
        let scope = if taken == left { RefundScope::Order } else { RefundScope::Items };
        let lines = self.lines.iter().zip(taken).filter(|(_, units)| *units > 0);
        let amount = lines.clone().try_fold(AmountFen(0), |sum, (line, units)| {
            sum.checked_add(line.amount.times(units)?)
        });
        let items = lines.map(|(line, units)| Item { quantity: units, ..line.item() });
        let items = Basket::new(items.collect()).map_err(|_| NoRefund::WrongState)?;
        // The order's own sum fits into an i64, and this is a part of it.
        let amount = amount.ok_or(NoRefund::WrongState)?;
        Ok(RefundPlan { scope, items, amount })
    }

    /// How many units of each line a wish takes. Passengers whose seats are not named are taken from the last on.
    fn units_of(&self, basket: &Basket, left: &[u32]) -> Result<Vec<u32>, NoRefund> {
        let mut taken = vec![0; left.len()];
        for wanted in basket.items() {
            let mut missing = wanted.quantity;
            for ((line, left), taken) in self.lines.iter().zip(left).zip(&mut taken).rev() {
                if line.is_among(wanted) {
                    let units = missing.min(left - *taken);
                    (*taken, missing) = (*taken + units, missing - units);
                }
            }
            if missing > 0 {
                let (sku, left) = (wanted.sku.clone(), wanted.quantity - missing);
                return Err(NoRefund::NotLeft { sku, left });
            }
        }
        Ok(taken)
    }
}

impl OrderLine {
    /// Units that were not given back.
    fn left(&self) -> u32 {
        self.quantity.saturating_sub(self.refunded)
    }

    /// Whether a wish may mean this line: it names its stretch and its seat, or none.
    fn is_among(&self, wanted: &Item) -> bool {
        let seat = self.seat.as_ref().map(|seat| seat.no);
        self.sku == wanted.sku
            && (wanted.stretch.is_none() || wanted.stretch == self.stretch)
            && (wanted.seats.is_empty() || seat.is_some_and(|no| wanted.seats.contains(&no)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::SeatLabel,
        order::tests::order,
        seats::{Seat, SeatNo, Stretch},
    };

    fn some(items: &[(&str, u32)]) -> RefundAsked {
        let item =
            |(sku, quantity): &(&str, u32)| Item::counted(SkuId::new(sku).unwrap(), *quantity);
        RefundAsked::Items(Basket::new(items.iter().map(item).collect()).unwrap())
    }

    #[test]
    fn a_part_leaves_the_order_and_the_last_part_ends_it() {
        let mut order = order(OrderState::Fulfilled, &[("a", 2, 100), ("b", 1, 7)]);
        let plan = order.refund(&some(&[("a", 1)])).unwrap();
        assert_eq!((plan.scope, plan.amount), (RefundScope::Items, AmountFen(100)));
        order.lines[0].refunded = 1;
        let plan = order.refund(&some(&[("a", 1), ("b", 1)])).unwrap();
        assert_eq!((plan.scope, plan.amount), (RefundScope::Order, AmountFen(107)));
        let whole = order.refund(&RefundAsked::Order).unwrap();
        assert_eq!(whole, plan, "what is left");
    }

    #[test]
    fn nobody_gets_back_more_than_they_bought() {
        let mut order = order(OrderState::Fulfilled, &[("a", 2, 100)]);
        order.lines[0].refunded = 1;
        for (sku, left) in [("a", 1), ("b", 0)] {
            let none = order.refund(&some(&[(sku, 2)]));
            assert_eq!(none, Err(NoRefund::NotLeft { sku: SkuId::new(sku).unwrap(), left }));
        }
        order.lines[0].refunded = 2;
        assert_eq!(order.refund(&RefundAsked::Order), Err(NoRefund::WrongState));
    }

    #[test]
    fn passengers_give_their_seats_back() {
        let mut order =
            order(OrderState::Fulfilled, &[("train", 1, 50), ("train", 1, 50), ("train", 1, 50)]);
        let stretch = |from, to| Stretch::new(from, to).unwrap();
        for (line, (no, over)) in
            order.lines.iter_mut().zip([(4, stretch(0, 2)), (5, stretch(0, 2)), (4, stretch(2, 3))])
        {
            let label = SeatLabel::new(&format!("0{no}")).unwrap();
            (line.stretch, line.seat) = (Some(over), Some(Seat { no: SeatNo(no), label }));
        }
        let ask = |order: &Order, item: Item| {
            let plan = order.refund(&RefundAsked::Items(Basket::new(vec![item]).unwrap()));
            plan.map(|plan| (plan.items.to_string(), plan.amount, plan.scope))
        };
        let train = || SkuId::new("train").unwrap();
        let (part, whole) = (RefundScope::Items, RefundScope::Order);
        let last = ask(&order, Item::counted(train(), 1)).unwrap();
        assert_eq!(last, ("train:1@1/2-3=4".to_owned(), AmountFen(50), part), "the last one");
        let named = Item { seats: vec![SeatNo(4)], ..Item::seated(train(), 1, stretch(0, 2)) };
        assert_eq!(ask(&order, named.clone()).unwrap().0, "train:2@1/0-2=4");
        let both = ask(&order, Item::seated(train(), 2, stretch(0, 2))).unwrap();
        assert_eq!(both.0, "train:4@2/0-2=4.5");
        let all = ask(&order, Item::counted(train(), 3)).unwrap();
        assert_eq!(all, ("train:4@2/0-2=4.5,train:1@1/2-3=4".to_owned(), AmountFen(150), whole));
        order.lines[0].refunded = 1;
        let none = NoRefund::NotLeft { sku: train(), left: 0 };
        assert_eq!(ask(&order, named), Err(none), "once");
    }

    #[test]
    fn only_what_was_sold_is_refunded() {
        for state in OrderState::ALL {
            let fits = matches!(state, OrderState::Fulfilled | OrderState::Failed);
            let plan = order(state, &[("a", 1, 1)]).refund(&RefundAsked::Order);
            assert_eq!(plan.is_ok(), fits, "{state:?}");
        }
    }
}
