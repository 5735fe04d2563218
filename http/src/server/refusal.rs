//! What one connection too many is told: 503, when to come back, and goodbye.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::Socket;
use crate::{Problem, Response, instance};

/// How long we wait for the request, and then for our answer to be taken.
const STEP_TIMEOUT: Duration = Duration::from_secs(1);
/// When to come back, about.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// Answers and closes. Waits for the first bytes of the request: a client that is answered before it has asked takes the
/// answer for an error of the protocol.
pub(super) async fn tell(stream: TcpStream) {
    let mut socket = Socket::new(stream, STEP_TIMEOUT);
    let mut scratch = [0; 4096];
    match timeout(STEP_TIMEOUT, socket.read(&mut scratch)).await {
        Ok(Ok(read)) if read > 0 => {}
        _ => return,
    }
    let answer = answer().await;
    // Whatever fails here, the connection is over.
    if timeout(STEP_TIMEOUT, socket.write_all(&answer)).await.is_ok() {
        let _closed = socket.shutdown().await;
    }
}

async fn answer() -> Bytes {
    let mut problem = Problem::unavailable(instance::spread(RETRY_AFTER));
    tracing::debug!(
        instance = problem.instance(),
        "a connection was refused: connections_max is reached"
    );
    let (parts, body) = Response::from(problem).into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    let mut answer = Vec::from("HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n");
    for (name, value) in &parts.headers {
        answer.extend_from_slice(name.as_str().as_bytes());
        answer.extend_from_slice(b": ");
        answer.extend_from_slice(value.as_bytes());
        answer.extend_from_slice(b"\r\n");
    }
    answer.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    answer.extend_from_slice(&body);
    answer.into()
}
