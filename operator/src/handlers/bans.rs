//! Bans: who is kept out. The dispatcher ends the waiting entries of the banned when it hears of the list's change.

use std::sync::Arc;

use http::StatusCode;
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::Version,
    ports::{Audit, Ban, BanRule, Notice},
};
use sluice_http::{Exchange, Problem, Response, empty};

use crate::{
    audited::{Attempt, Refusal},
    auth::Caller,
    desk::Desk,
    reply::fresh,
    wire::BanBody,
};

/// A ban in the form it was sent in, with what we know of it.
#[derive(Serialize)]
struct BanObject<'a> {
    id: u64,
    #[serde(flatten)]
    rule: &'a BanRule,
    reason: Option<&'a str>,
    at: UnixMillis,
}

impl<'a> BanObject<'a> {
    fn new(ban: &'a Ban) -> Self {
        Self { id: ban.id, rule: &ban.rule, reason: ban.reason.as_deref(), at: ban.at }
    }
}

#[derive(Serialize)]
struct BanObjects<'a> {
    version: Version,
    bans: Vec<BanObject<'a>>,
}

pub(crate) async fn list(desk: Arc<Desk>, _exchange: Exchange) -> Result<Response, Problem> {
    let list = desk.ports.ledger.bans().await?;
    let bans = list.bans.iter().map(BanObject::new).collect();
    Ok(fresh(StatusCode::OK, &BanObjects { version: list.version, bans }))
}

/// 201, or 200 with the ban that is there already.
pub(crate) async fn add(mut attempt: Attempt) -> Result<Response, Refusal> {
    let body: BanBody = attempt.json().await?;
    let desk = &attempt.desk;
    let rule = body.rule()?;
    let reason = attempt.reason(body.reason)?;
    let list = desk.ports.ledger.bans().await?;
    if let Some(known) = list.bans.iter().find(|ban| ban.rule == rule) {
        desk.ports.ledger.record(unchanged(&attempt.caller, known, reason)).await?;
        bite(desk).await?;
        return Ok(fresh(StatusCode::OK, &BanObject::new(known)));
    }
    if list.bans.len() >= desk.limits.bans_max {
        let detail = format!(
            "There are {} bans, which is the most. Remove some, or ban a range.",
            list.bans.len()
        );
        return Err(Problem::conflict("too_many_bans", detail).into());
    }
    let ban = desk.ports.ledger.add_ban(rule, reason, &attempt.caller.author()).await?;
    bite(desk).await?;
    Ok(fresh(StatusCode::CREATED, &BanObject::new(&ban)))
}

/// The row of a ban that was there already.
fn unchanged(caller: &Caller, ban: &Ban, reason: Option<String>) -> Audit {
    Audit {
        author: caller.author(),
        verb: "ban.add".to_owned(),
        subject: ban.id.to_string(),
        before: serde_json::Value::Null,
        after: serde_json::Value::Null,
        result: "unchanged".to_owned(),
        reason,
    }
}

/// By the id in the path.
pub(crate) async fn remove(attempt: Attempt) -> Result<Response, Refusal> {
    let id = attempt.exchange.param("id").parse().map_err(|_| no_such_ban())?;
    lift(&attempt, id, None).await
}

/// By `?id=`, or by the body that made it.
pub(crate) async fn remove_named(mut attempt: Attempt) -> Result<Response, Refusal> {
    if let Some(id) = attempt.exchange.query("id") {
        let id = id.parse().map_err(|_| no_such_ban())?;
        return lift(&attempt, id, None).await;
    }
    let body: Option<BanBody> = attempt.json_if_any().await?;
    let Some(body) = body else {
        let detail =
            "Name the ban: by `?id=`, or by the `buyer`, `cidr` or `header` it was made with.";
        return Err(Problem::bad_request(detail).into());
    };
    let rule = body.rule()?;
    let list = attempt.desk.ports.ledger.bans().await?;
    let known = list.bans.iter().find(|ban| ban.rule == rule).ok_or_else(no_such_ban)?;
    lift(&attempt, known.id, body.reason).await
}

async fn lift(attempt: &Attempt, id: u64, reason: Option<String>) -> Result<Response, Refusal> {
    let (desk, reason) = (&attempt.desk, attempt.reason(reason)?);
    if !desk.ports.ledger.remove_ban(id, &attempt.caller.author(), reason).await? {
        return Err(no_such_ban().into());
    }
    bite(desk).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

fn no_such_ban() -> Problem {
    Problem::not_found("no_such_ban", "There is no such ban. `GET /v1/bans` lists them.")
}

/// In this process now, everywhere else by the bulletin.
async fn bite(desk: &Desk) -> Result<(), Refusal> {
    let list = desk.ports.ledger.bans().await?;
    desk.ports.directory.learn_bans(list);
    desk.tell(Notice::Bans).await;
    Ok(())
}
