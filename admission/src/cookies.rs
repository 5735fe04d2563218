//! Our cookies: their names, how they are set and cleared. What they authorise must come from our own origin or a listed
//! one; that is judged where they are read.

use http::HeaderValue;
use sluice_core::ids::SaleId;

use crate::config::Cookies;

/// Identity and device outlive a sale; a year is what browsers keep.
const LONG_SECONDS: u32 = 365 * 24 * 60 * 60;
/// A place's token may be renewed until 30 days after its last change.
const PLACE_SECONDS: u32 = 45 * 24 * 60 * 60;

impl Cookies {
    pub(crate) fn buyer(self) -> &'static str {
        match self {
            Self::Host => "__Host-sluice-buyer",
            Self::Plain => "sluice-buyer",
        }
    }

    pub(crate) fn device(self) -> &'static str {
        match self {
            Self::Host => "__Host-sluice-device",
            Self::Plain => "sluice-device",
        }
    }

    pub(crate) fn place(self, sale: &SaleId) -> String {
        match self {
            Self::Host => format!("__Host-sluice-place-{sale}"),
            Self::Plain => format!("sluice-place-{sale}"),
        }
    }

    pub(crate) fn set_long(self, name: &str, value: &str) -> HeaderValue {
        self.write(name, value, LONG_SECONDS)
    }

    pub(crate) fn set_place(self, sale: &SaleId, token: &str) -> HeaderValue {
        self.write(&self.place(sale), token, PLACE_SECONDS)
    }

    pub(crate) fn clear_place(self, sale: &SaleId) -> HeaderValue {
        self.write(&self.place(sale), "", 0)
    }

    /// Names and values are our own and URL-safe, so the header is always legal.
    fn write(self, name: &str, value: &str, seconds: u32) -> HeaderValue {
        let secure = match self {
            Self::Host => "; Secure",
            Self::Plain => "",
        };
        let mut text = String::with_capacity(name.len() + value.len() + 80);
        text.extend([name, "=", value, "; Path=/; Max-Age="]);
        text.push_str(itoa::Buffer::new().format(seconds));
        text.extend(["; HttpOnly; SameSite=Lax", secure]);
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_cookie_asks_for_tls_and_a_plain_one_does_not() {
        let sale = SaleId::new("demo").unwrap();
        assert_eq!(
            Cookies::Host.set_place(&sale, "t"),
            "__Host-sluice-place-demo=t; Path=/; Max-Age=3888000; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            Cookies::Plain.clear_place(&sale),
            "sluice-place-demo=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
        );
    }
}
