//! The order routes of the contract: what a buyer may see and do with an order, proved by the queue token of its entry.

use std::sync::Arc;

use http::{HeaderValue, StatusCode, header::CACHE_CONTROL};
use serde::Deserialize;
use sluice_core::order::{Order, OrderState};
use sluice_http::{Exchange, Problem, Response, Routes, json};

use crate::shared::Shared;

mod access;
mod cancel;
mod change;
mod items;
mod object;
mod pay;
mod refund;
mod replay;

use object::OrderObject;

/// Largest body of an order request, in bytes; a larger one is answered 413.
const BODY_BYTES_MAX: usize = 16 * 1_024;

pub(crate) fn routes(shared: &Arc<Shared>) -> Routes {
    let asked = Arc::clone(shared);
    Routes::new("worker")
        .get("/v1/orders/{order}", with(shared, show))
        .post("/v1/orders/{order}/payment", with(shared, pay::pay))
        .post("/v1/orders/{order}/cancel", with(shared, cancel::cancel))
        .post("/v1/orders/{order}/refund", with(shared, refund::refund))
        .post("/v1/orders/{order}/change", with(shared, change::change))
        .counted(&shared.ports.limits, move |exchange| access::limit(&asked, exchange))
}

/// Gives a handler what it works with.
pub(crate) fn with<F, Fut>(
    shared: &Arc<Shared>,
    handler: F,
) -> impl Fn(Exchange) -> Fut + Send + Sync + 'static
where
    F: Fn(Arc<Shared>, Exchange) -> Fut + Send + Sync + 'static,
{
    let shared = Arc::clone(shared);
    move |exchange| handler(Arc::clone(&shared), exchange)
}

async fn show(shared: Arc<Shared>, exchange: Exchange) -> Result<Response, Problem> {
    let _place = shared.tills.enter().await?;
    let order = access::order(&shared, &exchange).await?;
    answer(&shared, &order).await
}

/// The order as the contract shows it, with its refunds where it can have any.
async fn answer(shared: &Shared, order: &Order) -> Result<Response, Problem> {
    let refunds = match order.state {
        OrderState::AwaitingPayment | OrderState::Closing => Vec::new(),
        OrderState::Closed
        | OrderState::Paid
        | OrderState::Fulfilling
        | OrderState::Fulfilled
        | OrderState::Failed
        | OrderState::Refunding
        | OrderState::Refunded
        | OrderState::Changing => shared.once(shared.ports.ledger.refunds(order.id)).await?,
    };
    let object = OrderObject::of(order, &refunds, &shared.ports.urls);
    Ok(private(json(StatusCode::OK, &object)))
}

/// An answer that belongs to one buyer: no cache keeps it.
fn private(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The body of a request that has nothing to say: none, or an empty object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

async fn expect_nothing(exchange: &mut Exchange) -> Result<(), Problem> {
    if exchange.request.body().is_at_end() {
        return Ok(());
    }
    let Nothing {} = exchange.json(BODY_BYTES_MAX).await?;
    Ok(())
}

/// 409: what was asked for does not apply to the order as it is.
fn wrong_state(state: OrderState, needs: &str) -> Problem {
    Problem::conflict(
        "wrong_state",
        format!("The order is `{}`; this needs one that is {needs}.", state.as_str()),
    )
}
