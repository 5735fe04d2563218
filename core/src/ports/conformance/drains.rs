//! Rules of the drain: one at a time, what it did not acknowledge goes to the next one, and who lost it can neither
//! release nor acknowledge.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::sync::Arc;

use tokio::task::JoinSet;

use super::{
    House, Queues, not_now,
    samples::*,
    soon, together,
    waiting::{declared, drain, next, nothing_more, offer, take},
};
use crate::ports::{Drain, DrainIntake, PortError};

#[macro_export]
macro_rules! drains_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            drains:
            unacknowledged_messages_come_back_when_the_intake_is_dropped,
            unacknowledged_messages_come_back_after_a_crash,
            a_message_comes_back_as_often_as_it_must,
            acknowledged_messages_are_gone,
            an_acknowledgement_takes_no_older_message_with_it,
            acknowledgements_at_once_leave_the_drain_whole,
            one_drain_at_a_time,
            one_of_many_waiting_drains_follows,
            a_drain_that_gave_up_waiting_takes_nothing,
            who_lost_the_drain_cannot_release,
            who_lost_the_drain_cannot_acknowledge,
        );
    };
}

pub async fn unacknowledged_messages_come_back_when_the_intake_is_dropped(
    house: impl House<Port = Queues>,
) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=6);
    for some in all.chunks(1) {
        offer(&queues, &sale, some).await;
    }
    let mut first = drain(&queues, &sale).await;
    assert_eq!(take(&mut first, 4).await, all[..4]);
    drop(first);
    let mut second = drain(&queues, &sale).await;
    assert_eq!(take(&mut second, 6).await, all, "oldest first");
}

pub async fn unacknowledged_messages_come_back_after_a_crash(mut house: impl House<Port = Queues>) {
    let all = entries(1..=6);
    {
        let queues = house.port();
        let sale = declared(&queues).await;
        for some in all.chunks(1) {
            offer(&queues, &sale, some).await;
        }
        let mut drain = drain(&queues, &sale).await;
        assert_eq!(take(&mut drain, 4).await, all[..4]);
    }
    house.crash().await;
    let queues = house.port();
    let sale = declared(&queues).await;
    let mut drain = drain(&queues, &sale).await;
    assert_eq!(take(&mut drain, 6).await, all, "oldest first");
}

/// A broker may count how often, and by default gives a message up at the twentieth time.
pub async fn a_message_comes_back_as_often_as_it_must(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=2);
    offer(&queues, &sale, &all).await;
    for _ in 0..OFTEN {
        assert_eq!(take(&mut drain(&queues, &sale).await, 2).await, all);
    }
}

pub async fn acknowledged_messages_are_gone(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=4);
    for some in all.chunks(2) {
        offer(&queues, &sale, some).await;
    }
    let mut first = drain(&queues, &sale).await;
    let tags = [next(&mut first).await.tag, next(&mut first).await.tag];
    first.outlet.ack(&tags).await.unwrap();
    drop(first);
    let mut second = drain(&queues, &sale).await;
    nothing_more(&mut second).await;
}

pub async fn an_acknowledgement_takes_no_older_message_with_it(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=4);
    for some in all.chunks(1) {
        offer(&queues, &sale, some).await;
    }
    let mut first = drain(&queues, &sale).await;
    let mut tags = Vec::new();
    for _ in &all {
        tags.push(next(&mut first).await.tag);
    }
    first.outlet.ack(&[tags[3], tags[1]]).await.unwrap();
    drop(first);
    let mut second = drain(&queues, &sale).await;
    assert_eq!(take(&mut second, 2).await, [all[0].clone(), all[2].clone()]);
    nothing_more(&mut second).await;
}

pub async fn acknowledgements_at_once_leave_the_drain_whole(house: impl House<Port = Queues>) {
    const MESSAGES: u64 = 240;
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=MESSAGES + 1);
    let (last, rest) = all.split_last().unwrap();
    for some in rest.chunks(1) {
        offer(&queues, &sale, some).await;
    }
    let mut first = drain(&queues, &sale).await;
    let mut tags = Vec::new();
    for _ in rest {
        tags.push(next(&mut first).await.tag);
    }
    // Each acknowledges every sixteenth, a few at a time: they finish each other's stretches.
    together(16, |n| {
        let outlet = Arc::clone(&first.outlet);
        let mine: Vec<u64> = tags.iter().copied().skip(n).step_by(16).collect();
        async move {
            for some in mine.chunks(2) {
                outlet.ack(some).await.unwrap();
            }
        }
    })
    .await;
    offer(&queues, &sale, std::slice::from_ref(last)).await;
    assert_eq!(take(&mut first, 1).await, std::slice::from_ref(last), "the drain goes on");
    first.outlet.release(turns(1..=1)).await.unwrap();
    drop(first);
    let mut second = drain(&queues, &sale).await;
    assert_eq!(
        take(&mut second, 1).await,
        std::slice::from_ref(last),
        "only what was not acknowledged"
    );
    nothing_more(&mut second).await;
}

