//! JSON Web Key Sets (RFC 7517): public keys by id, from a file or from a URL.
//!
//! From a URL they are read at start and again when a token names a key that is not known, at most every
//! [`REFRESH_GAP`]; what was read is kept while the source is away. One task reads, whoever needs a key waits for it.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::{Request, Uri, header::ACCEPT};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde::Deserialize;
use sluice_core::random::Random;
use sluice_http::client::{BadUrl, Client, check_outbound};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// The source is asked at most this often.
pub(super) const REFRESH_GAP: Duration = Duration::from_secs(10);
/// Longest wait for one answer of the source.
const FETCH_TIMEOUT: Duration = Duration::from_secs(3);
/// Tries before it counts as away.
const FETCH_TRIES: u32 = 3;
/// First upper bound of the wait between two tries; it doubles.
const RETRY_WITHIN: Duration = Duration::from_millis(200);
/// Longest key set read, in bytes.
const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Most keys kept of one set.
const KEYS_MAX: usize = 100;
/// Joins that may wait for a refresh at once; more are told at once that the source is away.
const WAITING_MAX: usize = 256;

/// The usable keys of a set.
pub(super) struct KeySet(Vec<NamedKey>);

struct NamedKey {
    kid: Option<String>,
    algorithm: Algorithm,
    key: DecodingKey,
}

#[derive(Deserialize)]
struct RawSet {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// `None` if this is not a key set, or has no key we can use. Keys of other kinds are passed over, as the RFC asks.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let raw: RawSet = serde_json::from_slice(bytes).ok()?;
        let keys: Vec<_> = raw.keys.into_iter().filter_map(NamedKey::read).take(KEYS_MAX).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// The key a token names, for the algorithm it names: both must fit. A token without a key id fits the only key of
    /// its algorithm.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&DecodingKey> {
        let mut fitting = self.0.iter().filter(|key| key.algorithm == algorithm);
        if kid.is_some() {
            return fitting.find(|key| key.kid.as_deref() == kid).map(|key| &key.key);
        }
        let only = fitting.next()?;
        fitting.next().is_none().then_some(&only.key)
    }
}

impl NamedKey {
    fn read(raw: serde_json::Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(raw).ok()?;
        if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
            return None;
        }
        // Shared secrets and other curves have no place in a public set that we read.
        let algorithm = if let AlgorithmParameters::RSA(_) = &jwk.algorithm {
            Algorithm::RS256
        } else if let AlgorithmParameters::EllipticCurve(key) = &jwk.algorithm
            && key.curve == EllipticCurve::P256
        {
            Algorithm::ES256
        } else if let AlgorithmParameters::OctetKeyPair(key) = &jwk.algorithm
            && key.curve == EllipticCurve::Ed25519
        {
            Algorithm::EdDSA
        } else {
            return None;
        };
        let declared = match jwk.common.key_algorithm {
            None => algorithm,
            Some(KeyAlgorithm::RS256) => Algorithm::RS256,
            Some(KeyAlgorithm::ES256) => Algorithm::ES256,
            Some(KeyAlgorithm::EdDSA) => Algorithm::EdDSA,
            Some(_) => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        (declared == algorithm).then_some(Self { kid: jwk.common.key_id, algorithm, key })
    }
}

/// What asking for a key came to.
pub(super) enum Found {
    Key(Arc<KeySet>),
    /// The set was read a moment ago and has no such key.
    Unknown,
    /// The source could not be read: whether there is such a key cannot be said now.
    Away,
}

/// How the last reading ended.
#[derive(Clone, Copy)]
struct Reading {
    at: Instant,
    succeeded: bool,
}

/// A key set at a URL.
pub(super) struct RemoteKeys {
    url: Uri,
    client: Client,
    random: Arc<Random>,
    keys: ArcSwapOption<KeySet>,
    wanted: Notify,
    read: watch::Sender<Option<Reading>>,
    waiting: Semaphore,
}

impl RemoteKeys {
    pub(super) fn build(url: &str, random: Arc<Random>) -> Result<Self, BadUrl> {
        Ok(Self {
            url: check_outbound(url)?,
            client: Client::new(FETCH_TIMEOUT),
            random,
            keys: ArcSwapOption::empty(),
            wanted: Notify::new(),
            read: watch::Sender::new(None),
            waiting: Semaphore::new(WAITING_MAX),
        })
    }

    /// The set that has the key, read again if need be.
    pub(super) async fn find(
        &self,
        kid: Option<&str>,
        algorithm: Algorithm,
        patience: Duration,
    ) -> Found {
        if let Some(keys) = self.holding(kid, algorithm) {
            return Found::Key(keys);
        }
        let Ok(_place) = self.waiting.try_acquire() else { return Found::Away };
        let mut read = self.read.subscribe();
        let recent = |reading: &Option<Reading>| {
            reading.filter(|reading| reading.at.elapsed() < REFRESH_GAP)
        };
        let mut last = recent(&read.borrow_and_update());
        if last.is_none() {
            self.wanted.notify_one();
            // Neither a timeout nor an ended task leaves a recent reading behind.
            let _ = timeout(patience, read.changed()).await;
            last = recent(&read.borrow());
        }
        match (self.holding(kid, algorithm), last) {
            (Some(keys), _) => Found::Key(keys),
            (None, Some(reading)) if reading.succeeded => Found::Unknown,
            (None, Some(_) | None) => Found::Away,
        }
    }

    /// Reads at start and whenever wanted, never more often than every [`REFRESH_GAP`].
    pub(super) async fn run(&self, shutdown: &CancellationToken) {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.refresh() => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = async { sleep(REFRESH_GAP).await; self.wanted.notified().await } => {}
            }
        }
    }

    fn holding(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<Arc<KeySet>> {
        self.keys.load_full().filter(|keys| keys.find(kid, algorithm).is_some())
    }

    async fn refresh(&self) {
        let mut within = RETRY_WITHIN;
        for attempt in 1..=FETCH_TRIES {
            match self.fetch().await {
                Ok(keys) => {
                    self.keys.store(Some(Arc::new(keys)));
                    self.read.send_replace(Some(Reading { at: Instant::now(), succeeded: true }));
                    return;
                }
                Err(error) => {
                    tracing::warn!(
                        attempt,
                        error = &error as &dyn std::error::Error,
                        "the key set could not be read"
                    );
                }
            }
            if attempt < FETCH_TRIES {
                sleep(within.mul_f64(self.random.unit())).await;
                within *= 2;
            }
        }
        self.read.send_replace(Some(Reading { at: Instant::now(), succeeded: false }));
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let request = Request::get(self.url.clone())
            .header(ACCEPT, "application/json")
            .body(Bytes::new())
            .map_err(FetchError::Request)?;
        let response =
            self.client.send(request, KEY_SET_BYTES_MAX).await.map_err(FetchError::Client)?;
        if !response.status().is_success() {
            return Err(FetchError::Status(response.status()));
        }
        KeySet::parse(response.body()).ok_or(FetchError::NoKeys)
    }
}

/// Why a key set could not be read.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("the request could not be built")]
    Request(#[source] http::Error),
    #[error("the source did not answer")]
    Client(#[source] sluice_http::client::ClientError),
    #[error("the source answered {0}")]
    Status(http::StatusCode),
    #[error("the answer is not a key set with a key that can be used")]
    NoKeys,
}
