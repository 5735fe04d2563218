//! Which entries were finished not long ago, so that a twin of one is known. Pure; holds a fixed number.
//!
//! A twin that comes after its entry was forgotten is called again, which the line and the ledger answer as they did
//! the first time: a repeated turn, never a second order.

use std::collections::{HashSet, VecDeque};

use foldhash::fast::RandomState;
use sluice_core::ids::EntryId;

/// See the module.
#[derive(Debug)]
pub(super) struct Recent {
    most: usize,
    order: VecDeque<EntryId>,
    entries: HashSet<EntryId, RandomState>,
}

impl Recent {
    pub(super) fn new(most: usize) -> Self {
        Self { most, order: VecDeque::new(), entries: HashSet::default() }
    }

    pub(super) fn contains(&self, entry: &EntryId) -> bool {
        self.entries.contains(entry)
    }

    pub(super) fn insert(&mut self, entry: EntryId) {
        if self.entries.insert(entry) {
            self.order.push_back(entry);
            if self.order.len() > self.most
                && let Some(oldest) = self.order.pop_front()
            {
                self.entries.remove(&oldest);
            }
        }
    }
}
