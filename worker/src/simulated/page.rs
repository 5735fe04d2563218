//! The pay page: what the buyer sees at `pay_url`, and the two buttons on it. A program may press them with JSON.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{
        ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};
use serde::{Deserialize, Serialize};
use sluice_core::{
    ids::PaymentId,
    money::AmountFen,
    ports::{SimulatedPayment, SimulatedState},
};
use sluice_http::{Exchange, Problem, Response, Routes, json};

use super::Provider;

const OPEN_PAGE: &str = include_str!("open.html");
const OVER_PAGE: &str = include_str!("over.html");
const STYLE: &str = include_str!("page.css");
const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
const BODY_BYTES_MAX: usize = 1_024;

pub(super) fn routes(provider: &Arc<Provider>) -> Routes {
    let (shown, pressed) = (Arc::clone(provider), Arc::clone(provider));
    Routes::new("worker")
        .get("/v1/payments/simulated/page.css", |_| async { Ok(style()) })
        .get("/v1/payments/simulated/{payment}", move |exchange| show(Arc::clone(&shown), exchange))
        .post("/v1/payments/simulated/{payment}", move |exchange| {
            press(Arc::clone(&pressed), exchange)
        })
        .counted(&provider.ports.limits, |_of_any_sale| None)
}

/// What was pressed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    result: Pressed,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Pressed {
    Succeed,
    Fail,
}

/// In which form the answer is wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Page,
    Json,
}

#[derive(Debug, Serialize)]
struct PaymentObject {
    payment: PaymentId,
    state: &'static str,
}

async fn show(provider: Arc<Provider>, exchange: Exchange) -> Result<Response, Problem> {
    let _place = provider.tills.enter().await?;
    let record = find(&provider, &exchange).await?;
    let wants_json = exchange
        .header(ACCEPT.as_str())
        .is_some_and(|accept| accept.contains("application/json") && !accept.contains("text/html"));
    let form = if wants_json { Form::Json } else { Form::Page };
    Ok(answer(&provider, StatusCode::OK, &record, form).await)
}

async fn press(provider: Arc<Provider>, mut exchange: Exchange) -> Result<Response, Problem> {
    let (pressed, form) = choice(&mut exchange).await?;
    let _place = provider.tills.enter().await?;
    let record = find(&provider, &exchange).await?;
    let (payment, knobs) = (record.payment, &provider.settings.knobs);
    let to = match pressed {
        Pressed::Succeed if knobs.fails(payment) => SimulatedState::Failed,
        Pressed::Succeed => SimulatedState::Succeeded,
        Pressed::Fail => SimulatedState::Failed,
    };
    let closed_too = to == SimulatedState::Succeeded && knobs.pays_after_close(payment);
    let from =
        [SimulatedState::Open].into_iter().chain(closed_too.then_some(SimulatedState::Closed));
    for from in from {
        let stepped = provider.ports.ledger.step_simulated(payment, from, to);
        if let Some(now) = provider.ask(stepped).await.map_err(away)? {
            provider.tell(now.clone());
            return Ok(answer(&provider, StatusCode::OK, &now, form).await);
        }
    }
    // A repeat, too: whoever lost the answer finds what came of it by asking.
    let record = find(&provider, &exchange).await?;
    match form {
        Form::Page => Ok(answer(&provider, StatusCode::CONFLICT, &record, form).await),
        Form::Json => Err(Problem::conflict(
            "payment_over",
            "The payment has been paid, has failed, was closed or refunded: nothing can be pressed any more.",
        )),
    }
}

async fn find(provider: &Provider, exchange: &Exchange) -> Result<SimulatedPayment, Problem> {
    let unknown =
        || Problem::not_found("no_such_payment", "There is no payment with the id in the path.");
    let payment: PaymentId = exchange.param("payment").parse().map_err(|_| unknown())?;
    let found = provider.ask(provider.ports.ledger.simulated_payment(payment)).await;
    found.map_err(away)?.ok_or_else(unknown)
}

fn away(error: sluice_core::ports::ProviderError) -> Problem {
    tracing::warn!(
        error = &error as &dyn std::error::Error,
        "the simulated provider cannot reach its records"
    );
    Problem::unavailable(std::time::Duration::from_secs(1))
}

