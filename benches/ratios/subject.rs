//! The subject: `sluice run` in a process of its own, on throw-away data.

use std::{
    net::{SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use super::load::{self, Reply};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_sluice");
pub(crate) const SALE: &str = "bench";
const ADMIN_TOKEN: &str = "bench-token-bench-token-bench-token";

/// Takes everybody in and calls nobody.
pub(crate) const STANDING_SALE: &str = r#"
[[sale]]
id = "bench"
skus = [{ sku = "a", stock = 1000000, amount_fen = 100, currency = "CNY" }]
policy = { multiplier = 0, line_cap = 10000000 }
"#;

/// Runs at the ceiling of 2,000 a second as soon as it is resumed.
pub(crate) const CEILING_SALE: &str = r#"
[[sale]]
id = "bench"
skus = [{ sku = "a", stock = 10000000, amount_fen = 100, currency = "CNY" }]
policy = { line_cap = 10000000 }
"#;

/// A place in line.
pub(crate) struct Joined {
    pub(crate) entry: String,
    pub(crate) token: String,
}

pub(crate) struct Subject {
    pub(crate) public: SocketAddr,
    admin: SocketAddr,
    child: Child,
    _data: tempfile::TempDir,
}

impl Subject {
    pub(crate) async fn start(sales: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let (public, admin) = (free_address(), free_address());
        let limit = "{ per_second = 1000000, burst = 1000000 }";
        let config = format!(
            "[embedded]\ndata_dir = {:?}\n[admission]\nlisten = \"{public}\"\n[admin]\nlisten = \"{admin}\"\n\
             tokens = [{{ name = \"bench\", role = \"admin\", token = \"{ADMIN_TOKEN}\" }}]\n\
             [limits]\nper_ip = {limit}\nper_buyer = {limit}\nper_device = {limit}\n{sales}",
            data.path()
        );
        let file = data.path().join("bench.toml");
        std::fs::write(&file, config).unwrap();
        let child = Command::new(BINARY)
            .args(["run", "--config"])
            .arg(&file)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let subject = Self { public, admin, child, _data: data };
        subject.until_ready().await;
        if sales == CEILING_SALE {
            subject.operate("POST", &format!("/v1/sales/{SALE}/pause"), "{}").await;
        }
        subject
    }

    async fn until_ready(&self) {
        loop {
            if tokio::net::TcpStream::connect(self.admin).await.is_ok()
                && load::once(
                    self.admin,
                    format!("GET /ready HTTP/1.1\r\nhost: {}\r\n\r\n", self.admin).as_bytes(),
                )
                .await
                .status
                    == 200
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn operate(&self, method: &str, path: &str, body: &str) -> Reply {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {ADMIN_TOKEN}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.admin,
            body.len()
        );
        let reply = load::once(self.admin, request.as_bytes()).await;
        assert!(reply.status < 300, "{}", String::from_utf8_lossy(&reply.bytes));
        reply
    }

    pub(crate) async fn join(&self) -> Joined {
        let reply = load::once(self.public, &join_request()).await;
        let object: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
        let text =
            |key: &str| object[key].as_str().unwrap_or_else(|| panic!("{object}")).to_owned();
        Joined { entry: text("entry"), token: text("token") }
    }

    /// `sluice_turns_total`, as scraped now.
    pub(crate) async fn turns(&self) -> f64 {
        let reply = self.operate("GET", "/metrics", "").await;
        let text = String::from_utf8(reply.body).unwrap();
        let line = text.lines().find(|line| line.starts_with("sluice_turns_total{")).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn join_request() -> Vec<u8> {
    let body = r#"{"items":[{"sku":"a","quantity":1}]}"#;
    format!(
        "POST /v1/sales/{SALE}/entries HTTP/1.1\r\nhost: sluice\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
