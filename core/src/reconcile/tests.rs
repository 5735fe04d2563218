//! The rules of `reconcile`, each as a test.

use super::*;
use crate::{
    ids::EntryId,
    money::{AmountFen, Currency},
    ports::GateImage,
    random::Random,
};

fn basket(units: u32) -> Basket {
    serde_json::from_value(serde_json::json!([{ "sku": "a", "quantity": units }])).unwrap()
}

fn hold(n: u32) -> HoldId {
    HoldId::of_entry(EntryId::generate(UnixMillis(1), &Random::seeded(7)), n)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn suspect(in_gate: Option<(u64, u64)>) -> Suspect {
    let in_gate = in_gate.map(|(movement, age)| (movement, seconds(age)));
    Suspect { hold: hold(0), basket: basket(2), in_gate }
}

fn word(movement: u64, phase: HoldPhase, age: u64) -> HoldWord {
    HoldWord { movement, phase, age: seconds(age) }
}

fn decide(suspect: &Suspect, word: Option<HoldWord>) -> Remedy {
    remedy(suspect, word.as_ref(), &ReconcileSettings::default())
}

fn set(movement: u64, phase: HoldPhase) -> Remedy {
    Remedy::Set(HoldUpdate { hold: hold(0), movement, phase, basket: basket(2) })
}

#[test]
fn holds_on_which_both_agree_are_not_suspect() {
    let held =
        |n, movement| GateHold { hold: hold(n), movement, basket: basket(1), age: seconds(60) };
    let gate = [held(1, 5), held(2, 0), held(3, 6)].map(|held| (held.hold, held));
    let live = |n, movement| HeldStock { hold: hold(n), movement, basket: basket(1) };
    let found = suspects(&gate.into(), &[live(1, 5), live(2, 8), live(4, 9)]);
    let mut expected = vec![(hold(2), true), (hold(3), true), (hold(4), false)];
    expected.sort_unstable();
    let found: Vec<_> = found.iter().map(|s| (s.hold, s.in_gate.is_some())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_hold_without_a_row_is_a_leak_once_it_is_old() {
    let leak = Remedy::Release(HoldUpdate::unrecorded(hold(0), basket(2)));
    assert_eq!(decide(&suspect(Some((0, 5))), None), leak);
    assert_eq!(decide(&suspect(Some((0, 4))), None), Remedy::None, "its batch may be under way");
    assert_eq!(decide(&suspect(Some((7, 60))), None), Remedy::None, "never blindly released");
}

#[test]
fn the_gate_is_set_to_a_word_that_is_not_on_its_way_any_more() {
    use HoldPhase::{Held, Released, Sold};
    let lagging = suspect(Some((4, 60)));
    for phase in [Sold, Released] {
        assert_eq!(decide(&lagging, Some(word(9, phase, 3))), set(9, phase));
        assert_eq!(decide(&lagging, Some(word(9, phase, 2))), Remedy::None);
        assert_eq!(decide(&lagging, Some(word(4, phase, 60))), Remedy::None, "it heard that one");
        assert_eq!(decide(&suspect(None), Some(word(9, phase, 60))), Remedy::None);
    }
    assert_eq!(decide(&suspect(Some((0, 1))), Some(word(9, Held, 3))), set(9, Held));
    assert_eq!(decide(&suspect(None), Some(word(9, Held, 3))), set(9, Held));
}

#[test]
fn only_what_moves_between_available_and_held_is_misplaced() {
    use HoldPhase::{Held, Released, Sold};
    let (known, missing) = (suspect(Some((4, 60))), suspect(None));
    let leak = Remedy::Release(HoldUpdate::unrecorded(hold(0), basket(2)));
    assert_eq!(misplaced(&known, &leak), -1);
    assert_eq!(misplaced(&known, &set(9, Released)), -1);
    assert_eq!(misplaced(&missing, &set(9, Held)), 1);
    assert_eq!(misplaced(&known, &set(9, Held)), 0);
    assert_eq!(misplaced(&known, &set(9, Sold)), 0, "the sums show it");
}

#[test]
fn what_lies_between_two_looks_is_on_its_way() {
    for (before, after, left) in
        [(0, 0, 0), (20, -5, 0), (-3, 0, 0), (20, 7, 7), (3, 9, 3), (-2, -8, -2)]
    {
        assert_eq!(residual(before, after), left, "{before} {after}");
    }
}

fn books(available: u64, held: u64, in_holds: u32) -> Books {
    let sku = SkuId::new("a").unwrap();
    let balance = StockBalance { sku, total: 10, available, owed: 1, held, sold: 2, returned: 0 };
    let holds = vec![HeldStock { hold: hold(1), movement: 3, basket: basket(in_holds) }];
    let image = GateImage { holds, ..GateImage::default() };
    Books { balances: vec![balance], image, money: Vec::new() }
}

#[test]
fn the_ledger_must_add_up() {
    assert_eq!(gaps(&books(4, 3, 3)), []);
    let short = gaps(&books(3, 3, 3));
    assert_eq!((short[0].kind, short[0].units), (FindingKind::LedgerSum, -1));
    let unheld = gaps(&books(4, 3, 5));
    assert_eq!((unheld[0].kind, unheld[0].units), (FindingKind::LedgerHolds, 2));
}

#[test]
fn money_that_is_nowhere_is_a_gap() {
    let mut books = books(4, 3, 3);
    let fen = |taken, kept, refunded, in_flight| {
        let [taken, kept, refunded, in_flight] = [taken, kept, refunded, in_flight].map(AmountFen);
        MoneyBalance { currency: Currency::CNY, taken, kept, refunded, in_flight }
    };
    books.money = vec![fen(600, 300, 200, 100)];
    assert_eq!(gaps(&books), []);
    for (money, units) in [(fen(600, 300, 200, 0), 100), (fen(0, 0, 5, 0), -5)] {
        books.money = vec![money];
        let found = gaps(&books);
        assert_eq!((found.len(), found[0].kind, found[0].units), (1, FindingKind::Money, units));
        assert_eq!(consequence(&found, &[], 0, &ReconcileSettings::default()), Consequence::Freeze);
    }
}

#[test]
fn a_gap_freezes_at_once_and_a_drift_only_when_it_stays() {
    let settings = ReconcileSettings::default();
    let drift = |units| drifts(&[(SkuId::new("a").unwrap(), units)].into());
    assert_eq!(drift(0), []);
    assert_eq!(consequence(&gaps(&books(3, 3, 3)), &[], 0, &settings), Consequence::Freeze);
    let course: Vec<_> =
        (1..=4).map(|runs| consequence(&drift(-11), &[], runs, &settings)).collect();
    use Consequence::{Freeze, None, Rebuild};
    assert_eq!(course, [None, Rebuild, None, Freeze]);
    let small: Vec<_> = (1..=6).map(|runs| consequence(&drift(10), &[], runs, &settings)).collect();
    assert_eq!(
        small,
        [None, Rebuild, None, Rebuild, None, Rebuild],
        "it is borne, and tried again"
    );
}

#[test]
fn nothing_freezes_twice_and_a_drift_is_mended_on() {
    let settings = ReconcileSettings::default();
    let drift = |units| drifts(&[(SkuId::new("a").unwrap(), units)].into());
    let gap = gaps(&books(3, 3, 3));
    use Consequence::{Freeze, None, Rebuild};
    assert!(is_broken(&gap, 0, &settings));
    assert_eq!(consequence(&gap, &gap, 0, &settings), None);
    assert_eq!(consequence(&gap, &drift(9), 0, &settings), Freeze);
    // A small drift that comes and goes beside it is no news that freezes.
    let both = [gap.clone(), drift(3)].concat();
    assert_eq!(consequence(&both, &gap, 1, &settings), None);
    let more = gaps(&books(3, 3, 2));
    assert_eq!(consequence(&more, &gap, 0, &settings), Freeze, "{more:?} after {gap:?}");
    let known = drift(-11);
    let course: Vec<_> = (3..=6).map(|n| consequence(&known, &known, n, &settings)).collect();
    assert_eq!(course, [None, Rebuild, None, Rebuild]);
    assert_eq!(consequence(&drift(-12), &known, 5, &settings), Freeze);
}
