//! `POST /v1/sales/{sale}/entries`: takes a buyer into the line, or finds the place the buyer has.
//!
//! In this order: the sale is known; limits; who asks; bans; whether the sale takes joins now; the body; the idempotency
//! key; then, with others, the line and the waiting queue. 202 only once the queue has it for good. A live place is
//! found again whatever the sale's state: refusals are for those who have none.
//!
//! What happens to few of those who join is boxed: the future of every join would have room for it, and is moved.

use std::{sync::Arc, time::Duration};

use arc_swap::Guard;
use http::{StatusCode, header::SET_COOKIE};
use sluice_core::{
    clock::UnixMillis,
    ids::{EntryId, Seq},
    line::LineEntry,
    policy::OnSoldOut,
    ports::{IdempotencyKey, Join, JoinLimits, Place, PlaceState, PortError, Replay},
    sale::SaleState,
    token::{Claims, Verified},
    view::Reading,
};
use sluice_http::{Exchange, Problem, Response};
use tokio::{sync::oneshot, time::Instant};

use crate::{
    Admission,
    batch::{Answer, Job},
    edge::Edge,
    fresh::spread,
    holder::cross_site,
    identity::Identified,
    metrics::JoinResult,
    outcome::banned,
};

mod proof;
mod welcome;
mod wish;

use proof::{Proof, is_live};
use welcome::Held;
use wish::Wish;
pub(crate) use wish::{Asked, idempotency_key};

/// When a paused sale, or a full line, is worth another try.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// When a store, or a queue of joins, is.
const TRY_SOON: Duration = Duration::from_secs(1);

pub(crate) async fn join(
    admission: Arc<Admission>,
    mut exchange: Exchange,
) -> Result<Response, Problem> {
    let edge = admission.edge(exchange.param("sale"), exchange.peer.address).await?;
    admission.take_in(&edge, &mut exchange, Asked::InJson).await
}

/// The place a join came to.
enum Joined {
    New(Claims),
    Found(Claims),
}

impl Admission {
    /// Takes a join in, whoever asked for it how, and counts what became of it.
    pub(crate) async fn take_in(
        &self,
        edge: &Edge,
        exchange: &mut Exchange,
        asked: Asked,
    ) -> Result<Response, Problem> {
        let answered = self.join(edge, exchange, &asked).await;
        edge.counters.count(match &answered {
            Ok((result, _)) => *result,
            Err(problem) => JoinResult::Refused(problem.code()),
        });
        answered.map(|(_, response)| response)
    }

    async fn join(
        &self,
        edge: &Edge,
        exchange: &mut Exchange,
        asked: &Asked,
    ) -> Result<(JoinResult, Response), Problem> {
        let rules = Guard::into_inner(edge.rules(&self.ports.limits));
        let (allowed, device) = self.check_origin_limits(exchange, &rules.1)?;
        let identified = match self.cross_site(exchange) {
            Some(refused) => Err(refused),
            None => self.identity.identify(exchange, self.config.join_timeout).await,
        };
        let mut identified = identified.map_err(|problem| rules.1.refuse(problem, allowed))?;
        let allowed = rules.1.buyer.check(self.ports.limits.key(identified.buyer.as_str()))?;
        let limits = self.ports.line.shares_limits().then(|| rules.1.shared(device));
        let now = self.ports.clock.now();
        let proven = self.proven(exchange, edge, now);
        let held = Held {
            proven: proven.as_ref().map(|it| (it.claims().entry, it.claims().held_since)),
            now,
        };
        let placed =
            self.place(edge, exchange, asked, &mut identified, (limits, proven), now).await;
        let welcomed = match placed {
            Ok(Joined::New(claims)) => Ok((JoinResult::New, self.welcome(edge, claims, held))),
            Ok(Joined::Found(claims)) => {
                let back = Box::pin(self.welcome_back(edge, claims, held)).await;
                back.map(|welcome| (JoinResult::Found, welcome))
            }
            Err(problem) => Err(problem),
        };
        match welcomed {
            Ok((result, welcome)) => {
                let mut response = self.told(edge, exchange, asked, welcome);
                rules.1.tell(&mut response, allowed);
                if let Some(cookie) = identified.cookie {
                    response.headers_mut().append(SET_COOKIE, cookie);
                }
                Ok((result, response))
            }
            // What could not be answered may have been recorded: the retry must come from the same buyer.
            Err(problem) => {
                let problem = rules.1.refuse(problem, allowed);
                Err(match identified.cookie {
                    Some(cookie) => problem.header(SET_COOKIE, cookie),
                    None => problem,
                })
            }
        }
    }

