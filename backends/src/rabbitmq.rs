//! The RabbitMQ backend: the waiting queue, the turn queue, the dead letters, the callback inbox and the bulletin.
//!
//! Three connections: one publishes, one consumes turns and callbacks and listens to the bulletin, one drains; a broker that is short of
//! memory holds up publishers, and must not hold up acknowledgements with them. Only a drain publishes where it consumes:
//! its releases must end with its right to them. Each connection is dialled again by itself; what was under
//! way when one ended is unknown, and is repeated by whoever asked.

use std::{
    fmt,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use lapin::{Channel, tcp::OwnedTLSConfig};
use sluice_core::{
    clock::Clock,
    ids::LetterId,
    ports::{Bulletin, CallbackInbox, DeadLetters, TurnQueue, WaitingQueue},
    random::Random,
};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

mod address;
mod alarm;
mod bulletin;
mod callbacks;
mod consumer;
mod dial;
mod fault;
mod greeting;
mod hands;
mod letters;
mod link;
mod metrics;
mod notes;
mod open;
mod press;
mod reader;
mod sync;
mod topology;
mod turns;
mod waiting;
mod writer;

use address::Address;
pub use address::BadAddress;
use dial::{DialSettings, Plug};
pub use fault::Fault;
use link::{Link, Wire};
pub(crate) use metrics::describe as describe_metrics;
pub use open::OpenError;
use sync::locked;
use writer::{Confirms, Writer, WriterLimits};

use crate::metrics::Up;

/// Connections of one backend.
const LINKS: usize = 3;
/// Pause between attempts at start.
const START_AGAIN: Duration = Duration::from_millis(200);
/// How long closing may take; then the sockets are ended.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// Where RabbitMQ is, and the limits of this backend.
#[derive(Clone)]
pub struct RabbitmqOptions {
    /// `amqp://user:password@host:port/vhost`, or `amqps`; several are tried in turn. They must be nodes of one cluster.
    pub urls: Vec<String>,
    /// What the broker's management page shows, such as the role and the host.
    pub connection_name: String,
    /// Certificates of the authority that signed the broker's, in PEM; `None`: the usual public ones.
    pub authority_pem: Option<String>,
    /// How long [`open`] goes on trying a broker that is not there yet. Default 10 s.
    pub start_timeout: Duration,
    /// For one TCP connection. Default 1 s.
    pub connect_timeout: Duration,
    /// From the dial to the open connection, all told. Default 3 s.
    pub handshake_timeout: Duration,
    /// Seconds between signs of life; a silent peer is given up after two to three times as long. Default 3.
    pub heartbeat_seconds: u16,
    /// How long a call waits for its answer; then it is `Unavailable`, and may yet take effect. Default 5 s.
    pub answer_timeout: Duration,
    /// For how long no confirm may come while some are due; then the channel is given up. Default 20 s.
    pub confirms_stalled_after: Duration,
    /// Channels that publish. Default 2.
    pub publish_channels: usize,
    /// Messages unconfirmed on one channel at a time; beyond it calls wait. Default 500.
    pub window_messages_max: usize,
    /// Calls that wait for one channel; beyond it a call is `Full`. Default 2,048.
    pub calls_max: usize,
    /// Messages of joined entries a drain is given without acknowledging any; beyond it the rest waits. Default 1,024.
    pub drain_messages_max: u16,
    /// Notices a listener may fall behind; beyond it the oldest are missed. Default 4,096.
    pub bulletin_notices_max: usize,
    /// How long a queue that was made just now is left alone: the broker writes down late that it exists. Three times as
    /// long nothing is removed over a new connection. Default 1 s; less only where no broker is killed.
    pub settle_time: Duration,
    /// How often messages without a queue are looked for. Default 5 s.
    pub alarm_every: Duration,
}

impl Default for RabbitmqOptions {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            connection_name: "sluice".into(),
            authority_pem: None,
            start_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(1),
            handshake_timeout: Duration::from_secs(3),
            heartbeat_seconds: 3,
            answer_timeout: Duration::from_secs(5),
            confirms_stalled_after: Duration::from_secs(20),
            publish_channels: 2,
            window_messages_max: 500,
            calls_max: 2_048,
            drain_messages_max: 1_024,
            bulletin_notices_max: 4_096,
            settle_time: Duration::from_secs(1),
            alarm_every: Duration::from_secs(5),
        }
    }
}

impl fmt::Debug for RabbitmqOptions {
    /// Without the addresses: they have passwords in them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitmqOptions")
            .field("urls", &self.urls.len())
            .field("connection_name", &self.connection_name)
            .finish_non_exhaustive()
    }
}

/// What every part of the backend knows.
struct Shared {
    options: RabbitmqOptions,
    addresses: Vec<Address>,
    dial: DialSettings,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    stop: CancellationToken,
    plugs: Mutex<Vec<Weak<Plug>>>,
    links_up: AtomicUsize,
    random: Random,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("addresses", &self.addresses).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(options: RabbitmqOptions, clock: Arc<dyn Clock>) -> Result<Self, BadAddress> {
        let addresses = Address::read(&options.urls, options.heartbeat_seconds.max(1))?;
        let dial = DialSettings {
            connect_timeout: options.connect_timeout,
            handshake_timeout: options.handshake_timeout,
            connection_name: options.connection_name.clone(),
            tls: OwnedTLSConfig { identity: None, cert_chain: options.authority_pem.clone() },
        };
        Ok(Self {
            options,
            addresses,
            dial,
            clock,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            plugs: Mutex::default(),
            links_up: AtomicUsize::new(0),
            random: Random::system(),
        })
    }

