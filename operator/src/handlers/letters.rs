//! Dead letters: what could not be worked is looked at here, and dealt with.
//!
//! A turn goes back to its queue, or its entry ends `refused`; a callback goes back; what is none of ours goes back or is
//! removed. Each is on record before it is done: what an operator meant to do is known even if the process dies over it.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use serde_json::json;
use sluice_core::{
    basket::Item,
    clock::UnixMillis,
    entry::Outcome,
    event::Turn,
    ids::{BuyerId, EntryId, LetterId, OrderId, PaymentId, SaleId, Seq},
    money::{AmountFen, Currency},
    policy::OutOfRange,
    ports::{
        Audit, DeadLetter, LetterContent, LetterOrder, LetterReplay, NewOutcome, OutcomeReason,
        PaymentUpdate,
    },
};
use sluice_http::{Exchange, Problem, Response, empty};

use crate::{
    audited::{Attempt, Refusal},
    desk::Desk,
    reply::{fresh, query_number},
    wire::ReasonBody,
};

const LETTERS_DEFAULT: u32 = 100;

#[derive(Serialize)]
struct Page<'a> {
    letters: Vec<LetterObject<'a>>,
    /// Give this as `after` for the next page; `null` when there are no more.
    next_after: Option<&'a LetterId>,
}

/// A letter, with that of `turn`, `callback` and `foreign` which it is.
#[derive(Serialize)]
struct LetterObject<'a> {
    id: &'a LetterId,
    queue: &'static str,
    reason: &'a str,
    tries: u32,
    since: Option<UnixMillis>,
    age_seconds: Option<u64>,
    turn: Option<TurnObject<'a>>,
    callback: Option<CallbackObject<'a>>,
    foreign: Option<ForeignObject<'a>>,
}

#[derive(Serialize)]
struct TurnObject<'a> {
    sale: &'a SaleId,
    entry: EntryId,
    seq: Seq,
    buyer: &'a BuyerId,
    items: &'a [Item],
    attempt: u32,
    called_at: UnixMillis,
}

#[derive(Serialize)]
struct CallbackObject<'a> {
    payment: PaymentId,
    order: OrderId,
    version: u64,
    status: &'a str,
    amount_fen: AmountFen,
    currency: Currency,
}

#[derive(Serialize)]
struct ForeignObject<'a> {
    bytes: u64,
    text: &'a str,
}

impl<'a> LetterObject<'a> {
    fn new(letter: &'a DeadLetter, now: UnixMillis) -> Self {
        let mut object = Self {
            id: &letter.id,
            queue: letter.source.as_str(),
            reason: &letter.reason,
            tries: letter.tries,
            since: letter.since,
            age_seconds: letter.since.map(|since| now.since(since).as_secs()),
            turn: None,
            callback: None,
            foreign: None,
        };
        match &letter.content {
            LetterContent::Turn(turn) => object.turn = Some(TurnObject::new(turn)),
            LetterContent::Callback(update) => object.callback = Some(CallbackObject::new(update)),
            LetterContent::Foreign { bytes, text } => {
                object.foreign = Some(ForeignObject { bytes: *bytes, text });
            }
        }
        object
    }
}

impl<'a> TurnObject<'a> {
    fn new(turn: &'a Turn) -> Self {
        let entry = &turn.line_entry;
        Self {
            sale: &turn.sale,
            entry: entry.entry,
            seq: entry.seq,
            buyer: &entry.buyer,
            items: entry.basket.items(),
            attempt: turn.attempt,
            called_at: turn.called_at,
        }
    }
}

impl<'a> CallbackObject<'a> {
    fn new(update: &'a PaymentUpdate) -> Self {
        Self {
            payment: update.payment,
            order: update.order,
            version: update.version,
            status: update.state.as_str(),
            amount_fen: update.amount,
            currency: update.currency,
        }
    }
}

/// `GET /v1/dead-letters?order=newest|oldest&after=<id>&limit=<n>`
pub(crate) async fn list(desk: Arc<Desk>, exchange: Exchange) -> Result<Response, Problem> {
    let order = match exchange.query("order").as_deref() {
        None | Some("" | "newest") => LetterOrder::Newest,
        Some("oldest") => LetterOrder::Oldest,
        Some(_) => {
            let detail = "`order` must be `newest` or `oldest`.";
            return Err(Problem::bad_request(detail).field("order"));
        }
    };
    let after = match exchange.query("after").as_deref() {
        None | Some("") => None,
        Some(text) => Some(LetterId::new(text).map_err(|_| {
            let detail = "`after` must be the id of a letter: `next_after` of the page before.";
            Problem::bad_request(detail).field("after")
        })?),
    };
    let most = desk.limits.letters_max;
    let limit = query_number(&exchange, "limit")?.unwrap_or(LETTERS_DEFAULT.min(most));
    if !(1..=most).contains(&limit) {
        let rule = format!("must be 1 to {most}");
        return Err(Problem::out_of_range(&OutOfRange::new("limit", rule)));
    }
    let page = desk.ports.letters.list(order, after.as_ref(), limit as usize).await?;
    let now = desk.ports.clock.now();
    let last = page.letters.last().filter(|_| page.more);
    let next_after = last.map(|letter| &letter.id);
    let letters = page.letters.iter().map(|letter| LetterObject::new(letter, now)).collect();
    Ok(fresh(StatusCode::OK, &Page { letters, next_after }))
}

