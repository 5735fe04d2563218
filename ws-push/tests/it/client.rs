//! A buyer's end of a push connection: a WebSocket, or the raw bytes of an HTTP exchange.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, http, protocol::CloseFrame},
};

use crate::world::DEADLINE;

/// An open WebSocket.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<TcpStream>,
    /// The answer to the handshake.
    pub(crate) answer: http::Response<Option<Vec<u8>>>,
}

/// What comes next on a connection.
#[derive(Debug)]
pub(crate) enum Next {
    /// A frame, parsed, and its very bytes.
    Frame(Value, String),
    Closed(CloseFrame),
}

impl Client {
    /// Opens a WebSocket; the handshake must succeed.
    pub(crate) async fn open(
        address: SocketAddr,
        sale: &str,
        query: &str,
        headers: &[(String, String)],
    ) -> Self {
        Self::try_open(address, sale, query, headers).await.expect("the upgrade is answered 101")
    }

    /// Opens a WebSocket, or says which HTTP status came instead.
    pub(crate) async fn try_open(
        address: SocketAddr,
        sale: &str,
        query: &str,
        headers: &[(String, String)],
    ) -> Result<Self, u16> {
        // A small window, so that a client that does not read is noticed soon.
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        let stream = socket.connect(address).await.unwrap();
        let uri = format!("ws://{address}/v1/sales/{sale}/push{query}");
        let mut request = uri.into_client_request().unwrap();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, value.parse().unwrap());
        }
        match timeout(DEADLINE, client_async(request, stream)).await.expect("it is answered") {
            Ok((socket, answer)) => Ok(Self { socket, answer }),
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("the handshake failed: {error}"),
        }
    }

    pub(crate) async fn next(&mut self) -> Next {
        loop {
            let message = timeout(DEADLINE, self.socket.next()).await.expect("something comes");
            match message.expect("a close frame comes before the end").expect("a good frame") {
                Message::Text(text) => {
                    let frame = serde_json::from_str(&text).expect("frames are JSON");
                    return Next::Frame(frame, text.to_string());
                }
                Message::Close(frame) => {
                    return Next::Closed(frame.expect("we always say why"));
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other @ (Message::Binary(_) | Message::Frame(_)) => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// The next frame of any kind.
    pub(crate) async fn frame(&mut self) -> (Value, String) {
        match self.next().await {
            Next::Frame(frame, text) => (frame, text),
            Next::Closed(frame) => panic!("closed instead: {frame:?}"),
        }
    }

    /// The next frame of this kind; others are passed over.
    pub(crate) async fn next_of(&mut self, kind: &str) -> Value {
        let wanted = async {
            loop {
                let (frame, _) = self.frame().await;
                if frame["type"] == kind {
                    return frame;
                }
            }
        };
        timeout(DEADLINE, wanted).await.unwrap_or_else(|_| panic!("no `{kind}` frame came"))
    }

    /// The close code; frames before it are passed over.
    pub(crate) async fn close_code(&mut self) -> u16 {
        let closed = async {
            loop {
                if let Next::Closed(frame) = self.next().await {
                    return frame.code.into();
                }
            }
        };
        timeout(DEADLINE, closed).await.expect("it is closed")
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }
}

/// An HTTP exchange of which the test sees the bytes.
pub(crate) struct Raw {
    stream: TcpStream,
    /// Everything received so far.
    pub(crate) text: String,
}

impl Raw {
    pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        request += "\r\n";
        stream.write_all(request.as_bytes()).await.unwrap();
        Self { stream, text: String::new() }
    }

    /// Reads until what was received contains `wanted`.
    pub(crate) async fn until(&mut self, wanted: &str) {
        self.until_times(wanted, 1).await;
    }

    /// Reads until what was received contains `wanted` this often.
    pub(crate) async fn until_times(&mut self, wanted: &str, times: usize) {
        while self.text.matches(wanted).count() < times {
            let more = self.more().await;
            assert!(more, "the answer ended before {wanted:?}: {}", self.text);
        }
    }

    /// Reads until the server ends the body.
    pub(crate) async fn until_end(&mut self) {
        while !self.text.ends_with("0\r\n\r\n") && self.more().await {}
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let read = timeout(DEADLINE, self.stream.read(&mut bytes)).await.expect("bytes come");
        let read = read.unwrap_or(0);
        self.text += &String::from_utf8_lossy(&bytes[..read]);
        read > 0
    }

    pub(crate) fn status(&self) -> u16 {
        self.text[9..12].parse().unwrap()
    }

    /// The data of every event of this kind received so far, in order.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let marker = format!("event: {kind}\n");
        let events = self.text.split(&marker).skip(1).map(|event| {
            let data = event.split_once("data: ").unwrap().1;
            serde_json::from_str(data.split_once("\n\n").unwrap().0).unwrap()
        });
        events.collect()
    }
}
