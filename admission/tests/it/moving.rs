//! A place goes to another device: once, by a ticket that only its holder gets, and what was held before proves nothing any more.

use std::{net::SocketAddr, time::Duration};

use http::Method;
use serde_json::{Value, json};
use sluice_admission::IdentityConfig;
use sluice_core::{
    clock::Clock,
    token::{MOVE_LIFE, TOKEN_LIFE},
};

use crate::{
    client::{Ask, Reply},
    stage::{PUBLIC, Script, Stage, assert_problem, text},
};

async fn offer(stage: &Stage, entry: &Value) -> String {
    let offered = stage.about(Method::POST, entry, "/move").send().await.expect(201, "");
    text(&offered["ticket"]).to_owned()
}

fn redeem(door: SocketAddr, ticket: &str) -> Ask {
    Ask::new(door, Method::POST, "/v1/sales/demo/move").json(&json!({ "ticket": ticket }))
}

/// Takes a place over, and answers it.
async fn moved(stage: &Stage, entry: &Value) -> Value {
    let ticket = offer(stage, entry).await;
    redeem(stage.address, &ticket).send().await.expect(200, "")
}

/// A request about an entry at a door of one's choice.
fn at(door: SocketAddr, method: Method, entry: &Value, rest: &str) -> Ask {
    let path = format!("/v1/sales/demo/entries/{}{rest}", text(&entry["entry"]));
    Ask::new(door, method, path).bearer(text(&entry["token"]))
}

