//! The role: what it is made of, which routes it answers, which tasks it runs.

use std::sync::Arc;

use sluice_core::{
    clock::Clock,
    event::SettledBy,
    ids::OrderId,
    order::Order,
    ports::{
        Bulletin, CallbackInbox, Ledger, Line, Notifier, OrderStep, PaymentProvider, PaymentStep,
        PaymentUpdate, StepReply, StockGate, TurnQueue,
    },
    random::Random,
    token::Keyring,
    view::{Directory, object::PublicUrls},
    webhook::Secrets,
};
use sluice_http::{Routes, limits::Limits};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Fulfilment,
    aftermath::{self, Aftermath},
    callback,
    gather::{self, Gathered},
    guarded::Guarded,
    inbox, metrics,
    notify::{self, NoticeQueue, Notices, QueueSettings},
    orders, refunds, relay,
    shared::Shared,
    silence, sweeper,
    tills::Tills,
    turns, upkeep,
};

/// Orders that wait in memory for the sweeper to take them up.
const ORDERS_MAX: usize = 1_024;

/// What a worker needs of the world.
#[derive(Clone, Debug)]
pub struct WorkerPorts {
    pub line: Arc<dyn Line>,
    pub turns: Arc<dyn TurnQueue>,
    pub gate: Arc<dyn StockGate>,
    pub ledger: Arc<dyn Ledger>,
    pub bulletin: Arc<dyn Bulletin>,
    /// Keeps callbacks while the ledger is away. Without one they are the provider's to repeat.
    pub inbox: Option<Arc<dyn CallbackInbox>>,
    /// Tells buyers who are not looking.
    pub notifier: Arc<dyn Notifier>,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<Random>,
    /// Verifies the queue tokens that order requests carry.
    pub keyring: Arc<Keyring>,
    /// What links in answers are built on.
    pub urls: Arc<PublicUrls>,
    /// Verify payment callbacks.
    pub secrets: Secrets,
    /// Kept fresh by somebody else (`core::view::follow`): which limit a sale sets.
    pub directory: Arc<Directory>,
    /// Shared by the roles of a process.
    pub limits: Arc<Limits>,
}

/// An order worker, built and not yet running.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    steps: mpsc::Receiver<Aftermath>,
    orders: mpsc::Receiver<Order>,
    words: Gathered<PaymentUpdate, PaymentStep>,
    taking: Gathered<(OrderId, OrderStep), StepReply>,
    notices: NoticeQueue,
}

impl Worker {
    /// Puts a worker together; install the metrics recorder first. Nothing runs and nothing is asked until [`Worker::run`]; its routes may be served before.
    #[must_use]
    pub fn build(
        config: Config,
        ports: WorkerPorts,
        provider: Arc<dyn PaymentProvider>,
        fulfilment: Arc<dyn Fulfilment>,
    ) -> Self {
        metrics::describe();
        let (steps_sender, steps) = mpsc::channel(config.aftermath_max.max(1));
        let (orders_sender, orders) = mpsc::channel(ORDERS_MAX);
        let (words_gather, words) = gather::gather();
        let (taking_gather, taking) = gather::gather();
        let told = QueueSettings {
            waiting_max: config.notices_max,
            at_once_max: config.notices_at_once_max,
        };
        let (notices_sender, notices) = notify::queue(Arc::clone(&ports.notifier), told);
        let callbacks = callback::Tasks::new(config.callbacks_max);
        let shared = Arc::new(Shared {
            provider: Guarded::new(provider, &config),
            tills: Tills::new(config.served_max, Arc::clone(&ports.random)),
            config,
            ports,
            fulfilment,
            steps: steps_sender,
            orders: orders_sender,
            callbacks,
            words: words_gather,
            taking: taking_gather,
            notices: notices_sender,
        });
        Self { shared, steps, orders, words, taking, notices }
    }

    /// The order routes and the payment callback.
    #[must_use]
    pub fn routes(&self) -> Routes {
        callback::routes(orders::routes(&self.shared), &self.shared)
    }

    /// Takes what buyers are to be told; it is sent while the worker runs.
    #[must_use]
    pub fn notices(&self) -> Notices {
        self.shared.notices.clone()
    }

    /// Works until `shutdown`: what is in hand is finished, the rest is left to others. Returns early only if a task of its
    /// own has died, which ends the role.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { shared, steps, orders, words, taking, notices } = self;
        let followed = CancellationToken::new();
        let mut follower = JoinSet::new();
        follower.spawn(aftermath::run(Arc::clone(&shared), steps, followed.clone()));

        // They answer callbacks and steps, and so outlive them.
        let answered = CancellationToken::new();
        follower.spawn(gather::words(Arc::clone(&shared), words, answered.clone()));
        follower.spawn(gather::steps(Arc::clone(&shared), taking, answered.clone()));

        // Its own token: a task that dies takes its siblings down in good order.
        let stop = shutdown.child_token();
        let mut tasks = JoinSet::new();
        match shared.config.settled_by {
            SettledBy::Worker => {
                for _ in 0..shared.config.consumers {
                    tasks.spawn(turns::run(Arc::clone(&shared), stop.clone()));
                }
            }
            SettledBy::Shop => {
                tasks.spawn(silence::run(Arc::clone(&shared), stop.clone()));
            }
        }
        if let Some(kept) = shared.ports.inbox.clone() {
            tasks.spawn(inbox::run(Arc::clone(&shared), kept, stop.clone()));
        }
        tasks.spawn(notices.run(stop.clone()));
        tasks.spawn(relay::run(Arc::clone(&shared), stop.clone()));
        tasks.spawn(upkeep::run(Arc::clone(&shared), stop.clone()));
        tasks.spawn(refunds::run(Arc::clone(&shared), stop.clone()));
        tasks.spawn(sweeper::run(Arc::clone(&shared), orders, stop.clone()));
        loop {
            tokio::select! {
                biased;
                ended = tasks.join_next() => match ended {
                    None => break,
                    Some(Ok(())) => {}
                    Some(Err(error)) => {
                        tracing::error!(%error, "a task of the worker died: the worker ends");
                        stop.cancel();
                    }
                },
                died = follower.join_next(), if !follower.is_empty() => {
                    if let Some(Err(error)) = died {
                        tracing::error!(%error, "a task of the worker died: the worker ends");
                    }
                    stop.cancel();
                }
            }
        }
        shared.callbacks.finish().await;
        answered.cancel();
        followed.cancel();
        while let Some(ended) = follower.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a task of the worker died at its end");
            }
        }
    }
}
