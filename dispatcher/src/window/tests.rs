//! The rules of `window`, each as a test.

use proptest::prelude::*;

use super::*;
use crate::fixtures::{basket, entry};

const WAIT: Duration = Duration::from_millis(250);

fn message(tag: u64, seqs: &[u64]) -> WaitingMessage {
    let entries = seqs.iter().map(|seq| entry(*seq, basket(&[("a", 1)]))).collect();
    WaitingMessage { tag, entries }
}

fn first(window: &Window) -> Option<u64> {
    window.first_servable(|_| true).map(|(seq, _)| seq.0)
}

fn call_and_finish(window: &mut Window) -> Option<u64> {
    let next = window.first_servable(|_| true)?;
    window.take_in_hand(next)?;
    window.finish(next);
    Some(next.0.0)
}

#[test]
fn nobody_overtakes_a_number_that_is_waited_for() {
    let (mut window, start) = (Window::new(&Cursor::default(), 100), Instant::now());
    window.take_in(message(1, &[2, 3]), start);
    window.pass_gaps(start, WAIT);
    assert_eq!(first(&window), None);
    assert_eq!(window.gap_deadline(WAIT), Some(start + WAIT));
    assert_eq!(window.pass_gaps(start + WAIT, WAIT), 1);
    assert_eq!(first(&window), Some(2));
    window.take_in(message(2, &[1]), start + WAIT);
    assert_eq!(first(&window), Some(1), "a straggler is next");
}

#[test]
fn a_twin_is_dropped_and_its_message_acknowledged() {
    let (mut window, now) = (Window::new(&Cursor::default(), 100), Instant::now());
    assert_eq!(window.take_in(message(1, &[1, 2]), now), 0);
    assert_eq!(window.take_in(message(2, &[1, 2]), now), 2);
    window.pass_gaps(now, WAIT);
    assert_eq!(window.take_acks(), [2], "the twins' message owes nothing");
    assert_eq!(call_and_finish(&mut window), Some(1));
    assert_eq!(window.take_in(message(3, &[1]), now), 1, "also after its turn");
    assert_eq!(call_and_finish(&mut window), Some(2));
    assert_eq!(call_and_finish(&mut window), None);
    assert_eq!(window.take_acks(), [1, 3]);
}

#[test]
fn the_cursor_waits_for_who_is_in_hand() {
    let (mut window, now) = (Window::new(&Cursor::default(), 100), Instant::now());
    window.take_in(message(1, &[1, 2, 3]), now);
    window.pass_gaps(now, WAIT);
    let one = window.first_servable(|_| true).unwrap();
    window.take_in_hand(one);
    let two = window.first_servable(|_| true).unwrap();
    window.take_in_hand(two);
    assert_eq!(window.serving(), Seq(0));
    window.finish(two);
    assert_eq!(window.serving(), Seq(0), "1 is not durable yet");
    window.finish(one);
    assert_eq!(window.serving(), Seq(2));
    assert!(window.take_acks().is_empty(), "3 is in the same message");
}

#[test]
fn the_window_has_a_limit() {
    let (mut window, now) = (Window::new(&Cursor::default(), 3), Instant::now());
    window.take_in(message(1, &[1, 2]), now);
    window.pass_gaps(now, WAIT);
    assert!(window.has_room());
    window.take_in(message(2, &[3, 4]), now);
    window.pass_gaps(now, WAIT);
    assert!(!window.has_room());
    call_and_finish(&mut window);
    call_and_finish(&mut window);
    assert!(window.has_room());
}

#[test]
fn whoever_came_after_the_question_is_not_ended_by_the_answer() {
    let (mut window, now) = (Window::new(&Cursor::default(), 100), Instant::now());
    window.take_in(message(1, &[1, 2]), now);
    let asked_for = window.last_arrival();
    window.take_in(message(2, &[3]), now);
    let ended = window.take_kinds(asked_for, |_| true);
    assert_eq!(ended.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(window.waiting(), 1);
}

#[test]
fn those_at_or_below_the_cursor_of_a_takeover_are_next() {
    let cursor = Cursor { serving: Seq(10), ..Cursor::default() };
    let (mut window, now) = (Window::new(&cursor, 100), Instant::now());
    window.take_in(message(1, &[7, 11]), now);
    window.pass_gaps(now, WAIT);
    assert_eq!(window.serving(), Seq(10));
    assert_eq!(window.waiting_behind(Seq(10)), 1);
    assert_eq!(call_and_finish(&mut window), Some(7));
    assert_eq!(call_and_finish(&mut window), Some(11));
    assert_eq!(window.serving(), Seq(11));
}

proptest! {
    /// no-lost-place and in-order inside a window: whatever comes how often in whatever order, everybody is called
    /// once, in the order of numbers among those present; every message is acknowledged once, somebody
    /// who is not called is in a message that is not; the cursor never passes somebody unfinished and ends at the last number.
    #[test]
    fn everybody_is_called_once_and_every_message_acknowledged(
        messages in proptest::collection::vec(proptest::collection::vec(1_u64..60, 1..5), 1..40),
        calls in proptest::collection::vec(0_usize..6, 40),
    ) {
        let (mut window, mut now) = (Window::new(&Cursor::default(), 10_000), Instant::now());
        let (mut called, mut acked, mut serving) = (Vec::new(), Vec::new(), Seq(0));
        let mut arrived: Vec<(u64, Vec<u64>)> = Vec::new();
        for (tag, (seqs, calls)) in (1_u64..).zip(messages.iter().zip(calls)) {
            window.take_in(message(tag, seqs), now);
            arrived.push((tag, seqs.clone()));
            now += Duration::from_millis(100);
            window.pass_gaps(now, WAIT);
            for _ in 0..calls {
                called.extend(call_and_finish(&mut window));
            }
            acked.extend(window.take_acks());
            for seq in arrived.iter().flat_map(|(_, seqs)| seqs) {
                let kept = |(tag, seqs): &(u64, Vec<u64>)| seqs.contains(seq) && !acked.contains(tag);
                prop_assert!(called.contains(seq) || arrived.iter().any(kept), "{} lost", seq);
            }
            prop_assert!(serving <= window.serving());
            serving = window.serving();
            let passed = arrived.iter().flat_map(|(_, seqs)| seqs).filter(|seq| **seq <= serving.0);
            for seq in passed {
                let late = window.first_servable(|_| true).is_some_and(|(first, _)| first.0 <= *seq);
                prop_assert!(called.contains(seq) || late, "{} passed", seq);
            }
        }
        window.pass_gaps(now + WAIT, WAIT);
        while let Some(seq) = call_and_finish(&mut window) {
            called.push(seq);
        }
        acked.extend(window.take_acks());
        let mut everybody: Vec<u64> = messages.into_iter().flatten().collect();
        everybody.sort_unstable();
        everybody.dedup();
        let mut sorted = called.clone();
        sorted.sort_unstable();
        prop_assert_eq!(&sorted, &everybody);
        acked.sort_unstable();
        let tags: Vec<u64> = arrived.iter().map(|(tag, _)| *tag).collect();
        prop_assert_eq!(acked, tags);
        prop_assert_eq!(window.serving().0, *everybody.last().unwrap());
    }
}
