//! Rules of the waiting queue: what was offered is durable, and is drained in order. Who drains, and what comes back, is
//! in [`drains`](super::drains).

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{task::JoinSet, time::timeout};

use super::{House, Queues, not_now, samples::*, soon, together, until};
use crate::{
    ids::{EntryId, SaleId},
    line::LineEntry,
    ports::{Drain, WaitingMessage},
};

#[macro_export]
macro_rules! waiting_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            waiting:
            entries_are_drained_in_the_order_offered,
            entries_come_out_as_they_went_in,
            a_drain_waits_for_what_is_to_come,
            ready_messages_are_taken_without_waiting,
            a_dropped_next_loses_nothing,
            offers_at_once_are_all_drained,
            many_unacknowledged_messages_are_delivered,
            an_offer_survives_a_crash,
            every_offer_that_was_answered_survives_a_crash,
            declaring_again_keeps_what_is_there,
            removing_takes_everything_along,
            sales_have_their_own_queues,
        );
    };
}

/// Declares the queue of the sale `drop`.
pub(super) async fn declared(queues: &Queues) -> SaleId {
    queues.waiting.declare(&drop_sale()).await.unwrap();
    drop_sale()
}

pub(super) async fn drain(queues: &Queues, sale: &SaleId) -> Drain {
    soon("the drain", queues.waiting.drain(sale)).await.unwrap()
}

pub(super) async fn next(drain: &mut Drain) -> WaitingMessage {
    soon("a waiting message", drain.intake.next()).await.unwrap()
}

/// Takes messages until `count` entries have come, not counting repeats.
pub(super) async fn take(drain: &mut Drain, count: usize) -> Vec<LineEntry> {
    let mut seen = BTreeSet::new();
    let mut entries = Vec::new();
    while seen.len() < count {
        let message = next(drain).await;
        let fresh = message.entries.into_iter().filter(|entry| seen.insert(entry.entry));
        entries.extend(fresh);
    }
    entries
}

pub(super) async fn nothing_more(drain: &mut Drain) {
    not_now("a waiting message", drain.intake.next()).await;
}

pub(super) async fn offer(queues: &Queues, sale: &SaleId, entries: &[LineEntry]) {
    queues.waiting.offer(sale, entries.to_vec()).await.unwrap();
}

pub async fn entries_are_drained_in_the_order_offered(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=40);
    for some in all.chunks(3) {
        offer(&queues, &sale, some).await;
    }
    let mut drain = drain(&queues, &sale).await;
    let (mut came, mut tags) = (Vec::new(), Vec::new());
    while came.len() < all.len() {
        let message = next(&mut drain).await;
        assert!(!message.entries.is_empty(), "a message has entries");
        tags.push(message.tag);
        came.extend(message.entries);
    }
    assert_eq!(came, all);
    assert!(tags.is_sorted_by(|a, b| a < b), "tags ascend within one drain: {tags:?}");
    nothing_more(&mut drain).await;
}

pub async fn entries_come_out_as_they_went_in(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let plain = entry(1, "ada");
    let full = LineEntry {
        holes_below: 12,
        address: Some("2001:db8::7".parse().unwrap()),
        ..wanting(77, "bob", &[("a", 3), ("b", 1)])
    };
    offer(&queues, &sale, &[plain.clone(), full.clone()]).await;
    let mut drain = drain(&queues, &sale).await;
    assert_eq!(take(&mut drain, 2).await, [plain, full]);
}

pub async fn a_drain_waits_for_what_is_to_come(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let mut drain = drain(&queues, &sale).await;
    nothing_more(&mut drain).await;
    let one = entry(1, "ada");
    let offered = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        offer(&queues, &sale, std::slice::from_ref(&one)).await;
    };
    let (came, ()) = tokio::join!(take(&mut drain, 1), offered);
    assert_eq!(came, [one]);
}

pub async fn ready_messages_are_taken_without_waiting(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let mut drain = drain(&queues, &sale).await;
    assert_eq!(drain.intake.try_next().unwrap(), None);
    let one = entry(1, "ada");
    offer(&queues, &sale, std::slice::from_ref(&one)).await;
    let message = until("a ready message", async || drain.intake.try_next().unwrap()).await;
    assert_eq!(message.entries, [one]);
    assert_eq!(drain.intake.try_next().unwrap(), None, "a message is delivered once to one drain");
}

