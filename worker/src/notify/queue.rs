//! A bounded queue before a notifier: whoever has news drops it here and goes on. What it has no room for is shed, by name; it
//! is in memory, so what still waits at the end of a process is left too. News that must arrive needs a place in the ledger.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sluice_core::ports::{Notification, Notifier, NotifyError, Occasion};
use tokio::time::timeout;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// How long what is being sent may take once the process is to end: less than a process is given for its end.
const DRAIN: Duration = Duration::from_secs(5);

/// The limits of a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueSettings {
    /// Most notifications that wait. One more is shed.
    pub waiting_max: usize,
    /// Most notifications being sent at a time; the rest waits.
    pub at_once_max: usize,
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self { waiting_max: 4_096, at_once_max: 32 }
    }
}

/// The end of the queue that takes.
#[derive(Clone, Debug)]
pub struct Notices(mpsc::Sender<Notification>);

/// The queue is full, or over: the notification comes back.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("too many notifications wait: one was shed")]
pub struct Shed(pub Box<Notification>);

/// The end of the queue that sends.
#[derive(Debug)]
pub struct NoticeQueue {
    waiting: mpsc::Receiver<Notification>,
    notifier: Arc<dyn Notifier>,
    settings: QueueSettings,
}

/// Both ends of a queue before `notifier`.
#[must_use]
pub fn queue(notifier: Arc<dyn Notifier>, settings: QueueSettings) -> (Notices, NoticeQueue) {
    let (sender, waiting) = mpsc::channel(settings.waiting_max.max(1));
    (Notices(sender), NoticeQueue { waiting, notifier, settings })
}

impl Notices {
    /// Leaves a notification to be sent, without waiting.
    pub fn offer(&self, notification: Notification) -> Result<(), Shed> {
        self.0.try_send(notification).map_err(|refused| {
            let (TrySendError::Full(notification) | TrySendError::Closed(notification)) = refused;
            metrics::notification(notification.occasion, "shed");
            Shed(Box::new(notification))
        })
    }
}

impl NoticeQueue {
    /// Sends until `shutdown`; then what is being sent is finished, and what waits is left.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let at_once_max = self.settings.at_once_max.max(1);
        let mut sending = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(sent) = sending.join_next() => report(&sent),
                next = self.waiting.recv(), if sending.len() < at_once_max => {
                    let Some(notification) = next else {
                        // Nobody is left who could have news; the role goes on.
                        shutdown.cancelled().await;
                        break;
                    };
                    sending.spawn(send(Arc::clone(&self.notifier), notification));
                }
            }
        }
        self.waiting.close();
        let finished = async {
            while let Some(sent) = sending.join_next().await {
                report(&sent);
            }
        };
        if timeout(DRAIN, finished).await.is_err() {
            tracing::warn!(
                count = sending.len(),
                "notifications were still being sent when the process ended"
            );
            sending.shutdown().await;
        }
        let mut left = BTreeMap::<Occasion, u64>::new();
        while let Some(notification) = self.waiting.recv().await {
            *left.entry(notification.occasion).or_default() += 1;
            metrics::notification(notification.occasion, "left");
        }
        if !left.is_empty() {
            tracing::warn!(?left, "the process ends before these notifications were sent");
        }
    }
}

async fn send(notifier: Arc<dyn Notifier>, notification: Notification) {
    let result = match notifier.notify(&notification).await {
        Ok(()) => "delivered",
        Err(error @ NotifyError::Unavailable(_)) => {
            tracing::warn!(notification = %notification.id, error = &error as &dyn std::error::Error,
                "a notification was given up: no channel took it");
            "unavailable"
        }
        Err(error @ NotifyError::Undeliverable(_)) => {
            tracing::info!(notification = %notification.id, error = &error as &dyn std::error::Error,
                "a notification reaches nobody");
            "undeliverable"
        }
    };
    metrics::notification(notification.occasion, result);
}

fn report(sent: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = sent {
        tracing::error!(%error, "the sending of a notification died");
    }
}
