//! The rules of `watcher`, each as a test.

use super::*;
use std::time::Duration;

use serde_json::Value;
use sluice_core::{
    basket::Wants,
    ids::{EntryId, SaleId, Seq},
    random::Random,
    token::Claims,
    view::{Directory, object::PublicUrls},
};

const NOW: UnixMillis = UnixMillis(1_000_000_000);

fn object(version: u64) -> Arc<EntryObject> {
    let sale: sluice_core::sale::NewSale = serde_json::from_value(serde_json::json!({
        "id": "demo",
        "skus": [{"sku": "standard", "stock": 1, "amount_fen": 1, "currency": "CNY"}],
    }))
    .unwrap();
    let view = Directory::default().learn_sale(Arc::new(sale.build(NOW).unwrap()));
    let claims = Claims {
        sale: SaleId::new("demo").unwrap(),
        entry: EntryId::generate(NOW, &Random::seeded(1)),
        seq: Seq(1),
        holes_below: 0,
        wants: Wants::default(),
        joined_at: NOW,
        held_since: NOW,
        expires_at: NOW.plus(TOKEN_LIFE),
    };
    let called = EntryObject::called(&view.read(), &claims, &PublicUrls::default());
    Arc::new(EntryObject { version: Version(version), ..called })
}

fn young() -> Proof {
    Proof::Token { expires_at: NOW.plus(TOKEN_LIFE) }
}

fn old() -> Proof {
    Proof::Token { expires_at: NOW.plus(TOKEN_LIFE / 3) }
}

fn sign(expires_at: UnixMillis) -> String {
    format!("token until {expires_at}")
}

/// Everything in the inbox, as the client would read it.
fn read(watcher: &Watcher) -> Vec<Value> {
    let mail = watcher.take().mail;
    mail.into_iter().map(|mail| serde_json::from_str(&mail.encode()).unwrap()).collect()
}

fn versions(frames: &[Value]) -> Vec<u64> {
    frames.iter().map(|frame| frame["version"].as_u64().unwrap()).collect()
}

#[test]
fn only_news_is_told_and_in_order() {
    let watcher = Watcher::new(young(), NOW, 8, NOW);
    for version in [1, 1, 3, 2, 3, 4] {
        watcher.offer(&object(version), NOW, sign);
    }
    assert_eq!(versions(&read(&watcher)), [1, 3, 4]);
}

#[test]
fn in_a_full_inbox_the_newest_win_and_no_token_is_lost() {
    let watcher = Watcher::new(old(), NOW, 2, NOW);
    for version in 1..=6 {
        watcher.offer(&object(version), NOW, sign);
    }
    let frames = read(&watcher);
    assert_eq!(versions(&frames), [5, 6]);
    let tokens: Vec<_> = frames.iter().filter_map(|frame| frame["token"].as_str()).collect();
    assert_eq!(tokens, [sign(NOW.plus(TOKEN_LIFE))], "the one token that was made, once");
}

#[test]
fn a_token_is_renewed_once_and_not_before_its_time() {
    let watcher = Watcher::new(young(), NOW, 4, NOW);
    watcher.offer(&object(1), NOW, sign);
    assert!(read(&watcher)[0].get("token").is_none());
    let every = Duration::from_secs(600);
    let almost = NOW.plus(TOKEN_LIFE * 2 / 3 - Duration::from_millis(1));
    assert!(!watcher.chores(almost, every).token);
    let due = NOW.plus(TOKEN_LIFE * 2 / 3);
    assert_eq!(watcher.chores(due, every), Chores { token: true, presence: true });
    watcher.offer(&object(1), due, sign);
    watcher.presence_told(due);
    let frames = read(&watcher);
    assert_eq!(frames[0]["token"], sign(due.plus(TOKEN_LIFE)));
    assert_eq!(frames[0]["token_expires_at"], due.plus(TOKEN_LIFE).to_string());
    assert_eq!(watcher.chores(due, every), Chores::default());
    watcher.offer(&object(1), due, sign);
    assert!(read(&watcher).is_empty());
}

#[test]
fn an_older_snapshot_does_not_carry_the_token() {
    let watcher = Watcher::new(young(), NOW, 4, NOW);
    watcher.offer(&object(3), NOW, sign);
    let due = NOW.plus(TOKEN_LIFE);
    watcher.chores(due, TOKEN_LIFE);
    watcher.offer(&object(2), due, sign);
    let frames = read(&watcher);
    assert_eq!(versions(&frames), [3]);
    watcher.offer(&object(3), due, sign);
    assert!(read(&watcher)[0]["token"].is_string());
}

#[test]
fn the_first_reason_to_end_stays() {
    let watcher = Watcher::new(young(), NOW, 4, NOW);
    watcher.end(Close::NothingLeft);
    watcher.end(Close::Drain { reconnect_after: Duration::ZERO });
    assert_eq!(watcher.take().end, Some(Close::NothingLeft));
    assert_eq!(watcher.take().end, Some(Close::NothingLeft), "an end is not undone by reading it");
}

#[tokio::test(start_paused = true)]
async fn the_silent_are_pinged_then_ended_and_the_mute_are_not() {
    let (after, timeout) = (Duration::from_secs(30), Duration::from_secs(20));
    let (speaks, mute) = (Watcher::new(young(), NOW, 4, NOW), Watcher::new(young(), NOW, 4, NOW));
    mute.is_mute();
    tokio::time::advance(after).await;
    speaks.sweep_silence(after, timeout);
    let taken = speaks.take();
    assert!(taken.ping && taken.end.is_none());
    speaks.heard();
    tokio::time::advance(timeout).await;
    speaks.sweep_silence(after, timeout);
    assert!(speaks.take().end.is_none(), "it answered");
    tokio::time::advance(after + timeout).await;
    speaks.sweep_silence(after, timeout);
    assert_eq!(speaks.take().end, Some(Close::Gone));
    mute.sweep_silence(after, timeout);
    assert!(mute.take().end.is_none());
}
