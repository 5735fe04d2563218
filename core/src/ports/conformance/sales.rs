//! Rules of the book of sales: sales, their changes, their end, and who is banned. The audit log has
//! [its own](super::audit).

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc};

use super::{House, assert_balanced, samples::*, together};
use crate::{
    ids::{SaleId, Version},
    order::{ClosingCause, OrderState},
    policy::PolicyPatch,
    ports::{BanRule, Changed, Created, Deleted, Ledger, NewOutcome, OutcomeReason},
    sale::{ChangeRefused, Control, Notice, Sale, SaleChange},
};

#[macro_export]
macro_rules! sales_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            sales:
            a_sale_is_recorded_as_it_was_given,
            a_sale_is_made_once,
            a_sale_made_at_once_is_made_once,
            what_was_answered_of_a_sale_survives_a_crash,
            every_change_is_one_version_on,
            a_stale_change_does_nothing,
            a_refused_change_does_nothing,
            changes_at_once_are_all_made,
            one_of_the_changes_of_a_version_is_made,
            added_stock_can_be_sold,
            a_sale_with_open_orders_is_not_deleted,
            a_deleted_sale_is_gone,
            a_deleted_sale_leaves_the_others_alone,
            a_ban_is_kept_until_it_is_removed,
            a_rule_is_banned_once,
            a_rule_banned_at_once_is_banned_once,
            bans_survive_a_crash,
        );
    };
}

type Port = Arc<dyn Ledger>;

async fn sale(ledger: &dyn Ledger, id: &SaleId) -> Sale {
    (*ledger.sale(id).await.unwrap().unwrap()).clone()
}

async fn change(ledger: &dyn Ledger, id: &SaleId, change: SaleChange) -> Changed {
    ledger.change_sale(id, None, change, &author(), None).await.unwrap()
}

fn add(units: u64) -> SaleChange {
    SaleChange::AddStock { sku: sku("a"), units }
}

pub async fn a_sale_is_recorded_as_it_was_given(house: impl House<Port = Port>) {
    let ledger = house.port();
    assert_eq!(ledger.sale(&drop_sale()).await.unwrap(), None);
    assert!(ledger.sales().await.unwrap().is_empty());
    let patch = PolicyPatch { fraction: Some(0.125), line_cap: Some(77), ..PolicyPatch::default() };
    let mut given = sale_with(&[("b", 5), ("a", 10)], patch);
    (given.opens_at, given.closes_at) = (Some(T0), Some(T0.plus(super::PATIENCE)));
    let created = ledger.create_sale(given.clone(), &author()).await.unwrap();
    let Created::New(recorded) = created else { panic!("{created:?}") };
    assert_eq!(*recorded, sale(&*ledger, &given.id).await);
    let stamped = Sale { created_at: recorded.created_at, ..given.clone() };
    assert_eq!(*recorded, stamped, "as given; the ledger may stamp it by its own clock");
    let other = Sale { id: other_sale(), ..given };
    ledger.create_sale(other, &author()).await.unwrap();
    let ids: BTreeSet<_> =
        ledger.sales().await.unwrap().iter().map(|sale| sale.id.clone()).collect();
    assert_eq!(ids, BTreeSet::from([drop_sale(), other_sale()]));
    let stock = balance(&*ledger, &drop_sale(), "a").await;
    assert_eq!((stock.total, stock.available), (10, 10));
    assert_balanced(&*ledger, &drop_sale()).await;
}

pub async fn a_sale_is_made_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let before = sale(&*ledger, &id).await;
    let other = Sale { title: "Another".into(), ..sale_with(&[("a", 99)], PolicyPatch::default()) };
    let again = ledger.create_sale(other, &author()).await.unwrap();
    assert_eq!(again, Created::Exists(Arc::new(before.clone())));
    assert_eq!(sale(&*ledger, &id).await, before);
    assert_balanced(&*ledger, &id).await;
}

pub async fn a_sale_made_at_once_is_made_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    let replies = together(8, |_| {
        let ledger = Arc::clone(&ledger);
        async move {
            let given = sale_with(&[("a", 10)], PolicyPatch::default());
            ledger.create_sale(given, &author()).await.unwrap()
        }
    });
    let made = replies.await.into_iter().filter(|reply| matches!(reply, Created::New(_)));
    assert_eq!(made.count(), 1);
    assert_balanced(&*ledger, &drop_sale()).await;
}

pub async fn what_was_answered_of_a_sale_survives_a_crash(mut house: impl House<Port = Port>) {
    let mut units = 10;
    for round in 0..10 {
        let ledger = house.port();
        if round == 0 {
            open_sale(&*ledger, &[("a", units)]).await;
        } else {
            change(&*ledger, &drop_sale(), add(1)).await;
            units += 1;
        }
        let before = sale(&*ledger, &drop_sale()).await;
        house.crash().await;
        let ledger = house.port();
        assert_eq!(sale(&*ledger, &drop_sale()).await, before);
        assert_eq!(balance(&*ledger, &drop_sale(), "a").await.total, units);
        assert_balanced(&*ledger, &drop_sale()).await;
    }
}

