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

/// A basket as a token carries it: its SKUs by their places in the sale's list, which never change while the sale lives.
/// Read without allocating, since every poll reads one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Wants {
    count: u8,
    lines: [Want; LINES_MAX],
}

/// One line of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Want {
    /// The SKU's place in the sale's list.
    pub sku: u8,
    pub quantity: u16,
}

const WANT_BYTES: usize = 3;

impl Wants {
    /// Lines whose SKU `place` does not know, and those beyond [`LINES_MAX`], are left out.
    pub fn new(items: &[Item], place: impl Fn(&SkuId) -> Option<usize>) -> Self {
        let mut wants = Self::default();
        for item in items {
            let sku = place(&item.sku).and_then(|place| u8::try_from(place).ok());
            if let (Some(sku), Ok(quantity)) = (sku, u16::try_from(item.quantity)) {
                wants.add(Want { sku, quantity });
            }
        }
        wants
    }

    #[must_use]
    pub fn lines(&self) -> &[Want] {
        self.lines.get(..usize::from(self.count)).unwrap_or_default()
    }

    /// Units over all lines.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.lines().iter().map(|want| u32::from(want.quantity)).sum()
    }

    /// How many lines, then three bytes each.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.count);
        for want in self.lines() {
            bytes.push(want.sku);
            bytes.extend_from_slice(&want.quantity.to_be_bytes());
        }
    }

    /// What [`write`](Self::write) wrote, and what follows it.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, rest) = bytes.split_first()?;
        let (lines, rest) = rest.split_at_checked(usize::from(*count) * WANT_BYTES)?;
        let mut wants = Self::default();
        for line in lines.as_chunks::<WANT_BYTES>().0 {
            let [sku, high, low] = *line;
            wants.add(Want { sku, quantity: u16::from_be_bytes([high, low]) });
        }
        (wants.count == *count).then_some((wants, rest))
    }

    fn add(&mut self, want: Want) {
        if let Some(line) = self.lines.get_mut(usize::from(self.count)) {
            *line = want;
            self.count += 1;
        }
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
    fn wants_are_read_as_they_were_written() {
        let place = |sku: &SkuId| ["a", "b", "c"].iter().position(|known| *known == sku.as_str());
        let wants = Wants::new(&[item("c", 1_000), item("a", 2), item("x", 9)], place);
        assert_eq!(
            wants.lines(),
            [Want { sku: 2, quantity: 1_000 }, Want { sku: 0, quantity: 2 }],
            "what the sale does not have is left out"
        );
        assert_eq!(wants.units(), 1_002);
        let mut bytes = Vec::new();
        wants.write(&mut bytes);
        bytes.extend_from_slice(b"rest");
        assert_eq!(Wants::read(&bytes), Some((wants, &b"rest"[..])));
        assert_eq!(Wants::read(&[2, 0, 0, 1, 1]), None, "cut off");
        assert_eq!(Wants::read(&[u8::MAX; 1_000]), None, "more lines than any basket has");
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
