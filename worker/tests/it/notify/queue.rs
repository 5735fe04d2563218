//! The queue before the channels: bounded, never in the way, and gone in good order.

use std::sync::Arc;

use sluice_core::ports::Notification;
use sluice_worker::notify::{QueueSettings, Shed, queue};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{in_turn, prompt, reserved, webhook};
use crate::{house::PATIENCE, recorder::Recorder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_offered_is_sent_while_whoever_offered_it_goes_on() {
    let recorder = Recorder::open(&[Some(503)]).await;
    let notifier = in_turn(vec![webhook(&recorder.url())], prompt());
    let (notices, sending) = queue(notifier, QueueSettings { waiting_max: 8, at_once_max: 2 });
    for _ in 0..8 {
        notices.offer(reserved("ada@example.com")).unwrap();
    }
    let full = notices.offer(reserved("ada@example.com"));
    assert_eq!(full, Err(Shed(Box::new(reserved("ada@example.com")))), "it comes back");

    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(sending.run(shutdown.clone()));
    recorder.at_least(9).await;
    notices.offer(reserved("ada@example.com")).unwrap();
    recorder.at_least(10).await;
    shutdown.cancel();
    let ended = tokio::time::timeout(PATIENCE, tasks.join_next()).await.expect("it stops");
    ended.unwrap().unwrap();
    assert!(notices.offer(reserved("ada@example.com")).is_err(), "it is over");
    recorder.close().await;
}

/// Nobody has news any more, or the other way round: neither ends the role before it is told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_ends_when_it_is_told_to_and_finishes_what_it_has_begun() {
    let recorder = Recorder::open(&[]).await;
    let notifier = in_turn(vec![webhook(&recorder.url())], prompt());
    let (notices, sending) = queue(Arc::clone(&notifier), QueueSettings::default());
    notices.offer(Notification { ..reserved("ada@example.com") }).unwrap();
    drop(notices);
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(sending.run(shutdown.clone()));
    recorder.at_least(1).await;
    tokio::task::yield_now().await;
    assert!(tasks.try_join_next().is_none(), "it goes on");
    shutdown.cancel();
    tokio::time::timeout(PATIENCE, tasks.join_next()).await.expect("it stops");
    recorder.close().await;
}
