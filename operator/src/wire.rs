//! What operators send. Wrong shapes are 400 and name the field; values of the right shape that no field could hold
//! (a stock of -1, a cap of 2^63) are turned into ones that are out of range, so that the answer is 422 and names the
//! range like any other.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use sluice_core::{
    clock::UnixMillis,
    ids::{SaleId, SeatLabel, SkuId},
    money::{AmountFen, Currency},
    policy::OutOfRange,
    sale::{NewSale, Notice, Sku, TEXT_CHARS_MAX},
};
use sluice_http::Problem;

mod ban;
mod policy;
mod preview;
mod shop;

pub(crate) use ban::BanBody;
pub(crate) use policy::PolicyBody;
pub(crate) use preview::{Crowd, PreviewBody};
pub(crate) use shop::{RemainingBody, ShopBody, ShopSays};

/// A whole number of any size, with or without a point.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whole(i128);

impl Whole {
    /// One that does not fit becomes the largest, which is beyond the range of every field.
    pub(crate) fn to_u64(self) -> u64 {
        u64::try_from(self.0).unwrap_or(u64::MAX)
    }

    fn to_u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    fn to_i64(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WholeVisitor)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Whole, E> {
        Ok(Whole(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Whole, E> {
        Ok(Whole(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Whole, E> {
        if value.fract() != 0.0 {
            return Err(E::invalid_value(serde::de::Unexpected::Float(value), &self));
        }
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float beyond an i128 becomes the nearest one"
        )]
        Ok(Whole(value as i128))
    }
}

/// For fields that may be absent but not `null`: a `null` that changes nothing would look as if it had.
pub(crate) fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    // Asked first, because an enum that meets `null` does not say where.
    let value = Option::deserialize(deserializer)?;
    value.map(Some).ok_or_else(|| D::Error::invalid_type(Unexpected::Unit, &"a value"))
}

/// The body of `POST /v1/sales`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SaleBody {
    pub(crate) id: SaleId,
    #[serde(default)]
    title: String,
    #[serde(default)]
    opens_at: Option<UnixMillis>,
    #[serde(default)]
    closes_at: Option<UnixMillis>,
    skus: Vec<SkuBody>,
    #[serde(default)]
    policy: PolicyBody,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SkuBody {
    sku: SkuId,
    #[serde(default, deserialize_with = "present")]
    stock: Option<Whole>,
    #[serde(default, deserialize_with = "present")]
    seats: Option<Vec<SeatLabel>>,
    #[serde(default, deserialize_with = "present")]
    stops: Option<Vec<String>>,
    amount_fen: Whole,
    currency: Currency,
}

impl SaleBody {
    pub(crate) fn into_new_sale(self) -> Result<NewSale, Problem> {
        let skus = self
            .skus
            .into_iter()
            .enumerate()
            .map(|(n, sku)| sku.into_sku(n))
            .collect::<Result<_, _>>()?;
        Ok(NewSale {
            id: self.id,
            title: self.title,
            opens_at: self.opens_at,
            closes_at: self.closes_at,
            skus,
            policy: self.policy.into_patch(),
        })
    }
}

impl SkuBody {
    fn into_sku(self, n: usize) -> Result<Sku, Problem> {
        if self.stock.is_none() && self.seats.is_none() && self.stops.is_none() {
            let field = format!("skus[{n}].stock");
            return Err(Problem::bad_request(format!(
                "`{field}` is missing: the number of units (or `seats` and `stops` instead)."
            ))
            .field(field));
        }
        let price = (AmountFen(self.amount_fen.to_i64()), self.currency);
        let stock = self.stock.map(|stock| stock.to_u64());
        Sku::new(self.sku, stock, self.seats, self.stops, price).map_err(|error| {
            let field = error.field.replacen("skus", &format!("skus[{n}]"), 1);
            Problem::out_of_range(&OutOfRange { field, rule: error.rule })
        })
    }
}

/// The optional body of `POST …/pause`, `resume`, `close` and `freeze`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReasonBody {
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// The body of `POST …/notice`; `null` takes the notice away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoticeBody {
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) text: Option<Notice>,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// The body of `POST …/stock`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StockBody {
    pub(crate) add: Whole,
    #[serde(default)]
    pub(crate) reason: Option<String>,
}

/// A reason for the audit log, within its limit.
pub(crate) fn check_reason(reason: Option<String>) -> Result<Option<String>, OutOfRange> {
    match reason {
        Some(text) if text.chars().count() > TEXT_CHARS_MAX => {
            Err(OutOfRange::new("reason", format!("must have at most {TEXT_CHARS_MAX} characters")))
        }
        Some(text) if text.trim().is_empty() => Ok(None),
        reason => Ok(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(json: &str) -> Result<Whole, serde_json::Error> {
        serde_json::from_str(json)
    }

    #[test]
    fn a_whole_number_of_any_size_is_understood() {
        for (json, expected) in [("7", 7), ("1e3", 1_000), ("2.0", 2), ("-0.0", 0)] {
            assert_eq!(whole(json).unwrap().to_u64(), expected, "{json}");
        }
        for json in ["-1", "18446744073709551616", "1e300", "-1e300"] {
            assert_eq!(whole(json).unwrap().to_u64(), u64::MAX, "{json}");
        }
        assert_eq!(whole("4294967296").unwrap().to_u32(), u32::MAX);
        assert_eq!(whole("-5").unwrap().to_i64(), -5, "a price below zero is told as one");
        for json in ["1.5", "\"7\"", "null", "true", "[]"] {
            assert!(whole(json).is_err(), "{json}");
        }
    }
}
