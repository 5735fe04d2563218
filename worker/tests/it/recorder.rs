//! Somebody else's HTTP server: it keeps what it was sent, and answers what the test wants.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::LOCATION};
use serde_json::Value;
use sluice_http::{
    Exchange, Problem, Response, Router, RouterSettings, Routes, Server, ServerConfig,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::house::{PATIENCE, until};

/// Where it listens for anything, and where it sends those whom it redirects.
pub(crate) const PATH: &str = "/told";
const ELSEWHERE: &str = "/elsewhere";

/// What it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Sent {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Debug, Default)]
struct Book {
    sent: Vec<Sent>,
    /// The answers to come; 200 once there are none. `None` keeps silent.
    answers: VecDeque<Option<u16>>,
}

pub(crate) struct Recorder {
    pub(crate) address: SocketAddr,
    book: Arc<Mutex<Book>>,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Recorder {
    pub(crate) async fn open(answers: &[Option<u16>]) -> Self {
        let book = Arc::new(Mutex::new(Book {
            sent: Vec::new(),
            answers: answers.iter().copied().collect(),
        }));
        let mut routes = Routes::new("recorder");
        for path in [PATH, ELSEWHERE, "/v1/payments/simulated/callback"] {
            let book = Arc::clone(&book);
            routes = routes.post(path, move |exchange| keep(Arc::clone(&book), path, exchange));
        }
        let settings = RouterSettings {
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            allowed_hosts: None,
            any_host_paths: Vec::new(),
        };
        let config = ServerConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            connections_max: 100,
            header_timeout: PATIENCE,
            body_timeout: PATIENCE,
            header_bytes_max: 16 * 1_024,
            drain_timeout: Duration::from_millis(100),
            tls: None,
        };
        let router = Router::new(vec![routes], settings).unwrap();
        let server = Server::bind(config, Arc::new(router)).await.unwrap();
        let (address, shutdown) = (server.local_addr(), CancellationToken::new());
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(shutdown.clone()));
        Self { address, book, tasks, shutdown }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.book.lock().unwrap().sent.clone()
    }

    /// What it was sent, once there are at least so many.
    pub(crate) async fn at_least(&self, count: usize) -> Vec<Sent> {
        until(&format!("{count} requests"), async || self.sent().len() >= count).await;
        self.sent()
    }

    pub(crate) async fn close(mut self) {
        self.shutdown.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, ended).await.expect("the recorder stops");
    }
}

async fn keep(
    book: Arc<Mutex<Book>>,
    path: &'static str,
    mut exchange: Exchange,
) -> Result<Response, Problem> {
    let headers = exchange.request.headers().clone();
    let body = exchange.body(1 << 20).await?;
    let answer = {
        let mut book = book.lock().unwrap();
        book.sent.push(Sent { path: path.to_owned(), headers, body });
        book.answers.pop_front().unwrap_or(Some(200))
    };
    let Some(status) = answer else {
        std::future::pending::<()>().await;
        return Ok(sluice_http::empty(StatusCode::OK));
    };
    let mut response = sluice_http::empty(StatusCode::from_u16(status).unwrap());
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(ELSEWHERE));
    Ok(response)
}
