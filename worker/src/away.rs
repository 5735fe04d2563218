//! What a consumer does while a store is away: what it has in hand goes back to its queue, and it comes again after a pause
//! that grows until something is settled.

use std::{error::Error, time::Duration};

use sluice_core::{ports::PortError, random::Random};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;

const BACKOFF: Backoff =
    Backoff { first: Duration::from_millis(200), most: Duration::from_secs(5) };

/// How often in a row it came in vain.
#[derive(Debug, Default)]
pub(crate) struct Away {
    tries: u32,
}

impl Away {
    /// Something was settled: the stores are there.
    pub(crate) fn is_over(&mut self) {
        self.tries = 0;
    }

    /// Says that `what` is left in its queue, and waits. `false` when told to stop meanwhile.
    pub(crate) async fn pause(
        &mut self,
        what: &'static str,
        error: &PortError,
        random: &Random,
        shutdown: &CancellationToken,
    ) -> bool {
        let tries = self.tries;
        tracing::warn!(
            error = error as &dyn Error,
            tries,
            what,
            "a store is away: what waits is left in its queue for now"
        );
        self.tries = tries.saturating_add(1);
        shutdown.run_until_cancelled(sleep(BACKOFF.after(tries, random))).await.is_some()
    }
}
