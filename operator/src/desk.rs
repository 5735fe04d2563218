//! What every handler works at: the ports, who may come in, and what has to be told to whom after a change.

use std::{net::IpAddr, sync::Arc};

use sluice_core::{
    ids::SaleId,
    ports::{Audit, Author, EntryNotice, EntryRecord, Notice, PortError, PortResult, Settlement},
    random::Random,
    sale::{Sale, SaleState},
};
use sluice_http::Problem;
use tokio::sync::{Mutex, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Config, ConfigError, Limits, OperatorPorts, Role,
    auth::{
        Caller, Keyring,
        failures::{Failure, Failures},
    },
    config::{Shop, UNKNOWN_AUTHOR},
    metrics,
    watch::Arrivals,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) ports: OperatorPorts,
    pub(crate) limits: Limits,
    /// The shop's own order backend, if it settles turns.
    pub(crate) shop: Option<Shop>,
    /// For the ids of its orders.
    pub(crate) random: Random,
    pub(crate) arrivals: Arrivals,
    /// One permit per open stream.
    pub(crate) streams: Arc<Semaphore>,
    /// The one permit to reckon a preview.
    pub(crate) previews: Arc<Semaphore>,
    /// Held while the set of sales changes, so that the remains of a deleted sale are never swept from under a new one
    /// of the same id.
    pub(crate) set_of_sales: Mutex<()>,
    /// Changes in hand and open streams: a client that goes away must not cut a change in two.
    pub(crate) tasks: TaskTracker,
    /// Ends the streams.
    pub(crate) closing: CancellationToken,
    keyring: Keyring,
    failures: Failures,
}

impl Desk {
    pub(crate) fn new(config: Config, ports: OperatorPorts) -> Result<Self, ConfigError> {
        let Config { tokens, limits, shop } = config;
        limits.check()?;
        Ok(Self {
            keyring: Keyring::new(tokens)?,
            failures: Failures::new(limits.failures_per_minute_max, limits.failing_addresses_max),
            streams: Arc::new(Semaphore::new(limits.streams_max)),
            previews: Arc::new(Semaphore::new(1)),
            ports,
            limits,
            shop,
            random: Random::system(),
            arrivals: Arrivals::default(),
            set_of_sales: Mutex::default(),
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        })
    }

    /// Ends the streams and waits for the changes in hand.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Whose token this is; otherwise 401, or 429 for an address that keeps trying. Failures are written to the audit
    /// log sparsely: one row per address and minute.
    pub(crate) async fn authenticate(
        &self,
        token: Option<String>,
        address: IpAddr,
    ) -> Result<Caller, Problem> {
        if let Some(caller) = token.as_deref().and_then(|token| self.keyring.find(token, address)) {
            return Ok(caller);
        }
        metrics::auth_failed();
        let problem = match token {
            None => Problem::unauthorized(
                "identity_required",
                "Send an admin token as `Authorization: Bearer <token>`.",
            ),
            Some(_) => Problem::unauthorized(
                "identity_required",
                "The token is not one of `admin.tokens`. Check that it was copied whole and is still configured.",
            ),
        };
        match self.failures.note(address) {
            Failure::First => {
                let author = Author { name: UNKNOWN_AUTHOR.to_owned(), address: Some(address) };
                self.record_refusal(author, "auth", String::new(), &problem).await;
                Err(problem)
            }
            Failure::Again => Err(problem),
            Failure::TooMany { retry_after } => Err(Problem::new(
                http::StatusCode::TOO_MANY_REQUESTS,
                "too_many_requests",
                "Too many requests without a right token came from this address. A right token is let in at once.",
            )
            .retry_after(retry_after)),
        }
    }

