//! Rules of the audit log: every change leaves its row, the rows form a chain without gaps, and nothing is ever taken out.

#![expect(clippy::unwrap_used, reason = "test code that lives behind a feature")]

use std::{collections::BTreeSet, sync::Arc};

use serde_json::json;

use super::{House, samples::*, together};
use crate::{
    ids::{SaleId, Version},
    policy::PolicyPatch,
    ports::{Audit, AuditRow, Author, BanRule, Changed, Deleted, Ledger},
    sale::SaleChange,
};

#[macro_export]
macro_rules! audit_conformance {
    ($open:path) => {
        $crate::conformance_rules!(
            $open,
            audit:
            a_row_is_kept_as_it_was_given,
            every_change_of_a_sale_leaves_one_row,
            a_refused_change_is_on_record,
            what_was_not_done_leaves_no_row,
            bans_are_on_record,
            a_deleted_sale_keeps_its_rows,
            the_rows_form_a_chain,
            the_chain_holds_whoever_writes_at_once,
            the_chain_goes_on_after_a_crash,
            rows_are_read_in_pages,
        );
    };
}

type Port = Arc<dyn Ledger>;

fn something(n: u64) -> Audit {
    Audit {
        author: author(),
        verb: "config.reload".into(),
        subject: format!("thing-{n}"),
        before: json!({ "n": n }),
        after: json!({ "n": n + 1, "list": [1, 2.5, null, "ä"] }),
        result: "ok".into(),
        reason: Some("because".into()),
    }
}

/// All rows, oldest first, as a chain.
async fn chain(ledger: &dyn Ledger) -> Vec<AuditRow> {
    let mut rows = ledger.audit(None, 1_000).await.unwrap();
    rows.reverse();
    for (n, row) in rows.iter().enumerate() {
        assert_eq!(row.id, n as u64 + 1, "from 1, without gaps");
        assert_eq!(row.hash, row.content_hash(), "row {} is as it was written", row.id);
    }
    if let Some(first) = rows.first() {
        assert_eq!(first.previous, AuditRow::FIRST_PREVIOUS);
    }
    for pair in rows.windows(2) {
        assert_eq!(pair[1].previous, pair[0].hash, "row {} holds on to the one before", pair[1].id);
        assert!(pair[1].at >= pair[0].at, "time does not run back");
    }
    let hashes: BTreeSet<&str> = rows.iter().map(|row| row.hash.as_str()).collect();
    assert_eq!(hashes.len(), rows.len(), "no two rows have one hash");
    rows
}

async fn change(ledger: &dyn Ledger, id: &SaleId, change: SaleChange) -> Changed {
    ledger.change_sale(id, None, change, &author(), Some("why not".into())).await.unwrap()
}

pub async fn a_row_is_kept_as_it_was_given(house: impl House<Port = Port>) {
    let ledger = house.port();
    let given = something(1);
    ledger.record(given.clone()).await.unwrap();
    let nobody = Author { name: "config".into(), address: None };
    let plain = Audit { author: nobody, reason: None, subject: String::new(), ..something(2) };
    ledger.record(plain.clone()).await.unwrap();
    for (row, given) in chain(&*ledger).await.into_iter().zip([given, plain]) {
        let AuditRow { author, verb, subject, before, after, result, reason, .. } = row;
        assert_eq!(Audit { author, verb, subject, before, after, result, reason }, given);
    }
}

pub async fn every_change_of_a_sale_leaves_one_row(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let made = chain(&*ledger).await;
    assert_eq!(made.len(), 1, "making it is one row");
    assert_eq!((made[0].subject.as_str(), &made[0].author), ("drop", &author()));
    let changes = [SaleChange::Pause, SaleChange::AddStock { sku: sku("a"), units: 5 }];
    for (n, one) in changes.into_iter().enumerate() {
        let verb = one.verb();
        change(&*ledger, &id, one).await;
        let rows = chain(&*ledger).await;
        assert_eq!(rows.len(), n + 2, "one row for each change");
        let row = rows.last().unwrap();
        assert_eq!((row.verb.as_str(), row.subject.as_str()), (verb, "drop"));
        assert_eq!((row.result.as_str(), row.reason.as_deref()), ("ok", Some("why not")));
        assert_eq!(row.author, author());
        assert_ne!(row.before, row.after, "what was before, and after");
    }
}

pub async fn a_refused_change_is_on_record(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let add = |name, units| SaleChange::AddStock { sku: sku(name), units };
    change(&*ledger, &id, add("z", 1)).await;
    change(&*ledger, &id, add("a", 0)).await;
    change(&*ledger, &id, SaleChange::Close).await;
    change(&*ledger, &id, SaleChange::Resume).await;
    let rows = chain(&*ledger).await;
    let told: Vec<(&str, &str)> =
        rows.iter().map(|row| (row.verb.as_str(), row.result.as_str())).collect();
    let due = [
        ("sale.create", "ok"),
        ("sale.stock", "no_such_sku"),
        ("sale.stock", "out_of_range"),
        ("sale.close", "ok"),
        ("sale.resume", "sale_closed"),
    ];
    assert_eq!(told, due);
}

