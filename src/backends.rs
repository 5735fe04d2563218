//! The only place that knows which backend is in use.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use sluice_backends::{
    embedded::{Embedded, EmbeddedSettings, OpenError},
    postgres::{self, Postgres, PostgresOptions},
    rabbitmq::{self, Rabbitmq, RabbitmqOptions},
    redis::{self, Redis, RedisOptions, Topology},
};
use sluice_core::{clock::Clock, ports::Ports};
use tokio::time::{Instant, sleep};

use crate::{
    config::{self, BackendKind, Config, ConfigError, RedisTopology},
    exit::Unreachable,
};

/// How long the stores' farewells may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long to wait for a process that has just died to let go of the data: its last threads outlive it for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries at that.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// An open backend.
#[derive(Debug)]
pub(crate) enum Backend {
    Embedded(Embedded),
    Distributed(Box<Distributed>),
}

/// The three stores of a deployment on many machines.
#[derive(Debug)]
pub(crate) struct Distributed {
    redis: Redis,
    rabbitmq: Rabbitmq,
    postgres: Postgres,
}

impl Backend {
    /// Opens what the configuration names; a store that cannot be opened ends the process with exit code 69.
    pub(crate) async fn open(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        sluice_backends::metrics::describe();
        match config.backend.kind {
            BackendKind::Embedded => embedded(config, clock).await.map(Self::Embedded),
            BackendKind::Distributed => {
                Ok(Self::Distributed(Box::new(distributed(config, clock).await?)))
            }
        }
    }

    pub(crate) fn ports(&self) -> Ports {
        match self {
            Self::Embedded(embedded) => embedded.ports(),
            Self::Distributed(stores) => Ports {
                line: Arc::clone(&stores.redis.line),
                gate: Arc::clone(&stores.redis.gate),
                waiting: stores.rabbitmq.waiting(),
                turns: stores.rabbitmq.turns(),
                letters: stores.rabbitmq.letters(),
                bulletin: stores.rabbitmq.bulletin(),
                ledger: stores.postgres.ledger(),
                inbox: Some(stores.rabbitmq.inbox()),
            },
        }
    }

    /// Resolves when the store has failed for good; the process must end and say so. Stores across a network come back:
    /// their absence ends nothing.
    pub(crate) async fn failed(&self) -> anyhow::Error {
        match self {
            Self::Embedded(embedded) => {
                anyhow::anyhow!("the embedded store stopped: {}", embedded.failed().await)
            }
            Self::Distributed(_) => std::future::pending().await,
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Embedded(embedded) => embedded.close().await,
            Self::Distributed(stores) => {
                let Distributed { redis, rabbitmq, postgres } = *stores;
                tokio::join!(redis.close(), rabbitmq.close(), postgres.close(CLOSE_TIMEOUT));
            }
        }
    }
}

