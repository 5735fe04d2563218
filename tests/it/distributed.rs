//! The roles as processes of their own on real Redis, RabbitMQ and PostgreSQL, which `scripts/services` starts for the
//! test: a crowd over two admissions while dispatchers and workers die, and mistakes at the start.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use sluice_http::client::Client;
use tempfile::TempDir;

use super::{
    house::{ADMIN_TOKEN, BINARY, LONG, free_address},
    stores::{SECRETS, Stores},
};

/// One role, running; killed when dropped.
pub(crate) struct RoleProcess {
    name: &'static str,
    pub(crate) admin: SocketAddr,
    variables: Vec<(&'static str, String)>,
    config: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl RoleProcess {
    pub(crate) fn start(
        name: &'static str,
        config: &Path,
        listen: Option<(&'static str, SocketAddr)>,
    ) -> Self {
        let admin = free_address();
        let mut variables = vec![("SLUICE_ADMIN__LISTEN", admin.to_string())];
        variables.extend(listen.map(|(key, address)| (key, address.to_string())));
        let log = config.with_file_name(format!("{name}-{}.log", admin.port()));
        let config = config.to_owned();
        let mut role = Self { name, admin, variables, config, log, child: None };
        role.run();
        role
    }

    fn run(&mut self) {
        let mut command = Command::new(BINARY);
        command.arg(self.name).arg("--config").arg(&self.config);
        command.envs(self.variables.iter().map(|(key, value)| (*key, value)));
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        self.child = Some(command.stderr(log).spawn().unwrap());
    }

    pub(crate) async fn ready(&mut self, client: &Client) {
        let began = Instant::now();
        loop {
            let request = Request::get(format!("http://{}/ready", self.admin));
            let asked = client.send(request.body(Bytes::new()).unwrap(), 4096).await;
            if asked.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            let ended = self.child.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "{} ended at its start: {ended:?}", self.name);
            assert!(began.elapsed() < LONG, "{} is not ready in {LONG:?}", self.name);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// `kill -9`.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for RoleProcess {
    #[expect(clippy::print_stderr, reason = "what a failed test says")]
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let from = log.lines().count().saturating_sub(20);
            eprintln!("--- {} on {}, its last words:", self.name, self.admin);
            log.lines().skip(from).for_each(|line| eprintln!("{line}"));
        }
    }
}

/// Every role, two of those that matter most.
struct Deployment {
    roles: Vec<RoleProcess>,
    doors: [SocketAddr; 2],
    folder: TempDir,
    _stores: Stores,
}

impl Deployment {
    async fn start() -> Self {
        let stores = tokio::task::spawn_blocking(Stores::start).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let [door, other_door, push, work, other_work] = std::array::from_fn(|_| free_address());
        let config = folder.path().join("distributed.toml");
        let text = format!(
            "{}{SECRETS}[admin]\ntokens = [{{ name = \"test\", role = \"admin\", token = \"{ADMIN_TOKEN}\" }}]\n\
             [admission]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[identity]\nmode = \"header\"\n\
             [ws_push]\npublic_url = \"http://{push}\"\n[worker]\npublic_url = \"http://{work}\"\n\
             [[sale]]\nid = \"drop\"\nskus = [{{ sku = \"a\", stock = 250, amount_fen = 100, currency = \"CNY\" }}]\n\
             policy = {{ fraction = 0.2, tail_per_second = 30, ceiling_per_second = 40 }}\n",
            stores.config()
        );
        fs::write(&config, text).unwrap();
        let start = |name, listen| RoleProcess::start(name, &config, listen);
        let mut roles = vec![
            start("operator", None),
            start("admission", Some(("SLUICE_ADMISSION__LISTEN", door))),
            start("admission", Some(("SLUICE_ADMISSION__LISTEN", other_door))),
            start("dispatcher", None),
            start("dispatcher", None),
            start("worker", Some(("SLUICE_WORKER__LISTEN", work))),
            start("worker", Some(("SLUICE_WORKER__LISTEN", other_work))),
            start("ws-push", Some(("SLUICE_WS_PUSH__LISTEN", push))),
        ];
        let client = Client::new(Duration::from_secs(20));
        for role in &mut roles {
            role.ready(&client).await;
        }
        Self { roles, doors: [door, other_door], folder, _stores: stores }
    }

    /// Sends a crowd through; it judges the promises by itself.
    fn crowd(&self, shoppers: u32) -> (Child, PathBuf) {
        let report = self.folder.path().join("report.json");
        let mut swarm = Command::new(BINARY);
        swarm.arg("swarm").args(["--sale", "drop", "--arrive-over", "4s", "--shoppers"]);
        swarm.arg(shoppers.to_string()).arg("--report").arg(&report);
        for door in self.doors {
            swarm.arg("--target").arg(format!("http://{door}"));
        }
        (swarm.stdout(Stdio::null()).spawn().unwrap(), report)
    }

    fn role(&mut self, name: &str, n: usize) -> &mut RoleProcess {
        self.roles.iter_mut().filter(|role| role.name == name).nth(n).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_over_many_processes_keeps_every_promise_while_they_die() {
    let mut deployment = Deployment::start().await;
    let (mut swarm, report) = deployment.crowd(400);
    // Each of two is killed in turn, so that whoever speaks for the line is among them.
    for n in [0, 1] {
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        for name in ["dispatcher", "worker"] {
            let role = deployment.role(name, n);
            role.kill();
            role.run();
        }
    }
    let ended = tokio::task::spawn_blocking(move || swarm.wait().unwrap()).await.unwrap();
    let report = fs::read(report).unwrap_or_else(|_| panic!("the crowd made no report: {ended}"));
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(ended.code(), Some(0), "{report:#}");
    assert_eq!(report["paid"], 250, "everything was sold: {report:#}");
}

fn sluice(role: &str, config: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sluice.toml");
    fs::write(&file, config).unwrap();
    Command::new(BINARY).arg(role).arg("--config").arg(file).output().unwrap()
}

#[track_caller]
fn says(output: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
}

#[test]
fn mistakes_of_a_deployment_are_named_at_the_start() {
    says(&sluice("dispatcher", ""), 64, &["backend.kind", "sluice run"]);
    says(&sluice("migrate", ""), 64, &["embedded"]);
    let distributed = "[backend]\nkind = \"distributed\"\n";
    says(&sluice("operator", distributed), 64, &["secrets.queue_token_keys"]);
    let deaf = format!("{distributed}{SECRETS}");
    says(&sluice("worker", &deaf), 64, &["worker.listen"]);
    says(&sluice("ws-push", &deaf), 64, &["ws_push.listen"]);
    let bad = format!("{distributed}{SECRETS}[redis]\nurls = [\"http://cache\"]\n");
    says(&sluice("operator", &bad), 64, &["redis.urls"]);
}

#[test]
fn stores_that_are_not_there_end_the_start_with_their_names() {
    let nobody = free_address();
    let config = format!(
        "[backend]\nkind = \"distributed\"\n[process]\nstart_timeout_ms = 500\n{SECRETS}\
         [redis]\nurls = [\"redis://{nobody}\"]\n[rabbitmq]\nurl = \"amqp://guest:s3cret@{nobody}/%2f\"\n\
         [postgres]\nurl = \"postgres://ada:s3cret@{nobody}/sluice\"\n"
    );
    let output = sluice("dispatcher", &config);
    says(&output, 69, &["Redis", &nobody.to_string()]);
    let output = sluice("migrate", &config);
    says(&output, 69, &[&nobody.to_string()]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("s3cret"));
}
