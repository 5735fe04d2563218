//! The life of one connection: (TLS handshake,) requests, and, when the server is told to stop, a graceful end.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use metrics::Gauge;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{Socket, Stopped, head_timer::HeadTimer};
use crate::{Router, exchange::Arrival};

/// What every connection of a server needs.
pub(super) struct Serving {
    pub(super) http: http1::Builder,
    pub(super) router: Arc<Router>,
    pub(super) connections: Arc<Semaphore>,
    pub(super) connections_max: usize,
    pub(super) header_timeout: Duration,
    pub(super) body_timeout: Duration,
    pub(super) drain_timeout: Duration,
}

/// One of `connections_max`, given back when dropped.
pub(super) struct Slot {
    open: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    pub(super) fn new(permit: OwnedSemaphorePermit, open: Gauge) -> Self {
        open.increment(1);
        Self { open, _permit: permit }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.decrement(1);
    }
}

impl Serving {
    /// Whether connections are running out. Then every answer closes its connection: waiting buyers who keep theirs
    /// between polls must not keep out others, nor a payment's callback.
    fn is_crowded(&self) -> bool {
        self.connections.available_permits() < self.connections_max / 8
    }

    /// Ends when the connection does, when it was upgraded, or within the drain timeout of `stop`.
    pub(super) async fn serve<S>(
        self: Arc<Self>,
        socket: Socket<S>,
        peer: SocketAddr,
        mut stop: Stopped,
        slot: Slot,
    ) where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let serving = Arc::clone(&self);
        let service = service_fn(move |request| {
            let arrival =
                Arrival { socket: peer, at: Instant::now(), body_timeout: serving.body_timeout };
            serving.router.answer(request, arrival).closing(serving.is_crowded())
        });
        let mut http = self.http.clone();
        http.timer(HeadTimer::default());
        let connection = http.serve_connection(TokioIo::new(socket), service);
        let mut connection = pin!(connection.with_upgrades());
        let ended = tokio::select! {
            biased;
            ended = connection.as_mut() => ended,
            () = &mut stop => {
                connection.as_mut().graceful_shutdown();
                match timeout(self.drain_timeout, connection).await {
                    Ok(ended) => ended,
                    Err(_elapsed) => {
                        tracing::warn!("a request was cut: it was not finished within the drain timeout");
                        Ok(())
                    }
                }
            }
        };
        // Clients vanish, stall and send nonsense all day; none of it asks for an operator.
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(slot);
    }

    /// As [`Serving::serve`], after a handshake that may take as long as headers may.
    pub(super) async fn serve_tls(
        self: Arc<Self>,
        tls: TlsAcceptor,
        stream: TcpStream,
        peer: SocketAddr,
        mut stop: Stopped,
        slot: Slot,
    ) {
        let handshake = tokio::select! {
            () = &mut stop => return,
            handshake = timeout(self.header_timeout, tls.accept(stream)) => handshake,
        };
        match handshake {
            Ok(Ok(stream)) => {
                let socket = Socket::new(stream, self.body_timeout);
                self.serve(socket, peer, stop, slot).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_elapsed) => tracing::debug!("a TLS handshake took too long"),
        }
    }
}
