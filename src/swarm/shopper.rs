//! One shopper: joins, waits by push or poll, [checks out](super::checkout), and writes down what was said.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};
use sluice_core::random::Random;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    client::{Answer, Ask, Client},
    manners::Manner,
    progress::Progress,
    push,
    record::{Ending, Record, Seconds},
};

/// Longest pause between two tries, and the pause when the server names none.
const PAUSE_MAX: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_secs(1);

/// Everything shoppers share.
#[derive(Debug)]
pub(crate) struct Crowd {
    pub(crate) client: Client,
    pub(crate) sale: String,
    pub(crate) items: Value,
    pub(crate) progress: Arc<Progress>,
    pub(crate) random: Random,
    pub(crate) began: Instant,
    pub(crate) called_off: CancellationToken,
}

impl Crowd {
    pub(crate) fn now(&self) -> Seconds {
        self.began.elapsed().as_secs_f64()
    }
}

/// What a shopper is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Habits {
    pub(crate) n: u32,
    pub(crate) pushes: bool,
    /// What it does with an order.
    pub(crate) manner: Manner,
    /// Whether it gives back what it got.
    pub(crate) refunds: bool,
    /// How long it looks for the pay button, at most.
    pub(crate) pay_within: Duration,
}

/// A shopper on the way.
#[derive(Debug)]
pub(crate) struct Shopper {
    pub(crate) crowd: Arc<Crowd>,
    pub(crate) habits: Habits,
    pub(crate) record: Record,
    /// Sent with every request: who it is, as a proxy would say, and cookies.
    pub(super) headers: HeaderMap,
    pub(crate) token: String,
    /// How often it turned to another target because one did not answer.
    turns: AtomicU32,
    /// Where its place is pushed, and where its order is.
    pub(crate) push_link: String,
    pub(super) order_link: Option<String>,
}

/// Runs a shopper's whole visit. Called off, it keeps what it has seen.
pub(crate) async fn visit(crowd: Arc<Crowd>, habits: Habits) -> Record {
    let mut shopper = Shopper {
        headers: identity(habits.n),
        record: Record::of(habits.n),
        token: String::new(),
        turns: AtomicU32::new(0),
        push_link: format!("/v1/sales/{}/push", crowd.sale),
        order_link: None,
        crowd: Arc::clone(&crowd),
        habits,
    };
    Progress::raise(&crowd.progress.arrived);
    let called_off = crowd.called_off.clone();
    tokio::select! {
        () = called_off.cancelled() => {}
        () = shopper.live() => Progress::raise(&crowd.progress.finished),
    }
    shopper.record
}

/// What it wants to read, and what a trusted proxy would add; anybody else ignores that.
fn identity(n: u32) -> HeaderMap {
    let [a, b, c, d] = (n + 1).to_be_bytes();
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    for (name, value) in [
        ("x-forwarded-for", format!("10.{}.{c}.{d}", a ^ b)),
        ("x-sluice-buyer", format!("swarm-{n}")),
        ("x-sluice-device", format!("swarm-device-{n}")),
    ] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
}

impl Shopper {
    async fn live(&mut self) {
        if !self.join().await {
            self.record.ending = Ending::TurnedAway;
            Progress::raise(&self.crowd.progress.turned_away);
            return;
        }
        self.wait().await;
        if self.record.outcome.as_deref() == Some("reserved") {
            self.check_out().await;
        }
        self.record.ending = Ending::Done;
    }