    /// Whether `caller` has the role for what is not written down one by one: reading, and the shop's reports. A refusal is
    /// written down as sparsely as a failed authentication: it changes nothing, and a token of the wrong role may be polling.
    pub(crate) async fn admit(
        &self,
        caller: &Caller,
        needed: Role,
        verb: &'static str,
        subject: String,
    ) -> Result<(), Problem> {
        let Err(problem) = caller.must_be(needed) else { return Ok(()) };
        if self.failures.note(caller.address) == Failure::First {
            self.record_refusal(caller.author(), verb, subject, &problem).await;
        }
        Err(problem)
    }

    /// Writes down a refusal. A ledger that is away cannot be helped: nothing was changed, so nothing is hidden.
    pub(crate) async fn record_refusal(
        &self,
        author: Author,
        verb: &str,
        subject: String,
        problem: &Problem,
    ) {
        let audit = Audit {
            author,
            verb: verb.to_owned(),
            subject,
            before: serde_json::Value::Null,
            after: serde_json::Value::Null,
            result: problem.code().to_owned(),
            reason: None,
        };
        if let Err(error) = self.ports.ledger.record(audit).await {
            tracing::warn!(
                verb,
                result = problem.code(),
                error = &error as &dyn std::error::Error,
                "a refusal could not be written to the audit log"
            );
        }
    }

    /// Makes a decided change bite: in this process now, everywhere else by the bulletin. The ledger has decided, so a
    /// bulletin that is away delays the change (line reports carry the sale's version) and does not undo it.
    pub(crate) async fn announce(&self, sale: &Arc<Sale>) {
        self.ports.directory.learn_sale(Arc::clone(sale));
        self.tell(Notice::Sale { sale: Arc::clone(sale) }).await;
    }

    pub(crate) async fn tell(&self, notice: Notice) {
        if let Err(error) = self.ports.bulletin.publish(notice).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a change is in the ledger but could not be announced; nodes learn it from the next line report"
            );
        }
    }

    /// Line and bulletin follow the ledger. A line that is away is a fault: it would go on saying that the entry is called.
    pub(crate) async fn spread(&self, record: &EntryRecord) -> PortResult<()> {
        let ports = &self.ports;
        let settlement = Settlement { outcome: record.outcome, live: record.is_live() };
        match ports.line.settle(&record.sale, &[(record.entry, settlement)]).await {
            // One that has forgotten the sale says nothing about the entry.
            Ok(()) | Err(PortError::Cold) => {}
            Err(error) => return Err(error),
        }
        let entries = vec![EntryNotice::of(record)];
        let notice = Notice::Entries { sale: record.sale.clone(), entries };
        let told = async {
            ports.bulletin.publish(notice).await?;
            ports.ledger.told(&[record.entry]).await
        };
        if let Err(error) = told.await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "an outcome was not announced; the relay will do it"
            );
        }
        Ok(())
    }

    /// Removes what the other stores keep of a sale that is no longer in the ledger. Repeats are harmless.
    pub(crate) async fn sweep_deleted(&self, sale: &SaleId) -> PortResult<()> {
        let swept = [
            self.ports.waiting.remove(sale).await,
            self.ports.line.forget(sale).await,
            self.ports.gate.forget(sale).await,
        ];
        self.ports.directory.forget(sale);
        self.arrivals.forget(sale);
        self.tell(Notice::SaleDeleted { sale: sale.clone() }).await;
        for result in swept {
            match result {
                Ok(()) | Err(PortError::Cold) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Units of a sale that can be sold now, as far as its line has told.
    pub(crate) fn remaining(&self, sale: &Sale) -> u64 {
        let view = self.ports.directory.sale(&sale.id);
        let told = view.and_then(|view| Some(view.read().report()?.remaining));
        told.unwrap_or_else(|| sale.skus.iter().map(|sku| sku.sellable(sku.stock)).sum())
    }

    /// What the public is told of a sale now.
    pub(crate) fn state(&self, sale: &Sale) -> SaleState {
        let sold_out = self
            .ports
            .directory
            .sale(&sale.id)
            .is_some_and(|view| view.read().report().is_some_and(|report| report.sold_out));
        sale.state(self.ports.clock.now(), sold_out)
    }
}
