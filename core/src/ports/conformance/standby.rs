//! Rules of the ledger's book of standby.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{sync::Arc, time::Duration};

use super::{House, samples::*, together};
use crate::{
    entry::Outcome,
    ids::{EntryId, SaleId, Seq},
    line::LineEntry,
    ports::{
        Deleted, GateSaid, HoldReply, HoldRequest, Ledger, NewOutcome, OutcomeReason, StandReply,
    },
};

#[macro_export]
macro_rules! standby_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            standby:
            those_who_stand_by_are_told_in_their_order,
            a_head_start_counts_and_is_kept,
            the_first_are_told_and_all_are_counted,
            a_crowd_hides_nobody,
            a_repeat_stands_by_once,
            one_of_each_buyer_stands_by,
            who_has_an_outcome_does_not_stand_by,
            an_outcome_ends_it,
            an_order_ends_it,
            an_offer_without_goods_goes_on_standing_by,
            sales_stand_by_apart,
            a_sale_of_which_somebody_stands_by_is_kept,
            standing_by_is_durable,
            leaving_and_standing_by_at_once_leaves_nobody_behind,
        );
    };
}

type Port = Arc<dyn Ledger>;

/// One who joined so many milliseconds after the others.
fn late(name: &str, ms: u64, units: u32) -> LineEntry {
    let joined_at = T0.plus(Duration::from_millis(ms));
    LineEntry { joined_at, ..wanting(0, name, &[("a", units)]) }
}

async fn stand(ledger: &dyn Ledger, sale: &SaleId, entries: &[LineEntry]) {
    let replies = ledger.stand_by(sale, entries.to_vec()).await.unwrap();
    assert_eq!(replies, vec![StandReply::Stands; entries.len()]);
}

async fn standing(ledger: &dyn Ledger, sale: &SaleId) -> Vec<EntryId> {
    let list = ledger.standing(sale, 100, &[]).await.unwrap();
    assert_eq!(list.count, list.first.len() as u64);
    list.first.into_iter().map(|one| one.entry).collect()
}

fn outcome(line_entry: &LineEntry, outcome: Outcome) -> NewOutcome {
    NewOutcome { line_entry: line_entry.clone(), outcome, reason: OutcomeReason::Plain }
}

pub async fn those_who_stand_by_are_told_in_their_order(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let (later, pair, single) = (late("ada", 9, 1), late("bob", 5, 2), late("cid", 5, 1));
    stand(&*ledger, &sale, &[later.clone(), pair.clone(), single.clone()]).await;
    let list = ledger.standing(&sale, 100, &[]).await.unwrap();
    assert_eq!(list.first, [single, pair.clone(), later], "who came first, then the smaller party");
    let known = ledger.stand(&[entry(0, "zoe").entry, pair.entry]).await.unwrap();
    assert_eq!(known, [false, true]);
}

pub async fn a_head_start_counts_and_is_kept(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let (first, second, third) = (late("ada", 1, 1), late("bob", 5, 1), late("cid", 9, 1));
    let ahead = LineEntry { stands_since: Some(T0.plus(Duration::from_millis(3))), ..third };
    stand(&*ledger, &sale, &[first.clone(), second.clone(), ahead.clone()]).await;
    let list = ledger.standing(&sale, 100, &[]).await.unwrap();
    assert_eq!(list.first, [first.clone(), ahead, second]);
    let list = ledger.standing(&sale, 1, &[]).await.unwrap();
    assert_eq!((list.first, list.count), (vec![first], 3));
}

pub async fn the_first_are_told_and_all_are_counted(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let all: Vec<LineEntry> = (0..30).map(|n| late(&format!("b-{n}"), n, 1)).collect();
    stand(&*ledger, &sale, &all).await;
    let list = ledger.standing(&sale, 7, &[]).await.unwrap();
    assert_eq!((&list.first[..], list.count), (&all[..7], 30));
}

pub async fn a_crowd_hides_nobody(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let mut all: Vec<LineEntry> = (0..30).map(|n| late(&format!("b-{n}"), n, 1)).collect();
    all.push(late("zoe", 99, 2));
    stand(&*ledger, &sale, &all).await;
    let list = ledger.standing(&sale, 3, &[basket(&[("a", 1)])]).await.unwrap();
    assert_eq!((&list.first[..3], &list.first[3..], list.count), (&all[..3], &all[30..], 31));
    let list = ledger.standing(&sale, 3, &[basket(&[("a", 7)])]).await.unwrap();
    assert_eq!(list.first, all[..3], "each once");
}

pub async fn a_repeat_stands_by_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let numbered = LineEntry { seq: Seq(7), holes_below: 2, ..late("ada", 1, 1) };
    for _ in 0..2 {
        stand(&*ledger, &sale, std::slice::from_ref(&numbered)).await;
        let list = ledger.standing(&sale, 9, &[]).await.unwrap();
        assert_eq!(list.first, [numbered.clone().standing_by()], "an offer has no number");
    }
}

