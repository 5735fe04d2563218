//! What is pushed by a running house fits the payloads of `docs/api/asyncapi.yaml`, field for field: every frame that is
//! heard on the way, over a WebSocket and as Server-Sent Events. (That the examples there fit is asked by `scripts/documents`.)

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

use super::{
    documents::Documents,
    house::{House, LONG, bearer, text},
};

/// Asserts that a frame is one that the document has, and has no field that it does not name.
#[track_caller]
fn fits(documents: &Documents, frame: &Value) {
    let kind = text(&frame["type"]);
    if kind == "entry" {
        let mut entry = frame.clone();
        entry.as_object_mut().unwrap().remove("type");
        documents.is_valid("/components/schemas/Entry", &entry);
    } else {
        documents.is_valid(&format!("/components/messages/{kind}/payload"), frame);
    }
}

/// A buyer who listens, and finds each frame in the document.
struct Ear {
    documents: Documents,
    socket: WebSocketStream<TcpStream>,
    frames: usize,
}

impl Ear {
    async fn open(house: &House, object: &Value) -> Self {
        let address = format!("ws://{}{}", house.public, text(&object["links"]["push"]));
        let mut request = address.into_client_request().unwrap();
        let offer = format!("sluice.v1, bearer.{}", text(&object["token"]));
        request.headers_mut().insert("sec-websocket-protocol", offer.parse().unwrap());
        let stream = TcpStream::connect(house.public).await.unwrap();
        let (socket, _) = client_async(request, stream).await.unwrap();
        Self { documents: Documents::asyncapi(), socket, frames: 0 }
    }

    /// Listens until such a frame comes.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let listening = async {
            while let Some(message) = self.socket.next().await {
                let Message::Text(frame) = message.unwrap() else { continue };
                let frame: Value = serde_json::from_str(frame.as_str()).unwrap();
                fits(&self.documents, &frame);
                self.frames += 1;
                if wanted(&frame) {
                    return frame;
                }
            }
            panic!("{what} did not come: the stream ended after {} frames", self.frames);
        };
        timeout(LONG, listening).await.unwrap_or_else(|_| panic!("{what} did not come"))
    }

    async fn entry(&mut self, state: &str) -> Value {
        self.until(state, |frame| frame["type"] == "entry" && frame["state"] == state).await
    }

    async fn line(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        self.until(what, |frame| frame["type"] == "line" && wanted(frame)).await
    }
}

/// A schema that lets everything pass would let these pass as well.
#[test]
fn the_payloads_refuse_what_is_wrong() {
    let documents = Documents::asyncapi();
    for (kind, wrong) in [
        ("line", [("serving", json!(-1)), ("state", json!("lost")), ("unheard_of", json!(1))]),
        ("line", [("at", json!("soon")), ("notice", json!({})), ("policy_version", Value::Null)]),
        ("bye", [("reconnect_after_ms", json!(0.5)), ("type", json!("line")), ("why", json!(1))]),
    ] {
        let payload = documents.schema(&format!("/components/messages/{kind}/payload"));
        let good = documents.example(kind);
        assert!(payload.is_valid(&good), "{good:#}");
        for (field, value) in wrong {
            let mut bad = good.clone();
            bad[field] = value;
            assert!(!payload.is_valid(&bad), "{bad:#}");
        }
    }
}

#[tokio::test]
async fn what_a_line_and_its_entries_push_is_in_the_document() {
    let house = House::start("").await;
    house.sale("drop", 1, json!({ "multiplier": 0, "tail_per_second": 50 })).await;
    let (ada, eve) = (house.join("drop").await, house.join("drop").await);
    let (mut first, mut second) = (Ear::open(&house, &ada).await, Ear::open(&house, &eve).await);
    first.entry("waiting").await;
    assert_eq!(second.entry("waiting").await["position"], 2);
    first.line("a line", |_| true).await;

    let notice = json!({ "text": { "en": "Back soon", "zh": "马上回来" } });
    house.operate("POST", "/v1/sales/drop/notice", Some(notice)).await;
    first.line("a notice", |line| line["notice"]["zh"] == "马上回来").await;
    house.operate("POST", "/v1/sales/drop/pause", None).await;
    first.line("the pause", |line| line["state"] == "paused").await;
    house.operate("POST", "/v1/sales/drop/resume", None).await;
    house.operate("PATCH", "/v1/sales/drop/policy", Some(json!({ "multiplier": 1 }))).await;

    let reserved = first.entry("reserved").await;
    assert!(reserved["order"].is_string() && reserved["pay_by"].is_string(), "{reserved}");
    let mut object = reserved.clone();
    object["token"] = ada["token"].clone();
    house.pay(&object).await;
    second.entry("sold_out").await;
    // Who comes back hears what was missed.
    Ear::open(&house, &ada).await.entry("reserved").await;
}

#[tokio::test]
async fn what_those_hear_who_stand_by_leave_or_lose_their_node_is_in_the_document() {
    let house = House::start("").await;
    house.sale("short", 9, json!({ "multiplier": 0, "line_cap": 1 })).await;
    let (ada, eve) = (house.join("short").await, house.join("short").await);
    let (mut first, mut second) = (Ear::open(&house, &ada).await, Ear::open(&house, &eve).await);
    assert_eq!(second.entry("standby").await["seq"], Value::Null);
    first.entry("waiting").await;
    let left = house
        .ask("DELETE", text(&ada["links"]["self"]), &[("authorization", &bearer(&ada))], None)
        .await;
    assert_eq!(left.status, 204);
    first.entry("left").await;

    let mut house = house;
    let ended = tokio::task::spawn_blocking(move || house.terminate());
    second.until("a farewell", |frame| frame["type"] == "bye").await;
    assert_eq!(ended.await.unwrap(), Some(0));
}

#[tokio::test]
async fn server_sent_events_are_the_same_frames() {
    let documents = Documents::asyncapi();
    let house = House::start("").await;
    house.sale("drop", 9, json!({ "multiplier": 0 })).await;
    let ada = house.join("drop").await;
    let path = format!("{}/ticket", text(&ada["links"]["self"]));
    let ticket = house.ask("POST", &path, &[("authorization", &bearer(&ada))], None).await;
    let ticket = text(&ticket.body["ticket"]).to_owned();
    let mut stream = TcpStream::connect(house.public).await.unwrap();
    // The older protocol, so that lines come without the frames of chunks.
    let request = format!(
        "GET /v1/sales/drop/events?ticket={ticket} HTTP/1.0\r\nhost: {}\r\n\r\n",
        house.public
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    let (mut event, mut heard) = (String::new(), Vec::new());
    while !["entry", "line"].iter().all(|kind| heard.iter().any(|one| one == kind)) {
        let line = timeout(LONG, lines.next_line()).await.expect("a line").unwrap().unwrap();
        if let Some(name) = line.strip_prefix("event:") {
            name.trim().clone_into(&mut event);
        } else if let Some(data) = line.strip_prefix("data:") {
            let frame: Value = serde_json::from_str(data).unwrap();
            assert_eq!(frame["type"], event, "{frame}");
            fits(&documents, &frame);
            heard.push(event.clone());
        }
    }
}
