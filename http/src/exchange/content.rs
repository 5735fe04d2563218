//! A request's content on its way through a handler. What the handler leaves of it comes back to the answer, which reads
//! and drops it first: a connection with unread bytes cannot take its next request, and the client would not be told.

use std::{
    fmt::{self, Debug},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{
    HeaderValue, StatusCode,
    header::{CONNECTION, EXPECT},
};
use http_body::{Body as _, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use crate::{Request, Response};

/// How much content that nobody wants is read and dropped. A client that is still sending does not read our answer; one
/// that is cut off may never see it.
pub(crate) const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// The content of a request, read by [`Exchange::body`](crate::Exchange::body) and [`Exchange::json`](crate::Exchange::json).
pub struct Content {
    /// `None`: there is none, or it was read to its end.
    incoming: Option<Incoming>,
    left: Option<Arc<Mutex<Option<Incoming>>>>,
}

/// What a handler leaves of its request's content, once it is done.
pub(crate) struct Leftover {
    incoming: Arc<Mutex<Option<Incoming>>>,
    /// The client sends nothing before it is asked to.
    expects: bool,
    deadline: Instant,
}

impl Content {
    /// Splits a request from what its handler will leave. A request without content costs nothing.
    pub(crate) fn split(
        request: Request,
        deadline: Instant,
    ) -> (hyper::Request<Self>, Option<Leftover>) {
        if request.body().is_end_stream() {
            return (request.map(|_| Self { incoming: None, left: None }), None);
        }
        let expects = request.headers().contains_key(EXPECT);
        let left = Arc::default();
        let leftover = Leftover { incoming: Arc::clone(&left), expects, deadline };
        let request = request.map(|incoming| Self { incoming: Some(incoming), left: Some(left) });
        (request, Some(leftover))
    }

    /// Whether nothing is left to be read.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.incoming.as_ref().is_none_or(Incoming::is_end_stream)
    }

    /// How many bytes are to come at least.
    pub(crate) fn bytes_min(&self) -> u64 {
        self.incoming.as_ref().map_or(0, |incoming| incoming.size_hint().lower())
    }

    pub(crate) async fn frame(&mut self) -> Option<Result<Frame<Bytes>, hyper::Error>> {
        let frame = self.incoming.as_mut()?.frame().await;
        if frame.is_none() {
            self.incoming = None;
        }
        frame
    }

    /// Reads and drops. `true` when the end was reached, so that the connection can be used again.
    pub(crate) async fn drain(&mut self, mut bytes_left: usize, deadline: Instant) -> bool {
        let reading = async {
            while let Some(frame) = self.frame().await {
                let Ok(frame) = frame else { return false };
                bytes_left = match bytes_left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                    Some(left) => left,
                    None => return false,
                };
            }
            true
        };
        timeout_at(deadline, reading).await.unwrap_or(false)
    }
}

/// Given back, in whatever way the handler ends.
impl Drop for Content {
    fn drop(&mut self) {
        if let (Some(incoming), Some(left)) = (self.incoming.take(), &self.left)
            && !incoming.is_end_stream()
        {
            *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(incoming);
        }
    }
}

impl Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("is_at_end", &self.is_at_end()).finish_non_exhaustive()
    }
}

impl Leftover {
    /// Of content that no handler was given.
    pub(crate) fn of(request: Request, deadline: Instant) -> Option<Self> {
        Content::split(request, deadline).1
    }

    /// Reads the rest, when there is one and `response` leaves the connection open. Resolves to whether it came to its
    /// end; when it cannot, `response` ends the connection instead.
    pub(crate) fn drain(self, response: &mut Response) -> Option<BoxFuture<'static, bool>> {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            || response.headers().contains_key(CONNECTION)
        {
            return None;
        }
        let incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut content = Content { incoming: Some(incoming?), left: None };
        if self.expects || content.bytes_min() > DRAIN_BYTES_MAX as u64 {
            close(response);
            return None;
        }
        Some(Box::pin(async move { content.drain(DRAIN_BYTES_MAX, self.deadline).await }))
    }
}

/// Ends the connection with this answer.
pub(crate) fn close(response: &mut Response) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}
