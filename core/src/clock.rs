//! Time as a value. One clock per decision: deadlines are computed and compared by the same clock.

use std::{
    fmt::{self, Debug},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// What a time before the year -9999 or after 9999 prints as.
const OUT_OF_RANGE: &str = "out of range";
/// The length of a time as it is printed, in bytes.
const PRINTED: usize = "2026-11-11T12:00:00.000Z".len();
const DAY_MILLIS: i64 = 86_400_000;

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
        match self.printed() {
            Some(printed) => bytes.extend_from_slice(&printed),
            None => bytes.extend_from_slice(self.to_string().as_bytes()),
        }
    }

    /// The printed form of a time in the years 0 to 9998 (the library ends within 9999). Every poll tells times, and every join
    /// is written down with one: the printer of the library was measured to take 4 % of both. The calendar is reckoned as by H.
    /// Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`.
    fn printed(self) -> Option<[u8; PRINTED]> {
        let (days, millis) = (self.0.div_euclid(DAY_MILLIS), self.0.rem_euclid(DAY_MILLIS));
        let from_march_0 = days + 719_468; // days since 0000-03-01
        let (era, day) = (from_march_0.div_euclid(146_097), from_march_0.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153; // March is 0
        let day = day - (153 * month + 2) / 5 + 1;
        let month = if month < 10 { month + 3 } else { month - 9 };
        let year = year + 400 * era + i64::from(month <= 2);
        if !(0..9_999).contains(&year) {
            return None;
        }
        let mut text = *b"0000-00-00T00:00:00.000Z";
        for (place, number) in [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, millis / 3_600_000),
            (14..16, millis / 60_000 % 60),
            (17..19, millis / 1_000 % 60),
            (20..23, millis % 1_000),
        ] {
            let mut left = number;
            for digit in text[place].iter_mut().rev() {
                *digit = b"0123456789"[usize::try_from(left % 10).unwrap_or(0)];
                left /= 10;
            }
        }
        Some(text)
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

impl FromStr for UnixMillis {
    type Err = BadTime;

    fn from_str(text: &str) -> Result<Self, BadTime> {
        Self::parse(text)
    }
}

impl Debug for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for UnixMillis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.printed().as_ref().map(|text| std::str::from_utf8(text)) {
            Some(Ok(text)) => serializer.serialize_str(text),
            Some(Err(_)) | None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for UnixMillis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parsed(deserializer)
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
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        let time = UnixMillis::parse("2026-11-11T20:00:00.5+08:00").unwrap();
        assert_eq!(time.to_string(), "2026-11-11T12:00:00.500Z");
        assert_eq!(UnixMillis::parse("2026-11-11 20:00"), Err(BadTime));
    }

    fn is_written_as_it_is_printed(millis: i64) {
        let (time, mut written) = (UnixMillis(millis), Vec::new());
        time.write_to(&mut written);
        assert_eq!(String::from_utf8(written).unwrap(), time.to_string());
        assert_eq!(serde_json::to_string(&time).unwrap(), format!("\"{time}\""));
    }

    #[test]
    fn the_ends_of_years_are_written_as_they_are_printed() {
        const YEAR_0: i64 = -62_167_219_200_000;
        for ends in [
            0,
            1_794_355_200_500,
            253_370_764_800_000,
            253_402_300_800_000,
            YEAR_0,
            951_782_400_000,
        ] {
            (ends - 1..=ends + 1).for_each(is_written_as_it_is_printed);
        }
        [i64::MAX, i64::MIN].into_iter().for_each(is_written_as_it_is_printed);
    }

    proptest! {
        #[test]
        fn a_time_is_written_as_it_is_printed(millis in -70_000_000_000_000..260_000_000_000_000_i64) {
            is_written_as_it_is_printed(millis);
        }
    }
}
