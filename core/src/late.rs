//! Money that came: what it means for the order it is for. A pure decision; the ledger writes it in the same transaction.

use crate::{
    clock::UnixMillis,
    ids::SkuId,
    order::{ClosingCause, Order, OrderState},
    sale::Sale,
};

/// What a payment that succeeded does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Success {
    /// It pays the order and sells what it holds.
    Pays,
    /// The buyer had cancelled: the hold is released, and the money goes back.
    FoundCancelled,
    /// The order is closed and its stock was given away: see [`Order::held_again`].
    Late,
    /// The order is paid by another payment, or is over: the money goes back, the order stays as it is.
    Surplus,
}

/// Whether goods can be held again for late money.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum HeldAgain {
    /// As if it were held for the first time.
    Yes,
    /// Its money goes back.
    No,
    /// Its buyer has another live order, so this one may not live again: the money is surplus.
    StaysClosed,
}

impl Order {
    /// What money for it means as it is.
    #[must_use]
    pub fn success(&self) -> Success {
        match (self.state, self.closing_cause) {
            (OrderState::AwaitingPayment, _)
            | (OrderState::Closing, Some(ClosingCause::Deadline) | None) => Success::Pays,
            (OrderState::Closing, Some(ClosingCause::Cancelled)) => Success::FoundCancelled,
            // What the shop's own backend made is not ours to hold.
            (OrderState::Closed, _) if self.shop.is_none() => Success::Late,
            (
                OrderState::Closed
                | OrderState::Paid
                | OrderState::Fulfilling
                | OrderState::Fulfilled
                | OrderState::Failed
                | OrderState::Refunding
                | OrderState::Refunded
                | OrderState::Changing,
                _,
            ) => Success::Surplus,
        }
    }

    /// All checks of a first hold, for money that came when the order was closed: a sale that holds goods, no other live
    /// order of its buyer, the limit of a buyer, the balance, and its own seats. A buyer who had cancelled gets the money back.
    #[must_use]
    pub fn held_again(
        &self,
        sale: Option<&Sale>,
        now: UnixMillis,
        has_live_order: bool,
        available: impl Fn(&SkuId) -> u64,
        seats_free: bool,
    ) -> HeldAgain {
        if has_live_order {
            return HeldAgain::StaysClosed;
        }
        let cancelled = self.closing_cause == Some(ClosingCause::Cancelled);
        let Some(sale) = sale.filter(|sale| sale.holds_at(now) && !cancelled) else {
            return HeldAgain::No;
        };
        let units: u64 = self.lines.iter().map(|line| u64::from(line.quantity)).sum();
        let there = self
            .lines
            .iter()
            .all(|line| sale.sku(&line.sku).is_some() && available(&line.sku) >= line.units());
        if there && seats_free && units <= u64::from(sale.policy.per_buyer_units) {
            HeldAgain::Yes
        } else {
            HeldAgain::No
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::SaleId,
        money::{AmountFen, Currency},
        order::tests::order,
        policy::PolicyPatch,
        sale::{NewSale, SaleChange, Sku},
    };

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn sale(per_buyer_units: u32) -> Sale {
        let sku = Sku {
            sku: SkuId::new("a").unwrap(),
            stock: 10,
            seating: None,
            amount_fen: AmountFen(1),
            currency: Currency::CNY,
        };
        let policy =
            PolicyPatch { per_buyer_units: Some(per_buyer_units), ..PolicyPatch::default() };
        let (id, title) = (SaleId::new("drop").unwrap(), String::new());
        let closes_at = Some(UnixMillis(NOW.0 + 1_000));
        NewSale { id, title, opens_at: None, closes_at, skus: vec![sku], policy }
            .build(NOW)
            .unwrap()
    }

    #[test]
    fn money_pays_what_waits_for_it_and_is_surplus_elsewhere() {
        for state in OrderState::ALL {
            let due = if state.is_unpaid_hold() {
                Success::Pays
            } else if state == OrderState::Closed {
                Success::Late
            } else {
                Success::Surplus
            };
            assert_eq!(order(state, &[("a", 1, 1)]).success(), due, "{state:?}");
        }
        let mut cancelled = order(OrderState::Closing, &[("a", 1, 1)]);
        cancelled.closing_cause = Some(ClosingCause::Cancelled);
        assert_eq!(cancelled.success(), Success::FoundCancelled);
    }

    #[test]
    fn late_money_passes_every_check_of_a_first_hold() {
        let closed = order(OrderState::Closed, &[("a", 2, 1)]);
        let ask = |sale: Option<&Sale>, now, live, available| {
            closed.held_again(sale, now, live, |_| available, true)
        };
        let sale_of_two = sale(2);
        assert_eq!(ask(Some(&sale_of_two), NOW, false, 2), HeldAgain::Yes);
        assert_eq!(ask(Some(&sale_of_two), NOW, false, 1), HeldAgain::No, "the balance");
        assert_eq!(ask(Some(&sale(1)), NOW, false, 2), HeldAgain::No, "the limit");
        assert_eq!(ask(Some(&sale_of_two), NOW, true, 2), HeldAgain::StaysClosed);
        assert_eq!(ask(None, NOW, false, 2), HeldAgain::No, "deleted");
        let over = UnixMillis(NOW.0 + 1_000);
        assert_eq!(ask(Some(&sale_of_two), over, false, 2), HeldAgain::No, "closed by the clock");
        for change in [SaleChange::Close, SaleChange::Freeze] {
            let sale = sale_of_two.changed(&change).unwrap();
            assert_eq!(ask(Some(&sale), NOW, false, 2), HeldAgain::No, "{change:?}");
        }
        let mut cancelled = closed.clone();
        cancelled.closing_cause = Some(ClosingCause::Cancelled);
        assert_eq!(
            cancelled.held_again(Some(&sale_of_two), NOW, false, |_| 2, true),
            HeldAgain::No
        );
    }
}
