//! How long a request's head may take, for one connection. hyper asks for a new timer for every head and drops it when the head
//! is there, a moment later: to enter it in the runtime's wheel and to take it out again would cost more than reading the head.
//! So one timer stays in the wheel. When it fires it is too early for the head of that moment, and is set anew, or it is time.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use hyper::rt::{Sleep, Timer};

type Kept = Arc<Mutex<Option<Pin<Box<tokio::time::Sleep>>>>>;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct HeadTimer {
    /// The timer in the wheel, while no head is waited for.
    kept: Kept,
}

/// The wait for one head.
struct Waiting {
    until: tokio::time::Instant,
    /// In the wheel for `until` or an earlier time.
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    kept: Kept,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        let kept = Arc::clone(&self.kept);
        let until = deadline.into();
        let sleep = kept.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Nobody waits for less than the one before; if somebody does, theirs is a new timer.
        let sleep = sleep.filter(|sleep| sleep.deadline() <= until);
        Box::pin(Waiting { until, sleep, kept })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into()
    }
}

impl Future for Waiting {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let until = self.until;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= until {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(until);
        }
    }
}

impl Sleep for Waiting {}

impl Drop for Waiting {
    fn drop(&mut self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = self.sleep.take();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn in_the_wheel(timer: &HeadTimer) -> Option<tokio::time::Instant> {
        timer.kept.lock().unwrap().as_ref().map(|sleep| sleep.deadline())
    }

    #[tokio::test(start_paused = true)]
    async fn one_timer_serves_many_heads_and_each_has_its_whole_time() {
        let timer = HeadTimer::default();
        let began = tokio::time::Instant::now();
        for _ in 0..7 {
            let mut head = timer.sleep(TIMEOUT);
            assert!(poll!(&mut head).is_pending());
            tokio::time::advance(Duration::from_secs(1)).await;
            drop(head);
            assert_eq!(in_the_wheel(&timer), Some(began + TIMEOUT), "it was not set anew");
        }
        timer.sleep(TIMEOUT).await;
        assert_eq!(began.elapsed(), Duration::from_secs(7) + TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fired_meanwhile_is_set_anew() {
        let timer = HeadTimer::default();
        assert!(poll!(timer.sleep(TIMEOUT)).is_pending());
        tokio::time::advance(3 * TIMEOUT).await;
        let began = tokio::time::Instant::now();
        timer.sleep(TIMEOUT).await;
        assert_eq!(began.elapsed(), TIMEOUT);
    }

    #[tokio::test(start_paused = true)]
    async fn less_time_than_before_is_kept_to() {
        let timer = HeadTimer::default();
        assert!(poll!(timer.sleep(TIMEOUT)).is_pending());
        let began = tokio::time::Instant::now();
        timer.sleep(TIMEOUT / 2).await;
        assert_eq!(began.elapsed(), TIMEOUT / 2);
    }
}
