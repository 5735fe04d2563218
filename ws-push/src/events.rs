//! The push stream as Server-Sent Events, for clients that cannot open a WebSocket: the same frames, one way.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE},
};
use sluice_core::ids::Version;
use sluice_http::{Body, Exchange, Problem, Response, empty};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    close::Close,
    config::millis,
    credentials::Refused,
    frame,
    hub::TooMany,
    service::{Seat, Service, ended},
    watcher::{Mail, Taken},
};

/// Events that wait to be written; beyond it the sender waits, within `send_timeout_ms`.
const EVENTS_MAX: usize = 2;
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const LAST_EVENT_ID: &str = "last-event-id";

/// `GET /v1/sales/{sale}/events`.
pub(crate) async fn open(service: Arc<Service>, exchange: Exchange) -> Result<Response, Problem> {
    let permit = service.admit()?;
    let pass = service.check(&exchange)?;
    let room = service.room(&pass.claims.sale).await?.ok_or(Refused::BadSale)?;
    service.bar(&pass, &room)?;
    let seat = service.seat(pass, room).map_err(|TooMany| too_many())?;
    seat.watcher.is_mute();
    let first = timeout(service.first_frame_timeout(), seat.watcher.wait_first()).await;
    first.map_err(|_elapsed| Problem::unavailable(Duration::from_secs(2)))?;
    let taken = seat.watcher.take();
    if is_told(&taken, exchange.header(LAST_EVENT_ID)) {
        // The one answer that keeps an `EventSource` from coming back for ever.
        return Ok(empty(StatusCode::NO_CONTENT));
    }
    let (events, body) = mpsc::channel(EVENTS_MAX);
    service.tasks.spawn(run(Arc::clone(&service), seat, taken, events, permit));
    let mut response = Response::new(Body::stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

fn too_many() -> Problem {
    let detail = "This entry has as many connections as it may have. Close one first.";
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_connections", detail)
        .retry_after(Duration::from_secs(10))
}

/// Whether the client has heard the last there is to hear.
fn is_told(taken: &Taken, last_event_id: Option<&str>) -> bool {
    let last = last_event_id.and_then(|id| id.parse().ok()).map(Version);
    let newest = taken.mail.back().map(Mail::version);
    matches!(taken.end, Some(Close::NothingLeft))
        && newest.is_some_and(|newest| Some(newest) <= last)
}

async fn run(
    service: Arc<Service>,
    seat: Seat,
    taken: Taken,
    events: mpsc::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
) {
    let cut = service.cut.child_token();
    tokio::select! {
        biased;
        () = cut.cancelled() => {}
        () = tell(&service, seat, taken, &events) => {}
    }
}

/// Tells what there is to tell. The end of the stream says nothing by itself: a client that should come back is told
/// when.
async fn tell(service: &Service, seat: Seat, taken: Taken, events: &mpsc::Sender<Bytes>) {
    let close = attend(service, seat, taken, events).await;
    ended(close);
    let reconnect_after = match close {
        Close::Drain { reconnect_after } => reconnect_after,
        Close::Fault | Close::TooSlow => millis(service.config.events_retry_ms),
        Close::NothingLeft
        | Close::BadRequest(_)
        | Close::BadToken(_)
        | Close::TooManyConnections
        | Close::Gone => return,
    };
    let retry = format!("retry: {}\n", reconnect_after.as_millis());
    let event = retry + &frame::event("bye", None, &frame::bye(reconnect_after));
    if send(service, events, event.into()).await.is_ok() {
        service.frames.bye.increment(1);
    }
}

async fn attend(
    service: &Service,
    mut seat: Seat,
    taken: Taken,
    events: &mpsc::Sender<Bytes>,
) -> Close {
    let retry = format!("retry: {}\n\n", service.config.events_retry_ms.max(1));
    if let Err(close) = send(service, events, retry.into()).await {
        return close;
    }
    if let Err(close) = deliver(service, events, taken).await {
        // Nothing is left to hear, but how the line stands: once, beside the entry.
        if matches!(close, Close::NothingLeft) {
            return tell_line(service, &mut seat, events).await.err().unwrap_or(close);
        }
        return close;
    }
    seat.line.mark_changed();
    let keep_alive = millis(service.config.events_keep_alive_ms);
    loop {
        let silent_at = Instant::now() + keep_alive;
        let step = tokio::select! {
            () = events.closed() => Err(Close::Gone),
            () = seat.watcher.wait() => deliver(service, events, seat.watcher.take()).await,
            changed = seat.line.changed() => match changed {
                Ok(()) => tell_line(service, &mut seat, events).await,
                Err(_) => Err(Close::NothingLeft),
            },
            () = sleep_until(silent_at) => {
                send(service, events, Bytes::from_static(b": still here\n\n")).await
            }
        };
        if let Err(close) = step {
            return close;
        }
    }
}

async fn tell_line(
    service: &Service,
    seat: &mut Seat,
    events: &mpsc::Sender<Bytes>,
) -> Result<(), Close> {
    let event = seat.line.borrow_and_update().event.clone();
    service.frames.line.increment(1);
    send(service, events, event).await
}

async fn deliver(
    service: &Service,
    events: &mpsc::Sender<Bytes>,
    taken: Taken,
) -> Result<(), Close> {
    for mail in taken.mail {
        let version = mail.version().0;
        let event = frame::event("entry", Some(version), &mail.encode());
        send(service, events, event.into()).await?;
        service.frames.entry.increment(1);
    }
    taken.end.map_or(Ok(()), Err)
}

async fn send(service: &Service, events: &mpsc::Sender<Bytes>, event: Bytes) -> Result<(), Close> {
    match timeout(millis(service.config.send_timeout_ms), events.send(event)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(Close::Gone),
        Err(_elapsed) => Err(Close::TooSlow),
    }
}
