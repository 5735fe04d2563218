//! A broker that `scripts/services` runs for the tests of one binary, and its management page as a way to look inside.

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Mutex,
    time::Duration,
};

/// The name and the password of the broker's administrator, as a header carries them.
const GUEST: &str = "Z3Vlc3Q6Z3Vlc3Q=";

/// A running broker; it ends with this process.
pub(crate) struct Server {
    url: String,
    management: String,
    process: Mutex<String>,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    _child: Child,
}

impl Server {
    pub(crate) fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
        let mut child = Command::new(script)
            .args(["run", "rabbitmq"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let talk = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut server = Self {
            url: String::new(),
            management: String::new(),
            process: Mutex::default(),
            talk: Mutex::new(talk),
            _child: child,
        };
        loop {
            let line = server.line();
            if let Some(url) = line.strip_prefix("RABBITMQ_URL=") {
                url.clone_into(&mut server.url);
            } else if let Some(url) = line.strip_prefix("RABBITMQ_MANAGEMENT_URL=") {
                url.trim_start_matches("http://").clone_into(&mut server.management);
            } else if line == "ready" {
                return server;
            }
        }
    }

    fn line(&self) -> String {
        let mut line = String::new();
        let read = self.talk.lock().unwrap().1.read_line(&mut line).unwrap();
        assert!(read > 0, "scripts/services ended; is RabbitMQ installed?");
        let line = line.trim().to_owned();
        if let Some(process) = line.strip_prefix("RABBITMQ_PID=") {
            process.clone_into(&mut self.process.lock().unwrap());
        }
        line
    }

    /// Does something to the broker: `kill`, `up`, `pause`, `resume`.
    #[allow(dead_code, reason = "not every test binary does harm")]
    pub(crate) fn fault(&self, verb: &str) {
        writeln!(self.talk.lock().unwrap().0, "{verb} rabbitmq").unwrap();
        loop {
            let line = self.line();
            assert!(!line.starts_with("failed"), "{verb}: {line}");
            if line.starts_with("done") {
                return;
            }
        }
    }

    /// Does what an administrator does on the broker's own machine.
    #[allow(dead_code, reason = "not every test binary administrates")]
    pub(crate) fn rabbitmqctl(&self, arguments: &[&str]) {
        let process = self.process.lock().unwrap().clone();
        let environment = std::fs::read_to_string(format!("/proc/{process}/environ")).unwrap();
        let wanted = ["HOME", "ERL_EPMD_PORT", "ERL_EPMD_ADDRESS", "RABBITMQ_"];
        let pairs = environment.split('\0').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.filter(|(key, _)| wanted.iter().any(|wanted| key.starts_with(wanted)));
        let mut control = Command::new("/usr/lib/rabbitmq/bin/rabbitmqctl");
        let done = control.args(arguments).envs(pairs).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {done:?}");
    }

    /// Where a client finds a virtual host.
    pub(crate) fn url(&self, vhost: &str) -> String {
        let (base, _) = self.url.rsplit_once('/').unwrap();
        format!("{base}/{vhost}")
    }

    /// `host:port` of the AMQP listener.
    #[allow(dead_code, reason = "not every test binary needs it")]
    pub(crate) fn address(&self) -> String {
        let (_, rest) = self.url.split_once('@').unwrap();
        rest.split('/').next().unwrap().to_owned()
    }

    pub(crate) fn make_vhost(&self, vhost: &str) {
        self.ask("PUT", &format!("/api/vhosts/{vhost}"), "{}");
        let all = r#"{"configure":".*","write":".*","read":".*"}"#;
        self.ask("PUT", &format!("/api/permissions/{vhost}/guest"), all);
    }

    pub(crate) fn remove_vhost(&self, vhost: &str) {
        self.ask("DELETE", &format!("/api/vhosts/{vhost}"), "");
    }

    /// Asks the management page, which must say yes.
    pub(crate) fn ask(&self, method: &str, path: &str, body: &str) -> String {
        let mut connection = TcpStream::connect(&self.management).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut request = String::new();
        write!(request, "{method} {path} HTTP/1.0\r\nAuthorization: Basic {GUEST}\r\n").unwrap();
        write!(request, "Content-Type: application/json\r\n").unwrap();
        write!(request, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 20"), "{method} {path}: {answer}");
        body.to_owned()
    }
}
