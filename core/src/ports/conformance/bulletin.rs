//! Rules of the bulletin: who listens hears everything in order, or is told that something was missed.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::sync::Arc;

use tokio::time::timeout;

use super::{House, not_now, samples::*, soon, together};
use crate::{
    entry::EntryState,
    ids::{Epoch, Version},
    policy::PolicyPatch,
    ports::{
        Bulletin, EntryNotice, Heard, LineReport, Notice, PlaceMove, PushReport, SkuReport,
        Subscription,
    },
};

#[macro_export]
macro_rules! bulletin_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            bulletin:
            every_kind_of_notice_is_heard_as_it_was_published,
            everybody_hears_everything,
            nobody_need_listen,
            a_listener_waits_for_what_is_to_come,
            a_dropped_next_loses_no_notice,
            publishers_keep_their_own_order,
            who_falls_behind_is_told_and_hears_the_newest,
        );
    };
}

type Port = Arc<dyn Bulletin>;

fn report(epoch: u64, version: u64) -> Notice {
    Notice::Line(LineReport {
        sale: drop_sale(),
        epoch: Epoch(epoch),
        version: Version(version),
        cursor: cursor_with_hole(12, 3, 4),
        waiting: 7,
        rate_per_second: 2.5,
        rate_actual: 2.25,
        remaining: 11,
        unpaid: 1,
        standby: 3,
        owed: 2,
        units_per_turn: 1.5,
        skus: vec![SkuReport { sku: sku("a"), remaining: 11, free_seats: Vec::new() }],
        sold_out: false,
        wait_p50_ms: Some(1_200),
        wait_p95_ms: None,
        turns: 12,
        sale_version: Version(3),
        at: T0,
    })
}

fn version_of(notice: &Notice) -> (Epoch, Version) {
    match notice {
        Notice::Line(report) => (report.epoch, report.version),
        Notice::Entries { .. }
        | Notice::Sale { .. }
        | Notice::SaleDeleted { .. }
        | Notice::StockReturned { .. }
        | Notice::Bans
        | Notice::Moved(_)
        | Notice::Pushed(_) => panic!("only reports were published: {notice:?}"),
    }
}

/// The next notice; nothing may have been missed.
async fn hear(listener: &mut dyn Subscription) -> Arc<Notice> {
    match soon("a notice", listener.next()).await.unwrap() {
        Heard::Notice(notice) => notice,
        Heard::Missed => panic!("a few notices are not too much"),
    }
}

pub async fn every_kind_of_notice_is_heard_as_it_was_published(house: impl House<Port = Port>) {
    let bulletin = house.port();
    let mut listener = bulletin.subscribe().await.unwrap();
    let told = EntryNotice {
        entry: entry(1, "ada").entry,
        version: Version(3),
        state: EntryState::Reserved,
        order: Some(new_order_id()),
        pay_by: Some(T0),
    };
    let plain =
        EntryNotice { state: EntryState::SoldOut, order: None, pay_by: None, ..told.clone() };
    let sale = Arc::new(sale_with(&[("a", 10)], PolicyPatch::default()));
    let notices = [
        report(1, 1),
        Notice::Entries { sale: drop_sale(), entries: vec![told, plain] },
        Notice::Sale { sale },
        Notice::StockReturned { sale: drop_sale() },
        Notice::Bans,
        Notice::Moved(PlaceMove { entry: entry(7, "ada").entry, at: T0 }),
        Notice::Pushed(PushReport { sale: drop_sale(), node: u64::MAX, connections: 15_000 }),
        Notice::SaleDeleted { sale: drop_sale() },
    ];
    for notice in &notices {
        bulletin.publish(notice.clone()).await.unwrap();
    }
    for notice in &notices {
        assert_eq!(*hear(&mut *listener).await, *notice);
    }
}

