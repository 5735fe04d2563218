//! The stores over TLS, their certificates signed by an authority of the shop's own: with that authority each is reached,
//! without it none is, and what is wrong is said.
//!
//! Redis and RabbitMQ stand behind an end of TLS, as they do in many houses; PostgreSQL speaks it itself.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "redis/servers.rs"]
mod servers;

use std::{fs, sync::Arc, time::Duration};

use servers::Servers;
use sluice_backends::{
    clock::SystemClock,
    postgres::{self, Postgres, PostgresOptions},
    rabbitmq::{self, RabbitmqOptions},
    redis::{self, BadUrl, OpenError, Redis, RedisOptions, Topology},
};
use sluice_core::ports::PortError;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// Names `localhost` and 127.0.0.1, and is signed by itself.
const CERTIFICATE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../http/tests/it/tls/certificate.pem");
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../http/tests/it/tls/test-only-key.pem");
const PATIENCE: Duration = Duration::from_millis(1_500);

fn authority() -> Option<String> {
    Some(fs::read_to_string(CERTIFICATE).unwrap())
}

/// The end of TLS before a server; ends with its connections when it is dropped.
struct End {
    address: String,
    _tasks: JoinSet<()>,
}

impl End {
    /// Before the server whose URL has this address in it.
    async fn before(server: &str) -> Self {
        let chain = CertificateDer::pem_file_iter(CERTIFICATE).unwrap().map(Result::unwrap);
        let key = PrivateKeyDer::from_pem_file(KEY).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(chain.collect(), key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (server, mut tasks) = (server.to_owned(), JoinSet::new());
        tasks.spawn(async move {
            let mut pipes = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, server) = (acceptor.clone(), server.clone());
                pipes.spawn(async move {
                    // Who does not trust the certificate, or speaks without TLS, is not passed on.
                    let Ok(mut client) = acceptor.accept(client).await else { return };
                    let mut server = TcpStream::connect(&server).await.unwrap();
                    drop(copy_bidirectional(&mut client, &mut server).await);
                });
            }
        });
        Self { address, _tasks: tasks }
    }
}

fn redis_at(url: String, authority_pem: Option<String>) -> RedisOptions {
    RedisOptions { authority_pem, start_timeout: PATIENCE, ..RedisOptions::new(vec![url]) }
}

/// It is the server that answers: it knows no sale. After an outage in a moment.
async fn answers(redis: &Redis) {
    let cold = async {
        while !matches!(redis.gate.levels(&"drop".parse().unwrap()).await, Err(PortError::Cold)) {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), cold).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_alone_or_said_to_be_a_cluster() {
    let mut servers = Servers::redis();
    let end = End::before(servers.url().trim_start_matches("redis://")).await;
    let url = format!("rediss://{}", end.address);
    let redis = redis::open(redis_at(url.clone(), authority())).await.unwrap();
    answers(&redis).await;
    servers.order("kill redis");
    servers.order("up redis");
    answers(&redis).await;
    redis.close().await;

    let stranger = redis::open(redis_at(url.clone(), None)).await.unwrap_err();
    let OpenError::Tls { address, .. } = &stranger else { panic!("{stranger:?}") };
    assert_eq!(*address, end.address);
    let plain = redis::open(redis_at(format!("redis://{}", end.address), authority())).await;
    assert!(plain.is_err(), "nothing but TLS is spoken here");
    let nonsense = redis::open(redis_at(url.clone(), Some("certificates".into()))).await;
    assert!(matches!(nonsense, Err(OpenError::Url(BadUrl::Authority))), "{nonsense:?}");
    // One server is no cluster: it is reached, and says so.
    let cluster = RedisOptions { topology: Some(Topology::Cluster), ..redis_at(url, authority()) };
    let alone = redis::open(cluster).await.unwrap_err();
    assert!(matches!(alone, OpenError::NotACluster { .. }), "{alone:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq() {
    let servers = Servers::start(&["rabbitmq"]);
    let direct = servers.word("RABBITMQ_URL");
    let (credentials, rest) = direct.split_once('@').unwrap();
    let (server, vhost) = rest.split_once('/').unwrap();
    let end = End::before(server).await;
    let credentials = credentials.replace("amqp://", "amqps://");
    let options = |authority_pem| RabbitmqOptions {
        urls: vec![format!("{credentials}@{}/{vhost}", end.address)],
        authority_pem,
        start_timeout: PATIENCE,
        ..RabbitmqOptions::default()
    };
    let broker = rabbitmq::open(options(authority()), Arc::new(SystemClock)).await.unwrap();
    assert_eq!(broker.turns().depths().await.unwrap().dead, 0);
    broker.close().await;
    let stranger = rabbitmq::open(options(None), Arc::new(SystemClock)).await.unwrap_err();
    assert!(matches!(stranger, rabbitmq::OpenError::Tls { .. }), "{stranger:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql() {
    let servers = Servers::start(&["postgres", "--tls"]);
    let url = servers.word("POSTGRES_URL");
    let options = |query: &str| PostgresOptions {
        start_timeout: PATIENCE,
        ..PostgresOptions::new(format!("{url}?{query}"))
    };
    let trusted = format!("sslmode=verify-full&sslrootcert={CERTIFICATE}");
    let postgres = Postgres::open(options(&trusted)).await.unwrap();
    assert!(postgres.ledger().sales().await.unwrap().is_empty());
    postgres.close(PATIENCE).await;
    let stranger = Postgres::open(options("sslmode=verify-full")).await.unwrap_err();
    assert!(matches!(stranger, postgres::OpenError::Tls { .. }), "{stranger:?}");
}
