//! Identifiers. Names chosen by people (`SaleId`, `SkuId`) are checked slugs; ids we make are UUIDv7, so that they sort
//! by the time they were made (RFC 9562, section 5.7); a buyer's id is opaque and belongs to the shop.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::{clock::UnixMillis, random::Random};

/// Longest slug, in bytes.
pub const SLUG_BYTES_MAX: usize = 63;
/// Longest buyer id, in bytes.
pub const BUYER_BYTES_MAX: usize = 128;
/// The printed length of an id of ours.
pub const UUID_CHARS: usize = uuid::fmt::Hyphenated::LENGTH;
/// Longest label of a seat, in characters.
pub const SEAT_CHARS_MAX: usize = 16;
/// Longest name a shop gives an order, in bytes.
pub const SHOP_ORDER_BYTES_MAX: usize = 128;

/// Why a text is not an id. The message is fit for the person who sent it; it never repeats the text.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadId {
    #[error("must be 1 to 63 characters out of a-z, 0-9 and -")]
    Slug,
    #[error("must be a UUID")]
    Uuid,
    #[error("must be 1 to 128 visible ASCII characters")]
    Buyer,
    #[error("must be 1 to 128 visible ASCII characters")]
    ShopOrder,
    #[error("must be the label of a seat: 1 to 16 characters, none of them a space")]
    Seat,
}

macro_rules! slug {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Checks that `text` matches `[a-z0-9-]{1,63}`.
            pub fn new(text: &str) -> Result<Self, BadId> {
                let fits = (1..=SLUG_BYTES_MAX).contains(&text.len());
                let clean = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
                if fits && clean { Ok(Self(text.into())) } else { Err(BadId::Slug) }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// Maps keyed by it are asked by a text that came from outside.
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        text_id!($name, BadId);
    };
}

macro_rules! text_id {
    ($name:ident, $error:ty) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = $error;

            fn from_str(text: &str) -> Result<Self, $error> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parsed(deserializer)
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id: the time in milliseconds, then which of this millisecond it is, then 62 random bits. Ids of one source
            /// of randomness sort as they were made, as far as [`Random::uuid_bytes`] can count.
            #[must_use]
            pub fn generate(now: UnixMillis, random: &Random) -> Self {
                let millis = u64::try_from(now.0).unwrap_or(0);
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random.uuid_bytes(now)).into_uuid())
            }

            #[must_use]
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            #[must_use]
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// Appends the printed form, without the cost of a formatter.
            pub fn write_to(&self, text: &mut String) {
                text.push_str(self.print(&mut [0; UUID_CHARS]));
            }

            /// The printed form, without the cost of a formatter.
            pub fn print<'a>(&self, room: &'a mut [u8; UUID_CHARS]) -> &'a str {
                self.0.as_hyphenated().encode_lower(room)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            /// Accepts the one form we print: lower-case, hyphenated.
            fn from_str(text: &str) -> Result<Self, BadId> {
                let id = Uuid::try_parse(text).map_err(|_| BadId::Uuid)?;
                let mut buffer = Uuid::encode_buffer();
                if id.as_hyphenated().encode_lower(&mut buffer) == text { Ok(Self(id)) } else { Err(BadId::Uuid) }
            }
        }
    };
}

slug! {
    /// A sale: one line and the stock behind it.
    SaleId
}
slug! {
    /// What can be bought in a sale.
    SkuId
}
slug! {
    /// A dead letter.
    LetterId
}
uuid_id! {
    /// One buyer's place in one line.
    EntryId
}
uuid_id! {
    /// What a turn becomes when the hold succeeded.
    OrderId
}
uuid_id! {
    /// Stock set aside for an order until its payment deadline.
    HoldId
}
uuid_id! {
    /// One attempt to pay for an order.
    PaymentId
}
uuid_id! {
    /// Money of a payment that goes back, once.
    RefundId
}

impl HoldId {
    /// The `n`-th hold of an entry (0 is the first). The same entry and `n` give the same id on every node, so that a
    /// repeated turn meets its own hold in the stock gate instead of taking stock twice.
    #[must_use]
    pub fn of_entry(entry: EntryId, n: u32) -> Self {
        derived(b"sluice hold", entry.as_bytes(), &n.to_be_bytes(), Self)
    }

    /// The hold for money that came when its order was closed: one for each payment.
    #[must_use]
    pub fn of_late_payment(payment: PaymentId) -> Self {
        derived(b"sluice late hold", payment.as_bytes(), &[], Self)
    }

