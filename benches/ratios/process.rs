//! A process of sluice with an admin address of its own; killed when dropped. What it has to complain of is on standard error.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

use super::load::{self, Reply};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_sluice");
const ADMIN_TOKEN: &str = "bench-token-bench-token-bench-token";
/// How long anything that is no measurement may take.
const LONG: Duration = Duration::from_secs(120);

/// See the module.
pub(crate) struct Process {
    /// Its command: `run`, or a role.
    pub(crate) role: &'static str,
    admin: SocketAddr,
    child: Child,
}

impl Process {
    /// Starts it; it is not ready yet.
    pub(crate) fn start(role: &'static str, config: &Path) -> Self {
        let admin = free_address();
        let child = Command::new(BINARY)
            .args([role, "--config"])
            .arg(config)
            .env("SLUICE_ADMIN__LISTEN", admin.to_string())
            .env("SLUICE_LOG__FILTER", "error,lapin=off")
            .spawn()
            .unwrap();
        Self { role, admin, child }
    }

    pub(crate) async fn until_ready(&mut self) {
        let request = format!("GET /ready HTTP/1.1\r\nhost: {}\r\n\r\n", self.admin);
        until(self.role, async || {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "{} ended at its start: {ended:?}", self.role);
            tokio::net::TcpStream::connect(self.admin).await.is_ok()
                && load::once(self.admin, request.as_bytes()).await.status == 200
        })
        .await;
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

    /// The sum of a metric's lines, as scraped now; 0 if there are none.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let reply = self.operate("GET", "/metrics", "").await;
        let text = String::from_utf8(reply.body).unwrap();
        let lines = text.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
        });
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that ended by itself has been asked why before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The part of a configuration that is the same for all: who operates, and that nobody is limited.
pub(crate) fn settings() -> String {
    let limit = "{ per_second = 1000000, burst = 1000000 }";
    format!(
        "[admin]\ntokens = [{{ name = \"bench\", role = \"admin\", token = \"{ADMIN_TOKEN}\" }}]\n\
         [limits]\nper_ip = {limit}\nper_buyer = {limit}\nper_device = {limit}\n"
    )
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Waits for a condition, not for ever.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < LONG, "{what}: still not in {LONG:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
