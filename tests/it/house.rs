//! A `sluice run` of its own for a test: throw-away data, free ports, killed when dropped.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU16, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use serde_json::{Value, json};
use sluice_http::client::Client;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_sluice");
pub(crate) const ADMIN_TOKEN: &str = "an-admin-token-for-tests-only-0123456789";
/// How long anything may take before a test gives up on it.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A running house.
pub(crate) struct House {
    pub(crate) public: SocketAddr,
    pub(crate) admin: SocketAddr,
    data: TempDir,
    child: Option<Child>,
    client: Client,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    /// Asserts a problem of the contract.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status.as_u16(), self.body["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.body
        );
        assert_eq!(self.body["type"], json!(format!("urn:sluice:problem:{code}")));
        assert_eq!(self.headers["content-type"], "application/problem+json");
    }
}

impl House {
    /// Starts with `extra` appended to the configuration.
    pub(crate) async fn start(extra: &str) -> Self {
        Self::start_with(extra, "").await
    }

    /// Starts with more admin tokens, as the configuration writes them.
    pub(crate) async fn start_with_tokens(tokens: &str) -> Self {
        Self::start_with("", tokens).await
    }

    async fn start_with(extra: &str, tokens: &str) -> Self {
        let mut house = Self {
            public: free_address(),
            admin: free_address(),
            data: tempfile::tempdir().unwrap(),
            child: None,
            client: Client::new(Duration::from_secs(20)),
        };
        let config = format!(
            "{extra}\n[embedded]\ndata_dir = {:?}\n[admission]\nlisten = \"{}\"\n{}\n[admin]\nlisten = \"{}\"\n\
             tokens = [{{ name = \"test\", role = \"admin\", token = \"{ADMIN_TOKEN}\" }}, {tokens}]\n",
            house.data.path(),
            house.public,
            if extra.contains("#trusted") { "trusted_proxies = [\"127.0.0.1/32\"]" } else { "" },
            house.admin,
        );
        fs::write(house.config(), config).unwrap();
        house.run().await;
        house
    }

    pub(crate) fn config(&self) -> std::path::PathBuf {
        self.data.path().join("sluice.toml")
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn run(&mut self) {
        let child = Command::new(BINARY)
            .args(["run", "--config"])
            .arg(self.config())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let began = Instant::now();
        while began.elapsed() < LONG {
            let ready =
                Request::get(format!("http://{}/ready", self.admin)).body(Bytes::new()).unwrap();
            if self.client.send(ready, 4096).await.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not ready in {LONG:?}");
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// SIGTERM, and the exit code.
    pub(crate) fn terminate(&mut self) -> Option<i32> {
        let mut child = self.child.take().unwrap();
        assert!(Command::new("kill").arg(child.id().to_string()).status().unwrap().success());
        child.wait().unwrap().code()
    }

    /// Asks; `None` when nothing answers.
    pub(crate) async fn try_ask(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Option<Answer> {
        let url = if url.starts_with('/') {
            format!("http://{}{url}", self.public)
        } else {
            url.to_owned()
        };
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Bytes::from(body.unwrap_or_default())).unwrap();
        let answer = self.client.send(request, 1 << 20).await.ok()?;
        let (head, body) = answer.into_parts();
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Some(Answer { status: head.status, headers: head.headers, body })
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        self.try_ask(method, url, headers, body.map(|body| body.to_string()))
            .await
            .expect("an answer")
    }

    /// Asks the operator API, as an admin.
    pub(crate) async fn operate(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {ADMIN_TOKEN}");
        self.ask(
            method,
            &format!("http://{}{path}", self.admin),
            &[("authorization", &bearer)],
            body,
        )
        .await
    }

    /// Makes a sale of one SKU, `standard`.
    pub(crate) async fn sale(&self, id: &str, stock: u64, policy: Value) {
        let sku =
            json!({ "sku": "standard", "stock": stock, "amount_fen": 9900, "currency": "CNY" });
        let answer = self
            .operate(
                "POST",
                "/v1/sales",
                Some(json!({ "id": id, "skus": [sku], "policy": policy })),
            )
            .await;
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// Joins as a new buyer and returns the entry object.
    pub(crate) async fn join(&self, sale: &str) -> Value {
        let answer = self.ask("POST", &format!("/v1/sales/{sale}/entries"), &[], Some(one())).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.body
    }

    /// Polls an entry.
    pub(crate) async fn poll(&self, object: &Value) -> Answer {
        self.ask("GET", text(&object["links"]["self"]), &[("authorization", &bearer(object))], None)
            .await
    }

    /// Polls until the entry has a state that fits.
    pub(crate) async fn until(&self, object: &Value, fits: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.poll(object).await;
            if answer.status == 200 && fits(&answer.body) {
                return answer.body;
            }
            assert!(began.elapsed() < LONG, "still {}", answer.body);
            tokio::time::sleep(Duration::from_millis(350)).await;
        }
    }

    /// Pays the order of a reserved entry and waits until it is fulfilled.
    pub(crate) async fn pay(&self, object: &Value) -> Value {
        let order = text(&object["links"]["order"]).to_owned();
        let bearer = bearer(object);
        let payment = self
            .ask("POST", &format!("{order}/payment"), &[("authorization", &bearer)], None)
            .await;
        // 200: the test has begun it before.
        assert!(matches!(payment.status.as_u16(), 200 | 201), "{}", payment.body);
        let paid = self
            .ask("POST", text(&payment.body["pay_url"]), &[], Some(json!({ "result": "succeed" })))
            .await;
        assert_eq!(paid.status, 200, "{}", paid.body);
        let began = Instant::now();
        loop {
            let seen = self.ask("GET", &order, &[("authorization", &bearer)], None).await;
            if seen.body["state"] == "fulfilled" {
                return seen.body;
            }
            assert!(began.elapsed() < LONG, "still {}", seen.body);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.kill();
    }
}

/// One of the only SKU.
pub(crate) fn one() -> Value {
    json!({ "items": [{ "sku": "standard", "quantity": 1 }] })
}

pub(crate) fn bearer(object: &Value) -> String {
    format!("Bearer {}", text(&object["token"]))
}

#[track_caller]
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

/// An address that nobody else is given: outside of the range the system picks from for connections and for port 0, so
/// that it is still free when the process it is meant for gets round to binding it.
pub(crate) fn free_address() -> SocketAddr {
    const FIRST: u16 = 10_000;
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    // Two runs on one machine begin at different places.
    let start = std::process::id().wrapping_mul(64);
    loop {
        let n = start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed).into()) % 10_000;
        let address = SocketAddr::from(([127, 0, 0, 1], FIRST + u16::try_from(n).unwrap()));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}
