//! `DELETE …/{entry}`: the place is given up for good; after `reserved` the order is cancelled.

use std::sync::Arc;

use arc_swap::Guard;
use http::{StatusCode, header::SET_COOKIE};
use sluice_core::{
    entry::Outcome,
    order::{ClosingCause, OrderState},
    ports::{EntryRecord, OrderRef, OutcomeReason, StepReply},
    token::Claims,
};
use sluice_http::{Exchange, Problem, Response, empty};

use crate::{Admission, edge::Edge, holder::Age};

pub(crate) async fn leave(
    admission: Arc<Admission>,
    exchange: Exchange,
) -> Result<Response, Problem> {
    let edge = admission.edge(exchange.param("sale"), exchange.peer.address).await?;
    let rules = Guard::into_inner(edge.rules(&admission.ports.limits));
    let now = admission.ports.clock.now();
    let holder = admission.holder(&exchange, &edge, &rules.1, Age::Live, now)?;
    let left = left(&admission, &edge, &holder.claims).await;
    left.map_err(|problem| rules.1.refuse(problem, holder.allowed))?;
    let mut response = empty(StatusCode::NO_CONTENT);
    rules.1.tell(&mut response, holder.allowed);
    let place = admission.config.cookies.place(&edge.sale);
    if exchange.cookie(&place).is_some() {
        let cookie = admission.config.cookies.clear_place(&edge.sale);
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Gives the place of these claims up.
pub(crate) async fn left(
    admission: &Admission,
    edge: &Edge,
    claims: &Claims,
) -> Result<(), Problem> {
    let record = match admission.ask(admission.lookup.record(claims)).await? {
        Some(record) => record,
        // Another outcome may win meanwhile; then that one counts.
        None => admission.end(edge, claims, Outcome::Left, OutcomeReason::Plain).await?,
    };
    admission.give_up(&record).await
}

impl Admission {
    /// Whether an ended place is given up, cancelling its order where that is still possible.
    async fn give_up(&self, record: &EntryRecord) -> Result<(), Problem> {
        match (record.outcome, record.order) {
            (Outcome::Left, _) => Ok(()),
            (Outcome::Reserved, Some(order)) => self.cancel(order).await,
            (Outcome::Reserved | Outcome::SoldOut | Outcome::Expired | Outcome::Refused, _) => {
                Err(wrong_state(format!("The entry has ended as `{}`.", record.outcome.as_str())))
            }
        }
    }

    async fn cancel(&self, order: OrderRef) -> Result<(), Problem> {
        let reply =
            self.ask(self.ports.ledger.begin_closing(order.order, ClosingCause::Cancelled)).await?;
        match reply {
            StepReply::Done { .. } | StepReply::Already { .. } => Ok(()),
            // A repeat of the call that cancelled it, found paid or not.
            StepReply::Wrong(order)
                if matches!(
                    order.state,
                    OrderState::Closed | OrderState::Refunding | OrderState::Refunded
                ) && order.closing_cause == Some(ClosingCause::Cancelled) =>
            {
                Ok(())
            }
            StepReply::Wrong(order) => Err(wrong_state(format!(
                "The order is `{}` and cannot be cancelled.",
                order.state.as_str()
            ))),
            StepReply::NoSuchOrder => Err(wrong_state("The order is gone.".into())),
        }
    }
}

fn wrong_state(detail: String) -> Problem {
    Problem::conflict("wrong_state", detail)
}
