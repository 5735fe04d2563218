//! Who may touch an order: whoever holds a live queue token of its entry, and nobody else.

use sluice_core::{
    ids::{OrderId, SaleId},
    order::Order,
    policy::RateLimit,
    token::{Claims, Verified},
};
use sluice_http::{Exchange, Problem};

use crate::shared::Shared;

/// The order of the path, if the token in the request is its entry's.
pub(super) async fn order(shared: &Shared, exchange: &Exchange) -> Result<Order, Problem> {
    order_by(shared, exchange, exchange.bearer()).await
}

/// The same with a token that came in another way.
pub(super) async fn order_by(
    shared: &Shared,
    exchange: &Exchange,
    token: Option<&str>,
) -> Result<Order, Problem> {
    let claims = claims(shared, token)?;
    let no_such_order =
        || Problem::not_found("no_such_order", "There is no order with the id in the path.");
    let id: OrderId = exchange.param("order").parse().map_err(|_| no_such_order())?;
    let order = shared.once(shared.ports.ledger.order(id)).await?.ok_or_else(no_such_order)?;
    if order.entry == claims.entry {
        Ok(order)
    } else {
        Err(Problem::forbidden("wrong_entry", "The token belongs to another entry than the order."))
    }
}

/// The `per_ip` that the sale of an authentic token sets.
pub(super) fn limit(shared: &Shared, exchange: &Exchange) -> Option<RateLimit> {
    shared.ports.directory.sale(&sale(shared, exchange.bearer()?)?)?.limits().per_ip
}

/// The sale of an authentic token, be it live or not.
pub(super) fn sale(shared: &Shared, token: &str) -> Option<SaleId> {
    let now = shared.ports.clock.now();
    let verified = shared.ports.keyring.verify_claims(token, now).ok()?;
    Some(verified.claims().sale.clone())
}

fn claims(shared: &Shared, token: Option<&str>) -> Result<Claims, Problem> {
    let bad = || {
        Problem::unauthorized(
            "bad_token",
            "Send the entry's queue token as `Authorization: Bearer <token>`.",
        )
    };
    let token = token.ok_or_else(bad)?;
    let now = shared.ports.clock.now();
    match shared.ports.keyring.verify_claims(token, now) {
        Ok(Verified::Live(claims)) if shared.ports.directory.has_moved(&claims) => {
            let detail = "The place was moved to another device: its order is reached from there.";
            Err(Problem::unauthorized("moved", detail))
        }
        Ok(Verified::Live(claims)) => Ok(claims),
        Ok(Verified::Expired(claims)) => Err(Problem::unauthorized(
            "token_expired",
            format!(
                "The token has expired. Renew it with `POST {}/v1/sales/{}/entries/{}/token`.",
                shared.ports.urls.admission, claims.sale, claims.entry
            ),
        )),
        Err(_) => Err(bad()),
    }
}
