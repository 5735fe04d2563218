//! `POST /v1/orders/{order}/change`: a fulfilled order becomes one of other goods. The body says what it shall consist of. The
//! new goods are held before this is answered; the sweeper sees the change through at once.

use std::sync::Arc;

use http::StatusCode;
use serde::Deserialize;
use sluice_core::{
    change::NoChange,
    ids::HoldId,
    order::{Order, OrderState},
    ports::ChangeReply,
};
use sluice_http::{Exchange, Problem, Response};

use super::{
    BODY_BYTES_MAX, access, answer,
    items::{self, Written},
    replay, wrong_state,
};
use crate::{aftermath::Goods, shared::Shared};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wish {
    items: Vec<Written>,
}

pub(super) async fn change(
    shared: Arc<Shared>,
    mut exchange: Exchange,
) -> Result<Response, Problem> {
    let Wish { items } = exchange.json(BODY_BYTES_MAX).await?;
    let basket = items::wanted(items)?;
    let _place = shared.tills.enter().await?;
    let order = access::order(&shared, &exchange).await?;
    // Under its key a request names one change, however often it comes, and whatever was wished since.
    let wish = replay::key(&exchange)?.map(|key| HoldId::of_request(order.id, &key));
    replay::note(&shared, &exchange, order.id, "change", &basket).await?;
    match shared.once(shared.ports.ledger.begin_change(order.id, wish, &basket)).await? {
        ChangeReply::Done { order, gate } => {
            shared.entered_with(&order, Some(gate), Goods::Stay);
            shared.take_up(order.clone());
            answer(&shared, &order).await
        }
        ChangeReply::Already(order) => {
            if order.state == OrderState::Changing {
                shared.take_up(order.clone());
            }
            answer(&shared, &order).await
        }
        ChangeReply::Refused(order, why) => Err(refused(&order, &why)),
        ChangeReply::NoSuchOrder => {
            Err(Problem::not_found("no_such_order", "The order was removed with its sale."))
        }
    }
}

fn refused(order: &Order, why: &NoChange) -> Problem {
    let wrong = |code, detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    match why {
        NoChange::WrongState => wrong_state(order.state, "`fulfilled`, and paid here"),
        NoChange::PartlyRefunded => Problem::conflict(
            "partly_refunded",
            "Some items of the order were refunded. What is left can be refunded, not changed.",
        ),
        NoChange::SaleClosed => {
            Problem::conflict("sale_closed", "The sale is closed or frozen: it holds nothing now.")
        }
        NoChange::SoldOut(sku) => Problem::conflict(
            "sold_out",
            format!("There is not so much of `{sku}` beside what the order has. Nothing was changed."),
        ),
        NoChange::OverLimit { most } => {
            wrong("over_limit", format!("`items` may have at most {most} units in this sale."))
                .field("items.quantity")
        }
        NoChange::NoSuchSku(sku) => {
            wrong("no_such_sku", format!("The sale has no SKU `{sku}`.")).field("items.sku")
        }
        NoChange::Unfit(broken) => Problem::out_of_range(broken),
        NoChange::Dearer { by } => wrong(
            "dearer",
            format!(
                "These goods cost {} more (in minor units) than the order. Change to goods that cost the same or less, or refund the order.",
                by.0
            ),
        )
        .field("items"),
    }
}