pub async fn what_was_not_done_leaves_no_row(house: impl House<Port = Port>) {
    let (ledger, by) = (house.port(), author());
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    open_again(&*ledger).await;
    let stale = Some(Version(9));
    ledger.change_sale(&id, stale, SaleChange::Pause, &by, None).await.unwrap();
    ledger.change_sale(&other_sale(), None, SaleChange::Pause, &by, None).await.unwrap();
    ledger.delete_sale(&other_sale(), &by, None).await.unwrap();
    reserve(&*ledger, &id, entry(1, "ada")).await;
    let reply = ledger.delete_sale(&id, &by, None).await.unwrap();
    assert_eq!(reply, Deleted::Busy { open_orders: 1 });
    ledger.remove_ban(7, &by, None).await.unwrap();
    assert_eq!(chain(&*ledger).await.len(), 1, "that it was made");
}

async fn open_again(ledger: &dyn Ledger) {
    let again = sale_with(&[("a", 10)], PolicyPatch::default());
    ledger.create_sale(again, &author()).await.unwrap();
}

pub async fn bans_are_on_record(house: impl House<Port = Port>) {
    let ledger = house.port();
    let rule = || BanRule::Buyer(buyer("eve"));
    let ban = ledger.add_ban(rule(), Some("resells".into()), &author()).await.unwrap();
    ledger.add_ban(rule(), None, &author()).await.unwrap();
    assert_eq!(chain(&*ledger).await.len(), 1, "one row for one ban");
    ledger.remove_ban(ban.id, &author(), Some("a mistake".into())).await.unwrap();
    let rows = chain(&*ledger).await;
    let reasons: Vec<_> = rows.iter().map(|row| row.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("resells"), Some("a mistake")], "each its own");
    assert!(rows[1].before.to_string().contains("resells"), "{:?}", rows[1]);
    assert_eq!((rows[0].verb.as_str(), rows[1].verb.as_str()), ("ban.add", "ban.remove"));
    assert_eq!(rows[1].subject, ban.id.to_string());
    assert!(rows.iter().all(|row| row.author == author() && row.result == "ok"));
}

pub async fn a_deleted_sale_keeps_its_rows(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    change(&*ledger, &id, SaleChange::Close).await;
    let why = Some("a rehearsal".to_owned());
    let reply = ledger.delete_sale(&id, &author(), why.clone()).await.unwrap();
    assert_eq!(reply, Deleted::Done);
    let rows = chain(&*ledger).await;
    assert_eq!(rows.last().unwrap().reason, why);
    let verbs: Vec<&str> = rows.iter().map(|row| row.verb.as_str()).collect();
    assert_eq!(verbs, ["sale.create", "sale.close", "sale.delete"]);
    assert!(rows.iter().all(|row| row.subject == "drop"));
}

pub async fn the_rows_form_a_chain(house: impl House<Port = Port>) {
    let ledger = house.port();
    for _ in 0..5 {
        ledger.record(something(7)).await.unwrap();
    }
    open_sale(&*ledger, &[("a", 10)]).await;
    ledger.record(something(7)).await.unwrap();
    assert_eq!(chain(&*ledger).await.len(), 7);
}

pub async fn the_chain_holds_whoever_writes_at_once(house: impl House<Port = Port>) {
    let ledger = house.port();
    let id = open_sale(&*ledger, &[("a", 10)]).await;
    let writers = together(24, |n| {
        let (ledger, id) = (Arc::clone(&ledger), id.clone());
        async move {
            match n % 3 {
                0 => ledger.record(something(n as u64)).await.unwrap(),
                1 => drop(change(&*ledger, &id, SaleChange::Pause).await),
                _ => {
                    let rule = BanRule::Buyer(buyer(&format!("eve-{n}")));
                    ledger.add_ban(rule, None, &author()).await.unwrap();
                }
            }
        }
    });
    writers.await;
    assert_eq!(chain(&*ledger).await.len(), 25);
}

pub async fn the_chain_goes_on_after_a_crash(mut house: impl House<Port = Port>) {
    for n in 0..8 {
        house.port().record(something(n)).await.unwrap();
        house.crash().await;
        assert_eq!(chain(&*house.port()).await.len() as u64, n + 1);
    }
}

pub async fn rows_are_read_in_pages(house: impl House<Port = Port>) {
    let ledger = house.port();
    for n in 0..7 {
        ledger.record(something(n)).await.unwrap();
    }
    let ids = async |before, limit| -> Vec<u64> {
        let rows = ledger.audit(before, limit).await.unwrap();
        rows.iter().map(|row| row.id).collect()
    };
    assert_eq!(ids(None, 3).await, [7, 6, 5], "newest first");
    assert_eq!(ids(Some(5), 3).await, [4, 3, 2]);
    assert_eq!(ids(Some(2), 3).await, [1]);
    assert!(ids(Some(1), 3).await.is_empty());
}
