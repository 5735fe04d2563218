//! A speaker that was frozen while another took over. It cannot release: its releases leave through the channel by which
//! it had the queue.

use std::{sync::Arc, time::Duration};

use lapin::BasicProperties;
use sluice_backends::{
    clock::SystemClock,
    rabbitmq::{RabbitmqOptions, open},
};
use sluice_core::ports::{PortError, conformance::House as _};
use tokio::task::JoinSet;

use crate::{alone, drop_sale, entry, home, proxy::Proxy, raw::Raw, server, soon, timed, turn};

#[tokio::test(flavor = "multi_thread")]
async fn a_zombie_cannot_release_after_the_takeover() {
    let _alone = alone().await;
    let home = home().await;
    let (ports, sale) = (home.port(), drop_sale());
    ports.waiting.declare(&sale).await.unwrap();
    ports.waiting.offer(&sale, vec![entry(1)]).await.unwrap();

    let proxy = Proxy::before(server().await.address()).await;
    let options = RabbitmqOptions {
        urls: vec![proxy.url(&home.url())],
        heartbeat_seconds: 2,
        ..home.options()
    };
    let zombie = open(options, Arc::new(SystemClock)).await.unwrap();
    let waiting = zombie.waiting();
    let mut old = soon("the first drain", waiting.drain(&sale)).await.unwrap();
    let held = soon("a message", old.intake.next()).await.unwrap();
    old.outlet.release(vec![turn(1)]).await.unwrap();
    // A connection of its own, past the proxy: the careless form.
    let aside = Raw::connect(&home.url()).await;

    proxy.freeze();
    let (outlet, mut begun) = (Arc::clone(&old.outlet), JoinSet::new());
    begun.spawn(async move { outlet.release(vec![turn(2)]).await });
    let (mut successor, took) =
        timed(soon("the successor's drain", ports.waiting.drain(&sale))).await;
    let successor = successor.as_mut().unwrap();
    assert!(took < Duration::from_secs(15), "taken over within {took:?}");
    let again = soon("the message", successor.intake.next()).await.unwrap();
    assert_eq!(again.entries, held.entries, "it was never acknowledged");

    proxy.thaw();
    assert!(soon("an answer", begun.join_next()).await.unwrap().unwrap().is_err());
    let late = soon("an answer", old.outlet.release(vec![turn(3)])).await;
    assert!(matches!(late, Err(PortError::Unavailable(_) | PortError::Fenced)), "{late:?}");
    assert!(soon("an answer", old.outlet.ack(&[held.tag])).await.is_err());
    assert!(old.intake.next().await.is_err());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(aside.ready("sluice.turns").await, 1, "only what left before the freeze");

    // On a connection of its own nothing would have stopped it.
    let body = turn(4).to_json().unwrap();
    aside.publish("sluice.turns", "sluice.turns", &body, BasicProperties::default()).await;
    assert_eq!(aside.ready("sluice.turns").await, 2, "released, long after the takeover");
    successor.outlet.ack(&[again.tag]).await.unwrap();
    aside.close().await;
}
