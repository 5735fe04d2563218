//! Randomness as a value: seeded from the system in production, from a number in tests, so that a seed replays a run.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::clock::UnixMillis;

/// The highest that the twelve bits between time and randomness of a UUIDv7 can count.
const COUNT_MAX: u16 = 0x0fff;

/// Whose time is further back than that is not late: the clock was put back.
const LATE_MAX: Duration = Duration::from_secs(60);

/// A source of random numbers that can be shared between tasks. Not for keys: use the system's generator for those.
pub struct Random(Mutex<Source>);

struct Source {
    rng: StdRng,
    /// The last time of a UUID, and how many were made for it before.
    last: (UnixMillis, u16),
}

impl Random {
    /// Seeded from the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self::from(rand::make_rng::<StdRng>())
    }

    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self::from(StdRng::seed_from_u64(seed))
    }

    /// Ten random bytes.
    #[must_use]
    pub fn bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.with(|rng| rng.fill_bytes(&mut bytes));
        bytes
    }

    /// What a UUIDv7 needs beside its time: a count of those of the same millisecond in its first twelve bits that are not
    /// the version (RFC 9562, 6.2, method 1), so that ids of one source sort as they were made, and 62 random bits. Chance decides
    /// after 4,096 in a millisecond, and among those who come late: they sort behind the others of their millisecond.
    #[must_use]
    pub fn uuid_bytes(&self, now: UnixMillis) -> [u8; 10] {
        let mut bytes = [0; 10];
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        source.rng.fill_bytes(&mut bytes);
        let (last, made) = source.last;
        // Whoever read the clock a while ago does not begin the count of their millisecond anew, nor that of the present one.
        let late = now < last && last.since(now) < LATE_MAX;
        let count = if late {
            COUNT_MAX
        } else {
            let count = if now == last { COUNT_MAX.min(made + 1) } else { 0 };
            source.last = (now, count);
            count
        };
        let [high, low] = count.to_be_bytes();
        (bytes[0], bytes[1]) = (high, low);
        bytes
    }

    /// A whole number from `0` to `below - 1`; 0 when `below` is 0.
    #[must_use]
    pub fn below(&self, below: u64) -> u64 {
        if below == 0 { 0 } else { self.with(|rng| rng.random_range(0..below)) }
    }

    /// A number in `0.0..1.0`.
    #[must_use]
    pub fn unit(&self) -> f64 {
        self.with(|rng| rng.random())
    }

    fn with<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).rng)
    }
}

impl From<StdRng> for Random {
    fn from(rng: StdRng) -> Self {
        Self(Mutex::new(Source { rng, last: (UnixMillis(i64::MIN), 0) }))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