pub async fn a_dropped_next_loses_nothing(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=60);
    let mut drain = drain(&queues, &sale).await;
    let offered = async {
        for one in &all {
            offer(&queues, &sale, std::slice::from_ref(one)).await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let impatient = async {
        let mut came = Vec::new();
        while came.len() < all.len() {
            if let Ok(message) = timeout(Duration::from_millis(1), drain.intake.next()).await {
                came.extend(message.unwrap().entries);
            }
        }
        came
    };
    let (came, ()) = soon("every message", async { tokio::join!(impatient, offered) }).await;
    assert_eq!(came, all);
}

pub async fn offers_at_once_are_all_drained(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let offers = together(50, |n| {
        let (queues, sale) = (queues.clone(), sale.clone());
        async move {
            let from = n as u64 * 10 + 1;
            let some = entries(from..=from + n as u64 % 5);
            offer(&queues, &sale, &some).await;
            some
        }
    });
    let offered: Vec<LineEntry> = offers.await.into_iter().flatten().collect();
    let mut drain = drain(&queues, &sale).await;
    let came = take(&mut drain, offered.len()).await;
    assert_eq!(ids(&came), ids(&offered));
}

fn ids(entries: &[LineEntry]) -> BTreeSet<EntryId> {
    entries.iter().map(|entry| entry.entry).collect()
}

pub async fn many_unacknowledged_messages_are_delivered(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=300);
    for some in all.chunks(1) {
        offer(&queues, &sale, some).await;
    }
    let mut drain = drain(&queues, &sale).await;
    assert_eq!(take(&mut drain, all.len()).await, all);
}

pub async fn an_offer_survives_a_crash(mut house: impl House<Port = Queues>) {
    let all = entries(1..=5);
    {
        let queues = house.port();
        let sale = declared(&queues).await;
        offer(&queues, &sale, &all[..3]).await;
        offer(&queues, &sale, &all[3..]).await;
    }
    house.crash().await;
    let queues = house.port();
    let sale = declared(&queues).await;
    let mut drain = drain(&queues, &sale).await;
    assert_eq!(take(&mut drain, 5).await, all);
}

/// An answer that comes before the write is durable is caught here: the crash follows the first answer at once, while
/// other offers are under way.
pub async fn every_offer_that_was_answered_survives_a_crash(mut house: impl House<Port = Queues>) {
    let mut answered = Vec::new();
    for round in 0..12_u64 {
        let queues = house.port();
        let sale = declared(&queues).await;
        let mut offers = JoinSet::new();
        for n in 0..8 {
            let from = round * 1_000 + n * 100 + 1;
            let (waiting, sale) = (Arc::clone(&queues.waiting), sale.clone());
            let some = entries(from..=from + 40);
            offers.spawn(async move { waiting.offer(&sale, some.clone()).await.map(|()| some) });
        }
        answered.extend(soon("an answer", offers.join_next()).await.unwrap().unwrap().unwrap());
        while let Some(ended) = offers.try_join_next() {
            answered.extend(ended.unwrap().unwrap());
        }
        house.crash().await;
    }
    let queues = house.port();
    let sale = declared(&queues).await;
    let mut drain = drain(&queues, &sale).await;
    let mut missing = ids(&answered);
    while !missing.is_empty() {
        match timeout(super::PATIENCE, drain.intake.next()).await {
            Ok(message) => {
                for entry in message.unwrap().entries {
                    missing.remove(&entry.entry);
                }
            }
            Err(_) => panic!("{} entries that were answered are lost", missing.len()),
        }
    }
}

pub async fn declaring_again_keeps_what_is_there(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=2);
    offer(&queues, &sale, &all).await;
    declared(&queues).await;
    let mut drain = drain(&queues, &sale).await;
    declared(&queues).await;
    assert_eq!(take(&mut drain, 2).await, all);
}

pub async fn removing_takes_everything_along(mut house: impl House<Port = Queues>) {
    {
        let queues = house.port();
        let sale = declared(&queues).await;
        offer(&queues, &sale, &entries(1..=2)).await;
        queues.waiting.remove(&sale).await.unwrap();
        queues.waiting.remove(&sale).await.unwrap();
        declared(&queues).await;
        let mut drain = drain(&queues, &sale).await;
        nothing_more(&mut drain).await;
    }
    house.crash().await;
    let queues = house.port();
    let sale = declared(&queues).await;
    let mut drain = drain(&queues, &sale).await;
    nothing_more(&mut drain).await;
}

pub async fn sales_have_their_own_queues(house: impl House<Port = Queues>) {
    let (queues, other) = (house.port(), other_sale());
    let sale = declared(&queues).await;
    queues.waiting.declare(&other).await.unwrap();
    let (here, there) = (entries(1..=2), entries(3..=4));
    offer(&queues, &sale, &here).await;
    offer(&queues, &other, &there).await;
    let mut drain_here = drain(&queues, &sale).await;
    let mut drain_there = drain(&queues, &other).await;
    assert_eq!(take(&mut drain_there, 2).await, there);
    assert_eq!(take(&mut drain_here, 2).await, here);
    nothing_more(&mut drain_here).await;
    queues.waiting.remove(&other).await.unwrap();
    drop(drain_here);
    let mut again = drain(&queues, &sale).await;
    assert_eq!(take(&mut again, 2).await, here);
}
