//! The crowd's HTTP: keep-alive connections, pooled per source address, so that a crowd looks like one.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, lookup_host},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Places that links may lead to, at most.
const PLACES_MAX: usize = 1_024;
/// Connections of one source address at most; a request beyond waits for one.
const CONNECTIONS_PER_SOURCE: usize = 4;
/// Shoppers that share a source address on a loopback target: far below the default limit per address.
const SHOPPERS_PER_SOURCE: u32 = 25;

/// Where a crowd goes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: bool,
}

impl Target {
    /// Reads `http://host:port` or `https://host`.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let uri: Uri = text.trim_end_matches('/').parse().context("not a URL")?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            Some(_) | None => bail!("write http://host:port or https://host"),
        };
        ensure!(uri.path() == "/" || uri.path().is_empty(), "write the address without a path");
        let host = uri.host().context("no host in it")?.to_owned();
        Ok(Self { port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }), host, tls })
    }

    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    async fn address(&self) -> anyhow::Result<SocketAddr> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let mut found =
            lookup_host((host, self.port)).await.with_context(|| format!("looking up {host}"))?;
        found.next().with_context(|| format!("{host} has no address"))
    }
}

/// Anything that carries bytes.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// What to ask.
#[derive(Clone, Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) method: Method,
    /// A path, or a whole URL as a link may be.
    pub(crate) path: &'a str,
    /// How often the asker has turned to another target because one did not answer.
    pub(crate) turns: u32,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: Option<Value>,
}

type Sender = SendRequest<Full<Bytes>>;

/// One source address and its connections to each target.
#[derive(Debug)]
struct Source {
    bind: Option<IpAddr>,
    permits: Semaphore,
    idle: Mutex<HashMap<usize, Vec<Sender>>>,
}

/// An address that is known.
#[derive(Debug)]
struct Place {
    target: Target,
    address: SocketAddr,
}

