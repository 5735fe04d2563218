//! Servers that cannot be used: at start each is named with what is wrong and how to mend it, and no password is shown.

use std::time::{Duration, Instant};

use sluice_backends::redis::{OpenError, RedisOptions, Topology};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::{raw::Raw, samples::PATIENCE, servers::Servers};

/// What scripts do, that nobody finds out before it is needed.
const COMMANDS: [&str; 8] =
    ["time", "rename", "pexpire", "hlen", "hset", "rpush", "zadd", "unlink"];

/// Tries for a moment; the error.
async fn fault(options: RedisOptions) -> OpenError {
    let options = RedisOptions { start_timeout: Duration::from_millis(1_500), ..options };
    let begun = Instant::now();
    let error = sluice_backends::redis::open(options).await.unwrap_err();
    assert!(begun.elapsed() < PATIENCE, "it gives up");
    error
}

async fn fault_at(url: &str) -> OpenError {
    fault(RedisOptions::new(vec![url.to_owned()])).await
}

fn address(url: &str) -> &str {
    url.trim_start_matches("redis://")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_there() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = fault_at(&format!("redis://:s3cret@{free}")).await;
    assert!(matches!(error, OpenError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains(&free.to_string()), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
    let error = fault_at("redis://no-such-host.invalid").await;
    assert!(matches!(error, OpenError::Unreachable { .. }), "{error:?}");
    let error = fault_at("http://localhost").await;
    assert!(matches!(error, OpenError::Url(_)), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_silent_listener() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (error, accepted) = tokio::join!(fault_at(&url), listener.accept());
    assert!(matches!(error, OpenError::Silent { .. }), "{error:?}");
    assert!(error.to_string().contains(address(&url)), "{error}");
    accepted.unwrap();
    let cluster =
        RedisOptions { topology: Some(Topology::Cluster), ..RedisOptions::new(vec![url.clone()]) };
    assert!(matches!(fault(cluster).await, OpenError::Silent { .. }));
    let sentinel =
        RedisOptions { topology: Some(Topology::Sentinel), ..RedisOptions::new(vec![url]) };
    assert!(matches!(fault(sentinel).await, OpenError::Silent { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_wrong_password() {
    let servers = Servers::redis();
    let _: String = Raw::to(servers.url()).tell("CONFIG SET requirepass right");
    let at = address(servers.url()).to_owned();
    for user_info in ["", ":s3cret@", "ada:s3cret@"] {
        let begun = Instant::now();
        let error = fault_at(&format!("redis://{user_info}{at}")).await;
        assert!(matches!(error, OpenError::WrongPassword { .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_millis(1_500), "it does not try again");
        assert!(error.to_string().contains(&at), "{error}");
        assert!(!format!("{error} {error:?}").contains("s3cret"));
    }
    let right = RedisOptions::new(vec![format!("redis://:right@{at}")]);
    sluice_backends::redis::open(right).await.unwrap().close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_cannot_keep_the_promises() {
    let (servers, primary) = (Servers::redis(), Servers::redis());
    let mut raw = Raw::to(servers.url());
    let _: String = raw.tell("CONFIG SET maxmemory-policy allkeys-lru");
    let error = fault_at(servers.url()).await;
    assert!(matches!(error, OpenError::Evicting { .. }), "{error:?}");
    assert!(error.to_string().contains("noeviction"), "{error}");
    let _: String = raw.tell("CONFIG SET maxmemory-policy noeviction");

    let _: String = raw.tell("CONFIG SET maxmemory 1");
    let error = fault_at(servers.url()).await;
    assert!(matches!(error, OpenError::Full { .. }), "{error:?}");
    let _: String = raw.tell("CONFIG SET maxmemory 0");

    let _: String = raw.tell("ACL SETUSER ada on >s3cret ~* +info +role");
    let error = fault_at(&format!("redis://ada:s3cret@{}", address(servers.url()))).await;
    assert!(matches!(error, OpenError::NotAllowed { .. }), "{error:?}");

    for command in COMMANDS {
        let all_but = format!("ACL SETUSER eve reset on >s3cret ~* +@all -{command}");
        let _: String = raw.tell(&all_but);
        let error = fault_at(&format!("redis://eve:s3cret@{}", address(servers.url()))).await;
        assert!(matches!(error, OpenError::NotAllowed { .. }), "without {command}: {error:?}");
    }

    let as_cluster = RedisOptions {
        topology: Some(Topology::Cluster),
        ..RedisOptions::new(vec![servers.url().to_owned()])
    };
    let error = fault(as_cluster).await;
    assert!(matches!(error, OpenError::NotACluster { .. }), "{error:?}");

    let _: String = raw.tell(&format!("REPLICAOF {}", address(primary.url()).replace(':', " ")));
    let error = fault_at(servers.url()).await;
    assert!(matches!(error, OpenError::Replica { .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_old_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let mut old = JoinSet::new();
    old.spawn(pretend(listener, "redis_version:6.0.16\r\nrole:master\r\n"));
    let error = fault_at(&url).await;
    assert!(matches!(error, OpenError::WrongVersion { .. }), "{error:?}");
    assert!(error.to_string().contains("6.0.16"), "{error}");
}

/// A server that says `OK` to everything, and tells this of itself.
async fn pretend(listener: TcpListener, info: &str) {
    while let Ok((mut client, _)) = listener.accept().await {
        let mut bytes = [0; 4_096];
        while let Ok(count @ 1..) = client.read(&mut bytes).await {
            let asked = String::from_utf8_lossy(&bytes[..count]).into_owned();
            for command in asked.split('*').skip(1) {
                let answer = if command.contains("\r\nINFO\r\n") {
                    format!("${}\r\n{info}\r\n", info.len())
                } else {
                    "+OK\r\n".to_owned()
                };
                client.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    }
}
