//! Renewed places, on their way to the line as *seen*. Renewing a token (not polling) proves that somebody still holds the
//! place; it is noted in bulk, every second, or sooner when the buffer is half full.
//!
//! Overflow: a full buffer refuses, and whoever renews is told to come back, so that nobody holds a fresh token of which
//! the line knows nothing. A place that waits in the buffer already is not buffered twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sluice_core::{
    clock::Clock,
    ids::{EntryId, SaleId},
    ports::{Line, PortError},
    view::Directory,
};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::metrics;

/// How long a renewed place waits at most before it is noted; less where a sale bears little silence.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// Most entries in one call to the line.
const CALL_ENTRIES_MAX: usize = 1_000;

#[derive(Debug)]
pub(crate) struct Seen {
    waiting: Mutex<Waiting>,
    most: usize,
    half_full: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    of: BTreeMap<SaleId, BTreeSet<EntryId>>,
    entries: usize,
}

/// The buffer is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Full;

impl Seen {
    pub(crate) fn new(most: usize) -> Self {
        Self { waiting: Mutex::default(), most, half_full: Notify::new() }
    }

    /// Notes that somebody holds this place.
    pub(crate) fn note(&self, sale: &SaleId, entry: EntryId) -> Result<(), Full> {
        let mut waiting = self.lock();
        if waiting.of.get(sale).is_some_and(|entries| entries.contains(&entry)) {
            return Ok(());
        }
        if waiting.entries >= self.most {
            return Err(Full);
        }
        waiting.add(sale, [entry]);
        if waiting.entries * 2 >= self.most {
            self.half_full.notify_one();
        }
        Ok(())
    }

    /// Flushes until `shutdown`, and once more then.
    pub(crate) async fn run(
        &self,
        line: &dyn Line,
        directory: &Directory,
        clock: &dyn Clock,
        patience: Duration,
        shutdown: &CancellationToken,
    ) {
        let mut kept = 0;
        loop {
            let over = tokio::select! {
                biased;
                () = shutdown.cancelled() => true,
                () = sleep(flush_every(directory)) => false,
                // What the line did not take must not make this a busy loop.
                () = self.half_full.notified(), if kept == 0 => false,
            };
            kept = self.flush(line, directory, clock, patience).await;
            metrics::seen_waiting(kept);
            if over {
                return;
            }
        }
    }

    /// Hands everything to the line; what it does not take is kept for the next time. Returns how many that are.
    async fn flush(
        &self,
        line: &dyn Line,
        directory: &Directory,
        clock: &dyn Clock,
        patience: Duration,
    ) -> usize {
        let taken = std::mem::take(&mut *self.lock());
        let at = clock.now();
        for (sale, entries) in taken.of {
            if directory.sale(&sale).is_none() {
                continue; // deleted, and its places with it
            }
            let entries: Vec<EntryId> = entries.into_iter().collect();
            for part in entries.chunks(CALL_ENTRIES_MAX) {
                let noted = timeout(patience, line.seen(&sale, part, at)).await;
                let error = match noted {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => Some(error),
                    Err(_elapsed) => None,
                };
                // A cold line is warmed within moments and is nobody's fault.
                if !matches!(error, Some(PortError::Cold)) {
                    let error = error.as_ref().map(|error| error as &dyn std::error::Error);
                    tracing::warn!(%sale, entries = part.len(), error, "renewed places could not be noted; trying again");
                }
                self.lock().add(&sale, part.iter().copied());
            }
        }
        self.lock().entries
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A quarter of the shortest silence that any sale allows, if that is sooner.
fn flush_every(directory: &Directory) -> Duration {
    let sales = directory.sales();
    let allowed = sales.iter().filter_map(|view| view.sale().policy.silence_allowed());
    allowed.map(|silence| silence / 4).fold(FLUSH_EVERY, Duration::min)
}

impl Waiting {
    /// What comes back from a flush may exceed the cap by what arrived meanwhile; until it is gone, nothing new is taken.
    fn add(&mut self, sale: &SaleId, entries: impl IntoIterator<Item = EntryId>) {
        let known = self.of.entry(sale.clone()).or_default();
        for entry in entries {
            if known.insert(entry) {
                self.entries += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluice_core::{clock::UnixMillis, random::Random, sale::NewSale};

    use super::*;

    #[test]
    fn the_least_patient_sale_sets_the_pace() {
        let directory = Directory::default();
        assert_eq!(flush_every(&directory), FLUSH_EVERY);
        for (id, seconds, expected_ms) in [("a", 0, 1_000), ("b", 900, 1_000), ("c", 2, 500)] {
            let json = format!(
                r#"{{"id":"{id}","policy":{{"expire_silent_after_seconds":{seconds}}},
                    "skus":[{{"sku":"a","stock":1,"amount_fen":1,"currency":"CNY"}}]}}"#
            );
            let sale = serde_json::from_str::<NewSale>(&json).unwrap().build(UnixMillis(1));
            directory.learn_sale(Arc::new(sale.unwrap()));
            assert_eq!(flush_every(&directory), Duration::from_millis(expected_ms), "{id}");
        }
    }

    #[test]
    fn a_full_buffer_refuses_and_a_known_place_is_not_buffered_twice() {
        let (seen, random) = (Seen::new(2), Random::seeded(1));
        let sale = SaleId::new("demo").unwrap();
        let [a, b, c] = std::array::from_fn(|_| EntryId::generate(UnixMillis(1), &random));
        for entry in [a, a, b, b, a] {
            assert!(seen.note(&sale, entry).is_ok());
        }
        assert!(seen.note(&sale, c).is_err());
        assert_eq!(seen.lock().entries, 2);
    }
}
