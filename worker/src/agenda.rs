//! Things to do, each under a key: when each is due, how often it was tried, which are being done. In memory, bounded; what
//! it has no room for must be found again elsewhere.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

use tokio::time::{Instant, sleep_until};

/// Sleeps until `at`; for ever if there is nothing to wake for.
pub(crate) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Agenda<K, V> {
    items: HashMap<K, Item<V>>,
    waiting: BTreeSet<(Instant, K)>,
    most: usize,
}

#[derive(Debug)]
struct Item<V> {
    value: V,
    since: Instant,
    tries: u32,
}

/// One thing that is due now.
#[derive(Debug)]
pub(crate) struct Due<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
    /// When it was put on the agenda.
    pub(crate) since: Instant,
    /// How often it was tried before.
    pub(crate) tries: u32,
}

impl<K: Copy + Eq + Hash + Ord, V: Clone> Agenda<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { items: HashMap::new(), waiting: BTreeSet::new(), most }
    }

    /// Puts a thing on the agenda, due at once. One that is on it already stays as it is; without room, nothing happens.
    pub(crate) fn add(&mut self, key: K, value: V, now: Instant) {
        self.add_due(key, value, now, now);
    }

    /// As [`Agenda::add`], for what must not wait because others are many: there is as much room again for it alone.
    pub(crate) fn add_pressing(&mut self, key: K, value: V, now: Instant) {
        self.put(key, value, now, now, self.most.saturating_mul(2));
    }

    /// As [`Agenda::add`], due at `at`.
    pub(crate) fn add_due(&mut self, key: K, value: V, now: Instant, at: Instant) {
        self.put(key, value, now, at, self.most);
    }

    fn put(&mut self, key: K, value: V, now: Instant, at: Instant, most: usize) {
        if self.items.len() < most && !self.items.contains_key(&key) {
            self.items.insert(key, Item { value, since: now, tries: 0 });
            self.waiting.insert((at, key));
        }
    }

    /// Takes what has been due longest. It stays on the agenda, being done, until [`Agenda::done`] or [`Agenda::again`].
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<Due<K, V>> {
        while self.waiting.first().is_some_and(|(at, _)| *at <= now) {
            let (_, key) = self.waiting.pop_first()?;
            if let Some(item) = self.items.get_mut(&key) {
                let tries = item.tries;
                item.tries = tries.saturating_add(1);
                return Some(Due { key, value: item.value.clone(), since: item.since, tries });
            }
        }
        None
    }

    /// When the next thing is due, if any waits.
    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        self.waiting.first().map(|(at, _)| *at)
    }

    pub(crate) fn done(&mut self, key: K) {
        self.items.remove(&key);
    }

    /// Puts what was being done back, due at `at`.
    pub(crate) fn again(&mut self, key: K, at: Instant) {
        if self.items.contains_key(&key) {
            self.waiting.insert((at, key));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_presses_finds_room_when_the_agenda_is_full() {
        let now = Instant::now();
        let mut agenda = Agenda::new(2);
        (1..=3).for_each(|key| agenda.add(key, "many", now));
        (4..=6).for_each(|key| agenda.add_pressing(key, "pressing", now));
        let taken: Vec<i32> =
            std::iter::from_fn(|| agenda.next_due(now)).map(|due| due.key).collect();
        assert_eq!(taken, [1, 2, 4, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thing_is_done_once_at_a_time_and_again_when_due() {
        let now = Instant::now();
        let mut agenda = Agenda::new(10);
        agenda.add(1, "a", now);
        agenda.add(1, "b", now);
        let due = agenda.next_due(now).unwrap();
        assert_eq!((due.key, due.value, due.tries), (1, "a", 0));
        agenda.add(1, "c", now);
        assert!(agenda.next_due(now).is_none(), "it is being done");
        let later = now + Duration::from_secs(1);
        agenda.again(1, later);
        assert_eq!(agenda.wakes_at(), Some(later));
        assert!(agenda.next_due(now).is_none());
        assert_eq!(agenda.next_due(later).unwrap().tries, 1);
        agenda.done(1);
        agenda.add(1, "d", later);
        assert_eq!(agenda.next_due(later).unwrap().value, "d");
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_agenda_takes_nothing() {
        let now = Instant::now();
        let mut agenda = Agenda::new(1);
        agenda.add(1, (), now);
        agenda.add(2, (), now);
        assert_eq!(agenda.next_due(now).unwrap().key, 1);
        assert!(agenda.next_due(now).is_none());
    }
}
