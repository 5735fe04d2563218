//! The service's life: built from values and ports, run until shutdown, drained.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sluice_core::{
    clock::Clock,
    ids::{EntryId, SaleId},
    ports::{Bulletin, Heard, Line, Notice, PortError},
    random::Random,
    token::Keyring,
    view::{Directory, lookup::Lookup},
};
use sluice_http::{Routes, limits::Limits};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, millis},
    events,
    hub::{Hub, Parts},
    looks,
    metrics::{self, Frames},
    presence,
    service::Service,
    socket, tally,
};

/// How long to wait before a broken subscription is tried again.
const RESUBSCRIBE_AFTER: Duration = Duration::from_millis(200);
/// Every shard is visited this often within `lookup_after_ms`, so that a look is late by a quarter at most.
const VISITS_PER_LOOK: u32 = 4;
/// Steps in which the shards are visited: a few at a time instead of all at once.
const VISIT_STEPS: u32 = 8;

/// What the push service needs of the world.
#[derive(Debug)]
pub struct PushPorts {
    pub bulletin: Arc<dyn Bulletin>,
    /// Is told who is connected: they hold their places.
    pub line: Arc<dyn Line>,
    /// Kept fresh by somebody else (`core::view::follow`).
    pub directory: Arc<Directory>,
    pub lookup: Lookup,
    pub keyring: Arc<Keyring>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<Random>,
    /// Shared by the roles of a process.
    pub limits: Arc<Limits>,
}

/// The push service.
#[derive(Debug)]
pub struct Push {
    service: Arc<Service>,
    bulletin: Arc<dyn Bulletin>,
    line: Arc<dyn Line>,
    looks: mpsc::Receiver<EntryId>,
    presence: mpsc::Receiver<(SaleId, EntryId)>,
    limits: Arc<Limits>,
}

impl Push {
    /// Wires the service; nothing runs yet. Install the metrics recorder first: handles are taken here.
    #[must_use]
    pub fn build(config: Config, ports: PushPorts) -> Self {
        metrics::describe();
        let config = Arc::new(config);
        let (look, looks) = mpsc::channel(config.lookups_queued_max.max(1));
        let (present, presence) = mpsc::channel(config.presence_queued_max.max(1));
        let hub = Hub::new(Parts {
            config: Arc::clone(&config),
            lookup: ports.lookup.clone(),
            keyring: Arc::clone(&ports.keyring),
            clock: Arc::clone(&ports.clock),
            random: Arc::clone(&ports.random),
            directory: Arc::clone(&ports.directory),
            looks: look,
            presence: present,
        });
        let places =
            |limit: usize| Arc::new(Semaphore::new(limit.clamp(1, Semaphore::MAX_PERMITS)));
        let service = Service {
            hub: Arc::new(hub),
            keyring: ports.keyring,
            clock: ports.clock,
            random: ports.random,
            lookup: ports.lookup,
            directory: ports.directory,
            frames: Frames::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            cut: CancellationToken::new(),
            connections: places(config.connections_max),
            refusals: places(config.refusals_max),
            draining: AtomicBool::new(false),
            rooms: Mutex::new(HashMap::new()),
            config,
        };
        Self {
            service: Arc::new(service),
            bulletin: ports.bulletin,
            line: ports.line,
            looks,
            presence,
            limits: ports.limits,
        }
    }

    /// What this service answers.
    #[must_use]
    pub fn routes(&self) -> Routes {
        let [sockets, streams, asked] = std::array::from_fn(|_| Arc::clone(&self.service));
        Routes::new("ws-push")
            .get("/v1/sales/{sale}/push", move |exchange| {
                socket::open(Arc::clone(&sockets), exchange)
            })
            .get("/v1/sales/{sale}/events", move |exchange| {
                events::open(Arc::clone(&streams), exchange)
            })
            .counted(&self.limits, move |exchange| asked.limit(exchange))
    }

    /// Serves until `shutdown`, then tells every client to come back, closes, and returns within the drain timeout. No
    /// connection is accepted from then on.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { service, bulletin, line, looks, presence, limits: _ } = self;
        let mut work = JoinSet::new();
        work.spawn(tally::run(Arc::clone(&service), Arc::clone(&bulletin)));
        work.spawn(listen(Arc::clone(&service), bulletin));
        work.spawn(visit(Arc::clone(&service)));
        work.spawn(looks::run(
            Arc::clone(&service.hub),
            service.lookup.clone(),
            Arc::clone(&service.config),
            looks,
        ));
        work.spawn(presence::run(line, Arc::clone(&service.clock), presence));
        tokio::select! {
            () = shutdown.cancelled() => {}
            // None of them ends by itself.
            Some(ended) = work.join_next() => {
                let error = ended.err().map(tracing::field::display);
                tracing::error!(error, "a part of the push service ended; the service ends with it");
            }
        }
        drain(&service).await;
        work.shutdown().await;
    }
}

async fn drain(service: &Service) {
    service.draining.store(true, Ordering::SeqCst);
    service.stop.cancel();
    service.hub.end_all(|| service.bye());
    service.tasks.close();
    let limit = millis(service.config.drain_timeout_ms);
    if timeout(limit, service.tasks.wait()).await.is_err() {
        tracing::warn!(connections = service.tasks.len(), "clients did not close in time; dropped");
        service.cut.cancel();
        service.tasks.wait().await;
    }
}

/// Hears what became of entries; subscribes again when that breaks. Never returns.
async fn listen(service: Arc<Service>, bulletin: Arc<dyn Bulletin>) {
    loop {
        let Err(error) = hear(&service, &*bulletin).await;
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "the bulletin is away; trying again"
        );
        sleep(RESUBSCRIBE_AFTER).await;
    }
}

async fn hear(
    service: &Service,
    bulletin: &dyn Bulletin,
) -> Result<std::convert::Infallible, PortError> {
    let hub = &service.hub;
    let mut subscription = bulletin.subscribe().await?;
    // Whatever was said before is lost.
    hub.look_at_all();
    service.directory.sales().iter().for_each(|view| metrics::known(&view.sale().id));
    loop {
        match subscription.next().await? {
            Heard::Missed => hub.look_at_all(),
            Heard::Notice(notice) => match &*notice {
                Notice::Entries { entries, .. } => {
                    entries.iter().for_each(|entry| hub.notice(entry));
                }
                Notice::Moved(told) => {
                    // Whoever is ended comes back at once, and must not be let in.
                    service.directory.learn_move(*told);
                    hub.moved(*told);
                }
                Notice::Sale { sale, .. } => metrics::known(&sale.id),
                // The directory follows these, and rooms watch it.
                Notice::Line(_)
                | Notice::SaleDeleted { .. }
                | Notice::StockReturned { .. }
                | Notice::Pushed(_)
                | Notice::Bans => {}
            },
        }
    }
}

/// Visits the shards, a few at a time. Never returns.
async fn visit(service: Arc<Service>) {
    let every = millis(service.config.lookup_after_ms) / (VISITS_PER_LOOK * VISIT_STEPS);
    let mut step = interval(every.max(Duration::from_millis(1)));
    step.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let shards = service.hub.shard_count();
    let per_step = shards.div_ceil(VISIT_STEPS as usize);
    let mut next = 0;
    loop {
        step.tick().await;
        for shard in next..next + per_step {
            service.hub.visit(shard % shards);
        }
        next = (next + per_step) % shards;
    }
}
