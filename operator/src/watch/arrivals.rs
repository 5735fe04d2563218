//! How fast buyers arrive: the difference between two looks at how many numbers a line has given out.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use sluice_core::ids::SaleId;
use tokio::time::Instant;

/// Looks closer together than this say too little.
const APART_MIN: Duration = Duration::from_millis(500);
/// A rate not renewed for this long is no longer told.
const FRESH_MAX: Duration = Duration::from_secs(5);

/// One meter per sale; there are never more than there are sales.
#[derive(Debug, Default)]
pub(crate) struct Arrivals(Mutex<HashMap<SaleId, Meter>>);

#[derive(Clone, Copy, Debug)]
struct Meter {
    at: Instant,
    entries: u64,
    per_second: Option<f64>,
}

impl Arrivals {
    /// Notes how many entries a line has taken in so far.
    pub(crate) fn note(&self, sale: &SaleId, entries: u64, now: Instant) {
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match meters.get_mut(sale) {
            Some(meter) => meter.note(entries, now),
            None => {
                meters.insert(sale.clone(), Meter { at: now, entries, per_second: None });
            }
        }
    }

    /// Entries per second between the last two looks; `None` when there were none lately.
    pub(crate) fn per_second(&self, sale: &SaleId, now: Instant) -> Option<f64> {
        let meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let meter = meters.get(sale)?;
        meter.per_second.filter(|_| now.saturating_duration_since(meter.at) <= FRESH_MAX)
    }

    pub(crate) fn forget(&self, sale: &SaleId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(sale);
    }

    pub(crate) fn retain(&self, keep: impl Fn(&SaleId) -> bool) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|sale, _| keep(sale));
    }
}

impl Meter {
    fn note(&mut self, entries: u64, now: Instant) {
        let apart = now.saturating_duration_since(self.at);
        if apart < APART_MIN {
            return;
        }
        // Fewer than before: the sale was deleted and made again. Begin anew.
        let came = entries.checked_sub(self.entries);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
        let per_second = came.map(|came| came as f64 / apart.as_secs_f64());
        *self = Self { at: now, entries, per_second };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_what_came_between_two_looks() {
        let (arrivals, sale) = (Arrivals::default(), SaleId::new("drop").unwrap());
        let began = Instant::now();
        let at = |ms| began + Duration::from_millis(ms);
        assert_eq!(arrivals.per_second(&sale, at(0)), None);
        arrivals.note(&sale, 100, at(0));
        assert_eq!(arrivals.per_second(&sale, at(0)), None, "one look is no rate");
        arrivals.note(&sale, 900, at(10));
        arrivals.note(&sale, 300, at(2_000));
        assert_eq!(
            arrivals.per_second(&sale, at(2_000)),
            Some(100.0),
            "looks too close together are left out"
        );
        assert_eq!(arrivals.per_second(&sale, at(9_000)), None, "what is old is not told");
        arrivals.note(&sale, 5, at(10_000));
        assert_eq!(
            arrivals.per_second(&sale, at(10_000)),
            None,
            "a line that begins anew has no rate yet"
        );
        arrivals.note(&sale, 5, at(11_000));
        assert_eq!(arrivals.per_second(&sale, at(11_000)), Some(0.0));
    }
}
