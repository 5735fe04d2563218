//! Turns: taken from the queue as they come, settled in micro-batches, acknowledged last.
//!
//! When a store is away the intake is dropped, so that its turns go to others or wait in the queue, and taken up again
//! after a pause. That costs no turn a try.

use std::sync::Arc;

use sluice_core::ports::PortResult;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{agenda::until, away::Away, shared::Shared};

mod batch;
mod desk;
mod fault;
mod goods;
mod holding;
mod in_hand;

use desk::Desk;

/// Consumes until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut away = Away::default();
    while let Err(error) = consume(&shared, &shutdown, &mut away).await {
        if !away.pause("turns", &error, &shared.ports.random, &shutdown).await {
            return;
        }
    }
}

/// One intake, until `shutdown` (`Ok`) or until a store is away. A batch that was begun is finished.
async fn consume(shared: &Shared, shutdown: &CancellationToken, away: &mut Away) -> PortResult<()> {
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
            away.is_over();
            if shutdown.is_cancelled() {
                return Ok(());
            }
        }
    }
}
