//! Places of which this node has heard more than how the line stands: their buyers left or were banned ahead of the cursor, or
//! what became of them was told before the cursor that passed them. A poll is answered from the cursor alone, so without
//! this they would be shown as waiting until it is heard of, to buyers who were told better by push.
//!
//! Filled by this node's own doing and by the bulletin. It is help, not truth: a node that missed a notice shows such a
//! place as waiting until its number comes up, and the ledger has decided all the same. So the ledger is asked first of these: the
//! line may hear of an outcome later than the bulletin, or, if it was away just then, much later.

use std::time::Duration;

use quick_cache::sync::Cache;
use sluice_core::{
    entry::EntryState,
    ids::EntryId,
    ports::{Bulletin, Heard, Notice, PortError},
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Places remembered; beyond that the least asked for is forgotten.
const ENTRIES_MAX: usize = 200_000;
/// How long to wait before a broken subscription is tried again.
const RESUBSCRIBE_AFTER: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(crate) struct Told(Cache<EntryId, ()>);

impl Default for Told {
    fn default() -> Self {
        Self(Cache::new(ENTRIES_MAX))
    }
}

impl Told {
    pub(crate) fn insert(&self, entry: EntryId) {
        self.0.insert(entry, ());
    }

    pub(crate) fn contains(&self, entry: EntryId) -> bool {
        self.0.get(&entry).is_some()
    }

    /// Listens until `shutdown`.
    pub(crate) async fn run(&self, bulletin: &dyn Bulletin, shutdown: &CancellationToken) {
        loop {
            let ended = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                ended = self.listen(bulletin) => ended,
            };
            tracing::debug!(
                error = &ended as &dyn std::error::Error,
                "the bulletin is away; trying again"
            );
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = sleep(RESUBSCRIBE_AFTER) => {}
            }
        }
    }

    async fn listen(&self, bulletin: &dyn Bulletin) -> PortError {
        let mut subscription = match bulletin.subscribe().await {
            Ok(subscription) => subscription,
            Err(error) => return error,
        };
        loop {
            match subscription.next().await {
                Ok(Heard::Notice(notice)) => self.hear(&notice),
                Ok(Heard::Missed) => {}
                Err(error) => return error,
            }
        }
    }

    fn hear(&self, notice: &Notice) {
        if let Notice::Entries { entries, .. } = notice {
            for told in entries.iter().filter(|told| told.state != EntryState::Waiting) {
                self.insert(told.entry);
            }
        }
    }
}
