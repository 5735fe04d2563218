//! The server: accepts, limits, serves, drains.
//!
//! One task per connection, all in one tracker. hyper parses; the limits around it are ours: how many connections, how
//! long for headers (the same limit is the keep-alive idle time), how long for a body, how long without progress while
//! writing, how long for draining.

use std::{io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use hyper::server::conn::http1;
use metrics::{Counter, Gauge};
use socket2::{Domain, Protocol, Socket as RawSocket, Type};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Router, metrics as measured, throttle::Throttle};

mod connection;
mod head_timer;
mod refusal;
mod socket;
mod stop;
mod tls;

use connection::{Serving, Slot};
use socket::Socket;
pub use socket::raw_socket;
use stop::{Stop, Stopped};
pub use tls::TlsFiles;

/// Completed handshakes the kernel may hold for us; beyond that it drops the client's SYN, which is sent again.
const BACKLOG: i32 = 4096;
/// hyper's smallest buffer.
const BUFFER_BYTES_MIN: usize = 8192;
/// Connections that are being told 503 at any moment; beyond that they are closed without a word.
const REFUSALS_MAX: usize = 256;
/// How long accepting rests when the process or the system is out of something.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// The limits of one listener.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Port 0 takes a free one; see [`Server::local_addr`].
    pub listen: SocketAddr,
    /// Open connections, those in a TLS handshake included, upgraded ones not. When less than an eighth of them is left,
    /// answers close their connections (`Connection: close`) instead of keeping them for the next request. Beyond it a
    /// new connection is answered 503 with `Retry-After` and closed (with TLS: closed).
    pub connections_max: usize,
    /// How long a request's headers may take from its first moment, which on a kept-alive connection is the end of the
    /// answer before: the idle time, too. Keep it above the poll interval. The connection is closed without a word.
    pub header_timeout: Duration,
    /// How long a request's whole body may take: 408. Also how long a client may take nothing of an answer: closed.
    pub body_timeout: Duration,
    /// Request line and headers, in bytes: 431.
    pub header_bytes_max: usize,
    /// How long requests in hand may take when the server is told to stop; what is left then is cut.
    pub drain_timeout: Duration,
    /// `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
}

