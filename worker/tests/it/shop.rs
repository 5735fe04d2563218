//! The worker's routes on a real server, and a buyer who talks to it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::Value;
use sluice_core::{clock::Clock, ports::PaymentProvider, webhook::Secrets};
use sluice_http::{Router, RouterSettings, Server, ServerConfig, client::Client};
use sluice_worker::{
    Config, Fulfilment, Immediate, Simulated, SimulatedKnobs, SimulatedPorts, SimulatedSettings,
    Worker, WorkerPorts,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::house::{House, PATIENCE, SECRET};

pub(crate) struct Shop {
    pub(crate) address: SocketAddr,
    pub(crate) simulated: Simulated,
    client: Client,
    tasks: JoinSet<()>,
    shutdown: CancellationToken,
}

/// How a shop is to be.
pub(crate) struct Opening {
    pub(crate) ports: WorkerPorts,
    pub(crate) config: Config,
    /// Whether the simulated provider tells what was pressed.
    pub(crate) callbacks: bool,
    pub(crate) knobs: SimulatedKnobs,
    pub(crate) fulfilment: Arc<dyn Fulfilment>,
    /// Another provider than the simulated one.
    pub(crate) provider: Option<Arc<dyn PaymentProvider>>,
}

impl Opening {
    pub(crate) fn of(house: &House) -> Self {
        Self {
            ports: house.worker_ports(),
            config: Config::default(),
            callbacks: true,
            knobs: SimulatedKnobs::default(),
            fulfilment: Arc::new(Immediate),
            provider: None,
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) response: Response<Bytes>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.response.body()).unwrap()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.response.body().to_vec()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.response.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a problem of this status and code.
    pub(crate) fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert_eq!((self.status, self.json()["code"].as_str()), (status, Some(code)), "{self:?}");
    }
}

impl Opening {
    pub(crate) async fn open(self, house: &House) -> Shop {
        let Self { ports: worker_ports, config, callbacks, knobs, fulfilment, provider } = self;
        let ports = SimulatedPorts {
            ledger: Arc::clone(&house.ports.ledger),
            clock: Arc::new(house.clock.clone()),
            random: Arc::clone(&house.random),
            secrets: Secrets::new(&[SECRET]).unwrap(),
            limits: Arc::clone(&house.limits),
        };
        let waiting_url = Some("https://queue.example".to_owned());
        let settings = SimulatedSettings { knobs, waiting_url, ..SimulatedSettings::default() };
        let simulated = Simulated::new(settings, ports).unwrap();
        let provider = provider.unwrap_or_else(|| Arc::new(simulated.clone()));
        let worker = Worker::build(config, worker_ports, provider, fulfilment);
        let settings = RouterSettings {
            trusted_proxies: Vec::new(),
            allowed_origins: Vec::new(),
            allowed_hosts: None,
            any_host_paths: Vec::new(),
        };
        let router = Router::new(vec![worker.routes(), simulated.routes()], settings).unwrap();
        let config = ServerConfig {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            connections_max: 100,
            header_timeout: PATIENCE,
            body_timeout: PATIENCE,
            header_bytes_max: 16 * 1_024,
            drain_timeout: Duration::from_secs(2),
            tls: None,
        };
        let server = Server::bind(config, Arc::new(router)).await.unwrap();
        let address = server.local_addr();
        if callbacks {
            simulated.call_back_to(&format!("http://{address}")).unwrap();
        }

        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(shutdown.clone()));
        tasks.spawn(worker.run(shutdown.clone()));
        let (teller, stop) = (simulated.clone(), shutdown.clone());
        tasks.spawn(async move { teller.run(stop).await });
        Shop { address, simulated, client: Client::new(PATIENCE), tasks, shutdown }
    }
}

impl Shop {
    pub(crate) async fn open(house: &House) -> Self {
        Self::open_with(house, true).await
    }

    /// With `callbacks`, the simulated provider tells what was pressed.
    pub(crate) async fn open_with(house: &House, callbacks: bool) -> Self {
        Opening { callbacks, ..Opening::of(house) }.open(house).await
    }

    /// With a worker of one's own.
    pub(crate) async fn open_over(
        house: &House,
        worker_ports: WorkerPorts,
        config: Config,
        callbacks: bool,
    ) -> Self {
        let ports = worker_ports;
        Opening { ports, config, callbacks, ..Opening::of(house) }.open(house).await
    }

    pub(crate) async fn close(mut self) {
        self.shutdown.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(PATIENCE, ended).await.expect("everything stops");
    }

    /// Sends a request with these headers.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let mut request =
            Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.into()).unwrap();
        let response = self.client.send(request, 1 << 20).await.unwrap();
        Answer { status: response.status().as_u16(), response }
    }

    /// Calls back about a payment of the house, signed as the provider does.
    pub(crate) async fn call_back(&self, house: &House, word: &Value) -> Answer {
        let body = serde_json::to_vec(word).unwrap();
        let signed = Secrets::new(&[SECRET]).unwrap().sign("msg_1", house.clock.now(), &body);
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", signed.id.as_str()),
            ("webhook-timestamp", signed.timestamp.as_str()),
            ("webhook-signature", signed.signature.as_str()),
        ];
        self.send(Method::POST, "/v1/payments/simulated/callback", &headers, body).await
    }

    pub(crate) async fn get(&self, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(Method::GET, path, &[("authorization", &bearer)], "").await
    }

    pub(crate) async fn post(&self, path: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(Method::POST, path, &[("authorization", &bearer)], "").await
    }

    pub(crate) async fn press(&self, pay_url: &str, result: &str) -> Answer {
        let body = format!(r#"{{"result":"{result}"}}"#);
        self.send(Method::POST, pay_url, &[("content-type", "application/json")], body).await
    }
}
