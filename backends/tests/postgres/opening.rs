//! What stands in the way of opening is named, with where and how to mend it, and never with the password.

use std::time::Duration;

use sluice_backends::postgres::{OpenError, Postgres, PostgresOptions};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Instant,
};

use crate::{
    house::new_database,
    server::{Server, connect, run},
};

/// What opening says; it must not succeed, and must not take much longer than it may.
async fn refusal(url: &str) -> OpenError {
    let options = PostgresOptions {
        start_timeout: Duration::from_millis(600),
        connect_timeout: Duration::from_millis(500),
        ..PostgresOptions::new(url)
    };
    let started = Instant::now();
    let error = Postgres::open(options).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(20), "it gave up late: {error}");
    let told = format!("{error} {error:?}");
    assert!(!told.contains("hush"), "the password is told: {told}");
    error
}

/// Something that listens and is not PostgreSQL; its URL.
async fn stranger<F>(
    listeners: &mut JoinSet<()>,
    serve: impl Fn(TcpStream) -> F + Send + 'static,
) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    listeners.spawn(async move {
        let mut served = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            served.spawn(serve(stream));
        }
    });
    format!("postgres://ada:hush@{address}/sales")
}

#[tokio::test]
async fn nobody_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("postgres://ada:hush@{}/sales", listener.local_addr().unwrap());
    drop(listener);
    let error = refusal(&url).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
    let unknown = refusal("postgres://ada:hush@no-such-host.invalid/sales").await;
    assert!(matches!(unknown, OpenError::Unreachable { .. }), "{unknown:?}");
}

#[tokio::test]
async fn somebody_who_says_nothing() {
    let mut listeners = JoinSet::new();
    let url = stranger(&mut listeners, |stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    });
    let error = refusal(&url.await).await;
    assert!(matches!(error, OpenError::Silent { .. }), "{error:?}");
}

#[tokio::test]
async fn somebody_who_hangs_up() {
    let mut listeners = JoinSet::new();
    let url = stranger(&mut listeners, |stream| async move { drop(stream) }).await;
    let error = refusal(&url).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn somebody_who_speaks_something_else() {
    let mut listeners = JoinSet::new();
    let url = stranger(&mut listeners, |mut stream| async move {
        let greeting = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        drop(stream.write_all(greeting).await);
        std::future::pending::<()>().await;
    });
    let error = refusal(&url.await).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
}

/// A server of long ago, as far as its greeting goes.
#[tokio::test]
async fn a_server_that_is_too_old() {
    let mut listeners = JoinSet::new();
    let url = stranger(&mut listeners, |mut stream| async move {
        let mut asked = [0; 1_024];
        // No TLS; whoever you are, come in; I am version 12.3; what do you want?
        drop(stream.read(&mut asked).await);
        drop(stream.write_all(b"N").await);
        drop(stream.read(&mut asked).await);
        let mut greeting = b"R\0\0\0\x08\0\0\0\0".to_vec();
        greeting.extend(b"S\0\0\0\x18server_version\x0012.3\0");
        greeting.extend(b"Z\0\0\0\x05I");
        drop(stream.write_all(&greeting).await);
        std::future::pending::<()>().await;
    });
    let error = refusal(&url.await).await;
    assert!(matches!(&error, OpenError::Version { found, .. } if found == "12.3"), "{error:?}");
}

#[tokio::test]
async fn a_wrong_password_and_a_missing_database() {
    let url = &Server::shared().await.url;
    let wrong = url.replacen(":sluice@", ":hush@", 1);
    assert_ne!(&wrong, url);
    let started = Instant::now();
    let error = refusal(&wrong).await;
    assert!(matches!(error, OpenError::Denied { .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_secs(10), "it does not get better by trying");
    let missing = refusal(&format!("{url}_of_somebody_else")).await;
    assert!(matches!(missing, OpenError::NoDatabase { .. }), "{missing:?}");
}

#[tokio::test]
async fn a_database_that_can_only_be_read() {
    let server = Server::shared().await;
    let url = new_database(server).await;
    let name = url.rsplit('/').next().unwrap();
    let mut admin = connect(&server.url).await;
    run(&mut admin, &format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let error = refusal(&url).await;
    assert!(matches!(error, OpenError::ReadOnly { .. }), "{error:?}");
}

#[tokio::test]
async fn a_database_of_another_encoding() {
    let server = Server::shared().await;
    let mut admin = connect(&server.url).await;
    let kind = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
    run(&mut admin, &format!("CREATE DATABASE in_latin {kind}")).await;
    let (address, _) = server.url.rsplit_once('/').unwrap();
    let error = refusal(&format!("{address}/in_latin")).await;
    assert!(matches!(&error, OpenError::Encoding { found, .. } if found == "LATIN1"), "{error:?}");
}

#[tokio::test]
async fn a_server_without_room() {
    let server = Server::shared().await;
    let url = new_database(server).await;
    let name = url.rsplit('/').next().unwrap();
    let mut admin = connect(&server.url).await;
    run(&mut admin, "CREATE ROLE late_guest LOGIN PASSWORD 'hush' CONNECTION LIMIT 0").await;
    let (_, place) = server.url.split_once('@').unwrap();
    let (address, _) = place.split_once('/').unwrap();
    let error = refusal(&format!("postgres://late_guest:hush@{address}/{name}")).await;
    assert!(matches!(error, OpenError::Full { .. }), "{error:?}");
}
