//! Watching: the figures of one sale at one moment, and the little that has to be watched all the time to know them.

use std::{sync::Arc, time::Duration};

use sluice_core::sale::Sale;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::desk::Desk;

mod arrivals;
mod stats;
mod waiting;

pub(crate) use arrivals::Arrivals;
pub(crate) use stats::Stats;
pub(crate) use waiting::waiting;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks at every line once a second, for the arrivals; until `shutdown`. A store that is away leaves a gap.
pub(crate) async fn run(desk: &Desk, shutdown: &CancellationToken) {
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = look(desk) => {}
        }
    }
}

async fn look(desk: &Desk) {
    let sales: Vec<Arc<Sale>> =
        desk.ports.directory.sales().iter().map(|view| view.sale()).collect();
    desk.arrivals.retain(|known| sales.iter().any(|sale| sale.id == *known));
    for sale in sales {
        match desk.ports.line.snapshot(&sale.id).await {
            Ok(snapshot) => {
                desk.arrivals.note(&sale.id, snapshot.cursor.rank(snapshot.last), Instant::now())
            }
            Err(_) => desk.arrivals.forget(&sale.id),
        }
    }
}
