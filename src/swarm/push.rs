//! Waiting by push: one WebSocket, reconnected as the contract says, given up for polling when it does not work.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, header};
use serde_json::Value;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

use super::{client::Wire, progress::Progress, shopper::Shopper};

/// Connections that bring no news in a row before a shopper polls instead.
const FRUITLESS_MAX: u32 = 4;
/// A stream that says nothing for this long is dead: a line frame comes at least every 10 s.
const SILENCE_MAX: Duration = Duration::from_secs(35);

/// Why a stream ended.
enum Ended {
    /// There is an outcome, or nothing to wait for.
    Outcome,
    /// The server said when to come back.
    Bye(Duration),
    /// The token is old.
    BadToken,
    /// Anything else.
    Broken,
}

/// Waits by push until there is an outcome, or push does not work.
pub(crate) async fn wait(shopper: &mut Shopper) {
    let mut fruitless = 0;
    while shopper.waits() && fruitless < FRUITLESS_MAX {
        let version_before = shopper.record.seen();
        let ended = match connect(shopper).await {
            Ok(socket) => {
                Progress::raise(&shopper.crowd.progress.pushed);
                let ended = Box::pin(listen(shopper, socket)).await;
                shopper.crowd.progress.pushed.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
                ended
            }
            Err(_) => Ended::Broken,
        };
        fruitless = if shopper.record.seen() > version_before { 0 } else { fruitless + 1 };
        match ended {
            Ended::Outcome => return,
            Ended::BadToken => shopper.renew().await,
            Ended::Bye(after) => sleep(after).await,
            Ended::Broken => shopper.pause(None).await,
        }
    }
}

async fn connect(shopper: &Shopper) -> anyhow::Result<WebSocketStream<Box<dyn Wire>>> {
    let crowd = &shopper.crowd;
    let url = crowd.client.url(shopper.habits.n, shopper.turns(), &shopper.push_link);
    // A WebSocket has a scheme of its own: http becomes ws, https becomes wss.
    let push = format!("{}?seen={}", url.replacen("http", "ws", 1), shopper.record.seen());
    let mut request = push.into_client_request()?;
    for (name, value) in shopper.headers() {
        if name != header::COOKIE {
            request.headers_mut().insert(name, value.clone());
        }
    }
    let protocols = HeaderValue::from_str(&format!("sluice.v1, bearer.{}", shopper.token))?;
    request.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocols);
    let wire = crowd.client.dial(shopper.habits.n, &url).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(0)
        .max_message_size(Some(65_536));
    let (socket, _) =
        timeout(SILENCE_MAX, client_async_with_config(request, wire, Some(config))).await??;
    Ok(socket)
}

async fn listen(shopper: &mut Shopper, mut socket: WebSocketStream<Box<dyn Wire>>) -> Ended {
    loop {
        match timeout(SILENCE_MAX, socket.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => {
                if let Some(ended) = take(shopper, &text) {
                    // Said goodbye or not, there is nothing left to hear.
                    let _ = timeout(Duration::from_secs(1), socket.close(None)).await;
                    return ended;
                }
            }
            Ok(Some(Ok(Message::Ping(_)))) => {
                if socket.flush().await.is_err() {
                    return Ended::Broken;
                }
            }
            Ok(Some(Ok(Message::Close(frame)))) => {
                let code = frame.map_or(0, |frame| u16::from(frame.code));
                return if code == 4401 { Ended::BadToken } else { Ended::Broken };
            }
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_)) | None) | Err(_) => return Ended::Broken,
        }
    }
}

/// Line frames are many and alike: only their `serving` is read, without parsing the rest.
fn take(shopper: &mut Shopper, text: &str) -> Option<Ended> {
    if text.starts_with("{\"type\":\"line\"") {
        let digits = text.split_once("\"serving\":").map_or("", |(_, rest)| rest);
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        shopper.record.take_serving(digits[..end].parse().unwrap_or(0));
        return (!shopper.waits()).then_some(Ended::Outcome);
    }
    let frame: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    match frame["type"].as_str() {
        Some("entry") => {
            shopper.take(&frame);
            shopper.record.outcome.is_some().then_some(Ended::Outcome)
        }
        Some("bye") => {
            let after = frame["reconnect_after_ms"].as_u64().unwrap_or(1_000).min(30_000);
            Some(Ended::Bye(Duration::from_millis(after)))
        }
        Some(_) | None => {
            shopper.record.contradict("bounded", "a frame of no known type".to_owned());
            None
        }
    }
}
