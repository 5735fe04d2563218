//! A buyer named by a header that a trusted proxy sets. From anybody else the header proves nothing.

use http::HeaderName;
use sluice_core::ids::BuyerId;
use sluice_http::{Exchange, Problem};

use super::{Identified, required};

pub(super) fn identify(exchange: &Exchange, name: &HeaderName) -> Result<Identified, Problem> {
    if !exchange.peer.trusted {
        return Err(required(
            "Join through the shop: this address is not one of its trusted proxies.",
        ));
    }
    let Some(value) = exchange.only_header(name.as_str())? else {
        return Err(required("Sign in first: the shop did not say who is asking."));
    };
    match BuyerId::new(value) {
        Ok(buyer) => Ok(Identified { buyer, cookie: None }),
        Err(rule) => Err(Problem::bad_request(format!("Header `{name}` {rule}."))),
    }
}
