//! Rules of the turn queue: a released turn is delivered to one worker at a time until it is acknowledged, retried or
//! buried; and nothing of that is lost in a crash.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, time::Duration};

use tokio::time::{Instant, timeout};

use super::{
    House, Queues, not_now,
    samples::*,
    soon, until,
    waiting::{declared, drain},
};
use crate::{
    event::Turn,
    ports::{QueueDepths, TurnDelivery, TurnIntake},
};

#[macro_export]
macro_rules! turns_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            turns:
            turns_come_in_the_order_released,
            no_more_than_asked_for_is_taken,
            a_worker_waits_for_what_is_to_come,
            a_dropped_next_loses_no_turn,
            a_worker_holds_no_more_than_its_prefetch,
            workers_compete,
            a_release_survives_a_crash,
            every_release_that_was_answered_survives_a_crash,
            unsettled_turns_come_back_when_the_deliveries_are_dropped,
            unsettled_turns_come_back_after_a_crash,
            a_turn_comes_back_as_often_as_it_must,
            acknowledged_turns_are_gone,
            acknowledging_again_is_harmless,
            who_lost_a_turn_does_not_settle_it_for_another,
            a_retried_turn_comes_back_later_with_one_more_try,
            a_retry_survives_a_crash,
            a_long_delay_does_not_hold_up_a_short_one,
            a_buried_turn_stays_buried,
            depths_tell_what_lies_where,
            sales_share_the_queue,
            a_turn_released_again_is_delivered_again,
            an_unheard_turn_is_buried_without_a_delivery,
        );
    };
}

/// Releases turns through a drain of the sale `drop`.
async fn release(queues: &Queues, turns: Vec<Turn>) {
    let sale = declared(queues).await;
    drain(queues, &sale).await.outlet.release(turns).await.unwrap();
}

async fn consume(queues: &Queues, prefetch: usize) -> TurnIntake {
    queues.turns.consume(prefetch).await.unwrap()
}

/// Takes deliveries until `count` have come.
async fn take(intake: &mut TurnIntake, count: usize) -> Vec<TurnDelivery> {
    let mut all = Vec::new();
    while all.len() < count {
        let some = soon("a turn", intake.deliveries.next(count - all.len())).await.unwrap();
        assert!(!some.is_empty(), "it waits for a turn");
        all.extend(some);
    }
    all
}

async fn nothing_more(intake: &mut TurnIntake) {
    not_now("a turn", intake.deliveries.next(100)).await;
}

fn turns_of(deliveries: &[TurnDelivery]) -> Vec<Turn> {
    deliveries.iter().map(|delivery| delivery.turn.clone()).collect()
}

fn tags(deliveries: &[TurnDelivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| delivery.tag).collect()
}

/// Waits for the next turn while time passes for the backend.
async fn take_as_time_passes(
    house: &impl House<Port = Queues>,
    intake: &mut TurnIntake,
) -> TurnDelivery {
    let look = async || {
        house.pass(Duration::from_millis(50)).await;
        let next = timeout(Duration::from_millis(50), intake.deliveries.next(1)).await;
        next.ok().map(|some| some.unwrap().remove(0))
    };
    until("the turn", look).await
}

pub async fn turns_come_in_the_order_released(house: impl House<Port = Queues>) {
    let queues = house.port();
    let all = turns(1..=40);
    let sale = declared(&queues).await;
    let drain = drain(&queues, &sale).await;
    for some in all.chunks(7) {
        drain.outlet.release(some.to_vec()).await.unwrap();
    }
    let came = take(&mut consume(&queues, 100).await, 40).await;
    assert_eq!(turns_of(&came), all, "as they were released, and in that order");
    assert!(came.iter().all(|delivery| delivery.tries == 0));
}

pub async fn no_more_than_asked_for_is_taken(house: impl House<Port = Queues>) {
    let queues = house.port();
    release(&queues, turns(1..=10)).await;
    let mut intake = consume(&queues, 100).await;
    for most in [1, 3, 2] {
        let some = soon("a turn", intake.deliveries.next(most)).await.unwrap();
        assert!((1..=most).contains(&some.len()), "{} of at most {most}", some.len());
    }
}

pub async fn a_worker_waits_for_what_is_to_come(house: impl House<Port = Queues>) {
    let queues = house.port();
    let mut intake = consume(&queues, 10).await;
    nothing_more(&mut intake).await;
    let one = turns(1..=1);
    let later = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        release(&queues, one.clone()).await;
    };
    let (came, ()) = tokio::join!(take(&mut intake, 1), later);
    assert_eq!(turns_of(&came), one);
}

