//! The outbox relay: announces again the outcomes that were committed and then, by a crash or a silent bulletin, not told.
//! An outcome may be announced twice; listeners go by its version.

use std::{collections::BTreeMap, sync::Arc};

use sluice_core::{
    entry::EntryState,
    ids::{EntryId, SaleId},
    ports::{EntryNotice, EntryRecord, Notice, PortResult},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{metrics, shared::Shared};

/// Tells until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut tick = interval(shared.config.relay_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            told = tell_all(&shared) => if let Err(error) = told {
                tracing::warn!(error = &error as &dyn std::error::Error,
                    "outcomes could not be announced again; trying in a moment");
            }
        }
        if let Ok(depths) = shared.once(shared.ports.turns.depths()).await {
            metrics::dead_turns(depths.dead);
        }
    }
}

/// What the bulletin says of an outcome.
pub(crate) fn notice(record: &EntryRecord) -> EntryNotice {
    let state = EntryState::from(record.outcome);
    EntryNotice {
        entry: record.entry,
        version: state.version(record.order.map(|order| order.version)),
        state,
        order: record.order.map(|order| order.order),
        pay_by: record.order.map(|order| order.pay_by),
    }
}

async fn tell_all(shared: &Shared) -> PortResult<()> {
    let most = shared.config.relay_max;
    loop {
        let untold = shared.once(shared.ports.ledger.untold(most)).await?;
        let last = untold.len() < most as usize;
        tell(shared, untold).await?;
        if last {
            return Ok(());
        }
    }
}

async fn tell(shared: &Shared, records: Vec<EntryRecord>) -> PortResult<()> {
    let mut sales: BTreeMap<SaleId, Vec<EntryNotice>> = BTreeMap::new();
    for record in records {
        sales.entry(record.sale.clone()).or_default().push(notice(&record));
    }
    for (sale, entries) in sales {
        let told: Vec<EntryId> = entries.iter().map(|notice| notice.entry).collect();
        shared.once(shared.ports.bulletin.publish(Notice::Entries { sale, entries })).await?;
        shared.once(shared.ports.ledger.told(&told)).await?;
    }
    Ok(())
}
