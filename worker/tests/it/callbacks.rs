//! Callbacks at the door: which signatures, times, sizes and numbers of them pass. What they do is told in `money`.

use std::{sync::Arc, time::Duration};

use http::Method;
use serde_json::{Value, json};
use sluice_core::{
    clock::UnixMillis, ids::OrderId, order::OrderState, ports::PaymentState, webhook::Secrets,
};
use sluice_worker::WorkerPorts;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::{
    house::{House, PATIENCE, PRICE, SECRET},
    shop::{Answer, Opening, Shop},
};

const PATH: &str = "/v1/payments/simulated/callback";
const NEXT: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const FOREIGN: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
/// How far a callback's time may be from ours, and a little more.
const TOLERATED: i64 = 300_000;

/// An order whose payment is begun, and a shop that is called back about it by nobody but the test.
struct Door {
    house: House,
    shop: Shop,
    order: OrderId,
    payment: String,
}

impl Door {
    async fn open(secrets: &[&str]) -> Self {
        let house = House::open(10).await;
        let order = house.order(&[house.entry(1, "ada", 2)]).await[0];
        let ports = WorkerPorts { secrets: Secrets::new(secrets).unwrap(), ..house.worker_ports() };
        let opening = Opening { ports, callbacks: false, ..Opening::of(&house) };
        let shop = opening.open(&house).await;
        let payment = house.new_payment();
        house.ports.ledger.begin_payment(order, payment, "simulated").await.unwrap();
        Self { house, shop, order, payment: payment.to_string() }
    }

    fn word(&self, version: u64, status: &str) -> Value {
        json!({"payment": self.payment, "order": self.order, "version": version, "status": status,
            "amount_fen": 2 * PRICE, "currency": "CNY", "occurred_at": "2026-11-11T12:00:00Z"})
    }

    /// Calls back with a body that is signed with `secret` at `at`.
    async fn call(&self, secret: &str, at: UnixMillis, body: Vec<u8>) -> Answer {
        self.call_signed(secret, at, &body.clone(), body).await
    }

    /// Sends another body than the one that was signed.
    async fn call_signed(
        &self,
        secret: &str,
        at: UnixMillis,
        signed: &[u8],
        body: Vec<u8>,
    ) -> Answer {
        let signed = Secrets::new(&[secret]).unwrap().sign("msg_1", at, signed);
        let headers = [
            ("content-type", "application/json"),
            ("webhook-id", signed.id.as_str()),
            ("webhook-timestamp", signed.timestamp.as_str()),
            ("webhook-signature", signed.signature.as_str()),
        ];
        self.shop.send(Method::POST, PATH, &headers, body).await
    }

    async fn payment_state(&self) -> PaymentState {
        let payment = self.payment.parse().unwrap();
        self.house.ports.ledger.payment(payment).await.unwrap().unwrap().state
    }
}

fn bytes(word: &Value) -> Vec<u8> {
    serde_json::to_vec(word).unwrap()
}

