//! Rules of who speaks for a line: one lease at a time, epochs that only rise, numbers that are handed out once, and a
//! cursor that never goes back.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{sync::Arc, time::Duration};

use super::{House, samples::*, together};
use crate::{
    ids::{Epoch, SaleId, Seq},
    line::Cursor,
    ports::{CursorSaved, Lease, LeaseReply, Ledger},
};

#[macro_export]
macro_rules! speaker_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            speaker:
            a_held_lease_is_not_taken,
            a_lease_is_prolonged_under_its_epoch,
            a_lease_that_ran_out_is_taken_under_a_higher_epoch,
            a_lease_that_ran_out_is_not_prolonged,
            a_lease_given_back_is_free_at_once,
            a_lease_is_given_back_by_its_holder_only,
            one_of_many_takes_the_lease,
            an_epoch_is_renewed_by_the_holder_only,
            epochs_rise_across_crashes,
            sales_have_their_own_speakers,
            blocks_follow_each_other_from_one,
            blocks_asked_for_at_once_never_overlap,
            no_number_is_handed_out_again_after_a_crash,
            sales_have_their_own_numbers,
            a_cursor_is_saved,
            the_highest_number_is_saved_with_the_cursor,
            a_saved_cursor_never_goes_back,
            an_old_epoch_saves_nothing,
            a_new_lease_fences_the_old_speaker,
            cursors_saved_at_once_end_at_the_highest,
            a_saved_cursor_survives_a_crash,
        );
    };
}

type Port = Arc<dyn Ledger>;

const TTL: Duration = Duration::from_millis(1_000);
/// Longer than a lease.
const LONG: Duration = Duration::from_millis(1_300);
/// A lease that does not run out while a rule looks.
const AGES: Duration = Duration::from_secs(600);

async fn held(ledger: &dyn Ledger, sale: &SaleId, holder: &str, ttl: Duration) -> Lease {
    match ledger.lease(sale, holder, ttl).await.unwrap() {
        LeaseReply::Held(lease) => lease,
        LeaseReply::Taken { until } => panic!("taken until {until}"),
    }
}

async fn taken(ledger: &dyn Ledger, sale: &SaleId, holder: &str) -> bool {
    matches!(ledger.lease(sale, holder, AGES).await.unwrap(), LeaseReply::Taken { .. })
}

async fn open(house: &impl House<Port = Port>) -> (Port, SaleId) {
    let ledger = house.port();
    let sale = open_sale(&*ledger, &[("a", 10)]).await;
    (ledger, sale)
}

async fn save(ledger: &dyn Ledger, sale: &SaleId, epoch: Epoch, cursor: &Cursor) -> CursorSaved {
    ledger.save_cursor(sale, epoch, cursor, cursor.serving).await.unwrap()
}

pub async fn a_held_lease_is_not_taken(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let lease = held(&*ledger, &sale, "one", AGES).await;
    assert!(lease.epoch >= Epoch(1));
    let reply = ledger.lease(&sale, "other", AGES).await.unwrap();
    assert_eq!(reply, LeaseReply::Taken { until: lease.until });
    assert_eq!(held(&*ledger, &sale, "one", AGES).await.epoch, lease.epoch);
}

pub async fn a_lease_is_prolonged_under_its_epoch(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let first = held(&*ledger, &sale, "one", TTL).await;
    let second = held(&*ledger, &sale, "one", AGES).await;
    assert_eq!(second.epoch, first.epoch);
    assert!(second.until > first.until);
    house.pass(LONG).await;
    assert!(taken(&*ledger, &sale, "other").await, "prolonged beyond its first end");
}

pub async fn a_lease_that_ran_out_is_taken_under_a_higher_epoch(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let first = held(&*ledger, &sale, "one", TTL).await;
    house.pass(LONG).await;
    let second = held(&*ledger, &sale, "other", AGES).await;
    assert!(second.epoch > first.epoch);
    assert!(taken(&*ledger, &sale, "one").await);
}

pub async fn a_lease_that_ran_out_is_not_prolonged(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let first = held(&*ledger, &sale, "one", TTL).await;
    house.pass(LONG).await;
    let second = held(&*ledger, &sale, "one", TTL).await;
    assert!(second.epoch > first.epoch, "somebody may have spoken in between");
    house.pass(LONG).await;
    assert_eq!(ledger.renew_epoch(&sale, "one").await.unwrap(), None);
}

pub async fn a_lease_given_back_is_free_at_once(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let first = held(&*ledger, &sale, "one", AGES).await;
    ledger.release_lease(&sale, "one").await.unwrap();
    let second = held(&*ledger, &sale, "other", AGES).await;
    assert!(second.epoch > first.epoch);
}

