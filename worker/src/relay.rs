//! The outbox relay: announces again the outcomes that were committed and then, by a crash or a silent bulletin, not told.
//! An outcome may be announced twice; listeners go by its version.

use std::{collections::BTreeMap, sync::Arc};

use sluice_core::{
    ids::{EntryId, SaleId},
    ports::{EntryNotice, EntryRecord, Notice, PortError, PortResult, Settlement},
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
            metrics::dead(depths.dead);
        }
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

/// The line may have missed it too: then it would answer that the entry is still called.
async fn tell(shared: &Shared, records: Vec<EntryRecord>) -> PortResult<()> {
    let mut sales: BTreeMap<SaleId, Vec<EntryRecord>> = BTreeMap::new();
    for record in records {
        sales.entry(record.sale.clone()).or_default().push(record);
    }
    for (sale, records) in sales {
        let settlement = |record: &EntryRecord| {
            (record.entry, Settlement { outcome: record.outcome, live: record.is_live() })
        };
        let settled: Vec<_> = records.iter().map(settlement).collect();
        match shared.once(shared.ports.line.settle(&sale, &settled)).await {
            // A line that has forgotten the sale answers nothing about its entries.
            Ok(()) | Err(PortError::Cold) => {}
            Err(error) => return Err(error),
        }
        let told: Vec<EntryId> = records.iter().map(|record| record.entry).collect();
        let entries = records.iter().map(EntryNotice::of).collect();
        shared.once(shared.ports.bulletin.publish(Notice::Entries { sale, entries })).await?;
        shared.once(shared.ports.ledger.told(&told)).await?;
    }
    Ok(())
}
