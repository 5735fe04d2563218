//! What a consumer has in hand: delivered, and not settled with the broker. The broker closes a channel that settles
//! something twice, so every settlement is looked up here first.

use std::collections::{BTreeMap, BTreeSet};

use super::writer::Settle;

/// Deliveries by their tags.
#[derive(Debug)]
pub(super) struct Hands<T> {
    held: BTreeMap<u64, Held<T>>,
    closed: bool,
}

#[derive(Debug)]
enum Held<T> {
    /// Given to the caller, who may settle it.
    Handed(T),
    /// Kept back: settled by the consumer itself.
    Kept,
}

impl<T> Default for Hands<T> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), closed: false }
    }
}

impl<T> Hands<T> {
    /// Notes a delivery that the caller gets.
    pub(super) fn hand(&mut self, tag: u64, what: T) {
        self.held.insert(tag, Held::Handed(what));
    }

    /// Notes a delivery that the caller does not get.
    pub(super) fn keep(&mut self, tag: u64) {
        self.held.insert(tag, Held::Kept);
    }

    /// Nothing can be settled from now on: all of it goes back.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.held.clear();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// How many the caller has.
    pub(super) fn count(&self) -> usize {
        self.held.values().filter(|held| matches!(held, Held::Handed(_))).count()
    }

    pub(super) fn get(&self, tag: u64) -> Option<&T> {
        match self.held.get(&tag) {
            Some(Held::Handed(what)) => Some(what),
            Some(Held::Kept) | None => None,
        }
    }

    /// Takes what the caller is done with out of the hands; tags that are not there are left out. What to tell the broker:
    /// up to the lowest one that stays in hand, one word is enough.
    pub(super) fn done(&mut self, tags: &[u64]) -> (Vec<Settle>, Vec<(u64, T)>) {
        let mut taken = Vec::new();
        for tag in tags {
            if self.get(*tag).is_some()
                && let Some(Held::Handed(what)) = self.held.remove(tag)
            {
                taken.push((*tag, what));
            }
        }
        let done: BTreeSet<u64> = taken.iter().map(|(tag, _)| *tag).collect();
        let lowest = self.held.first_key_value().map_or(u64::MAX, |(tag, _)| *tag);
        let mut settles = Vec::new();
        let below = done.range(..lowest).count();
        match done.range(..lowest).next_back() {
            Some(last) if below > 1 => settles.push(Settle::AckUpTo(*last)),
            Some(last) => settles.push(Settle::Ack(*last)),
            None => {}
        }
        settles.extend(done.range(lowest..).map(|tag| Settle::Ack(*tag)));
        (settles, taken)
    }

    /// Puts back into the hands what could not be settled.
    pub(super) fn not_done(&mut self, taken: Vec<(u64, T)>) {
        if !self.closed {
            self.held.extend(taken.into_iter().map(|(tag, what)| (tag, Held::Handed(what))));
        }
    }

    /// One that was kept back is settled. Whether it still was to be.
    pub(super) fn let_go(&mut self, tag: u64) -> bool {
        self.held.remove(&tag).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hands(tags: std::ops::RangeInclusive<u64>) -> Hands<()> {
        let mut hands = Hands::default();
        tags.for_each(|tag| hands.hand(tag, ()));
        hands
    }

    fn done(hands: &mut Hands<()>, tags: &[u64]) -> Vec<Settle> {
        hands.done(tags).0
    }

    #[test]
    fn one_word_covers_what_lies_below_the_lowest_in_hand() {
        let mut hands = hands(1..=6);
        assert_eq!(done(&mut hands, &[1, 2, 3, 5]), [Settle::AckUpTo(3), Settle::Ack(5)]);
        assert_eq!(done(&mut hands, &[6]), [Settle::Ack(6)], "4 is still in hand");
        assert_eq!(done(&mut hands, &[4]), [Settle::Ack(4)]);
    }

    #[test]
    fn older_ones_in_hand_are_not_taken_along() {
        let mut hands = hands(1..=4);
        assert_eq!(done(&mut hands, &[4, 2]), [Settle::Ack(2), Settle::Ack(4)]);
        assert_eq!(done(&mut hands, &[3, 1]), [Settle::AckUpTo(3)], "2 was settled before");
    }

    #[test]
    fn what_is_kept_back_is_neither_settled_nor_passed_over() {
        let mut hands = hands(2..=3);
        hands.keep(1);
        assert_eq!(done(&mut hands, &[1, 2, 3]), [Settle::Ack(2), Settle::Ack(3)]);
        assert!(hands.let_go(1));
        assert!(!hands.let_go(1));
    }

    #[test]
    fn nothing_is_settled_twice_or_after_the_end() {
        let mut hands = hands(1..=2);
        assert_eq!(done(&mut hands, &[1, 1]), [Settle::Ack(1)]);
        assert_eq!(done(&mut hands, &[1, 7]), []);
        let (_, taken) = hands.done(&[2]);
        hands.close();
        hands.not_done(taken);
        assert_eq!((hands.count(), done(&mut hands, &[2])), (0, vec![]));
    }
}