pub async fn a_lease_is_given_back_by_its_holder_only(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    ledger.release_lease(&sale, "nobody").await.unwrap();
    held(&*ledger, &sale, "one", AGES).await;
    ledger.release_lease(&sale, "other").await.unwrap();
    assert!(taken(&*ledger, &sale, "other").await);
}

pub async fn one_of_many_takes_the_lease(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    for _ in 0..5 {
        let replies = together(16, |n| {
            let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
            async move { ledger.lease(&sale, &format!("holder-{n}"), AGES).await.unwrap() }
        });
        let replies = replies.await;
        let holders: Vec<usize> =
            (0..replies.len()).filter(|n| matches!(replies[*n], LeaseReply::Held(_))).collect();
        assert_eq!(holders.len(), 1, "{replies:?}");
        ledger.release_lease(&sale, &format!("holder-{}", holders[0])).await.unwrap();
    }
}

pub async fn an_epoch_is_renewed_by_the_holder_only(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    assert_eq!(ledger.renew_epoch(&sale, "one").await.unwrap(), None);
    let lease = held(&*ledger, &sale, "one", AGES).await;
    assert_eq!(ledger.renew_epoch(&sale, "other").await.unwrap(), None);
    let renewed = ledger.renew_epoch(&sale, "one").await.unwrap().unwrap();
    assert!(renewed > lease.epoch);
    assert_eq!(held(&*ledger, &sale, "one", AGES).await.epoch, renewed);
    ledger.release_lease(&sale, "one").await.unwrap();
    assert_eq!(ledger.renew_epoch(&sale, "one").await.unwrap(), None);
    assert!(held(&*ledger, &sale, "other", AGES).await.epoch > renewed);
}

pub async fn epochs_rise_across_crashes(mut house: impl House<Port = Port>) {
    let (mut ledger, sale) = open(&house).await;
    let mut highest = Epoch(0);
    for round in 0..8 {
        let lease = held(&*ledger, &sale, &format!("holder-{round}"), AGES).await;
        assert!(lease.epoch > highest, "an epoch is never given twice");
        highest = ledger.renew_epoch(&sale, &format!("holder-{round}")).await.unwrap().unwrap();
        assert!(highest > lease.epoch);
        house.crash().await;
        ledger = house.port();
        // Whether a lease outlives the store's own process is the store's to say; its epoch does.
        if let LeaseReply::Held(lease) = ledger.lease(&sale, "other", AGES).await.unwrap() {
            assert!(lease.epoch > highest, "an epoch is never given twice");
            highest = lease.epoch;
            ledger.release_lease(&sale, "other").await.unwrap();
        }
        ledger.release_lease(&sale, &format!("holder-{round}")).await.unwrap();
    }
}

pub async fn sales_have_their_own_speakers(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let other = crate::sale::Sale {
        id: other_sale(),
        ..sale_with(&[("a", 1)], crate::policy::PolicyPatch::default())
    };
    ledger.create_sale(other, &author()).await.unwrap();
    held(&*ledger, &sale, "one", AGES).await;
    held(&*ledger, &other_sale(), "other", AGES).await;
    assert!(taken(&*ledger, &sale, "other").await);
}

pub async fn blocks_follow_each_other_from_one(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    assert_eq!(ledger.high_water(&sale).await.unwrap(), Seq(0));
    let mut next = 1;
    for count in [1, 50_000, 3] {
        let block = ledger.next_block(&sale, count).await.unwrap();
        assert_eq!((block.from, block.to), (Seq(next), Seq(next + count - 1)));
        assert_eq!(ledger.high_water(&sale).await.unwrap(), block.to);
        next += count;
    }
}

pub async fn blocks_asked_for_at_once_never_overlap(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let blocks = together(30, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        async move { ledger.next_block(&sale, n as u64 + 1).await.unwrap() }
    });
    let mut blocks = blocks.await;
    blocks.sort_by_key(|block| block.from);
    let mut next = 1;
    for block in &blocks {
        assert_eq!(block.from, Seq(next), "each number once, none left out");
        next = block.to.0 + 1;
    }
    assert_eq!(ledger.high_water(&sale).await.unwrap(), Seq(next - 1));
}

pub async fn no_number_is_handed_out_again_after_a_crash(mut house: impl House<Port = Port>) {
    let (mut ledger, sale) = open(&house).await;
    let mut high_water = Seq(0);
    for _ in 0..10 {
        let block = ledger.next_block(&sale, 100).await.unwrap();
        assert!(block.from > high_water, "{block:?} after {high_water}");
        high_water = block.to;
        house.crash().await;
        ledger = house.port();
        assert_eq!(ledger.high_water(&sale).await.unwrap(), high_water);
    }
}