pub async fn every_change_is_one_version_on(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let notice = Notice::from([("en".to_owned(), "Soon".to_owned())]);
    let faster = PolicyPatch { fraction: Some(0.5), ..PolicyPatch::default() };
    let changes = [
        SaleChange::Policy(faster),
        SaleChange::Pause,
        SaleChange::Freeze,
        SaleChange::Resume,
        SaleChange::Notice(Some(notice)),
        add(5),
        SaleChange::Notice(None),
        SaleChange::Close,
    ];
    let mut expected = sale(&*ledger, &id).await;
    for one in changes {
        expected = expected.changed(&one).unwrap();
        let version = Version(expected.version.0 - 1);
        let reply = ledger.change_sale(&id, Some(version), one, &author(), None).await.unwrap();
        assert_eq!(reply, Changed::Done(Arc::new(expected.clone())));
        assert_eq!(sale(&*ledger, &id).await, expected);
        assert_balanced(&*ledger, &id).await;
    }
    assert_eq!((expected.version, expected.control), (Version(9), Control::Closed));
    assert_eq!(change(&*ledger, &other_sale(), SaleChange::Pause).await, Changed::NoSuchSale);
}

pub async fn a_stale_change_does_nothing(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    change(&*ledger, &id, SaleChange::Pause).await;
    let before = sale(&*ledger, &id).await;
    for expected in [Version(1), Version(3)] {
        let reply = ledger.change_sale(&id, Some(expected), add(5), &author(), None).await.unwrap();
        assert_eq!(reply, Changed::Stale { current: Version(2) });
    }
    assert_eq!(sale(&*ledger, &id).await, before);
    assert_eq!(balance(&*ledger, &id, "a").await.total, 10);
}

pub async fn a_refused_change_does_nothing(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let before = sale(&*ledger, &id).await;
    let unknown = SaleChange::AddStock { sku: sku("z"), units: 1 };
    let reply = change(&*ledger, &id, unknown).await;
    assert_eq!(reply, Changed::Refused(ChangeRefused::NoSuchSku));
    for bad in [0, u64::MAX] {
        let reply = change(&*ledger, &id, add(bad)).await;
        assert!(matches!(reply, Changed::Refused(ChangeRefused::OutOfRange(_))), "{reply:?}");
    }
    assert_eq!(sale(&*ledger, &id).await, before);
    assert_balanced(&*ledger, &id).await;
}

pub async fn changes_at_once_are_all_made(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let replies = together(20, |_| {
        let (ledger, id) = (Arc::clone(&ledger), id.clone());
        async move {
            let reply = change(&*ledger, &id, add(2)).await;
            let Changed::Done(sale) = reply else { panic!("{reply:?}") };
            sale.version
        }
    });
    let versions: BTreeSet<Version> = replies.await.into_iter().collect();
    assert_eq!(versions, (2..=21).map(Version).collect(), "each is one version on");
    assert_eq!(balance(&*ledger, &id, "a").await.total, 50);
    assert_balanced(&*ledger, &id).await;
}

pub async fn one_of_the_changes_of_a_version_is_made(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let replies = together(16, |_| {
        let (ledger, id) = (Arc::clone(&ledger), id.clone());
        async move {
            let by = author();
            ledger.change_sale(&id, Some(Version(1)), add(5), &by, None).await.unwrap()
        }
    });
    let replies = replies.await;
    assert_eq!(replies.iter().filter(|reply| matches!(reply, Changed::Done(_))).count(), 1);
    let stale = Changed::Stale { current: Version(2) };
    assert_eq!(replies.iter().filter(|reply| **reply == stale).count(), 15);
    assert_eq!(balance(&*ledger, &id, "a").await.total, 15);
}

pub async fn added_stock_can_be_sold(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 1)]).await;
    reserve(&*ledger, &id, entry(1, "ada")).await;
    change(&*ledger, &id, add(1)).await;
    assert_balanced(&*ledger, &id).await;
    reserve(&*ledger, &id, entry(2, "bob")).await;
    let stock = balance(&*ledger, &id, "a").await;
    assert_eq!((stock.total, stock.available, stock.held), (2, 0, 2));
    assert_balanced(&*ledger, &id).await;
}

pub async fn a_sale_with_open_orders_is_not_deleted(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let order = reserve(&*ledger, &id, entry(1, "ada")).await;
    reserve(&*ledger, &id, entry(2, "bob")).await;
    let reply = ledger.delete_sale(&id, &author(), None).await.unwrap();
    assert_eq!(reply, Deleted::Busy { open_orders: 2 });
    ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
    ledger.close_unpaid(order).await.unwrap();
    let reply = ledger.delete_sale(&id, &author(), None).await.unwrap();
    assert_eq!(reply, Deleted::Busy { open_orders: 1 });
    assert_eq!(orders_in(&*ledger, &id, OrderState::AwaitingPayment).await, 1);
    assert_balanced(&*ledger, &id).await;
}

