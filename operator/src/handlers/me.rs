//! Who a token belongs to, and what this house does by itself: what a console has to know before it shows a button.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use sluice_http::{Exchange, Problem, Response};

use crate::{desk::Desk, reply::fresh};

#[derive(Serialize)]
struct Me<'a> {
    /// What the audit log calls the holder.
    name: &'a str,
    role: &'static str,
    /// Who settles turns: `builtin`, our workers; `external`, the shop, which then keeps its goods itself.
    order_backend: &'static str,
}

/// `GET /v1/me`
pub(crate) async fn show(desk: Arc<Desk>, exchange: Exchange) -> Result<Response, Problem> {
    let token = exchange.bearer().map(str::to_owned);
    let caller = desk.authenticate(token, exchange.peer.address).await?;
    let order_backend = if desk.shop.is_some() { "external" } else { "builtin" };
    let me = Me { name: &caller.name, role: caller.role.as_str(), order_backend };
    Ok(fresh(StatusCode::OK, &me))
}
