//! An order backend of the shop's own: those of `examples/`, on real stores. One backend forgets its turns, one is killed in
//! the middle, a third one finds everything; and every entry gets exactly one outcome.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use sluice_http::client::Client;
use tempfile::TempDir;

mod examples;

use examples::Example;

use super::{
    distributed::RoleProcess,
    house::{ADMIN_TOKEN, LONG, free_address},
    stores::{SECRETS, Stores},
};

const BACKEND_TOKEN: &str = "a-backend-token-for-tests-only-0123456789";
const BUYERS: usize = 80;
const UNITS: usize = 60;
const FORGOTTEN: usize = 5;

/// A backend's process; killed when dropped.
struct Backend(Child);

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A buyer in line.
struct Buyer {
    name: String,
    entry: String,
    token: String,
    last: Value,
}

struct Shop {
    client: Client,
    door: SocketAddr,
    push: SocketAddr,
    operator: SocketAddr,
    worker: SocketAddr,
    example: Example,
    folder: TempDir,
    _roles: Vec<RoleProcess>,
    stores: Stores,
}

impl Shop {
    async fn open(example: fn() -> Example) -> Self {
        let (stores, example) =
            tokio::task::spawn_blocking(move || (Stores::start(), example())).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let [door, push, work] = std::array::from_fn(|_| free_address());
        let config = folder.path().join("external.toml");
        let text = format!(
            "{}{SECRETS}[admin]\ntokens = [{{ name = \"test\", role = \"admin\", token = \"{ADMIN_TOKEN}\" }}, \
             {{ name = \"shop\", role = \"backend\", token = \"{BACKEND_TOKEN}\" }}]\n\
             [admission]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[identity]\nmode = \"header\"\n\
             [limits]\nper_ip = {{ per_second = 100000, burst = 100000 }}\n\
             [ws_push]\npublic_url = \"http://{push}\"\n\
             [worker]\nmode = \"external\"\nlink_hosts = [\"shop.example.com\"]\n\
             [[sale]]\nid = \"drop\"\nskus = [{{ sku = \"standard\", stock = 1000, amount_fen = 100, currency = \"CNY\" }}]\n\
             policy = {{ fraction = 0.2, tail_per_second = 10, ceiling_per_second = 10, outcome_timeout_seconds = 2 }}\n",
            stores.config()
        );
        fs::write(&config, text).unwrap();
        let start = |name, listen| RoleProcess::start(name, &config, listen);
        let mut roles = vec![
            start("operator", None),
            start("admission", Some(("SLUICE_ADMISSION__LISTEN", door))),
            start("dispatcher", None),
            start("worker", Some(("SLUICE_WORKER__LISTEN", work))),
            start("ws-push", Some(("SLUICE_WS_PUSH__LISTEN", push))),
        ];
        let client = Client::new(Duration::from_secs(20));
        for role in &mut roles {
            role.ready(&client).await;
        }
        let (operator, worker) = (roles[0].admin, roles[3].admin);
        Self { client, door, push, operator, worker, example, folder, _roles: roles, stores }
    }

