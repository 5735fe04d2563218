//! Every role in one process: what is built from the configuration, what runs, and how it stops.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use sluice_admission::{Admission, AdmissionPorts};
use sluice_backends::clock::SystemClock;
use sluice_core::{
    clock::Clock,
    ports::Ports,
    random::Random,
    token::Keyring,
    view::{
        Directory,
        follow::{self, Sources},
        lookup::Lookup,
        object::PublicUrls,
    },
};
use sluice_dispatcher::{Dispatcher, DispatcherPorts};
use sluice_http::{Listener, Router, RouterSettings, Routes, Server};
use sluice_operator::{Operator, OperatorPorts};
use sluice_worker::{Immediate, Simulated, SimulatedPorts, Worker, WorkerPorts};
use sluice_ws_push::{Push, PushPorts};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{self, Readiness},
    backends::Backend,
    cli::{self, ConfigOption},
    config::{self, Config, Secrets},
    exit::Unreachable,
    telemetry,
};

mod settings;

/// Open files a process would like to have.
const FILES_WANTED: u64 = 1_000_000;

/// `sluice run`.
pub(crate) fn run(option: &ConfigOption) -> anyhow::Result<()> {
    let config = cli::configured(option)?;
    telemetry::install_log(&config.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut process = Process::start(config).await?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: draining"),
            _ = interrupt.recv() => tracing::info!("SIGINT: draining"),
            () = process.ends_alone() => {}
        }
        process.stop().await
    })
}

/// Everything `sluice run` is made of, running.
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
    /// Builds every role, binds every address, and starts. Nothing is accepted before all of it stands.
    pub(crate) async fn start(config: Config) -> anyhow::Result<Self> {
        let files = rlimit::increase_nofile_limit(FILES_WANTED).unwrap_or(1024);
        let metrics = telemetry::install_metrics()?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let start_timeout = Duration::from_millis(config.process.start_timeout_ms);
        let backend = Backend::open(&config, Arc::clone(&clock))?;
        let secrets = Secrets::ready(&config)?;
        let token = admin_token(&config)?;
        let listeners = Listeners::bind(&config)?;
        let readiness = Readiness::default();
        let shared = Shared {
            urls: Arc::new(listeners.urls(&config)),
            directory: Arc::new(Directory::default()),
            ports: backend.ports(),
            random: Arc::new(Random::system()),
            secrets,
            clock,
        };
        let roles = Roles::build(&config, &shared, &listeners, token, files)?;
        let sources = shared.sources();
        timeout(start_timeout, async {
            roles.operator.create_configured(config.sales.clone()).await?;
            follow::pull(&shared.directory, &sources).await.context("reading the sales")
        })
        .await
        .context("the store did not answer in time")
        .and_then(|ready| ready)
        .map_err(Unreachable)?;

        let public = listeners.public.local_addr();
        tracing::info!("buyers on http://{public}, operators on {}", listeners.admin.local_addr());
        let servers = listeners.serve(&config, &roles, &readiness, metrics.clone(), files)?;
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
        role!("admission", roles.admission);
        role!("dispatcher", roles.dispatcher);
        role!("worker", roles.worker);
        role!("the simulated provider", roles.simulated);
        role!("ws-push", roles.push);
        role!("operator", roles.operator);
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
    secrets: Secrets,
}

impl Shared {
    fn sources(&self) -> Sources {
        Sources {
            bulletin: Arc::clone(&self.ports.bulletin),
            ledger: Arc::clone(&self.ports.ledger),
            line: Arc::clone(&self.ports.line),
        }
    }
}

/// Every role, built.
#[derive(Debug)]
struct Roles {
    admission: Arc<Admission>,
    dispatcher: Dispatcher,
    worker: Worker,
    simulated: Arc<Simulated>,
    push: Push,
    operator: Operator,
}

impl Roles {
    fn build(
        config: &Config,
        shared: &Shared,
        listeners: &Listeners,
        token: Option<String>,
        files: u64,
    ) -> anyhow::Result<Self> {
        let ports = &shared.ports;
        let keyring = Arc::new(shared.secrets.keyring.clone());
        let (clock, random, urls) = (&shared.clock, &shared.random, &shared.urls);
        let admission = Admission::build(
            settings::admission(config),
            AdmissionPorts {
                line: Arc::clone(&ports.line),
                waiting: Arc::clone(&ports.waiting),
                ledger: Arc::clone(&ports.ledger),
                bulletin: Arc::clone(&ports.bulletin),
                clock: Arc::clone(clock),
                random: Arc::clone(random),
                directory: Arc::clone(&shared.directory),
                keyring: Arc::clone(&keyring),
                urls: Arc::clone(urls),
            },
        )?;
        let dispatcher = Dispatcher::build(
            settings::dispatcher(random),
            DispatcherPorts {
                line: Arc::clone(&ports.line),
                waiting: Arc::clone(&ports.waiting),
                turns: Arc::clone(&ports.turns),
                gate: Arc::clone(&ports.gate),
                ledger: Arc::clone(&ports.ledger),
                bulletin: Arc::clone(&ports.bulletin),
                clock: Arc::clone(clock),
                random: Arc::clone(random),
            },
        )?;
        let simulated = Arc::new(Simulated::new(
            settings::simulated(config, listeners.worker_address()),
            SimulatedPorts {
                ledger: Arc::clone(&ports.ledger),
                clock: Arc::clone(clock),
                random: Arc::clone(random),
                secrets: shared.secrets.webhook.clone(),
            },
        )?);
        let worker = Worker::build(
            sluice_worker::Config::default(),
            WorkerPorts {
                line: Arc::clone(&ports.line),
                turns: Arc::clone(&ports.turns),
                gate: Arc::clone(&ports.gate),
                ledger: Arc::clone(&ports.ledger),
                bulletin: Arc::clone(&ports.bulletin),
                clock: Arc::clone(clock),
                random: Arc::clone(random),
                keyring: Arc::clone(&keyring),
                urls: Arc::clone(urls),
                secrets: shared.secrets.webhook.clone(),
            },
            Arc::clone(&simulated) as Arc<dyn sluice_core::ports::PaymentProvider>,
            Arc::new(Immediate),
        );
        let push = push_role(config, shared, keyring, files);
        let operator_ports =
            OperatorPorts::new(ports, Arc::clone(&shared.directory), Arc::clone(clock));
        let operator = Operator::build(settings::operator(config, token), operator_ports)?;
        Ok(Self { admission, dispatcher, worker, simulated, push, operator })
    }
}