/// All connections of a crowd.
pub(crate) struct Client {
    /// The targets given, then the places that links led to.
    places: RwLock<Vec<Arc<Place>>>,
    n_targets: usize,
    sources: Vec<Source>,
    tls: tokio_rustls::TlsConnector,
    connections: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("targets", &self.n_targets).finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) async fn new(targets: &[Target], shoppers: u32) -> anyhow::Result<Self> {
        let mut resolved = Vec::new();
        for target in targets {
            let address = target.address().await?;
            resolved.push(Arc::new(Place { target: target.clone(), address }));
        }
        let loopback = resolved
            .iter()
            .all(|place| place.address.ip().is_loopback() && place.address.is_ipv4());
        let n_sources = (shoppers / SHOPPERS_PER_SOURCE).clamp(1, 60_000);
        let sources = (0..n_sources).map(|n| Source {
            bind: loopback.then(|| loopback_source(n)),
            permits: Semaphore::new(CONNECTIONS_PER_SOURCE),
            idle: Mutex::default(),
        });
        let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            n_targets: resolved.len(),
            places: RwLock::new(resolved),
            sources: sources.collect(),
            tls: tokio_rustls::TlsConnector::from(Arc::new(tls)),
            connections: Mutex::default(),
        })
    }

    /// The URL of a path on a shopper's target; a link that is one already stays as it is.
    pub(crate) fn url(&self, shopper: u32, turns: u32, link: &str) -> String {
        if !link.starts_with('/') {
            return link.to_owned();
        }
        let place = self.place(self.target(shopper, turns));
        let scheme = if place.target.tls { "https" } else { "http" };
        format!("{scheme}://{}{link}", place.target.authority())
    }

    fn target(&self, shopper: u32, turns: u32) -> usize {
        shopper.wrapping_add(turns) as usize % self.n_targets
    }

    fn place(&self, n: usize) -> Arc<Place> {
        Arc::clone(&self.places.read().unwrap_or_else(PoisonError::into_inner)[n])
    }

    /// Asks on behalf of a shopper. An error means that no whole answer came.
    pub(crate) async fn ask(&self, shopper: u32, ask: Ask<'_>) -> anyhow::Result<Answer> {
        timeout(ANSWER_WITHIN, self.ask_pooled(shopper, ask)).await.context("no answer in time")?
    }

    async fn ask_pooled(&self, shopper: u32, ask: Ask<'_>) -> anyhow::Result<Answer> {
        let n = self.route(shopper, ask.turns, ask.path).await?;
        let source = self.source(shopper);
        let _permit = source.permits.acquire().await?;
        loop {
            let pooled = lock(&source.idle).get_mut(&n).and_then(Vec::pop);
            let was_pooled = pooled.is_some();
            let mut sender = match pooled {
                Some(sender) => sender,
                None => self.connect(n, source).await?,
            };
            let sent = async {
                sender.ready().await?;
                sender.send_request(self.request(n, &ask)).await
            };
            let answer = match sent.await {
                // The server had closed a connection that was idle: nothing was sent.
                Err(error) if was_pooled && (error.is_canceled() || error.is_closed()) => continue,
                answer => answer?,
            };
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX)
                .collect()
                .await
                .map_err(|error| anyhow::anyhow!(error))?;
            if !sender.is_closed() {
                lock(&source.idle).entry(n).or_default().push(sender);
            }
            return Ok(Answer {
                status: head.status,
                headers: head.headers,
                body: body.to_bytes(),
            });
        }
    }

    /// A fresh connection of a shopper to where a URL points, for pushes.
    pub(crate) async fn dial(&self, shopper: u32, url: &str) -> anyhow::Result<Box<dyn Wire>> {
        let open = async {
            let n = self.route(shopper, 0, url).await?;
            self.open(n, self.source(shopper)).await
        };
        timeout(ANSWER_WITHIN, open).await.context("no connection in time")?
    }

    fn source(&self, shopper: u32) -> &Source {
        &self.sources[shopper as usize % self.sources.len()]
    }

    /// Where a path or a link goes. A link may lead to a place that is not among the targets: a role on an address of its
    /// own.
    async fn route(&self, shopper: u32, turns: u32, path: &str) -> anyhow::Result<usize> {
        if path.starts_with('/') {
            return Ok(self.target(shopper, turns));
        }
        let uri: Uri = path.parse().context("a link that is not a URL")?;
        let origin = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or_default(),
            uri.authority().map_or("", |authority| authority.as_str())
        );
        let target = Target::parse(&origin).context("a link that leads nowhere")?;
        let known = |places: &Vec<Arc<Place>>| {
            places.iter().position(|place| {
                place.target.authority() == target.authority() && place.target.tls == target.tls
            })
        };
        if let Some(n) = known(&self.places.read().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(n);
        }
        let address = target.address().await?;
        let mut places = self.places.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(n) = known(&places) {
            return Ok(n);
        }
        ensure!(places.len() < PLACES_MAX, "links lead to more than {PLACES_MAX} places");
        places.push(Arc::new(Place { target, address }));
        Ok(places.len() - 1)
    }

    fn request(&self, n: usize, ask: &Ask<'_>) -> Request<Full<Bytes>> {
        let body = ask.body.as_ref().map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let uri: Uri = ask.path.parse().unwrap_or_default();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = path.parse().unwrap_or_default();
        request.headers_mut().clone_from(ask.headers);
        let json = http::HeaderValue::from_static("application/json");
        if ask.body.is_some() {
            request.headers_mut().insert(header::CONTENT_TYPE, json);
        }
        if let Ok(host) = self.place(n).target.authority().parse() {
            request.headers_mut().insert(header::HOST, host);
        }
        request
    }

    async fn connect(&self, n: usize, source: &Source) -> anyhow::Result<Sender> {
        let wire = self.open(n, source).await?;
        let (sender, connection) = http1::handshake(TokioIo::new(wire)).await?;
        let mut connections = lock(&self.connections);
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // A connection that breaks is seen by whoever uses it.
            let _ = connection.await;
        });
        Ok(sender)
    }

    async fn open(&self, n: usize, source: &Source) -> anyhow::Result<Box<dyn Wire>> {
        let place = self.place(n);
        let Place { target, address } = &*place;
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_nodelay(true)?;
        if let Some(ip) = source.bind {
            socket.bind(SocketAddr::new(ip, 0))?;
        }
        let reached = socket.connect(*address).await;
        let stream = reached.with_context(|| format!("connecting to {}", target.authority()))?;
        if !target.tls {
            return Ok(Box::new(stream));
        }
        let name = rustls::pki_types::ServerName::try_from(target.host.clone())?;
        Ok(Box::new(self.tls.connect(name, stream).await?))
    }
}

/// The `n`-th source on a loopback network: 127.1.0.1 onwards, never 127.0.0.1 itself.
fn loopback_source(n: u32) -> IpAddr {
    let [_, _, high, low] = (n + 1).to_be_bytes();
    IpAddr::V4(Ipv4Addr::new(127, 1, high, low))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let target = Target::parse("http://127.0.0.1:8080/").unwrap();
        assert_eq!((target.authority().as_str(), target.tls), ("127.0.0.1:8080", false));
        assert_eq!(Target::parse("https://queue.example.com").unwrap().port, 443);
        for bad in ["", "queue.example.com", "ftp://x", "http://x/path"] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
