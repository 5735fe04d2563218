//! Opening: every way in which it can fail has an end in time, leaves nothing behind, and says what to do.

use std::{error::Error as _, sync::Arc, time::Duration};

use lapin::{Connection, ConnectionProperties, options::QueueDeclareOptions, types::FieldTable};
use sluice_backends::{
    clock::SystemClock,
    rabbitmq::{OpenError, Rabbitmq, RabbitmqOptions, open},
};
use sluice_core::ports::conformance::House as _;
use tokio::{net::TcpListener, time::timeout};

use crate::{
    alone, drop_sale, entry, fault, home,
    impostor::{Answer, Impostor},
    io_threads,
    raw::Raw,
    server, soon, timed, until,
};

fn options(urls: Vec<String>) -> RabbitmqOptions {
    RabbitmqOptions {
        urls,
        start_timeout: Duration::from_millis(1_500),
        handshake_timeout: Duration::from_secs(1),
        ..RabbitmqOptions::default()
    }
}

async fn opened(options: RabbitmqOptions) -> Result<Rabbitmq, OpenError> {
    soon("the answer to opening", open(options, Arc::new(SystemClock))).await
}

/// Opening must fail; what it says, with all its causes.
async fn refused(options: RabbitmqOptions) -> (OpenError, String) {
    let error = opened(options).await.unwrap_err();
    let (mut said, mut cause) = (error.to_string(), error.source());
    while let Some(source) = cause {
        said = format!("{said}: {source}");
        cause = source.source();
    }
    assert!(!said.contains("s3cret"), "a password is never told: {said}");
    (error, said)
}

async fn no_threads() {
    until("the end of every thread", async || (io_threads() == 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens() {
    let _alone = alone().await;
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let url = format!("amqp://guest:s3cret@127.0.0.1:{port}/%2f");
    let (error, said) = refused(options(vec![url])).await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{said}");
    assert!(said.contains("refused") && said.contains(&port.to_string()), "{said}");
    no_threads().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_says_nothing() {
    let _alone = alone().await;
    let impostor = Impostor::new(&[Answer::Silence]).await;
    let ((error, said), took) = timed(refused(options(vec![impostor.url()]))).await;
    assert!(matches!(error, OpenError::Silent { .. }), "{said}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    no_threads().await;
}

/// It greets, and then says nothing while the connection proper is opened: the client library alone would wait for ever,
/// and leave its thread behind when nobody waits for it any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_falls_silent_in_the_handshake() {
    let _alone = alone().await;
    no_threads().await;
    let impostor = Impostor::new(&[Answer::Greeting("3.10.8"), Answer::Silence]).await;
    let ((error, said), took) = timed(refused(options(vec![impostor.url()]))).await;
    assert!(matches!(error, OpenError::Silent { .. }), "{said}");
    assert!(took < Duration::from_secs(10), "{took:?}");
    no_threads().await;

    // The careless form: a deadline around the library's own dial.
    let url = impostor.url();
    let dial = Connection::connect(&url, ConnectionProperties::default());
    assert!(timeout(Duration::from_secs(3), dial).await.is_err(), "it waits on");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(io_threads(), 1, "its thread stays behind");
    drop(impostor);
    no_threads().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_that_is_no_broker() {
    let _alone = alone().await;
    let impostor = Impostor::new(&[Answer::Http]).await;
    let (error, said) = refused(options(vec![impostor.url()])).await;
    assert!(matches!(error, OpenError::Foreign { .. }), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_is_too_old() {
    let _alone = alone().await;
    let impostor = Impostor::new(&[Answer::Greeting("3.9.29")]).await;
    let (error, said) = refused(options(vec![impostor.url()])).await;
    assert!(matches!(error, OpenError::Version { .. }), "{said}");
    assert!(said.contains("3.9.29") && said.contains("3.10"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_a_wrong_virtual_host() {
    let _alone = alone().await;
    let server = server().await;
    let wrong = server.url("%2f").replace("guest:guest", "guest:s3cret");
    let (error, said) = refused(options(vec![wrong])).await;
    assert!(matches!(error, OpenError::Login { .. }), "{said}");
    assert!(said.contains("guest"), "{said}");
    let (error, said) = refused(options(vec![server.url("nowhere")])).await;
    assert!(matches!(error, OpenError::Vhost { .. }), "{said}");
    assert!(said.contains("nowhere"), "{said}");
    no_threads().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_differs_is_named() {
    let _alone = alone().await;
    let home = home().await;
    let url = home.url();
    let raw = Raw::connect(&url).await;
    let other = home.vhost().replace("house", "other");
    server().await.make_vhost(&other);
    let theirs = Raw::connect(&server().await.url(&other)).await;
    let durable = QueueDeclareOptions::durable();
    theirs
        .channel
        .queue_declare("sluice.turns".into(), durable, FieldTable::default())
        .await
        .unwrap();
    let (error, said) = refused(options(vec![server().await.url(&other)])).await;
    assert!(matches!(error, OpenError::Mismatch { .. }), "{said}");
    assert!(said.contains("sluice.turns") && said.contains(&other), "{said}");

    // A sale's own queue, once the backend is open.
    let queue = "sluice.waiting.drop".into();
    raw.channel.queue_declare(queue, durable, FieldTable::default()).await.unwrap();
    let error = home.port().waiting.declare(&drop_sale()).await.unwrap_err();
    let said = error.source().unwrap().to_string();
    assert!(said.contains("sluice.waiting.drop"), "{said}");
    server().await.remove_vhost(&other);
    raw.close().await;
    theirs.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_tried_in_turn_and_closing_leaves_no_thread() {
    let _alone = alone().await;
    let home = home().await;
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let silent = Impostor::new(&[Answer::Silence]).await;
    let urls = vec![format!("amqp://guest:guest@{dead}/%2f"), silent.url(), home.url()];
    let patient = RabbitmqOptions {
        start_timeout: Duration::from_secs(30),
        handshake_timeout: Duration::from_secs(1),
        ..options(urls)
    };
    let backend = opened(patient).await.unwrap();
    let waiting = backend.waiting();
    waiting.declare(&drop_sale()).await.unwrap();
    fault("kill").await;
    fault("up").await;
    until("the broker behind two others", async || {
        waiting.offer(&drop_sale(), vec![entry(1)]).await.ok()
    })
    .await;
    let (_, took) = timed(backend.close()).await;
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(home);
    no_threads().await;
}
