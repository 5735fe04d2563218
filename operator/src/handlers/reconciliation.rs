//! Reconciliation: what was found last, and a run on demand. A worker runs it all the time; a run from here mends the same
//! way, and a gap in the ledger's own sums freezes a sale, whoever finds it first.

use std::{collections::HashMap, sync::Arc};

use futures_util::future::try_join_all;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sluice_core::{
    ids::SaleId,
    ports::{Audit, PortResult},
    reconcile::{Hand, ReconcileSettings, Reconciler, Reconciliation},
    sale::Sale,
};
use sluice_http::{Exchange, Problem, Response};

use crate::{
    audited::{Attempt, Refusal},
    desk::Desk,
    reply::{fresh, no_such_sale},
};

/// Sales that are reconciled at a time.
const AT_ONCE: usize = 4;

#[derive(Serialize)]
struct Found {
    /// Whether everything adds up now.
    sound: bool,
    sales: Vec<Reconciliation>,
}

impl Found {
    fn new(sales: Vec<Reconciliation>) -> Self {
        Self { sound: sales.iter().all(Reconciliation::is_sound), sales }
    }
}

/// The optional body of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunBody {
    /// Every sale, if absent.
    #[serde(default)]
    sale: Option<SaleId>,
    #[serde(default)]
    reason: Option<String>,
}

/// `GET /v1/reconciliation?sale=<id>`
pub(crate) async fn list(desk: Arc<Desk>, exchange: Exchange) -> Result<Response, Problem> {
    let mut sales = desk.ports.ledger.reconciliations().await?;
    if let Some(text) = exchange.query("sale").filter(|text| !text.is_empty()) {
        let id = SaleId::new(&text).map_err(|_| no_such_sale())?;
        desk.ports.ledger.sale(&id).await?.ok_or_else(no_such_sale)?;
        sales.retain(|found| found.sale == id);
    }
    Ok(fresh(StatusCode::OK, &Found::new(sales)))
}

/// `POST /v1/reconciliation/run`
pub(crate) async fn run(mut attempt: Attempt) -> Result<Response, Refusal> {
    let body: RunBody = attempt.json_if_any().await?;
    let reason = attempt.reason(body.reason)?;
    let desk = &attempt.desk;
    if desk.shop.is_some() {
        return Err(Problem::conflict(
            "wrong_state",
            "The shop keeps its goods itself (`worker.mode = \"external\"`): there is nothing to compare.",
        )
        .into());
    }
    let sales = match &body.sale {
        Some(id) => vec![desk.ports.ledger.sale(id).await?.ok_or_else(no_such_sale)?],
        None => desk.ports.ledger.sales().await?,
    };
    let found = Found::new(reconcile(desk, &sales).await?);
    let audit = Audit {
        author: attempt.caller.author(),
        verb: "reconciliation.run".to_owned(),
        subject: body.sale.map_or_else(String::new, |sale| sale.to_string()),
        before: serde_json::Value::Null,
        after: json!({ "sales": found.sales.len(), "sound": found.sound }),
        result: "ok".to_owned(),
        reason,
    };
    desk.ports.ledger.record(audit).await?;
    Ok(fresh(StatusCode::OK, &found))
}

/// In the order of the sales.
async fn reconcile(desk: &Desk, sales: &[Arc<Sale>]) -> PortResult<Vec<Reconciliation>> {
    let ports = &desk.ports;
    let reconciler = Reconciler {
        ledger: Arc::clone(&ports.ledger),
        gate: Arc::clone(&ports.gate),
        bulletin: Arc::clone(&ports.bulletin),
        clock: Arc::clone(&ports.clock),
        settings: ReconcileSettings::default(),
    };
    let before = ports.ledger.reconciliations().await?;
    let before: HashMap<SaleId, Reconciliation> =
        before.into_iter().map(|found| (found.sale.clone(), found)).collect();
    let mut found = Vec::with_capacity(sales.len());
    for some in sales.chunks(AT_ONCE) {
        let runs: Vec<_> = some
            .iter()
            .map(|sale| reconciler.run(sale, Hand::Operator, before.get(&sale.id)))
            .collect();
        found.extend(try_join_all(runs).await?);
    }
    Ok(found)
}
