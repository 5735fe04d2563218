//! What the bulletin is told: how the line stands, who was called, what became of the others.

use std::time::Duration;

use serde_json::json;
use sluice_core::{
    entry::{EntryState, Outcome},
    sale::SaleChange,
};
use tokio::time::{Instant, sleep};

use super::{workers::Workers, world::World};

#[tokio::test(start_paused = true)]
async fn reports_come_at_their_pace_and_count_up() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 100.0})).await;
    let ears = world.listen().await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    sleep(Duration::from_secs(10)).await;
    let idle = ears.reports();
    assert!((9..=15).contains(&idle.len()), "{} reports of an idle line", idle.len());
    world.crowd(1_000, &[("a", 1)]).await;
    sleep(Duration::from_secs(5)).await;
    let busy = ears.reports().len() - idle.len();
    assert!((45..=51).contains(&busy), "{busy} reports of a busy line");
    let reports = ears.reports();
    for (one, next) in reports.iter().zip(&reports[1..]) {
        assert!(one.1.version < next.1.version && one.1.epoch == next.1.epoch);
        assert!(one.1.cursor.serving <= next.1.cursor.serving);
        assert!(next.0.duration_since(one.0) <= Duration::from_millis(1_100));
    }
    let last = ears.last().unwrap();
    assert!((last.rate_per_second - 100.0).abs() < 1e-6, "{last:?}");
    assert!((last.rate_actual - 100.0).abs() < 5.0, "{last:?}");
    assert_eq!(last.turns, u64::try_from(world.log.count()).unwrap());
    assert_eq!(last.waiting, 1_000 - last.cursor.serving.0);
    let p50 = last.wait_p50_ms.unwrap();
    assert!((2_000..=3_000).contains(&p50), "{last:?}");
}

/// Who starts anew knows what the ledger has: it must be as much as anybody was shown.
#[tokio::test(start_paused = true)]
async fn nobody_is_told_more_than_the_ledger_knows() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 200.0})).await;
    let ears = world.listen().await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world.crowd(1_000, &[("a", 1)]).await;
    let mut seen = 0;
    for _ in 0..1_000 {
        sleep(Duration::from_millis(7)).await;
        let told = ears.last().map_or(0, |report| report.cursor.serving.0);
        let line = world.ports.line.snapshot(&world.sale).await.unwrap().cursor.serving.0;
        let ledger = world.ports.ledger.cursor(&world.sale).await.unwrap().serving.0;
        assert!(told.max(line) <= ledger, "told {told}, line {line}, ledger {ledger}");
        seen = seen.max(told);
    }
    assert_eq!(seen, 1_000, "the line moved meanwhile");
}

/// A crash may fall between the last acknowledgement and the cursor: nobody higher comes to show that a number is missing.
#[tokio::test(start_paused = true)]
async fn the_end_of_the_line_is_passed_though_its_message_is_gone() {
    let mut world = World::with(&[("a", 100)], json!({"ceiling_per_second": 100.0})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world.crowd(3, &[("a", 1)]).await;
    let gone = world.number(&[super::world::basket(&[("a", 1)])]).await;
    let last = gone[0].seq;
    world
        .until("the cursor passes it", async |world| {
            let snapshot = world.ports.line.snapshot(&world.sale).await.unwrap();
            snapshot.cursor.serving == last
        })
        .await;
    // One who comes after all is next.
    world.offer(&gone).await;
    world.until_released(4).await;
}

#[tokio::test(start_paused = true)]
async fn an_operators_change_is_told_at_once() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 100.0})).await;
    let ears = world.listen().await;
    let _running = world.dispatcher("one").await;
    sleep(Duration::from_millis(3_333)).await;
    let start = Instant::now();
    world.change(SaleChange::Pause).await;
    world
        .until("the new version is told", async |_| {
            ears.last().is_some_and(|report| report.sale_version.0 == 2)
        })
        .await;
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    assert!(ears.last().unwrap().rate_per_second.abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn everybody_hears_what_became_of_them() {
    let policy = json!({"fraction": 1.0, "tail_per_second": 50.0});
    let mut world = World::with(&[("a", 5)], policy).await;
    let ears = world.listen().await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Sell);
    let entries = world.crowd(20, &[("a", 1)]).await;
    world.until_all(&entries[5..], Outcome::SoldOut).await;
    sleep(Duration::from_secs(1)).await;
    let states = ears.states();
    for called in &entries[..5] {
        assert_eq!(states[&called.entry], [EntryState::Called]);
    }
    for passed in &entries[5..] {
        assert_eq!(states[&passed.entry], [EntryState::SoldOut]);
    }
    let untold = world.ports.ledger.untold(100).await.unwrap();
    let ours = untold.iter().filter(|record| record.outcome == Outcome::SoldOut).count();
    assert_eq!(ours, 0, "what was told is marked as told");
}

#[tokio::test(start_paused = true)]
async fn a_successors_reports_replace_the_old_ones() {
    let mut world = World::with(&[("a", 100_000)], json!({"ceiling_per_second": 100.0})).await;
    let ears = world.listen().await;
    world.workers(Workers::Swallow);
    let first = world.dispatcher("first").await;
    world.crowd(300, &[("a", 1)]).await;
    world.until_released(100).await;
    first.kill();
    let _second = world.dispatcher("second").await;
    world.until_released(300).await;
    sleep(Duration::from_secs(1)).await;
    let reports = ears.reports();
    assert!(reports[0].1.epoch < reports[reports.len() - 1].1.epoch);
    for (one, next) in reports.iter().zip(&reports[1..]) {
        let (one, next) = (&one.1, &next.1);
        assert!((one.epoch, one.version) < (next.epoch, next.version));
        assert!(one.cursor.serving <= next.cursor.serving, "never-backwards");
    }
}
