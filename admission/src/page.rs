//! `GET /w/{sale}`: the waiting page, and what its forms ask for without JavaScript: to join and to leave. (The form that pays goes to
//! where orders are.)
//!
//! What it looks like is `sluice-pages`; here is who may see and do what. The page's cookie proves the place. Reading by
//! it is allowed on whatever way somebody came (a link on a shop's page is how most come, and no other site can read the
//! answer); changing anything by it is not.

use std::sync::Arc;

use arc_swap::Guard;
use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, ACCEPT_LANGUAGE, CACHE_CONTROL, LOCATION, RETRY_AFTER, SET_COOKIE},
};
use sluice_core::{
    clock::UnixMillis,
    entry::EntryState,
    ids::Seq,
    order::{Order, OrderName, OrderState},
    token::{Claims, Verified},
    view::object::EntryObject,
};
use sluice_http::{Exchange, Form, Problem, Response, empty};
use sluice_pages::{Bought, Filled, Shown, ShownSale, Trouble, Visit};

use crate::{
    Admission, answer::NO_STORE, edge::Edge, fresh, holder::cross_site, join::Asked, leave, renew,
};

/// Longest form, in bytes.
const FORM_BYTES_MAX: usize = 4 * 1024;
/// Remembers the chosen language. It proves nothing, so it needs neither signature nor `__Host-`.
const LANGUAGE: &str = "sluice-language";
const LANGUAGE_SECONDS: u32 = 365 * 24 * 60 * 60;

/// What a page shows beside the sale.
#[derive(Default)]
struct Looked {
    entry: Option<EntryObject>,
    /// A fresh token for the cookie.
    cookie: Option<HeaderValue>,
    problem: Option<Problem>,
    filled: Option<Filled>,
    order: Option<Order>,
    /// Proves whose order it is.
    token: Option<String>,
}

pub(crate) async fn show(
    admission: Arc<Admission>,
    exchange: Exchange,
) -> Result<Response, Problem> {
    if let Some(chosen) = exchange.query("lang") {
        return Ok(choose(&admission, &exchange, &chosen));
    }
    let edge = match admission.edge(exchange.param("sale"), exchange.peer.address).await {
        Ok(edge) => edge,
        Err(problem) => return Ok(page(&admission, &exchange, None, problem, None)),
    };
    let rules = Guard::into_inner(edge.rules(&admission.ports.limits));
    if let Err(problem) = admission.check_origin_limits(&exchange, &rules.1) {
        return Ok(page(&admission, &exchange, None, problem, None));
    }
    let claims = admission.of_cookie(&exchange, &edge);
    let looked = match &claims {
        Some(verified) if admission.ports.directory.has_moved(verified.claims()) => {
            Looked { problem: Some(admission.moved(&exchange, &edge)), ..Looked::default() }
        }
        Some(verified) => look(&admission, &exchange, &edge, verified).await,
        None => Looked::default(),
    };
    Ok(answer(&admission, &exchange, Some(&edge), claims.as_ref(), looked))
}

/// `POST /w/{sale}`: a form of the page. Answers with the page itself, by a redirect when something was done.
pub(crate) async fn submit(
    admission: Arc<Admission>,
    mut exchange: Exchange,
) -> Result<Response, Problem> {
    // What a form changes, a page of another site may not change, whatever proves who asks.
    if exchange.is_cross_site(&admission.config.allowed_origins) {
        return Err(cross_site());
    }
    let form = exchange.form(FORM_BYTES_MAX).await?;
    let edge = match admission.edge(exchange.param("sale"), exchange.peer.address).await {
        Ok(edge) => edge,
        Err(problem) => return Ok(page(&admission, &exchange, None, problem, None)),
    };
    let filled = filled(&form);
    let done = match form.get("do") {
        Some("join") => admission.take_in(&edge, &mut exchange, Asked::InForm(form)).await,
        Some("leave") => give_up(&admission, &exchange, &edge).await,
        Some(_) | None => Err(Problem::bad_request("`do` must be `join` or `leave`.").field("do")),
    };
    match done {
        Ok(done) => Ok(back(&edge, &done)),
        Err(problem) => Ok(page(&admission, &exchange, Some(&edge), problem, Some(filled))),
    }
}

