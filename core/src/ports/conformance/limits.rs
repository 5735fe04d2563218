//! Rules of limits that a line shares: how often a buyer and a device join counts for all nodes together, and nobody loses a
//! place by it. For lines that say they [share limits](crate::ports::Line::shares_limits); the others ignore them.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{sync::Arc, time::Duration};

use super::{
    House,
    line::{numbers, warm, warmed},
    samples::*,
    together,
};
use crate::{
    ids::{Epoch, SaleId, Seq},
    line::Caps,
    policy::RateLimit,
    ports::{DeviceKey, Join, JoinLimits, JoinReply, LimitedBy, Line, PortError},
};

#[macro_export]
macro_rules! limits_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            limits:
            a_buyer_has_one_burst_whoever_is_asked,
            an_allowance_comes_back_with_time,
            a_limited_buyer_keeps_the_place,
            a_device_has_one_burst_for_all_its_buyers,
            what_one_limit_refuses_costs_the_other_nothing,
            the_very_same_join_costs_nothing,
            a_line_that_has_no_number_takes_no_allowance,
            a_full_line_takes_an_allowance,
            a_changed_limit_bites_at_once,
            a_relaxed_limit_serves_as_soon_as_it_says,
            sales_and_buyers_have_allowances_of_their_own,
            joins_without_limits_are_not_limited,
        );
    };
}

type Port = Arc<dyn Line>;

const BURST: u32 = 10;
/// So slow that nothing comes back while a rule looks.
const SLOW: RateLimit = RateLimit { per_second: 1, burst: BURST };
/// So wide that it never refuses.
const WIDE: RateLimit = RateLimit { per_second: 1_000_000, burst: 1_000_000 };

fn limited(name: &str, limit: RateLimit) -> Join {
    Join { limits: Some(JoinLimits { buyer: limit, device: None }), ..join(name) }
}

fn on_device(name: &str, device: u8, limit: RateLimit) -> Join {
    let device = Some((DeviceKey([device; 16]), limit));
    Join { limits: Some(JoinLimits { buyer: WIDE, device }), ..join(name) }
}

async fn ask(line: &dyn Line, sale: &SaleId, joins: Vec<Join>) -> Vec<JoinReply> {
    let count = joins.len();
    let replies = line.join(sale, Caps::of_line(100_000), joins).await.unwrap();
    assert_eq!(replies.len(), count, "one reply for each join");
    replies
}

async fn ask_one(line: &dyn Line, sale: &SaleId, join: Join) -> JoinReply {
    ask(line, sale, vec![join]).await.remove(0)
}

/// How many were refused for this limit; each is told a time to come back that is neither now nor far away.
fn refusals(replies: &[JoinReply], whose: LimitedBy) -> usize {
    let refused = replies.iter().filter(|reply| match reply {
        JoinReply::Limited { by, retry_after } => {
            assert_eq!(*by, whose);
            let soon = Duration::from_millis(1)..=Duration::from_secs(u64::from(BURST) + 1);
            assert!(soon.contains(retry_after), "{retry_after:?}");
            true
        }
        JoinReply::New(_) | JoinReply::Found(_) => false,
        JoinReply::Full | JoinReply::OutOfNumbers => panic!("{reply:?}"),
    });
    refused.count()
}

pub async fn a_buyer_has_one_burst_whoever_is_asked(house: impl House<Port = Port>) {
    let line = house.port();
    assert!(line.shares_limits());
    let sale = warmed(&*line).await;
    let replies = together(4, |_| {
        let (line, sale) = (Arc::clone(&line), sale.clone());
        async move { ask(&*line, &sale, (0..6).map(|_| limited("ada", SLOW)).collect()).await }
    });
    let replies: Vec<JoinReply> = replies.await.into_iter().flatten().collect();
    let refused = refusals(&replies, LimitedBy::Buyer);
    // A slow machine may give a second or two's worth back meanwhile.
    assert!((24 - BURST as usize - 3..=24 - BURST as usize).contains(&refused), "{refused}");
    let new = replies.iter().filter(|reply| matches!(reply, JoinReply::New(_)));
    assert_eq!(new.count(), 1, "one place");
}

