//! A socket that cannot be held open by a client that does not read, and that closes so that the last answer arrives.

use std::{
    future::Future as _,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

/// What is read and dropped after our last byte. Closing a socket that has unread bytes sends a reset, which makes the
/// client's kernel throw away an answer it has not read yet.
const LINGER_BYTES_MAX: usize = 1024 * 1024;
/// How long that may take in all,
const LINGER_MAX: Duration = Duration::from_secs(2);
/// and how long nothing may come before we believe that nothing will.
const QUIET_MAX: Duration = Duration::from_millis(300);
/// Reads in one turn before other tasks get theirs.
const READS_PER_TURN: usize = 16;

/// Wraps a stream with a write deadline and a lingering close.
pub(crate) struct Socket<S> {
    stream: S,
    stall_timeout: Duration,
    /// Runs while a write makes no progress.
    stalled: Option<Pin<Box<Sleep>>>,
    closing: Closing,
}

enum Closing {
    Not,
    Lingering(Box<Linger>),
    Done,
}

struct Linger {
    bytes_left: usize,
    end: Instant,
    quiet: Pin<Box<Sleep>>,
}

impl<S> Socket<S> {
    /// A write that makes no progress for `stall_timeout` fails.
    pub(crate) fn new(stream: S, stall_timeout: Duration) -> Self {
        Self { stream, stall_timeout, stalled: None, closing: Closing::Not }
    }

    /// Passes on what a write said, unless it has been saying "not yet" for too long.
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let deadline = Instant::now() + self.stall_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        ready!(stalled.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.closing {
                Closing::Not => {
                    let shut = Pin::new(&mut this.stream).poll_shutdown(cx);
                    ready!(this.watch(cx, shut))?;
                    this.closing = Closing::Lingering(Box::new(Linger::begin()));
                }
                Closing::Lingering(linger) => {
                    ready!(linger.poll(&mut this.stream, cx));
                    this.closing = Closing::Done;
                }
                Closing::Done => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Linger {
    fn begin() -> Self {
        let now = Instant::now();
        Self {
            bytes_left: LINGER_BYTES_MAX,
            end: now + LINGER_MAX,
            quiet: Box::pin(sleep_until(now + QUIET_MAX)),
        }
    }

    /// Ready when the client has closed its side, or a limit was reached.
    fn poll<S: AsyncRead + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<()> {
        let mut scratch = [std::mem::MaybeUninit::uninit(); 4096];
        for _ in 0..READS_PER_TURN {
            let mut buffer = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut *stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return self.quiet.as_mut().poll(cx),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => match (buffer.filled().len(), self.bytes_left) {
                    (0, _) => return Poll::Ready(()),
                    (read, left) if read > left => return Poll::Ready(()),
                    (read, left) => self.bytes_left = left - read,
                },
            }
            let now = Instant::now();
            if now >= self.end {
                return Poll::Ready(());
            }
            self.quiet.as_mut().reset(self.end.min(now + QUIET_MAX));
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The TCP stream below an upgraded connection, and what was already read from it: frees hyper's buffers and one layer of
/// indirection. `Err` gives the connection back when it is not plain TCP (TLS, or not of a [`Server`](crate::Server));
/// use it as it is then. The stream comes without the server's write deadline: its new owner watches it.
pub fn raw_socket(upgraded: Upgraded) -> Result<(TcpStream, Bytes), Upgraded> {
    let parts = upgraded.downcast::<TokioIo<Socket<TcpStream>>>()?;
    Ok((parts.io.into_inner().stream, parts.read_buf))
}
