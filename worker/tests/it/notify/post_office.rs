//! A real mail server (aiosmtpd), started by `scripts/services run smtp` and gone with it. All tests share one; whoever stops
//! it for a while takes one of its own.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex, OnceLock},
};

use serde_json::Value;
use sluice_worker::notify::{Channel, Smtp, SmtpSettings};

use super::{prompt, texts};

const SERVICES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/services");

#[derive(Debug)]
pub(super) struct PostOffice {
    child: Child,
    orders: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
    words: HashMap<String, String>,
}

/// One message, as a mail client reads it.
#[derive(Clone, Debug)]
pub(super) struct Mail(Value);

impl Mail {
    /// Every header of this name.
    pub(super) fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.0["headers"].as_array().unwrap().iter();
        let same = |pair: &&Value| pair[0].as_str().unwrap().eq_ignore_ascii_case(name);
        pairs.filter(same).map(|pair| pair[1].as_str().unwrap()).collect()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let all = self.headers(name);
        assert_eq!(all.len(), 1, "{name}: {all:?}");
        all[0]
    }

    pub(super) fn get(&self, key: &str) -> &Value {
        &self.0[key]
    }

    pub(super) fn text(&self) -> &str {
        self.0["text"].as_str().unwrap()
    }

    fn recipients(&self) -> Vec<&str> {
        self.0["to"].as_array().unwrap().iter().map(|to| to.as_str().unwrap()).collect()
    }
}

impl PostOffice {
    /// One of its own.
    pub(super) fn open() -> Self {
        let mut command = Command::new(SERVICES);
        command.args(["run", "smtp"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let orders = child.stdin.take();
        let told = BufReader::new(child.stdout.take().unwrap());
        let mut office = Self { child, orders, told, words: HashMap::new() };
        office.hear("ready");
        office
    }

    /// The one that stays open. It closes with the standard input it holds, which ends with this process.
    pub(super) fn shared() -> &'static Mutex<Self> {
        static SHARED: OnceLock<Mutex<PostOffice>> = OnceLock::new();
        SHARED.get_or_init(|| Mutex::new(Self::open()))
    }

    pub(super) fn word(&self, name: &str) -> &str {
        &self.words[name]
    }

    /// `pause smtp`, `resume smtp`, `kill smtp`.
    pub(super) fn order(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        self.hear(&format!("done {order}"));
    }

    fn hear(&mut self, last: &str) {
        loop {
            let mut line = String::new();
            let read = self.told.read_line(&mut line).unwrap();
            let line = line.trim_end();
            assert!(read > 0 && !line.starts_with("failed"), "the mail server: {line:?}");
            if line == last {
                return;
            }
            if let Some((name, value)) = line.split_once('=') {
                self.words.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// What has arrived for this address.
    pub(super) fn mails_to(&self, address: &str) -> Vec<Mail> {
        let folder = PathBuf::from(self.word("SMTP_MAILS"));
        let mut files: Vec<PathBuf> =
            fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.retain(|file| file.extension().is_some_and(|kind| kind == "json"));
        files.sort();
        let mails = files
            .iter()
            .map(|file| Mail(serde_json::from_slice(&fs::read(file).unwrap()).unwrap()));
        mails.filter(|mail| mail.recipients().contains(&address)).collect()
    }

    /// As a shop with this mail server would have it, in the clear.
    pub(super) fn settings(&self) -> SmtpSettings {
        SmtpSettings {
            url: self.word("SMTP_URL").to_owned(),
            from: "no-reply@shop.example".to_owned(),
            from_name: "小店".to_owned(),
            ..SmtpSettings::default()
        }
    }

    /// With its user, and its certificate trusted.
    pub(super) fn protected(&self, url: &str) -> SmtpSettings {
        SmtpSettings {
            url: url.to_owned(),
            username: "sluice".to_owned(),
            password: "test-only".to_owned(),
            authorities: fs::read(self.word("SMTP_AUTHORITY")).unwrap(),
            ..self.settings()
        }
    }

    pub(super) fn channel(&self) -> Arc<dyn Channel> {
        channel(&self.settings())
    }
}

pub(super) fn channel(settings: &SmtpSettings) -> Arc<dyn Channel> {
    Arc::new(Smtp::new(settings, prompt().timeout, texts()).unwrap())
}

impl Drop for PostOffice {
    fn drop(&mut self) {
        drop(self.orders.take());
        self.child.wait().unwrap();
    }
}