/// Why a server cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error("{key} must be {rule}")]
    Limit { key: &'static str, rule: &'static str },
    #[error("cannot listen on {listen}")]
    Listen {
        listen: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot use {} for TLS", path.display())]
    Tls {
        path: PathBuf,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A listener that is bound and does not accept yet.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    tls: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    serving: Arc<Serving>,
    metrics: Metrics,
}

struct Metrics {
    open: Gauge,
    answered: Counter,
    dropped: Counter,
}

/// A bound address, before anything is served on it: for roles whose links must name it.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Listener {
    /// Binds; port 0 takes a free one. Call it inside a runtime.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let refused = |source| BindError::Listen { listen: address, source };
        let listener = listen(address).map_err(refused)?;
        let local_addr = listener.local_addr().map_err(refused)?;
        Ok(Self { listener, local_addr })
    }

    /// The address that was bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Server {
    /// Checks the limits, reads the TLS files and binds. Nothing is accepted before [`Server::run`].
    pub async fn bind(config: ServerConfig, router: Arc<Router>) -> Result<Self, BindError> {
        check(&config)?;
        let listener = Listener::bind(config.listen)?;
        Self::on(listener, config, router)
    }

    /// The same on an address that is bound already; the configuration's `listen` is not looked at.
    pub fn on(
        listener: Listener,
        config: ServerConfig,
        router: Arc<Router>,
    ) -> Result<Self, BindError> {
        check(&config)?;
        let tls = config.tls.as_ref().map(tls::acceptor).transpose()?;
        let Listener { listener, local_addr } = listener;
        let mut http = http1::Builder::new();
        http.header_read_timeout(config.header_timeout)
            .max_header_size(config.header_bytes_max)
            .max_buf_size(config.header_bytes_max.max(BUFFER_BYTES_MIN))
            // Answers are short: one piece is cheaper than a list of two.
            .writev(false);
        let connections = Arc::new(Semaphore::new(config.connections_max));
        let serving = Serving {
            http,
            router,
            connections: Arc::clone(&connections),
            connections_max: config.connections_max,
            header_timeout: config.header_timeout,
            body_timeout: config.body_timeout,
            drain_timeout: config.drain_timeout,
        };
        let port = local_addr.port();
        Ok(Self {
            listener,
            local_addr,
            tls,
            connections,
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            serving: Arc::new(serving),
            metrics: Metrics {
                open: measured::connections(port),
                answered: measured::refused(port, "answered"),
                dropped: measured::refused(port, "dropped"),
            },
        })
    }

    /// The address that was bound.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until `shutdown`, then stops accepting, lets requests in hand finish within the drain timeout, and returns
    /// when no connection of its own is left. Upgraded connections belong to the role that upgraded them.
    pub async fn run(self, shutdown: CancellationToken) {
        static FAULTS: Throttle = Throttle::new(1);
        // Should this future be dropped, its connections hear of it all the same.
        let stop = Stop::new();
        let tasks = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &tasks, &stop),
                Err(error) => {
                    let Some(rest) = rest_after(&error) else { continue };
                    if let Some(held_back) = FAULTS.pass() {
                        tracing::error!(%error, port = self.local_addr.port(), held_back, "cannot accept connections");
                    }
                    tokio::select! {
                        () = shutdown.cancelled() => break,
                        () = tokio::time::sleep(rest) => {}
                    }
                }
            }
        }
        drop((self.listener, stop));
        tasks.close();
        tasks.wait().await;
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, tasks: &TaskTracker, stop: &Stop) {
        // Fails only on a socket that is dead already, which its first read will tell.
        let _dead = stream.set_nodelay(true);
        let stop = stop.stopped();
        let Ok(permit) = Arc::clone(&self.connections).try_acquire_owned() else {
            self.refuse(stream, tasks, stop);
            return;
        };
        let slot = Slot::new(permit, self.metrics.open.clone());
        let serving = Arc::clone(&self.serving);
        match self.tls.clone() {
            None => {
                let socket = Socket::new(stream, serving.body_timeout);
                tasks.spawn(async move { serving.serve(socket, peer, stop, slot).await });
            }
            Some(tls) => {
                tasks.spawn(async move { serving.serve_tls(tls, stream, peer, stop, slot).await });
            }
        }
    }

    /// Says 503 to one connection too many, if not too many are being told already.
    fn refuse(&self, stream: TcpStream, tasks: &TaskTracker, stop: Stopped) {
        let permit =
            Arc::clone(&self.refusals).try_acquire_owned().ok().filter(|_| self.tls.is_none());
        let Some(permit) = permit else {
            self.metrics.dropped.increment(1);
            return;
        };
        self.metrics.answered.increment(1);
        tasks.spawn(async move {
            tokio::select! {
                () = stop => {}
                () = refusal::tell(stream) => {}
            }
            drop(permit);
        });
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("local_addr", &self.local_addr).finish_non_exhaustive()
    }
}

fn check(config: &ServerConfig) -> Result<(), BindError> {
    let limits = [
        (
            "connections_max",
            (1..=Semaphore::MAX_PERMITS).contains(&config.connections_max),
            "at least 1",
        ),
        ("header_timeout", !config.header_timeout.is_zero(), "above 0"),
        ("body_timeout", !config.body_timeout.is_zero(), "above 0"),
        (
            "header_bytes_max",
            (1024..=1024 * 1024).contains(&config.header_bytes_max),
            "1024 to 1048576",
        ),
    ];
    match limits.into_iter().find(|(_, holds, _)| !holds) {
        Some((key, _, rule)) => Err(BindError::Limit { key, rule }),
        None => Ok(()),
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Without it a restart has to wait for the old connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// How long to rest after a failed accept. `None` when only that one connection failed: the next may be fine. Otherwise
/// the process or the system is out of descriptors or memory, and trying at once would only burn the processor that is
/// needed to free some.
fn rest_after(error: &io::Error) -> Option<Duration> {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    let of_one_connection = [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted]
        .contains(&error.kind());
    (!of_one_connection).then_some(ACCEPT_REST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepting_rests_only_when_the_process_is_out_of_something() {
        let (emfile, enfile, enomem) = (24, 23, 12);
        for code in [emfile, enfile, enomem] {
            assert!(
                rest_after(&io::Error::from_raw_os_error(code)).is_some_and(|rest| !rest.is_zero()),
                "{code}"
            );
        }
        let (econnaborted, eintr) = (103, 4);
        for code in [econnaborted, eintr] {
            assert_eq!(rest_after(&io::Error::from_raw_os_error(code)), None, "{code}");
        }
    }
}