pub async fn everybody_hears_everything(house: impl House<Port = Port>) {
    let bulletin = house.port();
    let mut listeners = Vec::new();
    for _ in 0..5 {
        listeners.push(bulletin.subscribe().await.unwrap());
    }
    drop(listeners.pop());
    for version in 1..=20 {
        bulletin.publish(report(1, version)).await.unwrap();
    }
    for listener in &mut listeners {
        for version in 1..=20 {
            assert_eq!(version_of(&*hear(&mut **listener).await), (Epoch(1), Version(version)));
        }
    }
}

pub async fn nobody_need_listen(house: impl House<Port = Port>) {
    let bulletin = house.port();
    bulletin.publish(report(1, 1)).await.unwrap();
    drop(bulletin.subscribe().await.unwrap());
    bulletin.publish(report(1, 2)).await.unwrap();
    let mut listener = bulletin.subscribe().await.unwrap();
    bulletin.publish(report(1, 3)).await.unwrap();
    assert_eq!(version_of(&*hear(&mut *listener).await), (Epoch(1), Version(3)));
}

pub async fn a_listener_waits_for_what_is_to_come(house: impl House<Port = Port>) {
    let bulletin = house.port();
    let mut listener = bulletin.subscribe().await.unwrap();
    not_now("a notice", listener.next()).await;
    let publish = bulletin.publish(Notice::Bans);
    let (heard, published) = tokio::join!(hear(&mut *listener), publish);
    published.unwrap();
    assert_eq!(*heard, Notice::Bans);
}

pub async fn a_dropped_next_loses_no_notice(house: impl House<Port = Port>) {
    let bulletin = house.port();
    let mut listener = bulletin.subscribe().await.unwrap();
    let publish = async {
        for version in 1..=60 {
            bulletin.publish(report(1, version)).await.unwrap();
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    let impatient = async {
        let mut heard = Vec::new();
        while heard.len() < 60 {
            let next = timeout(std::time::Duration::from_millis(1), listener.next()).await;
            match next.map(Result::unwrap) {
                Ok(Heard::Notice(notice)) => heard.push(version_of(&notice).1.0),
                Ok(Heard::Missed) => panic!("a few notices are not too much"),
                Err(_) => {}
            }
        }
        heard
    };
    let (heard, ()) = soon("every notice", async { tokio::join!(impatient, publish) }).await;
    assert_eq!(heard, (1..=60).collect::<Vec<u64>>());
}

pub async fn publishers_keep_their_own_order(house: impl House<Port = Port>) {
    let bulletin = house.port();
    let mut listener = bulletin.subscribe().await.unwrap();
    let publish = together(4, |publisher| {
        let bulletin = Arc::clone(&bulletin);
        async move {
            for version in 1..=25 {
                bulletin.publish(report(publisher as u64, version)).await.unwrap();
            }
        }
    });
    publish.await;
    let mut heard = [0; 4];
    for _ in 0..100 {
        let (Epoch(publisher), Version(version)) = version_of(&*hear(&mut *listener).await);
        let last = &mut heard[usize::try_from(publisher).unwrap()];
        assert_eq!(version, *last + 1, "publisher {publisher}");
        *last = version;
    }
}

pub async fn who_falls_behind_is_told_and_hears_the_newest(house: impl House<Port = Port>) {
    const NOTICES: u64 = 20_000;
    let bulletin = house.port();
    let mut behind = bulletin.subscribe().await.unwrap();
    let publish = async {
        for version in 1..=NOTICES {
            bulletin.publish(report(1, version)).await.unwrap();
        }
    };
    soon("the end of publishing: nobody waits for a listener", publish).await;
    let (mut last, mut missed) = (0, false);
    while last < NOTICES {
        match soon("the newest notice", behind.next()).await.unwrap() {
            Heard::Missed => missed = true,
            Heard::Notice(notice) => {
                let version = version_of(&notice).1.0;
                assert!(version > last, "never backwards: {last}, {version}");
                assert!(version == last + 1 || missed, "{last} to {version} without a word");
                (last, missed) = (version, false);
            }
        }
    }
}
