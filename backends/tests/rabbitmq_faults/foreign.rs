//! Strangers' messages in our queues: they are set aside with a reason, and hold nobody up.

use lapin::{
    BasicProperties,
    options::{BasicGetOptions, BasicRejectOptions},
    types::{AMQPValue, FieldTable},
};
use sluice_core::{
    clock::UnixMillis,
    event::Turn,
    ids::{OrderId, PaymentId},
    money::{AmountFen, Currency},
    ports::{PaymentState, PaymentUpdate, conformance::House as _},
    random::Random,
};

use crate::{alone, drop_sale, entry, home, raw::Raw, soon, turn, until};

const JUNK: [&[u8]; 4] = [b"hello", b"{}", b"", b"\xff\xfe\x00"];

/// A stranger's properties, among them such as would make a careless burial fail or vanish.
fn strange() -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("CC".into(), AMQPValue::FieldArray(vec![].into()));
    BasicProperties::default()
        .with_headers(headers)
        .with_user_id("guest".into())
        .with_expiration("60000".into())
        .with_content_type("text/plain".into())
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_messages_are_buried_with_a_reason_and_stall_nobody() {
    let _alone = alone().await;
    let home = home().await;
    let (ports, sale) = (home.port(), drop_sale());
    ports.waiting.declare(&sale).await.unwrap();
    let raw = Raw::connect(&home.url()).await;
    for body in JUNK {
        raw.publish("", "sluice.waiting.drop", body, strange()).await;
        raw.publish("", "sluice.turns", body, strange()).await;
    }
    ports.waiting.offer(&sale, vec![entry(1)]).await.unwrap();

    let mut drain = soon("the drain", ports.waiting.drain(&sale)).await.unwrap();
    let message = soon("our own message", drain.intake.next()).await.unwrap();
    assert_eq!(message.entries[0].seq.0, 1);
    drain.outlet.release(vec![turn(1)]).await.unwrap();
    // Junk fills the whole prefetch, and must make room again.
    let mut worker = ports.turns.consume(2).await.unwrap();
    let came = soon("our own turn", worker.deliveries.next(10)).await.unwrap();
    assert_eq!(came[0].turn.line_entry.seq.0, 1);

    let all = 2 * u32::try_from(JUNK.len()).unwrap();
    until("the burials", async || (raw.ready("sluice.dead").await == all).then_some(())).await;
    worker.outlet.ack(&[came[0].tag]).await.unwrap();
    drain.outlet.ack(&[message.tag]).await.unwrap();
    drop((drain, worker));
    until("empty hands", async || (ports.turns.depths().await.unwrap().turns == 0).then_some(()))
        .await;
    assert_eq!(raw.ready("sluice.dead").await, all, "each is buried once");

    let mut bodies = Vec::new();
    for buried in raw.all("sluice.dead").await {
        let headers = buried.properties.headers().clone().unwrap();
        let text = |key: &str| match headers.inner().get(key) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => panic!("{key}: {other:?}"),
        };
        assert!(!text("x-sluice-reason").is_empty());
        assert!(text("x-sluice-source").starts_with("sluice."));
        assert_eq!(*buried.properties.expiration(), None, "it stays");
        bodies.push(buried.data);
    }
    bodies.sort();
    let mut junk: Vec<Vec<u8>> = JUNK.iter().chain(&JUNK).map(|body| body.to_vec()).collect();
    junk.sort();
    assert_eq!(bodies, junk, "as they were");
    raw.close().await;
}

/// A kept callback, and what a careless reader might take for one.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_in_the_callback_inbox_are_buried_and_stall_no_callback() {
    let _alone = alone().await;
    let home = home().await;
    let inbox = home.port().inbox;
    let (random, now) = (Random::system(), UnixMillis(1_767_225_600_000));
    let update = PaymentUpdate {
        payment: PaymentId::generate(now, &random),
        order: OrderId::generate(now, &random),
        version: 1,
        state: PaymentState::Succeeded,
        amount: AmountFen(100),
        currency: Currency::CNY,
    };
    let raw = Raw::connect(&home.url()).await;
    let ours = |kind: &str| BasicProperties::default().with_type(kind.into());
    let body = format!(
        r#"{{"payment":"{}","order":"{}","version":1,"state":"given","amount_fen":1,"currency":"CNY"}}"#,
        update.payment, update.order
    );
    for body in JUNK {
        raw.publish("", "sluice.callbacks", body, strange()).await;
        raw.publish("", "sluice.callbacks", body, ours("sluice.callback.v1")).await;
    }
    raw.publish("", "sluice.callbacks", body.as_bytes(), ours("sluice.callback.v1")).await;
    raw.publish("", "sluice.callbacks", body.as_bytes(), ours("sluice.callback.v9")).await;
    inbox.keep(&update).await.unwrap();

    let mut intake = soon("an intake", inbox.consume(2)).await.unwrap();
    let came = soon("our own callback", intake.deliveries.next(10)).await.unwrap();
    assert_eq!((came.len(), &came[0].update), (1, &update));
    let all = 2 * u32::try_from(JUNK.len()).unwrap() + 2;
    until("the burials", async || (raw.ready("sluice.dead").await == all).then_some(())).await;
    intake.outlet.bury(came[0].tag, "as the test wants it").await.unwrap();
    until("our own burial", async || (raw.ready("sluice.dead").await == all + 1).then_some(()))
        .await;
    drop(intake);
    let mut told = Vec::new();
    for buried in raw.all("sluice.dead").await {
        let headers = buried.properties.headers().clone().unwrap();
        let text = |key: &str| match headers.inner().get(key) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => panic!("{key}: {other:?}"),
        };
        assert_eq!(text("x-sluice-source"), "sluice.callbacks");
        told.push(text("x-sluice-reason"));
    }
    for words in ["newer version", "not a kept callback", "not the state", "as the test wants it"] {
        assert!(told.iter().any(|reason| reason.contains(words)), "{words}: {told:?}");
    }
    assert_eq!(raw.ready("sluice.callbacks").await, 0);
    raw.close().await;
}

/// What an order backend of somebody's own does with a turn it cannot read.
#[tokio::test(flavor = "multi_thread")]
async fn a_turn_that_a_consumer_rejects_is_buried_by_the_broker() {
    let _alone = alone().await;
    let home = home().await;
    let (ports, sale) = (home.port(), drop_sale());
    ports.waiting.declare(&sale).await.unwrap();
    let drain = soon("the drain", ports.waiting.drain(&sale)).await.unwrap();
    drain.outlet.release(vec![turn(1)]).await.unwrap();
    let raw = Raw::connect(&home.url()).await;
    let plain = BasicGetOptions::default();
    let taken = raw.channel.basic_get("sluice.turns".into(), plain).await.unwrap().unwrap();
    assert_eq!(taken.delivery.data, turn_json(&taken.delivery.data));
    let for_good = BasicRejectOptions { requeue: false };
    raw.channel.basic_reject(taken.delivery.delivery_tag, for_good).await.unwrap();
    until("the burial", async || (raw.ready("sluice.dead").await == 1).then_some(())).await;
    assert_eq!(raw.ready("sluice.unrouted").await, 0);
    raw.close().await;
}

/// The same turn, written again.
fn turn_json(body: &[u8]) -> Vec<u8> {
    Turn::from_json(body).unwrap().to_json().unwrap()
}
