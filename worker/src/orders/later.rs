//! `POST /v1/orders/{order}/refund` and `/change`: part of the contract, not of this version. An order they could never
//! apply to is told so; for the others the answer names what is missing.

use std::sync::Arc;

use http::StatusCode;
use sluice_core::order::OrderState;
use sluice_http::{Exchange, Problem, Response};

use super::{BODY_BYTES_MAX, access, wrong_state};
use crate::shared::Shared;

pub(super) async fn refund(shared: Arc<Shared>, exchange: Exchange) -> Result<Response, Problem> {
    let fits = |state| matches!(state, OrderState::Fulfilled | OrderState::Failed);
    not_yet(&shared, exchange, "refund", fits, "`fulfilled` or `failed`").await
}

pub(super) async fn change(shared: Arc<Shared>, exchange: Exchange) -> Result<Response, Problem> {
    let fits = |state| state == OrderState::Fulfilled;
    not_yet(&shared, exchange, "change", fits, "`fulfilled`").await
}

async fn not_yet(
    shared: &Shared,
    mut exchange: Exchange,
    verb: &str,
    fits: impl Fn(OrderState) -> bool,
    needs: &str,
) -> Result<Response, Problem> {
    let order = access::order(shared, &exchange).await?;
    exchange.body(BODY_BYTES_MAX).await?;
    if !fits(order.state) {
        return Err(wrong_state(order.state, needs));
    }
    Err(Problem::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "not_available",
        format!(
            "This version of sluice cannot {verb} an order: `{verb}` comes with a later one. Nothing was changed."
        ),
    ))
}
