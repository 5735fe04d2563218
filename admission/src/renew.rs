//! `POST …/{entry}/token`: a fresh token for a live or an expired one, while the entry or its order lives.

use std::{sync::Arc, time::Duration};

use arc_swap::Guard;
use http::{
    StatusCode,
    header::{CACHE_CONTROL, SET_COOKIE},
};
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::{EntryId, SaleId},
    token::Claims,
};
use sluice_http::{Exchange, Problem, Response, json};

use crate::{
    Admission,
    answer::NO_STORE,
    edge::Edge,
    fresh::{Fresh, spread},
    holder::Age,
};

/// How long after the last change of an entry or its order a token may be renewed.
const RENEWABLE_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);

#[derive(Serialize)]
struct Renewed<'a> {
    entry: EntryId,
    sale: &'a SaleId,
    token: &'a str,
    token_expires_at: UnixMillis,
}

pub(crate) async fn renew(
    admission: Arc<Admission>,
    exchange: Exchange,
) -> Result<Response, Problem> {
    let edge = admission.edge(exchange.param("sale"), exchange.peer.address).await?;
    let rules = Guard::into_inner(edge.rules(&admission.ports.limits));
    let now = admission.ports.clock.now();
    let holder = admission.holder(&exchange, &edge, &rules.1, Age::LiveOrExpired, now)?;
    let fresh = fresh(&admission, &exchange, &edge, &holder.claims, now).await;
    let fresh = fresh.map_err(|problem| rules.1.refuse(problem, holder.allowed))?;
    let body = Renewed {
        entry: holder.claims.entry,
        sale: &edge.sale,
        token: &fresh.token,
        token_expires_at: fresh.expires_at,
    };
    let mut response = json(StatusCode::OK, &body);
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    rules.1.tell(&mut response, holder.allowed);
    if holder.by_cookie {
        let cookie = admission.config.cookies.set_place(&edge.sale, &fresh.token);
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

pub(crate) async fn fresh(
    admission: &Admission,
    exchange: &Exchange,
    edge: &Edge,
    claims: &Claims,
    now: UnixMillis,
) -> Result<Fresh, Problem> {
    let record = admission.ask(admission.lookup.record(claims));
    let (moved, record) = tokio::join!(admission.is_moved(claims), record);
    if moved {
        return Err(admission.moved(exchange, edge));
    }
    match record? {
        Some(record) if now.since(record.changed_at) > RENEWABLE_FOR => Err(Problem::unauthorized(
            "token_expired",
            "The queue token has expired for good: this entry ended more than 30 days ago.",
        )),
        Some(_ended) => Ok(admission.fresh(claims)),
        None if admission.has_banned_header(exchange) => {
            Err(admission.turn_away(edge, claims).await?)
        }
        None => admission.renewed(claims).ok_or_else(|| {
            Problem::unavailable(spread(&admission.ports.random, Duration::from_secs(1)))
        }),
    }
}
