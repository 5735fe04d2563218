//! A buyer in the simulator: real HTTP over an in-memory connection to whichever life of the process there is.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::{client::conn::http1 as client, server::conn::http1 as server, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use sluice_core::random::Random;
use sluice_http::Router;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use super::history::{History, Story};

/// The way in: whatever process lives now, or nobody.
#[derive(Debug, Default)]
pub(crate) struct Door(Mutex<Option<Arc<Router>>>);

impl Door {
    pub(crate) fn open(&self, router: Arc<Router>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(router);
    }

    pub(crate) fn shut(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// One request on a connection of its own. `None` when nobody answers: down, died meanwhile, or too slow.
    pub(crate) async fn ask(&self, n: u32, request: Request<Full<Bytes>>) -> Option<(u16, Value)> {
        let router = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let [_, b, c, d] = n.to_be_bytes();
        let peer = SocketAddr::from(([10, b, c, d], 1));
        let (near, far) = tokio::io::duplex(64 * 1024);
        let mut ends = JoinSet::new();
        ends.spawn(async move {
            let answer = service_fn(move |request| {
                let router = Arc::clone(&router);
                async move { Ok::<_, std::convert::Infallible>(router.handle(request, peer).await) }
            });
            let mut http = server::Builder::new();
            let _ = http.timer(TokioTimer::new()).serve_connection(TokioIo::new(far), answer).await;
        });
        let (mut sender, connection) = client::handshake(TokioIo::new(near)).await.ok()?;
        ends.spawn(async move {
            let _ = connection.await;
        });
        let answer = timeout(Duration::from_secs(30), async {
            let answer = sender.send_request(request).await.ok()?;
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.ok()?.to_bytes();
            Some((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
        });
        answer.await.ok()?
    }
}

/// What a buyer does, drawn from the seed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Habit {
    Pays,
    /// Lets the order lapse.
    Dawdles,
    /// Gives the place up while waiting.
    Leaves,
    /// Cancels the order.
    Cancels,
    /// Asks for a place several times, at once and later.
    Repeats,
}

pub(crate) struct Buyer {
    pub(crate) n: u32,
    pub(crate) habit: Habit,
    pub(crate) door: Arc<Door>,
    pub(crate) history: Arc<History>,
    pub(crate) random: Arc<Random>,
    pub(crate) story: Story,
    /// The story so far, for the case that it never ends.
    pub(crate) diary: Arc<Mutex<Story>>,
    pub(crate) token: String,
}

impl Buyer {
    /// The whole visit. Ends when there is an outcome and everything after it is done.
    pub(crate) async fn visit(mut self) {
        self.live().await;
        self.story.done = true;
        self.note();
    }

    fn note(&self) {
        *self.diary.lock().unwrap_or_else(PoisonError::into_inner) = self.story.clone();
    }

    async fn live(&mut self) {
        if !self.join().await {
            return;
        }
        if self.habit == Habit::Repeats {
            self.join().await;
        }
        let leaves_after = 1 + self.random.below(4);
        let mut polls = 0;
        while self.story.outcome.is_none() {
            sleep(Duration::from_millis(400 + self.random.below(1_200))).await;
            polls += 1;
            if self.habit == Habit::Leaves && polls == leaves_after {
                self.leave().await;
            }
            self.poll().await;
        }
        if self.story.outcome.as_deref() == Some("reserved") {
            match self.habit {
                Habit::Pays | Habit::Repeats => self.pay().await,
                Habit::Cancels => self.leave().await,
                Habit::Dawdles | Habit::Leaves => {}
            }
        }
    }

    async fn join(&mut self) -> bool {
        // An attempt that got no answer may have been recorded: the first one counts.
        let sent = self.history.now();
        loop {
            let body = json!({ "items": [{ "sku": "standard", "quantity": 1 }] });
            match self.send("POST", "/v1/sales/sim/entries", Some(body)).await {
                Some((200 | 202, object)) => {
                    if self.story.join_answered.is_none() {
                        self.story.join_sent = sent;
                        self.story.join_answered = Some(self.history.now());
                    }
                    // A join does not say what was seen before: its position may be an older one.
                    self.story.hear(&object, self.story.entry.is_empty());
                    self.take_token(&object);
                    self.note();
                    return true;
                }
                Some((410, _)) => return false,
                Some((status, body)) if !matches!(status, 429 | 503 | 425 | 408) => {
                    self.story.contradictions.push(format!("a join was answered {status} {body}"));
                    return false;
                }
                Some(_) | None => self.rest().await,
            }
        }
    }

    async fn poll(&mut self) {
        let path = format!("/v1/sales/sim/entries/{}", self.story.entry);
        match self.send("GET", &path, None).await {
            Some((200, object)) => self.take(&object),
            Some((401, _)) => {
                if let Some((200, renewed)) =
                    self.send("POST", &format!("{path}/token"), None).await
                {
                    self.take_token(&renewed);
                }
            }
            Some((status, body)) if !matches!(status, 429 | 503 | 408) => {
                self.story.contradictions.push(format!("a poll was answered {status} {body}"));
            }
            Some(_) | None => {}
        }
    }

    async fn leave(&mut self) {
        let path = format!("/v1/sales/sim/entries/{}", self.story.entry);
        for _ in 0..50 {
            match self.send("DELETE", &path, None).await {
                Some((204 | 409, _)) => return,
                Some(_) | None => self.rest().await,
            }
        }
    }

    async fn pay(&mut self) {
        let Some(order) = self.story.order.clone() else {
            self.story.contradictions.push("reserved without an order".to_owned());
            return;
        };
        let order = format!("/v1/orders/{order}");
        let Some(payment) = self.until(&format!("{order}/payment"), "POST", None).await else {
            return;
        };
        let pay_url = payment["pay_url"].as_str().unwrap_or_default().to_owned();
        if self.until(&pay_url, "POST", Some(json!({ "result": "succeed" }))).await.is_none() {
            return;
        }
        self.story.paid = true;
        for _ in 0..2_000 {
            if let Some(seen) = self.until(&order, "GET", None).await {
                let state = seen["state"].as_str().unwrap_or_default().to_owned();
                self.story.order_state = Some(state.clone());
                if matches!(state.as_str(), "fulfilled" | "closed" | "refunded") {
                    return;
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Repeats until success (its body) or a conflict (`None`): then another repeat had already done it, or it is over.
    async fn until(&mut self, path: &str, method: &str, body: Option<Value>) -> Option<Value> {
        for _ in 0..500 {
            match self.send(method, path, body.clone()).await {
                Some((200 | 201, object)) => return Some(object),
                Some((409, _)) => {
                    return if path.starts_with("/provider/") { Some(Value::Null) } else { None };
                }
                Some((401, _)) => self.poll().await,
                Some(_) | None => self.rest().await,
            }
        }
        None
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Option<(u16, Value)> {
        let path = match (method, path.contains("/entries/")) {
            ("GET", true) => format!("{path}?seen={}", self.story.serving),
            _ => path.to_owned(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "sim")
            .header("content-type", "application/json")
            .header("x-sluice-buyer", format!("buyer-{}", self.n));
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        self.door.ask(self.n, request.body(Full::new(body)).unwrap()).await
    }

    fn take(&mut self, object: &Value) {
        self.story.hear(object, true);
        self.take_token(object);
        self.note();
    }

    fn take_token(&mut self, object: &Value) {
        if let Some(token) = object["token"].as_str() {
            token.clone_into(&mut self.token);
        }
    }

    async fn rest(&self) {
        sleep(Duration::from_millis(200 + self.random.below(800))).await;
    }
}
