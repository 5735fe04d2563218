//! Sales: listing, showing, making, deleting.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::Seq,
    ports::{Author, Changed, Created, Deleted, PortError},
    sale::{Sale, SaleChange},
};
use sluice_http::{Exchange, Problem, Response, empty};

use crate::{
    audited::{Attempt, Refusal, sale_of, stale},
    desk::Desk,
    reply::{self, SaleObject, fresh, if_match, no_such_sale},
    wire::SaleBody,
};

/// How long after a close nobody joins any more, on any node: the bound on how fast a change bites.
const CLOSE_BITES_WITHIN: Duration = Duration::from_millis(250);

#[derive(Serialize)]
struct SaleList<'a> {
    sales: Vec<SaleObject<'a>>,
    now: UnixMillis,
}

pub(crate) async fn list(desk: Arc<Desk>, _exchange: Exchange) -> Result<Response, Problem> {
    let sales = desk.ports.ledger.sales().await?;
    let sales = sales.iter().map(|sale| SaleObject::new(&desk, sale)).collect();
    Ok(fresh(StatusCode::OK, &SaleList { sales, now: desk.ports.clock.now() }))
}

pub(crate) async fn show(desk: Arc<Desk>, exchange: Exchange) -> Result<Response, Problem> {
    let sale = desk.ports.ledger.sale(&sale_of(&exchange)?).await?.ok_or_else(no_such_sale)?;
    Ok(reply::sale(&desk, StatusCode::OK, &sale))
}

pub(crate) async fn create(mut attempt: Attempt) -> Result<Response, Refusal> {
    let body: SaleBody = attempt.json().await?;
    let (desk, author) = (&attempt.desk, attempt.caller.author());
    let id = body.id.clone();
    match make(desk, body, &author).await {
        // The path does not name the sale, so the row is written here.
        Err(problem) if problem.status().is_client_error() => {
            desk.record_refusal(author, "sale.create", id.to_string(), &problem).await;
            Err(Refusal::Recorded(problem))
        }
        made => Ok(made?),
    }
}

async fn make(desk: &Desk, body: SaleBody, author: &Author) -> Result<Response, Problem> {
    let sale = body
        .into_new_sale()?
        .build(desk.ports.clock.now())
        .map_err(|broken| Problem::out_of_range(&broken))?;
    let _one_at_a_time = desk.set_of_sales.lock().await;
    let created = desk.ports.ledger.create_sale(sale, author).await?;
    let (Created::New(sale) | Created::Exists(sale)) = &created;
    // Before the sale is shown to anybody. Also for one that exists: whoever made it may have died in between.
    desk.ports.waiting.declare(&sale.id).await?;
    desk.announce(sale).await;
    match created {
        Created::New(sale) => {
            let mut response = reply::sale(desk, StatusCode::CREATED, &sale);
            if let Ok(location) = HeaderValue::try_from(format!("/v1/sales/{}", sale.id)) {
                response.headers_mut().insert(header::LOCATION, location);
            }
            Ok(response)
        }
        Created::Exists(sale) => Err(Problem::conflict(
            "sale_exists",
            format!(
                "A sale with the id `{}` exists; it was not changed. Choose another id, or tune that one.",
                sale.id
            ),
        )),
    }
}

/// A sale that is still on is closed first, so that nobody can join between the look at its line and its end.
pub(crate) async fn delete(attempt: Attempt) -> Result<Response, Refusal> {
    let desk = &attempt.desk;
    let (ledger, author) = (&desk.ports.ledger, attempt.caller.author());
    let id = attempt.sale()?;
    let (expected, why) = (if_match(&attempt.exchange)?, attempt.reason(None)?);
    let _one_at_a_time = desk.set_of_sales.lock().await;
    let Some(sale) = ledger.sale(&id).await? else {
        // An earlier deletion may have been cut off before the other stores heard of it.
        desk.sweep_deleted(&id).await?;
        return Err(no_such_sale().into());
    };
    if expected.is_some_and(|expected| expected != sale.version) {
        return Err(stale(sale.version).into());
    }
    must_be_empty(desk, &sale).await?;
    if !sale.is_over(desk.ports.clock.now()) {
        let reason = Some("it is being deleted".to_owned());
        match ledger
            .change_sale(&id, Some(sale.version), SaleChange::Close, &author, reason)
            .await?
        {
            Changed::Done(closed) => desk.announce(&closed).await,
            Changed::Stale { current } => return Err(stale(current).into()),
            Changed::NoSuchSale => return Err(no_such_sale().into()),
            Changed::Refused(refused) => {
                return Err(busy(&format!("it could not be closed: {refused}")).into());
            }
        }
        tokio::time::sleep(CLOSE_BITES_WITHIN).await;
        must_be_empty(desk, &sale).await?;
    }
    match ledger.delete_sale(&id, &author, why).await? {
        Deleted::Done => {
            desk.sweep_deleted(&id).await?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        Deleted::NoSuchSale => Err(no_such_sale().into()),
        Deleted::Busy { open_orders } => Err(busy(&format!(
            "{open_orders} of its orders are not final, or entries of it have no outcome"
        ))
        .into()),
    }
}

/// Whether every entry has an outcome, as far as the line knows; the ledger knows of the orders.
async fn must_be_empty(desk: &Desk, sale: &Sale) -> Result<(), Refusal> {
    let (waiting, called) = match desk.ports.line.snapshot(&sale.id).await {
        Ok(snapshot) => (snapshot.cursor.waiting(snapshot.last), snapshot.called),
        // A line that was never given a number is empty, whoever remembers it.
        Err(PortError::Cold) if desk.ports.ledger.high_water(&sale.id).await? == Seq(0) => (0, 0),
        Err(error) => return Err(error.into()),
    };
    // The cursor has passed the parked, but they wait: only the speaker's report counts them.
    let reported = desk
        .ports
        .directory
        .sale(&sale.id)
        .and_then(|view| view.read().report().map(|report| report.waiting))
        .unwrap_or(0);
    let waiting = waiting.max(reported);
    if waiting > 0 || called > 0 {
        return Err(busy(&format!("{waiting} entries wait and {called} are called")).into());
    }
    Ok(())
}

/// 409 `sale_busy`.
fn busy(what: &str) -> Problem {
    Problem::conflict(
        "sale_busy",
        format!(
            "The sale cannot be deleted yet: {what}. Close it (`POST …/close`), and delete it when every entry has its \
             outcome and every order is final."
        ),
    )
}
