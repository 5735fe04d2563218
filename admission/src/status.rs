//! `GET /v1/sales/{sale}/entries/{entry}`: where an entry stands. While it waits this is the node's own memory: verify the
//! token, subtract cursor and holes, done. No store, no lock beyond the limiters' cells.

use std::{borrow::Cow, sync::Arc};

use http::header::SET_COOKIE;
use sluice_core::{
    clock::UnixMillis, entry::EntryState, ids::Seq, token::Claims, view::object::EntryObject,
};
use sluice_http::{Answer, Exchange, Problem, Response, limits::Rules};

use crate::{
    Admission, answer,
    edge::Edge,
    fresh,
    holder::{Age, Holder},
};

pub(crate) fn show(admission: Arc<Admission>, exchange: Exchange) -> Answer {
    let Some(edge) = admission.edges.find(exchange.param("sale")) else {
        return Answer::later(async move {
            let edge = admission.edge(exchange.param("sale"), exchange.peer.address).await?;
            let rules = edge.rules(&admission.ports.limits);
            let poll = admission.polled(&exchange, &edge, &rules.1)?;
            admission.ask_stores(&exchange, &edge, &rules.1, poll).await
        });
    };
    let rules = edge.rules(&admission.ports.limits);
    let poll = match admission.polled(&exchange, &edge, &rules.1) {
        Ok(poll) => poll,
        Err(problem) => return Answer::Now(Err(problem)),
    };
    match admission.in_memory(&exchange, &edge, &poll) {
        Some(object) => Answer::Now(Ok(admission.tell(&exchange, &edge, &rules.1, &poll, object))),
        None => {
            Answer::later(
                async move { admission.ask_stores(&exchange, &edge, &rules.1, poll).await },
            )
        }
    }
}

/// A poll that is within its limits, by who holds the place.
struct Poll {
    holder: Holder,
    seen: Option<Seq>,
    now: UnixMillis,
}

impl Admission {
    fn polled(&self, exchange: &Exchange, edge: &Edge, rules: &Rules) -> Result<Poll, Problem> {
        let now = self.ports.clock.now();
        let holder = self.holder(exchange, edge, rules, Age::Live, now)?;
        match read_seen(exchange.query("seen")) {
            Ok(seen) => Ok(Poll { holder, seen, now }),
            Err(problem) => Err(rules.refuse(problem, holder.allowed)),
        }
    }

    /// The object of an entry that waits, and that nothing else has to be asked about.
    fn in_memory(&self, exchange: &Exchange, edge: &Edge, poll: &Poll) -> Option<EntryObject> {
        let claims = &poll.holder.claims;
        if self.told.contains(claims.entry) || self.has_banned_header(exchange) {
            return None;
        }
        self.lookup.waiting(&edge.view, claims, poll.seen)
    }

    async fn ask_stores(
        &self,
        exchange: &Exchange,
        edge: &Edge,
        rules: &Rules,
        poll: Poll,
    ) -> Result<Response, Problem> {
        let refuse = |problem| rules.refuse(problem, poll.holder.allowed);
        let claims = &poll.holder.claims;
        let object = self.object(edge, claims, poll.seen).await.map_err(refuse)?;
        let unsettled = matches!(object.state, EntryState::Waiting | EntryState::Standby);
        if unsettled && self.has_banned_header(exchange) {
            return Err(refuse(
                self.turn_away(edge, claims).await.unwrap_or_else(|problem| problem),
            ));
        }
        Ok(self.tell(exchange, edge, rules, &poll, object))
    }

    /// The answer, with a fresh token if the old one is due.
    fn tell(
        &self,
        exchange: &Exchange,
        edge: &Edge,
        rules: &Rules,
        poll: &Poll,
        mut object: EntryObject,
    ) -> Response {
        let holder = &poll.holder;
        if fresh::is_due(&holder.claims, poll.now)
            && let Some(fresh) = self.renewed(&holder.claims)
        {
            object.token = Some(fresh.token);
            object.token_expires_at = fresh.expires_at;
        }
        let mut response = answer::entry(exchange, &object);
        if let Some(token) = object.token.as_deref().filter(|_| holder.by_cookie) {
            let cookie = self.config.cookies.set_place(&edge.sale, token);
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        rules.tell(&mut response, holder.allowed);
        response
    }

    /// The object of an entry: from memory while it waits, from the stores once the cursor has passed it or more was told.
    pub(crate) async fn object(
        &self,
        edge: &Edge,
        claims: &Claims,
        seen: Option<Seq>,
    ) -> Result<EntryObject, Problem> {
        if self.told.contains(claims.entry) {
            if let Some(record) = self.ask(self.lookup.record(claims)).await? {
                let (reading, urls) = (edge.view.read(), &self.ports.urls);
                return Ok(EntryObject::settled(&reading, claims, &record, urls));
            }
        } else if let Some(object) = self.lookup.waiting(&edge.view, claims, seen) {
            return Ok(object);
        }
        self.ask(self.lookup.passed(&edge.view, claims, seen)).await
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
