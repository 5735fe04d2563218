//! What a buyer wants from a sale: one line per SKU and stretch, summed, sorted, never empty.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    ids::SkuId,
    seats::{LEGS_MAX, SeatNo, Stretch},
};

/// Most units of one SKU in one basket; a sale's `per_buyer_units` is usually far lower.
pub const QUANTITY_MAX: u32 = 1_000;
/// Most lines in one basket.
pub const LINES_MAX: usize = 20;

/// One line: `quantity` units of a counted SKU, or of a seated one so many passengers over one stretch.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Line", into = "Line")]
pub struct Item {
    pub sku: SkuId,
    /// 1 to [`QUANTITY_MAX`].
    pub quantity: u32,
    /// Given exactly for seated SKUs.
    pub stretch: Option<Stretch>,
    /// Who sits where, once seats are chosen: none before, then one for each passenger.
    pub seats: Vec<SeatNo>,
}

impl Item {
    #[must_use]
    pub fn counted(sku: SkuId, quantity: u32) -> Self {
        Self { sku, quantity, stretch: None, seats: Vec::new() }
    }

    #[must_use]
    pub fn seated(sku: SkuId, quantity: u32, stretch: Stretch) -> Self {
        Self { sku, quantity, stretch: Some(stretch), seats: Vec::new() }
    }

    /// Units of stock it takes: a seated SKU is counted in seat-legs.
    #[must_use]
    pub fn units(&self) -> u64 {
        let legs = self.stretch.map_or(1, Stretch::legs);
        u64::from(self.quantity) * u64::from(legs)
    }

    fn is_sound(&self) -> bool {
        let seats_fit = self.seats.is_empty()
            || self.stretch.is_some() && self.seats.len() as u64 == u64::from(self.quantity);
        (1..=QUANTITY_MAX).contains(&self.quantity) && seats_fit
    }
}

/// An item in JSON: `{"sku","quantity"}`, for a seated SKU with `"from","to"`, and inside the house with its seats.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sku: SkuId,
    quantity: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<u8>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    seats: Vec<SeatNo>,
}

impl TryFrom<Line> for Item {
    type Error = BadBasket;

    fn try_from(line: Line) -> Result<Self, BadBasket> {
        let Line { sku, quantity, from, to, seats } = line;
        let stretch = match (from, to) {
            (None, None) => None,
            (Some(from), Some(to)) => Some(Stretch::new(from, to).ok_or(BadBasket::Stretch)?),
            (Some(_), None) | (None, Some(_)) => return Err(BadBasket::Stretch),
        };
        Ok(Self { sku, quantity, stretch, seats })
    }
}

impl From<Item> for Line {
    fn from(item: Item) -> Self {
        let Item { sku, quantity, stretch, seats } = item;
        Self {
            sku,
            quantity,
            from: stretch.map(Stretch::from),
            to: stretch.map(Stretch::to),
            seats,
        }
    }
}

/// A checked list of items: at least one, at most [`LINES_MAX`], each SKU and stretch once, in the order of these.
#[derive(Clone, Debug, Eq, Hash, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Item>", into = "Vec<Item>")]
pub struct Basket(Arc<[Item]>);

/// Why a list of items is not a basket. Names the field as the client wrote it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadBasket {
    #[error("`items` must have at least one item")]
    Empty,
    #[error("`items` must not name more than {LINES_MAX} SKUs and stretches")]
    TooManyLines,
    #[error("`items.quantity` must be 1 to {QUANTITY_MAX}")]
    Quantity,
    #[error(
        "`items.from` and `items.to` must be given together, with `from` below `to` and `to` at most {LEGS_MAX}"
    )]
    Stretch,
}

impl Basket {
    /// Checks the items and sums the lines that name the same SKU and stretch.
    pub fn new(items: Vec<Item>) -> Result<Self, BadBasket> {
        let mut summed: Vec<Item> = Vec::with_capacity(items.len().min(LINES_MAX));
        for item in items {
            if !item.is_sound() {
                return Err(BadBasket::Quantity);
            }
            let alike = |known: &&mut Item| known.sku == item.sku && known.stretch == item.stretch;
            let full = summed.len() == LINES_MAX;
            match summed.iter_mut().find(alike) {
                Some(known) => {
                    known.quantity += item.quantity;
                    known.seats.extend(item.seats);
                    if !known.is_sound() {
                        return Err(BadBasket::Quantity);
                    }
                }
                None if full => return Err(BadBasket::TooManyLines),
                None => summed.push(item),
            }
        }
        if summed.is_empty() {
            return Err(BadBasket::Empty);
        }
        summed.sort_by(|a, b| (&a.sku, a.stretch).cmp(&(&b.sku, b.stretch)));
        Ok(Self(summed.into()))
    }

    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.0
    }

    /// What counts against a buyer's limit: units of counted SKUs, and passengers.
    #[must_use]
    pub fn units(&self) -> u32 {
        self.0.iter().map(|item| item.quantity).sum()
    }

    /// Whether seats are to be chosen for it.
    #[must_use]
    pub fn is_seated(&self) -> bool {
        self.0.iter().any(|item| item.stretch.is_some())
    }

    /// Whether it is `other` with a seat for every passenger.
    #[must_use]
    pub fn is_seating_of(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&*other.0).all(|(mine, its)| {
                let same = (&mine.sku, mine.quantity, mine.stretch)
                    == (&its.sku, its.quantity, its.stretch);
                same && mine.seats.is_empty() == mine.stretch.is_none()
            })
    }

    /// Every passenger's SKU, seat and stretch.
    pub fn passengers(&self) -> impl Iterator<Item = (&SkuId, SeatNo, Stretch)> {
        self.0.iter().flat_map(|item| {
            let seats = item.seats.iter();
            seats.filter_map(move |seat| Some((&item.sku, *seat, item.stretch?)))
        })
    }
}

