//! Backends for the conformance suites: each alone with a database of one shared server, or with a prefix of its own on
//! one shared cluster.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sluice_backends::redis::{Redis, RedisOptions, Topology};
use sluice_core::ports::conformance::{House, Stage};

use crate::{samples::PATIENCE, servers::Servers};

static SERVER: OnceLock<Servers> = OnceLock::new();
static CLUSTER: OnceLock<Servers> = OnceLock::new();
static HOMES: AtomicU32 = AtomicU32::new(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Home {
    options: RedisOptions,
    backend: Option<Redis>,
}

impl Home {
    pub(crate) async fn on_a_server() -> Self {
        let server = SERVER.get_or_init(Servers::redis);
        let database = HOMES.fetch_add(1, Ordering::Relaxed);
        let url = format!("{}/{database}", server.url());
        Self::opened(RedisOptions::new(vec![url])).await
    }

    pub(crate) async fn on_a_cluster() -> Self {
        let cluster = CLUSTER.get_or_init(|| Servers::start(&["redis-cluster"]));
        let urls = cluster.word("REDIS_CLUSTER_URLS").split(',').map(str::to_owned).collect();
        let prefix = format!("home-{}", HOMES.fetch_add(1, Ordering::Relaxed));
        let topology = Some(Topology::Cluster);
        Self::opened(RedisOptions { topology, prefix, ..RedisOptions::new(urls) }).await
    }

    async fn opened(options: RedisOptions) -> Self {
        let options = RedisOptions { start_timeout: PATIENCE, ..options };
        let backend = sluice_backends::redis::open(options.clone()).await.unwrap();
        Self { options, backend: Some(backend) }
    }
}

#[async_trait]
impl House for Home {
    type Port = Stage;

    fn port(&self) -> Stage {
        let backend = self.backend.as_ref().unwrap();
        Stage { line: backend.line.clone(), gate: backend.gate.clone() }
    }

    async fn crash(&mut self) {
        drop(self.backend.take());
        self.backend = Some(sluice_backends::redis::open(self.options.clone()).await.unwrap());
    }

    async fn pass(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }
}
