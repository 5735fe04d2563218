//! The cells of a limiter: one number per key, in shards, at most so many.
//!
//! Overflow: when all cells are taken, a key without one shares a single cell with every other such key (`shared`), so a
//! flood of fresh keys limits itself and nobody who is known.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use governor::{
    nanos::Nanos,
    state::{StateStore, keyed::ShrinkableKeyedStateStore},
};

/// The shard is chosen by bits of the key that the map inside does not look at first.
const SHARDS: usize = 64;

type Shard = HashMap<u64, u64, BuildHasherDefault<Hashed>>;

#[derive(Debug)]
pub(super) struct Cells {
    shards: [Mutex<Shard>; SHARDS],
    shared: Mutex<Option<u64>>,
    used: AtomicUsize,
    most: usize,
}

/// Keys are hashes already: hashing them again would only cost time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

impl Cells {
    pub(super) fn new(most: usize) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            shared: Mutex::default(),
            used: AtomicUsize::new(0),
            most,
        }
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::try_from(key >> 32).unwrap_or(0) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Cells {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.shard(*key);
        if let Some(cell) = shard.get_mut(key) {
            let (answer, next) = decide(Some((*cell).into()))?;
            *cell = next.into();
            return Ok(answer);
        }
        if self.used.load(Ordering::Relaxed) < self.most {
            let (answer, next) = decide(None)?;
            shard.insert(*key, next.into());
            self.used.fetch_add(1, Ordering::Relaxed);
            return Ok(answer);
        }
        drop(shard);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, next) = decide(shared.map(Nanos::from))?;
        *shared = Some(next.into());
        Ok(answer)
    }
}

impl ShrinkableKeyedStateStore<u64> for Cells {
    fn retain_recent(&self, drop_below: Nanos) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let before = shard.len();
            shard.retain(|_, cell| Nanos::from(*cell) > drop_below);
            self.used.fetch_sub(before - shard.len(), Ordering::Relaxed);
        }
    }

    fn shrink_to_fit(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // A shard that just emptied after a crowd gives its memory back; a busy one keeps its room.
            if shard.capacity() > 4 * shard.len() {
                let room = 2 * shard.len();
                shard.shrink_to(room);
            }
        }
    }

    fn len(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