    /// Another site's page joins for nobody whom a cookie of ours identifies.
    fn cross_site(&self, exchange: &Exchange) -> Option<Problem> {
        let by_cookie = self.identity.is_by_cookie();
        (by_cookie && exchange.is_cross_site(&self.config.allowed_origins)).then(cross_site)
    }

    async fn place(
        &self,
        edge: &Edge,
        exchange: &mut Exchange,
        asked: &Asked,
        identified: &mut Identified,
        (limits, proven): (Option<JoinLimits>, Option<Verified>),
        now: UnixMillis,
    ) -> Result<Joined, Problem> {
        let address = exchange.peer.address;
        let bans = self.ports.directory.bans();
        if bans.covers(&identified.buyer, Some(address))
            || bans.covers_header(|name| exchange.header(name))
        {
            return Err(banned());
        }
        let (refusal, sale) = {
            let reading = edge.view.read();
            (refusal(&reading, now), Arc::clone(&reading.sale))
        };
        if let Some(refusal) = refusal {
            return Box::pin(self.live_place(edge, proven, identified)).await?.ok_or(refusal);
        }
        let wish = Wish::read(exchange, asked, &sale).await?;
        let proof = match proven {
            Some(Verified::Live(claims)) => Box::pin(self.judge(edge, claims, identified)).await?,
            Some(Verified::Expired(claims)) => {
                Box::pin(self.judge_expired(claims, identified)).await
            }
            None => Proof::Nothing,
        };
        if let Some(key) = idempotency_key(exchange)? {
            let key = replay_key(edge, identified, &wish, key);
            Box::pin(self.check_replay(key)).await?;
        }
        // All of it is here now: whoever sends the body late has not joined before those who were answered meanwhile.
        let now = self.ports.clock.now();
        let candidate = LineEntry {
            entry: EntryId::generate(now, &self.ports.random),
            buyer: identified.buyer.clone(),
            seq: Seq(0),
            holes_below: 0,
            reach: wish.reach(),
            stands_since: ahead(now, identified.head_start),
            basket: wish.basket,
            joined_at: now,
            address: Some(address),
        };
        let join = match proof {
            Proof::Nothing => Join { candidate, proven: None, limits, stand_by: false },
            Proof::Expired(first_joined) => {
                let since = candidate.stands_since.unwrap_or(now).min(first_joined);
                let candidate = LineEntry { stands_since: Some(since), ..candidate };
                Join { candidate, proven: None, limits, stand_by: true }
            }
            Proof::Live(place) => return Box::pin(self.found(edge, place)).await,
            Proof::Ledger(claims) => return Ok(Joined::Found(claims)),
            Proof::Forgotten(Claims { entry, seq, holes_below, joined_at, .. }) => {
                let stands_since = ahead(joined_at, identified.head_start);
                let place = LineEntry { entry, seq, holes_below, joined_at, ..candidate.clone() };
                let proven = Some(LineEntry { stands_since, ..place });
                Join { candidate, proven, limits, stand_by: false }
            }
        };
        let answer = self.send(edge, join)?.await;
        self.joined(edge, answer.ok())
    }

    /// The live place of a buyer whom the sale would refuse now.
    async fn live_place(
        &self,
        edge: &Edge,
        proven: Option<Verified>,
        identified: &mut Identified,
    ) -> Result<Option<Joined>, Problem> {
        if let Some(Verified::Live(claims)) = proven {
            match self.judge(edge, claims, identified).await? {
                Proof::Nothing | Proof::Expired(_) => {}
                Proof::Live(place) => return self.found(edge, place).await.map(Some),
                // It still waits in the queues.
                Proof::Ledger(claims) | Proof::Forgotten(claims) => {
                    return Ok(Some(Joined::Found(claims)));
                }
            }
        }
        if identified.is_new() {
            return Ok(None);
        }
        match self.ask_line(self.ports.line.find_buyer(&edge.sale, &identified.buyer)).await? {
            Some(Some(place)) if is_live(&place) => self.found(edge, place).await.map(Some),
            Some(_) | None => Ok(None),
        }
    }

    /// A live place, made durable first if the queue is not known to have it.
    async fn found(&self, edge: &Edge, place: Place) -> Result<Joined, Problem> {
        let in_queue = matches!(place.state, PlaceState::Waiting | PlaceState::Standby);
        if in_queue && !place.durable {
            let candidate = place.line_entry;
            let join = Join { candidate, proven: None, limits: None, stand_by: false };
            let answer = self.send(edge, join)?.await;
            return self.joined(edge, answer.ok());
        }
        Ok(Joined::Found(claims_of(edge, &place.line_entry)))
    }

    /// Sends a join on its way with others.
    fn send(&self, edge: &Edge, join: Join) -> Result<oneshot::Receiver<Answer>, Problem> {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now() + self.config.join_timeout;
        // Full: too many wait already. Closed: this node is going away.
        let sent = edge.joins.try_send(Job { join, until, reply });
        sent.map_err(|_| self.unavailable())?;
        Ok(answer)
    }

