//! TLS on the server's side and on the client's. The certificate beside this file is for `localhost`, its key is public.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject};
use sluice_http::{
    BindError, Router, RouterSettings, Routes, Server, ServerConfig, TlsFiles,
    client::{Client, ClientError},
};

use crate::house::{House, config, hello, soon};

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/tls").join(name)
}

fn tls_config() -> ServerConfig {
    let mut config = config();
    config.tls =
        Some(TlsFiles { certificates: file("certificate.pem"), key: file("test-only-key.pem") });
    config
}

async fn house(config: ServerConfig) -> House {
    House::with(Routes::new("admission").get("/", hello), RouterSettings::default(), config).await
}

fn trusting_client() -> Client {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("certificate.pem")).unwrap()).unwrap();
    Client::with_roots(Duration::from_secs(20), roots)
}

async fn ask(client: &Client, port: u16) -> Result<http::Response<Bytes>, ClientError> {
    let request =
        http::Request::get(format!("https://localhost:{port}/")).body(Bytes::new()).unwrap();
    client.send(request, 1024).await
}

#[tokio::test]
async fn a_request_over_tls_is_answered() {
    let house = house(tls_config()).await;
    let response = ask(&trusting_client(), house.address.port()).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.body()[..]), (200, &b"\"hello\""[..]));
    house.shutdown.cancel();
    house.ended().await;
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_not_spoken_to() {
    let house = house(tls_config()).await;
    let error = ask(&Client::new(Duration::from_secs(20)), house.address.port()).await.unwrap_err();
    assert!(matches!(error, ClientError::Connect(_)), "{error:?}");
}

#[tokio::test]
async fn plain_http_is_not_answered_and_silence_is_closed() {
    let mut config = tls_config();
    config.header_timeout = Duration::from_millis(200);
    let house = house(config).await;
    let mut wire = house.wire().await;
    wire.send("GET /").await;
    // An alert may come; an answer may not.
    soon("the end", async { while wire.more().await {} }).await;
    let mut silent = house.wire().await;
    silent.closed().await;
}

#[tokio::test]
async fn beyond_the_limit_a_tls_connection_is_closed() {
    let mut config = tls_config();
    config.connections_max = 1;
    let house = house(config).await;
    // Two clients, so that neither uses the other's connection.
    let (inside, outside) = (trusting_client(), trusting_client());
    assert!(ask(&inside, house.address.port()).await.is_ok());
    assert!(ask(&outside, house.address.port()).await.is_err());
    assert!(ask(&inside, house.address.port()).await.is_ok());
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let router = || Router::new(vec![], RouterSettings::default()).unwrap().into();
    let key = || file("test-only-key.pem");
    for (certificates, key, named) in [
        (file("no-such.pem"), key(), "no-such.pem"),
        (key(), key(), "test-only-key.pem"),
        (file("certificate.pem"), file("no-such.pem"), "no-such.pem"),
        (file("certificate.pem"), file("certificate.pem"), "certificate.pem"),
    ] {
        let mut config = config();
        config.tls = Some(TlsFiles { certificates, key });
        let error = Server::bind(config, router()).await.unwrap_err();
        assert!(
            matches!(&error, BindError::Tls { path, .. } if path.ends_with(named)),
            "{error:?}"
        );
        assert!(error.to_string().contains(named));
    }
}