pub async fn a_dropped_next_loses_no_turn(house: impl House<Port = Queues>) {
    let queues = house.port();
    let all = turns(1..=60);
    let sale = declared(&queues).await;
    let drain = drain(&queues, &sale).await;
    let mut intake = consume(&queues, 100).await;
    let released = async {
        for one in &all {
            drain.outlet.release(vec![one.clone()]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let impatient = async {
        let mut came = Vec::new();
        while came.len() < all.len() {
            if let Ok(some) = timeout(Duration::from_millis(1), intake.deliveries.next(5)).await {
                came.extend(turns_of(&some.unwrap()));
            }
        }
        came
    };
    let (came, ()) = soon("every turn", async { tokio::join!(impatient, released) }).await;
    assert_eq!(came, all);
}

pub async fn a_worker_holds_no_more_than_its_prefetch(house: impl House<Port = Queues>) {
    let queues = house.port();
    let all = turns(1..=6);
    release(&queues, all.clone()).await;
    let mut intake = consume(&queues, 2).await;
    let held = take(&mut intake, 2).await;
    nothing_more(&mut intake).await;
    let mut other = consume(&queues, 10).await;
    let rest = take(&mut other, 4).await;
    assert_eq!(turns_of(&rest), all[2..], "another worker gets the rest");
    release(&queues, turns(7..=7)).await;
    intake.outlet.ack(&tags(&held)[..1]).await.unwrap();
    other.outlet.ack(&tags(&rest)).await.unwrap();
    drop(other);
    take(&mut intake, 1).await;
}

pub async fn workers_compete(house: impl House<Port = Queues>) {
    let queues = house.port();
    let all = turns(1..=60);
    let (mut one, mut other) = (consume(&queues, 100).await, consume(&queues, 100).await);
    release(&queues, all.clone()).await;
    let mut came = Vec::new();
    let gather = async {
        while came.len() < all.len() {
            let some = tokio::select! {
                some = one.deliveries.next(3) => some,
                some = other.deliveries.next(3) => some,
            };
            came.extend(turns_of(&some.unwrap()));
        }
    };
    soon("every turn", gather).await;
    let distinct: BTreeSet<_> = came.iter().map(|turn| turn.line_entry.seq).collect();
    assert_eq!(distinct.len(), all.len(), "each turn is in the hands of one worker");
    nothing_more(&mut one).await;
    nothing_more(&mut other).await;
}

pub async fn a_release_survives_a_crash(mut house: impl House<Port = Queues>) {
    let all = turns(1..=5);
    release(&house.port(), all.clone()).await;
    house.crash().await;
    let came = take(&mut consume(&house.port(), 10).await, 5).await;
    assert_eq!(turns_of(&came), all);
}

/// An answer that comes before the write is durable is caught here: the crash follows the answer at once.
pub async fn every_release_that_was_answered_survives_a_crash(
    mut house: impl House<Port = Queues>,
) {
    let mut answered = BTreeSet::new();
    for round in 0..12_u64 {
        let queues = house.port();
        let sale = declared(&queues).await;
        let outlet = drain(&queues, &sale).await;
        let some = turns(round * 100 + 1..=round * 100 + 60);
        answered.extend(some.iter().map(|turn| turn.line_entry.entry));
        outlet.outlet.release(some).await.unwrap();
        house.crash().await;
    }
    let mut intake = consume(&house.port(), 1_000).await;
    while !answered.is_empty() {
        for delivery in take(&mut intake, 1).await {
            answered.remove(&delivery.turn.line_entry.entry);
        }
    }
}

pub async fn unsettled_turns_come_back_when_the_deliveries_are_dropped(
    house: impl House<Port = Queues>,
) {
    let queues = house.port();
    let all = turns(1..=4);
    release(&queues, all.clone()).await;
    let mut first = consume(&queues, 10).await;
    let held = take(&mut first, 3).await;
    first.outlet.ack(&tags(&held)[1..2]).await.unwrap();
    drop(first);
    let mut second = consume(&queues, 10).await;
    let back = take(&mut second, 3).await;
    let numbers: BTreeSet<u64> = back.iter().map(|d| d.turn.line_entry.seq.0).collect();
    assert_eq!(numbers, BTreeSet::from([1, 3, 4]));
    assert!(back.iter().all(|delivery| delivery.tries == 0), "that was no fault of the turn");
    nothing_more(&mut second).await;
}

pub async fn unsettled_turns_come_back_after_a_crash(mut house: impl House<Port = Queues>) {
    let all = turns(1..=4);
    {
        let queues = house.port();
        release(&queues, all.clone()).await;
        take(&mut consume(&queues, 10).await, 3).await;
    }
    house.crash().await;
    let mut intake = consume(&house.port(), 10).await;
    let back = take(&mut intake, 4).await;
    assert_eq!(back.iter().filter(|delivery| delivery.tries == 0).count(), 4);
    let numbers: BTreeSet<u64> = back.iter().map(|d| d.turn.line_entry.seq.0).collect();
    assert_eq!(numbers, BTreeSet::from([1, 2, 3, 4]));
}

/// A broker may count how often, and by default gives a message up at the twentieth time.
pub async fn a_turn_comes_back_as_often_as_it_must(house: impl House<Port = Queues>) {
    let queues = house.port();
    let all = turns(1..=1);
    release(&queues, all.clone()).await;
    for _ in 0..OFTEN {
        let back = take(&mut consume(&queues, 1).await, 1).await.remove(0);
        assert_eq!((back.turn, back.tries), (all[0].clone(), 0));
    }
}

pub async fn acknowledged_turns_are_gone(house: impl House<Port = Queues>) {
    let queues = house.port();
    release(&queues, turns(1..=3)).await;
    let mut first = consume(&queues, 10).await;
    let held = take(&mut first, 3).await;
    first.outlet.ack(&tags(&held)).await.unwrap();
    drop(first);
    nothing_more(&mut consume(&queues, 10).await).await;
    until_depths(&queues, QueueDepths::default()).await;
}

pub async fn acknowledging_again_is_harmless(house: impl House<Port = Queues>) {
    let queues = house.port();
    release(&queues, turns(1..=2)).await;
    let mut first = consume(&queues, 10).await;
    let held = take(&mut first, 2).await;
    first.outlet.ack(&tags(&held)[..1]).await.unwrap();
    first.outlet.ack(&tags(&held)[..1]).await.unwrap();
    drop(first);
    let mut second = consume(&queues, 10).await;
    assert_eq!(turns_of(&take(&mut second, 1).await), turns_of(&held[1..]));
    nothing_more(&mut second).await;
}

pub async fn who_lost_a_turn_does_not_settle_it_for_another(house: impl House<Port = Queues>) {
    let queues = house.port();
    release(&queues, turns(1..=1)).await;
    let TurnIntake { mut deliveries, outlet } = consume(&queues, 10).await;
    let lost = soon("a turn", deliveries.next(1)).await.unwrap();
    drop(deliveries);
    let mut second = consume(&queues, 10).await;
    let held = take(&mut second, 1).await;
    // Whatever they answer: the turn is in other hands.
    let _answers = (
        outlet.ack(&tags(&lost)).await.is_ok(),
        outlet.retry(lost[0].tag, Duration::from_secs(1)).await.is_ok(),
        outlet.bury(lost[0].tag, "too late").await.is_ok(),
    );
    drop(second);
    let mut third = consume(&queues, 10).await;
    assert_eq!(turns_of(&take(&mut third, 1).await), turns_of(&held));
    nothing_more(&mut third).await;
    assert_eq!(queues.turns.depths().await.unwrap(), QueueDepths { turns: 1, dead: 0 });
}

pub async fn a_retried_turn_comes_back_later_with_one_more_try(house: impl House<Port = Queues>) {
    let queues = house.port();
    let all = turns(1..=2);
    release(&queues, all.clone()).await;
    let mut intake = consume(&queues, 10).await;
    let held = take(&mut intake, 2).await;
    let began = Instant::now();
    intake.outlet.retry(held[0].tag, Duration::from_secs(1)).await.unwrap();
    nothing_more(&mut intake).await;
    let again = take_as_time_passes(&house, &mut intake).await;
    assert_eq!((again.turn, again.tries), (all[0].clone(), 1));
    assert!(began.elapsed() >= super::QUIET, "not at once");
    intake.outlet.retry(again.tag, Duration::from_secs(1)).await.unwrap();
    let again = take_as_time_passes(&house, &mut intake).await;
    assert_eq!((again.turn, again.tries), (all[0].clone(), 2));
    intake.outlet.ack(&[again.tag, held[1].tag]).await.unwrap();
    drop(intake);
    nothing_more(&mut consume(&queues, 10).await).await;
}

pub async fn a_retry_survives_a_crash(mut house: impl House<Port = Queues>) {
    {
        let queues = house.port();
        release(&queues, turns(1..=1)).await;
        let mut intake = consume(&queues, 10).await;
        let held = take(&mut intake, 1).await;
        intake.outlet.retry(held[0].tag, Duration::from_secs(1)).await.unwrap();
    }
    house.crash().await;
    let mut intake = consume(&house.port(), 10).await;
    let again = take_as_time_passes(&house, &mut intake).await;
    assert_eq!((again.turn.line_entry.seq.0, again.tries), (1, 1), "the try stays counted");
}

pub async fn a_long_delay_does_not_hold_up_a_short_one(house: impl House<Port = Queues>) {
    let queues = house.port();
    release(&queues, turns(1..=2)).await;
    let mut intake = consume(&queues, 10).await;
    let held = take(&mut intake, 2).await;
    intake.outlet.retry(held[0].tag, Duration::from_secs(3600)).await.unwrap();
    intake.outlet.retry(held[1].tag, Duration::from_secs(1)).await.unwrap();
    let first = take_as_time_passes(&house, &mut intake).await;
    assert_eq!(first.turn, held[1].turn);
}

pub async fn a_buried_turn_stays_buried(mut house: impl House<Port = Queues>) {
    {
        let queues = house.port();
        release(&queues, turns(1..=2)).await;
        let mut intake = consume(&queues, 10).await;
        let held = take(&mut intake, 2).await;
        intake.outlet.bury(held[0].tag, "its goods are not of this world").await.unwrap();
    }
    let queues = house.port();
    let mut intake = consume(&queues, 10).await;
    assert_eq!(take(&mut intake, 1).await[0].turn.line_entry.seq.0, 2);
    nothing_more(&mut intake).await;
    drop((queues, intake));
    house.crash().await;
    let queues = house.port();
    let mut intake = consume(&queues, 10).await;
    assert_eq!(take(&mut intake, 1).await[0].turn.line_entry.seq.0, 2);
    nothing_more(&mut intake).await;
    until_depths(&queues, QueueDepths { turns: 1, dead: 1 }).await;
}

pub async fn depths_tell_what_lies_where(house: impl House<Port = Queues>) {
    let queues = house.port();
    until_depths(&queues, QueueDepths::default()).await;
    release(&queues, turns(1..=5)).await;
    until_depths(&queues, QueueDepths { turns: 5, dead: 0 }).await;
    let mut intake = consume(&queues, 3).await;
    let held = take(&mut intake, 3).await;
    until_depths(&queues, QueueDepths { turns: 5, dead: 0 }).await;
    intake.outlet.ack(&[held[0].tag]).await.unwrap();
    intake.outlet.retry(held[1].tag, Duration::from_secs(60)).await.unwrap();
    intake.outlet.bury(held[2].tag, "no").await.unwrap();
    until_depths(&queues, QueueDepths { turns: 3, dead: 1 }).await;
}

/// A broker counts with a little delay.
async fn until_depths(queues: &Queues, depths: QueueDepths) {
    let look = async || (queues.turns.depths().await.unwrap() == depths).then_some(());
    until(&format!("{depths:?}"), look).await;
}

pub async fn sales_share_the_queue(house: impl House<Port = Queues>) {
    let (queues, other) = (house.port(), other_sale());
    queues.waiting.declare(&other).await.unwrap();
    release(&queues, turns(1..=1)).await;
    let there = turn(&other, entry(1, "bob"));
    drain(&queues, &other).await.outlet.release(vec![there.clone()]).await.unwrap();
    let mut intake = consume(&queues, 10).await;
    let came = turns_of(&take(&mut intake, 2).await);
    assert_eq!(came[0].sale, drop_sale());
    assert_eq!(came[1], there);
}

pub async fn a_turn_released_again_is_delivered_again(mut house: impl House<Port = Queues>) {
    let released = turns(1..=2);
    {
        let queues = house.port();
        release(&queues, released.clone()).await;
        let mut intake = consume(&queues, 10).await;
        let held = take(&mut intake, 2).await;
        let tags: Vec<u64> = held.iter().map(|one| one.tag).collect();
        intake.outlet.ack(&tags).await.unwrap();
        let again = Turn { attempt: 2, ..released[1].clone() };
        queues.turns.release_again(&[again]).await.unwrap();
    }
    house.crash().await;
    let mut intake = consume(&house.port(), 10).await;
    let again = take(&mut intake, 1).await.remove(0);
    assert_eq!((again.turn.line_entry.seq.0, again.turn.attempt, again.tries), (2, 2, 0));
    nothing_more(&mut intake).await;
}

pub async fn an_unheard_turn_is_buried_without_a_delivery(mut house: impl House<Port = Queues>) {
    let unheard = turns(1..=1).remove(0);
    {
        let queues = house.port();
        declared(&queues).await;
        queues.turns.bury_unheard(&unheard, "the shop said nothing").await.unwrap();
    }
    house.crash().await;
    let queues = house.port();
    until_depths(&queues, QueueDepths { turns: 0, dead: 1 }).await;
    let mut intake = consume(&queues, 10).await;
    nothing_more(&mut intake).await;
}