pub async fn one_drain_at_a_time(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=2);
    offer(&queues, &sale, &all[..1]).await;
    let mut first = drain(&queues, &sale).await;
    let mut waiting = JoinSet::new();
    let (queue, drained) = (Arc::clone(&queues.waiting), sale.clone());
    waiting.spawn(async move { queue.drain(&drained).await });
    not_now("a second drain", waiting.join_next()).await;
    assert_eq!(take(&mut first, 1).await, all[..1]);
    offer(&queues, &sale, &all[1..]).await;
    assert_eq!(take(&mut first, 1).await, all[1..], "the first drain goes on undisturbed");
    drop(first);
    let second = soon("the second drain", waiting.join_next()).await;
    let mut second = second.unwrap().unwrap().unwrap();
    assert_eq!(take(&mut second, 2).await, all);
}

pub async fn one_of_many_waiting_drains_follows(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let first = drain(&queues, &sale).await;
    let mut waiting = JoinSet::new();
    for _ in 0..6 {
        let (queue, sale) = (Arc::clone(&queues.waiting), sale.clone());
        waiting.spawn(async move { queue.drain(&sale).await });
    }
    not_now("a second drain", waiting.join_next()).await;
    drop(first);
    while !waiting.is_empty() {
        let one = soon("the next drain", waiting.join_next()).await.unwrap().unwrap().unwrap();
        if !waiting.is_empty() {
            not_now("two drains at once", waiting.join_next()).await;
        }
        drop(one);
    }
}

pub async fn a_drain_that_gave_up_waiting_takes_nothing(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let one = entry(1, "ada");
    let first = drain(&queues, &sale).await;
    not_now("a second drain", queues.waiting.drain(&sale)).await;
    offer(&queues, &sale, std::slice::from_ref(&one)).await;
    drop(first);
    let mut third = drain(&queues, &sale).await;
    assert_eq!(take(&mut third, 1).await, [one]);
}

pub async fn who_lost_the_drain_cannot_release(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let Drain { intake, outlet } = drain(&queues, &sale).await;
    outlet.release(turns(1..=1)).await.unwrap();
    drop(intake);
    assert!(matches!(outlet.release(turns(2..=2)).await, Err(PortError::Fenced)));
    let _successor = drain(&queues, &sale).await;
    assert!(matches!(outlet.release(turns(3..=3)).await, Err(PortError::Fenced)));
    let mut workers = queues.turns.consume(10).await.unwrap();
    let came = soon("the first turn", workers.deliveries.next(10)).await.unwrap();
    assert_eq!(came.len(), 1, "only what was released in time: {came:?}");
    not_now("another turn", workers.deliveries.next(10)).await;
    assert_eq!(queues.turns.depths().await.unwrap().turns, 1);
}

pub async fn who_lost_the_drain_cannot_acknowledge(house: impl House<Port = Queues>) {
    let queues = house.port();
    let sale = declared(&queues).await;
    let all = entries(1..=2);
    for some in all.chunks(1) {
        offer(&queues, &sale, some).await;
    }
    let Drain { mut intake, outlet } = drain(&queues, &sale).await;
    let tags = both_tags(&mut *intake).await;
    drop(intake);
    assert!(matches!(outlet.ack(&tags).await, Err(PortError::Fenced)));
    let mut second = drain(&queues, &sale).await;
    assert_eq!(take(&mut second, 2).await, all);
    assert!(matches!(outlet.ack(&tags).await, Err(PortError::Fenced)));
    drop(second);
    let mut third = drain(&queues, &sale).await;
    assert_eq!(take(&mut third, 2).await, all);
}

async fn both_tags(intake: &mut dyn DrainIntake) -> [u64; 2] {
    let first = soon("a waiting message", intake.next()).await.unwrap().tag;
    [first, soon("a waiting message", intake.next()).await.unwrap().tag]
}
