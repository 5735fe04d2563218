//! Rules of the book of entries: one outcome each and the first one wins, told until somebody heard; and requests that
//! are done once. Holds have [their own](super::holds).

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc};

use super::{House, samples::*, together};
use crate::{
    entry::Outcome,
    ids::{EntryId, SaleId},
    line::LineEntry,
    ports::{EntryRecord, HoldReply, IdempotencyKey, Ledger, NewOutcome, OutcomeReason, Replay},
};

#[macro_export]
macro_rules! entries_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            entries:
            an_outcome_is_recorded,
            records_are_read_in_order,
            the_first_outcome_wins,
            the_first_outcome_wins_within_a_batch,
            one_outcome_wins_whoever_writes_at_once,
            a_reserved_entry_keeps_its_outcome,
            a_settled_entry_is_not_reserved,
            settling_and_holding_at_once_leave_one_outcome,
            an_outcome_survives_a_crash,
            outcomes_are_told_until_they_were_heard,
            untold_outcomes_survive_a_crash,
            a_request_is_done_once,
            a_request_made_at_once_is_done_once,
            a_remembered_request_survives_a_crash,
        );
    };
}

type Port = Arc<dyn Ledger>;

fn outcome(line_entry: &LineEntry, outcome: Outcome, reason: OutcomeReason) -> NewOutcome {
    NewOutcome { line_entry: line_entry.clone(), outcome, reason }
}

fn left(line_entry: &LineEntry) -> NewOutcome {
    outcome(line_entry, Outcome::Left, OutcomeReason::Plain)
}

fn sold_out(line_entry: &LineEntry) -> NewOutcome {
    outcome(line_entry, Outcome::SoldOut, OutcomeReason::Closed)
}

async fn settle(ledger: &dyn Ledger, sale: &SaleId, one: NewOutcome) -> EntryRecord {
    ledger.settle(sale, vec![one]).await.unwrap().remove(0)
}

async fn record(ledger: &dyn Ledger, entry: EntryId) -> Option<EntryRecord> {
    ledger.entries(&[entry]).await.unwrap().remove(0)
}

async fn open(house: &impl House<Port = Port>) -> (Port, SaleId) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    (ledger, sale)
}

pub async fn an_outcome_is_recorded(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let reasons = [
        (Outcome::SoldOut, OutcomeReason::Closed),
        (Outcome::Left, OutcomeReason::Plain),
        (Outcome::Expired, OutcomeReason::Plain),
        (Outcome::Refused, OutcomeReason::Banned),
        (Outcome::Refused, OutcomeReason::Duplicate),
        (Outcome::Refused, OutcomeReason::OverLimit),
    ];
    for (n, (one, reason)) in reasons.into_iter().enumerate() {
        let entry = entry(n as u64 + 1, "ada");
        assert_eq!(record(&*ledger, entry.entry).await, None);
        let written = settle(&*ledger, &sale, outcome(&entry, one, reason)).await;
        assert_eq!((written.outcome, written.reason, written.order), (one, reason, None));
        assert_eq!((&written.sale, written.entry), (&sale, entry.entry));
        assert_eq!((&written.buyer, written.seq), (&entry.buyer, entry.seq));
        assert!(!written.is_live());
        assert_eq!(record(&*ledger, entry.entry).await, Some(written));
    }
    assert_balanced_and_full(&*ledger, &sale).await;
}

/// No outcome but `reserved` touches the stock.
async fn assert_balanced_and_full(ledger: &dyn Ledger, sale: &SaleId) {
    super::assert_balanced(ledger, sale).await;
    assert_eq!(balance(ledger, sale, "a").await.available, 10);
}

