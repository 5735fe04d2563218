//! Holding a place: what a token opens, what it does not, how it is renewed, what a ticket is for.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use sluice_core::{
    clock::{Clock, UnixMillis},
    token::{Key, Keyring, Verified},
};

use crate::{
    client::Ask,
    stage::{PUBLIC, Script, Stage, eventually, text},
};

/// Every request that needs the token of an entry.
fn all(stage: &Stage, entry: &str) -> Vec<Ask> {
    let path = format!("/v1/sales/demo/entries/{entry}");
    vec![
        stage.ask(Method::GET, path.clone()),
        stage.ask(Method::DELETE, path.clone()),
        stage.ask(Method::POST, format!("{path}/token")),
        stage.ask(Method::POST, format!("{path}/ticket")),
        stage.ask(Method::POST, format!("{path}/move")),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_moves_reads_or_uses_an_entry_without_its_token() {
    let stage = Stage::open().await;
    let (mine, other) = (stage.join("ada").await, stage.join("bob").await);
    let id = text(&mine["entry"]);
    let secret = "some other secret, long enough to be a key".to_owned();
    let foreign = Keyring::new(&[Key { id: "k1".into(), secret }]).unwrap();
    let forged = foreign.sign_claims(&stage.claims(&mine));
    let ticket = stage.keyring.sign_ticket(&stage.claims(&mine), stage.claims(&mine).expires_at);
    let moves = stage.keyring.sign_move(&stage.claims(&mine), stage.claims(&mine).expires_at);
    let mut elsewhere = stage.claims(&mine);
    elsewhere.sale = "elsewhere".parse().unwrap();
    let elsewhere = stage.keyring.sign_claims(&elsewhere);
    let expired = stage.token_ending_in(&mine, 0);
    for ask in all(&stage, id) {
        ask.clone().send().await.expect(401, "bad_token");
        for bad in [forged.as_str(), &ticket, &moves, "x", &"x".repeat(10_000)] {
            ask.clone().bearer(bad).send().await.expect(401, "bad_token");
        }
        for foreign in [text(&other["token"]), &elsewhere] {
            ask.clone().bearer(foreign).send().await.expect(403, "wrong_entry");
        }
    }
    let [show, leave, renew, mint, offer] = all(&stage, id).try_into().unwrap();
    for ask in [show, leave, mint, offer] {
        ask.bearer(&expired).send().await.expect(401, "token_expired");
    }
    renew.bearer(&expired).send().await.expect(200, "");
    assert_eq!(stage.poll(&mine).await["state"], "waiting", "nothing was changed by any of these");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_that_is_none_of_ours_is_no_entry() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let upper = text(&mine["entry"]).to_uppercase();
    for id in ["1", "%20", &upper, &"x".repeat(10_000)] {
        for ask in all(&stage, id) {
            ask.bearer(text(&mine["token"])).send().await.expect(404, "no_such_entry");
        }
    }
    let path = format!("/v1/sales/nothing/entries/{}", text(&mine["entry"]));
    stage
        .ask(Method::GET, path)
        .bearer(text(&mine["token"]))
        .send()
        .await
        .expect(404, "no_such_sale");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_suffices_from_any_address() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    stage.about(Method::GET, &mine, "").from(PUBLIC).send().await.expect(200, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_token_is_renewed_while_its_entry_lives() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    stage.outlive_tokens();
    stage.about(Method::GET, &mine, "").send().await.expect(401, "token_expired");
    let renewed = stage.about(Method::POST, &mine, "/token").send().await;
    let fresh = renewed.expect(200, "");
    assert_eq!(renewed.header("cache-control"), Some("no-store"));
    assert_eq!((&fresh["entry"], &fresh["sale"]), (&mine["entry"], &json!("demo")));
    let Verified::Live(claims) =
        stage.keyring.verify_claims(text(&fresh["token"]), stage.clock.now()).unwrap()
    else {
        panic!("a fresh token lives")
    };
    let told = UnixMillis::parse(text(&fresh["token_expires_at"])).unwrap();
    assert_eq!(claims.expires_at, told);
    assert_eq!(
        (claims.seq, claims.joined_at),
        (stage.claims(&mine).seq, stage.claims(&mine).joined_at)
    );
    stage.about(Method::GET, &mine, "").send().await.expect(401, "token_expired");
    let with_fresh = json!({ "entry": mine["entry"], "token": fresh["token"] });
    assert_eq!(stage.poll(&with_fresh).await["seq"], mine["seq"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewal_ends_30_days_after_the_last_change() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    stage.about(Method::DELETE, &mine, "").send().await.expect(204, "");
    stage.clock.advance(Duration::from_secs(30 * 86_400));
    stage.about(Method::POST, &mine, "/token").send().await.expect(200, "");
    stage.clock.advance(Duration::from_secs(1));
    stage.about(Method::POST, &mine, "/token").send().await.expect(401, "token_expired");
}

/// When somebody was last seen holding a place, in milliseconds.
async fn seen_at(stage: &Stage, entry: &Value) -> i64 {
    let id = text(&entry["entry"]).parse().unwrap();
    let found = stage.ports.line.find(&stage.sale, &[id]).await.unwrap();
    found[0].as_ref().expect("the line knows the entry").seen_at.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewing_is_noted_as_seen_and_polling_is_not() {
    let stage = Stage::open().await;
    let (renews, polls, due) =
        (stage.join("ada").await, stage.join("bob").await, stage.join("eve").await);
    let joined = seen_at(&stage, &polls).await;
    stage.clock.advance(Duration::from_secs(60));
    stage.poll(&polls).await;
    stage.about(Method::POST, &renews, "/token").send().await.expect(200, "");
    let noted = stage.clock.now().0;
    eventually("the renewal is noted", async || seen_at(&stage, &renews).await == noted).await;
    assert_eq!(seen_at(&stage, &polls).await, joined);
    // A poll whose token is due gets a fresh one, and that counts.
    stage.clock.advance(Duration::from_secs(10 * 60));
    let fresh = stage.poll(&due).await;
    assert!(fresh["token"].is_string());
    let noted = stage.clock.now().0;
    eventually("the fresh token is noted", async || seen_at(&stage, &due).await == noted).await;
    assert_eq!(seen_at(&stage, &polls).await, joined);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_renewed_in_the_last_moment_is_noted_before_the_role_ends() {
    let mut stage = Stage::open().await;
    let mine = stage.join("ada").await;
    stage.clock.advance(Duration::from_secs(60));
    stage.about(Method::POST, &mine, "/token").send().await.expect(200, "");
    stage.shutdown.cancel();
    while let Some(ended) = stage.tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!(seen_at(&stage, &mine).await, stage.clock.now().0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_buffer_of_renewals_hands_out_no_token_that_nobody_noted() {
    let mut script = Script::default();
    script.config.seen_entries_max = 1;
    let stage = Stage::play(script).await;
    let entries = [stage.join("ada").await, stage.join("bob").await, stage.join("eve").await];
    stage.clock.advance(Duration::from_secs(60));
    let before = stage.clock.now().0;
    for entry in &entries {
        let reply = stage.about(Method::POST, entry, "/token").send().await;
        if reply.status == 503 {
            reply.expect(503, "unavailable");
            continue;
        }
        reply.expect(200, "");
        eventually("whoever holds a fresh token is noted", async || {
            seen_at(&stage, entry).await >= before
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_push_for_a_minute_and_nothing_else() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let reply = stage.about(Method::POST, &mine, "/ticket").send().await;
    let minted = reply.expect(200, "");
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let ticket = text(&minted["ticket"]);
    let verify = |at| stage.keyring.verify_ticket(ticket, at).unwrap();
    let now = stage.clock.now();
    assert!(matches!(verify(now.plus(Duration::from_secs(59))), Verified::Live(_)));
    assert!(matches!(verify(now.plus(Duration::from_secs(60))), Verified::Expired(_)));
    assert_eq!(*verify(now).claims(), stage.claims(&mine), "it knows the end of the token too");
    assert_eq!(minted["links"]["events"], format!("/v1/sales/demo/events?ticket={ticket}"));
    let with_ticket = json!({ "entry": mine["entry"], "token": ticket });
    stage.about(Method::GET, &with_ticket, "").send().await.expect(401, "bad_token");
}
