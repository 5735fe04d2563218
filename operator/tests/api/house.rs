//! A house to test in: the embedded backend, the operator role, a server, and somebody who asks.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use sluice_backends::embedded::{Embedded, EmbeddedSettings};
use sluice_core::{
    clock::{Clock, TokioClock, UnixMillis},
    ids::SaleId,
    ports::{Bulletin, Heard, Notice, PortResult, Ports, Subscription},
    view::Directory,
};
use sluice_http::{Router, RouterSettings, Server, ServerConfig};
use sluice_operator::{
    AdminSecret, AdminToken, Config, Limits, Operator, OperatorPorts, Role, Shop,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a test waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const ROLES: [Role; 4] = [Role::Viewer, Role::Operator, Role::Admin, Role::Backend];

pub(crate) struct House {
    pub(crate) ports: Ports,
    pub(crate) directory: Arc<Directory>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) operator: Operator,
    pub(crate) address: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    shutdown: CancellationToken,
    _server: JoinSet<()>,
    _embedded: Embedded,
    _data: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Fails unless the answer is `status`; returns its body.
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self.body
    }

    /// Fails unless the answer is a problem of this status and code; returns its body.
    #[track_caller]
    pub(crate) fn refuses(self, status: u16, code: &str) -> Value {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        let body = self.is(status);
        assert_eq!(body["code"], code, "{body}");
        body
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}")).to_str().unwrap()
    }
}

/// The token of a role.
pub(crate) fn token(role: Role) -> String {
    format!("{}-token-that-is-long-enough-to-be-one", role.as_str())
}

pub(crate) fn config(limits: Limits) -> Config {
    let tokens = ROLES.map(|role| AdminToken {
        name: role.as_str().to_owned(),
        role,
        secret: AdminSecret::Token(token(role)),
    });
    Config { tokens: tokens.to_vec(), limits, shop: None }
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::open_with(Limits::default(), |ports| ports).await
    }

    /// `change` may put something of its own between the operator role and a port.
    pub(crate) async fn open_with(limits: Limits, change: impl FnOnce(Ports) -> Ports) -> Self {
        Self::open_over(config(limits), change).await
    }

    /// The shop's own order backend settles turns here.
    pub(crate) async fn open_for_a_shop() -> Self {
        let shop = Some(Shop { link_hosts: vec!["shop.example.com".to_owned()] });
        Self::open_over(Config { shop, ..config(Limits::default()) }, |ports| ports).await
    }

    async fn open_over(config: Config, change: impl FnOnce(Ports) -> Ports) -> Self {
        let data = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> =
            Arc::new(TokioClock::starting_at(UnixMillis(1_800_000_000_000)));
        let embedded = Embedded::open_inline(
            &data.path().join("sluice.db"),
            Arc::clone(&clock),
            EmbeddedSettings::default(),
        )
        .unwrap();
        let ports = embedded.ports();
        let directory = Arc::new(Directory::default());
        let seen =
            OperatorPorts::new(&change(ports.clone()), Arc::clone(&directory), Arc::clone(&clock));
        let operator = Operator::build(config, seen).unwrap();
        let settings = RouterSettings {
            allowed_hosts: Some(vec!["127.0.0.1".to_owned()]),
            ..RouterSettings::default()
        };
        let router = Arc::new(Router::new(vec![operator.routes()], settings).unwrap());
        let server = Server::bind(server_config(), router).await.unwrap();
        let address = server.local_addr();
        let shutdown = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(shutdown.clone()));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self {
            ports,
            directory,
            clock,
            operator,
            address,
            client,
            shutdown,
            _server: tasks,
            _embedded: embedded,
            _data: data,
        }
    }

    /// Also gives what says when somebody publishes, and what lets them: one permit each.
    pub(crate) async fn open_with_slow_bulletin() -> (Self, mpsc::Receiver<()>, Arc<Semaphore>) {
        let (began, beginnings) = mpsc::channel(8);
        let go_on = Arc::new(Semaphore::new(0));
        let slow = Arc::clone(&go_on);
        let house = Self::open_with(Limits::default(), |ports| {
            let inner = Arc::clone(&ports.bulletin);
            Ports { bulletin: Arc::new(SlowBulletin { inner, began, go_on: slow }), ..ports }
        });
        (house.await, beginnings, go_on)
    }

    /// Sends a request as it is.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> http::Response<Incoming> {
        timeout(PATIENCE, self.client.request(request)).await.expect("no answer came").unwrap()
    }

    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Answer {
        let (parts, body) = self.send(request).await.into_parts();
        let bytes = timeout(PATIENCE, body.collect())
            .await
            .expect("the answer did not end")
            .unwrap()
            .to_bytes();
        let body =
            if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// A request with the token of `role`, and with `body` as JSON unless it is `null`.
    pub(crate) fn request(
        &self,
        role: Role,
        method: &str,
        path: &str,
        body: &Value,
    ) -> Request<Full<Bytes>> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {}", token(role)));
        if body.is_null() {
            return request.body(Full::default()).unwrap();
        }
        request
            .header("content-type", "application/json")
            .body(Full::from(body.to_string()))
            .unwrap()
    }

    pub(crate) async fn as_role(
        &self,
        role: Role,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        self.ask(self.request(role, method, path, &body)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.as_role(Role::Viewer, "GET", path, Value::Null).await
    }

    /// As the admin, who may do all there is.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.as_role(Role::Admin, "POST", path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.as_role(Role::Admin, "PATCH", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.as_role(Role::Admin, "DELETE", path, Value::Null).await
    }

    /// The same with `If-Match`.
    pub(crate) async fn if_match(
        &self,
        method: &str,
        path: &str,
        tag: &str,
        body: Value,
    ) -> Answer {
        let mut request = self.request(Role::Admin, method, path, &body);
        request.headers_mut().insert("if-match", tag.parse().unwrap());
        self.ask(request).await
    }

    /// As the admin, with a reason in its header.
    pub(crate) async fn because(
        &self,
        reason: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        let mut request = self.request(Role::Admin, method, path, &body);
        request.headers_mut().insert("x-sluice-reason", reason.parse().unwrap());
        self.ask(request).await
    }

    /// Makes a sale of 100 units of `standard`.
    pub(crate) async fn sale(&self, id: &str) -> SaleId {
        self.post("/v1/sales", sale_body(id)).await.is(201);
        SaleId::new(id).unwrap()
    }

    /// The audit log from the beginning, as (author, verb, subject, result).
    pub(crate) async fn log(&self) -> Vec<(String, String, String, String)> {
        let page = self.get("/v1/audit?limit=500").await.is(200);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let rows = page["rows"].as_array().unwrap().iter().rev();
        rows.map(|row| {
            (
                text(&row["author"]["name"]),
                text(&row["verb"]),
                text(&row["subject"]),
                text(&row["result"]),
            )
        })
        .collect()
    }
}

