//! How many buyers are served at a time. Every request on an order asks the ledger several times over. When more come than it
//! can answer, each waits for all the others until its deadline passes, and what was done for it was done for nothing: so
//! some are served, a few wait, and the rest hear at once when to come again.
//!
//! They are told to come so much later as there are more of them: about twice as many come back at a time as can be served.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use sluice_core::random::Random;
use sluice_http::Problem;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

/// How long somebody waits for a place, at most.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long those wait who are turned away, at least and at most.
const AGAIN_MIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(20);
/// How often the wait follows the crowd.
const WINDOW: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Tills {
    serving: Semaphore,
    waiting: Semaphore,
    crowd: Mutex<Crowd>,
    random: Arc<Random>,
}

#[derive(Debug)]
struct Crowd {
    since: Instant,
    served: u32,
    turned_away: u32,
    again: Duration,
}

impl Tills {
    /// So many are served at a time, and four times as many wait for a moment.
    pub(crate) fn new(serving: usize, random: Arc<Random>) -> Self {
        let crowd = Crowd { since: Instant::now(), served: 0, turned_away: 0, again: AGAIN_MIN };
        let (crowd, waiting) = (Mutex::new(crowd), Semaphore::new(serving.saturating_mul(4)));
        Self { serving: Semaphore::new(serving), waiting, crowd, random }
    }

    /// A place, for as long as it is kept. Enter when the request has been read, so that who sends slowly keeps nobody
    /// waiting. Or 503 `unavailable`, with when to come again.
    pub(crate) async fn enter(&self) -> Result<SemaphorePermit<'_>, Problem> {
        let place = match self.serving.try_acquire() {
            Ok(place) => Some(place),
            Err(_) => self.wait().await,
        };
        let wait = self.count(place.is_some(), Instant::now());
        place.ok_or_else(|| Problem::unavailable(wait.mul_f64(0.5 + self.random.unit())))
    }

    async fn wait(&self) -> Option<SemaphorePermit<'_>> {
        let _waits = self.waiting.try_acquire().ok()?;
        timeout(PATIENCE, self.serving.acquire()).await.ok()?.ok()
    }

    /// How long those wait who are turned away now, on average.
    fn count(&self, is_served: bool, now: Instant) -> Duration {
        let mut crowd = self.crowd.lock().unwrap_or_else(PoisonError::into_inner);
        if now.duration_since(crowd.since) >= WINDOW {
            let came = f64::from(crowd.served) + f64::from(crowd.turned_away);
            let factor = came / (2.0 * f64::from(crowd.served.max(1)));
            crowd.again = crowd.again.mul_f64(factor.clamp(0.5, 2.0)).clamp(AGAIN_MIN, AGAIN_MAX);
            (crowd.since, crowd.served, crowd.turned_away) = (now, 0, 0);
        }
        let counted = if is_served { &mut crowd.served } else { &mut crowd.turned_away };
        *counted = counted.saturating_add(1);
        crowd.again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tills(serving: usize) -> Tills {
        Tills::new(serving, Arc::new(Random::seeded(3)))
    }

    #[tokio::test(start_paused = true)]
    async fn some_are_served_a_few_wait_and_the_rest_come_again() {
        let tills = tills(1);
        let first = tills.enter().await.unwrap();
        assert!(tills.enter().await.is_err(), "it is taken, longer than anybody waits");
        let (second, ()) = tokio::join!(tills.enter(), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            drop(first);
        });
        let _second = second.expect("somebody left in time");
        let crowd = futures_util::future::join_all((0..20).map(|_| tills.enter())).await;
        assert!(crowd.iter().all(Result::is_err));
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_follows_the_crowd() {
        let tills = tills(1);
        let second = async |served: u32, turned_away: u32| {
            tokio::time::advance(WINDOW).await;
            let mut wait = Duration::ZERO;
            for n in 0..served + turned_away {
                wait = tills.count(n < served, Instant::now());
            }
            wait
        };
        assert_eq!(second(10, 0).await, AGAIN_MIN);
        for _ in 0..6 {
            second(10, 1_000).await;
        }
        assert_eq!(second(10, 1_000).await, AGAIN_MAX);
        for _ in 0..6 {
            second(10, 0).await;
        }
        assert_eq!(second(10, 0).await, AGAIN_MIN);
    }
}
