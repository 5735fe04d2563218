//! How a SKU is written, and what it asks of those who want it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Sku;
use crate::{
    basket::Item,
    ids::{SeatLabel, SkuId},
    money::{AmountFen, Currency},
    policy::OutOfRange,
    seats::Seating,
};

/// A SKU as it is written: with `stock`, or with `seats` and `stops`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Written {
    sku: SkuId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stock: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seats: Option<Vec<SeatLabel>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stops: Option<Vec<String>>,
    amount_fen: AmountFen,
    currency: Currency,
}

impl TryFrom<Written> for Sku {
    type Error = OutOfRange;

    fn try_from(written: Written) -> Result<Self, OutOfRange> {
        let Written { sku, stock, seats, stops, amount_fen, currency } = written;
        Self::new(sku, stock, seats, stops, (amount_fen, currency))
    }
}

impl From<Sku> for Written {
    fn from(sku: Sku) -> Self {
        let seating = sku.seating.as_deref();
        Self {
            stock: seating.is_none().then_some(sku.stock),
            seats: seating.map(|seating| seating.seats().to_vec()),
            stops: seating.map(|seating| seating.stops().to_vec()),
            sku: sku.sku,
            amount_fen: sku.amount_fen,
            currency: sku.currency,
        }
    }
}

impl Sku {
    /// A counted SKU of `stock` units, or a seated one of `seats` and `stops`: one or the other.
    pub fn new(
        sku: SkuId,
        stock: Option<u64>,
        seats: Option<Vec<SeatLabel>>,
        stops: Option<Vec<String>>,
        (amount_fen, currency): (AmountFen, Currency),
    ) -> Result<Self, OutOfRange> {
        let (stock, seating) = match (stock, seats, stops) {
            (Some(stock), None, None) => (stock, None),
            (None, Some(seats), Some(stops)) => {
                let seating = Seating::new(seats, stops)?;
                (seating.seat_legs(), Some(Arc::new(seating)))
            }
            (Some(_), _, _) => return Err(OutOfRange::new("skus.stock", NOT_BOTH)),
            (None, Some(_), None) => {
                let rule = "is missing: where a seated SKU calls, from the first stop to the last";
                return Err(OutOfRange::new("skus.stops", rule));
            }
            (None, None, Some(_)) => {
                let rule = "is missing: the labels of a seated SKU, such as `01A`";
                return Err(OutOfRange::new("skus.seats", rule));
            }
            (None, None, None) => {
                let rule = "is missing: the number of units (or `seats` and `stops` instead)";
                return Err(OutOfRange::new("skus.stock", rule));
            }
        };
        Ok(Self { sku, stock, seating, amount_fen, currency })
    }

    /// What can be sold when so many units are free: of a seated SKU the free seat-legs by the legs of a whole journey,
    /// rounded down, but at least 1 while any is free.
    #[must_use]
    pub fn sellable(&self, units: u64) -> u64 {
        self.seating.as_ref().map_or(units, |seating| sellable(units, seating.legs()))
    }

    /// Whether an item of this SKU has a stretch that it calls at, or needs none and has none.
    pub(super) fn check_stretch(&self, item: &Item) -> Result<(), OutOfRange> {
        match (&self.seating, item.stretch) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(OutOfRange::new(
                "items.from",
                format!("must not be given for `{}`: it is counted and has no stops", self.sku),
            )),
            (Some(_), None) => Err(OutOfRange::new(
                "items.from",
                format!("must be given with `to` for `{}`: indexes into its `stops`", self.sku),
            )),
            (Some(seating), Some(stretch)) if stretch.to() > seating.legs() => {
                let (last, sku) = (seating.legs(), &self.sku);
                let rule =
                    format!("must be at most {last} for `{sku}`: the index of its last stop");
                Err(OutOfRange::new("items.to", rule))
            }
            (Some(_), Some(_)) => Ok(()),
        }
    }
}

/// Free seat-legs as whole journeys of so many legs: rounded down, but at least 1 while any is free.
#[must_use]
pub fn sellable(seat_legs: u64, legs: u8) -> u64 {
    (seat_legs / u64::from(legs.max(1))).max(u64::from(seat_legs > 0))
}

const NOT_BOTH: &str =
    "must be given for a counted SKU, `seats` and `stops` for a seated one: not both";
