//! Reading a body under three limits: its size, the time all of it may take, and how much of a refused one is still
//! read so that the refusal arrives.

use bytes::{Bytes, BytesMut};
use http::{
    StatusCode,
    header::{CONNECTION, EXPECT},
};
use tokio::time::timeout_at;

use super::{Content, Exchange, content::DRAIN_BYTES_MAX};
use crate::Problem;

impl Exchange {
    /// The whole body. 413 `body_too_large` beyond `bytes_max` (the rest, up to 1 MiB, is read and dropped); 408
    /// `request_timeout` when it has not arrived within the server's body timeout; 400 when it breaks off.
    pub async fn body(&mut self, bytes_max: usize) -> Result<Bytes, Problem> {
        if self.request.body().is_at_end() {
            return Ok(Bytes::new());
        }
        let deadline = self.body.deadline;
        let expects = self.request.headers().contains_key(EXPECT);
        let declared = self.request.body().bytes_min();
        let body = self.request.body_mut();
        if declared > bytes_max as u64 {
            // A client that waits for `100 Continue` is answered before it sends anything.
            let drained = !expects
                && declared <= DRAIN_BYTES_MAX as u64
                && body.drain(DRAIN_BYTES_MAX, deadline).await;
            return Err(too_large(bytes_max, drained));
        }
        match timeout_at(deadline, collect(body, bytes_max)).await {
            Ok(Ok(bytes)) => Ok(bytes),
            Ok(Err(Broken::TooLarge { read })) => {
                let drained = body.drain(DRAIN_BYTES_MAX.saturating_sub(read), deadline).await;
                Err(too_large(bytes_max, drained))
            }
            Ok(Err(Broken::Off(error))) => {
                tracing::debug!(%error, "a body broke off");
                Err(Problem::bad_request(
                    "The body broke off, or is not framed as its headers say.",
                )
                .header(CONNECTION, "close"))
            }
            Err(_elapsed) => Err(self.too_slow()),
        }
    }

    fn too_slow(&self) -> Problem {
        let detail =
            format!("The body did not arrive within {:?}. Send it at once.", self.body.timeout);
        Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", detail)
            .header(CONNECTION, "close")
    }
}

enum Broken {
    TooLarge { read: usize },
    Off(hyper::Error),
}

async fn collect(body: &mut Content, bytes_max: usize) -> Result<Bytes, Broken> {
    let mut first = Bytes::new();
    let mut more = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Broken::Off)?.into_data() else { continue };
        let read = first.len() + more.len() + data.len();
        if read > bytes_max {
            return Err(Broken::TooLarge { read });
        }
        // Nearly every body is one frame, which is then handed on without a copy.
        if first.is_empty() {
            first = data;
        } else {
            more.extend_from_slice(&data);
        }
    }
    if more.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + more.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&more);
    Ok(whole.freeze())
}

fn too_large(bytes_max: usize, drained: bool) -> Problem {
    let detail = format!("The body is larger than {bytes_max} bytes. Send a smaller one.");
    let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail);
    if drained { problem } else { problem.header(CONNECTION, "close") }
}
