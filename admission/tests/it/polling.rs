//! Polling: from memory while the entry waits, from the stores afterwards; never backwards.

use http::Method;
use proptest::prelude::*;
use serde_json::{Value, json};
use sluice_core::{
    entry::Outcome,
    ids::EntryId,
    ports::{BanRule, EntryNotice, NewOutcome, Notice, OutcomeReason, PlaceState},
};

use crate::stage::{Stage, author, eventually, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_entry_moves_up_and_then_is_what_became_of_it() {
    let mut stage = Stage::open().await;
    let (first, second) = (stage.join("ada").await, stage.join("bob").await);
    assert_eq!(stage.poll(&second).await["position"], 2);
    let order = stage.reserve(&first).await;
    stage.report(1, false);
    let seen = stage.poll(&second).await;
    assert_eq!(
        (&seen["position"], &seen["serving"], &seen["state"]),
        (&json!(1), &json!(1), &json!("waiting"))
    );
    assert_eq!(seen["token"], Value::Null, "a token with most of its life left is not replaced");
    let outcome = stage.poll(&first).await;
    assert_eq!(
        (&outcome["state"], &outcome["order"]),
        (&json!("reserved"), &json!(order.to_string()))
    );
    assert_eq!(outcome["links"]["order"], format!("/v1/orders/{order}"));
    stage.call(&second).await;
    stage.report(2, false);
    let called = stage.poll(&second).await;
    assert_eq!(
        (&called["state"], &called["position"], &called["odds"]),
        (&json!("called"), &Value::Null, &Value::Null)
    );
    assert!(called["version"].as_u64() > seen["version"].as_u64());
}

/// never-backwards: push is told what became of an entry before anybody hears of the cursor that passed it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_told_more_than_the_cursor_says_does_not_hear_less() {
    let stage = Stage::open().await;
    let (mine, other) = (stage.join("ada").await, stage.join("bob").await);
    stage.reserve(&mine).await;
    let waits = |entry: Value| entry["state"] == "waiting";
    assert!(waits(stage.poll(&mine).await), "nobody has said anything yet");
    let entry: EntryId = serde_json::from_value(mine["entry"].clone()).unwrap();
    let record = stage.ports.ledger.entries(&[entry]).await.unwrap().remove(0).unwrap();
    let entries = vec![EntryNotice::of(&record)];
    let sale = stage.sale.clone();
    stage.ports.bulletin.publish(Notice::Entries { sale, entries }).await.unwrap();
    eventually("the poll says what push says", || async {
        stage.poll(&mine).await["state"] == "reserved"
    })
    .await;
    assert!(waits(stage.poll(&other).await));
}

/// The ledger has decided and everybody was told, but the line was away just then: it believes that the entry waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_line_has_not_heard_of_is_shown_all_the_same() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let entry: EntryId = serde_json::from_value(mine["entry"].clone()).unwrap();
    let place = stage.ports.line.find(&stage.sale, &[entry]).await.unwrap().remove(0).unwrap();
    let (line_entry, outcome) = (place.line_entry, Outcome::Left);
    let left = vec![NewOutcome { line_entry, outcome, reason: OutcomeReason::Plain }];
    let record = stage.ports.ledger.settle(&stage.sale, left).await.unwrap().remove(0);
    let (sale, entries) = (stage.sale.clone(), vec![EntryNotice::of(&record)]);
    stage.ports.bulletin.publish(Notice::Entries { sale, entries }).await.unwrap();
    eventually("the place is given up", || async { stage.poll(&mine).await["state"] == "left" })
        .await;
    let place = stage.ports.line.find(&stage.sale, &[entry]).await.unwrap().remove(0).unwrap();
    assert_eq!(place.state, PlaceState::Waiting, "nobody has told the line meanwhile");
}

