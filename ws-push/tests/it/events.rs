//! The same stream as Server-Sent Events.

use sluice_core::{
    entry::{EntryState, Outcome},
    token::Claims,
};
use sluice_ws_push::Config;

use crate::{
    client::Raw,
    world::{World, keyring, quick},
};

async fn open(world: &World, claims: &Claims, headers: &[(&str, &str)]) -> Raw {
    let path = format!("/v1/sales/demo/events?ticket={}", world.ticket(claims));
    Raw::get(world.address, &path, headers).await
}

#[tokio::test]
async fn the_frames_are_those_of_the_socket() {
    let world = World::start(quick()).await;
    let claims = world.claims(5);
    let mut stream = open(&world, &claims, &[]).await;
    stream.until("event: line").await;
    assert_eq!(stream.status(), 200);
    for told in ["content-type: text/event-stream", "cache-control: no-store", "retry: 2000\n\n"] {
        assert!(stream.text.contains(told), "{told}: {}", stream.text);
    }
    let first = stream.text.find("event: ").unwrap();
    assert!(stream.text[first..].starts_with("event: entry\nid: 1\ndata: {\"type\":\"entry\","));
    world.board.tell(&[(claims.entry, EntryState::Called, 2)]);
    stream.until("id: 2\n").await;
    stream.until(r#""state":"called""#).await;
    world.stores.settle(&claims, Outcome::SoldOut, None);
    world.board.tell(&[(claims.entry, EntryState::SoldOut, 3)]);
    stream.until_end().await;
    let states: Vec<_> =
        stream.events("entry").iter().map(|entry| entry["state"].clone()).collect();
    assert_eq!(states, ["waiting", "called", "sold_out"]);
    assert_eq!(stream.events("bye").len(), 0, "nobody is asked to come back");
}

/// An `EventSource` reconnects whatever happens; 204 is what stops it.
#[tokio::test]
async fn who_has_heard_the_last_is_told_to_stay_away() {
    let mut world = World::start(quick()).await;
    let claims = world.claims(5);
    world.serve(10);
    world.stores.settle(&claims, Outcome::SoldOut, None);
    let heard: [&[(&str, &str)]; 2] = [&[], &[("last-event-id", "2")]];
    for headers in heard {
        let mut behind = open(&world, &claims, headers).await;
        behind.until_end().await;
        assert_eq!(behind.status(), 200);
        assert_eq!(behind.events("entry")[0]["state"], "sold_out");
        assert_eq!(behind.events("entry")[0]["token_expires_at"], claims.expires_at.to_string());
        assert_eq!(behind.events("line").len(), 1, "how the line stands, once");
    }
    let mut done = open(&world, &claims, &[("last-event-id", "3")]).await;
    done.until("\r\n\r\n").await;
    assert_eq!(done.status(), 204);
}

#[tokio::test]
async fn a_bad_proof_is_a_problem() {
    let world = World::start(quick()).await;
    let claims = world.claims(5);
    let (token, ticket) = (world.token(&claims), world.ticket(&claims));
    let forged = keyring("y").sign_ticket(&claims, claims.expires_at);
    let expired = world.token(&Claims { expires_at: claims.joined_at, ..claims.clone() });
    let expired = format!("Bearer {expired}");
    let (good, bearer) = (format!("?ticket={ticket}"), format!("Bearer {token}"));
    let cases = [
        ("demo", String::new(), None, 401, "bad_token"),
        ("demo", format!("?ticket={forged}"), None, 401, "bad_token"),
        ("demo", format!("?ticket={token}"), None, 401, "bad_token"),
        ("demo", String::new(), Some(expired.as_str()), 401, "token_expired"),
        ("demo", format!("{good}&seen=x"), None, 400, "bad_request"),
        ("other", good.clone(), None, 401, "bad_token"),
        ("NOT", good, None, 404, "no_such_sale"),
    ];
    for (sale, query, authorization, status, code) in cases {
        let path = format!("/v1/sales/{sale}/events{query}");
        let headers: Vec<_> =
            authorization.map(|value| ("authorization", value)).into_iter().collect();
        let mut raw = Raw::get(world.address, &path, &headers).await;
        raw.until("}").await;
        assert_eq!(raw.status(), status, "{path}");
        assert!(raw.text.contains(&format!(r#""code":"{code}""#)), "{path}: {}", raw.text);
    }
    let mut raw =
        Raw::get(world.address, "/v1/sales/demo/events", &[("authorization", &bearer)]).await;
    raw.until("event: entry").await;
}

#[tokio::test]
async fn a_quiet_stream_is_kept_alive() {
    let world = World::start(Config { events_keep_alive_ms: 50, ..quick() }).await;
    let mut stream = open(&world, &world.claims(5), &[]).await;
    stream.until("\n: still here\n\n").await;
    // It cannot answer pings, and is not taken for dead.
    stream.until("event: line").await;
}

#[tokio::test]
async fn a_mute_client_is_not_taken_for_dead() {
    let config = Config { ping_after_ms: 50, ping_timeout_ms: 50, line_idle_ms: 100, ..quick() };
    let world = World::start(config).await;
    let mut stream = open(&world, &world.claims(5), &[]).await;
    stream.until_times("event: line", 10).await;
}

#[tokio::test]
async fn tabs_and_streams_count_together() {
    let world = World::start(Config { connections_per_entry_max: 1, ..quick() }).await;
    let claims = world.claims(5);
    let mut client = world.connect(&claims).await;
    client.next_of("entry").await;
    let mut second = open(&world, &claims, &[]).await;
    second.until("}").await;
    assert_eq!(second.status(), 429);
    assert!(second.text.contains("too_many_connections"));
}

#[tokio::test]
async fn a_passed_entry_that_cannot_be_looked_up_is_503() {
    let mut world = World::start(Config { lookup_timeout_ms: 100, ..quick() }).await;
    world.serve(10);
    world.stores.set_away(true);
    let mut stream = open(&world, &world.claims(5), &[]).await;
    stream.until("}").await;
    assert_eq!(stream.status(), 503);
}

#[tokio::test]
async fn a_drain_says_when_to_come_back() {
    let mut world = World::start(quick()).await;
    let mut stream = open(&world, &world.claims(5), &[]).await;
    stream.until("event: line").await;
    world.drain().await;
    stream.until_end().await;
    let byes = stream.events("bye");
    let after = byes[0]["reconnect_after_ms"].as_u64().unwrap();
    assert!(stream.text.contains(&format!("retry: {after}\nevent: bye\n")), "{}", stream.text);
}