    async fn send(
        &self,
        method: Method,
        url: String,
        headers: &[(&'static str, &str)],
        body: Option<&Value>,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let answer = self.client.send(request.body(body).unwrap(), 1 << 20).await.unwrap();
        let told = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        (answer.status().as_u16(), told)
    }

    async fn join(&self, name: String) -> Buyer {
        let url = format!("http://{}/v1/sales/drop/entries", self.door);
        let body = json!({ "items": [{ "sku": "standard", "quantity": 1 }] });
        let headers = [("x-sluice-buyer", name.as_str()), ("content-type", "application/json")];
        let (status, told) = self.send(Method::POST, url, &headers, Some(&body)).await;
        assert_eq!(status, 202, "{told}");
        let text = |field: &str| told[field].as_str().unwrap().to_owned();
        Buyer { entry: text("entry"), token: text("token"), last: told, name }
    }

    /// Polls; what a buyer is shown only moves forward.
    async fn poll(&self, buyer: &mut Buyer) {
        let url = format!("http://{}/v1/sales/drop/entries/{}", self.door, buyer.entry);
        let bearer = format!("Bearer {}", buyer.token);
        let (status, told) = self.send(Method::GET, url, &[("authorization", &bearer)], None).await;
        assert_eq!(status, 200, "{told}");
        let (before, after) = (buyer.last["version"].as_u64(), told["version"].as_u64());
        assert!(before <= after, "{} went back from {} to {told}", buyer.name, buyer.last);
        if before == after {
            assert_eq!(buyer.last["state"], told["state"]);
        }
        buyer.last = told;
    }

    async fn poll_until(&self, what: &str, buyers: &mut [Buyer], done: impl Fn(&[Buyer]) -> bool) {
        let began = Instant::now();
        loop {
            for buyer in &mut *buyers {
                self.poll(buyer).await;
            }
            if done(buyers) {
                return;
            }
            let states: Vec<&Value> = buyers.iter().map(|buyer| &buyer.last["state"]).collect();
            assert!(began.elapsed() < LONG, "not in {LONG:?}: {what}; {states:?}");
            // A buyer may ask three times a second.
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    /// The backend of the example; one after the other has the books.
    fn backend(&self, pay_page: SocketAddr) -> Backend {
        let mut command = self.example.backend();
        command
            .args(["--admin", &format!("http://{}", self.operator)])
            .arg("--books")
            .arg(self.folder.path().join("shop.db"))
            .args(["--stock", &format!("drop/standard={UNITS}")])
            .args(["--checkout", "https://shop.example.com/pay"])
            .args(["--pay-listen", &pay_page.to_string()])
            .env("SLUICE_RABBITMQ__URL", &self.stores.rabbitmq)
            .env("SLUICE_TOKEN", BACKEND_TOKEN)
            .stderr(Stdio::null());
        Backend(command.spawn().unwrap())
    }

    /// Takes turns, acknowledges them, and says nothing of them.
    fn forget(&self) -> BTreeSet<String> {
        let output = self
            .example
            .forgetful()
            .args([&self.stores.rabbitmq, &FORGOTTEN.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    async fn report(&self, entry: &str, token: &str, body: Value) -> (u16, Value) {
        let url = format!("http://{}/v1/turns/{entry}/outcome", self.operator);
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.send(Method::POST, url, &headers, Some(&body)).await
    }

    async fn released_again(&self) -> u64 {
        let request = Request::get(format!("http://{}/metrics", self.worker));
        let answer = self.client.send(request.body(Bytes::new()).unwrap(), 1 << 20).await.unwrap();
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        let line = text.lines().find(|line| line.starts_with("sluice_turns_released_again_total"));
        line.and_then(|line| line.rsplit(' ').next()).map_or(0, |count| count.parse().unwrap())
    }

    /// Begins to listen for one buyer; ends with the first `entry` event that tells of an outcome.
    async fn listen(&self, buyer: &Buyer) -> tokio::task::JoinHandle<Value> {
        let url = format!("http://{}/v1/sales/drop/entries/{}/ticket", self.door, buyer.entry);
        let bearer = format!("Bearer {}", buyer.token);
        let (status, told) =
            self.send(Method::POST, url, &[("authorization", &bearer)], None).await;
        assert!((200..300).contains(&status), "{status} {told}");
        let (push, ticket) = (self.push, told["ticket"].as_str().unwrap().to_owned());
        tokio::task::spawn_blocking(move || hear_outcome(push, &ticket))
    }
}

fn hear_outcome(push: SocketAddr, ticket: &str) -> Value {
    let mut stream = TcpStream::connect(push).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let ask = format!("GET /v1/sales/drop/events?ticket={ticket} HTTP/1.1\r\nhost: {push}\r\n\r\n");
    stream.write_all(ask.as_bytes()).unwrap();
    let began = Instant::now();
    let mut lines = BufReader::new(stream.take(1 << 20)).lines();
    while began.elapsed() < LONG {
        let line = lines.next().expect("the stream ended").unwrap();
        let Some(data) = line.strip_prefix("data:") else { continue };
        let frame: Value = serde_json::from_str(data).unwrap();
        if ["reserved", "sold_out", "refused"].iter().any(|state| frame["state"] == *state) {
            return frame;
        }
    }
    panic!("no outcome was pushed in {LONG:?}");
}

fn with_state<'a>(buyers: &'a [Buyer], state: &'a str) -> impl Iterator<Item = &'a Buyer> {
    buyers.iter().filter(move |buyer| buyer.last["state"] == state)
}

fn settled(buyers: &[Buyer]) -> usize {
    with_state(buyers, "reserved").count() + with_state(buyers, "sold_out").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_in_python_may_forget_and_die_and_everybody_gets_one_outcome() {
    may_forget_and_die(&Shop::open(Example::python).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_in_javascript_may_forget_and_die_and_everybody_gets_one_outcome() {
    may_forget_and_die(&Shop::open(Example::node).await).await;
}

async fn may_forget_and_die(shop: &Shop) {
    let mut buyers = Vec::new();
    for n in 0..BUYERS {
        buyers.push(shop.join(format!("buyer-{n}")).await);
    }
    let pushed = shop.listen(&buyers[0]).await;

    let forgotten = shop.forget();
    assert_eq!(forgotten.len(), FORGOTTEN);
    let mut first = shop.backend(free_address());
    shop.poll_until("some are settled", &mut buyers, |buyers| settled(buyers) >= 10).await;
    first.0.kill().unwrap();
    first.0.wait().unwrap();
    let in_the_middle = settled(&buyers);
    assert!(in_the_middle < UNITS, "it was killed too late to show anything");

    let pay_page = free_address();
    let _second = shop.backend(pay_page);
    let all_reserved = |buyers: &[Buyer]| with_state(buyers, "reserved").count() == UNITS;
    shop.poll_until("all goods are taken", &mut buyers, all_reserved).await;
    assert!(
        shop.released_again().await >= FORGOTTEN as u64,
        "what was forgotten is released again"
    );
    for buyer in buyers.iter().filter(|buyer| forgotten.contains(&buyer.entry)) {
        assert_eq!(buyer.last["state"], "reserved", "the first in line lose nothing by it");
    }

    let mut orders = BTreeSet::new();
    for buyer in with_state(&buyers, "reserved") {
        let order = buyer.last["order"].as_str().unwrap();
        assert!(orders.insert(order.to_owned()), "{order} was given twice");
        let link = format!("https://shop.example.com/pay/{order}");
        assert_eq!(buyer.last["links"]["order"], json!(link));
        assert!(buyer.last["pay_by"].is_string());
        let (status, told) =
            shop.send(Method::POST, format!("http://{pay_page}/{order}"), &[], None).await;
        assert_eq!(status, 200, "{told}");
    }
    // The line ends only now: until it was paid, each order might have come back.
    shop.poll_until("everybody has heard", &mut buyers, |buyers| settled(buyers) == BUYERS).await;
    assert_eq!(with_state(&buyers, "reserved").count(), UNITS);
    let push_told = pushed.await.unwrap();
    assert_eq!(push_told["state"], "reserved");
    for field in ["entry", "order", "links"] {
        assert_eq!(push_told[field], buyers[0].last[field], "push and poll tell the same");
    }
    reports_are_checked(shop, &buyers).await;
}

/// What else the shop might say of entries that have their outcome.
async fn reports_are_checked(shop: &Shop, buyers: &[Buyer]) {
    let buyer = with_state(buyers, "reserved").next().unwrap();
    let (entry, order) = (buyer.entry.as_str(), buyer.last["order"].as_str().unwrap());
    let report = async |token, body| shop.report(entry, token, body).await;
    let (status, told) =
        report(BACKEND_TOKEN, json!({ "outcome": "reserved", "order": order })).await;
    assert_eq!(
        (status, &told["outcome"], &told["order"]),
        (200, &json!("reserved"), &json!(order))
    );
    let (status, told) =
        report(BACKEND_TOKEN, json!({ "outcome": "reserved", "order": "another" })).await;
    assert_eq!((status, &told["code"]), (409, &json!("wrong_state")), "the first one stands");
    let (status, told) = report(BACKEND_TOKEN, json!({ "order": order, "state": "paid" })).await;
    assert_eq!(status, 200, "{told}");
    let (status, told) = report(BACKEND_TOKEN, json!({ "order": order, "state": "closed" })).await;
    assert_eq!((status, &told["code"]), (409, &json!("wrong_state")));
    let elsewhere =
        json!({ "outcome": "reserved", "order": order, "url": "https://evil.example/" });
    let (status, told) = report(BACKEND_TOKEN, elsewhere).await;
    assert_eq!((status, &told["field"]), (422, &json!("url")));
    let (status, _) = report(ADMIN_TOKEN, json!({ "outcome": "refused" })).await;
    assert_eq!(status, 403, "only the role `backend` reports");
}
