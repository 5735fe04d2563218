//! Turns: taken from the queue as they come, settled in micro-batches, acknowledged last.
//!
//! When a store is away the intake is dropped, so that its turns go to others or wait in the queue, and taken up again
//! after a pause. That costs no turn a try.

use std::{sync::Arc, time::Duration};

use sluice_core::ports::PortResult;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::{agenda::until, backoff::Backoff, shared::Shared};

mod batch;
mod desk;
mod fault;
mod goods;
mod holding;
mod in_hand;

use desk::Desk;

/// Between two intakes, while a store is away.
const AWAY: Backoff = Backoff { first: Duration::from_millis(200), most: Duration::from_secs(5) };

/// Consumes until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut tries = 0;
    while let Err(error) = consume(&shared, &shutdown, &mut tries).await {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            tries,
            "a store is away: turns are left in the queue for now"
        );
        let pause = AWAY.after(tries, &shared.ports.random);
        tries = tries.saturating_add(1);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = sleep(pause) => {}
        }
    }
}

/// One intake, until `shutdown` (`Ok`) or until a store is away. A batch that was begun is finished.
async fn consume(shared: &Shared, shutdown: &CancellationToken, tries: &mut u32) -> PortResult<()> {
    let prefetch = shared.config.prefetch.max(1);
    let intake = tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(()),
        intake = shared.once(shared.ports.turns.consume(prefetch)) => intake?,
    };
    let mut desk = Desk::new(shared, intake.outlet);
    let mut deliveries = intake.deliveries;
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            () = until(desk.wakes_at()) => {}
            taken = deliveries.next(shared.config.batch_max.max(1)) => desk.take(taken?),
        }
        while let Some(batch) = desk.next_due(Instant::now()) {
            desk.work(batch).await?;
            *tries = 0;
            if shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }
}
