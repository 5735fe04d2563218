//! What a join asks for: its body, checked field by field.

use std::fmt;

use http::HeaderName;
use serde::{Deserialize, Deserializer, Serialize, de::Visitor};
use sluice_core::{
    basket::{Basket, Item},
    ids::SkuId,
    ports::{BadContact, Contact, Reach},
    sale::Sale,
    seats::{LEGS_MAX, Stretch},
};
use sluice_http::{Exchange, Form, Problem};

/// Longest body, in bytes; what is longer is refused with 413.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest language tag, in bytes.
const LOCALE_BYTES_MAX: usize = 35;
/// Longest idempotency key, in bytes.
const KEY_BYTES_MAX: usize = 255;

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    items: Vec<Wanted>,
    #[serde(default)]
    contact: Option<WrittenContact>,
    #[serde(default)]
    locale: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    sku: SkuId,
    quantity: Whole,
    #[serde(default)]
    from: Option<Whole>,
    #[serde(default)]
    to: Option<Whole>,
}

/// Any whole number, cut to what fits: one rule, told with the sale's own limit, answers for all that are out of range.
struct Whole(i64);

impl Whole {
    /// As a quantity: nothing is below 0.
    fn quantity(&self) -> u32 {
        u32::try_from(self.0.max(0)).unwrap_or(u32::MAX)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;

        impl Visitor<'_> for Any {
            type Value = Whole;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, not below 0")
            }

            fn visit_u64<E>(self, number: u64) -> Result<Whole, E> {
                Ok(Whole(i64::try_from(number).unwrap_or(i64::MAX)))
            }

            fn visit_i64<E>(self, number: i64) -> Result<Whole, E> {
                Ok(Whole(number))
            }
        }

        deserializer.deserialize_i64(Any)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenContact {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    phone: Option<String>,
}

/// How a join is written.
#[derive(Debug)]
pub(crate) enum Asked {
    /// As the contract has it; the body is still to be read.
    InJson,
    /// As the page's form has it: one SKU, and how many.
    InForm(Form),
}

/// A join's checked body.
#[derive(Debug, Serialize)]
pub(super) struct Wish {
    pub(super) basket: Basket,
    contact: Option<Contact>,
    locale: Option<String>,
}

impl Wish {
    pub(super) async fn read(
        exchange: &mut Exchange,
        asked: &Asked,
        sale: &Sale,
    ) -> Result<Self, Problem> {
        let body = match asked {
            Asked::InJson => exchange.json(BODY_BYTES_MAX).await?,
            Asked::InForm(form) => Body::of_form(form)?,
        };
        let wish = Self::check(body, sale.policy.per_buyer_units)?;
        sale.check_basket(&wish.basket).map_err(|broken| refused(&broken.field, &broken.rule))?;
        Ok(wish)
    }

    fn check(body: Body, per_buyer_units: u32) -> Result<Self, Problem> {
        let Body { items, contact, locale } = body;
        let contact = contact.map(WrittenContact::checked).transpose()?;
        if locale.as_deref().is_some_and(|locale| !is_language_tag(locale)) {
            return Err(refused("locale", "must be a language tag, such as `en` or `zh-CN`"));
        }
        let basket = Basket::new(checked(items, per_buyer_units)?)
            .map_err(|error| Problem::bad_request(format!("{error}.")).field("items"))?;
        Ok(Self { basket, contact, locale })
    }

    /// How its buyer is told who is not looking, if they left an address.
    pub(super) fn reach(&self) -> Option<Box<Reach>> {
        let contact = self.contact.clone().filter(|contact| !contact.is_empty())?;
        Some(Box::new(Reach { contact, locale: self.locale.clone().unwrap_or_default() }))
    }

    /// The same for every body that asks for the same, however it is written.
    pub(super) fn hash(&self) -> [u8; 32] {
        // Strings and whole numbers always serialise.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        *blake3::hash(&bytes).as_bytes()
    }
}

impl Body {
    fn of_form(form: &Form) -> Result<Self, Problem> {
        let sku = form.get("sku").and_then(|sku| SkuId::new(sku).ok());
        let sku = sku.ok_or_else(|| refused("sku", "must be chosen"))?;
        let quantity = form.get("quantity").and_then(|text| text.trim().parse().ok());
        let quantity = quantity.ok_or_else(|| refused("quantity", "must be a whole number"))?;
        let stop = |name: &str| match form.get(name).map(|text| text.trim().parse()) {
            None => Ok(None),
            Some(Ok(stop)) => Ok(Some(Whole(stop))),
            Some(Err(_)) => Err(refused(name, "must be a whole number: the index of a stop")),
        };
        let (from, to) = (stop("from")?, stop("to")?);
        let wanted = Wanted { sku, quantity: Whole(quantity), from, to };
        Ok(Self { items: vec![wanted], contact: None, locale: None })
    }
}

impl WrittenContact {
    fn checked(self) -> Result<Contact, Problem> {
        let Self { email, phone } = self;
        Contact::new(email, phone).map_err(|bad| {
            let field = match bad {
                BadContact::Email => "email",
                BadContact::Phone => "phone",
            };
            let detail =
                bad.to_string().replace(&format!("`{field}`"), &format!("`contact.{field}`"));
            Problem::bad_request(format!("{detail}.")).field(format!("contact.{field}"))
        })
    }
}

