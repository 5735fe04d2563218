//! What a consumer has in hand: delivered, and not settled with the broker. The broker closes a channel that settles
//! something twice, so every settlement is looked up here first, and leaves the hands with its word: whoever locks them
//! next finds both or neither. Otherwise one word that covers many could overtake one of its own.

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

    /// Settles what the caller is done with; tags that are not there are left out. Up to the lowest one that stays in hand,
    /// one word is enough. What is not handed over stays in hand.
    pub(super) fn settle<S, E>(
        &mut self,
        tags: &[u64],
        hand_over: impl FnOnce(Vec<Settle>) -> Result<S, E>,
    ) -> Result<S, E> {
        let done: BTreeSet<u64> =
            tags.iter().copied().filter(|tag| self.get(*tag).is_some()).collect();
        let stays = self.held.keys().find(|tag| !done.contains(tag));
        let lowest = stays.copied().unwrap_or(u64::MAX);
        let mut settles = Vec::new();
        let below = done.range(..lowest).count();
        match done.range(..lowest).next_back() {
            Some(last) if below > 1 => settles.push(Settle::AckUpTo(*last)),
            Some(last) => settles.push(Settle::Ack(*last)),
            None => {}
        }
        settles.extend(done.range(lowest..).map(|tag| Settle::Ack(*tag)));
        let handed_over = hand_over(settles)?;
        for tag in &done {
            self.held.remove(tag);
        }
        Ok(handed_over)
    }

    /// Settles one that was kept back, unless it is not in hand any more. False if it was not handed over.
    pub(super) fn let_go(
        &mut self,
        settle: Settle,
        hand_over: impl FnOnce(Settle) -> bool,
    ) -> bool {
        let (Settle::Ack(tag) | Settle::AckUpTo(tag) | Settle::Return(tag)) = settle;
        let gone = !self.held.contains_key(&tag) || hand_over(settle);
        if gone {
            self.held.remove(&tag);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    fn hands(tags: std::ops::RangeInclusive<u64>) -> Hands<()> {
        let mut hands = Hands::default();
        tags.for_each(|tag| hands.hand(tag, ()));
        hands
    }

    fn done(hands: &mut Hands<()>, tags: &[u64]) -> Vec<Settle> {
        hands.settle(tags, Ok::<_, ()>).unwrap()
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
    fn what_was_not_handed_over_is_not_passed_over() {
        let mut hands = hands(1..=4);
        hands.keep(5);
        assert_eq!(hands.settle(&[2], Err::<(), _>), Err(vec![Settle::Ack(2)]));
        assert_eq!(done(&mut hands, &[1, 3, 4]), [Settle::Ack(1), Settle::Ack(3), Settle::Ack(4)]);
        assert!(!hands.let_go(Settle::Return(5), |_| false), "there was no room for it");
        hands.hand(6, ());
        assert_eq!(done(&mut hands, &[2, 6]), [Settle::Ack(2), Settle::Ack(6)]);
    }

    #[test]
    fn what_is_kept_back_is_neither_settled_nor_passed_over() {
        let mut hands = hands(2..=3);
        hands.keep(1);
        assert_eq!(done(&mut hands, &[1, 2, 3]), [Settle::Ack(2), Settle::Ack(3)]);
        let mut handed_over = Vec::new();
        for _ in 0..2 {
            let note = |settle| {
                handed_over.push(settle);
                true
            };
            assert!(hands.let_go(Settle::Ack(1), note));
        }
        assert_eq!(handed_over, [Settle::Ack(1)], "once");
    }

    #[test]
    fn nothing_is_settled_twice_or_after_the_end() {
        let mut hands = hands(1..=2);
        assert_eq!(done(&mut hands, &[1, 1]), [Settle::Ack(1)]);
        assert_eq!(done(&mut hands, &[1, 7]), []);
        hands.close();
        assert_eq!((hands.count(), done(&mut hands, &[2])), (0, vec![]));
    }

    /// Many settle at once, each a few: no word comes of a tag that an earlier one covered.
    #[test]
    fn words_of_many_at_once_never_settle_twice() {
        const TAGS: u64 = 4_000;
        let (hands, words) = (Mutex::new(hands(1..=TAGS)), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (hands, words) = (&hands, &words);
                scope.spawn(move || {
                    let mine: Vec<u64> = (1..=TAGS).filter(|tag| tag % 8 == n).collect();
                    for tags in mine.chunks(3) {
                        let hand_over = |settles: Vec<Settle>| {
                            std::thread::yield_now();
                            words.lock().unwrap().extend(settles);
                            Ok::<_, ()>(())
                        };
                        hands.lock().unwrap().settle(tags, hand_over).unwrap();
                    }
                });
            }
        });
        let mut open: BTreeSet<u64> = (1..=TAGS).collect();
        for word in words.into_inner().unwrap() {
            match word {
                Settle::Ack(tag) => assert!(open.remove(&tag), "{tag} was settled before"),
                Settle::AckUpTo(tag) => {
                    assert!(open.contains(&tag), "{tag} was settled before");
                    open.retain(|one| *one > tag);
                }
                Settle::Return(tag) => panic!("{tag} was not to go back"),
            }
        }
        assert_eq!(open, BTreeSet::new());
    }
}
