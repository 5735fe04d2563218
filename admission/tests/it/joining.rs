//! Joining: one place per buyer, durable before it is answered, numbered in order, refused with a reason.

use std::collections::HashSet;

use async_trait::async_trait;
use http::Method;
use serde_json::{Value, json};
use sluice_admission::IdentityConfig;
use sluice_core::{
    ids::SaleId,
    line::LineEntry,
    policy::PolicyPatch,
    ports::{BanRule, Drain, PortError, PortResult, WaitingQueue},
    sale::SaleChange,
};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio::task::JoinSet;

use crate::stage::{PUBLIC, Script, Stage, author, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_is_the_contracts_object() {
    let stage = Stage::open().await;
    let reply = stage.joining("ada").send().await;
    let entry = reply.expect(202, "");
    assert_eq!(entry["sale"], "demo");
    assert_eq!(entry["state"], "waiting");
    assert_eq!(
        (&entry["version"], &entry["seq"], &entry["position"], &entry["serving"]),
        (&json!(1), &json!(1), &json!(1), &json!(0))
    );
    assert_eq!(entry["odds"], "sure");
    assert_eq!(entry["order"], Value::Null);
    assert_eq!(entry["token_expires_at"], "2027-01-15T08:15:00.000Z");
    assert!(entry["poll_after_ms"].as_u64().unwrap() >= 1_000);
    assert!(text(&entry["token"]).len() < 512);
    let id = text(&entry["entry"]);
    assert_eq!(entry["links"]["self"], format!("/v1/sales/demo/entries/{id}"));
    assert_eq!(entry["links"]["push"], "/v1/sales/demo/push");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    assert!(reply.header("ratelimit").is_some() && reply.header("ratelimit-policy").is_some());
    assert_eq!(stage.queued().await.len(), 1, "durable before it was answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_who_joins_again_finds_the_same_place() {
    let stage = Stage::open().await;
    let first = stage.join("ada").await;
    stage.join("bob").await;
    let again = stage.joining("ada").send().await.expect(200, "");
    assert_eq!((&again["entry"], &again["seq"]), (&first["entry"], &first["seq"]));
    // Another buyer with the token of the first: the token names the entry.
    let by_token = stage.joining("eve").bearer(text(&first["token"])).send().await.expect(200, "");
    assert_eq!((&by_token["entry"], &by_token["seq"]), (&first["entry"], &first["seq"]));
    assert_eq!(stage.queued().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_who_joins_at_the_same_instant_gets_one_place() {
    let stage = Stage::open().await;
    let mut joins = JoinSet::new();
    for _ in 0..20 {
        let ask = stage.joining("ada");
        joins.spawn(async move { ask.send().await });
    }
    let replies = joins.join_all().await;
    let places: HashSet<_> = replies
        .iter()
        .map(|reply| {
            assert!(matches!(reply.status.as_u16(), 200 | 202), "{reply:?}");
            (reply.json()["entry"].to_string(), reply.json()["seq"].as_u64().unwrap())
        })
        .collect();
    assert_eq!(places.len(), 1);
    assert_eq!(
        replies.iter().filter(|reply| reply.status == 202).count(),
        1,
        "one of them was new"
    );
    let queued: HashSet<_> = stage.queued().await.into_iter().collect();
    assert_eq!(queued.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_get_distinct_numbers_and_those_after_get_later_ones() {
    let stage = Stage::open().await;
    let mut highest = 0;
    for round in 0..3 {
        let mut joins = JoinSet::new();
        for n in 0..100 {
            let ask = stage.joining(&format!("buyer-{round}-{n}"));
            joins.spawn(async move { ask.send().await.expect(202, "")["seq"].as_u64().unwrap() });
        }
        let mut numbers = joins.join_all().await;
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 100, "numbers are distinct");
        assert!(numbers[0] > highest, "in-order: whoever was answered before has a lower number");
        highest = numbers[99];
    }
    assert_eq!(stage.queued().await.len(), 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_the_sales_state() {
    let mut stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let patch = PolicyPatch { refuse_while_paused: Some(true), ..PolicyPatch::default() };
    stage.change(SaleChange::Pause).await;
    stage.joining("bob").send().await.expect(202, "");
    stage.change(SaleChange::Policy(patch)).await;
    let refusal = stage.joining("eve").send().await;
    assert!(refusal.expect(423, "sale_paused")["retry_after_ms"].as_u64().unwrap() > 0);
    assert!(refusal.header("retry-after").is_some());
    assert_eq!(stage.joining("ada").send().await.expect(200, "")["entry"], mine["entry"]);
    stage.change(SaleChange::Resume).await;
    stage.change(SaleChange::Freeze).await;
    stage.joining("eve").send().await.expect(423, "sale_paused");
    stage.change(SaleChange::Resume).await;
    stage.report(0, true);
    stage.joining("eve").send().await.expect(410, "sold_out");
    let found = stage.joining("eve").bearer(text(&mine["token"])).send().await.expect(200, "");
    assert_eq!(found["entry"], mine["entry"], "the token alone finds the place");
    stage.change(SaleChange::Close).await;
    stage.joining("eve").send().await.expect(410, "sale_closed");
    assert_eq!(stage.joining("ada").send().await.expect(200, "")["entry"], mine["entry"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_that_has_not_opened_says_when_it_will() {
    let mut sale = crate::stage::sale("demo");
    sale["opens_at"] = json!("2027-01-15T08:00:42Z");
    let stage = Stage::play(Script { sale, ..Script::default() }).await;
    let reply = stage.joining("ada").send().await;
    assert_eq!(reply.expect(425, "not_open_yet")["retry_after_ms"], 42_000);
    assert_eq!(reply.header("retry-after"), Some("42"));
    stage.clock.advance(std::time::Duration::from_secs(42));
    stage.join("ada").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sale_nobody_knows_is_asked_of_the_ledger_once() {
    let stage = Stage::open().await;
    let path = |sale: &str| format!("/v1/sales/{sale}/entries");
    for unknown in ["nothing", "Not-A-Slug", &"x".repeat(10_000), "%F0%9F%92%A9"] {
        let ask = stage.ask(Method::POST, path(unknown)).header("x-sluice-buyer", "ada");
        ask.json(&json!({})).send().await.expect(404, "no_such_sale");
    }
    // Made behind this node's back: no bulletin told it.
    let new: sluice_core::sale::NewSale =
        serde_json::from_value(crate::stage::sale("behind")).unwrap();
    stage
        .ports
        .ledger
        .create_sale(new.build(crate::stage::START).unwrap(), &author())
        .await
        .unwrap();
    let reply = stage.ask(Method::GET, "/v1/sales/behind").send().await;
    assert_eq!(reply.expect(200, "")["sale"], "behind");
}

/// Who may stand by may come back for a place; where nobody may, it is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_line_of_a_sold_out_sale_says_whether_a_place_may_come_free() {
    for (standby_cap, status, code) in [(1, 503, "line_full"), (0, 410, "sold_out")] {
        let mut sale = crate::stage::sale("demo");
        sale["policy"] =
            json!({ "line_cap": 1, "on_sold_out": "standby", "standby_cap": standby_cap });
        let mut stage = Stage::play(Script { sale, ..Script::default() }).await;
        stage.join("ada").await;
        stage.report(0, true);
        if standby_cap > 0 {
            stage.joining("bob").send().await.expect(202, "");
        }
        stage.joining("eve").send().await.expect(status, code);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_line_refuses() {
    let mut sale = crate::stage::sale("demo");
    sale["policy"] = json!({ "line_cap": 2, "overflow": "refuse" });
    let stage = Stage::play(Script { sale, ..Script::default() }).await;
    let mine = stage.join("ada").await;
    stage.join("bob").await;
    let refusal = stage.joining("eve").send().await.expect(503, "line_full");
    assert!(refusal["retry_after_ms"].as_u64().unwrap() > 0);
    assert_eq!(stage.joining("ada").send().await.expect(200, "")["entry"], mine["entry"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_banned_are_kept_out() {
    let stage = Stage::open().await;
    let author = author();
    let ban = |rule: BanRule| stage.ports.ledger.add_ban(rule, None, &author);
    ban(BanRule::Buyer("mallory".parse().unwrap())).await.unwrap();
    ban(BanRule::Cidr("198.51.100.0/24".parse().unwrap())).await.unwrap();
    ban(BanRule::Header { name: "x-bot".into(), value: "yes".into() }).await.unwrap();
    stage.directory.learn_bans(stage.ports.ledger.bans().await.unwrap());
    stage.joining("mallory").send().await.expect(403, "banned");
    stage
        .joining("eve")
        .header("x-forwarded-for", "198.51.100.7")
        .send()
        .await
        .expect(403, "banned");
    stage.joining("eve").header("x-bot", "yes").send().await.expect(403, "banned");
    stage.joining("eve").header("x-bot", "no").send().await.expect(202, "");
    assert_eq!(stage.queued().await.len(), 1, "refusals change nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_comes_with_one_body() {
    let stage = Stage::open().await;
    let other = json!({ "items": [{ "sku": "standard", "quantity": 2 }] });
    let same = json!({ "items": [{ "quantity": 1, "sku": "standard" }] });
    let first = stage.joining("ada").header("idempotency-key", "k-1").send().await.expect(202, "");
    let path = "/v1/sales/demo/entries";
    let ask = |body: &Value, key: &str, buyer: &str| {
        stage
            .ask(Method::POST, path)
            .header("x-sluice-buyer", buyer)
            .header("idempotency-key", key)
            .json(body)
    };
    assert_eq!(ask(&same, "k-1", "ada").send().await.expect(200, "")["entry"], first["entry"]);
    ask(&other, "k-1", "ada").send().await.expect(422, "idempotency_key_reused");
    ask(&other, "k-1", "bob").send().await.expect(202, "");
    for bad in ["", " ", "a b", &"k".repeat(256)] {
        ask(&same, bad, "eve").send().await.expect(400, "bad_request");
    }
    ask(&same, &"k".repeat(255), "eve").send().await.expect(202, "");
}

/// By its token, a place is found whoever asks: the key was its buyer's, and nobody new is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_join_that_proves_its_place_is_its_buyers() {
    let mut script = Script::default();
    script.config.identity = IdentityConfig::Anonymous;
    let stage = Stage::play(script).await;
    let first = stage.joining("").header("idempotency-key", "k-1").send().await;
    let place = first.expect(202, "");
    let again = |quantity: u32| {
        let body = json!({ "items": [{ "sku": "standard", "quantity": quantity }] });
        let ask = stage.ask(Method::POST, "/v1/sales/demo/entries").json(&body);
        ask.bearer(text(&place["token"])).header("idempotency-key", "k-1")
    };
    let found = again(1).send().await;
    assert_eq!(found.expect(200, "")["entry"], place["entry"]);
    assert_eq!(found.cookie("sluice-buyer"), None, "a second buyer would have a second place");
    let reused = again(2).send().await;
    reused.expect(422, "idempotency_key_reused");
    assert_eq!(reused.cookie("sluice-buyer"), None);
}

/// A queue that fails so many times, after it took what it was offered or before.
#[derive(Debug)]
struct Failing {
    inner: Arc<dyn WaitingQueue>,
    failures: AtomicU32,
    takes: bool,
}

#[async_trait]
impl WaitingQueue for Failing {
    async fn offer(&self, sale: &SaleId, entries: Vec<LineEntry>) -> PortResult<()> {
        let fails = self
            .failures
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
            .is_ok();
        if !fails || self.takes {
            self.inner.offer(sale, entries).await?;
        }
        if fails { Err(PortError::unavailable("cut by the test")) } else { Ok(()) }
    }
    async fn declare(&self, sale: &SaleId) -> PortResult<()> {
        self.inner.declare(sale).await
    }
    async fn drain(&self, sale: &SaleId) -> PortResult<Drain> {
        self.inner.drain(sale).await
    }
    async fn remove(&self, sale: &SaleId) -> PortResult<()> {
        self.inner.remove(sale).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_join_is_found_by_the_retry_and_durable_before_it_is_answered() {
    for takes in [false, true] {
        let wrap = move |ports: &mut sluice_core::ports::Ports| {
            let inner = Arc::clone(&ports.waiting);
            ports.waiting = Arc::new(Failing { inner, failures: AtomicU32::new(1), takes });
        };
        let stage = Stage::play(Script { wrap: Box::new(wrap), ..Script::default() }).await;
        let refusal = stage.joining("ada").send().await;
        assert!(refusal.expect(503, "unavailable")["retry_after_ms"].as_u64().unwrap() > 0);
        let entry = stage.joining("ada").send().await.expect(200, "");
        assert_eq!(entry["seq"], 1, "the record was kept");
        let queued: HashSet<_> =
            stage.queued().await.into_iter().map(|id| id.to_string()).collect();
        assert_eq!(queued, HashSet::from([text(&entry["entry"]).to_owned()]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_found_in_a_closed_sale_is_made_durable_first() {
    let wrap = |ports: &mut sluice_core::ports::Ports| {
        let inner = Arc::clone(&ports.waiting);
        ports.waiting = Arc::new(Failing { inner, failures: AtomicU32::new(1), takes: false });
    };
    let stage = Stage::play(Script { wrap: Box::new(wrap), ..Script::default() }).await;
    stage.joining("ada").send().await.expect(503, "unavailable");
    assert!(stage.queued().await.is_empty());
    stage.change(SaleChange::Freeze).await;
    let found = stage.joining("ada").send().await.expect(200, "");
    let queued: Vec<_> = stage.queued().await.into_iter().map(|id| id.to_string()).collect();
    assert_eq!(queued, [text(&found["entry"])]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_was_warmed_again_gives_later_numbers_and_finds_the_earlier_places() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    stage.forget_line().await;
    let again = stage.joining("ada").bearer(text(&mine["token"])).send().await.expect(200, "");
    assert_eq!((&again["entry"], &again["seq"]), (&mine["entry"], &mine["seq"]));
    let newcomer = stage.join("eve").await;
    assert!(newcomer["seq"].as_u64() > mine["seq"].as_u64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reserved_entry_is_found_with_its_order() {
    let mut stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let order = stage.reserve(&mine).await;
    stage.report(1, false);
    let found = stage.joining("ada").send().await.expect(200, "");
    assert_eq!((&found["entry"], &found["state"]), (&mine["entry"], &json!("reserved")));
    assert_eq!(found["order"], order.to_string());
    assert_eq!(found["links"]["order"], format!("/v1/orders/{order}"));
    assert!(found["pay_by"].is_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_a_buyer_from_an_untrusted_address() {
    let stage = Stage::open().await;
    stage.joining("ada").from(PUBLIC).send().await.expect(401, "identity_required");
    assert!(stage.queued().await.is_empty());
}
