//! The RabbitMQ backend on three nodes, of which one is killed: nothing that was confirmed is lost, and everything goes on
//! at the two that are left.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use sluice_backends::{
    clock::SystemClock,
    rabbitmq::{RabbitmqOptions, open},
};
use sluice_core::{
    basket::{Basket, Item},
    clock::UnixMillis,
    ids::{BuyerId, EntryId, SaleId, Seq, SkuId},
    line::LineEntry,
    random::Random,
};
use tokio::time::{Instant, sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// Three nodes; they end with this.
struct Cluster {
    urls: Vec<String>,
    talk: (ChildStdin, BufReader<ChildStdout>),
    _child: Child,
}

impl Cluster {
    fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services");
        let mut services = Command::new(script);
        services.args(["run", "--cluster", "rabbitmq"]);
        let mut child = services.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let talk = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut cluster = Self { urls: Vec::new(), talk, _child: child };
        loop {
            let line = cluster.line();
            if let Some(urls) = line.strip_prefix("RABBITMQ_URLS=") {
                cluster.urls = urls.split(',').map(str::to_owned).collect();
            } else if line == "ready" {
                return cluster;
            }
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.talk.1.read_line(&mut line).unwrap() > 0, "scripts/services ended");
        line.trim().to_owned()
    }

    fn kill(&mut self, node: &str) {
        writeln!(self.talk.0, "kill {node}").unwrap();
        while !self.line().starts_with("done") {}
    }
}

fn entry(seq: u64, random: &Random) -> LineEntry {
    let item = Item::counted(SkuId::new("a").unwrap(), 1);
    LineEntry {
        entry: EntryId::generate(UnixMillis(1_767_225_600_000), random),
        buyer: BuyerId::new("b-1").unwrap(),
        seq: Seq(seq),
        holes_below: 0,
        basket: Basket::new(vec![item]).unwrap(),
        joined_at: UnixMillis(1_767_225_600_000),
        address: None,
        reach: None,
        stands_since: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_death_of_one_node_of_three_loses_nothing() {
    let mut cluster = tokio::task::spawn_blocking(Cluster::start).await.unwrap();
    let options = RabbitmqOptions {
        urls: cluster.urls.clone(),
        start_timeout: PATIENCE,
        ..RabbitmqOptions::default()
    };
    let backend = open(options, Arc::new(SystemClock)).await.unwrap();
    let (waiting, sale, random) =
        (backend.waiting(), SaleId::new("drop").unwrap(), Random::system());
    waiting.declare(&sale).await.unwrap();
    let mut drain = timeout(PATIENCE, waiting.drain(&sale)).await.unwrap().unwrap();
    let mut missing = BTreeSet::new();
    for seq in 1..=100 {
        let one = entry(seq, &random);
        waiting.offer(&sale, vec![one.clone()]).await.unwrap();
        missing.insert(one.entry);
    }
    for _ in 0..30 {
        let message = timeout(PATIENCE, drain.intake.next()).await.unwrap().unwrap();
        drain.outlet.ack(&[message.tag]).await.unwrap();
        for one in message.entries {
            missing.remove(&one.entry);
        }
    }
    // All connections went to this node, the first of the list, and so did the leaders.
    let mut cluster = tokio::task::spawn_blocking(move || {
        cluster.kill("rabbitmq");
        cluster
    })
    .await
    .unwrap();
    let began = Instant::now();
    let mut seq = 1_000;
    for _ in 0..50 {
        loop {
            assert!(began.elapsed() < PATIENCE, "offers go on at the other nodes");
            seq += 1;
            let one = entry(seq, &random);
            if waiting.offer(&sale, vec![one.clone()]).await.is_ok() {
                missing.insert(one.entry);
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
    drop(drain);
    while !missing.is_empty() {
        assert!(began.elapsed() < PATIENCE * 2, "{} are lost", missing.len());
        let Ok(Ok(mut drain)) = timeout(PATIENCE, waiting.drain(&sale)).await else { continue };
        while let Ok(Ok(message)) = timeout(Duration::from_secs(20), drain.intake.next()).await {
            for one in message.entries {
                missing.remove(&one.entry);
            }
            if missing.is_empty() {
                break;
            }
        }
    }
    backend.close().await;
    cluster.urls.clear();
}