pub async fn records_are_read_in_order(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let all = entries(1..=4);
    let outcomes = vec![left(&all[2]), sold_out(&all[0])];
    let written = ledger.settle(&sale, outcomes).await.unwrap();
    assert_eq!(written.iter().map(|r| r.entry).collect::<Vec<_>>(), [all[2].entry, all[0].entry]);
    let asked: Vec<EntryId> = all.iter().map(|entry| entry.entry).collect();
    let read = ledger.entries(&asked).await.unwrap();
    assert_eq!(read, [Some(written[1].clone()), None, Some(written[0].clone()), None]);
    assert!(ledger.entries(&[]).await.unwrap().is_empty());
}

pub async fn the_first_outcome_wins(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let ada = entry(1, "ada");
    let first = settle(&*ledger, &sale, left(&ada)).await;
    assert_eq!(settle(&*ledger, &sale, sold_out(&ada)).await, first);
    assert_eq!(settle(&*ledger, &sale, left(&ada)).await, first);
    assert_eq!(record(&*ledger, ada.entry).await, Some(first));
}

pub async fn the_first_outcome_wins_within_a_batch(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let (ada, bob) = (entry(1, "ada"), entry(2, "bob"));
    let batch = vec![left(&ada), sold_out(&bob), sold_out(&ada)];
    let written = ledger.settle(&sale, batch).await.unwrap();
    assert_eq!(written.len(), 3);
    assert_eq!(written[2], written[0]);
    assert_eq!(written[0].outcome, Outcome::Left);
    assert_eq!(written[1].outcome, Outcome::SoldOut);
}

pub async fn one_outcome_wins_whoever_writes_at_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let all = entries(1..=5);
    let replies = together(16, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        let one = if n % 2 == 0 { left } else { sold_out };
        // In both orders, as two writers may lock the rows.
        let mut batch: Vec<NewOutcome> = all.iter().map(one).collect();
        if n % 3 == 0 {
            batch.reverse();
        }
        async move {
            let mut written = ledger.settle(&sale, batch).await.unwrap();
            written.sort_by_key(|record| record.seq);
            written
        }
    });
    let replies = replies.await;
    assert!(replies.iter().all(|records| *records == replies[0]), "all are told the same");
}

pub async fn a_reserved_entry_keeps_its_outcome(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let ada = entry(1, "ada");
    let order = reserve(&*ledger, &sale, ada.clone()).await;
    let told = settle(&*ledger, &sale, left(&ada)).await;
    assert_eq!(told.outcome, Outcome::Reserved);
    assert_eq!(told.order.unwrap().order, order);
    assert_eq!(balance(&*ledger, &sale, "a").await.held, 1);
    super::assert_balanced(&*ledger, &sale).await;
}

pub async fn a_settled_entry_is_not_reserved(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let ada = entry(1, "ada");
    let record = settle(&*ledger, &sale, left(&ada)).await;
    let reply = ledger.hold(&sale, vec![request(ada)]).await.unwrap().remove(0);
    assert_eq!(reply, HoldReply::Known { record, hold: None });
    assert_balanced_and_full(&*ledger, &sale).await;
}

pub async fn settling_and_holding_at_once_leave_one_outcome(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let all = entries(1..=10);
    let rounds = together(20, |n| {
        let (ledger, sale, one) = (Arc::clone(&ledger), sale.clone(), all[n / 2].clone());
        async move {
            if n % 2 == 0 {
                settle(&*ledger, &sale, left(&one)).await;
            } else {
                ledger.hold(&sale, vec![request(one)]).await.unwrap();
            }
        }
    });
    rounds.await;
    let ids: Vec<EntryId> = all.iter().map(|entry| entry.entry).collect();
    let records = ledger.entries(&ids).await.unwrap();
    let reserved = records.iter().filter(|r| r.as_ref().unwrap().order.is_some()).count() as u64;
    assert_eq!(balance(&*ledger, &sale, "a").await.held, reserved);
    super::assert_balanced(&*ledger, &sale).await;
}

