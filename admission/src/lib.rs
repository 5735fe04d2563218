//! Admission: the edge that buyers meet over HTTP. It takes joins in, tells every buyer where they stand, renews tokens
//! and lets go of places.
//!
//! It keeps nothing that matters: any node answers any buyer, and one that dies is replaced by the next. Polls are
//! answered from this node's memory (`sluice_core::view`); only joining, renewing and leaving ask a store. Calling
//! entries, holding stock and pushing news are other roles' work.
//!
//! The house: [`Config`] is what it can be told; [`Admission::build`] checks it and spawns nothing;
//! [`Admission::routes`] is what it answers; [`Admission::run`] is what it does between requests.

use std::{net::IpAddr, sync::Arc, time::Duration};

use sluice_core::{
    clock::Clock,
    ids::SaleId,
    ports::{Bulletin, Ledger, Line, PortResult, WaitingQueue},
    random::Random,
    token::Keyring,
    view::{Directory, SaleView, lookup::Lookup, object::PublicUrls},
};
use sluice_http::{
    Exchange, Problem, Response, Routes,
    limits::{Limits, Rules, Tap},
};
use sluice_pages::Pages;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

mod answer;
mod batch;
mod config;
mod cookies;
mod edge;
mod fresh;
mod holder;
mod identity;
mod join;
mod leave;
mod metrics;
mod moving;
mod outcome;
mod page;
mod renew;
mod sale;
mod seen;
mod status;
mod ticket;
mod told;

pub use config::{Config, ConfigError, Cookies, HeadStarts, IdentityConfig, JwtConfig, JwtKeys};
pub use identity::is_key_set;

use batch::Carrier;
use edge::{Edge, Edges};
use identity::Identity;
use seen::Seen;
use told::Told;

/// How much time a join must have left to be begun; a quarter of the whole, if that is less.
const JOIN_TIME_LEAST: Duration = Duration::from_millis(250);
/// How often forgotten sales are swept.
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// What admission asks of the world.
#[derive(Clone, Debug)]
pub struct AdmissionPorts {
    pub line: Arc<dyn Line>,
    pub waiting: Arc<dyn WaitingQueue>,
    pub ledger: Arc<dyn Ledger>,
    pub bulletin: Arc<dyn Bulletin>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<Random>,
    /// Kept fresh by the composition root (`sluice_core::view::follow`).
    pub directory: Arc<Directory>,
    pub keyring: Arc<Keyring>,
    pub urls: Arc<PublicUrls>,
    /// Shared by the roles of a process.
    pub limits: Arc<Limits>,
    pub pages: Pages,
}

/// See the crate.
#[derive(Debug)]
pub struct Admission {
    config: Config,
    ports: AdmissionPorts,
    identity: Identity,
    /// The configuration's own limits, for sales nobody knows.
    strangers: Rules,
    /// Lets few questions about unknown sales through to the ledger.
    unknown_sales: Tap,
    edges: Edges,
    seen: Seen,
    told: Told,
    lookup: Lookup,
    carriers: TaskTracker,
    closing: CancellationToken,
}

impl Admission {
    /// Checks the configuration and reads what it names. Spawns nothing.
    pub fn build(config: Config, ports: AdmissionPorts) -> Result<Arc<Self>, ConfigError> {
        config.check()?;
        metrics::describe();
        let identity = Identity::build(&config, &ports.keyring, &ports.clock, &ports.random)?;
        let limits = &ports.limits;
        let lookup = Lookup {
            line: Arc::clone(&ports.line),
            ledger: Arc::clone(&ports.ledger),
            clock: Arc::clone(&ports.clock),
            urls: Arc::clone(&ports.urls),
        };
        Ok(Arc::new(Self {
            identity,
            strangers: limits.rules(&sluice_core::policy::Limits::default()),
            unknown_sales: limits.tap(config.unknown_sales_per_second),
            edges: Edges::default(),
            seen: Seen::new(config.seen_entries_max),
            told: Told::default(),
            lookup,
            carriers: TaskTracker::new(),
            closing: CancellationToken::new(),
            config,
            ports,
        }))
    }

