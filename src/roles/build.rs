//! The roles, built from the configuration and wired with the ports.

use std::sync::Arc;

use sluice_admission::{Admission, AdmissionPorts};
use sluice_core::{view::lookup::Lookup, webhook};
use sluice_dispatcher::{Dispatcher, DispatcherPorts};
use sluice_operator::{Operator, OperatorPorts};
use sluice_pages::Pages;
use sluice_worker::{
    Fulfilment, Immediate, Simulated, SimulatedPorts, Webhook, WebhookSettings, Worker, WorkerPorts,
};
use sluice_ws_push::{Push, PushPorts};

use super::{
    Shared,
    listeners::Listeners,
    notify,
    part::{Part, Parts},
    settings,
};
use crate::config::{self, Config, FulfilmentKind};

/// The roles this process plays, built.
#[derive(Debug)]
pub(super) struct Roles {
    pub(super) admission: Option<Arc<Admission>>,
    pub(super) dispatcher: Option<Dispatcher>,
    pub(super) worker: Option<(Worker, Arc<Simulated>)>,
    pub(super) push: Option<Push>,
    pub(super) operator: Option<Operator>,
    /// The waiting page, for admission to serve and for operators to look at.
    pub(super) pages: Pages,
}

impl Roles {
    pub(super) fn build(
        parts: Parts,
        config: &Config,
        shared: &Shared,
        listeners: &Listeners,
        files: u64,
    ) -> anyhow::Result<Self> {
        let pages = Pages::build(&settings::pages(config, &shared.urls))?;
        Ok(Self {
            admission: parts.with(Part::Admission, || admission_role(config, shared, &pages))?,
            dispatcher: parts.with(Part::Dispatcher, || dispatcher_role(config, shared))?,
            worker: parts.with(Part::Worker, || worker_role(config, shared, listeners))?,
            push: parts.with(Part::WsPush, || Ok(push_role(config, shared, files)))?,
            operator: parts.with(Part::Operator, || operator_role(config, shared))?,
            pages,
        })
    }
}

fn admission_role(
    config: &Config,
    shared: &Shared,
    pages: &Pages,
) -> anyhow::Result<Arc<Admission>> {
    let ports = &shared.ports;
    Ok(Admission::build(
        settings::admission(config),
        AdmissionPorts {
            line: Arc::clone(&ports.line),
            waiting: Arc::clone(&ports.waiting),
            ledger: Arc::clone(&ports.ledger),
            bulletin: Arc::clone(&ports.bulletin),
            clock: Arc::clone(&shared.clock),
            random: Arc::clone(&shared.random),
            directory: Arc::clone(&shared.directory),
            keyring: Arc::clone(&shared.keyring),
            urls: Arc::clone(&shared.urls),
            limits: Arc::clone(&shared.limits),
            pages: pages.clone(),
        },
    )?)
}

fn dispatcher_role(config: &Config, shared: &Shared) -> anyhow::Result<Dispatcher> {
    let ports = &shared.ports;
    Ok(Dispatcher::build(
        settings::dispatcher(config, &shared.random),
        DispatcherPorts {
            line: Arc::clone(&ports.line),
            waiting: Arc::clone(&ports.waiting),
            turns: Arc::clone(&ports.turns),
            gate: Arc::clone(&ports.gate),
            ledger: Arc::clone(&ports.ledger),
            bulletin: Arc::clone(&ports.bulletin),
            clock: Arc::clone(&shared.clock),
            random: Arc::clone(&shared.random),
        },
    )?)
}

/// The worker, and the simulated provider whose pages and callbacks stand beside it.
fn worker_role(
    config: &Config,
    shared: &Shared,
    listeners: &Listeners,
) -> anyhow::Result<(Worker, Arc<Simulated>)> {
    let ports = &shared.ports;
    let simulated = Arc::new(Simulated::new(
        settings::simulated(config, listeners.worker_address()?, &shared.urls),
        SimulatedPorts {
            ledger: Arc::clone(&ports.ledger),
            clock: Arc::clone(&shared.clock),
            random: Arc::clone(&shared.random),
            secrets: shared.webhook.clone(),
            limits: Arc::clone(&shared.limits),
        },
    )?);
    let worker = Worker::build(
        settings::worker(config),
        WorkerPorts {
            line: Arc::clone(&ports.line),
            turns: Arc::clone(&ports.turns),
            gate: Arc::clone(&ports.gate),
            ledger: Arc::clone(&ports.ledger),
            bulletin: Arc::clone(&ports.bulletin),
            inbox: ports.inbox.clone(),
            notifier: notify::notifier(config, shared)?,
            clock: Arc::clone(&shared.clock),
            random: Arc::clone(&shared.random),
            keyring: Arc::clone(&shared.keyring),
            urls: Arc::clone(&shared.urls),
            secrets: shared.webhook.clone(),
            directory: Arc::clone(&shared.directory),
            limits: Arc::clone(&shared.limits),
        },
        Arc::clone(&simulated) as Arc<dyn sluice_core::ports::PaymentProvider>,
        fulfilment(config, shared)?,
    );
    Ok((worker, simulated))
}

/// What is done for orders that are paid.
fn fulfilment(config: &Config, shared: &Shared) -> anyhow::Result<Arc<dyn Fulfilment>> {
    Ok(match config.fulfilment.kind {
        FulfilmentKind::Tickets => Arc::new(Immediate),
        FulfilmentKind::Webhook => {
            let settings = WebhookSettings::new(config.fulfilment.url.clone());
            let secrets = webhook::Secrets::new(&config.secrets.fulfilment_webhook)?;
            Arc::new(Webhook::new(&settings, secrets, Arc::clone(&shared.clock))?)
        }
    })
}

fn operator_role(config: &Config, shared: &Shared) -> anyhow::Result<Operator> {
    let ports =
        OperatorPorts::new(&shared.ports, Arc::clone(&shared.directory), Arc::clone(&shared.clock));
    Ok(Operator::build(settings::operator(config, admin_token(config)?), ports)?)
}

/// The push role: it looks entries up as admission does.
fn push_role(config: &Config, shared: &Shared, files: u64) -> Push {
    let (ports, clock, random, urls) = (&shared.ports, &shared.clock, &shared.random, &shared.urls);
    let lookup = Lookup {
        line: Arc::clone(&ports.line),
        ledger: Arc::clone(&ports.ledger),
        clock: Arc::clone(clock),
        urls: Arc::clone(urls),
    };
    Push::build(
        settings::push(config, files),
        PushPorts {
            bulletin: Arc::clone(&ports.bulletin),
            line: Arc::clone(&ports.line),
            directory: Arc::clone(&shared.directory),
            lookup,
            keyring: Arc::clone(&shared.keyring),
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            limits: Arc::clone(&shared.limits),
        },
    )
}

/// The generated admin token, if the configuration names none.
fn admin_token(config: &Config) -> anyhow::Result<Option<String>> {
    if !config.admin.tokens.is_empty() {
        return Ok(None);
    }
    let folder = &config.embedded.data_dir;
    let token = config::admin_token(folder)?;
    tracing::info!(
        "no admin tokens are configured: the generated one is in {}",
        config::admin_token_file(folder).display()
    );
    Ok(Some(token))
}
