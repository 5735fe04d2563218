//! Redis, RabbitMQ and PostgreSQL of one's own, which `scripts/services` starts, for the tests and for the benches.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The three stores; they end when this is dropped, or with this process.
pub(crate) struct Stores {
    pub(crate) redis: String,
    pub(crate) rabbitmq: String,
    pub(crate) postgres: String,
    child: Child,
    hold: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
}

impl Stores {
    pub(crate) fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/services");
        let mut child = Command::new(script)
            .args(["run", "redis", "rabbitmq", "postgres"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let hold = child.stdin.take();
        let mut told = BufReader::new(child.stdout.take().unwrap());
        let lines = lines_until(&mut told, "ready");
        let find = |name: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name} is not in {lines:?}")).to_owned()
        };
        Self {
            redis: find("REDIS_URL="),
            rabbitmq: find("RABBITMQ_URL="),
            postgres: find("POSTGRES_URL="),
            child,
            hold,
            told,
        }
    }

    /// Does something to one of them, such as `kill postgres`, and waits until it is done.
    pub(crate) fn fault(&mut self, what: &str) {
        writeln!(self.hold.as_mut().unwrap(), "{what}").unwrap();
        lines_until(&mut self.told, &format!("done {what}"));
    }

    pub(crate) fn config(&self) -> String {
        let Self { redis, rabbitmq, postgres, .. } = self;
        format!(
            "[backend]\nkind = \"distributed\"\n[redis]\nurls = [{redis:?}]\n[rabbitmq]\nurl = {rabbitmq:?}\n[postgres]\nurl = {postgres:?}\n"
        )
    }
}

/// What `scripts/services` says before it says `last`.
fn lines_until(told: &mut BufReader<ChildStdout>, last: &str) -> Vec<String> {
    let lines = told.lines().map(|line| line.expect("scripts/services talks"));
    let mut ended = false;
    let said: Vec<String> = lines
        .inspect(|line| {
            ended = line == last;
            assert!(!line.starts_with("failed"), "{line}");
        })
        .take_while(|line| line != last)
        .collect();
    assert!(ended, "scripts/services ended before it said {last:?}: {said:?}");
    said
}

impl Drop for Stores {
    fn drop(&mut self) {
        drop(self.hold.take());
        let _ = self.child.wait();
    }
}

/// The secret of [`SECRETS`] that verifies payment callbacks.
#[allow(dead_code, reason = "only a measurement calls back by itself")]
pub(crate) const WEBHOOK: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
pub(crate) const SECRETS: &str = "[secrets]\nqueue_token_keys = [{ id = \"k1\", secret = \"0123456789abcdef0123456789abcdef\" }]\n\
    payment_webhook = [\"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]\n";
