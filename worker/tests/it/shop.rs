//! The worker's routes on a real server, and a buyer who talks to it.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::Value;
use sluice_core::webhook::Secrets;
use sluice_http::{Router, RouterSettings, Server, ServerConfig, client::Client};
use sluice_worker::{
    Config, Immediate, Simulated, SimulatedPorts, SimulatedSettings, Worker, WorkerPorts,
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

impl Shop {
    pub(crate) async fn open(house: &House) -> Self {
        Self::open_with(house, true).await
    }

    /// With `callbacks`, the simulated provider tells what was pressed.
    pub(crate) async fn open_with(house: &House, callbacks: bool) -> Self {
        Self::open_over(house, house.worker_ports(), Config::default(), callbacks).await
    }

    /// With a worker of one's own.
    pub(crate) async fn open_over(
        house: &House,
        worker_ports: WorkerPorts,
        config: Config,
        callbacks: bool,
    ) -> Self {
        let ports = SimulatedPorts {
            ledger: Arc::clone(&house.ports.ledger),
            clock: Arc::new(house.clock.clone()),
            random: Arc::clone(&house.random),
            secrets: Secrets::new(&[SECRET]).unwrap(),
            limits: Arc::clone(&house.limits),
        };
        let simulated = Simulated::new(SimulatedSettings::default(), ports).unwrap();
        let worker =
            Worker::build(config, worker_ports, Arc::new(simulated.clone()), Arc::new(Immediate));
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
        Self { address, simulated, client: Client::new(PATIENCE), tasks, shutdown }
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