impl Admission {
    /// The place that the page's cookie proves, be its token live or expired.
    fn of_cookie(&self, exchange: &Exchange, edge: &Edge) -> Option<Verified> {
        let token = self.place_cookie(exchange, edge)?;
        let verified = self.ports.keyring.verify_claims(token, self.ports.clock.now()).ok()?;
        (verified.claims().sale == edge.sale).then_some(verified)
    }
}

/// Where the place stands. Whoever comes from our own page is noted as still holding it.
async fn look(
    admission: &Admission,
    exchange: &Exchange,
    edge: &Edge,
    verified: &Verified,
) -> Looked {
    let now = admission.ports.clock.now();
    let own = !exchange.is_cross_site(&admission.config.allowed_origins);
    match read(admission, exchange, edge, verified, own, now).await {
        Ok((entry, fresh)) => {
            let place = |token: &String| admission.config.cookies.set_place(&edge.sale, token);
            let cookie = fresh.as_ref().map(place);
            let order = order(admission, &entry).await;
            let live = matches!(verified, Verified::Live(_));
            let known = admission.place_cookie(exchange, edge).filter(|_| live);
            let awaits =
                order.as_ref().is_some_and(|order| order.state == OrderState::AwaitingPayment);
            let token = fresh.or_else(|| known.map(str::to_owned)).filter(|_| awaits);
            Looked { entry: Some(entry), cookie, order, token, ..Looked::default() }
        }
        Err(problem) => Looked { problem: Some(problem), ..Looked::default() },
    }
}

/// The order of an entry, if it is kept here. A page without it still tells that there is one.
async fn order(admission: &Admission, entry: &EntryObject) -> Option<Order> {
    let Some(OrderName::Own(order)) = entry.order else { return None };
    admission.ask(admission.ports.ledger.order(order)).await.ok().flatten()
}

async fn read(
    admission: &Admission,
    exchange: &Exchange,
    edge: &Edge,
    verified: &Verified,
    own: bool,
    now: UnixMillis,
) -> Result<(EntryObject, Option<String>), Problem> {
    let claims = verified.claims();
    let entry = admission.object(edge, claims, seen(exchange).map(Seq)).await?;
    let banned = admission.has_banned_header(exchange);
    if matches!(entry.state, EntryState::Waiting | EntryState::Standby) && banned {
        return Err(admission.turn_away(edge, claims).await?);
    }
    let old = matches!(verified, Verified::Expired(_)) || fresh::is_due(claims, now);
    if !(old && own) {
        return Ok((entry, None));
    }
    let fresh = renew::fresh(admission, exchange, edge, claims, now).await?;
    Ok((entry, Some(fresh.token)))
}

async fn give_up(
    admission: &Admission,
    exchange: &Exchange,
    edge: &Edge,
) -> Result<Response, Problem> {
    let rules = Guard::into_inner(edge.rules(&admission.ports.limits));
    let (allowed, _) = admission.check_origin_limits(exchange, &rules.1)?;
    let Some(Verified::Live(claims)) = admission.of_cookie(exchange, edge) else {
        let detail = "This browser holds no live proof of a place.";
        return Err(rules.1.refuse(Problem::unauthorized("bad_token", detail), allowed));
    };
    if admission.ports.directory.has_moved(&claims) {
        return Err(rules.1.refuse(admission.moved(exchange, edge), allowed));
    }
    let limit = rules.1.buyer.check(admission.ports.limits.key(&claims.entry))?;
    let left = leave::left(admission, edge, &claims).await;
    left.map_err(|problem| rules.1.refuse(problem, limit))?;
    // The cookie stays: it shows what became of the place.
    Ok(empty(StatusCode::NO_CONTENT))
}

