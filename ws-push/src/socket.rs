//! One WebSocket: its upgrade, the loop of its task, its closing handshake. The task is small on purpose: what is needed
//! only at the beginning or at the end is boxed and freed.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use sluice_http::{Exchange, Problem, Response, raw_socket};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::OwnedSemaphorePermit,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message,
        error::ProtocolError,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{
    close::Close,
    config::millis,
    credentials::{Pass, Refused},
    frame, handshake,
    hub::TooMany,
    service::{Seat, Service, ended},
};

/// Clients say little: a small buffer each is what makes a crowd cheap.
const READ_BUFFER_BYTES: usize = 1_024;
/// Beyond what any frame of ours needs; grows only while a write is blocked.
const WRITE_BUFFER_BYTES_MAX: usize = 256 * 1_024;
/// What is read and thrown away of a client that was closed, so that it can still read why.
const LINGER_BYTES_MAX: usize = 1_024 * 1_024;
const MINUTE: Duration = Duration::from_secs(60);

/// `GET /v1/sales/{sale}/push`.
pub(crate) async fn open(
    service: Arc<Service>,
    mut exchange: Exchange,
) -> Result<Response, Problem> {
    let response = handshake::answer(&exchange)?;
    // What is wrong with the proof is told after the upgrade, by a close code: that is all a browser shows a page.
    let (pass, permit) = match service.check(&exchange) {
        Ok(pass) => (Ok(Box::new(pass)), service.admit()?),
        Err(refused) => (Err(refused.close()), service.admit_refused(refused)?),
    };
    let upgrade = hyper::upgrade::on(&mut exchange.request);
    service.tasks.spawn(run(Arc::clone(&service), upgrade, pass, permit));
    Ok(response)
}

async fn run(
    service: Arc<Service>,
    upgrade: OnUpgrade,
    pass: Result<Box<Pass>, Close>,
    permit: OwnedSemaphorePermit,
) {
    // A token of its own: its lock is taken at every wake-up, and must not be everybody's.
    let cut = service.cut.child_token();
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        () = upgraded(service, upgrade, pass) => {}
    }
    drop(permit);
}

async fn upgraded(service: Arc<Service>, upgrade: OnUpgrade, pass: Result<Box<Pass>, Close>) {
    let limit = millis(service.config.upgrade_timeout_ms);
    let Ok(Ok(upgraded)) = Box::pin(timeout(limit, upgrade)).await else { return };
    // Copied at once, because these bytes own all of hyper's buffer; there are none unless the client was early.
    match raw_socket(upgraded).map(|(stream, read)| (stream, read.to_vec())) {
        Ok((stream, read)) => serve(service, stream, read, pass).await,
        // TLS, or another server's stream: it works as it is, only fatter.
        Err(upgraded) => {
            Box::pin(serve(service, TokioIo::new(upgraded), Vec::new(), pass)).await;
        }
    }
}

async fn serve<S>(service: Arc<Service>, stream: S, read: Vec<u8>, pass: Result<Box<Pass>, Close>)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let bytes_max = service.config.client_message_bytes_max.max(1);
    let limits = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .max_message_size(Some(bytes_max))
        .max_frame_size(Some(bytes_max));
    let opening = WebSocketStream::from_partially_read(stream, read, Role::Server, Some(limits));
    let mut socket = Box::pin(opening).await;
    let seat = match pass {
        Ok(pass) => Box::pin(sit(&service, *pass)).await,
        Err(close) => Err(close),
    };
    let close = match seat {
        Ok(seat) => attend(&service, &mut socket, seat).await,
        Err(close) => close,
    };
    ended(close);
    Box::pin(farewell(&service, socket, close)).await;
}

async fn sit(service: &Arc<Service>, pass: Pass) -> Result<Seat, Close> {
    let sale = pass.claims.sale.clone();
    let room = timeout(service.first_frame_timeout(), service.room(&sale)).await;
    let Ok(Ok(room)) = room else { return Err(Close::Fault) };
    let room = room.ok_or(Close::NothingLeft)?;
    service.bar(&pass, &room).map_err(Refused::close)?;
    service.seat(pass, room).map_err(|TooMany| Close::TooManyConnections)
}

/// Serves a connection until it ends; says why.
async fn attend<S>(service: &Service, socket: &mut WebSocketStream<S>, mut seat: Seat) -> Close
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut allowance = Allowance::new(service.config.client_frames_per_minute_max);
    // The entry comes first, whatever the line does meanwhile.
    if timeout(service.first_frame_timeout(), seat.watcher.wait_first()).await.is_err() {
        return Close::Fault;
    }
    if let Err(close) = deliver(service, socket, &seat).await {
        return close;
    }
    seat.line.mark_changed();
    loop {
        let step = tokio::select! {
            message = socket.next() => hear(message, &seat, &mut allowance),
            () = seat.watcher.wait() => deliver(service, socket, &seat).await,
            changed = seat.line.changed() => match changed {
                Ok(()) => {
                    let text = seat.line.borrow_and_update().text.clone();
                    service.frames.line.increment(1);
                    send(service, socket, Message::Text(text)).await
                }
                // The room is gone, and the hub ends those in it.
                Err(_) => Err(Close::NothingLeft),
            },
        };
        if let Err(close) = step {
            return close;
        }
    }
}

