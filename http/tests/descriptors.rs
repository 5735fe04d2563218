//! A process that runs out of descriptors. In a binary of its own, because the limit is the whole process's.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::{fs::File, net::SocketAddr, sync::Arc, time::Duration};

use sluice_http::{Router, RouterSettings, Routes, Server, ServerConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn the_server_answers_again_once_there_are_descriptors() {
    rlimit::setrlimit(rlimit::Resource::NOFILE, 128, 128).unwrap();
    let routes = Routes::new("admission")
        .get("/", |_| async { Ok(sluice_http::empty(http::StatusCode::NO_CONTENT)) });
    let router = Arc::new(Router::new(vec![routes], RouterSettings::default()).unwrap());
    let patient = Duration::from_secs(60);
    let config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        connections_max: 100,
        header_timeout: patient,
        body_timeout: patient,
        header_bytes_max: 8 * 1024,
        drain_timeout: patient,
        tls: None,
    };
    let server = Server::bind(config, router).await.unwrap();
    let (address, shutdown) = (server.local_addr(), CancellationToken::new());
    let mut running = JoinSet::new();
    running.spawn(server.run(shutdown.clone()));

    let mut hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(hoard.len() > 32, "the limit was set");
    // One descriptor for the client; the server finds none.
    hoard.pop();
    let mut client = TcpStream::connect(address).await.unwrap();
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut said = [0; 64];
    let heard = timeout(Duration::from_millis(300), client.read(&mut said)).await;
    assert!(heard.is_err(), "nobody could have accepted this");
    drop(hoard);
    let read = timeout(Duration::from_secs(20), client.read(&mut said)).await.unwrap().unwrap();
    assert!(said[..read].starts_with(b"HTTP/1.1 204 "));
    shutdown.cancel();
    timeout(Duration::from_secs(20), running.join_next()).await.unwrap().unwrap().unwrap();
}
