//! Telling the line who is there: a connected buyer holds the place, so it must not be passed as silent. In batches.

use std::{collections::HashMap, sync::Arc, time::Duration};

use sluice_core::{
    clock::{Clock, UnixMillis},
    ids::{EntryId, SaleId},
    ports::Line,
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

/// Entries told by one call.
const BATCH_MAX: usize = 1_024;
/// How long what arrives is gathered before it is told: nobody waits for it.
const GATHER: Duration = Duration::from_millis(200);
/// A batch that failed this often is dropped: the line hears of the same places again at a later sweep.
const TRIES_MAX: u32 = 3;
const RETRY_AFTER: Duration = Duration::from_secs(1);
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// Tells the line of everybody in `queue`. Returns when the queue is closed; drop it to stop.
pub(crate) async fn run(
    line: Arc<dyn Line>,
    clock: Arc<dyn Clock>,
    mut queue: mpsc::Receiver<(SaleId, EntryId)>,
) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        sleep(GATHER).await;
        while batch.len() < BATCH_MAX
            && let Ok(one) = queue.try_recv()
        {
            batch.push(one);
        }
        let mut sales: HashMap<SaleId, Vec<EntryId>> = HashMap::new();
        for (sale, entry) in batch.drain(..) {
            sales.entry(sale).or_default().push(entry);
        }
        let at = clock.now();
        for (sale, entries) in sales {
            tell(&*line, &sale, &entries, at).await;
        }
    }
}

async fn tell(line: &dyn Line, sale: &SaleId, entries: &[EntryId], at: UnixMillis) {
    for attempt in 1..=TRIES_MAX {
        if let Ok(Ok(())) = timeout(CALL_TIMEOUT, line.seen(sale, entries, at)).await {
            return;
        }
        if attempt < TRIES_MAX {
            sleep(RETRY_AFTER).await;
        }
    }
    tracing::warn!(%sale, entries = entries.len(), "the line could not be told who is connected");
}
