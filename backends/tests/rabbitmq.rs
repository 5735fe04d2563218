//! The RabbitMQ backend keeps the rules of its ports, against a real broker.
//!
//! A crash is what `kill -9` of the process leaves: every connection ends at once, and another process connects anew.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

#[path = "rabbitmq/house.rs"]
mod house;
#[path = "rabbitmq/server.rs"]
mod server;
#[path = "rabbitmq/topology.rs"]
mod topology;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use sluice_core::ports::{
    Bulletin, CallbackInbox,
    conformance::{Narrowed, Queues, letters::Buried},
};

use house::{Afterwards, Handles, Home};
use server::Server;

/// The one broker of these tests.
async fn home() -> Home {
    static SERVER: OnceLock<Server> = OnceLock::new();
    let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(Server::start)).await.unwrap();
    Home::new(server, Duration::ZERO, Afterwards::Remove).await
}

async fn queues() -> Narrowed<Home, Queues> {
    Narrowed::new(home().await, |Handles { waiting, turns, .. }| Queues { waiting, turns })
}

async fn buried() -> Narrowed<Home, Buried> {
    Narrowed::new(home().await, |Handles { waiting, turns, letters, .. }| Buried {
        queues: Queues { waiting, turns },
        letters,
    })
}

async fn bulletin() -> Narrowed<Home, Arc<dyn Bulletin>> {
    Narrowed::new(home().await, |handles| handles.bulletin)
}

async fn inbox() -> Narrowed<Home, Arc<dyn CallbackInbox>> {
    Narrowed::new(home().await, |handles| handles.inbox)
}

mod waiting_queue {
    sluice_core::waiting_conformance!(super::queues);
}
mod waiting_drains {
    sluice_core::drains_conformance!(super::queues);
}
mod turn_queue {
    sluice_core::turns_conformance!(super::queues);
}
mod dead_letters {
    sluice_core::letters_conformance!(super::buried);
}
mod callback_inbox {
    sluice_core::callbacks_conformance!(super::inbox);
}
mod bulletin_board {
    sluice_core::bulletin_conformance!(super::bulletin);
}