    /// What admission answers on the public address.
    #[must_use]
    pub fn routes(self: &Arc<Self>) -> Routes {
        const ENTRY: &str = "/v1/sales/{sale}/entries/{entry}";
        Routes::new("admission")
            .get("/v1/sales/{sale}", self.handler(sale::show))
            .post("/v1/sales/{sale}/entries", self.handler(join::join))
            .get_now(ENTRY, {
                let admission = Arc::clone(self);
                move |exchange| status::show(Arc::clone(&admission), exchange)
            })
            .delete(ENTRY, self.handler(leave::leave))
            .post("/v1/sales/{sale}/entries/{entry}/token", self.handler(renew::renew))
            .post("/v1/sales/{sale}/entries/{entry}/ticket", self.handler(ticket::mint))
            .post("/v1/sales/{sale}/entries/{entry}/move", self.handler(moving::offer))
            .post("/v1/sales/{sale}/move", self.handler(moving::redeem))
            .get("/w/{sale}", self.handler(page::show))
            .post("/w/{sale}", self.handler(page::submit))
    }

    /// Sweeps forgotten sales, notes renewed places, hears what became of others, keeps identity keys fresh: until `shutdown`. Then it
    /// takes no more joins (503), finishes those in hand, and returns.
    pub async fn run(&self, shutdown: CancellationToken) {
        tokio::join!(
            self.sweep(&shutdown),
            self.identity.run(&shutdown),
            self.told.run(&*self.ports.bulletin, &shutdown),
            self.finish_joins(&shutdown),
        );
    }

    async fn sweep(&self, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
            self.edges.sweep(|sale| self.ports.directory.sale(sale).is_some());
        }
    }

    async fn finish_joins(&self, shutdown: &CancellationToken) {
        let AdmissionPorts { line, directory, clock, .. } = &self.ports;
        self.seen.run(&**line, directory, &**clock, self.config.store_timeout, shutdown).await;
        self.closing.cancel();
        self.carriers.close();
        self.carriers.wait().await;
    }

    fn handler<F, Fut>(
        self: &Arc<Self>,
        handle: F,
    ) -> impl Fn(Exchange) -> Fut + Send + Sync + 'static
    where
        F: Fn(Arc<Self>, Exchange) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Response, Problem>> + Send + 'static,
    {
        let admission = Arc::clone(self);
        move |exchange| handle(Arc::clone(&admission), exchange)
    }

    /// What this node keeps of a sale. One it has never heard of is asked of the ledger, rarely.
    async fn edge(&self, sale: &str, address: IpAddr) -> Result<Arc<Edge>, Problem> {
        if let Some(edge) = self.edges.find(sale) {
            return Ok(edge);
        }
        let known =
            SaleId::new(sale).ok().and_then(|id| Some((self.ports.directory.sale(&id)?, id)));
        if let Some((view, id)) = known {
            return Ok(self.edge_of(&id, &view));
        }
        self.strangers.address.check(self.ports.limits.address_key(address))?;
        let no_such_sale = || Problem::not_found("no_such_sale", "There is no such sale.");
        let id = SaleId::new(sale).map_err(|_| no_such_sale())?;
        if !self.unknown_sales.take() {
            return Err(no_such_sale());
        }
        let found = self.ask(self.ports.ledger.sale(&id)).await?.ok_or_else(no_such_sale)?;
        let view = self.ports.directory.learn_sale(found);
        Ok(self.edge_of(&id, &view))
    }

    fn edge_of(&self, sale: &SaleId, view: &Arc<SaleView>) -> Arc<Edge> {
        self.edges.of(sale, view, || {
            let (joins, jobs) = mpsc::channel(self.config.joins_waiting_max);
            let carrier = Arc::new(Carrier {
                sale: sale.clone(),
                view: Arc::clone(view),
                line: Arc::clone(&self.ports.line),
                clock: Arc::clone(&self.ports.clock),
                waiting: Arc::clone(&self.ports.waiting),
                least: (self.config.join_timeout / 4).min(JOIN_TIME_LEAST),
            });
            self.carriers.spawn(carrier.run(jobs, self.carriers.clone(), self.closing.clone()));
            Edge::new(Arc::clone(view), joins, &self.ports.limits)
        })
    }

    /// Asks a store, and says 503 when it takes too long.
    async fn ask<T>(&self, question: impl Future<Output = PortResult<T>>) -> Result<T, Problem> {
        match timeout(self.config.store_timeout, question).await {
            Ok(answer) => Ok(answer?),
            Err(elapsed) => Err(sluice_core::ports::PortError::unavailable(elapsed).into()),
        }
    }
}
