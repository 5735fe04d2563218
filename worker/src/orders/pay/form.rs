//! Paying without a script: the waiting page's form carries the token as a field, and what comes back is a page.

use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY},
};
use sluice_core::ids::SaleId;
use sluice_http::{Body, Exchange, Problem, Response, empty};

use super::{super::BODY_BYTES_MAX, payment};
use crate::{
    orders::{access, private},
    shared::Shared,
};

const POLICY: &str = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// On to the payment; or, where there is none, back to the waiting page, which tells how the order stands. Only a form without a
/// token of ours gets a problem, since nobody knows which page it came from.
pub(super) async fn pay(shared: &Shared, mut exchange: Exchange) -> Result<Response, Problem> {
    let form = exchange.form(BODY_BYTES_MAX).await?;
    let token = form.get("token");
    let paid = payment(shared, &exchange, token).await;
    let sale = token.and_then(|token| access::sale(shared, token));
    match (paid, sale) {
        (Ok((_, payment)), _) if is_web(&payment.pay_url) => Ok(onward(&payment.pay_url)),
        (Ok(_), Some(sale)) => Ok(back(shared, &sale, Some("payment"))),
        // It is paid, or closed, meanwhile: the page says so.
        (Err(problem), Some(sale)) if problem.code() == "wrong_state" => {
            Ok(back(shared, &sale, None))
        }
        (Err(_), Some(sale)) => Ok(back(shared, &sale, Some("payment"))),
        (Ok(_), None) => Err(Problem::internal()),
        (Err(problem), None) => Err(problem),
    }
}

fn is_web(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    match scheme {
        Some(scheme) => ["https", "http"].iter().any(|known| known.eq_ignore_ascii_case(scheme)),
        None => url.starts_with('/') && !url.starts_with("//"),
    }
}

/// A page that goes on by itself. Not a redirect: browsers hold the `form-action` of the page that sent a form against where its
/// answer leads, and where a provider takes payments nobody knows beforehand.
fn onward(pay_url: &str) -> Response {
    let url = escape(pay_url);
    let html = format!(
        "<!doctype html>\n<html><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><meta http-equiv=\"refresh\" content=\"0;url={url}\"><title>…</title></head><body><p><a href=\"{url}\">{url}</a></p></body></html>\n"
    );
    let mut response = Response::new(Body::from(html));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    private(response)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// 303 to the waiting page; `trouble` is what it is to say.
fn back(shared: &Shared, sale: &SaleId, trouble: Option<&str>) -> Response {
    let page = format!("{}/w/{sale}", shared.ports.urls.admission);
    let page = trouble.map_or_else(|| page.clone(), |trouble| format!("{page}?trouble={trouble}"));
    let mut response = empty(StatusCode::SEE_OTHER);
    if let Ok(page) = HeaderValue::try_from(page) {
        response.headers_mut().insert(LOCATION, page);
    }
    private(response)
}
