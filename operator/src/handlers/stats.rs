//! How a sale is doing: one look, or one a second as Server-Sent Events.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use sluice_core::ids::SaleId;
use sluice_http::{Body, Exchange, Problem, Response};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{
    audited::sale_of,
    desk::Desk,
    metrics,
    reply::{fresh, no_such_sale},
    watch::Stats,
};

const EVERY: Duration = Duration::from_secs(1);
/// Frames a slow reader may be behind, and how long it may be stuck before its stream is ended.
const FRAMES_MAX: usize = 4;
const STUCK_MAX: Duration = Duration::from_secs(10);

pub(crate) async fn show(desk: Arc<Desk>, exchange: Exchange) -> Result<Response, Problem> {
    let sale = desk.ports.ledger.sale(&sale_of(&exchange)?).await?.ok_or_else(no_such_sale)?;
    Ok(fresh(StatusCode::OK, &Stats::gather(&desk, &sale).await))
}

pub(crate) async fn stream(desk: Arc<Desk>, exchange: Exchange) -> Result<Response, Problem> {
    let id = sale_of(&exchange)?;
    let Ok(permit) = Arc::clone(&desk.streams).try_acquire_owned() else {
        let detail =
            format!("{} statistics streams are open, which is the most.", desk.limits.streams_max);
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail)
            .retry_after(Duration::from_secs(5)));
    };
    // The first frame is made here, so that a sale there is not is answered 404.
    let first = next_frame(&desk, &id).await?.ok_or_else(no_such_sale)?;
    let (frames, body) = mpsc::channel(FRAMES_MAX);
    let tasks = desk.tasks.clone();
    tasks.spawn(async move {
        metrics::stream_opened();
        tokio::select! {
            () = frames.closed() => {}
            () = feed(&desk, &id, first, &frames) => {}
        }
        metrics::stream_closed();
        drop(permit);
    });
    let mut response = Response::new(Body::stream(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies would collect the frames otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Sends a frame a second until the sale is gone, the reader is stuck, or the process drains.
async fn feed(desk: &Desk, id: &SaleId, first: Bytes, frames: &mpsc::Sender<Bytes>) {
    let mut frame = first;
    let mut tick = interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick.tick().await;
    loop {
        match timeout(STUCK_MAX, frames.send(frame)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
        tokio::select! {
            () = desk.closing.cancelled() => {
                // The reader comes back, to a node that stays. If it has no room for the word it sees the end anyway.
                let _told = frames.try_send(Bytes::from_static(b"event: bye\ndata: {}\n\n"));
                return;
            }
            _ = tick.tick() => {}
        }
        frame = match next_frame(desk, id).await {
            Ok(Some(next)) => next,
            Ok(None) => Bytes::from_static(b"event: gone\ndata: {}\n\n"),
            // The ledger is away: a comment keeps the stream alive, the reader sees that the figures stand still.
            Err(_) => Bytes::from_static(b": unavailable\n\n"),
        };
        if frame.starts_with(b"event: gone") {
            let _told = frames.try_send(frame);
            return;
        }
    }
}

/// `None` when the sale is gone.
async fn next_frame(desk: &Desk, id: &SaleId) -> Result<Option<Bytes>, Problem> {
    let Some(sale) = desk.ports.ledger.sale(id).await? else { return Ok(None) };
    let stats = Stats::gather(desk, &sale).await;
    let mut frame = b"event: stats\ndata: ".to_vec();
    serde_json::to_writer(&mut frame, &stats).map_err(|error| {
        let mut problem = Problem::internal();
        tracing::error!(instance = problem.instance(), %error, "statistics could not be written as JSON");
        problem
    })?;
    frame.extend_from_slice(b"\n\n");
    Ok(Some(frame.into()))
}