pub async fn an_allowance_comes_back_with_time(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let quick = RateLimit { per_second: 2, burst: 3 };
    let replies = ask(&*line, &sale, (0..5).map(|_| limited("ada", quick)).collect()).await;
    assert_eq!(refusals(&replies, LimitedBy::Buyer), 2);
    let JoinReply::Limited { retry_after, .. } = replies[4] else { panic!("{replies:?}") };
    assert!(retry_after <= Duration::from_millis(500), "{retry_after:?}");
    house.pass(retry_after).await;
    let after = ask_one(&*line, &sale, limited("ada", quick)).await;
    assert!(matches!(after, JoinReply::Found(_)), "it was told when: {after:?}");
    house.pass(Duration::from_secs(2)).await;
    let replies = ask(&*line, &sale, (0..5).map(|_| limited("ada", quick)).collect()).await;
    assert_eq!(refusals(&replies, LimitedBy::Buyer), 2, "a burst and no more, however long it was");
}

pub async fn a_limited_buyer_keeps_the_place(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let mine = new_place(&ask_one(&*line, &sale, limited("ada", SLOW)).await);
    ask(&*line, &sale, (0..20).map(|_| limited("ada", SLOW)).collect()).await;
    let mut late = limited("ada", SLOW);
    late.candidate.joined_at = T0.plus(Duration::from_secs(60));
    let refused = ask_one(&*line, &sale, late).await;
    assert_eq!(refusals(&[refused], LimitedBy::Buyer), 1);
    let found = line.find_buyer(&sale, &buyer("ada")).await.unwrap().unwrap();
    assert_eq!((found.line_entry, found.state), (mine.line_entry, mine.state));
    assert_eq!(found.seen_at, T0.plus(Duration::from_secs(60)), "who asks too often is there");
    let next = ask_one(&*line, &sale, limited("bob", SLOW)).await;
    assert_eq!(numbers(&[next]), [2], "refusals use up no number");
}

pub async fn a_device_has_one_burst_for_all_its_buyers(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let names: Vec<String> = (0..15).map(|n| format!("buyer-{n}")).collect();
    let joins = names.iter().map(|name| on_device(name, 1, SLOW)).collect();
    let replies = ask(&*line, &sale, joins).await;
    assert_eq!(refusals(&replies, LimitedBy::Device), 5);
    assert_eq!(numbers(&replies[..10]), (1..=10).collect::<Vec<_>>(), "first come, first served");
    let other = ask_one(&*line, &sale, on_device("eve", 2, SLOW)).await;
    assert_eq!(numbers(&[other]), [11]);
    let known = line.find_buyer(&sale, &buyer("buyer-12")).await.unwrap();
    assert_eq!(known, None, "nothing was recorded");
}

pub async fn what_one_limit_refuses_costs_the_other_nothing(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let both = |name: &str| {
        let device = Some((DeviceKey([1; 16]), RateLimit { per_second: 1, burst: 2 }));
        Join { limits: Some(JoinLimits { buyer: SLOW, device }), ..join(name) }
    };
    let replies = ask(&*line, &sale, (0..12).map(|_| both("ada")).collect()).await;
    assert_eq!(refusals(&replies, LimitedBy::Device), 10);
    let replies = ask(&*line, &sale, (0..8).map(|_| limited("ada", SLOW)).collect()).await;
    assert_eq!(refusals(&replies, LimitedBy::Buyer), 0, "two of ten were used");
}

pub async fn the_very_same_join_costs_nothing(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let once = limited("ada", SLOW);
    let place = new_place(&ask_one(&*line, &sale, once.clone()).await);
    for _ in 0..3 * BURST {
        let again = ask_one(&*line, &sale, once.clone()).await;
        assert_eq!(found_place(&again).line_entry, place.line_entry);
    }
    let replies = ask(&*line, &sale, (1..BURST).map(|_| limited("ada", SLOW)).collect()).await;
    assert_eq!(refusals(&replies, LimitedBy::Buyer), 0, "only the first has counted");
}

