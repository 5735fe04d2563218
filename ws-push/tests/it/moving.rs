//! A place that went to another device: whoever held it before is told so, and whoever holds it now is not.

use std::{sync::Arc, time::Duration};

use sluice_core::{
    clock::UnixMillis,
    ports::{Bulletin, Notice, PlaceMove},
    token::{Claims, TOKEN_LIFE},
};

use crate::world::{World, eventually, quick};

/// The claims of the old device, and of the new one a minute later.
fn hands(world: &World) -> (Claims, Claims, PlaceMove) {
    let before = world.claims(5);
    let at = before.held_since.plus(Duration::from_secs(60));
    let told = PlaceMove { entry: before.entry, at };
    let after = Claims { held_since: at, ..before.clone() };
    (before, after, told)
}

#[tokio::test]
async fn a_move_ends_the_connections_of_whoever_held_the_place_before() {
    let world = World::start(quick()).await;
    let (before, after, told) = hands(&world);
    let (mut old, mut new) = (world.connect(&before).await, world.connect(&after).await);
    old.next_of("line").await;
    new.next_of("line").await;
    world.board.publish(Notice::Moved(told)).await.unwrap();
    assert_eq!(old.close_code().await, 4401);
    // The old token opens nothing any more, nor does a ticket of it.
    let mut again = world.connect(&before).await;
    assert_eq!(again.close_code().await, 4401);
    new.next_of("line").await;
}

#[tokio::test]
async fn a_move_that_the_bulletin_lost_is_acted_upon_when_it_is_known() {
    let world = World::start(quick()).await;
    let (before, after, told) = hands(&world);
    let (mut old, mut new) = (world.connect(&before).await, world.connect(&after).await);
    old.next_of("line").await;
    world.directory.learn_move(told);
    assert_eq!(old.close_code().await, 4401);
    new.next_of("line").await;
}

/// Both hold a connection for a moment: each renews what it came with.
#[tokio::test]
async fn a_renewal_over_push_says_what_the_token_said_that_it_renews() {
    let world = Arc::new(World::start(quick()).await);
    let (before, after, _) = hands(&world);
    let mut clients = [world.connect(&before).await, world.connect(&after).await];
    for client in &mut clients {
        client.next_of("entry").await;
    }
    world.clock.advance(TOKEN_LIFE - Duration::from_secs(60));
    for (client, claims) in clients.iter_mut().zip([before, after]) {
        let renewed = client.next_of("entry").await;
        let token = renewed["token"].as_str().expect("a token was due");
        let verified = world.keyring.verify_claims(token, UnixMillis(0)).unwrap();
        assert_eq!(verified.claims().held_since, claims.held_since);
    }
}

#[tokio::test]
async fn moves_that_nobody_told_of_are_read_from_the_ledger() {
    use sluice_core::view::follow::{Sources, follow};
    use tokio_util::sync::CancellationToken;

    let world = World::start(quick()).await;
    let (before, _, told) = hands(&world);
    world.stores.moved(told);
    let sources = Sources {
        bulletin: world.board.clone(),
        ledger: world.stores.clone(),
        line: world.stores.clone(),
    };
    let stop = CancellationToken::new();
    let following = follow(Arc::clone(&world.directory), sources, stop.clone());
    let heard = async {
        eventually("the move is known", || world.directory.has_moved(&before)).await;
        stop.cancel();
    };
    tokio::join!(following, heard);
}
