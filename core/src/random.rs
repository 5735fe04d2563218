//! Randomness as a value: seeded from the system in production, from a number in tests, so that a seed replays a run.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

/// A source of random numbers that can be shared between tasks. Not for keys: use the system's generator for those.
pub struct Random(Mutex<StdRng>);

impl Random {
    /// Seeded from the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self(Mutex::new(rand::make_rng()))
    }

    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// Ten random bytes: what a UUIDv7 needs.
    #[must_use]
    pub fn bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        self.with(|rng| rng.fill_bytes(&mut bytes));
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
        draw(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random")
    }
}
