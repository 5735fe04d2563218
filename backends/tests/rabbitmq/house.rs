//! A virtual host of its own, and a backend in it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sluice_backends::{
    clock::SystemClock,
    rabbitmq::{OpenError, Rabbitmq, RabbitmqOptions, open},
};
use sluice_core::ports::{
    Bulletin, CallbackInbox, DeadLetters, TurnQueue, WaitingQueue, conformance::House,
};

use crate::server::Server;

/// What becomes of the virtual host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[allow(dead_code, reason = "each test binary does the one or the other")]
pub(crate) enum Afterwards {
    Remove,
    /// For brokers that are killed: RabbitMQ 3.10.8 may lose its dead-lettering when queues are deleted soon after.
    Leave,
}

/// See the module.
pub(crate) struct Home {
    server: &'static Server,
    settle: Duration,
    afterwards: Afterwards,
    vhost: String,
    backend: Option<Rabbitmq>,
}

impl Home {
    /// `settle`: how long new queues are left alone; nothing, where no broker is killed.
    pub(crate) async fn new(
        server: &'static Server,
        settle: Duration,
        afterwards: Afterwards,
    ) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let vhost = format!("house-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let name = vhost.clone();
        tokio::task::spawn_blocking(move || server.make_vhost(&name)).await.unwrap();
        let mut home = Self { server, settle, afterwards, vhost, backend: None };
        home.backend = Some(home.open().await.unwrap());
        home
    }

    pub(crate) fn url(&self) -> String {
        self.server.url(&self.vhost)
    }

    pub(crate) fn options(&self) -> RabbitmqOptions {
        RabbitmqOptions {
            urls: vec![self.url()],
            start_timeout: Duration::from_secs(30),
            settle_time: self.settle,
            ..RabbitmqOptions::default()
        }
    }

    /// Another process.
    pub(crate) async fn open(&self) -> Result<Rabbitmq, OpenError> {
        open(self.options(), Arc::new(SystemClock)).await
    }

    pub(crate) fn backend(&self) -> &Rabbitmq {
        self.backend.as_ref().unwrap()
    }

    #[allow(dead_code, reason = "not every test binary looks inside")]
    pub(crate) fn server(&self) -> &'static Server {
        self.server
    }

    #[allow(dead_code, reason = "not every test binary looks inside")]
    pub(crate) fn vhost(&self) -> &str {
        &self.vhost
    }
}

/// The ports, as one process has them.
pub(crate) struct Handles {
    pub(crate) waiting: Arc<dyn WaitingQueue>,
    pub(crate) turns: Arc<dyn TurnQueue>,
    #[allow(dead_code, reason = "not every test binary looks at them")]
    pub(crate) letters: Arc<dyn DeadLetters>,
    pub(crate) inbox: Arc<dyn CallbackInbox>,
    pub(crate) bulletin: Arc<dyn Bulletin>,
}

#[async_trait]
impl House for Home {
    type Port = Handles;

    fn port(&self) -> Handles {
        let backend = self.backend();
        Handles {
            waiting: backend.waiting(),
            turns: backend.turns(),
            letters: backend.letters(),
            inbox: backend.inbox(),
            bulletin: backend.bulletin(),
        }
    }

    async fn crash(&mut self) {
        drop(self.backend.take());
        self.backend = Some(self.open().await.unwrap());
    }

    async fn pass(&self, by: Duration) {
        tokio::time::sleep(by).await;
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(self.backend.take());
        if self.afterwards == Afterwards::Remove && !std::thread::panicking() {
            self.server.remove_vhost(&self.vhost);
        }
    }
}