/// `GET /v1/dead-letters/{letter}`
pub(crate) async fn show(desk: Arc<Desk>, exchange: Exchange) -> Result<Response, Problem> {
    let letter = find(&desk, &exchange).await?;
    Ok(fresh(StatusCode::OK, &LetterObject::new(&letter, desk.ports.clock.now())))
}

/// `POST /v1/dead-letters/{letter}/replay`
pub(crate) async fn replay(mut attempt: Attempt) -> Result<Response, Refusal> {
    let letter = begin(&mut attempt, "letter.replay", Fit::Any).await?;
    match attempt.desk.ports.letters.replay(&letter.id).await? {
        LetterReplay::Replayed => {
            let told =
                json!({ "id": letter.id, "queue": letter.source.as_str(), "result": "replayed" });
            Ok(fresh(StatusCode::OK, &told))
        }
        LetterReplay::NoSuchLetter => Err(Refusal::Recorded(no_such_letter())),
        LetterReplay::NoSource => Err(Refusal::Recorded(Problem::conflict(
            "no_source",
            "The queue it was taken from is unknown or gone, so it cannot go back. Remove it once you have seen to it.",
        ))),
    }
}

/// `POST /v1/dead-letters/{letter}/refuse`: the entry ends `refused`, unless it has ended before; then the letter goes.
pub(crate) async fn refuse(mut attempt: Attempt) -> Result<Response, Refusal> {
    let letter = begin(&mut attempt, "letter.refuse", Fit::Turn).await?;
    let LetterContent::Turn(turn) = letter.content else {
        return Err(Refusal::Recorded(no_entry()));
    };
    let desk = &attempt.desk;
    let refused = NewOutcome {
        line_entry: turn.line_entry,
        outcome: Outcome::Refused,
        reason: OutcomeReason::Plain,
    };
    let mut records = desk.ports.ledger.settle(&turn.sale, vec![refused]).await?;
    let record = records.pop().ok_or_else(Problem::internal)?;
    desk.spread(&record).await?;
    desk.ports.letters.remove(&letter.id).await?;
    let told = json!({
        "id": letter.id,
        "sale": record.sale,
        "entry": record.entry,
        "outcome": record.outcome.as_str(),
        "at": record.at,
    });
    Ok(fresh(StatusCode::OK, &told))
}

/// `DELETE /v1/dead-letters/{letter}`: for what has no entry that waits for an end.
pub(crate) async fn remove(mut attempt: Attempt) -> Result<Response, Refusal> {
    let letter = begin(&mut attempt, "letter.remove", Fit::NoTurn).await?;
    if attempt.desk.ports.letters.remove(&letter.id).await? {
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    Err(Refusal::Recorded(no_such_letter()))
}

/// Which letters something can be done with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fit {
    Any,
    Turn,
    NoTurn,
}

/// Finds the letter, sees that it fits, and writes down what is about to be done with it.
async fn begin(attempt: &mut Attempt, verb: &str, fit: Fit) -> Result<DeadLetter, Refusal> {
    let body: ReasonBody = attempt.json_if_any().await?;
    let reason = attempt.reason(body.reason)?;
    let letter = find(&attempt.desk, &attempt.exchange).await?;
    let is_turn = matches!(letter.content, LetterContent::Turn(_));
    match fit {
        Fit::Turn if !is_turn => return Err(no_entry().into()),
        Fit::NoTurn if is_turn => {
            let detail =
                "It is a turn, and its entry waits for an end: refuse it or replay it instead.";
            return Err(Problem::conflict("wrong_state", detail).into());
        }
        Fit::Any | Fit::Turn | Fit::NoTurn => {}
    }
    let before = json!({
        "queue": letter.source.as_str(),
        "reason": letter.reason,
        "tries": letter.tries,
        "since": letter.since,
    });
    let audit = Audit {
        author: attempt.caller.author(),
        verb: verb.to_owned(),
        subject: letter.id.to_string(),
        before,
        after: subject(&letter.content),
        result: "ok".to_owned(),
        reason,
    };
    attempt.desk.ports.ledger.record(audit).await?;
    Ok(letter)
}

/// What a letter is about, for the audit log: never a buyer, nor a stranger's text.
fn subject(content: &LetterContent) -> serde_json::Value {
    match content {
        LetterContent::Turn(turn) => json!({ "sale": turn.sale, "entry": turn.line_entry.entry }),
        LetterContent::Callback(update) => {
            json!({ "order": update.order, "payment": update.payment, "version": update.version })
        }
        LetterContent::Foreign { bytes, .. } => json!({ "bytes": bytes }),
    }
}

async fn find(desk: &Desk, exchange: &Exchange) -> Result<DeadLetter, Problem> {
    let id = LetterId::new(exchange.param("letter")).map_err(|_| no_such_letter())?;
    desk.ports.letters.letter(&id).await?.ok_or_else(no_such_letter)
}

fn no_such_letter() -> Problem {
    Problem::not_found(
        "no_such_letter",
        "There is no dead letter of this id: it was dealt with, or never was. `GET /v1/dead-letters` lists those there are.",
    )
}

fn no_entry() -> Problem {
    Problem::conflict(
        "no_entry",
        "It is not a turn, so there is no entry to refuse. Replay it, or remove it once you have seen to it.",
    )
}
