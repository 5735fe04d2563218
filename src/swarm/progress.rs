//! How a crowd is doing, while it is doing it: counters that shoppers raise and the display reads.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use super::observer::Sample;

#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) arrived: AtomicU64,
    pub(crate) joined: AtomicU64,
    pub(crate) called: AtomicU64,
    pub(crate) reserved: AtomicU64,
    pub(crate) paid: AtomicU64,
    pub(crate) turned_away: AtomicU64,
    pub(crate) finished: AtomicU64,
    /// Answers other than the hoped-for one that were waited out: 429, 503, broken connections.
    pub(crate) retries: AtomicU64,
    /// Push connections open now.
    pub(crate) pushed: AtomicU64,
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
        [&self.joined, &self.called, &self.reserved, &self.paid, &self.finished]
            .iter()
            .map(|n| n.load(Relaxed))
            .sum()
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