pub async fn an_outcome_survives_a_crash(mut house: impl House<Port = Port>) {
    let mut written = Vec::new();
    let (mut ledger, sale) = open(&house).await;
    for seq in 1..=10 {
        written.push(settle(&*ledger, &sale, left(&entry(seq, "ada"))).await);
        house.crash().await;
        ledger = house.port();
        let ids: Vec<EntryId> = written.iter().map(|record| record.entry).collect();
        let read = ledger.entries(&ids).await.unwrap();
        assert_eq!(read.into_iter().flatten().collect::<Vec<_>>(), written);
    }
}

async fn untold(ledger: &dyn Ledger, limit: u32) -> Vec<EntryId> {
    ledger.untold(limit).await.unwrap().iter().map(|record| record.entry).collect()
}

pub async fn outcomes_are_told_until_they_were_heard(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    assert!(untold(&*ledger, 10).await.is_empty());
    let all = entries(1..=4);
    settle(&*ledger, &sale, left(&all[2])).await;
    reserve(&*ledger, &sale, all[0].clone()).await;
    settle(&*ledger, &sale, sold_out(&all[3])).await;
    let ids = [all[2].entry, all[0].entry, all[3].entry];
    assert_eq!(untold(&*ledger, 10).await, ids, "oldest first");
    assert_eq!(untold(&*ledger, 2).await, ids[..2]);
    let records = ledger.untold(10).await.unwrap();
    assert_eq!(record(&*ledger, ids[1]).await.as_ref(), Some(&records[1]));
    ledger.told(&[ids[0], ids[2], entry(9, "nobody").entry]).await.unwrap();
    ledger.told(&[ids[0]]).await.unwrap();
    assert_eq!(untold(&*ledger, 10).await, [ids[1]]);
    settle(&*ledger, &sale, left(&all[2])).await;
    assert_eq!(untold(&*ledger, 10).await, [ids[1]], "a repeat is no news");
}

pub async fn untold_outcomes_survive_a_crash(mut house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let all = entries(1..=3);
    for one in &all {
        settle(&*ledger, &sale, left(one)).await;
    }
    ledger.told(&[all[0].entry]).await.unwrap();
    house.crash().await;
    let kept: BTreeSet<EntryId> = untold(&*house.port(), 10).await.into_iter().collect();
    assert!(kept.contains(&all[1].entry) && kept.contains(&all[2].entry));
}

fn key(scope: &str, key: &str, body: u8) -> IdempotencyKey {
    IdempotencyKey { scope: scope.into(), key: key.into(), body: [body; 32] }
}

pub async fn a_request_is_done_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    assert_eq!(ledger.replay(&key("drop ada", "k", 1)).await.unwrap(), Replay::First);
    assert_eq!(ledger.replay(&key("drop ada", "k", 1)).await.unwrap(), Replay::Same);
    assert_eq!(ledger.replay(&key("drop ada", "k", 2)).await.unwrap(), Replay::Different);
    assert_eq!(ledger.replay(&key("drop ada", "k", 1)).await.unwrap(), Replay::Same);
    assert_eq!(ledger.replay(&key("drop ada", "K", 1)).await.unwrap(), Replay::First);
    assert_eq!(ledger.replay(&key("drop bob", "k", 2)).await.unwrap(), Replay::First);
}

pub async fn a_request_made_at_once_is_done_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    let replies = together(16, |_| {
        let ledger = Arc::clone(&ledger);
        async move { ledger.replay(&key("drop ada", "k", 1)).await.unwrap() }
    });
    let replies = replies.await;
    assert_eq!(replies.iter().filter(|reply| **reply == Replay::First).count(), 1);
    assert_eq!(replies.iter().filter(|reply| **reply == Replay::Same).count(), 15);
}

pub async fn a_remembered_request_survives_a_crash(mut house: impl House<Port = Port>) {
    for n in 0..8 {
        let one = key("drop ada", &format!("k-{n}"), 1);
        assert_eq!(house.port().replay(&one).await.unwrap(), Replay::First);
        house.crash().await;
        assert_eq!(house.port().replay(&one).await.unwrap(), Replay::Same);
    }
}
