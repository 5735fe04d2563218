//! A memory that may have lost something is cold: it is never asked for the next number. Each loss is shown with its twin:
//! what a backend would answer that believed the memory.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use sluice_backends::redis::Redis;
use sluice_core::{
    ids::Epoch,
    ports::{JoinReply, Line, PortError, Reserved},
};
use tokio::task::JoinSet;

use crate::{
    raw::Raw,
    samples::{
        GATE, LINE, PATIENCE, entry, image, level, new_number, open, sale, try_join, try_warm,
        until, until_it_answers, want, warm,
    },
    servers::Servers,
};

/// A warm line with three places, and a gate of ten units.
async fn opened(url: &str) -> Redis {
    let redis = open(url).await;
    warm(&*redis.line, 1, 1).await;
    redis.gate.rebuild(&sale(), Epoch(1), image(10, 0)).await.unwrap();
    for (buyer, due) in [("ada", 1), ("bob", 2), ("eve", 3)] {
        assert_eq!(new_number(&*redis.line, buyer).await, due);
    }
    redis
}

async fn assert_cold(redis: &Redis) {
    let answer = until_it_answers(&*redis.line).await;
    assert!(matches!(answer, Err(PortError::Cold)), "{answer:?}");
    let join = try_join(&*redis.line, "joe").await;
    assert!(matches!(join, Err(PortError::Cold)), "{join:?}");
    let kept = redis.line.warm(&sale(), Epoch(2), None).await;
    assert!(matches!(kept, Err(PortError::Cold)), "{kept:?}");
    let reserved = redis.gate.reserve(&sale(), &[want(1)]).await;
    assert!(matches!(reserved, Err(PortError::Cold)), "{reserved:?}");
}

