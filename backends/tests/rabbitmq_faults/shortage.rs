//! The broker is short of memory, or slower than its callers: load is shed by name, and everything goes on afterwards.

use std::{sync::Arc, time::Duration};

use sluice_backends::{
    clock::SystemClock,
    rabbitmq::{RabbitmqOptions, open},
};
use sluice_core::ports::{PortError, conformance::House as _};
use tokio::task::JoinSet;

use crate::{alone, drop_sale, entry, fault, home, proxy::Proxy, server, soon, timed, turn, until};

async fn memory_limit(limit: &'static str) {
    let server = server().await;
    let set = move || server.rabbitmqctl(&["set_vm_memory_high_watermark", limit]);
    tokio::task::spawn_blocking(set).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_short_of_memory_sheds_load_and_recovers() {
    let _alone = alone().await;
    let home = home().await;
    let (ports, sale) = (home.port(), drop_sale());
    ports.waiting.declare(&sale).await.unwrap();
    let mut drain = soon("the drain", ports.waiting.drain(&sale)).await.unwrap();
    drain.outlet.release(vec![turn(1), turn(2)]).await.unwrap();
    let mut worker = ports.turns.consume(1).await.unwrap();
    let held = soon("a turn", worker.deliveries.next(1)).await.unwrap();

    memory_limit("0.00001").await;
    // The first may still be taken, or be on its way when the broker says no.
    until("a refusal", async || {
        let refused = ports.waiting.offer(&sale, vec![entry(1)]).await;
        matches!(refused, Err(PortError::Full)).then_some(())
    })
    .await;
    let (refused, took) = timed(ports.waiting.offer(&sale, vec![entry(2)])).await;
    assert!(matches!(refused, Err(PortError::Full)), "{refused:?}");
    assert!(took < Duration::from_millis(500), "at once: {took:?}");
    // Workers go on: they acknowledge over a connection that publishes nothing.
    worker.outlet.ack(&[held[0].tag]).await.unwrap();
    let next = soon("the next turn", worker.deliveries.next(1)).await.unwrap();
    assert_eq!(next[0].turn.line_entry.seq.0, 2);

    memory_limit("0.4").await;
    until("an offer that is taken", async || ports.waiting.offer(&sale, vec![entry(3)]).await.ok())
        .await;
    let wanted = soon("that offer", async {
        loop {
            let message = drain.intake.next().await.unwrap();
            if message.entries.iter().any(|one| one.seq.0 == 3) {
                return;
            }
        }
    });
    wanted.await;
    until("a release", async || drain.outlet.release(vec![turn(4)]).await.ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_a_frozen_broker_cannot_serve_are_bounded() {
    let _alone = alone().await;
    let home = home().await;
    let options = RabbitmqOptions {
        publish_channels: 1,
        window_messages_max: 8,
        calls_max: 16,
        answer_timeout: Duration::from_secs(2),
        ..home.options()
    };
    let backend = open(options, Arc::new(SystemClock)).await.unwrap();
    let (waiting, sale) = (backend.waiting(), drop_sale());
    waiting.declare(&sale).await.unwrap();
    fault("pause").await;
    let mut offers = JoinSet::new();
    for seq in 1..=200 {
        let (waiting, sale) = (Arc::clone(&waiting), sale.clone());
        offers.spawn(async move { waiting.offer(&sale, vec![entry(seq)]).await });
    }
    let (answers, took) = timed(soon("every answer", offers.join_all())).await;
    fault("resume").await;
    let full = answers.iter().filter(|one| matches!(one, Err(PortError::Full))).count();
    let unknown =
        answers.iter().filter(|one| matches!(one, Err(PortError::Unavailable(_)))).count();
    assert_eq!(full + unknown, 200, "{answers:?}");
    assert!(unknown <= 8 + 16 + 1, "{unknown} were let in");
    assert!(took < Duration::from_secs(6), "{took:?}");
    until("an offer that is taken", async || waiting.offer(&sale, vec![entry(999)]).await.ok())
        .await;
    backend.close().await;
}

/// More is released at once than may be unconfirmed, and the confirms stop although the connection lives.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_stalls_in_the_midst_of_one_call_is_given_up() {
    let _alone = alone().await;
    let home = home().await;
    let proxy = Proxy::before(server().await.address()).await;
    let options = RabbitmqOptions {
        urls: vec![proxy.url(&home.url())],
        window_messages_max: 4,
        confirms_stalled_after: Duration::from_secs(1),
        // Nothing else may notice.
        heartbeat_seconds: 120,
        answer_timeout: Duration::from_secs(60),
        ..home.options()
    };
    let backend = open(options, Arc::new(SystemClock)).await.unwrap();
    let (waiting, sale) = (backend.waiting(), drop_sale());
    waiting.declare(&sale).await.unwrap();
    let drain = soon("the drain", waiting.drain(&sale)).await.unwrap();
    drain.outlet.release((1..=20).map(turn).collect()).await.unwrap();
    proxy.freeze();
    let (released, took) = timed(drain.outlet.release((21..=40).map(turn).collect())).await;
    assert!(matches!(released, Err(PortError::Unavailable(_))), "{released:?}");
    assert!(took < Duration::from_secs(20), "long before anything else notices: {took:?}");
    assert!(drain.outlet.release(vec![turn(41)]).await.is_err(), "the channel is over");
    proxy.thaw();
    backend.close().await;
}
