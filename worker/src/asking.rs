//! How stores are asked: under a deadline, and again when they do not answer. An unanswered call is unknown, so nothing is
//! ever compensated; the same call is made again, which is why every call of a port may be repeated.

use std::time::Duration;

use sluice_core::{
    ports::{PortError, PortResult},
    random::Random,
};
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;

const PAUSE: Backoff =
    Backoff { first: Duration::from_millis(100), most: Duration::from_millis(500) };

/// The limits of asking.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    pub(crate) timeout: Duration,
    pub(crate) tries_max: u32,
}

impl Asking {
    /// Asks once.
    pub(crate) async fn once<T>(self, call: impl Future<Output = PortResult<T>>) -> PortResult<T> {
        timeout(self.timeout, call).await.unwrap_or_else(|elapsed| Err(PortError::silent(elapsed)))
    }

    /// Asks until there is an answer, at most `tries_max` times.
    pub(crate) async fn repeat<T, F>(
        self,
        random: &Random,
        mut call: impl FnMut() -> F,
    ) -> PortResult<T>
    where
        F: Future<Output = PortResult<T>>,
    {
        let mut tries = 1;
        loop {
            match self.once(call()).await {
                Err(PortError::Unavailable(_) | PortError::Full) if tries < self.tries_max => {
                    sleep(PAUSE.after(tries - 1, random)).await;
                    tries += 1;
                }
                answer => return answer,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const ASKING: Asking = Asking { timeout: Duration::from_secs(1), tries_max: 3 };

    #[tokio::test(start_paused = true)]
    async fn silence_is_asked_again_and_then_counts_as_away() {
        let asked = Cell::new(0);
        let random = Random::seeded(1);
        let answer: PortResult<()> = ASKING
            .repeat(&random, || {
                asked.set(asked.get() + 1);
                std::future::pending()
            })
            .await;
        assert!(matches!(answer, Err(PortError::Unavailable(_))));
        assert_eq!(asked.get(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_not_questioned() {
        let asked = Cell::new(0);
        let random = Random::seeded(1);
        let answer: PortResult<()> = ASKING
            .repeat(&random, || {
                asked.set(asked.get() + 1);
                async { Err(PortError::Cold) }
            })
            .await;
        assert!(matches!(answer, Err(PortError::Cold)));
        assert_eq!(asked.get(), 1);
    }
}
