//! The roles of a process, all or one: what is built from the configuration, what runs, and how it stops.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use sluice_backends::clock::SystemClock;
use sluice_core::{
    clock::Clock,
    ports::Ports,
    random::Random,
    token::Keyring,
    view::{
        Directory,
        follow::{self, Sources},
        object::PublicUrls,
    },
    webhook,
};
use sluice_http::{Server, limits::Limits};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::Readiness,
    backends::Backend,
    cli::{self, ConfigOption},
    config::{BackendKind, Config, Secrets},
    exit::{Unreachable, Usage},
    telemetry,
};

mod build;
mod listeners;
mod part;
mod settings;

use build::Roles;
use listeners::Listeners;
pub(crate) use part::{Part, Parts};

/// Open files a process would like to have.
const FILES_WANTED: u64 = 1_000_000;

/// `sluice run`, and each role by itself.
pub(crate) fn run(option: &ConfigOption, parts: Parts) -> anyhow::Result<()> {
    let config = cli::configured(option)?;
    if let Parts::Only(part) = parts
        && config.backend.kind == BackendKind::Embedded
    {
        return Err(Usage(format!(
            "`sluice {}` shares its stores with other processes: set `backend.kind = \"distributed\"`, or use `sluice run`",
            part.as_str()
        ))
        .into());
    }
    Listeners::check(parts, &config)?;
    telemetry::install_log(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut process = Process::start(config, parts).await?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
            () = process.ends_alone() => {}
        }
        process.stop().await
    })
}

/// A process with its roles, running.
#[derive(Debug)]
pub(crate) struct Process {
    backend: Backend,
    readiness: Readiness,
    shutdown: CancellationToken,
    tasks: JoinSet<&'static str>,
    /// Why the process ends, when nobody asked it to.
    fault: Option<anyhow::Error>,
    public: SocketAddr,
    drain_timeout: Duration,
}

impl Process {
    /// Builds its roles, binds their addresses, and starts. Nothing is accepted before all of it stands.
    pub(crate) async fn start(config: Config, parts: Parts) -> anyhow::Result<Self> {
        let files = rlimit::increase_nofile_limit(FILES_WANTED).unwrap_or(1024);
        let metrics = telemetry::install_metrics()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let start_timeout = Duration::from_millis(config.process.start_timeout_ms);
        let backend = Backend::open(&config, Arc::clone(&clock)).await?;
        let secrets = Secrets::ready(&config)?;
        let listeners = Listeners::bind(parts, &config)?;
        let readiness = Readiness::default();
        let shared = Shared::new(&config, &backend, secrets, &listeners, clock);
        let roles = Roles::build(parts, &config, &shared, &listeners, files)?;
        let sources = shared.sources();
        timeout(start_timeout, async {
            if let Some(operator) = &roles.operator {
                operator.create_configured(config.sales.clone()).await?;
            }
            follow::pull(&shared.directory, &sources).await.context("reading the sales")
        })
        .await
        .context("the store did not answer in time")
        .and_then(|ready| ready)
        .map_err(Unreachable)?;

        let public = listeners.main_address();
        let admin = listeners.admin_address();
        match parts {
            Parts::All => tracing::info!("buyers on http://{public}, operators on {admin}"),
            Parts::Only(part) => tracing::info!("{} on {public}, admin on {admin}", part.as_str()),
        }
        let servers =
            listeners.serve(&config, &roles, &readiness, metrics.clone(), &shared, files)?;
        let mut process = Self {
            backend,
            readiness,
            shutdown: CancellationToken::new(),
            tasks: JoinSet::new(),
            fault: None,
            public,
            drain_timeout: config.process.drain_timeout(),
        };
        process.spawn(shared, roles, servers, metrics);
        process.readiness.set(true);
        Ok(process)
    }

