//! Messages that find no queue. A broker can return them, but the client library hands the returned message to whichever
//! confirm comes next; so what counts is where they end.

use std::{collections::BTreeSet, time::Duration};

use futures_util::future::join_all;
use lapin::{BasicProperties, Confirmation, options::BasicPublishOptions};
use sluice_core::ports::conformance::House as _;
use tokio::time::Instant;

use crate::{alone, drop_sale, entry, home, raw::Raw, soon, until};

/// How long lies are looked for; most rounds have one.
const LOOK: Duration = Duration::from_secs(60);
const MESSAGES: usize = 2_000;

/// Every tenth finds no queue.
fn is_lost(n: usize) -> bool {
    n.is_multiple_of(10)
}

fn key(n: usize) -> &'static str {
    if is_lost(n) { "nowhere" } else { "sluice.turns" }
}

fn properties(n: usize) -> BasicProperties {
    BasicProperties::default().with_message_id(n.to_string().into())
}

#[tokio::test(flavor = "multi_thread")]
async fn mandatory_lies_and_the_alternate_exchange_does_not() {
    let _alone = alone().await;
    let home = home().await;
    let raw = Raw::connect(&home.url()).await;

    // The careless form: `mandatory`, and believing what comes with the confirm.
    let mut lies = 0;
    let began = Instant::now();
    while began.elapsed() < LOOK {
        let mut confirms = Vec::new();
        for n in 0..MESSAGES {
            let asked = BasicPublishOptions { mandatory: true, immediate: false };
            let publish =
                raw.channel.basic_publish("".into(), key(n).into(), asked, b"{}", properties(n));
            confirms.push(publish.await.unwrap());
        }
        for (n, confirm) in soon("the confirms", join_all(confirms)).await.into_iter().enumerate() {
            let said_lost = matches!(confirm.unwrap(), Confirmation::Ack(Some(_)));
            lies += usize::from(said_lost != is_lost(n));
        }
        if lies > 0 {
            break;
        }
    }
    assert!(lies > 0, "the library tells the truth now: then this care is no longer needed");

    // Ours: an exchange with an alternate.
    let mut confirms = Vec::new();
    for n in 0..MESSAGES {
        let plain = BasicPublishOptions::default();
        let publish = raw.channel.basic_publish(
            "sluice.turns".into(),
            key(n).into(),
            plain,
            b"{}",
            properties(n),
        );
        confirms.push(publish.await.unwrap());
    }
    for confirm in soon("the confirms", join_all(confirms)).await {
        assert_eq!(confirm.unwrap(), Confirmation::Ack(None));
    }
    let caught = raw.all("sluice.unrouted").await;
    let caught: BTreeSet<usize> = caught
        .iter()
        .map(|one| one.properties.message_id().as_ref().unwrap().as_str().parse().unwrap())
        .collect();
    assert_eq!(caught, (0..MESSAGES).filter(|n| is_lost(*n)).collect::<BTreeSet<usize>>());
    raw.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_to_a_queue_that_vanished_is_kept_among_the_unrouted() {
    let _alone = alone().await;
    let home = home().await;
    let (ports, sale) = (home.port(), drop_sale());
    ports.waiting.declare(&sale).await.unwrap();
    ports.waiting.offer(&sale, vec![entry(1)]).await.unwrap();
    // Another process deletes the sale; this one does not know.
    let other = home.open().await.unwrap();
    other.waiting().remove(&sale).await.unwrap();
    ports.waiting.offer(&sale, vec![entry(2)]).await.unwrap();
    let raw = Raw::connect(&home.url()).await;
    until("the unrouted message", async || (raw.ready("sluice.unrouted").await == 1).then_some(()))
        .await;
    // Whoever looks first is told that there is no such queue, and stores nothing.
    let third = home.open().await.unwrap();
    assert!(third.waiting().offer(&sale, vec![entry(3)]).await.is_err());
    assert_eq!(raw.ready("sluice.unrouted").await, 1);
    raw.close().await;
    other.close().await;
    third.close().await;
}