fn checked(items: Vec<Wanted>, per_buyer_units: u32) -> Result<Vec<Item>, Problem> {
    let mut units: u64 = 0;
    for (n, Wanted { quantity, .. }) in items.iter().enumerate() {
        let quantity = quantity.quantity();
        if !(1..=per_buyer_units).contains(&quantity) {
            let rule = format!("must be a whole number from 1 to {per_buyer_units}");
            return Err(refused(&format!("items[{n}].quantity"), &rule));
        }
        units += u64::from(quantity);
    }
    if units > per_buyer_units.into() {
        let rule = format!("must be at most {per_buyer_units} units together");
        return Err(refused("items", &rule));
    }
    let items = items.into_iter().enumerate().map(|(n, wanted)| {
        let Wanted { sku, quantity, from, to } = wanted;
        let stretch = match (from, to) {
            (None, None) => None,
            (Some(from), Some(to)) => Some(stretch(n, &from, &to)?),
            (Some(_), None) => return Err(refused(&format!("items[{n}].to"), MISSING_END)),
            (None, Some(_)) => return Err(refused(&format!("items[{n}].from"), MISSING_END)),
        };
        Ok(Item { stretch, ..Item::counted(sku, quantity.quantity()) })
    });
    items.collect()
}

/// Where to get on and off, as indexes into the SKU's stops.
fn stretch(n: usize, from: &Whole, to: &Whole) -> Result<Stretch, Problem> {
    let ends = u8::try_from(from.0).ok().zip(u8::try_from(to.0).ok());
    ends.and_then(|(from, to)| Stretch::new(from, to)).ok_or_else(|| {
        let rule = format!(
            "must be below `to`, and `to` at most {LEGS_MAX}: indexes into the SKU's `stops`, from 0"
        );
        refused(&format!("items[{n}].from"), &rule)
    })
}

const MISSING_END: &str = "is missing: a stretch has both ends, as indexes into the SKU's `stops`";

/// The key of a request that must be done once, if it has one.
pub(crate) fn idempotency_key(exchange: &Exchange) -> Result<Option<&str>, Problem> {
    let mut lines = exchange.request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    let fits = |key: &&str| {
        (1..=KEY_BYTES_MAX).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic())
    };
    match line.to_str().ok().filter(fits) {
        Some(key) if lines.next().is_none() => Ok(Some(key)),
        Some(_) | None => Err(Problem::bad_request(
            "`Idempotency-Key` must be given once, as 1 to 255 visible ASCII characters.",
        )),
    }
}

fn refused(field: &str, rule: &str) -> Problem {
    Problem::bad_request(format!("`{field}` {rule}.")).field(field)
}

fn is_language_tag(text: &str) -> bool {
    (2..=LOCALE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str) -> Result<Wish, Problem> {
        Wish::check(serde_json::from_str(json).unwrap(), 10)
    }

    #[test]
    fn the_same_wish_has_one_hash_however_it_is_written() {
        let one =
            check(r#"{"items":[{"sku":"a","quantity":3},{"sku":"b","quantity":1}],"locale":"en"}"#)
                .unwrap();
        let same = r#"{"locale":"en","items":[{"quantity":1,"sku":"b"},{"sku":"a","quantity":1},{"sku":"a","quantity":2}]}"#;
        let other =
            r#"{"locale":"de","items":[{"quantity":1,"sku":"b"},{"sku":"a","quantity":3}]}"#;
        assert_eq!(one.hash(), check(same).unwrap().hash());
        assert_ne!(one.hash(), check(other).unwrap().hash());
    }

    #[test]
    fn a_quantity_has_one_name_and_one_range() {
        for bad in ["0", "-1", "11", "4294967296", "18446744073709551615", "-9223372036854775808"] {
            let problem = check(&format!(
                r#"{{"items":[{{"sku":"a","quantity":1}},{{"sku":"b","quantity":{bad}}}]}}"#
            ))
            .unwrap_err();
            let detail = "`items[1].quantity` must be a whole number from 1 to 10.";
            assert_eq!(
                (problem.field_path(), problem.detail()),
                (Some("items[1].quantity"), detail)
            );
        }
        let together =
            check(r#"{"items":[{"sku":"a","quantity":6},{"sku":"b","quantity":5}]}"#).unwrap_err();
        assert_eq!(together.field_path(), Some("items"));
        assert!(check(r#"{"items":[{"sku":"a","quantity":6},{"sku":"a","quantity":4}]}"#).is_ok());
    }

    #[test]
    fn contacts_and_locales_are_bounded() {
        let with =
            |extra: &str| check(&format!(r#"{{"items":[{{"sku":"a","quantity":1}}],{extra}}}"#));
        let long = format!(r#""contact":{{"email":"{}@example.org"}}"#, "x".repeat(250));
        for bad in [
            r#""contact":{"email":"ada"}"#,
            r#""contact":{"email":"a@b@c"}"#,
            r#""contact":{"email":"a b@c"}"#,
            r#""contact":{"phone":"call me"}"#,
            r#""contact":{"phone":"12"}"#,
            r#""locale":"x""#,
            r#""locale":"en_US""#,
            &long,
        ] {
            assert_eq!(with(bad).unwrap_err().code(), "bad_request", "{bad}");
        }
        for good in [
            r#""contact":{"email":"ada@example.org","phone":"+86 (10) 1234-5678"},"locale":"zh-Hans-CN""#,
            r#""contact":null,"locale":null"#,
            r#""contact":{}"#,
        ] {
            assert!(with(good).is_ok(), "{good}");
        }
    }
}
