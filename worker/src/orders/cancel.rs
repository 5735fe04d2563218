//! `POST /v1/orders/{order}/cancel`: the buyer gives the order up. The provider is asked before the stock goes back, so
//! the answer usually says `closing`; the sweeper sees it through at once.

use std::sync::Arc;

use sluice_core::{
    order::{ClosingCause, Order, OrderState},
    ports::StepReply,
};
use sluice_http::{Exchange, Problem, Response};

use super::{access, answer, expect_nothing, replay, replay::Made, wrong_state};
use crate::shared::Shared;

pub(super) async fn cancel(
    shared: Arc<Shared>,
    mut exchange: Exchange,
) -> Result<Response, Problem> {
    expect_nothing(&mut exchange).await?;
    let _place = shared.tills.enter().await?;
    let order = access::order(&shared, &exchange).await?;
    let made = replay::note(&shared, &exchange, order.id, "cancel", &()).await?;
    let ledger = &shared.ports.ledger;
    match shared.once(ledger.begin_closing(order.id, ClosingCause::Cancelled)).await? {
        StepReply::Done { order, gate } => {
            shared.entered(&order, gate);
            shared.take_up(order.clone());
            answer(&shared, &order).await
        }
        StepReply::Already { order, gate } => {
            shared.follow(&order, gate);
            answer(&shared, &order).await
        }
        StepReply::Wrong(order) if made == Made::Again && is_cancelled(&order) => {
            answer(&shared, &order).await
        }
        StepReply::Wrong(order) => Err(wrong_state(order.state, "`awaiting_payment`")),
        StepReply::NoSuchOrder => {
            Err(Problem::not_found("no_such_order", "The order was removed with its sale."))
        }
    }
}

/// Whether the order is what an earlier cancel made of it.
fn is_cancelled(order: &Order) -> bool {
    order.closing_cause == Some(ClosingCause::Cancelled)
        && matches!(
            order.state,
            OrderState::Closing | OrderState::Closed | OrderState::Refunding | OrderState::Refunded
        )
}
