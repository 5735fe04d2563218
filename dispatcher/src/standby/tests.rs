//! The rules of `standby`, each as a test.

use super::*;
use crate::fixtures::{basket, entry, level};

/// One who joined at `at` and wants these.
fn stander(at: i64, items: &[(&str, u32)]) -> LineEntry {
    let numbered = entry(u64::try_from(at).unwrap(), basket(items));
    LineEntry { joined_at: UnixMillis(at), ..numbered }.standing_by()
}

fn standby(first: Vec<LineEntry>) -> Standby {
    let count = u64::try_from(first.len()).unwrap();
    let mut standby = Standby::of(SettledBy::Worker, Duration::ZERO);
    standby.learn(StandbyList { first, count }, Instant::now());
    standby
}

fn stock(a: u64, held: u64) -> Stock {
    let mut stock = Stock::default();
    stock.learn(vec![level("a", a, held, 0), level("b", 9, 0, 0)]);
    stock
}

fn joined(picked: &[Candidate]) -> Vec<i64> {
    picked.iter().map(|candidate| candidate.entry.joined_at.0).collect()
}

#[tokio::test]
async fn who_joined_first_is_offered_first_and_once() {
    let all: Vec<LineEntry> = (1..=5).map(|at| stander(at, &[("a", 1)])).collect();
    let mut standby = standby(all.clone());
    let mut stock = stock(3, 0);
    let now = Instant::now();
    assert_eq!(joined(&standby.pick(&mut stock, 2, None, now)), [1, 2]);
    assert_eq!(joined(&standby.pick(&mut stock, 9, None, now)), [3], "the goods are gone");
    stock.learn(vec![level("a", 9, 0, 0)]);
    standby.learn(StandbyList { first: all, count: 5 }, now);
    assert_eq!(joined(&standby.pick(&mut stock, 9, None, now)), [4, 5]);
    assert_eq!(standby.wanted(&SkuId::new("a").unwrap(), now), 0);
}

#[tokio::test]
async fn a_crowd_that_cannot_be_served_hides_nobody() {
    let mut standby = standby(vec![stander(1, &[("a", 1)]), stander(2, &[("b", 1)])]);
    assert!(standby.hiding(&stock(0, 1)).is_empty(), "everybody is known");
    standby.count = 900;
    assert_eq!(standby.hiding(&stock(0, 1)), [basket(&[("a", 1)])]);
}

#[tokio::test]
async fn an_offer_that_came_to_nothing_is_made_again() {
    let all = vec![stander(1, &[("a", 1)])];
    let mut standby = standby(all.clone());
    let (mut stock, now) = (stock(9, 0), Instant::now());
    assert_eq!(standby.pick(&mut stock, 9, None, now).len(), 1);
    let list = || StandbyList { first: all.clone(), count: 1 };
    standby.learn(list(), now + OFFER_AGAIN / 2);
    assert_eq!(standby.first_since(&stock, now + OFFER_AGAIN / 2), None);
    standby.learn(list(), now + OFFER_AGAIN);
    assert!(standby.first_since(&stock, now + OFFER_AGAIN).is_some());
}

/// Each wait is twice as long, but whoever is to hear how it ended is told soon.
#[tokio::test]
async fn an_offer_that_comes_to_nothing_again_and_again_keeps_nobody_from_the_end() {
    let all = vec![stander(1, &[("a", 1)])];
    let mut standby = standby(all.clone());
    let list = || StandbyList { first: all.clone(), count: 1 };
    let mut now = Instant::now();
    for wait in [1, 2, 4, 8] {
        assert_eq!(standby.pick(&mut stock(9, 0), 9, None, now).len(), 1);
        standby.learn(list(), now + OFFER_AGAIN * wait - Duration::from_millis(1));
        let early = now + OFFER_AGAIN * wait - Duration::from_millis(1);
        assert_eq!(standby.first_since(&stock(9, 0), early), None);
        assert_eq!(standby.wanted(&SkuId::new("a").unwrap(), early), 0, "nothing is kept");
        now += OFFER_AGAIN * wait;
        standby.learn(list(), now);
    }
    standby.pick(&mut stock(9, 0), 9, None, now);
    assert!(standby.take_all(now, |_| true).is_empty(), "the offer may come to something");
    standby.learn(list(), now + OFFER_AGAIN);
    assert_eq!(standby.take_all(now + OFFER_AGAIN, |_| true).len(), 1);
}

#[tokio::test]
async fn what_the_shop_was_left_is_its_own_to_be_asked_for() {
    let all = vec![stander(1, &[("a", 1)])];
    let shop_timeout = OFFER_AGAIN * 6;
    let mut standby = Standby::of(SettledBy::Shop, shop_timeout);
    let list = || StandbyList { first: all.clone(), count: 1 };
    let now = Instant::now();
    standby.learn(list(), now);
    assert_eq!(standby.pick(&mut stock(9, 0), 9, None, now).len(), 1);
    let early = now + shop_timeout - Duration::from_millis(1);
    standby.learn(list(), early);
    assert!(standby.take_all(early, |_| true).is_empty(), "the shop may still say yes");
    let late = now + shop_timeout;
    standby.learn(list(), late);
    assert_eq!(standby.first_since(&stock(9, 0), late), None);
    assert_eq!(standby.wanted(&SkuId::new("a").unwrap(), late), 0);
    assert_eq!(standby.take_all(late, |_| true).len(), 1);
}

