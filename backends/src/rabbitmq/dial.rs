//! Dials a broker: our own TCP connection, and a deadline over the whole handshake.
//!
//! The client library's own dial has none: a peer that accepts and says nothing would keep its caller waiting for ever,
//! and a caller that gives up would leave the library's thread behind. So a second handle to the socket is kept here;
//! pulling that [`Plug`] ends the socket, and with it the thread.

use std::{
    io,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_rs::{Runtime, TokioRuntime, traits::Reactor};
use lapin::{AsyncTcpStream, Connection, ConnectionProperties, tcp::OwnedTLSConfig};
use tokio::time::timeout;

use super::{address::Address, fault::reply_code, open::OpenError, sync::locked};

/// AMQP reply codes that tell why a handshake failed.
const ACCESS_REFUSED: u16 = 403;
const NOT_ALLOWED: u16 = 530;

/// A connection's bytes, plain or encrypted.
pub(super) type Transport = AsyncTcpStream<<TokioRuntime as Reactor>::TcpStream>;

/// How to dial.
#[derive(Clone, Debug)]
pub(super) struct DialSettings {
    /// For one TCP connection, and for finding the host's address.
    pub(super) connect_timeout: Duration,
    /// For everything from the dial to an open connection.
    pub(super) handshake_timeout: Duration,
    /// What the broker's management page shows.
    pub(super) connection_name: String,
    pub(super) tls: OwnedTLSConfig,
}

/// A second handle to a connection's socket, to end it from outside.
#[derive(Debug, Default)]
pub(super) struct Plug(Mutex<Socket>);

#[derive(Debug, Default)]
enum Socket {
    /// Not dialled yet.
    #[default]
    None,
    In(TcpStream),
    /// Ended, or given up before there was one.
    Pulled,
}

impl Plug {
    fn put(&self, stream: &impl AsFd) -> io::Result<()> {
        let handle = TcpStream::from(stream.as_fd().try_clone_to_owned()?);
        let mut socket = locked(&self.0);
        match *socket {
            Socket::Pulled => Err(io::ErrorKind::ConnectionAborted.into()),
            Socket::None | Socket::In(_) => {
                *socket = Socket::In(handle);
                Ok(())
            }
        }
    }

    /// Ends the socket, at once and for good. Repeats are harmless.
    pub(super) fn pull(&self) {
        if let Socket::In(socket) = std::mem::replace(&mut *locked(&self.0), Socket::Pulled) {
            // An error means that it has ended already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Pulls the plug unless told that all went well: whoever drops a dial leaves nothing behind.
struct Watchdog(Option<Arc<Plug>>);

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(plug) = self.0.take() {
            plug.pull();
        }
    }
}

/// Opens a connection. Whatever happens, it has an end within the handshake's timeout, and no socket or thread stays
/// behind when it fails.
pub(super) async fn connect(
    address: &Address,
    settings: &DialSettings,
    plug: &Arc<Plug>,
) -> Result<Connection, OpenError> {
    let mut watchdog = Watchdog(Some(Arc::clone(plug)));
    let name = settings.connection_name.as_str().into();
    let properties = ConnectionProperties::default().with_connection_name(name);
    let fault = Arc::new(Mutex::new(None));
    let (to, how, socket, slot) =
        (address.clone(), settings.clone(), Arc::clone(plug), Arc::clone(&fault));
    let dial = async move |_, runtime: TokioRuntime| {
        transport(&runtime, &to, &how, &socket).await.map_err(|error| {
            *locked(&slot) = Some(error);
            io::Error::from(io::ErrorKind::NotConnected).into()
        })
    };
    let connecting =
        Connection::connector(address.uri(), Runtime::tokio_current(), dial, properties);
    let connected = timeout(settings.handshake_timeout, connecting).await;
    match connected {
        Ok(Ok(connection)) => {
            watchdog.0 = None;
            Ok(connection)
        }
        Ok(Err(error)) => match locked(&fault).take() {
            Some(dialled) => Err(dialled),
            None => Err(explain(address, error)),
        },
        Err(_) => {
            Err(OpenError::Silent { at: address.to_string(), limit: settings.handshake_timeout })
        }
    }
}

/// What a broker meant by ending the handshake.
fn explain(address: &Address, error: lapin::Error) -> OpenError {
    let at = address.to_string();
    let (code, source) = (reply_code(&error), Box::new(error));
    match code {
        ACCESS_REFUSED => OpenError::Login { at, user: address.user().into(), source },
        NOT_ALLOWED => {
            let (vhost, user) = (address.vhost().into(), address.user().into());
            OpenError::Vhost { at, vhost, user, source }
        }
        _ => OpenError::Handshake { at, source },
    }
}

/// Dials, and encrypts if the address says so. Every address of the host is tried.
pub(super) async fn transport(
    runtime: &TokioRuntime,
    address: &Address,
    settings: &DialSettings,
    plug: &Plug,
) -> Result<Transport, OpenError> {
    let unreachable = |source| OpenError::Unreachable { at: address.to_string(), source };
    let found = tokio::net::lookup_host((address.host(), address.port()));
    let found = timeout(settings.connect_timeout, found).await;
    let found = found.map_err(|_| io::ErrorKind::TimedOut.into()).and_then(|found| found);
    let mut fault = io::ErrorKind::AddrNotAvailable.into();
    for socket_address in found.map_err(unreachable)? {
        let dial = runtime.tcp_connect_addr(socket_address);
        match timeout(settings.connect_timeout, dial).await {
            Ok(Ok(stream)) => {
                plug.put(stream.get_ref()).map_err(unreachable)?;
                let plain = AsyncTcpStream::Plain(stream);
                if !address.is_encrypted() {
                    return Ok(plain);
                }
                let encrypted = plain.into_tls(address.host(), settings.tls.as_ref()).await;
                return encrypted
                    .map_err(|source| OpenError::Tls { at: address.to_string(), source });
            }
            Ok(Err(error)) => fault = error,
            Err(_) => fault = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(unreachable(fault))
}