async fn embedded(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Embedded> {
    let folder = &config.embedded.data_dir;
    fs::create_dir_all(folder)
        .with_context(|| format!("embedded.data_dir: cannot make the folder {}", folder.display()))
        .map_err(Unreachable)?;
    let file = folder.join("sluice.sqlite");
    let deadline = Instant::now() + start_timeout(config).min(LOCK_PATIENCE);
    loop {
        match Embedded::open(&file, Arc::clone(&clock), EmbeddedSettings::default()) {
            Err(OpenError::InUse { .. }) if Instant::now() < deadline => sleep(LOCK_PAUSE).await,
            opened => {
                let named = |error| anyhow::Error::new(error).context("the embedded store");
                return Ok(opened.map_err(|error| Unreachable(named(error)))?);
            }
        }
    }
}

/// All three at once, so that the slowest decides how long it takes.
async fn distributed(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Distributed> {
    let rabbitmq = RabbitmqOptions {
        urls: config.rabbitmq.nodes(),
        authority_pem: authority("rabbitmq.ca_file", &config.rabbitmq.ca_file)?,
        start_timeout: start_timeout(config),
        ..RabbitmqOptions::default()
    };
    let (redis, rabbitmq, postgres) = tokio::join!(
        redis::open(redis_options(config)?),
        rabbitmq::open(rabbitmq, clock),
        Postgres::open(postgres_options(config)),
    );
    Ok(Distributed {
        redis: redis.map_err(line_refused)?,
        rabbitmq: rabbitmq.map_err(queues_refused)?,
        postgres: postgres.map_err(ledger_refused)?,
    })
}

fn redis_options(config: &Config) -> anyhow::Result<RedisOptions> {
    Ok(RedisOptions {
        authority_pem: authority("redis.ca_file", &config.redis.ca_file)?,
        topology: match config.redis.topology {
            // The scheme of a URL may say more.
            RedisTopology::Single => None,
            RedisTopology::Sentinel => Some(Topology::Sentinel),
            RedisTopology::Cluster => Some(Topology::Cluster),
        },
        start_timeout: start_timeout(config),
        ..RedisOptions::new(config.redis.urls.clone())
    })
}

/// What certificates are checked against, if a file is named; looked at with the whole configuration before, and read now.
fn authority(key: &str, file: &Path) -> anyhow::Result<Option<String>> {
    config::authority(key, file).map_err(|(key, complaint)| unusable(&key, &complaint))
}

fn postgres_options(config: &Config) -> PostgresOptions {
    PostgresOptions {
        connections_max: config.postgres.connections_max,
        start_timeout: start_timeout(config),
        ..PostgresOptions::new(config.postgres.url.clone())
    }
}

/// `sluice migrate`: brings the schema up to date; answers its version.
pub(crate) async fn migrate(config: &Config) -> anyhow::Result<i64> {
    let migrated = postgres::migrate(postgres_options(config)).await.map_err(ledger_refused)?;
    Ok(migrated.version)
}

fn start_timeout(config: &Config) -> Duration {
    Duration::from_millis(config.process.start_timeout_ms)
}

fn line_refused(error: redis::OpenError) -> anyhow::Error {
    if let redis::OpenError::Url(bad) = &error {
        return unusable("redis.urls", &bad.to_string());
    }
    Unreachable(error.into()).into()
}

fn queues_refused(error: rabbitmq::OpenError) -> anyhow::Error {
    if let rabbitmq::OpenError::Address(bad) = &error {
        return unusable("rabbitmq.url", &bad.to_string());
    }
    Unreachable(error.into()).into()
}

fn ledger_refused(error: postgres::OpenError) -> anyhow::Error {
    if let postgres::OpenError::Url = error {
        let complaint =
            "is not a PostgreSQL URL; write postgres://user:password@host:port/database";
        return unusable("postgres.url", complaint);
    }
    Unreachable(error.into()).into()
}

/// A URL that names no server: a mistake of the configuration, not of the network.
fn unusable(key: &str, complaint: &str) -> anyhow::Error {
    ConfigError { place: "configuration".into(), key: key.into(), complaint: complaint.into() }
        .into()
}

#[cfg(test)]
mod tests {
    use sluice_backends::clock::SystemClock;

    use super::*;
    use crate::config;

    fn configured(folder: &std::path::Path, start_timeout_ms: u64) -> Config {
        let variables = [
            ("SLUICE_EMBEDDED__DATA_DIR".to_owned(), folder.display().to_string()),
            ("SLUICE_PROCESS__START_TIMEOUT_MS".to_owned(), start_timeout_ms.to_string()),
        ];
        config::load(None, variables.into_iter()).unwrap()
    }

    /// A process that was killed may hold the lock for a moment longer.
    #[tokio::test]
    async fn data_that_are_let_go_of_in_time_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let config = configured(folder.path(), 30_000);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let first = Backend::open(&config, Arc::clone(&clock)).await.unwrap();
        let second = Backend::open(&config, clock);
        tokio::pin!(second);
        // It has found the data in use, and waits.
        assert!(futures_util::poll!(&mut second).is_pending());
        first.close().await;
        second.await.unwrap().close().await;
    }

    #[tokio::test]
    async fn data_that_stay_in_use_are_unreachable_at_the_end_of_the_time_to_start() {
        let folder = tempfile::tempdir().unwrap();
        let config = configured(folder.path(), 100);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let first = Backend::open(&config, Arc::clone(&clock)).await.unwrap();
        let error = Backend::open(&config, clock).await.unwrap_err();
        assert!(error.is::<Unreachable>() && error.to_string().contains("in use"), "{error}");
        first.close().await;
    }
}
