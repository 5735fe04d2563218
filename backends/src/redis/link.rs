//! The handle that every call goes through: the connection of the moment, a deadline around each call, and a breaker that
//! answers at once while the server does not. The connection is made, watched and replaced by a task of its own; see
//! [`keep`].
//!
//! The client's own reconnecting is not used: while it reconnects, callers wait outside any deadline, and a connection
//! that was cut silently it never leaves.

use std::{
    error::Error as StdError,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwapOption;
use redis::Value;
use sluice_core::ports::{PortError, PortResult};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    RedisOptions,
    dial::{self, Dialled, Timings},
    endpoint::Endpoint,
    fault::{CallFault, OpenError, port_error},
    script::{Call, PROBE},
    wire::Wire,
};
use crate::metrics::{self, Up};

mod keep;

/// The backend's name in the metrics.
const BACKEND: &str = "redis";
/// After so many calls in a row without an answer, calls fail at once until the server gives a sign of life. Not on a
/// cluster.
const UNANSWERED_MAX: u32 = 4;
/// How long closing waits for the tasks; they hold nothing that would be lost.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Between tries at start.
const START_RETRY_WAIT: Duration = Duration::from_millis(100);

/// See the module.
pub(super) struct Link {
    endpoint: Endpoint,
    timings: Timings,
    /// Nothing while there is no connection.
    live: ArcSwapOption<Live>,
    unanswered: AtomicU32,
    permits: Semaphore,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// A connection in use.
struct Live {
    wire: Wire,
    address: String,
    /// Cancelled by whoever finds that it is of no more use.
    lost: CancellationToken,
}

impl Live {
    fn new(dialled: Dialled) -> Arc<Self> {
        let (address, server) = (dialled.address, dialled.server);
        tracing::info!(%address, version = %server.version, run_id = %server.run_id, "connected to Redis");
        Arc::new(Self { wire: dialled.wire, address, lost: CancellationToken::new() })
    }
}

impl Link {
    /// Connects, proves that we may write, and keeps the connection from then on.
    pub(super) async fn open(options: &RedisOptions) -> Result<Arc<Self>, OpenError> {
        let endpoint =
            Endpoint::read(&options.urls, options.topology, options.authority_pem.as_deref())
                .map_err(OpenError::Url)?;
        let timings = Timings { connect: options.connect_timeout, call: options.call_timeout };
        let first = first_dial(&endpoint, timings, options).await?;
        let live = Live::new(first);
        let link = Arc::new(Self {
            endpoint,
            timings,
            live: ArcSwapOption::from(Some(Arc::clone(&live))),
            unanswered: AtomicU32::new(0),
            permits: Semaphore::new(options.calls_max),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        metrics::set_up_of(BACKEND, Up::Yes);
        let keeper = Arc::clone(&link);
        link.tasks.spawn(async move { keeper.keep(live).await });
        Ok(link)
    }

    /// Runs a script. An error other than `Cold`, `Fenced` and `Full` leaves open whether it took effect.
    pub(super) async fn run(&self, call: Call) -> PortResult<Value> {
        let begun = Instant::now();
        let answer = self.ask(&call).await;
        metrics::record_of(BACKEND, call.script.name, begun.elapsed());
        answer
    }

    /// Work in the background that closing ends.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move {
            stop.run_until_cancelled(work).await;
        });
    }

    /// Ends the tasks and the connection, without waiting for them.
    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.live.store(None);
    }

    pub(super) async fn close(&self) {
        self.stop();
        if timeout(CLOSE_TIMEOUT, self.tasks.wait()).await.is_err() {
            tracing::warn!("Redis: tasks did not end within {CLOSE_TIMEOUT:?}");
        }
    }

    async fn ask(&self, call: &Call) -> PortResult<Value> {
        let live = self.live.load_full().ok_or(CallFault::Away)?;
        // The nodes of a cluster fail apart from each other: a silent one must not shut the others off.
        let one = matches!(live.wire, Wire::One(_));
        if one && self.unanswered.load(Ordering::Relaxed) >= UNANSWERED_MAX {
            return Err(CallFault::Breaker.into());
        }
        let _permit = self.permits.try_acquire().map_err(|_| PortError::Full)?;
        match timeout(self.timings.call, live.wire.run(call)).await {
            Ok(Ok(answer)) => {
                self.answered();
                Ok(answer)
            }
            Ok(Err(error)) => {
                if error.is_timeout() {
                    self.unanswered.fetch_add(1, Ordering::Relaxed);
                } else if !error.is_io_error() {
                    self.answered();
                }
                if live.wire.is_lost(&error) {
                    live.lost.cancel();
                }
                Err(port_error(error))
            }
            Err(_) => {
                self.unanswered.fetch_add(1, Ordering::Relaxed);
                Err(CallFault::Silent(self.timings.call).into())
            }
        }
    }

    fn answered(&self) {
        if self.unanswered.load(Ordering::Relaxed) != 0 {
            self.unanswered.store(0, Ordering::Relaxed);
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.endpoint)
    }
}

/// The first connection, tried until `start_timeout` as long as it may yet go well.
async fn first_dial(
    endpoint: &Endpoint,
    timings: Timings,
    options: &RedisOptions,
) -> Result<Dialled, OpenError> {
    let (begun, mut said) = (Instant::now(), None);
    loop {
        match first_try(endpoint, timings, &options.prefix).await {
            Err(error) if error.may_pass() && begun.elapsed() < options.start_timeout => {
                let saying = Some(error.to_string());
                if saying != said {
                    tracing::warn!(error = &error as &dyn StdError, "waiting for Redis");
                    said = saying;
                }
                tokio::time::sleep(START_RETRY_WAIT).await;
            }
            outcome => return outcome,
        }
    }
}

async fn first_try(
    endpoint: &Endpoint,
    timings: Timings,
    prefix: &str,
) -> Result<Dialled, OpenError> {
    let dialled = dial::dial(endpoint, timings).await?;
    let probe = PROBE.on(&[&format!("{prefix}:probe")]);
    dial::within(timings.call, &dialled.address, dialled.wire.run(&probe)).await?;
    Ok(dialled)
}
