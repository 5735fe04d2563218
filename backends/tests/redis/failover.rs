//! A primary is replaced: by sentinels, and in a cluster. The backend follows without a restart, finds the line cold, and
//! goes on when it is warmed again.

use std::sync::Arc;

use sluice_backends::redis::{OpenError, Redis, RedisOptions, Topology};
use sluice_core::{
    ids::{Epoch, SaleId, Seq},
    line::Cursor,
    ports::{Block, PortError, Reserved, Restore},
};
use tokio::task::JoinSet;

use crate::{
    raw::Raw,
    samples::{
        LINE, PATIENCE, image, new_number, sale, try_join, until, until_it_answers, want, warm,
    },
    servers::Servers,
};

async fn opened(urls: &str, topology: Topology) -> Redis {
    let urls = urls.split(',').map(str::to_owned).collect();
    let options = RedisOptions {
        topology: Some(topology),
        start_timeout: PATIENCE,
        ..RedisOptions::new(urls)
    };
    let redis = sluice_backends::redis::open(options).await.unwrap();
    warm(&*redis.line, 1, 1).await;
    redis.gate.rebuild(&sale(), Epoch(1), image(10, 0)).await.unwrap();
    assert_eq!(new_number(&*redis.line, "ada").await, 1);
    assert_eq!(redis.gate.reserve(&sale(), &[want(1)]).await.unwrap(), [Reserved::Held]);
    redis
}

async fn assert_follows(redis: &Redis) {
    until("the loss", async || try_join(&*redis.line, "ada").await.err()).await;
    let answer = until_it_answers(&*redis.line).await;
    assert!(matches!(answer, Err(PortError::Cold)), "{answer:?}");
    let levels = redis.gate.levels(&sale()).await;
    assert!(matches!(levels, Err(PortError::Cold)), "{levels:?}");
    until("a primary that takes writes", async || {
        match redis.line.warm(&sale(), Epoch(2), None).await {
            Err(PortError::Cold) => Some(()),
            Err(PortError::Unavailable(_)) => None,
            other => panic!("{other:?}"),
        }
    })
    .await;
    warm(&*redis.line, 2, 1001).await;
    redis.gate.rebuild(&sale(), Epoch(2), image(10, 0)).await.unwrap();
    assert_eq!(new_number(&*redis.line, "bob").await, 1001);
    assert_eq!(redis.gate.reserve(&sale(), &[want(10)]).await.unwrap(), [Reserved::Held]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sentinels_name_another_primary() {
    let mut servers = Servers::start(&["--cluster", "redis"]);
    let sentinels = servers.word("REDIS_SENTINEL_URLS").to_owned();
    let redis = opened(&sentinels, Topology::Sentinel).await;
    servers.order("kill redis");
    assert_follows(&redis).await;
    redis.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_primary_is_left_when_the_sentinels_say_so() {
    let mut servers = Servers::start(&["--cluster", "redis"]);
    let sentinels = servers.word("REDIS_SENTINEL_URLS").to_owned();
    let redis = opened(&sentinels, Topology::Sentinel).await;
    servers.order("pause redis");
    assert_follows(&redis).await;
    // The old primary wakes up and still believes: nobody listens to it any more.
    servers.order("resume redis");
    let replica = servers.word("REDIS_REPLICA_URL").to_owned();
    let given: i64 = Raw::to(&replica).tell(&format!("HGET {LINE} .last"));
    assert_eq!(given, 1001);
    assert_eq!(new_number(&*redis.line, "eve").await, 1002);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sentinels_that_know_no_such_master() {
    let servers = Servers::start(&["--cluster", "redis"]);
    let sentinels = servers.word("REDIS_SENTINEL_URLS").replace("redis://", "");
    let options = RedisOptions {
        start_timeout: std::time::Duration::from_millis(500),
        ..RedisOptions::new(vec![format!("redis+sentinel://{sentinels}/other")])
    };
    let error = sluice_backends::redis::open(options).await.unwrap_err();
    assert!(matches!(error, OpenError::UnknownMaster { .. }), "{error:?}");
    assert!(error.to_string().contains("other"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_promotes_a_replica() {
    let mut servers = Servers::start(&["redis-cluster"]);
    let urls = servers.word("REDIS_CLUSTER_URLS").to_owned();
    let redis = opened(&urls, Topology::Cluster).await;
    let owner = owner_of_the_line(&urls);
    servers.order(&format!("kill redis-cluster-{owner}"));
    assert_follows(&redis).await;
    redis.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_leaves_a_frozen_primary() {
    let mut servers = Servers::start(&["redis-cluster"]);
    let urls = servers.word("REDIS_CLUSTER_URLS").to_owned();
    let redis = opened(&urls, Topology::Cluster).await;
    let owner = owner_of_the_line(&urls);
    let elsewhere = sale_elsewhere(&redis, &urls, owner).await;
    servers.order(&format!("pause redis-cluster-{owner}"));
    // The sales of other nodes go on, however many calls the frozen one leaves unanswered.
    let mut frozen = JoinSet::new();
    for n in 0..8 {
        let line = Arc::clone(&redis.line);
        frozen.spawn(async move { try_join(&*line, &format!("frozen-{n}")).await });
    }
    assert!(frozen.join_all().await.iter().all(Result::is_err));
    until("the other sale", async || redis.line.snapshot(&elsewhere).await.ok()).await;
    let here = redis.line.snapshot(&sale()).await;
    assert!(matches!(here, Err(PortError::Unavailable(_))), "{here:?}");
    assert_follows(&redis).await;
    redis.close().await;
}

/// A warm sale whose keys another node has.
async fn sale_elsewhere(redis: &Redis, urls: &str, owner: usize) -> SaleId {
    let url = urls.split(',').nth(owner - 1).unwrap();
    for n in 0..100 {
        let sale = SaleId::new(&format!("other-{n}")).unwrap();
        let block = Block { from: Seq(1), to: Seq(9) };
        redis
            .line
            .warm(&sale, Epoch(1), Some(Restore { block, cursor: Cursor::default(), last: Seq(0) }))
            .await
            .unwrap();
        let there = Raw::to(url).try_tell::<i64>(&format!("EXISTS sluice:{{{sale}}}:line"));
        if there != Ok(1) {
            return sale;
        }
    }
    panic!("one node has everything")
}

/// The number of the primary that has the sale's keys.
fn owner_of_the_line(urls: &str) -> usize {
    let has = |url: &str| {
        let mut raw = Raw::to(url);
        raw.info("role") == "master" && raw.try_tell(&format!("EXISTS {LINE}")) == Ok(1)
    };
    urls.split(',').position(has).unwrap() + 1
}
