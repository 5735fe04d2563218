//! A house to test: a server on a free port, and a wire to write bytes on and read answers from.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::Value;
use sluice_http::{
    Exchange, Problem, Response, Router, RouterSettings, Routes, Server, ServerConfig,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Nothing here takes long. What has not happened by then never will.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) type Answered = Result<Response, Problem>;

/// Waits for what must come.
pub(crate) async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not happen"),
    }
}

/// Waits until `holds`.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    soon(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub(crate) async fn hello(_: Exchange) -> Answered {
    Ok(sluice_http::json(http::StatusCode::OK, &"hello"))
}

pub(crate) fn config() -> ServerConfig {
    ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        connections_max: 100,
        header_timeout: Duration::from_secs(60),
        body_timeout: Duration::from_secs(60),
        header_bytes_max: 8 * 1024,
        drain_timeout: Duration::from_secs(60),
        tls: None,
    }
}

pub(crate) struct House {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    running: JoinSet<()>,
}

impl House {
    pub(crate) async fn open(routes: Routes) -> Self {
        Self::with(routes, RouterSettings::default(), config()).await
    }

    pub(crate) async fn with(
        routes: Routes,
        settings: RouterSettings,
        config: ServerConfig,
    ) -> Self {
        let router = Arc::new(Router::new(vec![routes], settings).unwrap());
        let server = Server::bind(config, router).await.unwrap();
        let (address, shutdown) = (server.local_addr(), CancellationToken::new());
        let mut running = JoinSet::new();
        running.spawn(server.run(shutdown.clone()));
        Self { address, shutdown, running }
    }

    /// A connection whose send buffer is small: what the server does not read soon makes the client wait, and a reset
    /// then strikes it in the midst of writing.
    pub(crate) async fn wire(&self) -> Wire<TcpStream> {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_send_buffer_size(8 * 1024).unwrap();
        Wire::new(socket.connect(self.address).await.unwrap())
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &str) -> Answer {
        let mut wire = self.wire().await;
        wire.ask(request).await
    }

    /// Waits for the server to end by itself, after `shutdown`.
    pub(crate) async fn ended(mut self) {
        soon("the end of the server", self.running.join_next()).await.unwrap().unwrap();
    }
}

/// A connection, read answer by answer.
pub(crate) struct Wire<S> {
    pub(crate) stream: S,
    read: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, read: Vec::new() }
    }

    /// `GET /path` and header lines, or a whole request if there is an empty line in it.
    pub(crate) async fn ask(&mut self, request: &str) -> Answer {
        self.send(request).await;
        if request.starts_with("HEAD") { self.head().await } else { self.answer().await }
    }

    pub(crate) async fn send(&mut self, request: &str) {
        let bytes = if request.contains("\r\n\r\n") {
            request.to_owned()
        } else {
            let (line, headers) = request.split_once("\r\n").unwrap_or((request, ""));
            let separator = if headers.is_empty() { "" } else { "\r\n" };
            format!("{line} HTTP/1.1\r\nhost: localhost\r\n{headers}{separator}\r\n")
        };
        self.write(bytes.as_bytes()).await;
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        soon("a write", self.stream.write_all(bytes)).await.unwrap();
    }

    /// The next answer with its body, whose length must be told or whose end is the connection's.
    pub(crate) async fn answer(&mut self) -> Answer {
        let mut answer = self.head().await;
        match answer.header("content-length") {
            Some(length) => {
                let length: usize = length.parse().unwrap();
                while self.read.len() < length {
                    assert!(self.more().await, "the connection was closed within a body");
                }
                answer.body = self.read.drain(..length).collect();
            }
            None if answer.status == 100 || answer.status == 101 || answer.status == 204 => {}
            None => {
                while self.more().await {}
                answer.body = std::mem::take(&mut self.read);
            }
        }
        answer
    }

    /// The next status line and headers.
    pub(crate) async fn head(&mut self) -> Answer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            let read = String::from_utf8_lossy(&self.read).into_owned();
            assert!(
                self.more().await,
                "the connection was closed without an answer; it said {read:?}"
            );
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.into(), value.into()));
        Answer { status, headers: headers.collect(), body: Vec::new() }
    }

    /// Whether anything more came before the end.
    pub(crate) async fn more(&mut self) -> bool {
        // A reset is an end as well; who cares that nothing was lost says so.
        soon("a read", self.stream.read_buf(&mut self.read)).await.unwrap_or(0) > 0
    }

    pub(crate) async fn text_until(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.read).contains(text) {
            assert!(self.more().await, "the connection was closed before {text:?}");
        }
        self.read.clear();
    }

    /// Waits for the server to close, and asserts that it says nothing before.
    pub(crate) async fn closed(&mut self) {
        assert!(!self.more().await, "the server said {:?}", String::from_utf8_lossy(&self.read));
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts that this is a problem with all its members, and returns it.
    #[track_caller]
    pub(crate) fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert_eq!(body["type"], format!("urn:sluice:problem:{code}"));
        assert_eq!(body["status"], status);
        for member in ["title", "detail", "instance"] {
            assert!(
                body[member].as_str().is_some_and(|text| !text.is_empty()),
                "{member} in {body}"
            );
        }
        body
    }
}
