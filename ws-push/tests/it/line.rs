//! The `line` frame: the same bytes for everybody, not too often, not too seldom.

use std::time::Duration;

use sluice_core::{clock::Clock, ids::SaleId, policy::PolicyPatch, sale::SaleChange};
use sluice_ws_push::Config;
use tokio::time::Instant;

use crate::{
    client::{Client, Raw},
    world::{World, eventually, quick},
};

/// The texts of the `line` frames a client hears until one shows `serving`.
async fn hear_until(client: &mut Client, serving: u64) -> Vec<String> {
    let mut texts = Vec::new();
    loop {
        let (frame, text) = client.frame().await;
        if frame["type"] == "line" {
            texts.push(text);
            if frame["serving"] == serving {
                return texts;
            }
        }
    }
}

#[tokio::test]
async fn everybody_hears_the_very_same_bytes() {
    let mut world = World::start(quick()).await;
    let mut clients = Vec::new();
    for seq in 100..120 {
        let mut client = world.connect(&world.claims(seq)).await;
        client.next_of("line").await;
        clients.push(client);
    }
    let path = format!("/v1/sales/demo/events?ticket={}", world.ticket(&world.claims(7)));
    let mut stream = Raw::get(world.address, &path, &[]).await;
    stream.until("event: line").await;
    world.serve(42);
    stream.until(r#""serving":42"#).await;
    let mut texts = Vec::new();
    for client in &mut clients {
        texts.push(hear_until(client, 42).await.pop().unwrap());
    }
    assert!(texts.iter().all(|text| *text == texts[0]), "{texts:#?}");
    assert!(stream.text.contains(&texts[0]), "the stream carries the same text");
}

#[tokio::test]
async fn a_burst_of_changes_is_merged_and_the_last_one_wins() {
    let interval = Duration::from_millis(100);
    let mut world = World::start(Config { line_interval_ms: 100, ..quick() }).await;
    let since = Instant::now();
    let mut client = world.connect(&world.claims(5_000)).await;
    client.next_of("line").await;
    for serving in 1..=500 {
        world.serve(serving);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let heard = hear_until(&mut client, 500).await.len();
    let allowed = 2 + since.elapsed().as_millis() / interval.as_millis();
    assert!(heard as u128 <= allowed, "{heard} frames where {allowed} are allowed");
    assert!(heard > 1, "changes are told while they happen");
}

#[tokio::test]
async fn a_silent_line_is_told_again_after_the_idle_time() {
    let world = World::start(Config { line_idle_ms: 50, ..quick() }).await;
    let mut client = world.connect(&world.claims(5)).await;
    // Nothing changes but the time.
    let mut times = vec![client.next_of("line").await["at"].clone()];
    while times.len() < 3 {
        world.clock.advance(Duration::from_secs(1));
        let now = world.clock.now().to_string();
        loop {
            let line = client.next_of("line").await;
            assert_eq!(line["serving"], 0);
            if line["at"] == now {
                times.push(line["at"].clone());
                break;
            }
        }
    }
}

/// Reports that say the same are no change, but they must not keep the line silent either.
#[tokio::test]
async fn repeated_reports_neither_flood_nor_silence_the_line() {
    let idle = Duration::from_millis(200);
    let mut world = World::start(Config { line_idle_ms: 200, ..quick() }).await;
    world.serve(7);
    let since = Instant::now();
    let mut client = world.connect(&world.claims(500)).await;
    let mut heard = 0;
    while heard < 4 {
        world.serve(7);
        let more = client.next_of("line");
        if tokio::time::timeout(Duration::from_millis(10), more).await.is_ok() {
            heard += 1;
        }
        assert!(since.elapsed() < crate::world::DEADLINE, "the line fell silent");
    }
    let allowed = 2 + since.elapsed().as_millis() / idle.as_millis();
    assert!(heard <= allowed, "{heard} frames where {allowed} are allowed");
}

#[tokio::test]
async fn a_change_of_the_sale_is_told() {
    let world = World::start(quick()).await;
    let mut client = world.connect(&world.claims(5)).await;
    let line = client.next_of("line").await;
    assert_eq!((line["state"].clone(), line["policy_version"].clone()), ("open".into(), 1.into()));
    world.change(&SaleChange::Pause);
    let line = client.next_of("line").await;
    assert_eq!(
        (line["state"].clone(), line["policy_version"].clone()),
        ("paused".into(), 2.into())
    );
    let notice = [("en".to_owned(), "back in ten minutes".to_owned())].into();
    world.change(&SaleChange::Notice(Some(notice)));
    assert_eq!(client.next_of("line").await["notice"]["en"], "back in ten minutes");
}

/// The sweep by time is ten minutes away, and a patient sale's minutes.
#[tokio::test]
async fn a_sale_of_little_patience_hears_sooner_who_is_there() {
    for is_patient_at_first in [false, true] {
        let config = Config { shards: 1, sweep_interval_ms: 600_000, ..quick() };
        let world = World::start(config).await;
        let patience = |seconds| {
            SaleChange::Policy(PolicyPatch {
                expire_silent_after_seconds: Some(seconds),
                ..PolicyPatch::default()
            })
        };
        world.change(&patience(if is_patient_at_first { 900 } else { 1 }));
        let claims = world.claims(5);
        let mut client = world.connect(&claims).await;
        client.next_of("entry").await;
        world.change(&patience(1));
        world.clock.advance(Duration::from_millis(900));
        eventually("the line hears who is there", || world.stores.seen().contains(&claims.entry))
            .await;
    }
}

#[tokio::test]
async fn a_deleted_sale_is_the_end() {
    let world = World::start(quick()).await;
    let mut client = world.connect(&world.claims(5)).await;
    client.next_of("line").await;
    world.directory.forget(&SaleId::new("demo").unwrap());
    assert_eq!(client.close_code().await, 4410);
}
