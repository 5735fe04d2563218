//! The rules of `release`, each as a test.

use proptest::prelude::*;
use sluice_core::{
    ids::Seq,
    line::{Cursor, LineEntry},
    ports::WaitingMessage,
};
use tokio::time::Instant;

use super::*;
use crate::{
    fixtures::{basket, entry, level},
    window::place,
};

fn window(entries: Vec<LineEntry>) -> Window {
    let mut window = Window::new(&Cursor::default(), 10_000);
    let now = Instant::now();
    window.take_in(WaitingMessage { tag: 1, entries }, now);
    window.pass_gaps(now, std::time::Duration::ZERO);
    window
}

fn stock(levels: &[(&str, u64, u64)]) -> Stock {
    let mut stock = Stock::default();
    let levels = levels.iter().map(|(sku, available, held)| level(sku, *available, *held, 0));
    stock.learn(levels.collect());
    stock
}

fn numbers(picked: &[Candidate]) -> Vec<u64> {
    picked.iter().map(|candidate| candidate.entry.seq.0).collect()
}

#[test]
fn the_lowest_number_goes_first_and_credit_is_the_limit() {
    let mut window = window(vec![
        entry(3, basket(&[("a", 1)])),
        entry(1, basket(&[("a", 1)])),
        entry(2, basket(&[("b", 1)])),
    ]);
    let mut stock = stock(&[("a", 9, 0), ("b", 9, 0)]);
    assert_eq!(numbers(&pick(&mut window, &mut stock, 2, 10, None)), [1, 2]);
    assert_eq!(numbers(&pick(&mut window, &mut stock, 2, 10, None)), [3]);
    assert_eq!(stock.remaining(), 15);
}

#[test]
fn who_lacks_held_goods_is_parked_and_goes_first_later() {
    let mut window = window(vec![
        entry(1, basket(&[("a", 1)])),
        entry(2, basket(&[("b", 1)])),
        entry(3, basket(&[("b", 1)])),
    ]);
    let mut levels = stock(&[("a", 0, 5), ("b", 1, 0)]);
    let picked = pick(&mut window, &mut levels, 9, 10, None);
    assert_eq!(numbers(&picked), [2]);
    assert_eq!(window.parked(), 1);
    window.finish(place(&picked[0].entry));
    assert_eq!(window.serving(), Seq(2), "the cursor passes the parked");
    assert_eq!(window.waiting_behind(Seq(2)), 1);
    let mut back = stock(&[("a", 1, 4), ("b", 1, 0)]);
    assert_eq!(numbers(&pick(&mut window, &mut back, 9, 10, None)), [1, 3]);
}

#[test]
fn nobody_is_parked_while_the_line_stands() {
    let mut window = window((1..=5).map(|seq| entry(seq, basket(&[("a", 1), ("b", 1)]))).collect());
    let mut levels = stock(&[("a", 0, 5), ("b", 0, 9)]);
    assert!(pick(&mut window, &mut levels, 9, 10, None).is_empty());
    let mut other = stock(&[("a", 0, 5), ("b", 0, 9), ("c", 7, 0)]);
    assert!(pick(&mut window, &mut other, 9, 10, None).is_empty(), "free goods nobody wants");
    assert_eq!(window.parked(), 0);
    assert_eq!(window.serving(), Seq(0));
}

#[test]
fn a_full_parking_makes_the_line_stand() {
    let mut entries: Vec<_> = (1..=3).map(|seq| entry(seq, basket(&[("a", 1)]))).collect();
    entries.push(entry(4, basket(&[("b", 1)])));
    let mut window = window(entries);
    let mut stock = stock(&[("a", 0, 5), ("b", 1, 0)]);
    assert!(pick(&mut window, &mut stock, 9, 2, None).is_empty());
    assert_eq!(window.parked(), 0);
    assert_eq!(numbers(&pick(&mut window, &mut stock, 9, 3, None)), [4]);
}

#[test]
fn who_can_never_be_served_by_the_gates_word_is_not_parked() {
    let mut window = window(vec![entry(1, basket(&[("a", 6)])), entry(2, basket(&[("a", 1)]))]);
    let mut stock = stock(&[("a", 1, 4)]);
    let picked = pick(&mut window, &mut stock, 9, 10, None);
    assert_eq!(numbers(&picked), [2]);
    assert_eq!(window.parked(), 0);
    window.finish(place(&picked[0].entry));
    assert_eq!(window.serving(), Seq(0), "it waits for the ledger's word");
}

#[test]
fn a_recalled_entry_goes_though_its_goods_are_in_flight() {
    let one = entry(1, basket(&[("a", 1)]));
    let mut window = window(vec![one.clone(), entry(2, basket(&[("a", 1)]))]);
    window.recall(place(&one));
    assert_eq!(window.recalled_units(), 1);
    let mut stock = Stock::default();
    stock.learn(vec![level("a", 1, 0, 1)]);
    let picked = pick(&mut window, &mut stock, 9, 10, None);
    assert_eq!(numbers(&picked), [1]);
    assert!(picked[0].recalled);
    assert_eq!(window.recalled_units(), 0);
}

proptest! {
    /// no-oversell at the tap and in-order: what is picked fits the stock together, and whoever is passed over by a
    /// higher number could not have been served in its place.
    #[test]
    fn picks_fit_and_keep_order(
        wants in proptest::collection::vec((0_usize..3, 1_u32..4), 1..60),
        levels in proptest::collection::vec((0_u64..12, 0_u64..6), 3),
        credit in 1_usize..40,
    ) {
        let names = ["a", "b", "c"];
        let entries: Vec<LineEntry> = wants.iter().zip(1..)
            .map(|((sku, quantity), seq)| entry(seq, basket(&[(names[*sku], *quantity)])))
            .collect();
        let mut window = window(entries.clone());
        let named: Vec<_> = names.iter().zip(&levels).map(|(n, (a, h))| (*n, *a, *h)).collect();
        let mut left = stock(&named);
        let picked = pick(&mut window, &mut left, credit, 1_000, None);
        // The naive reading of the law: walk the line once, call whoever fits.
        let mut oracle = stock(&named);
        let expected: Vec<u64> = entries.iter()
            .filter(|entry| {
                let fits = oracle.fits(&entry.basket);
                if fits { oracle.take(&entry.basket); }
                fits
            })
            .map(|entry| entry.seq.0)
            .take(credit)
            .collect();
        prop_assert_eq!(numbers(&picked), expected);
    }
}

#[tokio::test]
async fn who_joined_after_one_who_stands_by_is_left_in_line() {
    let joined = |seq: u64| LineEntry {
        joined_at: UnixMillis(i64::try_from(seq).unwrap()),
        ..entry(seq, basket(&[("a", 1)]))
    };
    let mut window = window((1..=5).map(joined).collect());
    let mut stock = Stock::default();
    stock.learn(vec![level("a", 9, 0, 0)]);
    let picked = pick(&mut window, &mut stock, 9, 10, Some(UnixMillis(3)));
    assert_eq!(numbers(&picked), [1, 2, 3]);
}
