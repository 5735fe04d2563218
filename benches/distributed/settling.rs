//! Payment callbacks, signed as a provider signs them, at one worker: each is answered once its payment, its order, the stock and
//! the movement are committed in PostgreSQL; nobody else is asked to fulfil it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use sluice_backends::postgres::{Postgres, PostgresOptions};
use sluice_core::{
    clock::Clock,
    ids::{OrderId, PaymentId},
    ports::HoldRequest,
    webhook::Secrets,
};
use sqlx::{Connection, PgConnection, Row, types::Uuid};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet};

use super::{
    deployment::Deployment,
    load,
    sale::{SALE, STANDING},
    stores::WEBHOOK,
    turns::Names,
};

const CALLBACKS: usize = 60_000;
/// Callbacks a provider has open at a time.
const OPEN_MAX: usize = 512;
/// Orders of one transaction.
const BATCH: usize = 256;

pub(crate) async fn measure() {
    let deployment = Deployment::start(STANDING, &["dispatcher", "worker"]).await;
    let callbacks = Arc::new(callbacks(&deployment.stores.postgres).await);
    let (next, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut provider = JoinSet::new();
    for _ in 0..OPEN_MAX {
        let mut stream = TcpStream::connect(deployment.work).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (callbacks, next) = (Arc::clone(&callbacks), Arc::clone(&next));
        let answered = Arc::clone(&answered);
        provider.spawn(async move {
            let mut buffer = Vec::with_capacity(1_024);
            while let Some(callback) = callbacks.get(next.fetch_add(1, Relaxed)) {
                stream.write_all(callback).await.unwrap();
                let status = load::read(&mut stream, &mut buffer).await;
                assert_eq!(status, 200, "{}", String::from_utf8_lossy(&buffer));
                answered.fetch_add(1, Relaxed);
            }
        });
    }
    let began = when(&answered, CALLBACKS / 10).await;
    let ended = when(&answered, CALLBACKS / 10 * 9).await;
    let settled = f64::from(u32::try_from(CALLBACKS / 10 * 8).unwrap());
    let pace = settled / (ended - began).as_secs_f64();
    while let Some(sent) = provider.join_next().await {
        sent.unwrap();
    }
    let mut ledger = PgConnection::connect(&deployment.stores.postgres).await.unwrap();
    let fulfilled = sqlx::query_scalar::<_, i64>(include_str!("sql/fulfilled.sql"));
    let fulfilled = fulfilled.fetch_one(&mut ledger).await.unwrap();
    assert_eq!(usize::try_from(fulfilled), Ok(CALLBACKS), "an order fulfilled for each");
    println!(
        "settling  {pace:.0}/s callbacks answered after their commit by one worker, {OPEN_MAX} open (target >= 8000)"
    );
}

async fn when(answered: &AtomicUsize, count: usize) -> Instant {
    while answered.load(Relaxed) < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Instant::now()
}

/// Orders that await the payment each of them has begun, and the words that they are paid, as they go over the wire.
async fn callbacks(url: &str) -> Vec<Vec<u8>> {
    let names = Names::system();
    let postgres = Postgres::open(PostgresOptions::new(url)).await.unwrap();
    let requests: Vec<HoldRequest> =
        (1..=CALLBACKS).map(|n| names.held("payer", u32::try_from(n).unwrap())).collect();
    for batch in requests.chunks(BATCH) {
        postgres.ledger().hold(&SALE.parse().unwrap(), batch.to_vec()).await.unwrap();
    }
    postgres.close(Duration::from_secs(5)).await;
    let mut ledger = PgConnection::connect(url).await.unwrap();
    let payment = |_| *PaymentId::generate(names.clock.now(), &names.random).as_bytes();
    let payments: Vec<Uuid> = (0..CALLBACKS).map(payment).map(Uuid::from_bytes).collect();
    let begin = sqlx::query(include_str!("sql/payments.sql")).bind(payments);
    let begun = begin.fetch_all(&mut ledger).await.unwrap();
    assert_eq!(begun.len(), CALLBACKS, "an order each, and a payment of it");
    let secrets = Secrets::new(&[WEBHOOK]).unwrap();
    let word = |row: &sqlx::postgres::PgRow| {
        let (payment, order): (Uuid, Uuid) = (row.get(0), row.get(1));
        let payment = PaymentId::from_bytes(payment.into_bytes());
        let body = serde_json::json!({
            "payment": payment, "order": OrderId::from_bytes(order.into_bytes()), "version": 1,
            "status": "succeeded", "amount_fen": row.get::<i64, _>(2), "currency": "CNY",
            "occurred_at": "2026-11-11T12:00:00Z",
        })
        .to_string();
        let signed = secrets.sign(&payment.to_string(), names.clock.now(), body.as_bytes());
        format!(
            "POST /v1/payments/simulated/callback HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n\
             webhook-id: {}\r\nwebhook-timestamp: {}\r\nwebhook-signature: {}\r\ncontent-length: {}\r\n\r\n{body}",
            signed.id,
            signed.timestamp,
            signed.signature,
            body.len()
        )
        .into_bytes()
    };
    begun.iter().map(word).collect()
}
