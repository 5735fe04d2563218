//! Watches the connections: tells how they are used, drops idle ones that died before somebody needs them, and notices that
//! the server answers again when nobody asks it anything.

use std::{sync::Arc, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::operations::Shared;

/// The shortest interval that makes sense.
const INTERVAL_MIN: Duration = Duration::from_millis(50);

/// Until the ledger is closed, or crashes.
pub(super) async fn watch(shared: Arc<Shared>, every: Duration) {
    let mut ticks = interval(every.max(INTERVAL_MIN).min(Duration::from_secs(60)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shared.crashed().cancelled() => {
                shared.connections.crash();
                return;
            }
            () = shared.closing().cancelled() => return,
            _ = ticks.tick() => {}
        }
        shared.connections.look_after().await;
        shared.tell_usage();
        if !shared.is_up()
            && let Ok(held) = shared.connections.take().await
        {
            held.give_back();
            shared.heard();
        }
    }
}