    /// A plug that is pulled when the backend is dropped.
    fn new_plug(&self) -> Arc<Plug> {
        let plug = Arc::new(Plug::default());
        let mut plugs = locked(&self.plugs);
        plugs.retain(|plug| plug.strong_count() > 0);
        plugs.push(Arc::downgrade(&plug));
        if self.stop.is_cancelled() {
            plug.pull();
        }
        plug
    }

    fn writer(
        &self,
        channel: Channel,
        wire: &Arc<Wire>,
        over: CancellationToken,
        confirms: Confirms,
    ) -> Writer {
        let limits = WriterLimits {
            window: self.options.window_messages_max.max(1),
            jobs_max: self.options.calls_max,
            stalled_after: self.options.confirms_stalled_after,
        };
        Writer::start(channel, wire, over, confirms, limits, &self.tasks)
    }

    fn link_up(&self) {
        if self.links_up.fetch_add(1, Ordering::AcqRel) + 1 == LINKS {
            metrics::set_up(Up::Yes);
        }
    }

    fn link_down(&self) {
        self.links_up.fetch_sub(1, Ordering::AcqRel);
        metrics::set_up(Up::No);
    }

    /// What a message that is buried now will be known by.
    fn new_letter(&self) -> LetterId {
        LetterId::generate(self.clock.now(), &self.random)
    }

    /// Ends every socket, at once.
    fn pull_all(&self) {
        self.stop.cancel();
        let plugs = std::mem::take(&mut *locked(&self.plugs));
        plugs.iter().filter_map(Weak::upgrade).for_each(|plug| plug.pull());
    }
}

/// An open backend. Dropping it is a crash: its connections end at once, and what was not answered is unknown.
pub struct Rabbitmq {
    shared: Arc<Shared>,
    waiting: Arc<dyn WaitingQueue>,
    turns: Arc<dyn TurnQueue>,
    letters: Arc<dyn DeadLetters>,
    inbox: Arc<dyn CallbackInbox>,
    bulletin: Arc<dyn Bulletin>,
}

impl fmt::Debug for Rabbitmq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rabbitmq").field("shared", &self.shared).finish_non_exhaustive()
    }
}

/// Ends everything that was begun, unless opening went well.
struct Undo(Option<Arc<Shared>>);

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(shared) = self.0.take() {
            shared.pull_all();
        }
    }
}

/// Connects to RabbitMQ, looks at its version, and declares what every sale shares.
pub async fn open(options: RabbitmqOptions, clock: Arc<dyn Clock>) -> Result<Rabbitmq, OpenError> {
    let shared = Arc::new(Shared::new(options, clock).map_err(OpenError::Address)?);
    let mut undo = Undo(Some(Arc::clone(&shared)));
    greet(&shared).await?;
    let press = Link::open(&shared, "publishing").await?;
    let consumers = Link::open(&shared, "consuming").await?;
    let drains = Link::open(&shared, "draining").await?;
    shared.tasks.spawn(alarm::watch(Arc::clone(&shared), press.clone()));
    tracing::info!(addresses = ?shared.addresses, "connected to RabbitMQ");
    undo.0 = None;
    let waiting = waiting::Waiting::new(Arc::clone(&shared), press.clone(), drains);
    let turns = turns::Turns::new(Arc::clone(&shared), press.clone(), consumers.clone());
    let letters = letters::Letters::new(Arc::clone(&shared), press.clone(), consumers.clone());
    let inbox = callbacks::Inbox::new(Arc::clone(&shared), press.clone(), consumers.clone());
    let bulletin = bulletin::Board::new(Arc::clone(&shared), press, consumers);
    Ok(Rabbitmq {
        shared,
        waiting: Arc::new(waiting),
        turns: Arc::new(turns),
        letters: Arc::new(letters),
        inbox: Arc::new(inbox),
        bulletin: Arc::new(bulletin),
    })
}

/// Looks at the version of the first broker that answers. One that is not there may come while there is time.
async fn greet(shared: &Shared) -> Result<(), OpenError> {
    let began = Instant::now();
    let mut addresses = shared.addresses.iter().cycle();
    loop {
        let Some(address) = addresses.next() else {
            return Err(OpenError::Address(BadAddress::None));
        };
        let Err(error) = greeting::check(address, &shared.dial).await else { return Ok(()) };
        if !error.may_pass() || began.elapsed() + START_AGAIN >= shared.options.start_timeout {
            return Err(error);
        }
        sleep(START_AGAIN).await;
    }
}

impl Rabbitmq {
    #[must_use]
    pub fn waiting(&self) -> Arc<dyn WaitingQueue> {
        Arc::clone(&self.waiting)
    }

    #[must_use]
    pub fn turns(&self) -> Arc<dyn TurnQueue> {
        Arc::clone(&self.turns)
    }

    #[must_use]
    pub fn letters(&self) -> Arc<dyn DeadLetters> {
        Arc::clone(&self.letters)
    }

    #[must_use]
    pub fn inbox(&self) -> Arc<dyn CallbackInbox> {
        Arc::clone(&self.inbox)
    }

    #[must_use]
    pub fn bulletin(&self) -> Arc<dyn Bulletin> {
        Arc::clone(&self.bulletin)
    }

    /// Says farewell to the broker and ends every task. What nobody waited for any more may be lost.
    pub async fn close(self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if timeout(CLOSE_TIMEOUT, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("RabbitMQ did not hear our farewell in time");
        }
    }
}

impl Drop for Rabbitmq {
    fn drop(&mut self) {
        self.shared.pull_all();
    }
}
