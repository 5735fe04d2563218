//! Answers that are streams, and connections that become something else.

use bytes::Bytes;
use http::{
    StatusCode,
    header::{CONNECTION, UPGRADE},
};
use hyper_util::rt::TokioIo;
use sluice_http::{Body, Exchange, Response, RouterSettings, Routes, empty, raw_socket};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};
use tokio_util::task::TaskTracker;

use crate::house::{Answered, House, config, hello, soon, until};

#[tokio::test]
async fn frames_of_a_stream_arrive_one_by_one() {
    let (give, mut given) = mpsc::channel::<mpsc::Sender<Bytes>>(1);
    let routes = Routes::new("push").get("/events", move |_: Exchange| {
        let give = give.clone();
        async move {
            let (frames, receiver) = mpsc::channel(1);
            give.send(frames).await.unwrap();
            Ok(Response::new(Body::stream(receiver)))
        }
    });
    let house = House::open(routes).await;
    let mut wire = house.wire().await;
    wire.send("GET /events").await;
    let frames = soon("the handler", given.recv()).await.unwrap();
    assert_eq!(wire.head().await.header("transfer-encoding"), Some("chunked"));
    // Nothing is sent before what came before was read.
    for number in 0..5 {
        let frame = format!("data: {number}\n\n");
        frames.send(frame.clone().into()).await.unwrap();
        wire.text_until(&frame).await;
    }
    drop(wire);
    soon("that the sender hears that the client is gone", frames.closed()).await;
}

/// Echoes, in capitals, on an upgraded connection.
fn shouting(tasks: TaskTracker, raw: bool) -> Routes {
    Routes::new("push").get("/well", hello).get("/shout", move |mut exchange: Exchange| {
        let tasks = tasks.clone();
        async move {
            let upgrade = hyper::upgrade::on(&mut exchange.request);
            tasks.spawn(async move {
                let upgraded = upgrade.await.unwrap();
                if raw {
                    let (stream, read) = raw_socket(upgraded).unwrap();
                    shout(stream, &read).await;
                } else {
                    shout(TokioIo::new(upgraded), b"").await;
                }
            });
            switching()
        }
    })
}

fn switching() -> Answered {
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert(CONNECTION, http::HeaderValue::from_static("upgrade"));
    response.headers_mut().insert(UPGRADE, http::HeaderValue::from_static("shout"));
    Ok(response)
}

async fn shout<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
    mut stream: S,
    read: &[u8],
) {
    stream.write_all(&read.to_ascii_uppercase()).await.unwrap();
    let mut buffer = [0; 64];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        stream.write_all(&buffer[..read].to_ascii_uppercase()).await.unwrap();
    }
}

#[tokio::test]
async fn an_upgraded_connection_belongs_to_its_role() {
    for raw in [true, false] {
        let tasks = TaskTracker::new();
        let mut config = config();
        config.connections_max = 1;
        let house =
            House::with(shouting(tasks.clone(), raw), RouterSettings::default(), config).await;
        let mut wire = house.wire().await;
        // Bytes sent along with the request are not lost.
        let request = "GET /shout HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: shout\r\n\r\nearly ";
        assert_eq!(wire.ask(request).await.status, 101);
        wire.text_until("EARLY ").await;
        // It is not counted any more.
        soon("room for another connection", async {
            while house.ask("GET /well").await.status != 200 {}
        })
        .await;
        // And it outlives the server.
        house.shutdown.cancel();
        house.ended().await;
        wire.write(b"still here").await;
        wire.text_until("STILL HERE").await;
        drop(wire);
        until("the end of the shouting", || tasks.is_empty()).await;
    }
}
