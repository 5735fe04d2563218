//! Time as a value. One clock per decision: deadlines are computed and compared by the same clock.

use std::{
    fmt::{self, Debug},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use jiff::fmt::temporal::DateTimePrinter;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What a time before the year -9999 or after 9999 prints as.
const OUT_OF_RANGE: &str = "out of range";

/// Milliseconds since the Unix epoch. Prints and serialises as RFC 3339 in UTC.
#[derive(Clone, Copy, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// Later by `duration`; saturates.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Earlier by `duration`; saturates.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Appends the printed form, without the cost of a formatter.
    pub fn write_to(self, bytes: &mut Vec<u8>) {
        let printer = DateTimePrinter::new().precision(Some(3));
        let printed = jiff::Timestamp::from_millisecond(self.0)
            .and_then(|time| printer.print_timestamp(&time, &mut *bytes));
        if printed.is_err() {
            bytes.extend_from_slice(OUT_OF_RANGE.as_bytes());
        }
    }

    /// Parses RFC 3339 with any zone.
    pub fn parse(text: &str) -> Result<Self, BadTime> {
        let time: jiff::Timestamp = text.parse().map_err(|_| BadTime)?;
        Ok(Self(time.as_millisecond()))
    }
}

/// The text is not an RFC 3339 time with a zone.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("must be an RFC 3339 time with a zone, such as 2026-11-11T20:00:00+08:00")]
pub struct BadTime;

impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => f.write_str(OUT_OF_RANGE),
        }
    }
}

impl Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut printed = Vec::with_capacity("2026-11-11T12:00:00.000Z".len());
        self.write_to(&mut printed);
        serializer.serialize_str(std::str::from_utf8(&printed).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Port: what time it is. Wall-clock time, for deadlines that outlive a process; a process measures its own intervals
/// with `tokio::time::Instant`, which never jumps.
pub trait Clock: Debug + Send + Sync {
    fn now(&self) -> UnixMillis;
}

/// A clock that tests hold still and move by hand.
#[derive(Clone, Debug, Default)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    #[must_use]
    pub fn at(now: UnixMillis) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixMillis {
        UnixMillis(self.0.load(Ordering::SeqCst))
    }
}

/// A wall clock that follows tokio's time, so that `tokio::time::pause` holds it still too.
#[derive(Clone, Copy, Debug)]
pub struct TokioClock {
    started: tokio::time::Instant,
    at_start: UnixMillis,
}

impl TokioClock {
    /// A clock that shows `at_start` now. Call it inside a runtime.
    #[must_use]
    pub fn starting_at(at_start: UnixMillis) -> Self {
        Self { started: tokio::time::Instant::now(), at_start }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> UnixMillis {
        self.at_start.plus(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let time = UnixMillis::parse("2026-11-11T20:00:00.5+08:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-11T12:00:00.500Z");
        assert_eq!(UnixMillis::parse("2026-11-11 20:00"), Err(BadTime));
    }

    #[test]
    fn a_time_is_written_as_it_is_printed() {
        for millis in [0, -1, 1_794_355_200_500, 253_402_300_799_999, i64::MAX, i64::MIN] {
            let mut written = Vec::new();
            UnixMillis(millis).write_to(&mut written);
            assert_eq!(String::from_utf8(written).unwrap(), UnixMillis(millis).to_string());
        }
    }
}
