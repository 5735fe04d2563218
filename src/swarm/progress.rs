//! How a crowd is doing, while it is doing it: counters that shoppers raise and the display reads.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tokio::time::Instant;

use super::observer::Sample;

#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) arrived: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) called: AtomicU64,
    pub(crate) reserved: AtomicU64,
    pub(crate) paid: AtomicU64,
    /// Whose money came back.
    pub(crate) refunded: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) finished: AtomicU64,
    /// Answers other than the hoped-for one that were waited out: 429, 503, broken connections.
    pub(crate) retries: AtomicU64,
    /// Push connections open now.
    pub(crate) pushed: AtomicU64,
    /// Who lets time pass on purpose, for an order's deadline, and until when.
    biding: Mutex<BTreeMap<u32, Instant>>,
    sample: Mutex<Option<Sample>>,
    waits_ms: Mutex<Vec<u32>>,
}

impl Progress {
    /// One more.
    pub(crate) fn raise(counter: &AtomicU64) {
        counter.fetch_add(1, Relaxed);
    }

    /// A number that changes whenever anything happened to anybody.
    pub(crate) fn pulse(&self) -> u64 {
        [&self.joined, &self.called, &self.reserved, &self.paid, &self.refunded, &self.finished]
            .iter()
            .map(|n| n.load(Relaxed))
            .sum()
    }

    /// Whether somebody lets time pass on purpose.
    pub(crate) fn somebody_bides(&self, now: Instant) -> bool {
        let biding = self.biding.lock().unwrap_or_else(PoisonError::into_inner);
        biding.values().any(|until| now < *until)
    }

    pub(crate) fn observe(&self, sample: Sample) {
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner) = Some(sample);
    }

    /// What the public was told last.
    pub(crate) fn sample(&self) -> Option<Sample> {
        self.sample.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A wait from join to call has ended.
    pub(crate) fn waited(&self, ms: u32) {
        self.waits_ms.lock().unwrap_or_else(PoisonError::into_inner).push(ms);
    }

    /// The waits so far.
    pub(crate) fn waits_ms(&self) -> Vec<u32> {
        self.waits_ms.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A shopper who lets time pass, for as long as it lives, and no longer than it said.
#[derive(Debug)]
pub(crate) struct Biding {
    progress: Arc<Progress>,
    shopper: u32,
}

impl Biding {
    pub(crate) fn begin(progress: &Arc<Progress>, shopper: u32, until: Instant) -> Self {
        progress.biding.lock().unwrap_or_else(PoisonError::into_inner).insert(shopper, until);
        Self { progress: Arc::clone(progress), shopper }
    }
}

impl Drop for Biding {
    fn drop(&mut self) {
        let mut biding = self.progress.biding.lock().unwrap_or_else(PoisonError::into_inner);
        biding.remove(&self.shopper);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_bides_does_so_until_it_ends_or_its_time_is_over() {
        let progress = Arc::new(Progress::default());
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(9));
        let short = Biding::begin(&progress, 1, later);
        let long = Biding::begin(&progress, 2, later + Duration::from_secs(9));
        assert!(progress.somebody_bides(now) && progress.somebody_bides(later));
        drop(long);
        assert!(
            progress.somebody_bides(now) && !progress.somebody_bides(later),
            "its time is over"
        );
        drop(short);
        assert!(!progress.somebody_bides(now));
    }
}
