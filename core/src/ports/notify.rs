//! Port: telling a buyer who is not looking what became of their order, by whatever they left an address for. Outside our
//! reach, slow, sometimes away, and never the only carrier of anything: the entry and the order say the same to who asks.

use std::{fmt, fmt::Debug};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::Cause;
use crate::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, SaleId},
    order::OrderName,
};

/// Longest e-mail address, in bytes (RFC 5321: a path of 256 with its brackets).
const EMAIL_BYTES_MAX: usize = 254;
/// Digits of a telephone number (E.164 has 15 at most; five is a short number).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 5..=15;

/// What a buyer is told of: what asks them to do something, and how it ended. Not that they wait, not that they are called,
/// and not that a sale is sold out: a hundred thousand messages in one second serve nobody.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Occasion {
    /// Something came free for a buyer on standby: it is held for them and waits to be paid.
    Offered,
    /// A turn became an order, which waits to be paid.
    Reserved,
    /// It is paid, and what was bought is theirs.
    Fulfilled,
    /// It was not paid in time, or given back: the goods went to others.
    Closed,
    /// The money went back.
    Refunded,
}

impl Occasion {
    pub const ALL: [Self; 5] =
        [Self::Offered, Self::Reserved, Self::Fulfilled, Self::Closed, Self::Refunded];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Reserved => "reserved",
            Self::Fulfilled => "fulfilled",
            Self::Closed => "closed",
            Self::Refunded => "refunded",
        }
    }
}

/// Names a notification: one entry on one occasion. The same in every repeat, so that whoever hears it twice knows.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct NotificationId(String);

impl NotificationId {
    #[must_use]
    pub fn of(entry: EntryId, occasion: Occasion) -> Self {
        Self(format!("{entry}-{}", occasion.as_str()))
    }

    /// Letters, digits, `-` and `_`: fit for a header as it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NotificationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a buyer wants to be told. Its `Debug` shows neither.
#[derive(Clone, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "WrittenContact")]
pub struct Contact {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
}

/// A contact as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenContact {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
}

/// What a buyer left when joining: where to be told, and in which language.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    pub contact: Contact,
    /// A language tag, such as `zh-CN`; empty when they named none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub locale: String,
}

/// What a buyer left is no address.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadContact {
    #[error(
        "`email` must be one e-mail address, such as ada@example.com, of at most {EMAIL_BYTES_MAX} bytes"
    )]
    Email,
    #[error("`phone` must be one telephone number of 5 to 15 digits, such as +86 139 1234 5678")]
    Phone,
}

impl Contact {
    /// Takes what a buyer typed; a number loses its spaces, hyphens and brackets. Whether anybody is there nobody asks.
    pub fn new(email: Option<String>, phone: Option<String>) -> Result<Self, BadContact> {
        let email = email.map(|text| text.trim().to_owned());
        if email.as_deref().is_some_and(|text| !is_email(text)) {
            return Err(BadContact::Email);
        }
        let phone = phone.map(|text| number(&text).ok_or(BadContact::Phone)).transpose()?;
        Ok(Self { email, phone })
    }

    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.email.as_deref()
    }

    /// Digits, perhaps after a `+`.
    #[must_use]
    pub fn phone(&self) -> Option<&str> {
        self.phone.as_deref()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.email.is_none() && self.phone.is_none()
    }
}

impl TryFrom<WrittenContact> for Contact {
    type Error = BadContact;

    fn try_from(written: WrittenContact) -> Result<Self, BadContact> {
        Self::new(written.email, written.phone)
    }
}

impl Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contact")
            .field("email", &self.email.is_some())
            .field("phone", &self.phone.is_some())
            .finish()
    }
}

/// Something on both sides of one `@`, and nothing that means anything in a header or in a list of addresses. Not a proof
/// that a mail server takes it.
fn is_email(text: &str) -> bool {
    let means_something =
        |c: char| c.is_control() || c.is_whitespace() || "<>()[],;:\\\"@".contains(c);
    text.len() <= EMAIL_BYTES_MAX
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && !domain.is_empty()
                && !format!("{local}{domain}").contains(means_something)
        })
}

