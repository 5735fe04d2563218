//! `POST /v1/orders/{order}/payment`: opens a payment at the provider, or finds the live one. One live payment per order;
//! its id is ours and drawn by the ledger's transaction, so a repeat after any crash asks the provider for the same one.
//!
//! The waiting page asks with a form where it has no script; its answer leads on to the payment (`form.rs`).

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use serde::Serialize;
use sluice_core::{
    ids::PaymentId,
    money::{AmountFen, Currency},
    order::{Order, OrderState},
    ports::{NewPayment, Payment, PaymentRequest, PaymentState, ProviderError, ProviderPayment},
};
use sluice_http::{Exchange, Problem, Response, Throttle, json};

use super::{access, expect_nothing, private, replay, wrong_state};
use crate::shared::Shared;

mod form;

/// When to come again after one call that was not answered.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct PaymentObject {
    payment: PaymentId,
    pay_url: String,
    amount_fen: AmountFen,
    currency: Currency,
}

pub(super) async fn pay(shared: Arc<Shared>, mut exchange: Exchange) -> Result<Response, Problem> {
    // Some clients call every body a form, an empty one, too: a token in the header says that a program asks.
    if exchange.says_form() && exchange.bearer().is_none() {
        return form::pay(&shared, exchange).await;
    }
    expect_nothing(&mut exchange).await?;
    let (status, payment) = payment(&shared, &exchange, exchange.bearer()).await?;
    Ok(private(json(status, &payment)))
}

/// The payment of whoever holds the token: a new one (201), or the live one (200).
async fn payment(
    shared: &Shared,
    exchange: &Exchange,
    token: Option<&str>,
) -> Result<(StatusCode, PaymentObject), Problem> {
    if shared.provider.resting().is_some_and(|left| !left.is_zero()) {
        return Err(provider_away(shared));
    }
    let _place = shared.tills.enter().await?;
    let order = access::order_by(shared, exchange, token).await?;
    replay::note(shared, exchange, order.id, "payment", &()).await?;

    let ports = &shared.ports;
    let id = PaymentId::generate(ports.clock.now(), &ports.random);
    let begun = ports.ledger.begin_payment(order.id, id, shared.provider.name());
    let (status, payment) = match shared.once(begun).await? {
        NewPayment::New(payment) => (StatusCode::CREATED, payment),
        NewPayment::Live(payment) => (StatusCode::OK, payment),
        NewPayment::WrongState(state) => return Err(wrong_state(state, "`awaiting_payment`")),
        NewPayment::NoSuchOrder => {
            return Err(Problem::not_found(
                "no_such_order",
                "The order was removed with its sale.",
            ));
        }
    };
    let opened = open(shared, &order, &payment).await?;
    still_awaits(shared, &order, payment.id).await?;
    let object = PaymentObject {
        payment: payment.id,
        pay_url: opened.pay_url,
        amount_fen: payment.amount,
        currency: payment.currency,
    };
    Ok((status, object))
}

async fn open(
    shared: &Shared,
    order: &Order,
    payment: &Payment,
) -> Result<ProviderPayment, Problem> {
    let request = PaymentRequest {
        payment: payment.id,
        order: order.id,
        amount: payment.amount,
        currency: payment.currency,
    };
    let error = match shared.provider.create(&request).await {
        Ok(opened) => return Ok(opened),
        Err(error) => error,
    };
    static NOT_OPENED: Throttle = Throttle::new(1);
    if let Some(held_back) = NOT_OPENED.pass() {
        tracing::warn!(sale = %order.sale, order = %order.id, held_back, error = &error as &dyn std::error::Error,
            "a payment could not be opened");
    }
    match error {
        ProviderError::Unreachable(_) => Err(provider_away(shared)),
        ProviderError::Refused(_) => {
            // Its word is final: the payment is over, so that the next request can open another.
            let over = payment.found(PaymentState::Failed);
            shared.once(shared.ports.ledger.apply_payment(over)).await?;
            Err(Problem::new(
                StatusCode::BAD_GATEWAY,
                "payment_refused",
                "The payment provider refused to open this payment. Repeat the request to open another.",
            ))
        }
    }
}

/// 503: nothing is lost, and when to come again.
fn provider_away(shared: &Shared) -> Problem {
    let (detail, wait) = match shared.provider.resting() {
        None => (
            "The payment provider does not answer right now. Repeat the same request: it finds the same payment.",
            AGAIN_AFTER,
        ),
        Some(left) => (
            "The payment provider does not answer and is left alone for a moment. The order keeps its goods until its `pay_by`; repeat the same request then: it finds the same payment.",
            left.max(AGAIN_AFTER),
        ),
    };
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail).retry_after(wait)
}

/// The deadline or a cancel may have come while the provider was opening the payment, too late for the close that they
/// sent: then it is closed here, and money that came even so is told by the provider.
async fn still_awaits(shared: &Shared, order: &Order, payment: PaymentId) -> Result<(), Problem> {
    let now = shared.once(shared.ports.ledger.order(order.id)).await?;
    let state = now.map_or(OrderState::Closed, |order| order.state);
    if state == OrderState::AwaitingPayment {
        return Ok(());
    }
    if matches!(state, OrderState::Closing | OrderState::Closed)
        && let Err(error) = shared.provider.close(payment).await
    {
        tracing::warn!(sale = %order.sale, order = %order.id, error = &error as &dyn std::error::Error,
            "a payment opened too late could not be closed; money that comes on it is late money");
    }
    Err(wrong_state(state, "`awaiting_payment`"))
}