pub async fn sales_have_their_own_numbers(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let other = crate::sale::Sale {
        id: other_sale(),
        ..sale_with(&[("a", 1)], crate::policy::PolicyPatch::default())
    };
    ledger.create_sale(other, &author()).await.unwrap();
    ledger.next_block(&sale, 100).await.unwrap();
    assert_eq!(ledger.next_block(&other_sale(), 10).await.unwrap().from, Seq(1));
    save(&*ledger, &sale, Epoch(1), &cursor(9)).await;
    assert_eq!(ledger.cursor(&other_sale()).await.unwrap(), cursor(0));
}

pub async fn a_cursor_is_saved(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    assert_eq!(ledger.cursor(&sale).await.unwrap(), Cursor::default());
    let epoch = held(&*ledger, &sale, "one", AGES).await.epoch;
    let cursor = cursor_with_hole(40, 11, 20);
    assert_eq!(save(&*ledger, &sale, epoch, &cursor).await, CursorSaved::Saved);
    assert_eq!(ledger.cursor(&sale).await.unwrap(), cursor);
}

pub async fn the_highest_number_is_saved_with_the_cursor(mut house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    assert_eq!(ledger.given_out(&sale).await.unwrap(), Seq(0));
    let old = held(&*ledger, &sale, "one", AGES).await.epoch;
    for (serving, given_out, known) in [(0, 40, 40), (0, 70, 70), (7, 60, 70), (9, 90, 90)] {
        ledger.save_cursor(&sale, old, &cursor(serving), Seq(given_out)).await.unwrap();
        assert_eq!(ledger.given_out(&sale).await.unwrap(), Seq(known), "it never goes back");
        assert_eq!(ledger.cursor(&sale).await.unwrap(), cursor(serving));
    }
    ledger.renew_epoch(&sale, "one").await.unwrap().unwrap();
    let fenced = ledger.save_cursor(&sale, old, &cursor(9), Seq(500)).await.unwrap();
    assert_eq!(fenced, CursorSaved::Fenced);
    house.crash().await;
    assert_eq!(house.port().given_out(&sale).await.unwrap(), Seq(90));
}

pub async fn a_saved_cursor_never_goes_back(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let epoch = held(&*ledger, &sale, "one", AGES).await.epoch;
    let ahead = cursor_with_hole(40, 11, 20);
    save(&*ledger, &sale, epoch, &ahead).await;
    assert_eq!(save(&*ledger, &sale, epoch, &cursor(39)).await, CursorSaved::Saved);
    assert_eq!(ledger.cursor(&sale).await.unwrap(), ahead);
    let higher = ledger.renew_epoch(&sale, "one").await.unwrap().unwrap();
    save(&*ledger, &sale, higher, &cursor(5)).await;
    assert_eq!(ledger.cursor(&sale).await.unwrap(), ahead, "a new speaker does not move it back");
}

pub async fn an_old_epoch_saves_nothing(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let old = held(&*ledger, &sale, "one", AGES).await.epoch;
    let new = ledger.renew_epoch(&sale, "one").await.unwrap().unwrap();
    assert_eq!(save(&*ledger, &sale, new, &cursor(5)).await, CursorSaved::Saved);
    assert_eq!(save(&*ledger, &sale, old, &cursor(50)).await, CursorSaved::Fenced);
    assert_eq!(ledger.cursor(&sale).await.unwrap(), cursor(5));
}

pub async fn a_new_lease_fences_the_old_speaker(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let old = held(&*ledger, &sale, "one", TTL).await.epoch;
    assert_eq!(save(&*ledger, &sale, old, &cursor(5)).await, CursorSaved::Saved);
    house.pass(LONG).await;
    held(&*ledger, &sale, "other", AGES).await;
    assert_eq!(save(&*ledger, &sale, old, &cursor(50)).await, CursorSaved::Fenced);
    assert_eq!(ledger.cursor(&sale).await.unwrap(), cursor(5), "a zombie moves nothing");
}

pub async fn cursors_saved_at_once_end_at_the_highest(house: impl House<Port = Port>) {
    let (ledger, sale) = open(&house).await;
    let epoch = held(&*ledger, &sale, "one", AGES).await.epoch;
    let writes = together(30, |n| {
        let (ledger, sale) = (Arc::clone(&ledger), sale.clone());
        async move { save(&*ledger, &sale, epoch, &cursor(n as u64 * 7 % 30 + 1)).await }
    });
    writes.await;
    assert_eq!(ledger.cursor(&sale).await.unwrap(), cursor(30));
}

pub async fn a_saved_cursor_survives_a_crash(mut house: impl House<Port = Port>) {
    let (mut ledger, sale) = open(&house).await;
    let epoch = held(&*ledger, &sale, "one", AGES).await.epoch;
    for serving in 10..20 {
        let cursor = cursor_with_hole(serving, 3, 4);
        save(&*ledger, &sale, epoch, &cursor).await;
        house.crash().await;
        ledger = house.port();
        assert_eq!(ledger.cursor(&sale).await.unwrap(), cursor);
    }
}
