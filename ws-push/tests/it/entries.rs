//! What a buyer hears of the entry: at once, in order, whole, and even when notices are lost.

use std::time::Duration;

use sluice_core::{
    clock::Clock,
    entry::{EntryState, Outcome},
    ids::{OrderId, Seq},
    order::OrderState,
    ports::PlaceState,
    random::Random,
    token::{TOKEN_LIFE, Verified},
};
use sluice_ws_push::Config;
use tokio::time::Instant;

use crate::{
    client::{Client, Next},
    world::{World, bearer, eventually, quick},
};

fn order_id() -> OrderId {
    OrderId::generate(sluice_core::clock::UnixMillis(7), &Random::seeded(7))
}

#[tokio::test]
async fn the_entry_comes_first_then_the_line() {
    let mut world = World::start(quick()).await;
    world.serve(40);
    let claims = world.claims(50);
    let mut client = world.connect(&claims).await;
    let (entry, text) = client.frame().await;
    assert!(text.starts_with(r#"{"type":"entry","#), "{text}");
    assert_eq!(entry["entry"], claims.entry.to_string());
    assert_eq!(entry["state"], "waiting");
    assert_eq!(entry["position"], 10);
    assert_eq!(entry["serving"], 40);
    assert_eq!(entry["token_expires_at"], claims.expires_at.to_string());
    assert!(entry.get("token").is_none(), "a young token is not renewed");
    let (line, text) = client.frame().await;
    assert!(text.starts_with(r#"{"type":"line","serving":40,"#), "{text}");
    assert_eq!(line["waiting"], 9_960);
    assert_eq!(world.stores.take_looks(), [0_usize; 0], "memory answers for those who wait");
}

/// never-backwards: a client that has seen more than this node knows is not shown a higher position.
#[tokio::test]
async fn what_the_client_has_seen_counts() {
    let mut world = World::start(quick()).await;
    world.serve(40);
    let headers = bearer(&world.token(&world.claims(50)));
    let mut client = Client::open(world.address, "demo", "?seen=45", &headers).await;
    let (entry, _) = client.frame().await;
    assert_eq!((entry["position"].clone(), entry["serving"].clone()), (5.into(), 45.into()));
}

#[tokio::test]
async fn every_change_of_state_comes_in_order_and_whole() {
    let world = World::start(quick()).await;
    let (claims, order) = (world.claims(5), order_id());
    let mut client = world.connect(&claims).await;
    client.next_of("entry").await;
    world.board.tell(&[(claims.entry, EntryState::Called, 2)]);
    assert_eq!(client.next_of("entry").await["state"], "called");
    let mut versions = vec![1, 2];
    for (state, version) in [
        (OrderState::AwaitingPayment, 1),
        (OrderState::Paid, 2),
        (OrderState::Fulfilled, 3),
        (OrderState::Refunding, 4),
    ] {
        let reference = world.stores.order(order, state, version);
        world.stores.settle(&claims, Outcome::Reserved, Some(reference));
        world.board.tell(&[(claims.entry, EntryState::Reserved, 2 + version)]);
        // Late, repeated and older notices change nothing.
        world.board.tell(&[(claims.entry, EntryState::Reserved, 2 + version)]);
        world.board.tell(&[(claims.entry, EntryState::Called, 2)]);
        let entry = client.next_of("entry").await;
        versions.push(entry["version"].as_u64().unwrap());
        assert_eq!(entry["state"], "reserved");
        assert_eq!(entry["order"], order.to_string());
        assert_eq!(entry["links"]["order"], format!("/v1/orders/{order}"));
        assert_eq!(entry["pay_by"], "1970-01-01T02:30:00.000Z");
    }
    assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
    let reference = world.stores.order(order, OrderState::Refunded, 5);
    world.stores.settle(&claims, Outcome::Reserved, Some(reference));
    world.board.tell(&[(claims.entry, EntryState::Reserved, 7)]);
    assert_eq!(client.next_of("entry").await["version"], 7);
    assert_eq!(client.close_code().await, 4410, "a dead order is the end");
}

/// By the line, or by the ledger if the line has forgotten it; and then the offer.
#[tokio::test]
async fn who_stands_by_is_told_so_and_then_of_the_order() {
    let world = World::start(quick()).await;
    for forgotten in [false, true] {
        let claims = world.claims(0);
        if forgotten {
            world.stores.stand(claims.entry);
        } else {
            world.stores.place(claims.entry, PlaceState::Standby);
        }
        let mut client = world.connect(&claims).await;
        let entry = client.next_of("entry").await;
        assert_eq!((&entry["state"], &entry["version"]), (&"standby".into(), &2.into()));
        assert!(entry["seq"].is_null() && entry["position"].is_null(), "{entry}");
        let reference = world.stores.order(order_id(), OrderState::AwaitingPayment, 1);
        world.stores.settle(&claims, Outcome::Reserved, Some(reference));
        world.board.tell(&[(claims.entry, EntryState::Reserved, 3)]);
        let entry = client.next_of("entry").await;
        assert_eq!(
            (&entry["state"], &entry["order"]),
            (&"reserved".into(), &order_id().to_string().into())
        );
    }
}

#[tokio::test]
async fn an_outcome_without_an_order_is_told_then_the_end() {
    let world = World::start(quick()).await;
    for (seq, outcome, state) in [
        (5, Outcome::SoldOut, EntryState::SoldOut),
        (6, Outcome::Left, EntryState::Left),
        (7, Outcome::Expired, EntryState::Expired),
        (8, Outcome::Refused, EntryState::Refused),
    ] {
        let claims = world.claims(seq);
        let mut client = world.connect(&claims).await;
        client.next_of("entry").await;
        world.stores.settle(&claims, outcome, None);
        world.board.tell(&[(claims.entry, state, 3)]);
        assert_eq!(client.next_of("entry").await["state"], outcome.as_str());
        assert_eq!(client.close_code().await, 4410);
        // Who comes back hears the same, from the stores, although memory would say `waiting`.
    }
}

#[tokio::test]
async fn a_reconnect_misses_nothing() {
    let mut world = World::start(quick()).await;
    let (claims, order) = (world.claims(5), order_id());
    world.serve(10);
    let reference = world.stores.order(order, OrderState::AwaitingPayment, 1);
    world.stores.settle(&claims, Outcome::Reserved, Some(reference));
    let mut client = world.connect(&claims).await;
    let (entry, _) = client.frame().await;
    assert_eq!(
        (entry["type"].clone(), entry["state"].clone()),
        ("entry".into(), "reserved".into())
    );
    assert_eq!(client.frame().await.0["type"], "line");
    // A second tab hears it all as well.
    let mut tab = world.connect(&claims).await;
    assert_eq!(tab.frame().await.0["state"], "reserved");
}

#[tokio::test]
async fn a_passed_entry_that_heard_nothing_is_looked_up() {
    let mut world = World::start(quick()).await;
    let (claims, order) = (world.claims(5), order_id());
    let mut client = world.connect(&claims).await;
    client.next_of("entry").await;
    // Called and reserved, and not one notice arrives.
    world.stores.place(claims.entry, PlaceState::Called);
    world.serve(10);
    assert_eq!(client.next_of("entry").await["state"], "called");
    let reference = world.stores.order(order, OrderState::AwaitingPayment, 1);
    world.stores.settle(&claims, Outcome::Reserved, Some(reference));
    assert_eq!(client.next_of("entry").await["state"], "reserved");
}

#[tokio::test]
async fn a_notice_ahead_of_the_stores_is_not_forgotten() {
    let world = World::start(quick()).await;
    let claims = world.claims(5);
    let mut client = world.connect(&claims).await;
    client.next_of("entry").await;
    // The notice says sold out, but what can be read still says nothing.
    world.board.tell(&[(claims.entry, EntryState::SoldOut, 3)]);
    eventually("it is looked up", || !world.stores.take_looks().is_empty()).await;
    world.stores.settle(&claims, Outcome::SoldOut, None);
    assert_eq!(client.next_of("entry").await["state"], "sold_out");
}

#[tokio::test]
async fn the_parked_do_not_hammer_the_stores() {
    let config = Config { parked_lookup_ms: 300, ..quick() };
    let pause = Duration::from_millis(config.parked_lookup_ms);
    let mut world = World::start(config).await;
    let claims = world.claims(5);
    world.stores.place(claims.entry, PlaceState::Waiting);
    let mut client = world.connect(&claims).await;
    client.next_of("entry").await;
    let since = Instant::now();
    world.serve(10);
    let mut looks = 0;
    while looks < 3 {
        eventually("it is looked up again", || {
            let more = world.stores.take_looks().len();
            looks += more;
            more > 0
        })
        .await;
    }
    // Who comes back is told, too, that the stock the sale has left is not theirs to have.
    let mut again = world.connect(&claims).await;
    let parked = again.next_of("entry").await;
    assert_eq!((&parked["state"], &parked["odds"]), (&"waiting".into(), &"unlikely".into()));
    assert!(parked["eta_seconds"].is_null(), "{parked}");
    let allowed = 1 + since.elapsed().as_millis() / pause.as_millis();
    assert!(looks as u128 <= allowed, "{looks} looks where {allowed} are allowed");
}

#[tokio::test]
async fn many_looks_share_few_calls() {
    let mut world = World::start(quick()).await;
    let mut clients = Vec::new();
    for seq in 1..=200 {
        let claims = world.claims(seq);
        clients.push((world.connect(&claims).await, claims));
    }
    for (client, claims) in &mut clients {
        client.next_of("entry").await;
        world.stores.settle(claims, Outcome::SoldOut, None);
    }
    world.serve(200);
    let told: Vec<_> =
        clients.iter().map(|(_, claims)| (claims.entry, EntryState::SoldOut, 3)).collect();
    world.board.tell(&told);
    for (client, _) in &mut clients {
        assert_eq!(client.next_of("entry").await["state"], "sold_out");
        assert_eq!(client.close_code().await, 4410);
    }
    let looks = world.stores.take_looks();
    assert!(looks.len() <= 40, "200 outcomes took {} calls: {looks:?}", looks.len());
    assert!(looks.iter().all(|entries| *entries <= 256));
}

#[tokio::test]
async fn what_the_bulletin_lost_is_found_again() {
    let world = World::start(quick()).await;
    let claims = world.claims(5);
    let mut client = world.connect(&claims).await;
    client.next_of("entry").await;
    // Given up on another device, ahead of the cursor: neither time nor the cursor would bring it up.
    world.stores.settle(&claims, Outcome::Left, None);
    world.board.lose_something();
    assert_eq!(client.next_of("entry").await["state"], "left");
    assert_eq!(client.close_code().await, 4410);
}

#[tokio::test]
async fn an_entry_that_cannot_be_looked_up_is_sent_back_with_4503() {
    let mut world = World::start(Config { lookup_timeout_ms: 100, ..quick() }).await;
    world.serve(10);
    world.stores.set_away(true);
    let claims = world.claims(5);
    let mut client = world.connect(&claims).await;
    match client.next().await {
        Next::Closed(frame) => assert_eq!(u16::from(frame.code), 4503),
        other @ Next::Frame(..) => panic!("something was made up: {other:?}"),
    }
    // Those who wait are told from memory all the same.
    assert_eq!(world.connect(&world.claims(50)).await.frame().await.0["state"], "waiting");
}

#[tokio::test]
async fn a_token_is_renewed_when_a_third_of_its_life_is_left() {
    let world = World::start(quick()).await;
    let claims = world.claims(5);
    let mut client = world.connect(&claims).await;
    assert!(client.next_of("entry").await.get("token").is_none());
    world.clock.advance(TOKEN_LIFE * 2 / 3);
    let entry = client.next_of("entry").await;
    let fresh = entry["token"].as_str().expect("a fresh token").to_owned();
    let now = world.clock.now();
    let Ok(Verified::Live(proven)) = world.keyring.verify_claims(&fresh, now) else {
        panic!("the fresh token is not good");
    };
    assert_eq!(
        (proven.entry, proven.seq, proven.expires_at),
        (claims.entry, Seq(5), now.plus(TOKEN_LIFE))
    );
    assert_eq!(entry["token_expires_at"], proven.expires_at.to_string());
    eventually("the line hears that the buyer is there", || {
        world.stores.seen().contains(&claims.entry)
    })
    .await;
    // The next one comes in its time, and the fresh one opens a connection without being renewed.
    let mut tab = Client::open(world.address, "demo", "", &bearer(&fresh)).await;
    assert!(tab.frame().await.0.get("token").is_none());
    world.clock.advance(TOKEN_LIFE * 2 / 3);
    assert_ne!(client.next_of("entry").await["token"].as_str(), Some(fresh.as_str()));
}

#[tokio::test]
async fn an_old_token_is_renewed_with_the_first_frame() {
    let world = World::start(quick()).await;
    let claims = world.claims(5);
    let headers = bearer(&world.token(&claims));
    world.clock.advance(TOKEN_LIFE * 2 / 3);
    let mut client = Client::open(world.address, "demo", "", &headers).await;
    assert!(client.frame().await.0["token"].is_string());
}

/// A reserved entry's token is renewed too, whole and with its order.
#[tokio::test]
async fn the_token_of_a_passed_entry_is_renewed_with_what_the_stores_say() {
    let mut world = World::start(quick()).await;
    let (claims, order) = (world.claims(5), order_id());
    world.serve(10);
    let reference = world.stores.order(order, OrderState::AwaitingPayment, 1);
    world.stores.settle(&claims, Outcome::Reserved, Some(reference));
    let mut client = world.connect(&claims).await;
    assert!(client.next_of("entry").await.get("token").is_none());
    world.clock.advance(TOKEN_LIFE * 2 / 3);
    let entry = client.next_of("entry").await;
    assert!(entry["token"].is_string());
    assert_eq!(entry["order"], order.to_string());
}

/// A ticket opens the stream and nothing else: it never becomes a token.
#[tokio::test]
async fn a_ticket_never_becomes_a_token() {
    let world = World::start(quick()).await;
    let claims = world.claims(5);
    let query = format!("?ticket={}", world.ticket(&claims));
    let mut client = Client::open(world.address, "demo", &query, &[]).await;
    let (entry, text) = client.frame().await;
    assert!(text.starts_with(r#"{"type":"entry","#), "{text}");
    assert!(entry.get("token").is_none(), "{text}");
    assert_eq!(
        entry["token_expires_at"],
        claims.expires_at.to_string(),
        "the token's, not its own"
    );
    // But whoever holds it open is there.
    eventually("the line hears of it", || world.stores.seen().contains(&claims.entry)).await;
    world.clock.advance(TOKEN_LIFE);
    world.board.tell(&[(claims.entry, EntryState::Called, 2)]);
    let called = client.next_of("entry").await;
    assert_eq!(called["state"], "called");
    assert!(called.get("token").is_none());
}
