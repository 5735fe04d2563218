//! Limits: by address, device, buyer and entry; live from the policy; told with every answer.

use http::Method;
use sluice_core::{
    policy::{LimitsPatch, PolicyPatch, RateLimit},
    sale::SaleChange,
};
use sluice_http::limits::DefaultLimits;

use crate::{
    client::Reply,
    stage::{PROXY, PUBLIC, Script, Stage, text},
};

const ONE: RateLimit = RateLimit { per_second: 1, burst: 2 };

fn script(limit: impl FnOnce(&mut DefaultLimits)) -> Script {
    let mut script = Script::default();
    limit(&mut script.limits);
    script
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_buyer_who_joins_too_often_is_told_when_to_come_back() {
    let stage = Stage::play(script(|limits| limits.per_buyer = ONE)).await;
    stage.join("ada").await;
    stage.joining("ada").send().await.expect(200, "");
    let refusal = stage.joining("ada").send().await;
    let problem = refusal.expect(429, "too_many_requests");
    assert!((1..=1_000).contains(&problem["retry_after_ms"].as_u64().unwrap()), "{problem}");
    assert_eq!(refusal.header("retry-after"), Some("1"));
    assert_eq!(refusal.header("ratelimit-policy"), Some("\"per_buyer\";q=2;w=2"));
    assert!(refusal.header("ratelimit").unwrap().starts_with("\"per_buyer\";r=0;t="));
    stage.join("bob").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_are_limited_by_entry() {
    let stage = Stage::play(script(|limits| limits.per_buyer = ONE)).await;
    let (mine, other) = (stage.join("ada").await, stage.join("bob").await);
    for _ in 0..2 {
        stage.poll(&mine).await;
    }
    for ask in [stage.about(Method::GET, &mine, ""), stage.about(Method::POST, &mine, "/token")] {
        ask.send().await.expect(429, "too_many_requests");
    }
    stage.poll(&other).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_limited_before_anything_else() {
    let stage = Stage::play(script(|limits| limits.per_ip = ONE)).await;
    let ask = || stage.ask(Method::GET, "/v1/sales/demo/entries/nonsense").from(PUBLIC);
    for _ in 0..2 {
        ask().send().await.expect(404, "no_such_entry");
    }
    ask().send().await.expect(429, "too_many_requests");
    stage
        .ask(Method::GET, "/v1/sales/demo")
        .from(PUBLIC)
        .send()
        .await
        .expect(429, "too_many_requests");
    stage.ask(Method::GET, "/v1/sales/demo").from("127.0.0.3").send().await.expect(200, "");
    // Behind the proxy, the buyer's own address counts.
    for n in 0..10 {
        let ask = stage.ask(Method::GET, "/v1/sales/demo").from(PROXY);
        ask.header("x-forwarded-for", format!("203.0.113.{n}")).send().await.expect(200, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_limited_in_its_questions_about_unknown_sales() {
    let stage = Stage::play(script(|limits| limits.per_ip = ONE)).await;
    let ask = |n: u8| stage.ask(Method::GET, format!("/v1/sales/unknown-{n}")).from(PUBLIC);
    ask(1).send().await.expect(404, "no_such_sale");
    ask(2).send().await.expect(404, "no_such_sale");
    ask(3).send().await.expect(429, "too_many_requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_is_what_a_trusted_proxy_says() {
    let stage = Stage::play(script(|limits| limits.per_device = ONE)).await;
    let ask = |from: &str, device: &str| {
        stage.ask(Method::GET, "/v1/sales/demo").from(from).header("x-sluice-device", device)
    };
    for _ in 0..2 {
        ask(PROXY, "phone").send().await.expect(200, "");
    }
    ask(PROXY, "phone").send().await.expect(429, "too_many_requests");
    ask(PROXY, "laptop").send().await.expect(200, "");
    for _ in 0..5 {
        ask(PUBLIC, "phone").send().await.expect(200, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_is_a_device_by_our_own_cookie() {
    let stage = Stage::play(script(|limits| limits.per_device = ONE)).await;
    let reply = stage.joining("ada").header("sec-fetch-site", "same-origin").send().await;
    reply.expect(202, "");
    let device = reply.cookie("sluice-device").expect("a browser gets a device cookie");
    let ask = |device: &str| {
        stage
            .ask(Method::GET, "/v1/sales/demo")
            .from(PUBLIC)
            .header("cookie", format!("sluice-device={device}"))
    };
    for _ in 0..2 {
        ask(&device).send().await.expect(200, "");
    }
    ask(&device).send().await.expect(429, "too_many_requests");
    for _ in 0..5 {
        ask("forged").send().await.expect(200, "");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_changes_limits_while_the_sale_runs() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    for _ in 0..20 {
        stage.poll(&mine).await;
    }
    let limits = LimitsPatch { per_buyer: ONE.into(), ..LimitsPatch::default() };
    stage
        .change(SaleChange::Policy(PolicyPatch { limits: Some(limits), ..PolicyPatch::default() }))
        .await;
    let reply = stage.about(Method::GET, &mine, "").send().await;
    assert!(reply.header("ratelimit-policy").unwrap().starts_with("\"per_buyer\";q=2;w=2"));
    stage.poll(&mine).await;
    stage.about(Method::GET, &mine, "").send().await.expect(429, "too_many_requests");
    assert_eq!(text(&mine["state"]), "waiting");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_for_other_reasons_tell_the_limit_they_passed() {
    let stage = Stage::open().await;
    let (mine, other) = (stage.join("ada").await, stage.join("bob").await);
    let told = |reply: &Reply, scope: &str| {
        let told = reply.header("ratelimit").unwrap_or_default().to_owned();
        assert!(told.starts_with(&format!("\"{scope}\";r=")), "{told}: {reply:?}");
        let policy = reply.header("ratelimit-policy").unwrap_or_default();
        assert!(policy.contains("per_buyer") && policy.contains("per_ip"), "{policy}");
    };
    let anybody =
        stage.ask(Method::GET, format!("/v1/sales/demo/entries/{}", text(&mine["entry"])));
    let reply = anybody.send().await;
    reply.expect(401, "bad_token");
    told(&reply, "per_ip");
    let reply = stage
        .ask(Method::GET, format!("/v1/sales/demo/entries/{}", text(&mine["entry"])))
        .bearer(text(&other["token"]))
        .send()
        .await;
    reply.expect(403, "wrong_entry");
    told(&reply, "per_ip");
    let reply = stage.about(Method::GET, &mine, "?seen=x").send().await;
    reply.expect(400, "bad_request");
    told(&reply, "per_buyer");
    let reply = stage.ask(Method::POST, "/v1/sales/demo/entries").send().await;
    reply.expect(401, "identity_required");
    told(&reply, "per_ip");
    let reply = stage.joining("eve").text("{}").send().await;
    reply.expect(415, "unsupported_media_type");
    told(&reply, "per_buyer");
}
