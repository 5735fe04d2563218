//! Redis, RabbitMQ and PostgreSQL of one's own, which `scripts/services` starts, for the tests and for the benches.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

/// The three stores; they end when this is dropped, or with this process.
pub(crate) struct Stores {
    redis: String,
    pub(crate) rabbitmq: String,
    pub(crate) postgres: String,
    child: Child,
    hold: Option<ChildStdin>,
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
        let lines: Vec<String> = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(|line| line.expect("scripts/services ended"))
            .take_while(|line| line != "ready")
            .collect();
        let told = |name: &str| {
            let line = lines.iter().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_else(|| panic!("{name} is not in {lines:?}")).to_owned()
        };
        Self {
            redis: told("REDIS_URL="),
            rabbitmq: told("RABBITMQ_URL="),
            postgres: told("POSTGRES_URL="),
            child,
            hold,
        }
    }

    pub(crate) fn config(&self) -> String {
        let Self { redis, rabbitmq, postgres, .. } = self;
        format!(
            "[backend]\nkind = \"distributed\"\n[redis]\nurls = [{redis:?}]\n[rabbitmq]\nurl = {rabbitmq:?}\n[postgres]\nurl = {postgres:?}\n"
        )
    }
}

impl Drop for Stores {
    fn drop(&mut self) {
        drop(self.hold.take());
        let _ = self.child.wait();
    }
}

pub(crate) const SECRETS: &str = "[secrets]\nqueue_token_keys = [{ id = \"k1\", secret = \"0123456789abcdef0123456789abcdef\" }]\n\
    payment_webhook = [\"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"]\n";
