//! Every route of the operator API on one screen: who may, what the audit log calls it, what answers.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sluice_http::{Exchange, Problem, Response, Routes};

use crate::{
    Role::{self, Admin, Operator},
    audited::{self, Attempt, Refusal, subject_of},
    console,
    desk::Desk,
    handlers::{
        audit, bans, letters, me, preview, reconciliation, report, sales, shop, stats, tune,
    },
};

type Answer = Result<Response, Problem>;

pub(crate) fn routes(desk: &Arc<Desk>) -> Routes {
    let routes = Routes::new("operator");
    console::routes(routes)
        .get("/v1/me", reads(desk, me::show))
        .get("/v1/sales", reads(desk, sales::list))
        .post("/v1/sales", changes(desk, Operator, "sale.create", sales::create))
        .get("/v1/sales/{sale}", reads(desk, sales::show))
        .delete("/v1/sales/{sale}", changes(desk, Admin, "sale.delete", sales::delete))
        .patch("/v1/sales/{sale}/policy", changes(desk, Operator, "sale.policy", tune::policy))
        .post("/v1/sales/{sale}/pause", changes(desk, Operator, "sale.pause", tune::pause))
        .post("/v1/sales/{sale}/resume", changes(desk, Operator, "sale.resume", tune::resume))
        .post("/v1/sales/{sale}/close", changes(desk, Operator, "sale.close", tune::close))
        .post("/v1/sales/{sale}/freeze", changes(desk, Admin, "sale.freeze", tune::freeze))
        .post("/v1/sales/{sale}/notice", changes(desk, Operator, "sale.notice", tune::notice))
        .post(
            "/v1/sales/{sale}/skus/{sku}/stock",
            changes(desk, Operator, "sale.stock", tune::stock),
        )
        // It changes nothing, so whoever may read may ask, and nothing is written down.
        .post("/v1/sales/{sale}/preview", reads(desk, preview::show))
        .get("/v1/sales/{sale}/stats", reads(desk, stats::show))
        .get("/v1/sales/{sale}/stats/stream", reads(desk, stats::stream))
        .get("/v1/sales/{sale}/report.csv", reads(desk, report::csv))
        .get("/v1/reconciliation", reads(desk, reconciliation::list))
        .post(
            "/v1/reconciliation/run",
            changes(desk, Operator, "reconciliation.run", reconciliation::run),
        )
        .get("/v1/dead-letters", reads(desk, letters::list))
        .get("/v1/dead-letters/{letter}", reads(desk, letters::show))
        .delete("/v1/dead-letters/{letter}", changes(desk, Admin, "letter.remove", letters::remove))
        .post(
            "/v1/dead-letters/{letter}/replay",
            changes(desk, Operator, "letter.replay", letters::replay),
        )
        .post(
            "/v1/dead-letters/{letter}/refuse",
            changes(desk, Operator, "letter.refuse", letters::refuse),
        )
        .get("/v1/audit", reads(desk, audit::list))
        .get("/v1/bans", reads(desk, bans::list))
        .post("/v1/bans", changes(desk, Admin, "ban.add", bans::add))
        .delete("/v1/bans", changes(desk, Admin, "ban.remove", bans::remove_named))
        .delete("/v1/bans/{id}", changes(desk, Admin, "ban.remove", bans::remove))
        .post("/v1/turns/{entry}/outcome", reports(desk, shop::outcome))
        .put("/v1/sales/{sale}/skus/{sku}/remaining", reports(desk, shop::remaining))
}

/// A handler for whoever may read.
fn reads<F, Fut>(
    desk: &Arc<Desk>,
    handler: F,
) -> impl Fn(Exchange) -> BoxFuture<'static, Answer> + Send + Sync + 'static
where
    F: Fn(Arc<Desk>, Exchange) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let desk = Arc::clone(desk);
    move |exchange| {
        let desk = Arc::clone(&desk);
        Box::pin(async move {
            let (token, address) = (exchange.bearer().map(str::to_owned), exchange.peer.address);
            let subject = subject_of(&exchange);
            let caller = desk.authenticate(token, address).await?;
            desk.admit(&caller, Role::Viewer, "read", subject).await?;
            handler(desk, exchange).await
        })
    }
}

/// A handler for the shop's own order backend. The work goes on to its end even if the client goes away.
fn reports<F, Fut>(
    desk: &Arc<Desk>,
    handler: F,
) -> impl Fn(Exchange) -> BoxFuture<'static, Answer> + Send + Sync + 'static
where
    F: Fn(Arc<Desk>, Exchange) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    let desk = Arc::clone(desk);
    move |exchange| {
        let desk = Arc::clone(&desk);
        Box::pin(async move {
            let (token, address) = (exchange.bearer().map(str::to_owned), exchange.peer.address);
            let subject = subject_of(&exchange);
            let caller = desk.authenticate(token, address).await?;
            desk.admit(&caller, Role::Backend, "shop.report", subject).await?;
            let tasks = desk.tasks.clone();
            audited::to_the_end(&tasks, handler(desk, exchange)).await
        })
    }
}

/// A handler for those of a role, on record.
fn changes<F, Fut>(
    desk: &Arc<Desk>,
    needed: Role,
    verb: &'static str,
    handler: F,
) -> impl Fn(Exchange) -> BoxFuture<'static, Answer> + Send + Sync + 'static
where
    F: Fn(Attempt) -> Fut + Copy + Send + Sync + 'static,
    Fut: Future<Output = Result<Response, Refusal>> + Send + 'static,
{
    let desk = Arc::clone(desk);
    move |exchange| Box::pin(audited::change(Arc::clone(&desk), exchange, needed, verb, handler))
}