/// Its own goods are in flight: it would wait for itself.
#[tokio::test]
async fn an_offer_of_an_earlier_speaker_is_made_again_whatever_is_free() {
    let mut standby = standby(vec![stander(1, &[("a", 1)]), stander(2, &[("a", 1)])]);
    let second = standby.first().nth(1).unwrap();
    standby.recall(second);
    let mut stock = stock(0, 0);
    let now = Instant::now();
    assert_eq!(joined(&standby.pick(&mut stock, 9, None, now)), [2]);
    assert_eq!(standby.first_since(&stock, now), None);
}

#[tokio::test]
async fn one_who_was_just_written_down_is_not_forgotten_by_an_older_reading() {
    let (old, new) = (stander(5, &[("a", 1)]), stander(3, &[("a", 1)]));
    let mut standby = standby(vec![old.clone()]);
    let list = || StandbyList { first: vec![old.clone()], count: 1 };
    standby.reading();
    standby.add(new);
    assert_eq!(
        (standby.first_since(&stock(9, 0), Instant::now()).unwrap().0, standby.count()),
        (3, 2)
    );
    standby.learn(list(), Instant::now());
    assert_eq!(
        (standby.first_since(&stock(9, 0), Instant::now()).unwrap().0, standby.count()),
        (3, 2)
    );
    standby.reading();
    standby.learn(list(), Instant::now());
    assert_eq!(
        (standby.first_since(&stock(9, 0), Instant::now()).unwrap().0, standby.count()),
        (5, 1)
    );
}

#[tokio::test]
async fn nobody_goes_before_one_in_line_who_joined_earlier() {
    let mut standby = standby(vec![stander(5, &[("a", 1)]), stander(9, &[("a", 1)])]);
    let (mut stock, now) = (stock(9, 0), Instant::now());
    assert!(standby.pick(&mut stock, 9, Some(UnixMillis(5)), now).is_empty());
    assert_eq!(joined(&standby.pick(&mut stock, 9, Some(UnixMillis(7)), now)), [5]);
}

#[tokio::test]
async fn a_large_party_is_skipped_so_often_and_then_saved_up_for() {
    let mut all = vec![stander(1, &[("a", 4)])];
    all.extend((2..60).map(|at| stander(at, &[("a", 1)])));
    all.push(stander(99, &[("b", 1)]));
    let mut standby = standby(all);
    let now = Instant::now();
    let mut served = 0;
    while !standby
        .pick(&mut stock(1, 3), 1, None, now)
        .iter()
        .all(|candidate| candidate.entry.basket == basket(&[("b", 1)]))
    {
        served += 1;
        assert!(served <= SKIPS_MAX, "the first waits for ever");
    }
    assert_eq!(served, SKIPS_MAX);
    assert_eq!(
        standby.first_since(&stock(1, 3), now),
        None,
        "one unit is kept until there are four"
    );
    assert_eq!(joined(&standby.pick(&mut stock(4, 0), 9, None, now)), [1]);
}

#[tokio::test]
async fn one_who_can_never_be_served_stops_nobody() {
    let mut all = vec![stander(1, &[("a", 4)])];
    all.extend((2..60).map(|at| stander(at, &[("a", 1)])));
    let mut standby = standby(all);
    for _ in 2..60 {
        assert_eq!(standby.pick(&mut stock(1, 0), 1, None, Instant::now()).len(), 1);
    }
}

#[tokio::test]
async fn what_is_wanted_is_owed_and_all_of_it_if_not_everybody_is_known() {
    let mut standby = standby(vec![stander(1, &[("a", 2)]), stander(2, &[("a", 1)])]);
    let a = SkuId::new("a").unwrap();
    let now = Instant::now();
    assert_eq!(standby.wanted(&a, now), 3);
    standby.take_all(now, |entry| entry.joined_at.0 == 1);
    assert_eq!(standby.wanted(&a, now), 1);
    standby.count = 900;
    assert_eq!(standby.wanted(&a, now), u64::MAX);
    assert_eq!(standby.wanted(&SkuId::new("b").unwrap(), now), 0);
}

/// One who has a head start: since when it stands by, and when it joined.
fn ahead(since: i64, at: i64) -> LineEntry {
    LineEntry { stands_since: Some(UnixMillis(since)), ..stander(at, &[("a", 1)]) }
}

#[tokio::test]
async fn a_head_start_counts_among_those_who_stand_by_alone() {
    let late = || stander(5, &[("a", 1)]);
    let mut standby = standby(vec![late(), ahead(3, 9), stander(1, &[("a", 1)])]);
    let mut stock = stock(1, 2);
    let now = Instant::now();
    assert_eq!(joined(&standby.pick(&mut stock, 9, None, now)), [1]);
    let one = || self::stock(1, 2);
    let since = standby.first_since(&one(), now);
    assert_eq!(since, Some(UnixMillis(5)), "nobody in line who joined after 5 goes before them");
    let before = Some(UnixMillis(7));
    assert_eq!(
        joined(&standby.pick(&mut one(), 9, before, now)),
        [5],
        "who joined at 7 is in line"
    );
    assert_eq!(joined(&standby.pick(&mut one(), 9, None, now)), [9]);
}

#[tokio::test]
async fn who_is_written_down_later_takes_the_place_of_a_head_start() {
    let mut standby = standby(vec![stander(4, &[("a", 1)]), stander(6, &[("a", 1)])]);
    standby.add(ahead(5, 8));
    assert_eq!(joined(&standby.pick(&mut stock(9, 0), 9, None, Instant::now())), [4, 8, 6]);
}