/// Warmed again, numbers go on in the next block, and the places that may be lost are nobody's.
async fn assert_goes_on(redis: &Redis) {
    warm(&*redis.line, 2, 1001).await;
    redis.gate.rebuild(&sale(), Epoch(2), image(10, 0)).await.unwrap();
    assert_eq!(new_number(&*redis.line, "joe").await, 1001);
    assert_eq!(level(&*redis.gate).await, (10, 0));
    let snapshot = redis.line.snapshot(&sale()).await.unwrap();
    assert_eq!((snapshot.last.0, snapshot.called), (1001, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_comes_back_empty_is_cold() {
    let mut servers = Servers::redis();
    let redis = opened(servers.url()).await;
    servers.order("kill redis");
    let away = until("the loss", async || try_join(&*redis.line, "joe").await.err()).await;
    assert!(matches!(away, PortError::Unavailable(_)), "{away:?}");
    servers.order("up redis");
    assert_cold(&redis).await;
    assert_goes_on(&redis).await;
    redis.close().await;
}

/// A server that wrote a snapshot, went on for a while, and comes back with the snapshot.
async fn set_back() -> (Servers, Redis, BTreeSet<u64>) {
    let mut servers = Servers::redis();
    let redis = opened(servers.url()).await;
    let _: String = Raw::to(servers.url()).tell("SAVE");
    let mut given: BTreeSet<u64> = [1, 2, 3].into();
    for buyer in ["joe", "sue"] {
        given.insert(new_number(&*redis.line, buyer).await);
    }
    assert_eq!(redis.gate.reserve(&sale(), &[want(10)]).await.unwrap(), [Reserved::Held]);
    servers.order("kill redis");
    servers.order("up redis");
    (servers, redis, given)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_set_back_to_an_earlier_moment_is_cold() {
    let (_servers, redis, given) = set_back().await;
    assert_cold(&redis).await;
    warm(&*redis.line, 2, 1001).await;
    // What the snapshot knows was given out is no hole; what is above it may be, and holes below a place do not matter.
    let JoinReply::New(place) = try_join(&*redis.line, "ann").await.unwrap() else {
        panic!("a new place was due")
    };
    assert!(!given.contains(&place.line_entry.seq.0));
    assert_eq!((place.line_entry.seq.0, place.line_entry.holes_below), (1001, 1000 - 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn to_believe_an_earlier_moment_gives_numbers_and_goods_twice() {
    let (servers, redis, given) = set_back().await;
    assert_cold(&redis).await;
    let mut raw = Raw::to(servers.url());
    raw.believe(LINE);
    raw.believe(GATE);
    let again = new_number(&*redis.line, "ann").await;
    assert!(given.contains(&again), "the twin must fail: {again}");
    let reserved = redis.gate.reserve(&sale(), &[want(10)]).await.unwrap();
    assert_eq!(reserved, [Reserved::Held], "the twin must sell the goods again");
}

/// A server that followed another for a moment: the same process, with a memory that lacks the last places.
async fn overtaken() -> (Vec<Servers>, Redis, BTreeSet<u64>) {
    let (ours, other) = (Servers::redis(), Servers::redis());
    let (mut here, mut there) = (Raw::to(ours.url()), Raw::to(other.url()));
    let run_id = here.info("run_id");
    let port = |servers: &Servers| servers.url().rsplit(':').next().unwrap().to_owned();
    let _: String = there.tell(&format!("REPLICAOF 127.0.0.1 {}", port(&ours)));
    until("a replica", async || (there.info("master_link_status") == "up").then_some(())).await;
    let redis = opened(ours.url()).await;
    let due: i64 = here.tell(&format!("HLEN {LINE}"));
    until("the copy", async || {
        let copied = there.try_tell(&format!("HLEN {LINE}"));
        (copied == Ok(due)).then_some(())
    })
    .await;
    let _: String = there.tell("REPLICAOF NO ONE");
    let mut given: BTreeSet<u64> = [1, 2, 3].into();
    given.insert(new_number(&*redis.line, "joe").await);
    let _: String = here.tell(&format!("REPLICAOF 127.0.0.1 {}", port(&other)));
    until("the end of the copy", async || (here.info("master_link_status") == "up").then_some(()))
        .await;
    let _: String = here.tell("REPLICAOF NO ONE");
    assert_eq!(here.info("run_id"), run_id, "the process is the same");
    (vec![ours, other], redis, given)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_primary_that_was_a_replica_meanwhile_is_cold() {
    let (_servers, redis, _) = overtaken().await;
    assert_cold(&redis).await;
    assert_goes_on(&redis).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn to_believe_the_run_id_alone_gives_numbers_twice() {
    let (servers, redis, given) = overtaken().await;
    assert_cold(&redis).await;
    Raw::to(servers[0].url()).believe(LINE);
    let again = new_number(&*redis.line, "ann").await;
    assert!(given.contains(&again), "the twin must fail: {again}");
}

/// The number of a buyer's place, however often it has to be asked for.
async fn patient_number(line: &dyn Line, buyer: &str) -> u64 {
    let begun = Instant::now();
    loop {
        match try_join(line, buyer).await {
            Ok(JoinReply::New(place) | JoinReply::Found(place)) => return place.line_entry.seq.0,
            other => assert!(begun.elapsed() < PATIENCE, "no place for {buyer}: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_everything_is_flushed_no_number_is_given_twice() {
    // All of them fit into one block: none is handed out beyond the last flush.
    const JOINS: u64 = 240;
    let servers = Servers::redis();
    let redis = open(servers.url()).await;
    let mut joiners = JoinSet::new();
    for n in 0..4 {
        let line = Arc::clone(&redis.line);
        joiners.spawn(async move {
            let mut numbers = Vec::new();
            for m in 0..JOINS {
                numbers.push(patient_number(&*line, &format!("buyer-{n}-{m}")).await);
            }
            numbers
        });
    }
    let (mut speaker, blocks) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    let (line, handed) = (Arc::clone(&redis.line), Arc::clone(&blocks));
    speaker.spawn(async move {
        loop {
            let epoch = handed.load(Ordering::Relaxed);
            if let Err(PortError::Cold) = line.warm(&sale(), Epoch(epoch), None).await {
                handed.fetch_add(1, Ordering::Relaxed);
                try_warm(&*line, epoch + 1, epoch * 1_000 + 1).await.unwrap();
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut raw = Raw::to(servers.url());
    while blocks.load(Ordering::Relaxed) < 4 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let _: String = raw.tell("FLUSHALL");
    }
    let numbers: Vec<u64> = joiners.join_all().await.into_iter().flatten().collect();
    let distinct: BTreeSet<u64> = numbers.iter().copied().collect();
    assert_eq!(distinct.len(), numbers.len(), "each number once");
    assert_eq!(numbers.len() as u64, 4 * JOINS);
    assert!(distinct.last().is_some_and(|last| *last > 1_000), "it was flushed between joins");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_epoch_is_remembered_beyond_the_cold() {
    let servers = Servers::redis();
    let redis = opened(servers.url()).await;
    redis.line.warm(&sale(), Epoch(7), None).await.unwrap();
    let _: i64 = Raw::to(servers.url()).tell(&format!("HSET {LINE} .server elsewhere:before"));
    let old = try_warm(&*redis.line, 6, 1001).await;
    assert!(
        matches!(old, Err(PortError::Fenced)),
        "who spoke before does not speak again: {old:?}"
    );
    try_warm(&*redis.line, 8, 1001).await.unwrap();
    let old = redis.line.call(&sale(), Epoch(7), None, &[entry(1, "ada")]).await;
    assert!(matches!(old, Err(PortError::Fenced)), "{old:?}");
}
