//! `GET /v1/sales/{sale}/entries/{entry}`: where an entry stands. While it waits this is the node's own memory: verify the
//! token, subtract cursor and holes, done. No store, no lock beyond the limiters' cells.

use std::{borrow::Cow, sync::Arc};

use http::header::SET_COOKIE;
use sluice_core::{
    clock::UnixMillis, entry::EntryState, ids::Seq, token::Claims, view::object::EntryObject,
};
use sluice_http::{Exchange, Problem, Response};

use crate::{
    Admission, answer,
    edge::Edge,
    fresh,
    holder::{Age, Holder},
};

pub(crate) async fn show(
    admission: Arc<Admission>,
    exchange: Exchange,
) -> Result<Response, Problem> {
    let edge = admission.edge(exchange.param("sale"), exchange.peer.address).await?;
    let rules = edge.rules(&admission.ports.limits);
    let now = admission.ports.clock.now();
    let holder = admission.holder(&exchange, &edge, &rules.1, Age::Live, now)?;
    let shown = shown(&admission, &exchange, &edge, &holder, now).await;
    let mut response = shown.map_err(|problem| rules.1.refuse(problem, holder.allowed))?;
    rules.1.tell(&mut response, holder.allowed);
    Ok(response)
}

async fn shown(
    admission: &Admission,
    exchange: &Exchange,
    edge: &Edge,
    holder: &Holder,
    now: UnixMillis,
) -> Result<Response, Problem> {
    let seen = read_seen(exchange.query("seen"))?;
    let mut object = admission.object(edge, &holder.claims, seen).await?;
    let unsettled = matches!(object.state, EntryState::Waiting | EntryState::Standby);
    if unsettled && admission.has_banned_header(exchange) {
        return Err(admission.turn_away(edge, &holder.claims).await?);
    }
    if fresh::is_due(&holder.claims, now)
        && let Some(fresh) = admission.renewed(&holder.claims)
    {
        object.token = Some(fresh.token);
        object.token_expires_at = fresh.expires_at;
    }
    let mut response = answer::entry(exchange, &object);
    if let Some(token) = object.token.as_deref().filter(|_| holder.by_cookie) {
        let cookie = admission.config.cookies.set_place(&edge.sale, token);
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

impl Admission {
    /// The object of an entry: from memory while it waits, from the stores once the cursor has passed it or it ended.
    pub(crate) async fn object(
        &self,
        edge: &Edge,
        claims: &Claims,
        seen: Option<Seq>,
    ) -> Result<EntryObject, Problem> {
        if self.ended.contains(claims.entry)
            && let Some(record) = self.ask(self.lookup.record(claims)).await?
        {
            return Ok(EntryObject::settled(&edge.view.read(), claims, &record, &self.ports.urls));
        }
        match self.lookup.waiting(&edge.view, claims, seen) {
            Some(object) => Ok(object),
            None => self.ask(self.lookup.entry(&edge.view, claims, seen)).await,
        }
    }
}

fn read_seen(query: Option<Cow<'_, str>>) -> Result<Option<Seq>, Problem> {
    let Some(text) = query else { return Ok(None) };
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(seen) if digits => Ok(Some(Seq(seen))),
        Ok(_) | Err(_) => Err(Problem::bad_request(
            "`seen` must be a whole number: the highest `serving` this client was shown.",
        )
        .field("seen")),
    }
}
