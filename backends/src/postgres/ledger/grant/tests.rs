//! What the three ways of granting must agree on.

use std::collections::{HashMap, HashSet};

use sluice_core::{
    basket::Item,
    clock::UnixMillis,
    ids::{BuyerId, EntryId, HoldId, OrderId, Seq},
    line::LineEntry,
    random::Random,
    sale::NewSale,
};

use super::*;
use crate::postgres::ledger::seats::Seats;

const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

fn sku(name: &str) -> SkuId {
    SkuId::new(name).unwrap()
}

fn books(a: u64, b: u64) -> Books {
    let new = serde_json::json!({
        "id": "drop",
        "skus": [
            { "sku": "a", "stock": 1_000, "amount_fen": 100, "currency": "CNY" },
            { "sku": "b", "stock": 1_000, "amount_fen": 10, "currency": "CNY" },
        ],
    });
    let new: NewSale = serde_json::from_value(new).unwrap();
    Books {
        sale: new.build(NOW).unwrap(),
        now: NOW,
        pay_by: NOW,
        known: HashMap::new(),
        live: HashSet::new(),
        available: BTreeMap::from([(sku("a"), a), (sku("b"), b)]),
        seating: SeatedBy::Gate(Seats::default()),
    }
}

fn turn(random: &Random, seq: u64, buyer: &str, items: &[(&str, u32)]) -> HoldRequest {
    let items = items.iter().map(|(name, quantity)| Item::counted(sku(name), *quantity));
    let entry = EntryId::generate(NOW, random);
    HoldRequest {
        line_entry: LineEntry {
            entry,
            buyer: BuyerId::new(buyer).unwrap(),
            seq: Seq(seq),
            holes_below: 0,
            basket: Basket::new(items.collect()).unwrap(),
            joined_at: NOW,
            address: None,
            reach: None,
            stands_since: None,
        },
        hold: HoldId::of_entry(entry, 0),
        order: OrderId::generate(NOW, random),
        gate: GateSaid::Held,
    }
}

#[test]
fn what_one_gets_the_next_does_not() {
    let random = Random::seeded(5);
    let turns = [
        turn(&random, 1, "ada", &[("a", 2), ("b", 1)]),
        turn(&random, 2, "bob", &[("a", 2)]),
        turn(&random, 3, "eve", &[("a", 1)]),
        turn(&random, 4, "ada", &[("b", 1)]),
        turn(&random, 5, "joe", &[("b", 11)]),
        turn(&random, 6, "kim", &[("z", 1)]),
    ];
    let plan = decide(&mut books(3, 100), &turns);
    let granted: Vec<(usize, i64)> =
        plan.grants.iter().map(|grant| (grant.place, grant.amount.0)).collect();
    assert_eq!(granted, [(0, 210), (2, 100)]);
    assert_eq!(plan.taken, BTreeMap::from([(sku("a"), 3), (sku("b"), 1)]));
    let reasons: Vec<(Outcome, OutcomeReason)> =
        plan.verdicts.iter().map(|verdict| (verdict.outcome, verdict.reason)).collect();
    use OutcomeReason::{Duplicate, OverLimit, Plain};
    let due = [
        (Outcome::Reserved, Plain),
        (Outcome::SoldOut, Plain),
        (Outcome::Reserved, Plain),
        (Outcome::Refused, Duplicate),
        (Outcome::Refused, OverLimit),
        (Outcome::SoldOut, Plain),
    ];
    assert_eq!(reasons, due);
}

#[test]
fn a_turn_that_comes_twice_is_decided_once() {
    let random = Random::seeded(6);
    let ada = turn(&random, 1, "ada", &[("a", 1)]);
    let short = HoldRequest { gate: GateSaid::Short, ..ada.clone() };
    let turns = [short, ada.clone(), ada];
    let plan = decide(&mut books(1, 0), &turns);
    assert_eq!(plan.replies[0], HoldReply::GateWrong);
    let HoldReply::Settled { record, .. } = &plan.replies[1] else { panic!("{:?}", plan.replies) };
    let HoldReply::Known { record: again, hold } = &plan.replies[2] else {
        panic!("{:?}", plan.replies)
    };
    assert_eq!((record, *hold), (again, Some(plan.grants[0].request.hold)));
    assert_eq!((plan.verdicts.len(), plan.grants.len()), (1, 1));
}