    /// Asks until there is a place; `false` if the sale is over.
    async fn join(&mut self) -> bool {
        let path = format!("/v1/sales/{}/entries", self.crowd.sale);
        loop {
            let sent = self.crowd.now();
            let body = Some(json!({ "items": self.crowd.items }));
            let Ok(answer) = self.ask(Method::POST, &path, body).await else {
                // It may have been recorded all the same.
                self.record.join_first_sent.get_or_insert(sent);
                self.pause(None).await;
                continue;
            };
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                self.record.join_first_sent.get_or_insert(sent);
            }
            self.keep_cookies(&answer);
            if answer.status == StatusCode::ACCEPTED || answer.status == StatusCode::OK {
                self.record.join_sent = Some(sent);
                self.record.join_first_sent.get_or_insert(sent);
                self.record.join_answered = Some(self.crowd.now());
                self.take(&answer.json());
                Progress::raise(&self.crowd.progress.joined);
                return true;
            }
            if answer.status == StatusCode::GONE || !self.refused(&answer) {
                return false;
            }
            self.pause(Some(&answer)).await;
        }
    }

    /// Whether it still waits for an outcome. Whoever stands by goes when everything is sold: what comes back after that, others
    /// wait for.
    pub(crate) fn waits(&self) -> bool {
        let sold_out = || self.crowd.progress.sample().is_some_and(|look| look.state == "sold_out");
        self.record.outcome.is_none() && !(self.record.standby && sold_out())
    }

    /// Waits until there is an outcome.
    async fn wait(&mut self) {
        if self.habits.pushes {
            push::wait(self).await;
        }
        let path = self.entry_path("");
        let mut poll_after = Duration::from_millis(self.crowd.random.below(2_000));
        while self.waits() {
            sleep(poll_after).await;
            let asked = format!("{path}?seen={}", self.record.seen());
            match self.ask(Method::GET, &asked, None).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    let object = answer.json();
                    self.take(&object);
                    poll_after =
                        Duration::from_millis(object["poll_after_ms"].as_u64().unwrap_or(1_000));
                }
                Ok(answer) if answer.status == StatusCode::UNAUTHORIZED => self.renew().await,
                Ok(answer) => {
                    self.refused(&answer);
                    self.pause(Some(&answer)).await;
                }
                Err(_) => self.pause(None).await,
            }
        }
    }

    /// Gets a fresh token for an old one.
    pub(crate) async fn renew(&mut self) {
        let path = self.entry_path("/token");
        match self.ask(Method::POST, &path, None).await {
            Ok(answer) if answer.status == StatusCode::OK => {
                if let Some(token) = answer.json()["token"].as_str() {
                    token.clone_into(&mut self.token);
                }
            }
            Ok(answer) => {
                let code = code_of(&answer);
                self.record
                    .contradict("no-lost-place", format!("the token was not renewed: {code}"));
                self.pause(Some(&answer)).await;
            }
            Err(_) => self.pause(None).await,
        }
    }

    /// Takes in an entry object from any source.
    pub(crate) fn take(&mut self, object: &Value) {
        let (called, outcome) = (self.record.called, self.record.outcome.is_some());
        let now = self.crowd.now();
        self.record.take_entry(object, now);
        if let Some(token) = object["token"].as_str() {
            token.clone_into(&mut self.token);
        }
        if let Some(push) = object["links"]["push"].as_str() {
            push.clone_into(&mut self.push_link);
        }
        if let Some(order) = object["links"]["order"].as_str() {
            self.order_link = Some(order.to_owned());
        }
        let progress = &self.crowd.progress;
        if called.is_none() && self.record.called.is_some() {
            Progress::raise(&progress.called);
        }
        if !outcome && self.record.outcome.as_deref() == Some("reserved") {
            Progress::raise(&progress.reserved);
            let waited = now - self.record.join_answered.unwrap_or(now);
            progress.waited(whole_ms(waited));
        }
    }

    /// Notes a refusal; `false` if it is for good.
    pub(super) fn refused(&mut self, answer: &Answer) -> bool {
        let code = code_of(answer);
        self.record.refused(&code);
        let waits = matches!(answer.status.as_u16(), 408 | 423 | 425 | 429 | 503);
        if !waits {
            let what = format!("{} {code}", answer.status.as_u16());
            self.record.contradict(
                "bounded",
                format!("an answer that is no answer to this request: {what}"),
            );
        }
        waits
    }

    pub(crate) fn entry_path(&self, rest: &str) -> String {
        let entry = self.record.entry.as_deref().unwrap_or_default();
        format!("/v1/sales/{}/entries/{entry}{rest}", self.crowd.sale)
    }

    /// Waits as long as the answer says, or a second, and up to half as long again.
    pub(crate) async fn pause(&self, answer: Option<&Answer>) {
        Progress::raise(&self.crowd.progress.retries);
        let named = answer
            .and_then(|answer| answer.json()["retry_after_ms"].as_u64())
            .map(Duration::from_millis);
        let pause = named.unwrap_or(PAUSE).min(PAUSE_MAX);
        sleep(pause.mul_f64(1.0 + self.crowd.random.unit() / 2.0)).await;
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Answer> {
        let mut headers = self.headers.clone();
        if let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {}", self.token))
            && !self.token.is_empty()
        {
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let turns = self.turns();
        let ask = Ask { method, path, turns, headers: &headers, body };
        let answered = self.crowd.client.ask(self.habits.n, ask).await;
        if answered.is_err() {
            // Whoever is not answered tries another door.
            self.turns.fetch_add(1, Ordering::Relaxed);
        }
        answered
    }

    pub(crate) fn turns(&self) -> u32 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Headers of a push request.
    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn keep_cookies(&mut self, answer: &Answer) {
        let pairs: Vec<&str> = answer
            .headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|cookie| cookie.to_str().ok()?.split(';').next())
            .collect();
        if let Ok(cookies) = HeaderValue::from_str(&pairs.join("; "))
            && !pairs.is_empty()
        {
            self.headers.insert(header::COOKIE, cookies);
        }
    }
}

pub(super) fn code_of(answer: &Answer) -> String {
    answer.json()["code"].as_str().map_or_else(|| answer.status.as_u16().to_string(), str::to_owned)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a wait of less than 49 days"
)]
fn whole_ms(seconds: Seconds) -> u32 {
    (seconds * 1000.0).max(0.0) as u32
}
