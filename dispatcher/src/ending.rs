//! When somebody can no longer be served: the ledger's word, which the gate only prompts. Pure.

use sluice_core::{
    basket::Basket,
    ports::{GateImage, StockBalance},
};

/// Whether the ledger has, for some SKU of the basket, fewer units available and held together than the basket wants: no
/// hold is outstanding that could free them. Units owed to standby are not the line's. With an `image`, a stretch is gone too
/// if fewer seats than wanted are unsold over all of it: free, or held and unpaid.
pub(crate) fn is_gone(
    basket: &Basket,
    balances: &[StockBalance],
    image: Option<&GateImage>,
) -> bool {
    basket.items().iter().any(|item| {
        let balance = balances.iter().find(|balance| balance.sku == item.sku);
        let sold_over =
            |stretch| image.is_some_and(|image| image.unsold(&item.sku, stretch) < item.quantity);
        balance.map_or(0, in_reach) < item.units() || item.stretch.is_some_and(sold_over)
    })
}

/// Whether nothing is available and nothing is held: the sale is sold out.
pub(crate) fn is_sold_out(balances: &[StockBalance]) -> bool {
    balances.iter().all(|balance| in_reach(balance) == 0)
}

fn in_reach(balance: &StockBalance) -> u64 {
    balance.available.saturating_add(balance.held)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluice_core::{
        basket::Item,
        ids::{SeatLabel, SkuId},
        ports::SeatImage,
        seats::{Seating, Stretch},
    };

    use super::*;
    use crate::fixtures::basket;

    fn balance(sku: &str, available: u64, held: u64, sold: u64) -> StockBalance {
        let total = available + held + sold;
        StockBalance {
            sku: SkuId::new(sku).unwrap(),
            total,
            available,
            owed: 0,
            held,
            sold,
            returned: 0,
        }
    }

    #[test]
    fn a_hold_that_may_lapse_keeps_hope() {
        let one_held = [balance("a", 0, 1, 59)];
        assert!(!is_gone(&basket(&[("a", 1)]), &one_held, None));
        assert!(is_gone(&basket(&[("a", 2)]), &one_held, None), "one unit cannot serve two");
        assert!(!is_sold_out(&one_held));
        let all_sold = [balance("a", 0, 0, 60)];
        assert!(is_gone(&basket(&[("a", 1)]), &all_sold, None));
        assert!(is_sold_out(&all_sold));
    }

    #[test]
    fn a_stretch_is_gone_once_no_seat_is_unsold_from_end_to_end() {
        let train = SkuId::new("t").unwrap();
        let stops = ["x", "y", "z"].map(String::from).to_vec();
        let seats = ["01A", "01B"].map(|label| SeatLabel::new(label).unwrap()).to_vec();
        let seating = Arc::new(Seating::new(seats, stops).unwrap());
        // One is sold on the first leg, the other on the second.
        let image = SeatImage { sku: train.clone(), seating, sold: vec![0b01, 0b10] };
        let image = GateImage { seats: vec![image], ..GateImage::default() };
        let ride = |from, to| {
            let stretch = Stretch::new(from, to).unwrap();
            Basket::new(vec![Item::seated(train.clone(), 1, stretch)]).unwrap()
        };
        let left = [balance("t", 2, 0, 2)];
        assert!(is_gone(&ride(0, 2), &left, Some(&image)));
        assert!(!is_gone(&ride(0, 2), &left, None), "nobody knows without the seats");
        assert!(!is_gone(&ride(0, 1), &left, Some(&image)));
    }

    #[test]
    fn one_missing_item_is_enough() {
        let balances = [balance("a", 9, 0, 0), balance("b", 0, 0, 9)];
        assert!(is_gone(&basket(&[("a", 1), ("b", 1)]), &balances, None));
        assert!(!is_gone(&basket(&[("a", 9)]), &balances, None));
        assert!(is_gone(&basket(&[("unknown", 1)]), &balances, None));
        assert!(!is_sold_out(&balances));
    }
}
