//! `POST …/{entry}/ticket`: a ticket for 60 s that opens the push stream and nothing else, so that no queue token need
//! ever stand in a URL.

use std::sync::Arc;

use arc_swap::Guard;
use http::{StatusCode, header::CACHE_CONTROL};
use serde::Serialize;
use sluice_core::{clock::UnixMillis, token::TICKET_LIFE};
use sluice_http::{Exchange, Problem, Response, json};

use crate::{Admission, answer::NO_STORE, holder::Age};

#[derive(Serialize)]
struct Ticket {
    ticket: String,
    expires_at: UnixMillis,
    links: Links,
}

#[derive(Serialize)]
struct Links {
    push: String,
    events: String,
}

pub(crate) async fn mint(
    admission: Arc<Admission>,
    exchange: Exchange,
) -> Result<Response, Problem> {
    let edge = admission.edge(exchange.param("sale"), exchange.peer.address).await?;
    let rules = Guard::into_inner(edge.rules(&admission.ports.limits));
    let now = admission.ports.clock.now();
    let holder = admission.holder(&exchange, &edge, &rules.1, Age::Live, now)?;
    let expires_at = now.plus(TICKET_LIFE);
    let ticket = admission.ports.keyring.sign_ticket(&holder.claims, expires_at);
    let at = format!("{}/v1/sales/{}", admission.ports.urls.ws_push, edge.sale);
    let links = Links {
        push: format!("{at}/push?ticket={ticket}"),
        events: format!("{at}/events?ticket={ticket}"),
    };
    let mut response = json(StatusCode::OK, &Ticket { ticket, expires_at, links });
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    rules.1.tell(&mut response, holder.allowed);
    Ok(response)
}