/// 303 to the page, with the cookies of what was done.
fn back(edge: &Edge, done: &Response) -> Response {
    let mut response = empty(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    for cookie in done.headers().get_all(SET_COOKIE) {
        headers.append(SET_COOKIE, cookie.clone());
    }
    if let Ok(page) = HeaderValue::try_from(format!("/w/{}", edge.sale)) {
        headers.insert(LOCATION, page);
    }
    headers.insert(CACHE_CONTROL, NO_STORE);
    response
}

/// Remembers a language and shows the page in it.
fn choose(admission: &Admission, exchange: &Exchange, chosen: &str) -> Response {
    let mut response = empty(StatusCode::SEE_OTHER);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    // Relative, and without the query: the same page, whatever its name.
    let path = HeaderValue::try_from(exchange.request.uri().path());
    headers.insert(LOCATION, path.unwrap_or(HeaderValue::from_static("/")));
    let cookie = admission.ports.pages.language(chosen).and_then(|tag| {
        let text = format!(
            "{LANGUAGE}={tag}; Path=/w/; Max-Age={LANGUAGE_SECONDS}; HttpOnly; SameSite=Lax"
        );
        HeaderValue::try_from(text).ok()
    });
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
    }
    response
}

/// A page about something that went wrong.
fn page(
    admission: &Admission,
    exchange: &Exchange,
    edge: Option<&Edge>,
    problem: Problem,
    filled: Option<Filled>,
) -> Response {
    let claims = edge.and_then(|edge| admission.of_cookie(exchange, edge));
    let looked = Looked { problem: Some(problem), filled, ..Looked::default() };
    answer(admission, exchange, edge, claims.as_ref(), looked)
}

fn answer(
    admission: &Admission,
    exchange: &Exchange,
    edge: Option<&Edge>,
    verified: Option<&Verified>,
    looked: Looked,
) -> Response {
    let Looked { entry, cookie, problem, filled, order, token } = looked;
    let accepted = exchange.header(ACCEPT_LANGUAGE.as_str());
    let held = verified.map(|verified: &Verified| {
        let claims: &Claims = verified.claims();
        claims.entry.to_string()
    });
    let visit = Visit {
        chosen: exchange.cookie(LANGUAGE),
        accepted,
        encodings: exchange.header(ACCEPT_ENCODING.as_str()),
        entry: held.as_deref(),
        seen: seen(exchange),
    };
    let now = admission.ports.clock.now();
    let code = problem.as_ref().map(Problem::code);
    let shown = Shown {
        sale_id: exchange.param("sale"),
        sale: edge.map(|edge| ShownSale::of(&edge.view.read(), now)),
        entry: entry.as_ref(),
        refusal: code,
        trouble: problem.as_ref().and_then(trouble).or_else(|| brought(exchange)),
        filled,
        order: order.as_ref().map(|order| Bought { order, token: token.as_deref() }),
    };
    let status = problem.as_ref().map_or(StatusCode::OK, Problem::status);
    let mut response = admission.ports.pages.show(status, &visit, &shown);
    let headers = response.headers_mut();
    if let Some(problem) = problem {
        // What the refusal says in its headers (cookies, when to come again) counts for the page as well.
        let told = Response::from(problem);
        for name in [RETRY_AFTER, SET_COOKIE] {
            for value in told.headers().get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
    }
    if let Some(cookie) = cookie {
        headers.append(SET_COOKIE, cookie);
        // A page with a token in it says more.
        if token.is_none() {
            headers.insert(CACHE_CONTROL, NO_STORE);
        }
    }
    response
}

/// What has to be filled in again.
fn trouble(problem: &Problem) -> Option<Trouble> {
    if problem.code() != "bad_request" {
        return None;
    }
    let field = problem.field_path().unwrap_or_default();
    let last = field.rsplit('.').next().unwrap_or_default();
    Some(match last {
        "quantity" | "items" => Trouble::TooMany,
        "from" | "to" => Trouble::Stretch,
        _ => Trouble::Other,
    })
}

/// What whoever sent a browser here has to say: that a payment could not be opened.
fn brought(exchange: &Exchange) -> Option<Trouble> {
    (exchange.query("trouble")? == "payment").then_some(Trouble::Payment)
}

/// What was filled in, as far as it makes sense: the form comes back with it.
fn filled(form: &Form) -> Filled {
    fn number<N: std::str::FromStr>(form: &Form, name: &str) -> Option<N> {
        form.get(name)?.trim().parse().ok()
    }
    Filled {
        sku: form.get("sku").unwrap_or_default().to_owned(),
        quantity: number(form, "quantity"),
        from: number(form, "from"),
        to: number(form, "to"),
    }
}

/// What this page was shown before; anything else counts as nothing.
fn seen(exchange: &Exchange) -> Option<u64> {
    exchange.query("seen")?.parse().ok()
}
