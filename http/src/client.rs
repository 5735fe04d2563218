//! The outgoing client: JWKS, payment callbacks, webhooks. Addresses come from configuration, and even so only `https`, or
//! `http` to this machine, is spoken. No redirects, no proxies, no more bytes or time than the caller allows.

use std::{
    fmt::{self, Debug},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

mod outbound;

pub use outbound::{BadUrl, check_outbound, is_loopback};

/// Idle connections kept per host, and for how long.
const IDLE_MAX: usize = 16;
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// What a response's headers may take.
const HEADER_BYTES_MAX: usize = 64 * 1024;

type Connector = HttpsConnector<HttpConnector>;
type Unfinished = ConfigBuilder<ClientConfig, WantsVerifier>;

/// A pool of connections with one deadline for all requests.
#[derive(Clone)]
pub struct Client {
    /// `Err` when this build cannot speak TLS at all.
    pool: Result<Pool<Connector, Full<Bytes>>, rustls::Error>,
    timeout: Duration,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nothing was sent.
    #[error(transparent)]
    Url(#[from] BadUrl),
    /// The request may or may not have arrived.
    #[error("no whole response within {0:?}")]
    Timeout(Duration),
    /// The host could not be reached: nothing was sent.
    #[error("cannot connect")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request may or may not have arrived.
    #[error("the connection failed")]
    Transport(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The request arrived.
    #[error("the response is larger than {bytes_max} bytes")]
    TooLarge { bytes_max: usize },
}

impl Client {
    /// `timeout` covers a request from connecting to the last byte of its response. Certificates are checked against
    /// Mozilla's roots.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self::trusting(timeout, |builder| builder.with_webpki_roots().with_no_client_auth())
    }

    /// As [`Client::new`], trusting `roots` and no others.
    #[must_use]
    pub fn with_roots(timeout: Duration, roots: RootCertStore) -> Self {
        Self::trusting(timeout, |builder| {
            builder.with_root_certificates(roots).with_no_client_auth()
        })
    }

    fn trusting(timeout: Duration, trust: impl FnOnce(Unfinished) -> ClientConfig) -> Self {
        // The provider is handed over, not installed for the process: a library has no say in that.
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map(trust);
        Self { pool: tls.map(|tls| pool(tls, timeout)), timeout }
    }

    /// Sends one request and reads the whole response, whatever its status. A redirect is a response like any other.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
        bytes_max: usize,
    ) -> Result<http::Response<Bytes>, ClientError> {
        outbound::check(request.uri())?;
        let pool =
            self.pool.as_ref().map_err(|error| ClientError::Connect(error.clone().into()))?;
        let exchange = async {
            let response = pool.request(request.map(Full::new)).await.map_err(|error| {
                if error.is_connect() {
                    ClientError::Connect(error.into())
                } else {
                    ClientError::Transport(error.into())
                }
            })?;
            let (parts, body) = response.into_parts();
            let whole = Limited::new(body, bytes_max).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    ClientError::TooLarge { bytes_max }
                } else {
                    ClientError::Transport(error)
                }
            })?;
            Ok(http::Response::from_parts(parts, whole.to_bytes()))
        };
        tokio::time::timeout(self.timeout, exchange)
            .await
            .map_err(|_| ClientError::Timeout(self.timeout))?
    }
}

impl Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

fn pool(tls: ClientConfig, timeout: Duration) -> Pool<Connector, Full<Bytes>> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(timeout));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp);
    Pool::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(IDLE_MAX)
        .http1_max_buf_size(HEADER_BYTES_MAX)
        .build(connector)
}