/// Takes in what the client sent: it is ignored, within limits. Pings are answered by the protocol's own machinery.
fn hear(
    message: Option<Result<Message, Error>>,
    seat: &Seat,
    allowance: &mut Allowance,
) -> Result<(), Close> {
    match message {
        Some(Ok(Message::Close(_))) => Ok(()),
        Some(Ok(
            Message::Text(_)
            | Message::Binary(_)
            | Message::Ping(_)
            | Message::Pong(_)
            | Message::Frame(_),
        )) => {
            seat.watcher.heard();
            if allowance.take() {
                Ok(())
            } else {
                Err(Close::BadRequest("too many frames in a minute"))
            }
        }
        Some(Err(Error::Capacity(_))) => Err(Close::BadRequest("the message is too long")),
        Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => Err(Close::Gone),
        Some(Err(Error::Protocol(_))) => {
            Err(Close::BadRequest("this is not WebSocket as RFC 6455 has it"))
        }
        Some(Err(Error::Utf8(_))) => Err(Close::BadRequest("a text message must be UTF-8")),
        Some(Err(_)) | None => Err(Close::Gone),
    }
}

/// Writes what is in the inbox.
async fn deliver<S>(
    service: &Service,
    socket: &mut WebSocketStream<S>,
    seat: &Seat,
) -> Result<(), Close>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let taken = seat.watcher.take();
    for mail in taken.mail {
        send(service, socket, Message::Text(mail.encode().into())).await?;
        service.frames.entry.increment(1);
    }
    match taken.end {
        Some(close) => Err(close),
        None if taken.ping => send(service, socket, Message::Ping(bytes::Bytes::new())).await,
        None => Ok(()),
    }
}

async fn send<S>(
    service: &Service,
    socket: &mut WebSocketStream<S>,
    message: Message,
) -> Result<(), Close>
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let limit = millis(service.config.send_timeout_ms);
    match timeout(limit, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Close::Gone),
        Err(_elapsed) => Err(Close::TooSlow),
    }
}

/// Says why, waits for the client to say goodbye too, and gives up in time.
async fn farewell<S>(service: &Service, mut socket: WebSocketStream<S>, close: Close)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let Some(frame) = close.frame() else { return };
    let limit = millis(service.config.close_timeout_ms);
    let goodbye = async {
        if let Close::Drain { reconnect_after } = close {
            socket.send(Message::Text(frame::bye(reconnect_after).into())).await?;
            service.frames.bye.increment(1);
        }
        socket.send(Message::Close(Some(frame))).await?;
        while let Some(Ok(_)) = socket.next().await {}
        // Bytes left unread would make the kernel reset the connection and lose the frame that says why.
        let stream = socket.get_mut();
        stream.shutdown().await?;
        let mut rest = vec![0; READ_BUFFER_BYTES];
        let mut read_bytes = 0;
        while read_bytes < LINGER_BYTES_MAX {
            match stream.read(&mut rest).await? {
                0 => break,
                read => read_bytes += read,
            }
        }
        Ok::<(), Error>(())
    };
    // Whether it worked or not: nothing more is owed to a client that left first or does not read.
    let _said = timeout(limit, goodbye).await;
}

/// How many frames a client may still send in this minute.
struct Allowance {
    per_minute: u32,
    left: u32,
    since: Instant,
}

impl Allowance {
    fn new(per_minute: u32) -> Self {
        Self { per_minute, left: per_minute, since: Instant::now() }
    }

    fn take(&mut self) -> bool {
        if self.since.elapsed() >= MINUTE {
            (self.left, self.since) = (self.per_minute, Instant::now());
        }
        let allowed = self.left > 0;
        self.left = self.left.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size of the future a function makes, without making one.
    fn size<A, B, C, D, F: Future>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// A crowd's memory is this task times the crowd: what is needed only at times belongs into a box.
    #[test]
    fn a_connections_task_is_small() {
        let bytes = size(run);
        assert!(bytes <= 2_048, "a task takes {bytes} bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_may_say_so_much_in_a_minute() {
        let mut allowance = Allowance::new(2);
        assert!([allowance.take(), allowance.take()] == [true, true]);
        assert!(!allowance.take());
        tokio::time::advance(MINUTE).await;
        assert!(allowance.take());
    }
}
