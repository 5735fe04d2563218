//! A map that remembers at most so many: the oldest are forgotten first.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

#[derive(Debug)]
pub(super) struct Fifo<K, V> {
    known: HashMap<K, V>,
    /// In the order of their first insertion; may name some that were removed since.
    order: VecDeque<K>,
}

impl<K, V> Default for Fifo<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Copy + Eq + Hash, V> Fifo<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.known.get(key)
    }

    /// Inserts or replaces, and forgets the oldest beyond `most`.
    pub(super) fn insert(&mut self, key: K, value: V, most: usize) {
        if self.known.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > most {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_first() {
        let mut fifo = Fifo::default();
        for key in [1, 2, 1, 3, 4] {
            fifo.insert(key, key * 10, 3);
        }
        assert_eq!(
            [1, 2, 3, 4].map(|key| fifo.get(&key).copied()),
            [None, Some(20), Some(30), Some(40)]
        );
        assert_eq!(fifo.order.len(), 3);
    }
}
