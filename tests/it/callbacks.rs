//! The money while the ledger is away, over processes on real stores: a payment callback that PostgreSQL could not store is
//! kept by RabbitMQ, and pays its order once PostgreSQL is back, though the provider never repeats it.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request};
use serde_json::{Value, json};
use sluice_core::{
    clock::{Clock, UnixMillis},
    webhook,
};
use sluice_http::client::Client;

use super::{
    distributed::RoleProcess,
    house::{ADMIN_TOKEN, LONG, free_address, text},
    stores::{SECRETS, Stores},
};

/// Signs as the provider does; also in [`SECRETS`].
const WEBHOOK: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

/// A buyer, and a provider that says everything once.
struct World {
    client: Client,
    door: SocketAddr,
    worker: SocketAddr,
    worker_admin: SocketAddr,
}

impl World {
    async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> (u16, Value) {
        let mut request = Request::builder().method(method).uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.client.send(request.body(body).unwrap(), 1 << 20).await.unwrap();
        let told = serde_json::from_slice(answer.body()).unwrap_or(Value::Null);
        (answer.status().as_u16(), told)
    }

    async fn get_until(&self, url: &str, token: &str, state: &str) -> Value {
        let (began, bearer) = (Instant::now(), format!("Bearer {token}"));
        loop {
            let headers = [("authorization", bearer.as_str())];
            let (status, told) = self.ask(Method::GET, url, &headers, Bytes::new()).await;
            if status == 200 && told["state"] == state {
                return told;
            }
            assert!(began.elapsed() < LONG, "not {state} in {LONG:?}: {status} {told}");
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    }

    async fn call_back(&self, word: &Value) -> (u16, Value) {
        let body = Bytes::from(word.to_string());
        let now: UnixMillis = sluice_backends::clock::SystemClock.now();
        let signed = webhook::Secrets::new(&[WEBHOOK]).unwrap().sign("msg_1", now, &body);
        let headers = [
            ("content-type", "application/json"),
            (webhook::ID_HEADER, signed.id.as_str()),
            (webhook::TIMESTAMP_HEADER, signed.timestamp.as_str()),
            (webhook::SIGNATURE_HEADER, signed.signature.as_str()),
        ];
        let url = format!("http://{}/v1/payments/simulated/callback", self.worker);
        self.ask(Method::POST, &url, &headers, body).await
    }

    /// How many callbacks came to this result.
    async fn counted(&self, result: &str) -> u64 {
        let request = Request::get(format!("http://{}/metrics", self.worker_admin));
        let answer = self.client.send(request.body(Bytes::new()).unwrap(), 1 << 20).await.unwrap();
        let page = String::from_utf8_lossy(answer.body()).into_owned();
        let line = format!("sluice_payment_callbacks_total{{result=\"{result}\"}} ");
        let found = page.lines().find_map(|one| one.strip_prefix(&line));
        found.unwrap_or_else(|| panic!("{line} is not on the page")).parse().unwrap()
    }
}

fn config(stores: &Stores, work: SocketAddr) -> String {
    format!(
        "{}{SECRETS}[admin]\ntokens = [{{ name = \"test\", role = \"admin\", token = \"{ADMIN_TOKEN}\" }}]\n\
         [admission]\ntrusted_proxies = [\"127.0.0.0/8\"]\n[identity]\nmode = \"header\"\n\
         [worker]\npublic_url = \"http://{work}\"\n\
         [[sale]]\nid = \"drop\"\nskus = [{{ sku = \"a\", stock = 5, amount_fen = 100, currency = \"CNY\" }}]\n\
         policy = {{ tail_per_second = 20 }}\n",
        stores.config()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_callback_that_postgresql_could_not_store_pays_its_order_all_the_same() {
    let mut stores = tokio::task::spawn_blocking(Stores::start).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let [door, worker] = std::array::from_fn(|_| free_address());
    let file = folder.path().join("callbacks.toml");
    fs::write(&file, config(&stores, worker)).unwrap();
    let start = |name, listen| RoleProcess::start(name, &file, listen);
    let mut roles = vec![
        start("operator", None),
        start("admission", Some(("SLUICE_ADMISSION__LISTEN", door))),
        start("dispatcher", None),
        start("worker", Some(("SLUICE_WORKER__LISTEN", worker))),
    ];
    let client = Client::new(Duration::from_secs(20));
    for role in &mut roles {
        role.ready(&client).await;
    }
    let world = World { client, door, worker, worker_admin: roles[3].admin };

    let url = format!("http://{}/v1/sales/drop/entries", world.door);
    let wish = Bytes::from(json!({ "items": [{ "sku": "a", "quantity": 1 }] }).to_string());
    let headers = [("x-sluice-buyer", "ada"), ("content-type", "application/json")];
    let (status, joined) = world.ask(Method::POST, &url, &headers, wish).await;
    assert_eq!(status, 202, "{joined}");
    let token = text(&joined["token"]);
    let entry = format!("{url}/{}", text(&joined["entry"]));
    let order = world.get_until(&entry, token, "reserved").await["order"].clone();
    let order_url = format!("http://{worker}/v1/orders/{}", text(&order));
    let bearer = format!("Bearer {token}");
    let payment_url = format!("{order_url}/payment");
    let headers = [("authorization", bearer.as_str())];
    let (status, payment) = world.ask(Method::POST, &payment_url, &headers, Bytes::new()).await;
    assert_eq!(status, 201, "{payment}");

    stores.fault("kill postgres");
    let word = json!({ "payment": payment["payment"], "order": order, "version": 1, "status": "succeeded",
        "amount_fen": 100, "currency": "CNY", "occurred_at": "2026-11-11T12:00:00Z" });
    let (status, told) = world.call_back(&word).await;
    assert_eq!((status, &told["code"]), (503, &json!("unavailable")), "{told}");
    assert!(text(&told["detail"]).contains("kept"), "{told}");
    assert_eq!((world.counted("kept").await, world.counted("applied").await), (1, 0));

    stores.fault("up postgres");
    world.get_until(&order_url, token, "fulfilled").await;
    let began = Instant::now();
    while world.counted("applied").await == 0 {
        assert!(began.elapsed() < LONG, "it was not applied from the inbox");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.counted("buried").await, 0);
    drop(roles);
}
