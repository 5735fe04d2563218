//! An order that is changed to other goods: the new ones are held first, all of them, under the checks of a first hold; then
//! the old ones are freed. What they cost less is refunded; dearer goods are another order. A pure decision.

use std::collections::BTreeMap;

use crate::{
    basket::Basket,
    clock::UnixMillis,
    ids::SkuId,
    money::AmountFen,
    order::{Order, OrderLine, OrderState},
    policy::OutOfRange,
    sale::Sale,
    seats::SeatMap,
};

/// What an order is to become.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangePlan {
    pub lines: Vec<OrderLine>,
    /// The same goods, with their seats.
    pub basket: Basket,
    /// Sum over them: at most what the order cost.
    pub amount: AmountFen,
}

/// Why an order is not changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum NoChange {
    /// Only what is fulfilled is changed, and what the shop's own backend made is changed there.
    WrongState,
    /// Some of its items were refunded: what is left is refunded or kept.
    PartlyRefunded,
    /// The sale is closed or frozen: it holds nothing any more.
    SaleClosed,
    /// More units than a buyer may have.
    OverLimit {
        most: u32,
    },
    NoSuchSku(SkuId),
    /// A stretch that its SKU does not call at, or is not sold by.
    Unfit(OutOfRange),
    /// The goods cost more than the order did.
    Dearer {
        by: AmountFen,
    },
    /// There is not so much of it beside what the order has.
    SoldOut(SkuId),
}

impl Order {
    /// Whether these are its goods as they are.
    #[must_use]
    pub fn consists_of(&self, basket: &Basket) -> bool {
        self.basket().is_some_and(|own| own.is_seating_of(basket))
    }

    /// What a change to `basket` makes of the order, at the sale's prices of this moment. Its own units do not count
    /// against its buyer: they go back. `seats` are the maps of the seated SKUs among them.
    pub fn change(
        &self,
        sale: &Sale,
        now: UnixMillis,
        basket: &Basket,
        available: impl Fn(&SkuId) -> u64,
        seats: &mut BTreeMap<SkuId, SeatMap>,
    ) -> Result<ChangePlan, NoChange> {
        if self.state != OrderState::Fulfilled || self.shop.is_some() {
            return Err(NoChange::WrongState);
        }
        if self.lines.iter().any(|line| line.refunded > 0) {
            return Err(NoChange::PartlyRefunded);
        }
        if !sale.holds_at(now) {
            return Err(NoChange::SaleClosed);
        }
        let most = sale.policy.per_buyer_units;
        if basket.units() > most {
            return Err(NoChange::OverLimit { most });
        }
        if let Some(item) = basket.items().iter().find(|item| sale.sku(&item.sku).is_none()) {
            return Err(NoChange::NoSuchSku(item.sku.clone()));
        }
        sale.check_basket(basket).map_err(NoChange::Unfit)?;
        // A sum beyond an i64 is dearer than anything.
        let amount = sale.price(basket).unwrap_or(AmountFen(i64::MAX));
        if amount > self.amount {
            return Err(NoChange::Dearer { by: AmountFen(amount.0 - self.amount.0) });
        }
        let short = basket.items().iter().find(|item| available(&item.sku) < item.units());
        if let Some(item) = short {
            return Err(NoChange::SoldOut(item.sku.clone()));
        }
        let seated = basket.items().iter().find(|item| item.stretch.is_some());
        let none =
            || seated.map_or(NoChange::WrongState, |item| NoChange::SoldOut(item.sku.clone()));
        let basket = basket.seated(seats).ok_or_else(none)?;
        let lines = OrderLine::of_basket(sale, &basket).ok_or_else(none)?;
        Ok(ChangePlan { lines, basket, amount })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        basket::Item,
        money::Currency,
        order::tests::order,
        policy::PolicyPatch,
        sale::{NewSale, SaleChange, Sku},
    };

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn sale() -> Sale {
        let sku = |name: &str, price| Sku {
            sku: SkuId::new(name).unwrap(),
            stock: 10,
            seating: None,
            amount_fen: AmountFen(price),
            currency: Currency::CNY,
        };
        let policy = PolicyPatch { per_buyer_units: Some(3), ..PolicyPatch::default() };
        let skus = vec![sku("a", 100), sku("b", 60), sku("dear", 300)];
        let (id, title) = (crate::ids::SaleId::new("drop").unwrap(), String::new());
        NewSale { id, title, opens_at: None, closes_at: None, skus, policy }.build(NOW).unwrap()
    }

    fn basket(sku: &str, quantity: u32) -> Basket {
        Basket::new(vec![Item::counted(SkuId::new(sku).unwrap(), quantity)]).unwrap()
    }

    #[test]
    fn cheaper_or_like_goods_are_taken_and_others_are_named() {
        let (sale, order) = (sale(), order(OrderState::Fulfilled, &[("a", 2, 100)]));
        let ask = |basket: &Basket| order.change(&sale, NOW, basket, |_| 5, &mut BTreeMap::new());
        assert_eq!(ask(&basket("b", 2)).unwrap().amount, AmountFen(120));
        assert_eq!(ask(&basket("a", 2)).unwrap().amount, order.amount);
        assert_eq!(ask(&basket("b", 4)), Err(NoChange::OverLimit { most: 3 }));
        assert_eq!(ask(&basket("dear", 1)), Err(NoChange::Dearer { by: AmountFen(100) }));
        let foreign = SkuId::new("c").unwrap();
        assert_eq!(ask(&basket("c", 1)), Err(NoChange::NoSuchSku(foreign)));
        let short = order.change(&sale, NOW, &basket("b", 2), |_| 1, &mut BTreeMap::new());
        assert_eq!(short, Err(NoChange::SoldOut(SkuId::new("b").unwrap())));
    }

    #[test]
    fn a_closed_or_frozen_sale_changes_nothing() {
        let order = order(OrderState::Fulfilled, &[("a", 2, 100)]);
        for change in [SaleChange::Close, SaleChange::Freeze] {
            let sale = sale().changed(&change).unwrap();
            let none = order.change(&sale, NOW, &basket("b", 1), |_| 5, &mut BTreeMap::new());
            assert_eq!(none, Err(NoChange::SaleClosed));
        }
    }

    #[test]
    fn what_was_refunded_in_part_or_is_not_fulfilled_stays() {
        let mut partly = order(OrderState::Fulfilled, &[("a", 2, 100)]);
        partly.lines[0].refunded = 1;
        let none = partly.change(&sale(), NOW, &basket("b", 1), |_| 5, &mut BTreeMap::new());
        assert_eq!(none, Err(NoChange::PartlyRefunded));
        let paid = order(OrderState::Paid, &[("a", 2, 100)]);
        assert_eq!(
            paid.change(&sale(), NOW, &basket("b", 1), |_| 5, &mut BTreeMap::new()),
            Err(NoChange::WrongState)
        );
    }
}
