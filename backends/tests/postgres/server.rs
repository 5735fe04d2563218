//! A real PostgreSQL, started by `scripts/services` for as long as this process lives: one that all houses share, and one of
//! its own for a test that harms it.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Mutex, OnceLock},
};

use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, postgres::PgConnectOptions};

static SHARED: OnceLock<Server> = OnceLock::new();

/// A running server. It ends when its standard input closes: with this value, or with this process.
pub(crate) struct Server {
    pub(crate) url: String,
    talk: Mutex<Talk>,
}

struct Talk {
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    child: Child,
}

impl Talk {
    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.answers.read_line(&mut line).unwrap();
        assert!(read > 0, "scripts/services ended");
        line.trim_end().to_owned()
    }
}

impl Server {
    /// The one that all houses share.
    pub(crate) async fn shared() -> &'static Self {
        tokio::task::spawn_blocking(|| SHARED.get_or_init(Self::start)).await.unwrap()
    }

    /// One of its own.
    pub(crate) async fn own() -> Self {
        tokio::task::spawn_blocking(Self::start).await.unwrap()
    }

    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
        let mut child = Command::new(script)
            .args(["run", "postgres"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().unwrap());
        let mut talk = Talk { orders, answers, child };
        let mut url = None;
        loop {
            let line = talk.line();
            if let Some(told) = line.strip_prefix("POSTGRES_URL=") {
                url = Some(told.to_owned());
            }
            if line == "ready" {
                break;
            }
        }
        Self { url: url.unwrap(), talk: Mutex::new(talk) }
    }

    /// Does one thing to the server: `pause`, `resume`, `kill`, `up`.
    pub(crate) async fn fault(&self, verb: &str) {
        tokio::task::block_in_place(|| {
            let mut talk = self.talk.lock().unwrap();
            let orders = talk.orders.as_mut().unwrap();
            writeln!(orders, "{verb} postgres").unwrap();
            orders.flush().unwrap();
            loop {
                let line = talk.line();
                assert!(!line.starts_with("failed"), "{line}");
                if line.starts_with("done") {
                    return;
                }
            }
        });
    }

    /// A new, empty database; its URL.
    pub(crate) async fn new_database(&self, name: &str) -> String {
        let mut admin = connect(&self.url).await;
        run(&mut admin, &format!("CREATE DATABASE {name}")).await;
        let (server, _) = self.url.rsplit_once('/').unwrap();
        format!("{server}/{name}")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut talk = self.talk.lock().unwrap();
        drop(talk.orders.take());
        drop(talk.child.wait());
    }
}

/// A connection without any of the ledger's protections, such as an operator's shell.
pub(crate) async fn connect(url: &str) -> PgConnection {
    url.parse::<PgConnectOptions>().unwrap().connect().await.unwrap()
}

/// Runs statements that the test itself wrote.
pub(crate) async fn run(connection: &mut PgConnection, sql: &str) {
    try_run(connection, sql).await.unwrap();
}

pub(crate) async fn try_run(connection: &mut PgConnection, sql: &str) -> sqlx::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.map(drop)
}

/// A whole number that a statement answers.
pub(crate) async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.unwrap()
}
