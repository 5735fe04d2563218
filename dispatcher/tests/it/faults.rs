//! A port fails: the line stands for a moment and goes on; other lines do not notice.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::json;
use sluice_core::{
    entry::Outcome,
    ids::SaleId,
    ports::{Author, Notice, WaitingQueue},
};
use tokio::time::{Instant, sleep};

use super::{workers::Workers, world::World};

#[tokio::test(start_paused = true)]
async fn a_lost_answer_repeats_turns_and_loses_none() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 200.0})).await;
    world.workers(Workers::Hold);
    let _running = world.dispatcher("one").await;
    let entries = world.crowd(300, &[("a", 1)]).await;
    for after in [3, 20, 9] {
        world.log.lose_answer_in(after);
        sleep(Duration::from_millis(300)).await;
    }
    world.until_all(&entries, Outcome::Reserved).await;
    assert!(world.log.count() >= 300);
    assert!(world.log.first_numbers().is_sorted());
}

#[tokio::test(start_paused = true)]
async fn a_refused_release_is_released_again() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 200.0})).await;
    world.workers(Workers::Hold);
    let _running = world.dispatcher("one").await;
    let entries = world.crowd(300, &[("a", 1)]).await;
    for after in [2, 15, 7] {
        world.log.refuse_in(after);
        sleep(Duration::from_millis(300)).await;
    }
    world.until_all(&entries, Outcome::Reserved).await;
    assert_eq!(world.log.first_releases().len(), 300);
}

#[tokio::test(start_paused = true)]
async fn every_message_is_acknowledged_at_the_latest_on_stopping() {
    let mut world = World::with(&[("a", 100_000)], json!({})).await;
    world.workers(Workers::Swallow);
    let running = world.dispatcher("one").await;
    world.crowd(640, &[("a", 1)]).await;
    world.until_released(640).await;
    world.until_nothing_is_left(&running).await;
}

/// A queue that cannot be drained for one sale.
#[derive(Debug)]
struct Broken {
    queue: Arc<dyn WaitingQueue>,
    sale: SaleId,
}

#[async_trait::async_trait]
impl WaitingQueue for Broken {
    async fn declare(&self, sale: &SaleId) -> sluice_core::ports::PortResult<()> {
        self.queue.declare(sale).await
    }

    async fn offer(
        &self,
        sale: &SaleId,
        entries: Vec<sluice_core::line::LineEntry>,
    ) -> sluice_core::ports::PortResult<()> {
        self.queue.offer(sale, entries).await
    }

    async fn drain(
        &self,
        sale: &SaleId,
    ) -> sluice_core::ports::PortResult<sluice_core::ports::Drain> {
        if *sale == self.sale {
            return Err(sluice_core::ports::PortError::unavailable("broken"));
        }
        self.queue.drain(sale).await
    }

    async fn remove(&self, sale: &SaleId) -> sluice_core::ports::PortResult<()> {
        self.queue.remove(sale).await
    }
}

#[tokio::test(start_paused = true)]
async fn one_broken_line_does_not_stop_the_others() {
    let mut world = World::with(&[("a", 100_000)], json!({})).await;
    world.workers(Workers::Swallow);
    let other = SaleId::new("other").unwrap();
    world.create(other.clone(), &[("a", 10)], json!({}), None).await;
    let mut ports = world.ports.clone();
    ports.waiting = Arc::new(Broken { queue: Arc::clone(&ports.waiting), sale: other });
    let _running = world.dispatcher_with(World::config("one"), ports);
    world
        .until("the line is warm", async |world| {
            world.ports.line.snapshot(&world.sale).await.is_ok()
        })
        .await;
    world.crowd(500, &[("a", 1)]).await;
    let start = Instant::now();
    world.until_released(500).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_sale_made_later_is_found_and_a_deleted_one_is_let_go() {
    let mut world = World::with(&[("a", 10)], json!({})).await;
    let _running = world.dispatcher("one").await;
    let late = SaleId::new("late").unwrap();
    world.create(late.clone(), &[("a", 10)], json!({}), None).await;
    world
        .until("the new sale is warm", async |world| {
            world.ports.line.snapshot(&SaleId::new("late").unwrap()).await.is_ok()
        })
        .await;
    let author = Author { name: "test".into(), address: None };
    world.ports.ledger.delete_sale(&late, &author, None).await.unwrap();
    world.ports.bulletin.publish(Notice::SaleDeleted { sale: late.clone() }).await.unwrap();
    // Its queue is free again.
    let drain = tokio::time::timeout(Duration::from_secs(10), world.ports.waiting.drain(&late));
    assert!(drain.await.is_ok_and(|drain| drain.is_ok()), "the queue of a deleted sale is held");
}

#[tokio::test(start_paused = true)]
async fn a_small_window_takes_a_long_line_through() {
    let mut world = World::with(&[("a", 100_000)], json!({})).await;
    world.workers(Workers::Swallow);
    let mut config = World::config("one");
    config.window_entries_max = 100;
    let ports = world.ports.clone();
    let _running = world.dispatcher_with(config, ports);
    world
        .until("the line is warm", async |world| {
            world.ports.line.snapshot(&world.sale).await.is_ok()
        })
        .await;
    let entries = world.crowd(3_000, &[("a", 1)]).await;
    world.until_released(entries.len()).await;
    assert!(world.log.first_numbers().is_sorted());
    let distinct: HashSet<u64> = world.log.first_numbers().into_iter().collect();
    assert_eq!(distinct.len(), world.log.count(), "twins need no more memory than this");
}