/// A bulletin that says when somebody publishes, and lets them wait.
#[derive(Debug)]
struct SlowBulletin {
    inner: Arc<dyn Bulletin>,
    began: mpsc::Sender<()>,
    go_on: Arc<Semaphore>,
}

#[async_trait]
impl Bulletin for SlowBulletin {
    async fn publish(&self, notice: Notice) -> PortResult<()> {
        self.began.send(()).await.unwrap();
        self.go_on.acquire().await.unwrap().forget();
        self.inner.publish(notice).await
    }

    async fn subscribe(&self) -> PortResult<Box<dyn Subscription>> {
        self.inner.subscribe().await
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

fn server_config() -> ServerConfig {
    ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        connections_max: 100,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        header_bytes_max: 16 * 1024,
        drain_timeout: Duration::from_secs(1),
        tls: None,
    }
}

pub(crate) fn sale_body(id: &str) -> Value {
    json!({
        "id": id,
        "title": "A drop",
        "skus": [{ "sku": "standard", "stock": 100, "amount_fen": 9900, "currency": "CNY" }],
    })
}

/// The next notice on the bulletin.
pub(crate) async fn heard(subscription: &mut Box<dyn Subscription>) -> Notice {
    match timeout(PATIENCE, subscription.next()).await.expect("nothing was heard").unwrap() {
        Heard::Notice(notice) => Notice::clone(&notice),
        Heard::Missed => panic!("a notice was lost"),
    }
}

/// Looks again and again until `look` finds something.
pub(crate) async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let search = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, search).await.unwrap_or_else(|_| panic!("{what} did not come"))
}
