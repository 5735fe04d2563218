//! One supervised connection. It dials again by itself, host after host, and every generation prepares its own channels;
//! nothing is carried over from one to the next, so whatever was under way when a generation ended is *unknown*.
//!
//! The client library can recover connections too, but has been seen to wait for ever where nothing was to come; here
//! every wait has an end.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use lapin::{Channel, Connection, Event};
use sluice_core::random::Random;
use tokio::{
    sync::watch,
    time::{Instant, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    address::Address,
    dial::{self, Plug},
    fault::{Fault, answered},
    open::OpenError,
};

/// How often a connection is looked at, besides what it tells by itself.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long a farewell may take; then the socket is ended.
const FAREWELL: Duration = Duration::from_secs(1);
/// Pause before a new dial: doubles from the first to the last, and is jittered.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_millis(800);

/// One connection from its handshake to its end.
pub(super) struct Wire {
    connection: Connection,
    plug: Arc<Plug>,
    over: CancellationToken,
    address: Address,
    since: Instant,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Wire {
    /// Opens a channel.
    pub(super) async fn channel(&self, limit: Duration) -> Result<Channel, Fault> {
        answered(limit, "a new channel", self.connection.create_channel()).await
    }

    /// Whether the broker has told us to stop publishing: it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Cancelled when the generation ends. Cancelling it ends the generation.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// When it was opened.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    fn is_up(&self) -> bool {
        self.connection.status().connected()
    }

    /// Waits for the end of the connection.
    async fn ended(&self, mut events: impl Stream<Item = Event> + Unpin) {
        let mut look = interval(LOOK_EVERY);
        while self.is_up() {
            tokio::select! {
                () = self.over.cancelled() => return,
                event = events.next() => self.heard(event.as_ref()),
                _ = look.tick() => {}
            }
        }
    }

    fn heard(&self, event: Option<&Event>) {
        if let Some(Event::ConnectionBlocked(reason)) = event {
            tracing::error!(
                at = %self.address,
                reason,
                "RabbitMQ takes no messages until it has more memory or disk"
            );
        } else if let Some(Event::ConnectionUnblocked) = event {
            tracing::info!(at = %self.address, "RabbitMQ takes messages again");
        }
    }

    /// Says farewell if somebody listens, and ends the socket.
    async fn end(&self) {
        self.over.cancel();
        if self.is_up() {
            // Whether it was heard does not matter: the socket ends either way.
            let _ = timeout(FAREWELL, self.connection.close(200, "bye".into())).await;
        }
        self.plug.pull();
    }
}

/// What every generation of a link prepares before it is used.
pub(super) trait Kit: Send + Sync + Sized + 'static {
    fn prepare(
        wire: &Arc<Wire>,
        shared: &Arc<Shared>,
    ) -> impl Future<Output = Result<Self, OpenError>> + Send;
}

/// A connection whose users open their own channels.
#[derive(Debug)]
pub(super) struct Bare;

impl Kit for Bare {
    async fn prepare(_: &Arc<Wire>, _: &Arc<Shared>) -> Result<Self, OpenError> {
        Ok(Self)
    }
}

/// A generation that is up.
#[derive(Debug)]
pub(super) struct Live<K> {
    pub(super) wire: Arc<Wire>,
    pub(super) kit: K,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Link<K> {
    live: watch::Receiver<Option<Arc<Live<K>>>>,
}

impl<K> Clone for Link<K> {
    fn clone(&self) -> Self {
        Self { live: self.live.clone() }
    }
}

impl<K: Kit> Link<K> {
    /// Connects, and keeps connected from then on. `purpose` is shown on the broker's management page.
    pub(super) async fn open(
        shared: &Arc<Shared>,
        purpose: &'static str,
    ) -> Result<Self, OpenError> {
        let dialer = Dialer::new(Arc::clone(shared), purpose);
        let (first, events) = dialer.first().await?;
        let (tell, live) = watch::channel(None);
        let keeper = Keeper { dialer, tell };
        shared.tasks.spawn(keeper.run(first, Box::pin(events)));
        Ok(Self { live })
    }

    /// The generation that is up now.
    pub(super) fn live(&self) -> Result<Arc<Live<K>>, Fault> {
        self.live.borrow().clone().ok_or(Fault::Away)
    }

