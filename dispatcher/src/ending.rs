//! When somebody can no longer be served: the ledger's word, which the gate only prompts. Pure.

use sluice_core::{basket::Basket, ports::StockBalance};

/// Whether the ledger has, for some SKU of the basket, fewer units available and held together than the basket wants: no
/// hold is outstanding that could free them. Units owed to standby are not the line's.
pub(crate) fn is_gone(basket: &Basket, balances: &[StockBalance]) -> bool {
    basket.items().iter().any(|item| {
        let balance = balances.iter().find(|balance| balance.sku == item.sku);
        balance.map_or(0, in_reach) < u64::from(item.quantity)
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
    use sluice_core::ids::SkuId;

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
        assert!(!is_gone(&basket(&[("a", 1)]), &one_held));
        assert!(is_gone(&basket(&[("a", 2)]), &one_held), "one unit cannot serve two");
        assert!(!is_sold_out(&one_held));
        let all_sold = [balance("a", 0, 0, 60)];
        assert!(is_gone(&basket(&[("a", 1)]), &all_sold));
        assert!(is_sold_out(&all_sold));
    }

    #[test]
    fn one_missing_item_is_enough() {
        let balances = [balance("a", 9, 0, 0), balance("b", 0, 0, 9)];
        assert!(is_gone(&basket(&[("a", 1), ("b", 1)]), &balances));
        assert!(!is_gone(&basket(&[("a", 9)]), &balances));
        assert!(is_gone(&basket(&[("unknown", 1)]), &balances));
        assert!(!is_sold_out(&balances));
    }
}
