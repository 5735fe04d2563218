//! Every attempt to change something leaves exactly one row in the audit log: the ledger writes it together with a
//! change it makes or refuses; what is refused before the ledger is asked is written here.

use std::{borrow::Cow, panic::resume_unwind, sync::Arc, time::Duration};

use http::StatusCode;
use serde::de::DeserializeOwned;
use sluice_core::{
    ids::{LetterId, SaleId, SkuId},
    policy::OutOfRange,
    ports::PortError,
    sale::TEXT_CHARS_MAX,
};
use sluice_http::{Exchange, Problem, Response};
use tokio_util::task::TaskTracker;

use crate::{
    Role,
    auth::Caller,
    desk::Desk,
    metrics,
    reply::{no_such_sale, no_such_sku},
    wire::check_reason,
};

/// Where the reason of a change is sent when its body is something else, or there is none.
const REASON_HEADER: &str = "x-sluice-reason";

/// A request to change something, by somebody who may.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) desk: Arc<Desk>,
    pub(crate) caller: Caller,
    pub(crate) exchange: Exchange,
}

/// Why nothing was changed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The audit log does not know of it yet.
    Unrecorded(Problem),
    /// The ledger wrote the row when it refused.
    Recorded(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Unrecorded(problem)
    }
}

impl From<OutOfRange> for Refusal {
    fn from(broken: OutOfRange) -> Self {
        Self::Unrecorded(Problem::out_of_range(&broken))
    }
}

impl From<PortError> for Refusal {
    fn from(error: PortError) -> Self {
        Self::Unrecorded(error.into())
    }
}

impl Attempt {
    /// The sale the path names; an id that cannot be one names no sale.
    pub(crate) fn sale(&self) -> Result<SaleId, Problem> {
        sale_of(&self.exchange)
    }

    pub(crate) fn sku(&self) -> Result<SkuId, Problem> {
        SkuId::new(self.exchange.param("sku")).map_err(|_| no_such_sku())
    }

    pub(crate) async fn json<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        self.exchange.json(self.desk.limits.body_bytes_max).await
    }

    /// The body, or the default when there is none.
    pub(crate) async fn json_if_any<T: DeserializeOwned + Default>(
        &mut self,
    ) -> Result<T, Problem> {
        Ok(self.exchange.json_or_empty(self.desk.limits.body_bytes_max).await?.unwrap_or_default())
    }

    /// Why, for the audit log: what the body says, otherwise what the header does. A header that is wrong is refused
    /// either way.
    pub(crate) fn reason(&self, in_body: Option<String>) -> Result<Option<String>, Refusal> {
        let sent = self.exchange.decoded_header(REASON_HEADER)?;
        if sent.as_ref().is_some_and(|text| text.chars().count() > TEXT_CHARS_MAX) {
            let detail =
                format!("Header `{REASON_HEADER}` must have at most {TEXT_CHARS_MAX} characters.");
            return Err(Problem::bad_request(detail).field(REASON_HEADER).into());
        }
        let said = check_reason(in_body)?;
        Ok(said.or_else(|| sent.filter(|text| !text.trim().is_empty()).map(Cow::into_owned)))
    }
}

pub(crate) fn sale_of(exchange: &Exchange) -> Result<SaleId, Problem> {
    SaleId::new(exchange.param("sale")).map_err(|_| no_such_sale())
}

/// What a path is about, as the audit log names it. Texts that cannot be names are left out, so that nobody writes what
/// they like into the log.
pub(crate) fn subject_of(exchange: &Exchange) -> String {
    if let Ok(sale) = SaleId::new(exchange.param("sale")) {
        return sale.to_string();
    }
    if let Ok(letter) = LetterId::new(exchange.param("letter")) {
        return letter.to_string();
    }
    exchange.param("id").parse::<u64>().map_or_else(|_| String::new(), |id| id.to_string())
}

/// Lets a caller of the role `needed` change something, and sees to it that a refusal is on record. The work goes on to
/// its end even if the client goes away: a change is never announced by half.
pub(crate) async fn change<F, Fut>(
    desk: Arc<Desk>,
    exchange: Exchange,
    needed: Role,
    verb: &'static str,
    handler: F,
) -> Result<Response, Problem>
where
    F: FnOnce(Attempt) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Response, Refusal>> + Send + 'static,
{
    let (token, address) = (exchange.bearer().map(str::to_owned), exchange.peer.address);
    let caller = desk.authenticate(token, address).await?;
    let author = caller.author();
    let subject = subject_of(&exchange);
    let tasks = desk.tasks.clone();
    let work = async move {
        let answered = match caller.must_be(needed) {
            Ok(()) => handler(Attempt { desk: Arc::clone(&desk), caller, exchange }).await,
            Err(problem) => Err(Refusal::Unrecorded(problem)),
        };
        let problem = match answered {
            Ok(response) => {
                metrics::changed(verb, "ok");
                return Ok(response);
            }
            Err(Refusal::Recorded(problem)) => problem,
            // A fault is not a refusal: whether anything was changed is not known, and the ledger is likely away.
            Err(Refusal::Unrecorded(problem)) if problem.status().is_server_error() => problem,
            Err(Refusal::Unrecorded(problem)) => {
                desk.record_refusal(author, verb, subject, &problem).await;
                problem
            }
        };
        metrics::changed(verb, problem.code());
        Err(problem)
    };
    to_the_end(&tasks, work).await
}

/// Work that goes on to its end even if the client goes away.
pub(crate) async fn to_the_end(
    tasks: &TaskTracker,
    work: impl Future<Output = Result<Response, Problem>> + Send + 'static,
) -> Result<Response, Problem> {
    match tasks.spawn(work).await {
        Ok(answer) => answer,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(Problem::unavailable(Duration::from_secs(1))),
        },
    }
}

/// 412 `stale`.
pub(crate) fn stale(current: sluice_core::ids::Version) -> Problem {
    let detail = format!(
        "`If-Match` names another version: the sale is at version {current}. Read it again first."
    );
    Problem::new(StatusCode::PRECONDITION_FAILED, "stale", detail)
        .header(http::header::ETAG, crate::reply::etag(current))
}