pub async fn a_deleted_sale_is_gone(mut house: impl House<Port = Port>) {
    let one = entry(1, "ada");
    {
        let ledger = house.port();
        let id = open_sale(&*ledger, &[("a", 10)]).await;
        let order = reserve(&*ledger, &id, one.clone()).await;
        ledger.begin_closing(order, ClosingCause::Cancelled).await.unwrap();
        ledger.close_unpaid(order).await.unwrap();
        assert_eq!(ledger.delete_sale(&id, &author(), None).await.unwrap(), Deleted::Done);
        assert_eq!(ledger.delete_sale(&id, &author(), None).await.unwrap(), Deleted::NoSuchSale);
    }
    house.crash().await;
    let ledger = house.port();
    assert_eq!(ledger.sale(&drop_sale()).await.unwrap(), None);
    assert!(ledger.sales().await.unwrap().is_empty());
    assert_eq!(ledger.entries(&[one.entry]).await.unwrap(), [None]);
    assert!(ledger.stock(&drop_sale()).await.unwrap().is_empty());
    assert!(ledger.untold(10).await.unwrap().is_empty(), "nobody is told of it any more");
    assert!(!ledger.audit(None, 10).await.unwrap().is_empty(), "the audit log stays");
}

pub async fn a_deleted_sale_leaves_the_others_alone(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let other = Sale { id: other_sale(), ..sale_with(&[("a", 3)], PolicyPatch::default()) };
    ledger.create_sale(other, &author()).await.unwrap();
    let kept = reserve(&*ledger, &id, entry(1, "ada")).await;
    let gone = NewOutcome {
        line_entry: entry(1, "bob"),
        outcome: crate::entry::Outcome::Left,
        reason: OutcomeReason::Plain,
    };
    ledger.settle(&other_sale(), vec![gone]).await.unwrap();
    assert_eq!(ledger.delete_sale(&other_sale(), &author(), None).await.unwrap(), Deleted::Done);
    assert!(ledger.order(kept).await.unwrap().is_some());
    assert_balanced(&*ledger, &id).await;
}

fn rules() -> [BanRule; 3] {
    [
        BanRule::Buyer(buyer("eve")),
        BanRule::Cidr("2001:db8::/32".parse().unwrap()),
        BanRule::Header { name: "x-agent".into(), value: "Bot/1.0".into() },
    ]
}

pub async fn a_ban_is_kept_until_it_is_removed(house: impl House<Port = Port>) {
    let ledger = house.port();
    let mut version = ledger.bans().await.unwrap().version;
    let mut ids = Vec::new();
    for rule in rules() {
        let ban = ledger.add_ban(rule.clone(), Some("why".into()), &author()).await.unwrap();
        assert_eq!((&ban.rule, ban.reason.as_deref()), (&rule, Some("why")));
        let list = ledger.bans().await.unwrap();
        assert!(list.version > version, "the version counts the changes");
        assert!(list.bans.contains(&ban));
        version = list.version;
        ids.push(ban.id);
    }
    assert!(ledger.remove_ban(ids[1], &author(), None).await.unwrap());
    assert!(!ledger.remove_ban(ids[1], &author(), None).await.unwrap(), "there is none any more");
    let list = ledger.bans().await.unwrap();
    assert!(list.version > version);
    let left: Vec<u64> = list.bans.iter().map(|ban| ban.id).collect();
    assert_eq!(left.len(), 2);
    assert!(left.contains(&ids[0]) && left.contains(&ids[2]));
}

pub async fn a_rule_is_banned_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    let first = ledger.add_ban(rules()[0].clone(), Some("why".into()), &author()).await.unwrap();
    let list = ledger.bans().await.unwrap();
    let again = ledger.add_ban(rules()[0].clone(), Some("else".into()), &author()).await.unwrap();
    assert_eq!(again, first, "as it is");
    assert_eq!(ledger.bans().await.unwrap(), list);
}

pub async fn a_rule_banned_at_once_is_banned_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    let bans = together(8, |_| {
        let ledger = Arc::clone(&ledger);
        async move { ledger.add_ban(rules()[1].clone(), None, &author()).await.unwrap().id }
    });
    let ids: BTreeSet<u64> = bans.await.into_iter().collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(ledger.bans().await.unwrap().bans.len(), 1);
}

pub async fn bans_survive_a_crash(mut house: impl House<Port = Port>) {
    let list = {
        let ledger = house.port();
        for rule in rules() {
            ledger.add_ban(rule, None, &author()).await.unwrap();
        }
        ledger.bans().await.unwrap()
    };
    house.crash().await;
    assert_eq!(house.port().bans().await.unwrap(), list);
}
