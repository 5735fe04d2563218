//! Looks at what found no queue, and says so: it was confirmed to somebody, and nobody will consume it.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};

use super::{Shared, link::Link, metrics, press::Press, topology};

/// Looks until the backend is closed.
pub(super) async fn watch(shared: Arc<Shared>, press: Link<Press>) {
    let mut look = interval(shared.options.alarm_every);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = 0;
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let Ok(live) = press.live() else { continue };
        let queue = [topology::UNROUTED.into()];
        let looked = topology::ready(&live.wire, &queue, shared.options.answer_timeout).await;
        // A broker that does not answer is somebody else's alarm.
        let Ok([Some(count)]) = looked.as_deref() else { continue };
        metrics::unrouted(*count);
        if *count > told {
            tracing::error!(
                count,
                queue = topology::UNROUTED,
                "messages found no queue: find out which is missing, and send them again"
            );
        }
        told = *count;
    }
}