    /// The hold of the goods that an order is changed to, by the version that it was changed from.
    #[must_use]
    pub fn of_change(order: OrderId, from: Version) -> Self {
        derived(b"sluice change", order.as_bytes(), &from.0.to_be_bytes(), Self)
    }

    /// The hold of the goods of a change that a buyer asked for under an idempotency key: a repeat names the same one.
    #[must_use]
    pub fn of_request(order: OrderId, key: &str) -> Self {
        derived(b"sluice change request", order.as_bytes(), key.as_bytes(), Self)
    }
}

impl RefundId {
    /// The refund of all that a payment brought: there is one, whoever begins it.
    #[must_use]
    pub fn of_payment(payment: PaymentId) -> Self {
        derived(b"sluice refund", payment.as_bytes(), &[], Self)
    }

    /// The refund of the difference, when an order was changed to cheaper goods.
    #[must_use]
    pub fn of_change(order: OrderId, from: Version) -> Self {
        derived(b"sluice change refund", order.as_bytes(), &from.0.to_be_bytes(), Self)
    }

    /// The refund that a buyer asked for under an idempotency key: a repeat names the same one.
    #[must_use]
    pub fn of_request(order: OrderId, key: &str) -> Self {
        derived(b"sluice refund request", order.as_bytes(), key.as_bytes(), Self)
    }
}

/// An id that follows from what it is of, and begins with the same six bytes: a time, in ours (RFC 9562, 5.7). So ids of what
/// comes together lie together in an index.
fn derived<T>(kind: &[u8], of: &[u8; 16], more: &[u8], id: impl FnOnce(Uuid) -> T) -> T {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind).update(of).update(more);
    let mut bytes = *of;
    hasher.finalize_xof().fill(&mut bytes[6..]);
    id(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

impl LetterId {
    /// A new id.
    #[must_use]
    pub fn generate(now: UnixMillis, random: &Random) -> Self {
        Self(EntryId::generate(now, random).to_string().into())
    }

    /// The id of a letter that was given none: the same message has the same one.
    #[must_use]
    pub fn of_message(parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(b"sluice letter");
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes()).update(part);
        }
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string().into())
    }

    /// The id of a row, where letters are rows.
    #[must_use]
    pub fn of_row(row: u64) -> Self {
        Self(row.to_string().into())
    }

    #[must_use]
    pub fn row(&self) -> Option<u64> {
        self.as_str().parse().ok()
    }
}

/// Who waits: an opaque id from a cookie, a trusted header or a JWT. Visible ASCII, 1 to 128 bytes.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BuyerId(std::sync::Arc<str>);

impl BuyerId {
    pub fn new(text: &str) -> Result<Self, BadId> {
        let fits = (1..=BUYER_BYTES_MAX).contains(&text.len());
        let clean = text.bytes().all(|b| b.is_ascii_graphic());
        if fits && clean { Ok(Self(text.into())) } else { Err(BadId::Buyer) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A buyer's id is personal: it is never printed by accident.
impl fmt::Debug for BuyerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BuyerId(…)")
    }
}

text_id!(BuyerId, BadId);

/// What the shop's own order backend calls an order. Visible ASCII, 1 to 128 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ShopOrderId(std::sync::Arc<str>);

impl ShopOrderId {
    pub fn new(text: &str) -> Result<Self, BadId> {
        let fits = (1..=SHOP_ORDER_BYTES_MAX).contains(&text.len());
        let clean = text.bytes().all(|b| b.is_ascii_graphic());
        if fits && clean { Ok(Self(text.into())) } else { Err(BadId::ShopOrder) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_id!(ShopOrderId, BadId);

/// What a seat is called on the ticket and at the door, such as `01A`: 1 to 16 characters, none of them a space.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SeatLabel(Box<str>);

impl SeatLabel {
    pub fn new(text: &str) -> Result<Self, BadId> {
        let fits = (1..=SEAT_CHARS_MAX).contains(&text.chars().count());
        let clean = !text.chars().any(|c| c.is_whitespace() || c.is_control());
        if fits && clean { Ok(Self(text.into())) } else { Err(BadId::Seat) }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

text_id!(SeatLabel, BadId);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// A place's number in its line, from 1; never changes and never repeats within a sale. 0 stands before the first.
    Seq
}
number! {
    /// Who speaks for a sale's line: a higher epoch fences a lower one. From 1; 0 means that nobody has spoken yet.
    Epoch
}
number! {
    /// How often a thing changed, from 1. Clients ignore older versions.
    Version
}

#[cfg(test)]
mod tests;
