//! The role: hears of sales, bans and returned stock from the bulletin, reads them again from the ledger in case the
//! bulletin lost something, watches the turn queue, and keeps a drain loop for every sale.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use sluice_core::{
    ports::{BanList, Heard, Notice, PortResult, QueueDepths, Subscription},
    sale::Sale,
};
use tokio::{
    sync::watch,
    time::{Instant, Interval, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    BadConfig, Config, DispatcherPorts, metrics,
    ports::{Shared, backoff, within},
    sales::Sales,
};

/// See the module.
#[derive(Debug)]
pub struct Dispatcher {
    shared: Arc<Shared>,
    depth: watch::Sender<u64>,
    bans: watch::Sender<Arc<BanList>>,
}

impl Dispatcher {
    /// Checks the configuration. Nothing is asked of the ports yet.
    pub fn build(config: Config, ports: DispatcherPorts) -> Result<Self, BadConfig> {
        config.check()?;
        metrics::describe();
        let (depth, depth_seen) = watch::channel(0);
        let (bans, bans_seen) = watch::channel(Arc::new(BanList::default()));
        let shared = Arc::new(Shared { config, ports, depth: depth_seen, bans: bans_seen });
        Ok(Self { shared, depth, bans })
    }

    /// Runs until `shutdown`: then every line finishes what it has in hand, saves its cursor and gives its lease back.
    /// A store that is away is waited for.
    pub async fn run(self, shutdown: CancellationToken) {
        let sales = Sales::new(Arc::clone(&self.shared), shutdown.clone());
        let Self { shared, depth, bans } = self;
        let mut desk = Desk {
            shared,
            depth,
            bans,
            sales,
            subscription: None,
            jobs: FuturesUnordered::new(),
            reading: Reading::Idle,
            asking_depths: false,
            failures: 0,
        };
        desk.run(&shutdown).await;
        desk.sales.all_ended().await;
    }
}

/// The running role.
struct Desk {
    shared: Arc<Shared>,
    depth: watch::Sender<u64>,
    bans: watch::Sender<Arc<BanList>>,
    sales: Sales,
    subscription: Option<Box<dyn Subscription>>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    reading: Reading,
    asking_depths: bool,
    failures: u32,
}

/// Whether the ledger is being read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reading {
    Idle,
    UnderWay,
    /// Something changed while it was: once more.
    OnceMore,
}

/// A call that came back.
enum Done {
    Subscribed(PortResult<Box<dyn Subscription>>),
    Read { began: Instant, result: PortResult<(Vec<Arc<Sale>>, BanList)> },
    Depths(PortResult<QueueDepths>),
}

impl Desk {
    async fn run(&mut self, shutdown: &CancellationToken) {
        let mut reread = every(self.shared.config.reread_every);
        let mut look = every(self.shared.config.depths_every);
        self.subscribe(Duration::ZERO);
        loop {
            let Self { subscription, jobs, sales, .. } = &mut *self;
            let heard = async {
                match subscription {
                    Some(subscription) => subscription.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                _ = reread.tick() => self.read(),
                _ = look.tick() => self.ask_depths(),
                Some(done) = jobs.next() => self.apply(done),
                () = sales.ended() => {}
                heard = heard => self.hear(heard),
            }
        }
    }

    fn hear(&mut self, heard: PortResult<Heard>) {
        match heard {
            Ok(Heard::Missed) => self.read(),
            Ok(Heard::Notice(notice)) => match &*notice {
                Notice::Sale { sale } => self.sales.learn(Arc::clone(sale)),
                Notice::SaleDeleted { sale } => self.sales.delete(sale),
                Notice::StockReturned { sale } => self.sales.stock_returned(sale),
                Notice::Bans => self.read(),
                Notice::Line(_) | Notice::Entries { .. } | Notice::Moved(_) | Notice::Pushed(_) => {
                }
            },
            Err(error) => {
                self.subscription = None;
                self.subscribe_later(&error);
            }
        }
    }

    fn apply(&mut self, done: Done) {
        match done {
            Done::Subscribed(Ok(subscription)) => {
                self.failures = 0;
                self.subscription = Some(subscription);
                // Whatever was said before somebody listened.
                self.read();
            }
            Done::Subscribed(Err(error)) => self.subscribe_later(&error),
            Done::Read { began, result } => self.learn(began, result),
            Done::Depths(result) => {
                self.asking_depths = false;
                match result {
                    Ok(depths) => {
                        self.depth.send_replace(depths.turns);
                    }
                    Err(error) => tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the depth of the turn queue is unknown; the last one counts"
                    ),
                }
            }
        }
    }

    fn subscribe_later(&mut self, error: &(dyn std::error::Error + 'static)) {
        let pause = backoff(&self.shared.config, &self.shared.ports.random, self.failures);
        self.failures = self.failures.saturating_add(1);
        tracing::warn!(error, "the bulletin is away; changes are read from the ledger meanwhile");
        self.subscribe(pause);
    }

    fn subscribe(&self, pause: Duration) {
        let shared = Arc::clone(&self.shared);
        let job = async move {
            sleep(pause).await;
            let subscribe = shared.ports.bulletin.subscribe();
            Done::Subscribed(within(shared.config.port_timeout, subscribe).await)
        };
        self.jobs.push(job.boxed());
    }

    /// Reads sales and bans from the ledger; never twice at once.
    fn read(&mut self) {
        if self.reading != Reading::Idle {
            self.reading = Reading::OnceMore;
            return;
        }
        self.reading = Reading::UnderWay;
        let (shared, began) = (Arc::clone(&self.shared), Instant::now());
        let job = async move {
            let ledger = &shared.ports.ledger;
            let both = async { Ok((ledger.sales().await?, ledger.bans().await?)) };
            Done::Read { began, result: within(shared.config.port_timeout, both).await }
        };
        self.jobs.push(job.boxed());
    }

    fn learn(&mut self, began: Instant, result: PortResult<(Vec<Arc<Sale>>, BanList)>) {
        let once_more = std::mem::replace(&mut self.reading, Reading::Idle) == Reading::OnceMore;
        let stale = match result {
            Ok((sales, bans)) => {
                self.bans.send_if_modified(|known| {
                    let newer = known.version < bans.version;
                    if newer {
                        *known = Arc::new(bans);
                    }
                    newer
                });
                !self.sales.learn_all(sales, began)
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "sales could not be read; the lines go on as they are"
                );
                false
            }
        };
        if once_more || stale {
            self.read();
        }
    }

    fn ask_depths(&mut self) {
        if self.asking_depths || self.sales.is_empty() {
            return;
        }
        self.asking_depths = true;
        let shared = Arc::clone(&self.shared);
        let job = async move {
            let depths = shared.ports.turns.depths();
            Done::Depths(within(shared.config.port_timeout, depths).await)
        };
        self.jobs.push(job.boxed());
    }
}

fn every(period: Duration) -> Interval {
    let mut every = interval(period);
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    every
}
