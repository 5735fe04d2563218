//! The connections of this process. A bounded number; one operation has one, and gives it back only when the server has
//! just answered on it and no transaction is open. In every other case, a cancelled future and a panic included, the
//! connection is dropped: its socket closes, the server rolls back, and its place is free at once.
//!
//! A pool that takes a connection back by looking at it again would wait for ever on a peer that fell silent.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};

use super::{fault::Fault, metrics::Usage, options::PostgresOptions};

/// A connection that nobody used for so long is looked at before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(10);
/// How long a look at an idle connection, or a farewell, may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Connections {
    session: PgConnectOptions,
    limits: Limits,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Idle>>,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    connections_max: u32,
    connect_timeout: Duration,
    acquire_timeout: Duration,
    lifetime_max: Duration,
    idle_max: Duration,
}

struct Idle {
    connection: PgConnection,
    born: Instant,
    since: Instant,
}

/// A connection in use, and its place.
pub(super) struct Held {
    connection: PgConnection,
    born: Instant,
    from: Arc<Connections>,
    place: OwnedSemaphorePermit,
}

impl Held {
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Back to where it came from. The server has just answered on it, and no transaction is open.
    pub(super) fn give_back(self) {
        let Self { connection, born, from, place } = self;
        if !from.places.is_closed() {
            from.idle().push(Idle { connection, born, since: Instant::now() });
        }
        drop(place);
    }
}

impl Connections {
    pub(super) fn new(session: PgConnectOptions, options: &PostgresOptions) -> Self {
        let connections_max = options.connections_max.max(1);
        Self {
            session,
            limits: Limits {
                connections_max,
                connect_timeout: options.connect_timeout,
                acquire_timeout: options.acquire_timeout,
                lifetime_max: options.lifetime_max,
                idle_max: options.idle_max,
            },
            places: Arc::new(Semaphore::new(connections_max as usize)),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// A connection: an idle one, else a new one. Waits for a place in the order of asking.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Held, Fault> {
        let waited = self.limits.acquire_timeout;
        let place = match timeout(waited, Arc::clone(&self.places).acquire_owned()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(Fault::Closing),
            Err(_) => return Err(Fault::Busy(waited)),
        };
        loop {
            let Some(idle) = self.idle().pop() else { break };
            if let Some(idle) = self.still_good(idle).await {
                let (connection, born) = (idle.connection, idle.born);
                return Ok(Held { connection, born, from: Arc::clone(self), place });
            }
        }
        let connection = self.connect().await?;
        Ok(Held { connection, born: Instant::now(), from: Arc::clone(self), place })
    }

    async fn connect(&self) -> Result<PgConnection, Fault> {
        let most = self.limits.connect_timeout;
        match timeout(most, begin_session(&self.session)).await {
            Ok(connected) => connected.map_err(Fault::Connect),
            Err(_) => Err(Fault::Connect(silent(most))),
        }
    }

    /// An idle connection if it may be used; a worn one is seen off, a dead one dropped.
    async fn still_good(&self, mut idle: Idle) -> Option<Idle> {
        if idle.born.elapsed() > self.limits.lifetime_max {
            part(idle).await;
            return None;
        }
        if idle.since.elapsed() > TRUSTED_IDLE {
            let look = timeout(LOOK_TIMEOUT, idle.connection.ping()).await;
            matches!(look, Ok(Ok(()))).then_some(idle)
        } else {
            Some(idle)
        }
    }

    /// Drops the idle ones: one of their kind has just been found dead, in a restart of the server they all are.
    pub(super) fn forget_idle(&self) {
        let dead = std::mem::take(&mut *self.idle());
        drop(dead);
    }

    /// Looks at those that have been idle for a while, in a place of their own so that the limit holds: the dead are dropped,
    /// the worn and the needless closed. Whether all that were looked at answered.
    pub(super) async fn look_after(&self) -> bool {
        let Ok(_place) = Arc::clone(&self.places).try_acquire_owned() else { return true };
        let mut all_answered = true;
        let count = self.idle().len();
        for _ in 0..count {
            let Some(mut idle) = self.oldest() else { break };
            let needless = idle.since.elapsed() > self.limits.idle_max && !self.idle().is_empty();
            if needless || idle.born.elapsed() > self.limits.lifetime_max {
                part(idle).await;
                continue;
            }
            match timeout(LOOK_TIMEOUT, idle.connection.ping()).await {
                Ok(Ok(())) if !self.places.is_closed() => self.idle().insert(0, idle),
                Ok(Ok(())) => return all_answered,
                Ok(Err(_)) | Err(_) => all_answered = false,
            }
        }
        all_answered
    }

    /// The one at the bottom: the last that was given back is the first that is taken.
    fn oldest(&self) -> Option<Idle> {
        let mut idle = self.idle();
        if idle.is_empty() { None } else { Some(idle.remove(0)) }
    }

    pub(super) fn usage(&self, in_hand: u32) -> Usage {
        let free = u32::try_from(self.places.available_permits()).unwrap_or(u32::MAX);
        let busy = self.limits.connections_max.saturating_sub(free);
        let idle = u32::try_from(self.idle().len()).unwrap_or(u32::MAX);
        Usage { busy, idle, awaited: in_hand.saturating_sub(busy) }
    }

    /// No more connections; the idle ones say goodbye.
    pub(super) async fn close(&self) {
        self.places.close();
        let last = std::mem::take(&mut *self.idle());
        for idle in last {
            part(idle).await;
        }
    }

    /// No more connections, and not a word to the server.
    pub(super) fn crash(&self) {
        self.places.close();
        self.forget_idle();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects, and sees to it that a commit means what it says.
async fn begin_session(session: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = session.connect().await?;
    sqlx::query(sql!("connection/durable")).execute(&mut connection).await?;
    Ok(connection)
}

/// Says goodbye, if the server listens.
async fn part(idle: Idle) {
    // Whether it heard us does not matter: the socket closes either way.
    drop(timeout(LOOK_TIMEOUT, idle.connection.close()).await);
}

/// The server took the connection and said nothing.
fn silent(after: Duration) -> sqlx::Error {
    let text = format!("nothing was heard within {after:?}");
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text))
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections").field("limits", &self.limits).finish_non_exhaustive()
    }
}