pub async fn one_of_each_buyer_stands_by(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let (first, second) = (late("ada", 1, 1), late("ada", 0, 1));
    stand(&*ledger, &sale, std::slice::from_ref(&first)).await;
    let replies = ledger.stand_by(&sale, vec![second, first.clone()]).await.unwrap();
    assert_eq!(replies, [StandReply::Twin { of: first.entry }, StandReply::Stands]);
    assert_eq!(standing(&*ledger, &sale).await, [first.entry]);
}

pub async fn who_has_an_outcome_does_not_stand_by(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let ada = late("ada", 1, 1);
    let record = ledger.settle(&sale, vec![outcome(&ada, Outcome::Left)]).await.unwrap().remove(0);
    let replies = ledger.stand_by(&sale, vec![ada]).await.unwrap();
    assert_eq!(replies, [StandReply::Known(record)]);
    assert!(standing(&*ledger, &sale).await.is_empty());
}

pub async fn an_outcome_ends_it(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let (ada, bob) = (late("ada", 1, 1), late("bob", 2, 1));
    stand(&*ledger, &sale, &[ada.clone(), bob.clone()]).await;
    // As a token tells of it: with a number, and without its buyer.
    let left = LineEntry { seq: Seq(3), buyer: buyer("unknown"), ..ada.clone() };
    ledger.settle(&sale, vec![outcome(&left, Outcome::Left)]).await.unwrap();
    assert_eq!(standing(&*ledger, &sale).await, [bob.entry]);
    stand(&*ledger, &sale, &[late("ada", 3, 1)]).await;
}

pub async fn an_order_ends_it(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let ada = late("ada", 1, 1);
    stand(&*ledger, &sale, std::slice::from_ref(&ada)).await;
    reserve(&*ledger, &sale, ada.clone()).await;
    assert!(standing(&*ledger, &sale).await.is_empty());
    assert_eq!(ledger.stand(&[ada.entry]).await.unwrap(), [false]);
    assert_balanced(&*ledger, &sale).await;
}

pub async fn an_offer_without_goods_goes_on_standing_by(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 1)]).await;
    let (ada, turn) = (late("ada", 1, 2), wanting(4, "bob", &[("a", 2)]));
    stand(&*ledger, &sale, std::slice::from_ref(&ada)).await;
    for gate in [GateSaid::Held, GateSaid::Short] {
        let offer = HoldRequest { gate: gate.clone(), ..request(ada.clone()) };
        let replies = ledger.hold(&sale, vec![offer]).await.unwrap();
        assert_eq!(replies, [HoldReply::StandsBy], "{gate:?}");
    }
    let replies = ledger.hold(&sale, vec![request(turn)]).await.unwrap();
    assert!(
        matches!(&replies[0], HoldReply::Settled { record, .. } if record.outcome == Outcome::SoldOut)
    );
    assert_eq!(standing(&*ledger, &sale).await, [ada.entry]);
    assert_eq!(ledger.entries(&[ada.entry]).await.unwrap(), [None]);
    assert_balanced(&*ledger, &sale).await;
}

pub async fn sales_stand_by_apart(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let ada = late("ada", 1, 1);
    stand(&*ledger, &sale, std::slice::from_ref(&ada)).await;
    assert!(standing(&*ledger, &other_sale()).await.is_empty());
    stand(&*ledger, &other_sale(), &[late("ada", 1, 1)]).await;
    assert_eq!(standing(&*ledger, &sale).await, [ada.entry]);
}

pub async fn a_sale_of_which_somebody_stands_by_is_kept(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let ada = late("ada", 1, 1);
    stand(&*ledger, &sale, std::slice::from_ref(&ada)).await;
    let kept = ledger.delete_sale(&sale, &author(), None).await.unwrap();
    assert_eq!(kept, Deleted::Busy { open_orders: 0 });
    ledger.settle(&sale, vec![outcome(&ada, Outcome::SoldOut)]).await.unwrap();
    assert_eq!(ledger.delete_sale(&sale, &author(), None).await.unwrap(), Deleted::Done);
}

pub async fn standing_by_is_durable(mut house: impl House<Port = Port>) {
    let ada = LineEntry { address: Some("2001:db8::7".parse().unwrap()), ..late("ada", 1, 1) };
    let sale = {
        let ledger = house.port();
        let sale = open_sale(&*ledger, &[("a", 10)]).await;
        stand(&*ledger, &sale, std::slice::from_ref(&ada)).await;
        sale
    };
    house.crash().await;
    assert_eq!(house.port().standing(&sale, 9, &[]).await.unwrap().first, [ada]);
}

pub async fn leaving_and_standing_by_at_once_leaves_nobody_behind(house: impl House<Port = Port>) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    let all: Vec<LineEntry> = (0..20).map(|n| late(&format!("b-{n}"), n, 1)).collect();
    together(40, |n| {
        let (ledger, sale, one) = (Arc::clone(&ledger), sale.clone(), all[n / 2].clone());
        async move {
            if n % 2 == 0 {
                ledger.stand_by(&sale, vec![one]).await.unwrap();
            } else {
                ledger.settle(&sale, vec![outcome(&one, Outcome::Left)]).await.unwrap();
            }
        }
    })
    .await;
    assert!(standing(&*ledger, &sale).await.is_empty(), "everybody left");
}
