//! What a buyer wants from a sale: one line per SKU, summed, sorted, never empty.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::SkuId;

/// Most units of one SKU in one basket; a sale's `per_buyer_units` is usually far lower.
pub const QUANTITY_MAX: u32 = 1_000;
/// Most lines in one basket.
pub const LINES_MAX: usize = 20;

/// `quantity` units of one counted SKU.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    pub sku: SkuId,
    /// 1 to [`QUANTITY_MAX`].
    pub quantity: u32,
}

/// A checked list of items: at least one, at most [`LINES_MAX`] SKUs, each once, in the order of their ids.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Item>", into = "Vec<Item>")]
pub struct Basket(Arc<[Item]>);

/// Why a list of items is not a basket. Names the field as the client wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadBasket {
    #[error("`items` must have at least one item")]
    Empty,
    #[error("`items` must not name more than {LINES_MAX} SKUs")]
    TooManyLines,
    #[error("`items.quantity` must be 1 to {QUANTITY_MAX}")]
    Quantity,
}

impl Basket {
    /// Checks the items and sums the lines that name the same SKU.
    pub fn new(items: Vec<Item>) -> Result<Self, BadBasket> {
        if items.len() > LINES_MAX * 5 {
            return Err(BadBasket::TooManyLines);
        }
        let mut summed: Vec<Item> = Vec::with_capacity(items.len());
        for item in items {
            if item.quantity == 0 || item.quantity > QUANTITY_MAX {
                return Err(BadBasket::Quantity);
            }
            match summed.iter_mut().find(|known| known.sku == item.sku) {
                Some(known) => known.quantity += item.quantity,
                None => summed.push(item),
            }
        }
        if summed.iter().any(|item| item.quantity > QUANTITY_MAX) {
            return Err(BadBasket::Quantity);
        }
        match summed.len() {
            0 => Err(BadBasket::Empty),
            lines if lines > LINES_MAX => Err(BadBasket::TooManyLines),
            _ => {
                summed.sort_by(|a, b| a.sku.cmp(&b.sku));
                Ok(Self(summed.into()))
            }
        }
    }

    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.0
    }

    /// Units over all SKUs.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.0.iter().map(|item| item.quantity).sum()
    }
}

impl TryFrom<Vec<Item>> for Basket {
    type Error = BadBasket;

    fn try_from(items: Vec<Item>) -> Result<Self, BadBasket> {
        Self::new(items)
    }
}

impl From<Basket> for Vec<Item> {
    fn from(basket: Basket) -> Self {
        basket.0.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(sku: &str, quantity: u32) -> Item {
        Item { sku: SkuId::new(sku).unwrap(), quantity }
    }

    #[test]
    fn lines_of_one_sku_are_summed_before_they_are_checked() {
        let basket = Basket::new(vec![item("b", 1), item("a", 2), item("b", 3)]).unwrap();
        assert_eq!(basket.items(), [item("a", 2), item("b", 4)]);
        assert_eq!(basket.units(), 6);
        assert_eq!(Basket::new(vec![item("a", 600), item("a", 600)]), Err(BadBasket::Quantity));
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert_eq!(Basket::new(vec![]), Err(BadBasket::Empty));
        assert_eq!(Basket::new(vec![item("a", 0)]), Err(BadBasket::Quantity));
        assert_eq!(Basket::new(vec![item("a", QUANTITY_MAX + 1)]), Err(BadBasket::Quantity));
        let many = (0..=LINES_MAX).map(|n| item(&format!("s{n}"), 1)).collect();
        assert_eq!(Basket::new(many), Err(BadBasket::TooManyLines));
    }
}
