//! The system's wall clock: the only place that reads it. Everybody else takes a [`Clock`].

use std::time::{SystemTime, UNIX_EPOCH};

use sluice_core::clock::{Clock, UnixMillis};

/// The wall clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the others take")]
    fn now(&self) -> UnixMillis {
        let now = SystemTime::now();
        let millis =
            |since: std::time::Duration| i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        match now.duration_since(UNIX_EPOCH) {
            Ok(after) => UnixMillis(millis(after)),
            Err(before) => UnixMillis(millis(before.duration()).saturating_neg()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_the_time_of_this_age_and_does_not_stand_still() {
        let born = UnixMillis::parse("2024-01-01T00:00:00Z").unwrap();
        let first = SystemClock.now();
        assert!(first > born);
        let started = tokio::time::Instant::now();
        while SystemClock.now() == first {
            assert!(started.elapsed().as_secs() < 10, "the clock stands still");
        }
    }
}