    fn unavailable(&self) -> Problem {
        Problem::unavailable(spread(&self.ports.random, TRY_SOON))
    }

    /// What the answer to a join says; without one this node is going away.
    fn joined(&self, edge: &Edge, answer: Option<Answer>) -> Result<Joined, Problem> {
        match answer.unwrap_or(Answer::Unavailable) {
            Answer::New(place) => Ok(Joined::New(claims_of(edge, &place.line_entry))),
            Answer::Found(place) => Ok(Joined::Found(claims_of(edge, &place.line_entry))),
            Answer::Full if self.is_sold_out_for_good(edge) => {
                Err(Problem::new(StatusCode::GONE, "sold_out", "Everything is sold."))
            }
            Answer::Full => {
                let detail = "The line is full. Come back later: places come free as it moves.";
                let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "line_full", detail);
                Err(problem.retry_after(spread(&self.ports.random, TRY_AGAIN)))
            }
            Answer::Limited { by, retry_after } => {
                Err(edge.rules(&self.ports.limits).1.refused(by, retry_after))
            }
            Answer::Unavailable => Err(self.unavailable()),
        }
    }

    /// Nobody may stand by either: no place comes free.
    fn is_sold_out_for_good(&self, edge: &Edge) -> bool {
        let reading = edge.view.read();
        let policy = &reading.sale.policy;
        let stand_by = policy.on_sold_out == OnSoldOut::Standby && policy.standby_cap > 0;
        !stand_by && reading.state(self.ports.clock.now()) == SaleState::SoldOut
    }

    async fn check_replay(&self, key: IdempotencyKey) -> Result<(), Problem> {
        match self.ask(self.ports.ledger.replay(&key)).await? {
            Replay::First | Replay::Same => Ok(()),
            Replay::Different => Err(Problem::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "This `Idempotency-Key` came with another body before. Use a new key for a new request.",
            )),
        }
    }

    /// Asks the line; `None` when it is cold and knows nothing yet.
    async fn ask_line<T>(
        &self,
        question: impl Future<Output = sluice_core::ports::PortResult<T>>,
    ) -> Result<Option<T>, Problem> {
        let question = async {
            match question.await {
                Ok(answer) => Ok(Some(answer)),
                Err(PortError::Cold) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.ask(question).await
    }
}

fn replay_key(edge: &Edge, identified: &Identified, wish: &Wish, key: &str) -> IdempotencyKey {
    IdempotencyKey {
        scope: format!("join {} {}", edge.sale, identified.buyer),
        key: key.to_owned(),
        body: wish.hash(),
    }
}

/// Since when somebody stands by who joined then, if it comes to that and they have a head start.
fn ahead(joined_at: UnixMillis, head_start: Duration) -> Option<UnixMillis> {
    (head_start > Duration::ZERO).then(|| joined_at.minus(head_start))
}

/// Why the sale takes no joins now, if it does not.
fn refusal(reading: &Reading, now: UnixMillis) -> Option<Problem> {
    let gone = |code, detail| Some(Problem::new(StatusCode::GONE, code, detail));
    let paused = |detail| {
        Some(Problem::new(StatusCode::LOCKED, "sale_paused", detail).retry_after(TRY_AGAIN))
    };
    match reading.state(now) {
        SaleState::Open => None,
        SaleState::Paused if !reading.sale.policy.refuse_while_paused => None,
        SaleState::Paused => paused("The sale is paused and takes no one in until it goes on."),
        SaleState::Frozen => paused("The sale has been stopped and takes no one in for now."),
        SaleState::SoldOut if reading.sale.policy.on_sold_out == OnSoldOut::Standby => None,
        SaleState::SoldOut => gone("sold_out", "Everything is sold."),
        SaleState::Closed => gone("sale_closed", "The sale is over."),
        SaleState::Scheduled => {
            let wait = reading.sale.opens_at.map_or(TRY_AGAIN, |at| at.since(now));
            let detail = "The sale has not opened yet.";
            Some(Problem::new(StatusCode::TOO_EARLY, "not_open_yet", detail).retry_after(wait))
        }
    }
}

/// What a place proves; its token's end is set when it is signed.
fn claims_of(edge: &Edge, line_entry: &LineEntry) -> Claims {
    Claims {
        sale: edge.sale.clone(),
        entry: line_entry.entry,
        seq: line_entry.seq,
        holes_below: line_entry.holes_below,
        wants: edge.view.sale().wants(&line_entry.basket),
        joined_at: line_entry.joined_at,
        held_since: line_entry.joined_at,
        expires_at: UnixMillis(0),
    }
}
