//! The statistics stream, and changes whose client goes away.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use sluice_core::ports::Notice;
use sluice_operator::{Limits, Role};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::house::{House, PATIENCE, heard, token, until};

/// Reads a stream event by event: its name and its data.
struct Events {
    body: Incoming,
    text: String,
}

impl Events {
    async fn open(house: &House) -> Self {
        let request =
            house.request(Role::Viewer, "GET", "/v1/sales/drop/stats/stream", &Value::Null);
        let response = house.send(request).await;
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        Self { body: response.into_body(), text: String::new() }
    }

    /// `None` at the end of the stream.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                let line = |key: &str| {
                    event.lines().find_map(|line| line.strip_prefix(key)).unwrap().to_owned()
                };
                return Some((line("event: "), serde_json::from_str(&line("data: ")).unwrap()));
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("nothing more came")?;
            self.text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_tells_what_changes_and_ends_with_the_sale() {
    let house = House::open().await;
    house.sale("drop").await;
    let mut events = Events::open(&house).await;
    let (name, first) = events.next().await.unwrap();
    assert_eq!((name.as_str(), &first["state"]), ("stats", &Value::from("open")));
    house.post("/v1/sales/drop/pause", Value::Null).await.is(200);
    loop {
        let (name, stats) = events.next().await.unwrap();
        assert_eq!(name, "stats");
        if stats["state"] == "paused" {
            break;
        }
    }
    house.delete("/v1/sales/drop").await.is(204);
    loop {
        let (name, _) = events.next().await.unwrap();
        if name == "gone" {
            break;
        }
    }
    assert_eq!(events.next().await, None);
    let request = house.request(Role::Viewer, "GET", "/v1/sales/drop/stats/stream", &Value::Null);
    house.ask(request).await.refuses(404, "no_such_sale");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_only_so_many_streams_and_one_that_ends_makes_room() {
    let house =
        House::open_with(Limits { streams_max: 1, ..Limits::default() }, |ports| ports).await;
    house.sale("drop").await;
    let mut first = Events::open(&house).await;
    first.next().await.unwrap();
    let again = || house.request(Role::Viewer, "GET", "/v1/sales/drop/stats/stream", &Value::Null);
    let answer = house.ask(again()).await;
    assert!(answer.headers.contains_key("retry-after"));
    answer.refuses(503, "too_many_streams");
    drop(first);
    until("room for another stream", async || {
        (house.send(again()).await.status() == 200).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_says_farewell_and_ends() {
    let house = House::open().await;
    house.sale("drop").await;
    let mut events = Events::open(&house).await;
    events.next().await.unwrap();
    let (operator, shutdown) = (house.operator.clone(), CancellationToken::new());
    let mut tasks = JoinSet::new();
    let token = shutdown.clone();
    tasks.spawn(async move { operator.run(token).await });
    shutdown.cancel();
    timeout(PATIENCE, tasks.join_next()).await.expect("the role did not end").unwrap().unwrap();
    let mut names = Vec::new();
    while let Some((name, _)) = events.next().await {
        names.push(name);
    }
    assert_eq!(names.last().map(String::as_str), Some("bye"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_announced_though_its_client_went_away() {
    let (house, mut beginnings, go_on) = House::open_with_slow_bulletin().await;
    go_on.add_permits(1);
    house.sale("drop").await;
    beginnings.recv().await.unwrap();
    let mut bulletin = house.ports.bulletin.subscribe().await.unwrap();

    // A client of its own hangs up while the change is being announced, and waits until the server has let go of it.
    let mut stream = tokio::net::TcpStream::connect(house.address).await.unwrap();
    let request = format!(
        "POST /v1/sales/drop/pause HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-length: 0\r\n\r\n",
        house.address,
        token(Role::Operator),
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    timeout(PATIENCE, beginnings.recv()).await.expect("the change did not begin").unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("the server did not let go")
        .unwrap();
    assert_eq!(answer, b"", "it was answered: the change was not under way any more");

    go_on.add_permits(1);
    let notice = heard(&mut bulletin).await;
    assert!(matches!(notice, Notice::Sale { sale } if sale.version.0 == 2));
}