/// Asserts that nothing can be done with a token any more.
async fn assert_gone(stage: &Stage, entry: &Value) {
    for (method, rest) in [
        (Method::GET, ""),
        (Method::POST, "/token"),
        (Method::POST, "/ticket"),
        (Method::POST, "/move"),
        (Method::DELETE, ""),
    ] {
        let reply = stage.about(method, entry, rest).send().await;
        assert_problem(&reply, 401, "moved", "another device");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_goes_to_another_device_and_leaves_the_one_it_was_on() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let ticket = offer(&stage, &mine).await;
    assert_eq!(stage.poll(&mine).await["state"], "waiting", "an offer moves nothing");
    let taken = redeem(stage.address, &ticket).send().await;
    assert_eq!(taken.header("cache-control"), Some("no-store"));
    let taken = taken.expect(200, "");
    for field in ["entry", "sale", "state", "version", "seq", "position", "links"] {
        assert_eq!(taken[field], mine[field], "{field}");
    }
    assert_ne!(taken["token"], mine["token"]);
    assert_gone(&stage, &mine).await;
    assert_eq!(stage.poll(&taken).await["seq"], mine["seq"]);
    assert_problem(
        &redeem(stage.address, &ticket).send().await,
        409,
        "already_moved",
        "Make another",
    );
    assert_eq!(stage.poll(&taken).await["state"], "waiting", "a second use changes nothing");
    // It goes on from there, however often.
    let back = moved(&stage, &taken).await;
    assert_gone(&stage, &taken).await;
    assert_gone(&stage, &mine).await;
    stage.about(Method::DELETE, &back, "").send().await.expect(204, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_who_redeem_at_once_on_two_nodes_one_has_it() {
    let mut stage = Stage::open().await;
    let doors = [stage.address, stage.open_deaf_door(8).await];
    for n in 0..20 {
        let mine = stage.join(&format!("ada-{n}")).await;
        let ticket = offer(&stage, &mine).await;
        let both = doors.map(|door| redeem(door, &ticket).send());
        let [one, other] = both;
        let (one, other) = tokio::join!(one, other);
        let mut statuses = [one.status.as_u16(), other.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409], "{one:?} {other:?}");
        let won = if one.status == 200 { one } else { other }.json();
        at(doors[1], Method::GET, &won, "").send().await.expect(200, "");
    }
}

/// A node that has not heard of the move shows the place to the old device, and can do nothing more for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_has_not_heard_of_a_move_gives_nothing_that_outlives_it() {
    let mut stage = Stage::open().await;
    let deaf = stage.open_deaf_door(8).await;
    let mine = stage.join("ada").await;
    let early = offer(&stage, &mine).await;
    stage.clock.advance(TOKEN_LIFE - Duration::from_secs(60));
    let taken = {
        let held = json!({ "entry": mine["entry"], "token": stage.token_ending_in(&mine, 60_000) });
        moved(&stage, &held).await
    };
    // The poll is from memory, and its token is due: what it is given came of the old one.
    let laundered = at(deaf, Method::GET, &mine, "").send().await.expect(200, "");
    assert!(laundered["token"].is_string());
    assert_gone(&stage, &laundered).await;
    let ticket = at(deaf, Method::POST, &laundered, "/move").send().await.expect(201, "");
    let late = redeem(deaf, text(&ticket["ticket"])).send().await;
    late.expect(409, "already_moved");
    redeem(deaf, &early).send().await.expect(401, "token_expired");
    // Renewing asks the ledger, and so does the node from then on.
    at(deaf, Method::POST, &laundered, "/token").send().await.expect(401, "moved");
    at(deaf, Method::GET, &laundered, "").send().await.expect(401, "moved");
    at(deaf, Method::GET, &taken, "").send().await.expect(200, "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_the_answer_may_repeat_it_and_nobody_else() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let ticket = offer(&stage, &mine).await;
    let keyed = |key: &str| redeem(stage.address, &ticket).header("idempotency-key", key);
    keyed("mine").send().await.expect(200, "");
    let again = keyed("mine").send().await.expect(200, "");
    keyed("another").send().await.expect(409, "already_moved");
    redeem(stage.address, &ticket).send().await.expect(409, "already_moved");
    assert_eq!(stage.poll(&again).await["seq"], mine["seq"]);
    let on = moved(&stage, &again).await;
    keyed("mine").send().await.expect(409, "already_moved");
    assert_eq!(stage.poll(&on).await["seq"], mine["seq"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_a_fresh_ticket_of_this_sale_moves_a_place() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let claims = stage.claims(&mine);
    let end = stage.clock.now().plus(MOVE_LIFE);
    let mut elsewhere = claims.clone();
    elsewhere.sale = "elsewhere".parse().unwrap();
    let bad = [
        text(&mine["token"]).to_owned(),
        stage.keyring.sign_ticket(&claims, end),
        stage.keyring.sign_move(&elsewhere, end),
        String::new(),
        "x".repeat(1_000),
    ];
    for ticket in &bad {
        redeem(stage.address, ticket).send().await.expect(401, "bad_token");
    }
    let ticket = offer(&stage, &mine).await;
    redeem(stage.address, &ticket)
        .header("origin", "https://evil.example")
        .send()
        .await
        .expect(403, "cross_site");
    for body in ["", "{}", "[]", r#"{"ticket":1}"#, r#"{"ticket":"x","more":1}"#] {
        let ask =
            Ask::new(stage.address, Method::POST, "/v1/sales/demo/move").text(body.to_owned());
        ask.send().await.expect(400, "bad_request");
    }
    let path = "/v1/sales/nothing/move";
    let nowhere = Ask::new(stage.address, Method::POST, path).json(&json!({ "ticket": ticket }));
    nowhere.send().await.expect(404, "no_such_sale");
    stage.clock.advance(MOVE_LIFE);
    let late = redeem(stage.address, &ticket).send().await;
    assert_problem(&late, 401, "token_expired", "Make another one");
    assert_eq!(stage.poll(&mine).await["state"], "waiting", "none of these moved anything");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn called_and_reserved_places_move_too() {
    let mut stage = Stage::open().await;
    let (called, reserved) = (stage.join("ada").await, stage.join("bob").await);
    stage.call(&called).await;
    let order = stage.reserve(&reserved).await;
    stage.report(2, false);
    assert_eq!(moved(&stage, &called).await["state"], "called");
    let taken = moved(&stage, &reserved).await;
    assert_eq!((&taken["state"], &taken["order"]), (&json!("reserved"), &json!(order.to_string())));
    assert_gone(&stage, &reserved).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_that_is_away_moves_nothing() {
    let mut stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let ticket = offer(&stage, &mine).await;
    stage.lose_stores();
    redeem(stage.address, &ticket).send().await.expect(503, "unavailable");
    assert_eq!(stage.poll(&mine).await["state"], "waiting");
    // A token that is due is renewed all the same.
    stage.clock.advance(TOKEN_LIFE - Duration::from_secs(60));
    let renewed = stage.poll(&mine).await;
    assert_eq!(stage.poll(&renewed).await["seq"], mine["seq"]);
}

/// Being the buyer is more than holding a token: joining again where that is known brings the place back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_again_as_its_buyer_brings_the_place_back() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let taken = moved(&stage, &mine).await;
    let with_old = stage.joining("ada").bearer(text(&mine["token"])).send().await;
    let back = with_old.expect(200, "");
    assert_eq!((&back["entry"], &back["seq"]), (&mine["entry"], &mine["seq"]));
    assert_gone(&stage, &taken).await;
    assert_gone(&stage, &mine).await;
    stage.about(Method::POST, &back, "/token").send().await.expect(200, "");
    // Whoever holds it and joins again has held it all along.
    let again = stage.joining("eve").bearer(text(&back["token"])).send().await.expect(200, "");
    assert_eq!(again["entry"], mine["entry"]);
    assert_eq!(stage.poll(&back).await["seq"], mine["seq"], "nothing was moved");
}

fn anonymous() -> Script {
    let mut script = Script::default();
    script.config.identity = IdentityConfig::Anonymous;
    script
}

/// As a browser asks, with what it has in its jar.
fn browse(stage: &Stage, method: Method, path: &str, jar: &str) -> Ask {
    let ask = stage.ask(method, path).from(PUBLIC).header("sec-fetch-site", "same-origin");
    let ask = ask.header("origin", format!("http://{}", stage.address));
    if jar.is_empty() { ask } else { ask.header("cookie", jar) }
}

fn place(reply: &Reply) -> String {
    format!("sluice-place-demo={}", reply.cookie("sluice-place-demo").expect("a place cookie"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn browsers_hand_a_place_over_by_their_cookies() {
    const JOIN: &str = "/v1/sales/demo/entries";
    let stage = Stage::play(anonymous()).await;
    let wish = json!({ "items": [{ "sku": "standard", "quantity": 1 }] });
    let joined = browse(&stage, Method::POST, JOIN, "").json(&wish).send().await;
    let (mine, old) = (joined.expect(202, ""), place(&joined));
    let own = format!("{JOIN}/{}", text(&mine["entry"]));

    let offered = browse(&stage, Method::POST, &format!("{own}/move"), &old).send().await;
    let offered = offered.expect(201, "");
    let ticket = text(&offered["ticket"]);
    let link = format!("http://{}/w/demo#move={ticket}", stage.address);
    assert_eq!(offered["link"], link, "as the browser sees us");
    assert!(text(&offered["qr"]).starts_with("<svg "), "{offered}");

    // A link is opened by GET, by whoever looks at links before people do: that uses nothing up.
    browse(&stage, Method::GET, "/w/demo", "").send().await;
    let taken = browse(&stage, Method::POST, "/v1/sales/demo/move", "")
        .json(&json!({ "ticket": ticket }))
        .send()
        .await;
    let new = place(&taken);
    assert_eq!(taken.expect(200, "")["entry"], mine["entry"]);
    assert!(taken.cookie("sluice-device").is_some());
    // Who somebody is counts in every sale: a link for one place does not carry it.
    assert_eq!(taken.cookie("sluice-buyer"), None);
    let again = browse(&stage, Method::POST, JOIN, &new).json(&wish).send().await;
    assert_eq!(again.expect(200, "")["entry"], mine["entry"], "its place is found again");

    let page = browse(&stage, Method::GET, "/w/demo", &old).send().await;
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("data-scene=\"moved\"") && html.contains("value=\"join\""), "{html}");
    assert_eq!(page.cookie("sluice-place-demo").as_deref(), Some(""), "it proves nothing");
    let poll = browse(&stage, Method::GET, &own, &old).send().await;
    assert_eq!(poll.cookie("sluice-place-demo").as_deref(), Some(""));
    poll.expect(401, "moved");
    let leave = browse(&stage, Method::POST, "/w/demo", &old)
        .body("application/x-www-form-urlencoded", "do=leave")
        .send()
        .await;
    assert_eq!(leave.status, 401);
    let page = browse(&stage, Method::GET, "/w/demo", &new).send().await;
    let html = String::from_utf8(page.body.to_vec()).unwrap();
    assert!(html.contains("data-scene=\"waiting\""), "{html}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_without_an_address_has_no_picture() {
    let stage = Stage::open().await;
    let mine = stage.join("ada").await;
    let offered = stage.about(Method::POST, &mine, "/move").send().await.expect(201, "");
    let link = format!("/w/demo#move={}", text(&offered["ticket"]));
    assert_eq!((&offered["link"], &offered["qr"]), (&json!(link), &Value::Null));
}