fn number(text: &str) -> Option<String> {
    let bare: String =
        text.trim().chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '\u{a0}')).collect();
    let digits = bare.strip_prefix('+').unwrap_or(&bare);
    let fits = PHONE_DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then_some(bare)
}

/// What one buyer is told, once.
#[derive(Clone, Debug, PartialEq)]
pub struct Notification {
    pub id: NotificationId,
    pub occasion: Occasion,
    /// When it happened: the same in every repeat.
    pub at: UnixMillis,
    pub sale: SaleId,
    /// As people know the sale.
    pub title: String,
    pub entry: EntryId,
    /// As the shop's own identity names them.
    pub buyer: BuyerId,
    /// Of a shop's own order backend: what the shop calls it.
    pub order: Option<OrderName>,
    pub pay_by: Option<UnixMillis>,
    /// Where the buyer goes on: absolute, or nothing.
    pub link: Option<String>,
    pub contact: Contact,
    /// The language the buyer asked for, such as `zh-CN`; empty when they named none.
    pub locale: String,
}

/// Why a notification was not taken, told as what the caller should do about it.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// Unknown or not sent: repeat it later, the same, and not for ever.
    #[error("nobody took the notification")]
    Unavailable(#[source] Cause),
    /// It reaches nobody, now or later: let it be.
    #[error("the notification cannot be delivered")]
    Undeliverable(#[source] Cause),
}

/// See the module. Delivered at least once: a call may time out after it took effect, so a repeat carries the same id.
/// In no order.
#[async_trait]
pub trait Notifier: Debug + Send + Sync {
    /// Returns once somebody has taken it over: a mail server, the shop. That a buyer has read it nobody knows.
    async fn notify(&self, notification: &Notification) -> Result<(), NotifyError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_on_an_occasion_has_one_name() {
        let entry = EntryId::from_bytes([7; 16]);
        let names: std::collections::BTreeSet<_> =
            Occasion::ALL.map(|occasion| NotificationId::of(entry, occasion)).into();
        assert_eq!(names.len(), Occasion::ALL.len());
        for name in names {
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            assert!(name.as_str().bytes().all(plain) && name.as_str().len() <= 64, "{name}");
        }
    }

    #[test]
    fn addresses_are_taken_as_buyers_type_them() {
        let contact =
            Contact::new(Some(" ada@example.com ".into()), Some("+86 (139) 1234-5678".into()))
                .unwrap();
        assert_eq!(
            (contact.email(), contact.phone()),
            (Some("ada@example.com"), Some("+8613912345678"))
        );
        assert_eq!(serde_json::to_value(&contact).unwrap()["phone"], "+8613912345678");
        assert!(Contact::default().is_empty());
        assert!(!format!("{contact:?}").contains("ada"));
    }

    #[test]
    fn what_is_no_address_or_several_is_refused() {
        for bad in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "ada@x@example.com",
            "ada@example.com,eve@example.com",
            "ada@example.com\r\nBcc: eve@example.com",
            "Ada <ada@example.com>",
            "a da@example.com",
        ] {
            assert_eq!(Contact::new(Some(bad.into()), None), Err(BadContact::Email), "{bad:?}");
        }
        assert!(Contact::new(Some(format!("{}@example.com", "a".repeat(250))), None).is_err());
        for bad in ["", "12", "1234567890123456", "tel:12345", "12345\n", "++12345"] {
            let taken = Contact::new(None, Some(bad.into()));
            assert!(taken.is_err() || bad.trim() == "12345", "{bad:?}");
        }
        assert!(serde_json::from_str::<Contact>(r#"{"email":"x"}"#).is_err());
        assert!(serde_json::from_str::<Contact>(r#"{"fax":"12345"}"#).is_err());
    }
}
