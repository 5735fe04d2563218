//! How connections end: drained, too slow, too loud, dead.

use futures_util::SinkExt;
use sluice_core::{
    clock::UnixMillis, entry::Outcome, ids::OrderId, order::OrderState, sale::SaleChange,
};
use sluice_ws_push::Config;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    client::{Client, Next},
    world::{World, bearer, eventually, quick},
};

#[tokio::test]
async fn a_drain_says_when_to_come_back_then_closes_with_1001() {
    let mut world = World::start(Config { bye_spread_ms: 4_000, ..quick() }).await;
    let mut clients = Vec::new();
    for seq in 1..=20 {
        let mut client = world.connect(&world.claims(seq)).await;
        client.next_of("line").await;
        clients.push(client);
    }
    let headers = bearer(&world.token(&world.claims(99)));
    let address = world.address;
    let ends = async {
        let mut waits = Vec::new();
        for client in &mut clients {
            let bye = client.next_of("bye").await;
            waits.push(bye["reconnect_after_ms"].as_u64().unwrap());
            match client.next().await {
                Next::Closed(frame) => assert_eq!(u16::from(frame.code), 1001),
                Next::Frame(_, text) => panic!("something after `bye`: {text}"),
            }
        }
        waits
    };
    let ((), mut waits) = tokio::join!(world.drain(), ends);
    assert!(waits.iter().all(|wait| *wait < 4_000), "{waits:?}");
    waits.sort_unstable();
    waits.dedup();
    assert!(waits.len() > 10, "they do not all come back at once: {waits:?}");
    assert_eq!(Client::try_open(address, "demo", "", &headers).await.err(), Some(503));
}

#[tokio::test]
async fn a_drain_does_not_wait_for_clients_that_do_not_answer() {
    let config = Config { drain_timeout_ms: 200, close_timeout_ms: 60_000, ..quick() };
    let mut world = World::start(config).await;
    let mut client = world.connect(&world.claims(5)).await;
    client.next_of("line").await;
    // Nobody reads `client` meanwhile, so its side of the closing handshake never comes.
    world.drain().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_with_4408() {
    let config = Config {
        line_interval_ms: 1,
        send_timeout_ms: 100,
        close_timeout_ms: 20_000,
        connections_per_entry_max: 1,
        ..quick()
    };
    let world = World::start(config).await;
    let claims = world.claims(5);
    let mut stuck = world.connect(&claims).await;
    stuck.next_of("line").await;
    let mut other = world.connect(&world.claims(6)).await;
    // Nobody reads `stuck` while long frames pile up in the kernel. Its place in the hub is given up when it is found out.
    let found_out = async {
        for tag in 0.. {
            world.shout(tag);
            let mut again = world.connect(&claims).await;
            if let Next::Frame(..) = again.next().await {
                return;
            }
        }
    };
    tokio::time::timeout(crate::world::DEADLINE, found_out).await.expect("it is found out");
    assert_eq!(stuck.close_code().await, 4408);
    // It held up nobody else.
    assert_eq!(other.next_of("line").await["state"], "open");
}

#[tokio::test]
async fn what_a_client_says_is_ignored_within_limits() {
    let config = Config { client_frames_per_minute_max: 20, ..quick() };
    let world = World::start(config).await;
    let mut client = world.connect(&world.claims(5)).await;
    client.next_of("line").await;
    for _ in 0..20 {
        client.say(r#"{"type":"give me the first place"}"#).await;
    }
    world.shout(1);
    client.next_of("line").await;
    client.say("once too often").await;
    assert_eq!(client.close_code().await, 4400);
}

#[tokio::test]
async fn a_long_or_broken_message_is_closed_with_4400() {
    let world = World::start(quick()).await;
    let mut long = world.connect(&world.claims(5)).await;
    long.next_of("line").await;
    long.say(&"x".repeat(4_096)).await;
    world.shout(1);
    long.next_of("line").await;
    long.say(&"x".repeat(4_097)).await;
    assert_eq!(long.close_code().await, 4400);
    // An unmasked frame: no client may send one (RFC 6455, section 5.1).
    let mut broken = world.connect(&world.claims(6)).await;
    broken.next_of("line").await;
    let raw = broken.socket.get_mut();
    tokio::io::AsyncWriteExt::write_all(raw, &[0x81, 0x01, b'x']).await.unwrap();
    assert_eq!(broken.close_code().await, 4400);
}

#[tokio::test]
async fn pings_are_answered() {
    let world = World::start(quick()).await;
    let mut client = world.connect(&world.claims(5)).await;
    client.socket.send(Message::Ping("are you there".into())).await.unwrap();
    loop {
        use futures_util::StreamExt;
        let next = tokio::time::timeout(crate::world::DEADLINE, client.socket.next()).await;
        if let Message::Pong(text) = next.expect("an answer").unwrap().unwrap() {
            assert_eq!(text, "are you there");
            return;
        }
    }
}

#[tokio::test]
async fn an_idle_client_is_pinged_and_a_dead_one_dropped() {
    let config = Config {
        ping_after_ms: 300,
        ping_timeout_ms: 1_000,
        connections_per_entry_max: 1,
        ..quick()
    };
    let world = World::start(config).await;
    let (living, dead) = (world.claims(5), world.claims(6));
    let mut client = world.connect(&living).await;
    let mut silent = world.connect(&dead).await;
    silent.next_of("line").await;
    // `silent` is never read again, so it answers no ping; `client` is read all the time, which answers them.
    let gone = async {
        while let Next::Closed(frame) = world.connect(&dead).await.next().await {
            assert_eq!(u16::from(frame.code), 4429);
        }
    };
    tokio::select! {
        gone = tokio::time::timeout(crate::world::DEADLINE, gone) => gone.expect("it is dropped"),
        closed = client.close_code() => panic!("a living client was dropped: {closed}"),
    }
    assert_eq!(
        world.connect(&living).await.close_code().await,
        4429,
        "the living one is still there"
    );
}

/// The look by time is a minute away.
#[tokio::test]
async fn the_close_of_a_sale_ends_who_has_nothing_left_to_hear() {
    let mut world = World::start(quick()).await;
    let (done, unpaid) = (world.claims(5), world.claims(6));
    for (claims, state) in [(&done, OrderState::Fulfilled), (&unpaid, OrderState::AwaitingPayment)]
    {
        let order = world.stores.order(OrderId::generate(UnixMillis(1), &world.random), state, 3);
        world.stores.settle(claims, Outcome::Reserved, Some(order));
    }
    world.serve(6);
    let (mut over, mut open) = (world.connect(&done).await, world.connect(&unpaid).await);
    for client in [&mut over, &mut open] {
        assert_eq!(client.next_of("entry").await["state"], "reserved");
    }
    world.change(&SaleChange::Close);
    assert_eq!(over.close_code().await, 4410);
    world.shout(1);
    // Who has to pay stays connected: told of the line as it was, and then of its close.
    while open.next_of("line").await["state"] != "closed" {}
}

#[tokio::test]
async fn a_client_that_leaves_gives_its_place_in_the_hub_back() {
    let world = World::start(Config { connections_max: 3, ..quick() }).await;
    for round in 0..30 {
        let headers = bearer(&world.token(&world.claims(5 + round)));
        let mut client = loop {
            if let Ok(client) = Client::try_open(world.address, "demo", "", &headers).await {
                break client;
            }
            tokio::task::yield_now().await;
        };
        client.next_of("entry").await;
        if round % 2 == 0 {
            client.socket.close(None).await.unwrap();
        }
    }
    eventually("no store was asked for any of it", || world.stores.take_looks().is_empty()).await;
}