    /// The generation that is up now, or will be soon.
    pub(super) async fn soon(&self, limit: Duration) -> Result<Arc<Live<K>>, Fault> {
        let mut live = self.live.clone();
        let up = timeout(limit, live.wait_for(Option::is_some)).await;
        match up {
            Ok(Ok(live)) => live.clone().ok_or(Fault::Away),
            Ok(Err(_)) | Err(_) => Err(Fault::Away),
        }
    }
}

type Events = std::pin::Pin<Box<dyn Stream<Item = Event> + Send>>;

/// Dials the addresses in turn.
struct Dialer {
    shared: Arc<Shared>,
    purpose: &'static str,
    next: AtomicUsize,
    random: Random,
}

impl Dialer {
    fn new(shared: Arc<Shared>, purpose: &'static str) -> Self {
        Self { shared, purpose, next: AtomicUsize::new(0), random: Random::system() }
    }

    /// The first generation: tries until the time for starting is over, and says why it was in vain.
    async fn first<K: Kit>(&self) -> Result<(Arc<Live<K>>, Events), OpenError> {
        let began = Instant::now();
        let mut failures = 0;
        loop {
            let error = match self.dial().await {
                Ok(up) => return Ok(up),
                Err(error) => error,
            };
            let pause = self.pause(failures);
            let late = began.elapsed() + pause >= self.shared.options.start_timeout;
            if late || !error.may_pass() {
                return Err(error);
            }
            failures += 1;
            sleep(pause).await;
        }
    }

    /// One attempt, at the next address.
    async fn dial<K: Kit>(&self) -> Result<(Arc<Live<K>>, Events), OpenError> {
        let shared = &self.shared;
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % shared.addresses.len().max(1);
        let Some(address) = shared.addresses.get(turn) else {
            return Err(OpenError::Address(super::address::BadAddress::None));
        };
        let mut settings = shared.dial.clone();
        settings.connection_name = format!("{} {}", settings.connection_name, self.purpose);
        let plug = shared.new_plug();
        let connection = dial::connect(address, &settings, &plug).await?;
        let events: Events = Box::pin(connection.events_listener());
        let over = shared.stop.child_token();
        let wire = Arc::new(Wire {
            connection,
            plug,
            over,
            address: address.clone(),
            since: Instant::now(),
        });
        match K::prepare(&wire, shared).await {
            Ok(kit) => Ok((Arc::new(Live { wire, kit }), events)),
            Err(error) => {
                wire.end().await;
                Err(error)
            }
        }
    }

    fn pause(&self, failures: u32) -> Duration {
        let longest = PAUSE_MIN.saturating_mul(1 << failures.min(10)).min(PAUSE_MAX);
        longest.mul_f64(0.5 + self.random.unit() / 2.0)
    }
}

/// Keeps a link connected until the backend is closed.
struct Keeper<K> {
    dialer: Dialer,
    tell: watch::Sender<Option<Arc<Live<K>>>>,
}

impl<K: Kit> Keeper<K> {
    async fn run(self, first: Arc<Live<K>>, events: Events) {
        let mut up = Some((first, events));
        while let Some((live, events)) = up {
            let wire = Arc::clone(&live.wire);
            self.tell.send_replace(Some(live));
            self.dialer.shared.link_up();
            wire.ended(events).await;
            self.tell.send_replace(None);
            self.dialer.shared.link_down();
            if !self.dialer.shared.stop.is_cancelled() {
                let (at, link) = (wire.address(), self.dialer.purpose);
                tracing::warn!(%at, link, "a connection to RabbitMQ ended; dialling again");
            }
            wire.end().await;
            up = self.again().await;
        }
    }

    /// Dials until it is up; `None` once the backend is closed.
    async fn again(&self) -> Option<(Arc<Live<K>>, Events)> {
        let Dialer { shared, purpose, .. } = &self.dialer;
        let mut failures = 0;
        loop {
            tokio::select! {
                () = shared.stop.cancelled() => return None,
                () = sleep(self.dialer.pause(failures)) => {}
            }
            let dialled = tokio::select! {
                () = shared.stop.cancelled() => return None,
                dialled = self.dialer.dial() => dialled,
            };
            match dialled {
                Ok(up) => {
                    tracing::info!(link = purpose, failures, "connected to RabbitMQ again");
                    return Some(up);
                }
                Err(error) => {
                    // Once, and then now and then: it may last for hours.
                    if failures.is_power_of_two() || failures == 0 {
                        let error = &error as &dyn std::error::Error;
                        tracing::warn!(link = purpose, failures, error, "RabbitMQ stays away");
                    }
                    failures = failures.saturating_add(1);
                }
            }
        }
    }
}
