//! A buyer named by a header that a trusted proxy sets, and perhaps its class by another. From anybody else they prove nothing.

use http::HeaderName;
use sluice_core::ids::BuyerId;
use sluice_http::{Exchange, Problem};

use super::{Identified, class::Classes, required};

pub(super) fn identify(
    exchange: &Exchange,
    name: &HeaderName,
    classes: Option<&Classes>,
) -> Result<Identified, Problem> {
    if !exchange.peer.trusted {
        return Err(required(
            "Join through the shop: this address is not one of its trusted proxies.",
        ));
    }
    let Some(value) = exchange.only_header(name.as_str())? else {
        return Err(required("Sign in first: the shop did not say who is asking."));
    };
    let buyer = BuyerId::new(value)
        .map_err(|rule| Problem::bad_request(format!("Header `{name}` {rule}.")))?;
    let head_start = classes.map(|classes| classes.by_header(exchange)).transpose()?;
    Ok(Identified { head_start: head_start.unwrap_or_default(), ..Identified::plain(buyer, None) })
}