/// What others may buy is no help to whom wants something else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odds_and_waits_are_those_of_the_goods_one_wants() {
    let mut stage = Stage::open().await;
    let wanting = |buyer: &str, items: Value| {
        let ask = stage.ask(Method::POST, "/v1/sales/demo/entries").header("x-sluice-buyer", buyer);
        let ask = ask.json(&json!({ "items": items }));
        async move { ask.send().await.expect(202, "") }
    };
    let plain = wanting("ada", json!([{ "sku": "standard", "quantity": 1 }])).await;
    let deluxe = wanting("bob", json!([{ "sku": "deluxe", "quantity": 3 }])).await;
    let both = json!([{ "sku": "standard", "quantity": 1 }, { "sku": "deluxe", "quantity": 1 }]);
    let both = wanting("eve", both).await;
    for entry in [&plain, &deluxe, &both] {
        assert_eq!(entry["odds"], "sure", "{entry}");
    }
    // Two of the deluxe are left, and nobody has been called yet.
    stage.report_of(0, false, [100, 2]);
    for (entry, odds, has_wait) in
        [(&plain, "sure", true), (&deluxe, "unlikely", false), (&both, "likely", true)]
    {
        let told = stage.poll(entry).await;
        assert_eq!((&told["odds"], told["eta_seconds"].is_object()), (&json!(odds), has_wait));
    }
    stage.report_of(0, false, [100, 0]);
    let told = stage.poll(&both).await;
    assert_eq!((&told["odds"], &told["eta_seconds"]), (&json!("unlikely"), &Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_never_rises_for_a_client_that_tells_what_it_has_seen() {
    let mut stage = Stage::open().await;
    for n in 0..9 {
        stage.join(&format!("buyer-{n}")).await;
    }
    let mine = stage.join("ada").await;
    stage.report(4, false);
    let position = |seen: Option<u64>| {
        let rest = seen.map_or(String::new(), |seen| format!("?seen={seen}"));
        let ask = stage.about(Method::GET, &mine, &rest);
        async move {
            let entry = ask.send().await.expect(200, "");
            (entry["position"].as_u64().unwrap(), entry["serving"].as_u64().unwrap())
        }
    };
    assert_eq!(position(None).await, (6, 4));
    // Another node was ahead of this one: what it showed still holds here.
    assert_eq!(position(Some(7)).await, (3, 7));
    assert_eq!(position(Some(2)).await, (6, 4), "an older sighting lowers nothing");
    for beyond in [10, 11, u64::MAX] {
        assert_eq!(position(Some(beyond)).await.0, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_malformed_sighting_is_refused() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    for bad in ["", "x", "-1", "+1", "1.5", "18446744073709551616", "1%20"] {
        let reply = stage.about(Method::GET, &mine, &format!("?seen={bad}")).send().await;
        assert_eq!(reply.expect(400, "bad_request")["field"], "seen", "{bad:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unchanged_entry_is_304_until_it_changes() {
    let mut stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let poll = |tag: Option<&str>| {
        let ask = stage.about(Method::GET, &mine, "");
        match tag {
            Some(tag) => ask.header("if-none-match", tag),
            None => ask,
        }
    };
    let first = poll(None).send().await;
    let tag = first.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""));
    assert_eq!(first.header("cache-control"), Some("private, no-cache"));
    // `poll_after_ms` is jittered by the clock; the tag does not care.
    stage.clock.advance(std::time::Duration::from_millis(1_234));
    let again = poll(Some(&tag)).send().await;
    assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    assert_eq!(again.header("etag"), Some(tag.as_str()));
    poll(Some("W/\"0000000000000000\"")).send().await.expect(200, "");
    // A fresh token is brought even when nothing else is new.
    stage.clock.advance(std::time::Duration::from_secs(11 * 60));
    let due = poll(Some(&tag)).send().await;
    assert!(due.expect(200, "")["token"].is_string());
    assert_eq!(due.header("cache-control"), Some("no-store"));
    let ask = poll(Some(&tag));
    stage.report(1, false);
    ask.send().await.expect(200, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_entry_of_a_banned_header_is_refused_for_good() {
    let mut stage = Stage::open().await;
    let (served, mine) = (stage.join("bob").await, stage.join("ada").await);
    stage.reserve(&served).await;
    stage.report(1, false);
    let rule = BanRule::Header { name: "x-bot".into(), value: "yes".into() };
    stage.ports.ledger.add_ban(rule, None, &author()).await.unwrap();
    stage.directory.learn_bans(stage.ports.ledger.bans().await.unwrap());
    stage.poll(&mine).await;
    stage.about(Method::GET, &mine, "").header("x-bot", "yes").send().await.expect(403, "banned");
    let refused = stage.poll(&mine).await;
    assert_eq!((&refused["state"], &refused["reason"]), (&json!("refused"), &json!("banned")));
    let outcome =
        stage.about(Method::GET, &served, "").header("x-bot", "yes").send().await.expect(200, "");
    assert_eq!(outcome["state"], "reserved", "who has an order keeps it");
    let id = text(&mine["entry"]).parse().unwrap();
    let record = stage.ports.ledger.entries(&[id]).await.unwrap();
    assert_eq!(record[0].as_ref().unwrap().outcome.as_str(), "refused");
    assert_ne!(stage.join("ada").await["entry"], mine["entry"], "the buyer is free to join again");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// never-backwards, over HTTP: whatever cursors the node hears of, in whatever order, and however late.
    #[test]
    fn positions_only_fall(cursors in proptest::collection::vec(0_u64..25, 1..12)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut stage = Stage::open().await;
            let mut mine = Value::Null;
            for n in 0..20 {
                mine = stage.join(&format!("buyer-{n}")).await;
            }
            let (mut seen, mut shown) = (0, u64::MAX);
            for serving in cursors {
                stage.report(serving, false);
                let entry = stage.about(Method::GET, &mine, &format!("?seen={seen}")).send().await.expect(200, "");
                let position = entry["position"].as_u64().unwrap();
                assert!(position <= shown, "{position} after {shown}");
                shown = position;
                seen = seen.max(entry["serving"].as_u64().unwrap());
            }
        });
    }
}
