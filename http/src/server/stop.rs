//! How a server tells its connections to end.
//!
//! A `CancellationToken` alone would do, but a connection would have to ask it at every wake-up, under a lock that all
//! connections share. Here a flag that nobody writes is asked instead, and the token is polled twice: to be woken by it,
//! and when it did.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// The server's end: tells everybody when it is dropped.
pub(super) struct Stop(Arc<Shared>);

#[derive(Default)]
struct Shared {
    began: AtomicBool,
    token: CancellationToken,
}

/// A connection's end. To be polled by one task only: it is that task's waker that is kept.
pub(super) struct Stopped {
    shared: Arc<Shared>,
    woken: Pin<Box<WaitForCancellationFutureOwned>>,
    registered: bool,
}

impl Stop {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    pub(super) fn stopped(&self) -> Stopped {
        let woken = Box::pin(self.0.token.clone().cancelled_owned());
        Stopped { shared: Arc::clone(&self.0), woken, registered: false }
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        // In this order: whoever is woken finds the flag.
        self.0.began.store(true, Ordering::Release);
        self.0.token.cancel();
    }
}

impl Future for Stopped {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.registered && !self.shared.began.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        self.registered = true;
        self.woken.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::{task::JoinSet, time::timeout};

    use super::*;

    #[tokio::test]
    async fn everybody_who_waits_or_will_wait_is_told() {
        let stop = Stop::new();
        let mut tasks = JoinSet::new();
        for _ in 0..10 {
            let mut stopped = stop.stopped();
            // As a connection does: polled many times before it is told.
            tasks.spawn(async move {
                for _ in 0..10 {
                    let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut stopped).poll(cx))).await;
                    assert!(polled.is_pending());
                    tokio::task::yield_now().await;
                }
                stopped.await;
            });
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let late = stop.stopped();
        drop(stop);
        timeout(Duration::from_secs(20), tasks.join_all()).await.unwrap();
        timeout(Duration::from_secs(20), late).await.unwrap();
    }
}