/// The push role: it looks entries up as admission does.
fn push_role(config: &Config, shared: &Shared, keyring: Arc<Keyring>, files: u64) -> Push {
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
            keyring,
            clock: Arc::clone(clock),
            random: Arc::clone(random),
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

/// The addresses of the process, bound.
#[derive(Debug)]
struct Listeners {
    public: Listener,
    push: Option<Listener>,
    worker: Option<Listener>,
    admin: Listener,
}

impl Listeners {
    fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = |key: &str, address: SocketAddr| {
            Listener::bind(address).with_context(|| format!("{key} = \"{address}\""))
        };
        let optional = |key: &str, address: Option<SocketAddr>| {
            address.map(|address| bind(key, address)).transpose()
        };
        Ok(Self {
            public: bind("admission.listen", config.admission.listen)?,
            push: optional("ws_push.listen", config.ws_push.listen)?,
            worker: optional("worker.listen", config.worker.listen)?,
            admin: bind("admin.listen", config.admin.listen)?,
        })
    }

    fn worker_address(&self) -> SocketAddr {
        self.worker.as_ref().unwrap_or(&self.public).local_addr()
    }

    /// What links are built on: the configured addresses; for a role on an address of its own, at least that.
    fn urls(&self, config: &Config) -> PublicUrls {
        let of = |configured: &str, own: Option<&Listener>, scheme: &str| match own {
            _ if !configured.is_empty() => configured.to_owned(),
            Some(listener) => format!("{scheme}://{}", listener.local_addr()),
            None => config.admission.public_url.clone(),
        };
        PublicUrls {
            admission: config.admission.public_url.clone(),
            ws_push: of(&config.ws_push.public_url, self.push.as_ref(), "http"),
            worker: of(&config.worker.public_url, self.worker.as_ref(), "http"),
        }
    }

    fn serve(
        self,
        config: &Config,
        roles: &Roles,
        readiness: &Readiness,
        metrics: metrics_exporter_prometheus::PrometheusHandle,
        files: u64,
    ) -> anyhow::Result<Vec<Server>> {
        let orders = || vec![roles.worker.routes(), roles.simulated.routes()];
        let health = || admin::health(readiness.clone());
        let mut public = vec![roles.admission.routes(), health()];
        let mut servers = Vec::new();
        let mut add = |listener: Listener, routes: Vec<Routes>| -> anyhow::Result<()> {
            let router = Router::new(routes, public_settings(config))?;
            servers.push(Server::on(listener, settings::server(config, files), Arc::new(router))?);
            Ok(())
        };
        match self.push {
            Some(listener) => add(listener, vec![roles.push.routes(), health()])?,
            None => public.push(roles.push.routes()),
        }
        match self.worker {
            Some(listener) => {
                let mut routes = orders();
                routes.push(health());
                add(listener, routes)?;
            }
            None => public.extend(orders()),
        }
        add(self.public, public)?;
        let hosts = admin_hosts(config, self.admin.local_addr());
        let settings = RouterSettings {
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            allowed_hosts: Some(hosts),
        };
        let router = Router::new(
            vec![roles.operator.routes(), health(), admin::metrics(metrics)],
            settings,
        )?;
        servers.push(Server::on(self.admin, settings::admin_server(config), Arc::new(router))?);
        Ok(servers)
    }
}

fn public_settings(config: &Config) -> RouterSettings {
    RouterSettings {
        trusted_proxies: config.admission.trusted_proxies.clone(),
        allowed_origins: config.admission.allowed_origins.clone(),
        allowed_hosts: None,
    }
}

/// Names the admin address answers to: a page of another name that resolves here gets nothing.
fn admin_hosts(config: &Config, bound: SocketAddr) -> Vec<String> {
    let port = bound.port();
    let mut hosts = vec![bound.to_string(), format!("localhost:{port}")];
    if bound.ip().is_loopback() || bound.ip().is_unspecified() {
        hosts.push(format!("127.0.0.1:{port}"));
        hosts.push(format!("[::1]:{port}"));
    }
    hosts.extend(config.admin.hosts.iter().cloned());
    hosts
}

/// Whether a path was set: an empty one means no.
fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}