/// As stores keep it: `sku:units,…`. A seated line goes on with its passengers and stretch, and with their seats once they
/// are chosen: `train:8@2/3-7=5.6` is two seats on four legs.
impl fmt::Display for Basket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, item) in self.0.iter().enumerate() {
            write!(f, "{}{}:{}", if n == 0 { "" } else { "," }, item.sku, item.units())?;
            let Some(stretch) = item.stretch else { continue };
            write!(f, "@{}/{}-{}", item.quantity, stretch.from(), stretch.to())?;
            for (n, seat) in item.seats.iter().enumerate() {
                write!(f, "{}{}", if n == 0 { "=" } else { "." }, seat.0)?;
            }
        }
        Ok(())
    }
}

/// The text is not one that a basket was written as.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("not a basket as this version writes it")]
pub struct NotABasket;

impl FromStr for Basket {
    type Err = NotABasket;

    fn from_str(text: &str) -> Result<Self, NotABasket> {
        let items: Option<Vec<Item>> = text.split(',').map(read_item).collect();
        items.and_then(|items| Self::new(items).ok()).ok_or(NotABasket)
    }
}

fn read_item(text: &str) -> Option<Item> {
    let (sku, rest) = text.split_once(':')?;
    let sku = SkuId::new(sku).ok()?;
    let Some((units, seated)) = rest.split_once('@') else {
        return Some(Item::counted(sku, rest.parse().ok()?));
    };
    let (quantity, seated) = seated.split_once('/')?;
    let (stretch, seats) = seated.split_once('=').map_or((seated, None), |(a, b)| (a, Some(b)));
    let (from, to) = stretch.split_once('-')?;
    let stretch = Stretch::new(from.parse().ok()?, to.parse().ok()?)?;
    let mut item = Item::seated(sku, quantity.parse().ok()?, stretch);
    let seat = |seat: &str| seat.parse().ok().map(SeatNo);
    item.seats = seats.map_or(Some(Vec::new()), |seats| seats.split('.').map(seat).collect())?;
    (units.parse() == Ok(item.units())).then_some(item)
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
    /// Of a seated SKU.
    pub stretch: Option<Stretch>,
}

/// Set in the quantity of a line that goes on with a stretch: no quantity comes near it.
const SEATED: u16 = 1 << 15;

impl Wants {
    /// Lines whose SKU `place` does not know, and those beyond [`LINES_MAX`], are left out.
    pub fn new(items: &[Item], place: impl Fn(&SkuId) -> Option<usize>) -> Self {
        let mut wants = Self::default();
        for item in items {
            let sku = place(&item.sku).and_then(|place| u8::try_from(place).ok());
            if let (Some(sku), Ok(quantity)) = (sku, u16::try_from(item.quantity)) {
                wants.add(Want { sku, quantity, stretch: item.stretch });
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

    /// How many lines, then three bytes each, or five with a stretch.
    pub(crate) fn write(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.count);
        for want in self.lines() {
            bytes.push(want.sku);
            match want.stretch {
                None => bytes.extend_from_slice(&want.quantity.to_be_bytes()),
                Some(stretch) => {
                    bytes.extend_from_slice(&(want.quantity | SEATED).to_be_bytes());
                    bytes.extend_from_slice(&[stretch.from(), stretch.to()]);
                }
            }
        }
    }

    /// What [`write`](Self::write) wrote, and what follows it.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (count, mut rest) = bytes.split_first()?;
        let mut wants = Self::default();
        for _ in 0..*count {
            let ([sku, high, low], after) = rest.split_first_chunk()?;
            let quantity = u16::from_be_bytes([*high, *low]);
            let (stretch, after) = if quantity & SEATED == 0 {
                (None, after)
            } else {
                let ([from, to], after) = after.split_first_chunk()?;
                (Some(Stretch::new(*from, *to)?), after)
            };
            wants.add(Want { sku: *sku, quantity: quantity & !SEATED, stretch });
            rest = after;
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
mod tests;
