//! Real servers, started by `scripts/services run` and gone with it.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const SERVICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");

/// Servers that run as long as this lives.
#[derive(Debug)]
pub(crate) struct Servers {
    child: Child,
    orders: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
    words: HashMap<String, String>,
}

impl Servers {
    /// Starts what is named and waits until it is ready.
    pub(crate) fn start(names: &[&str]) -> Self {
        let mut command = Command::new(SERVICES);
        command.arg("run").args(names).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take();
        let told = BufReader::new(child.stdout.take().unwrap());
        let mut servers = Self { child, orders, told, words: HashMap::new() };
        servers.hear("ready");
        servers
    }

    /// One server of its own.
    pub(crate) fn redis() -> Self {
        Self::start(&["redis"])
    }

    pub(crate) fn url(&self) -> &str {
        self.word("REDIS_URL")
    }

    pub(crate) fn word(&self, name: &str) -> &str {
        &self.words[name]
    }

    /// One fault, or its end: `kill redis`, `pause redis`, `resume redis`, `up redis`.
    pub(crate) fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        self.hear(&format!("done {order}"));
    }

    /// Reads up to this line, and takes in what is told before it.
    fn hear(&mut self, last: &str) {
        loop {
            let mut line = String::new();
            let read = self.told.read_line(&mut line).unwrap();
            let line = line.trim_end();
            assert!(read > 0 && !line.starts_with("failed"), "the servers: {line:?}");
            if line == last {
                return;
            }
            if let Some((name, value)) = line.split_once('=') {
                self.words.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.orders.take());
        self.child.wait().unwrap();
    }
}
