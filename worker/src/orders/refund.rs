//! `POST /v1/orders/{order}/refund`: the buyer gives a fulfilled order back, or some of its items. The goods are available again
//! at once; the money is on its way, and the order tells how far it is.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use sluice_core::{
    ids::RefundId,
    order::OrderState,
    ports::RefundReply,
    refund::{NoRefund, RefundAsked},
};
use sluice_http::{Exchange, Problem, Response};

use super::{
    BODY_BYTES_MAX, access, answer,
    items::{self, Written},
    replay, wrong_state,
};
use crate::{aftermath::Goods, shared::Shared};

/// What is given back; everything, if nothing is named.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    #[serde(default)]
    items: Option<Vec<Written>>,
}

pub(super) async fn refund(
    shared: Arc<Shared>,
    mut exchange: Exchange,
) -> Result<Response, Problem> {
    let wish = read(&mut exchange).await?;
    let _place = shared.tills.enter().await?;
    let order = access::order(&shared, &exchange).await?;
    let asked = match wish.items {
        None => RefundAsked::Order,
        Some(items) => RefundAsked::Items(items::given_back(items, &order)?),
    };
    let key = replay::key(&exchange)?;
    replay::note(&shared, &exchange, order.id, "refund", &asked).await?;
    let ports = &shared.ports;
    // Under its key a request names one refund, however often it comes.
    let id = match &key {
        Some(key) => RefundId::of_request(order.id, key),
        None => RefundId::generate(ports.clock.now(), &ports.random),
    };
    match shared.once(ports.ledger.begin_refund(order.id, id, &asked)).await? {
        RefundReply::Begun(_, order) if order.state == OrderState::Refunding => {
            shared.entered_with(&order, None, Goods::CameBack);
            answer(&shared, &order).await
        }
        RefundReply::Begun(_, order) | RefundReply::Already(_, order) => {
            shared.follow_with(&order, None, Goods::CameBack);
            answer(&shared, &order).await
        }
        RefundReply::Refused(order, NoRefund::WrongState) => {
            Err(wrong_state(order.state, "`fulfilled`, and paid here"))
        }
        RefundReply::Refused(order, NoRefund::NotLeft { sku, left }) => {
            let detail = if order.lines.iter().any(|line| line.sku == sku) {
                format!(
                    "`items` asks for more of `{sku}` than the order has left to refund: {left}."
                )
            } else {
                format!("The order has no `{sku}`: name goods as `GET /v1/orders/{{order}}` does.")
            };
            let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "not_left", detail);
            Err(problem.field("items.quantity"))
        }
        RefundReply::NoSuchOrder => {
            Err(Problem::not_found("no_such_order", "The order was removed with its sale."))
        }
    }
}

async fn read(exchange: &mut Exchange) -> Result<Wish, Problem> {
    if exchange.request.body().is_at_end() {
        return Ok(Wish::default());
    }
    exchange.json(BODY_BYTES_MAX).await
}