pub async fn a_line_that_has_no_number_takes_no_allowance(house: impl House<Port = Port>) {
    let (line, sale) = (house.port(), drop_sale());
    let ask_all = async |joins: Vec<Join>| line.join(&sale, Caps::of_line(100_000), joins).await;
    for _ in 0..3 * BURST {
        let cold = ask_all(vec![limited("ada", SLOW)]).await;
        assert!(matches!(cold, Err(PortError::Cold)), "{cold:?}");
    }
    warm(&*line, &sale, 1, 1..=1).await;
    new_place(&ask_one(&*line, &sale, join("bob")).await);
    for _ in 0..3 * BURST {
        let reply = ask_one(&*line, &sale, limited("ada", SLOW)).await;
        assert_eq!(reply, JoinReply::OutOfNumbers);
    }
    line.extend(&sale, Epoch(1), Seq(10)).await.unwrap();
    let replies = ask(&*line, &sale, (0..BURST).map(|_| limited("ada", SLOW)).collect()).await;
    assert_eq!(refusals(&replies, LimitedBy::Buyer), 0, "the whole burst is there");
}

pub async fn a_full_line_takes_an_allowance(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let joins = (0..BURST + 2).map(|_| limited("ada", SLOW)).collect();
    let replies = line.join(&sale, Caps::of_line(0), joins).await.unwrap();
    let (full, rest) = replies.split_at(BURST as usize);
    assert!(full.iter().all(|reply| *reply == JoinReply::Full), "{full:?}");
    assert_eq!(refusals(rest, LimitedBy::Buyer), 2);
}

pub async fn a_changed_limit_bites_at_once(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    ask(&*line, &sale, (0..4).map(|_| limited("ada", SLOW)).collect()).await;
    let narrow = RateLimit { per_second: 1, burst: 2 };
    let refused = ask_one(&*line, &sale, limited("ada", narrow)).await;
    assert_eq!(refusals(&[refused], LimitedBy::Buyer), 1);
    let wider = RateLimit { per_second: 100, burst: 1_000 };
    let replies = ask(&*line, &sale, (0..100).map(|_| limited("ada", wider)).collect()).await;
    assert_eq!(refusals(&replies, LimitedBy::Buyer), 0);
}

pub async fn a_relaxed_limit_serves_as_soon_as_it_says(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    let narrow = RateLimit { per_second: 1, burst: 100 };
    ask(&*line, &sale, (0..100).map(|_| limited("ada", narrow)).collect()).await;
    let relaxed = RateLimit { per_second: 100, burst: 100 };
    let refused = ask_one(&*line, &sale, limited("ada", relaxed)).await;
    let JoinReply::Limited { retry_after, .. } = refused else { panic!("{refused:?}") };
    assert!(retry_after <= Duration::from_millis(20), "one join's worth: {retry_after:?}");
    house.pass(retry_after).await;
    let served = ask_one(&*line, &sale, limited("ada", relaxed)).await;
    assert!(matches!(served, JoinReply::Found(_)), "it was told when: {served:?}");
}

pub async fn sales_and_buyers_have_allowances_of_their_own(house: impl House<Port = Port>) {
    let (line, other) = (house.port(), other_sale());
    let sale = warmed(&*line).await;
    warm(&*line, &other, 1, 1..=100).await;
    let many = |name: &str| (0..=BURST).map(|_| limited(name, SLOW)).collect::<Vec<_>>();
    for (sale, name) in [(&sale, "ada"), (&sale, "bob"), (&other, "ada")] {
        let replies = ask(&*line, sale, many(name)).await;
        assert_eq!(refusals(&replies, LimitedBy::Buyer), 1, "{sale} {name}");
    }
}

pub async fn joins_without_limits_are_not_limited(house: impl House<Port = Port>) {
    let line = house.port();
    let sale = warmed(&*line).await;
    ask(&*line, &sale, (0..=BURST).map(|_| limited("ada", SLOW)).collect()).await;
    let replies = ask(&*line, &sale, (0..100).map(|_| join("ada")).collect()).await;
    assert!(replies.iter().all(|reply| matches!(reply, JoinReply::Found(_))), "{replies:?}");
}