/// A secret is changed without a gap: both verify, the new one is promoted, the old one goes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_secret_is_changed_both_verify() {
    for (secrets, passing) in [
        (vec![SECRET], vec![SECRET]),
        (vec![SECRET, NEXT], vec![SECRET, NEXT]),
        (vec![NEXT, SECRET], vec![SECRET, NEXT]),
        (vec![NEXT], vec![NEXT]),
    ] {
        let door = Door::open(&secrets).await;
        for (version, secret) in (1..).zip([SECRET, NEXT, FOREIGN]) {
            let body = bytes(&door.word(version, "failed"));
            let answer = door.call(secret, door.house.now(), body).await;
            if passing.contains(&secret) {
                assert_eq!(answer.status, 200, "{answer:?}");
            } else {
                answer.assert_problem(401, "bad_signature");
            }
        }
        assert_eq!(door.payment_state().await, PaymentState::Failed);
        door.shop.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_from_long_ago_or_from_ahead_is_refused() {
    let door = Door::open(&[SECRET]).await;
    let now = door.house.now();
    let at = |off: i64| UnixMillis(now.0 + off);
    for off in [-TOLERATED - 1_000, TOLERATED + 1_000, -86_400_000] {
        let answer = door.call(SECRET, at(off), bytes(&door.word(9, "succeeded"))).await;
        answer.assert_problem(401, "bad_signature");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("300 s"), "{detail}");
    }
    assert_eq!(door.payment_state().await, PaymentState::Pending, "none of it counted");
    for (version, off) in [(1, -TOLERATED), (2, TOLERATED)] {
        let answer = door.call(SECRET, at(off), bytes(&door.word(version, "failed"))).await;
        assert_eq!(answer.status, 200, "{off}: {answer:?}");
    }
    // What was good then is not good for ever.
    let old = door.house.now();
    door.house.clock.advance(Duration::from_secs(301));
    let replayed = door.call(SECRET, old, bytes(&door.word(9, "succeeded"))).await;
    replayed.assert_problem(401, "bad_signature");
    door.shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_are_cut_padded_or_too_large_change_nothing() {
    let door = Door::open(&[SECRET]).await;
    let (now, good) = (door.house.now(), bytes(&door.word(1, "succeeded")));
    for cut in [0, 1, good.len() / 2, good.len() - 1] {
        let part = good[..cut].to_vec();
        let changed = door.call_signed(SECRET, now, &good, part.clone()).await;
        changed.assert_problem(401, "bad_signature");
        let signed_so = door.call(SECRET, now, part).await;
        signed_so.assert_problem(400, "bad_request");
    }
    let mut padded = good.clone();
    padded.push(b' ');
    let changed = door.call_signed(SECRET, now, &good, padded).await;
    changed.assert_problem(401, "bad_signature");
    let mut large = good.clone();
    large.resize(16 * 1_024 + 1, b' ');
    door.call(SECRET, now, large).await.assert_problem(413, "body_too_large");
    assert_eq!(door.payment_state().await, PaymentState::Pending);
    assert_eq!(door.house.find(door.order).await.state, OrderState::AwaitingPayment);

    let mut largest = good;
    largest.resize(16 * 1_024, b' ');
    assert_eq!(door.call(SECRET, now, largest).await.status, 200);
    door.house.order_in(door.order, OrderState::Fulfilled).await;
    door.shop.close().await;
}

/// The connection ends in the middle of a body: nothing is applied, and the server serves on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_ends_early_changes_nothing() {
    let door = Door::open(&[SECRET]).await;
    let body = bytes(&door.word(1, "succeeded"));
    let signed = Secrets::new(&[SECRET]).unwrap().sign("msg_1", door.house.now(), &body);
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: shop\r\ncontent-type: application/json\r\ncontent-length: {}\r\nwebhook-id: {}\r\nwebhook-timestamp: {}\r\nwebhook-signature: {}\r\n\r\n",
        body.len(),
        signed.id,
        signed.timestamp,
        signed.signature
    );
    let mut wire = TcpStream::connect(door.shop.address).await.unwrap();
    wire.write_all(head.as_bytes()).await.unwrap();
    wire.write_all(&body[..body.len() - 1]).await.unwrap();
    wire.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, wire.read_to_end(&mut answer)).await;
    read.expect("the server says something or hangs up").unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains(" 200 "), "{answer:?}");
    assert_eq!(door.payment_state().await, PaymentState::Pending);
    let whole = door.call(SECRET, door.house.now(), body).await;
    assert_eq!(whole.status, 200, "{whole:?}");
    door.shop.close().await;
}

/// A provider has one address and much to say: more than any buyer may ask, in the same second of our clock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_authentic_callbacks_from_one_address_pass() {
    const CALLS: u64 = 2_400;
    const AT_ONCE: u64 = 32;
    let door = Arc::new(Door::open(&[SECRET]).await);
    let mut senders = JoinSet::new();
    for sender in 0..AT_ONCE {
        let door = Arc::clone(&door);
        senders.spawn(async move {
            for n in (sender..CALLS).step_by(AT_ONCE as usize) {
                let body = bytes(&door.word(n, "failed"));
                let answer = door.call(SECRET, door.house.now(), body).await;
                assert_eq!(answer.status, 200, "{n}: {answer:?}");
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        ended.unwrap();
    }
    let payment = door.payment.parse().unwrap();
    let known = door.house.ports.ledger.payment(payment).await.unwrap().unwrap();
    assert_eq!((known.state, known.version), (PaymentState::Failed, CALLS - 1), "the newest word");
    let forged = async || {
        let body = bytes(&door.word(CALLS, "succeeded"));
        door.call(FOREIGN, door.house.now(), body).await
    };
    // The address has its whole budget left: none of those calls was counted.
    forged().await.assert_problem(401, "bad_signature");
    let left = forged().await.header("ratelimit").to_owned();
    let left: u64 =
        left.split("r=").nth(1).and_then(|rest| rest.split(';').next()?.parse().ok()).unwrap();
    assert!(left >= 400, "{left} of 500 are left");
    Arc::into_inner(door).expect("nobody else").shop.close().await;
}
