//! Money: whole minor units (fen, cents) and an ISO 4217 currency. Never a float.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An amount in minor units of its currency: 9900 is 99.00 CNY. At most 10^15, so that sums of many stay in an i64.
#[derive(
    Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct AmountFen(pub i64);

/// Largest price of one unit.
pub const AMOUNT_FEN_MAX: i64 = 1_000_000_000_000;

impl AmountFen {
    /// `units` of this price; `None` if that is beyond an i64.
    #[must_use]
    pub fn times(self, units: u32) -> Option<Self> {
        self.0.checked_mul(i64::from(units)).map(Self)
    }

    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

/// Three upper-case letters, as in ISO 4217.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Currency([u8; 3]);

#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be three upper-case letters (ISO 4217), such as CNY")]
pub struct BadCurrency;

impl Currency {
    pub const CNY: Self = Self(*b"CNY");

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }
}

impl FromStr for Currency {
    type Err = BadCurrency;

    fn from_str(text: &str) -> Result<Self, BadCurrency> {
        let letters: [u8; 3] = text.as_bytes().try_into().map_err(|_| BadCurrency)?;
        if letters.iter().all(u8::is_ascii_uppercase) {
            Ok(Self(letters))
        } else {
            Err(BadCurrency)
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}