/// Reads the choice: from a form, as a browser without scripts sends it, or from JSON.
async fn choice(exchange: &mut Exchange) -> Result<(Pressed, Form), Problem> {
    let kind = exchange.header(CONTENT_TYPE.as_str()).unwrap_or_default();
    let is_form = kind
        .split(';')
        .next()
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"));
    if !is_form {
        let Choice { result } = exchange.json(BODY_BYTES_MAX).await?;
        return Ok((result, Form::Json));
    }
    let body: Bytes = exchange.body(BODY_BYTES_MAX).await?;
    match &body[..] {
        b"result=succeed" => Ok((Pressed::Succeed, Form::Page)),
        b"result=fail" => Ok((Pressed::Fail, Form::Page)),
        _ => Err(Problem::bad_request("`result` must be `succeed` or `fail`.")),
    }
}

async fn answer(
    provider: &Provider,
    status: StatusCode,
    record: &SimulatedPayment,
    form: Form,
) -> Response {
    match form {
        Form::Json => {
            let object = PaymentObject { payment: record.payment, state: word(record.state) };
            uncached(json(status, &object))
        }
        Form::Page => page(status, record, &back(provider, record).await),
    }
}

/// The way back to the waiting page, once nothing is left to press; none where it is not known.
async fn back(provider: &Provider, record: &SimulatedPayment) -> String {
    let plain = |url: &&String| {
        url.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"<>&".contains(&byte))
    };
    let over = record.state != SimulatedState::Open;
    let Some(base) = provider.settings.waiting_url.as_ref().filter(plain).filter(|_| over) else {
        return String::new();
    };
    // A courtesy: without an answer the page goes without.
    let order = provider.ask(provider.ports.ledger.order(record.order)).await;
    order.ok().flatten().map_or_else(String::new, |order| {
        format!("<p><a href=\"{base}/w/{}\">Back to your place</a></p>\n", order.sale)
    })
}

fn page(status: StatusCode, record: &SimulatedPayment, back: &str) -> Response {
    let amount = format!("{} {}", decimal(record.amount), record.currency);
    let (page, message) = match record.state {
        SimulatedState::Open => (OPEN_PAGE, ""),
        SimulatedState::Succeeded => (OVER_PAGE, "This payment succeeded."),
        SimulatedState::Failed => (OVER_PAGE, "This payment failed. No money was taken."),
        SimulatedState::Closed => (OVER_PAGE, "This payment was closed. No money was taken."),
        SimulatedState::Refunded => (OVER_PAGE, "This payment was refunded. The money went back."),
    };
    // Nothing here comes from a client: ids, digits, three letters, an address of the configuration, sentences of ours.
    let html = page
        .replace("{{payment}}", &record.payment.to_string())
        .replace("{{amount}}", &amount)
        .replace("{{message}}", message)
        .replace("{{back}}", back);
    let mut response = uncached(Response::new(html.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn style() -> Response {
    let mut response = Response::new(STYLE.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/css; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn uncached(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn word(state: SimulatedState) -> &'static str {
    match state {
        SimulatedState::Open => "open",
        SimulatedState::Succeeded => "succeeded",
        SimulatedState::Failed => "failed",
        SimulatedState::Closed => "closed",
        SimulatedState::Refunded => "refunded",
    }
}

/// `9905` as `99.05`. Amounts are never negative.
fn decimal(amount: AmountFen) -> String {
    format!("{}.{:02}", amount.0 / 100, amount.0 % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_whole_units() {
        assert_eq!(decimal(AmountFen(9_905)), "99.05");
        assert_eq!(decimal(AmountFen(7)), "0.07");
    }

    #[test]
    fn the_pages_load_nothing_from_elsewhere_and_run_nothing() {
        for page in [OPEN_PAGE, OVER_PAGE] {
            assert!(page.contains(r#"href="/v1/payments/simulated/page.css""#));
            assert!(page.contains(r#"<html lang="en">"#));
            assert!(!page.contains("<script") && !page.contains("style=") && !page.contains("://"));
        }
    }
}
