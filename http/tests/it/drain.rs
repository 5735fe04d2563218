//! The end of a server.

use std::{sync::Arc, time::Duration};

use sluice_http::{Exchange, RouterSettings, Routes};
use tokio::{net::TcpStream, sync::Notify};

use crate::house::{House, config, hello, soon};

/// `/wait` tells `began`, then answers when `go` is given.
fn waiting(began: Arc<Notify>, go: Arc<Notify>) -> Routes {
    Routes::new("admission").get("/", hello).get("/wait", move |exchange: Exchange| {
        let (began, go) = (Arc::clone(&began), Arc::clone(&go));
        async move {
            began.notify_one();
            go.notified().await;
            hello(exchange).await
        }
    })
}

#[tokio::test]
async fn a_request_in_hand_is_finished_and_no_other_begins() {
    let (began, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let house = House::open(waiting(Arc::clone(&began), Arc::clone(&go))).await;
    let mut idle = house.wire().await;
    assert_eq!(idle.ask("GET /").await.status, 200);
    let mut silent = house.wire().await;
    let mut wire = house.wire().await;
    wire.send("GET /wait").await;
    soon("the request", began.notified()).await;

    house.shutdown.cancel();
    idle.closed().await;
    silent.closed().await;
    soon("the end of listening", async {
        while TcpStream::connect(house.address).await.is_ok() {}
    })
    .await;
    go.notify_one();
    let answer = wire.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    wire.closed().await;
    house.ended().await;
}

#[tokio::test]
async fn a_request_that_does_not_end_is_cut_at_the_drain_timeout() {
    let (began, never) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mut config = config();
    config.drain_timeout = Duration::from_millis(200);
    let routes = waiting(Arc::clone(&began), Arc::clone(&never));
    let house = House::with(routes, RouterSettings::default(), config).await;
    let mut wire = house.wire().await;
    wire.send("GET /wait").await;
    soon("the request", began.notified()).await;
    house.shutdown.cancel();
    house.ended().await;
    wire.closed().await;
    // The handler was dropped, and with it everything it held.
    assert_eq!(Arc::strong_count(&never), 1);
}