    fn spawn(
        &mut self,
        shared: Shared,
        roles: Roles,
        servers: Vec<Server>,
        metrics: metrics_exporter_prometheus::PrometheusHandle,
    ) {
        let stop = || self.shutdown.clone();
        let tasks = &mut self.tasks;
        let sources = shared.sources();
        let (stop_limits, limits) = (stop(), shared.limits);
        tasks.spawn(async move {
            limits.run(stop_limits).await;
            "the limits"
        });
        let (stop_follow, directory) = (stop(), shared.directory);
        tasks.spawn(async move {
            follow::follow(directory, sources, stop_follow).await;
            "the bulletin's follower"
        });
        macro_rules! role {
            ($name:literal, $role:expr) => {{
                let (role, stop) = ($role, stop());
                tasks.spawn(async move {
                    role.run(stop).await;
                    $name
                });
            }};
        }
        if let Some(admission) = roles.admission {
            role!("admission", admission);
        }
        if let Some(dispatcher) = roles.dispatcher {
            role!("dispatcher", dispatcher);
        }
        if let Some((worker, simulated)) = roles.worker {
            role!("worker", worker);
            role!("the simulated provider", simulated);
        }
        if let Some(push) = roles.push {
            role!("ws-push", push);
        }
        if let Some(operator) = roles.operator {
            role!("operator", operator);
        }
        for server in servers {
            role!("a server", server);
        }
        let stop_upkeep = stop();
        tasks.spawn(async move {
            telemetry::upkeep(metrics, stop_upkeep).await;
            "metrics upkeep"
        });
    }

    /// Where buyers connect.
    pub(crate) fn public_address(&self) -> SocketAddr {
        self.public
    }

    /// Returns when something ended that should not have: then the process must end too.
    pub(crate) async fn ends_alone(&mut self) {
        let fault = tokio::select! {
            ended = self.tasks.join_next() => match ended {
                Some(Ok(name)) => anyhow::anyhow!("{name} ended by itself"),
                Some(Err(error)) => anyhow::anyhow!("a role ended by itself: {error}"),
                None => anyhow::anyhow!("nothing runs"),
            },
            fault = self.backend.failed() => fault,
        };
        tracing::error!("{fault:#}: the process ends");
        self.fault = Some(fault);
    }

    /// Drains: nothing new is accepted, what is in hand is finished, within the drain timeout.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.readiness.set(false);
        self.shutdown.cancel();
        let drained =
            timeout(self.drain_timeout, async { while self.tasks.join_next().await.is_some() {} })
                .await;
        if drained.is_err() {
            tracing::warn!(
                "not everything was finished within the drain timeout; the rest repeats at the next start"
            );
            self.tasks.shutdown().await;
        }
        if self.fault.is_none() {
            self.backend.close().await;
        }
        self.fault.map_or(Ok(()), Err)
    }
}

/// What the roles have in common.
#[derive(Debug)]
struct Shared {
    ports: Ports,
    directory: Arc<Directory>,
    clock: Arc<dyn Clock>,
    random: Arc<Random>,
    urls: Arc<PublicUrls>,
    keyring: Arc<Keyring>,
    webhook: webhook::Secrets,
    /// An address has one budget, whichever role it asks.
    limits: Arc<Limits>,
}

impl Shared {
    fn new(
        config: &Config,
        backend: &Backend,
        secrets: Secrets,
        listeners: &Listeners,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            urls: Arc::new(listeners.urls(config)),
            directory: Arc::new(Directory::default()),
            ports: backend.ports(),
            random: Arc::new(Random::system()),
            keyring: Arc::new(secrets.keyring),
            webhook: secrets.webhook,
            limits: Arc::new(settings::limits(config)),
            clock,
        }
    }

    fn sources(&self) -> Sources {
        Sources {
            bulletin: Arc::clone(&self.ports.bulletin),
            ledger: Arc::clone(&self.ports.ledger),
            line: Arc::clone(&self.ports.line),
        }
    }
}

/// Whether a path was set: an empty one means no.
fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}
