//! on-rate: turns follow the law's integral, from below, whatever is done to the line.

use std::time::Duration;

use serde_json::json;
use sluice_core::{
    entry::Outcome,
    law::{RateLaw, exact},
    sale::SaleChange,
};
use tokio::time::{Instant, sleep};

use super::{tap::Release, workers::Workers, world::World};

pub(super) const LAW: RateLaw =
    RateLaw { fraction: 0.02, ceiling: 2000.0, tail: 0.0, multiplier: 1.0 };

/// The most by which any window's turns exceed the law's integral over it, with `stock` units to begin with and one unit
/// a turn. A bucket that leaks at the law's rate and never goes below empty holds just that.
pub(super) fn worst_excess(law: RateLaw, stock: u64, releases: &[Release]) -> f64 {
    let (mut excess, mut worst, mut left) = (0.0_f64, 0.0_f64, stock);
    let mut at: Option<Instant> = None;
    for release in releases {
        let elapsed = at.map_or(Duration::ZERO, |at| release.at.duration_since(at));
        excess = (excess - law.rate(left) * elapsed.as_secs_f64()).max(0.0) + 1.0;
        worst = worst.max(excess);
        left = left.saturating_sub(1);
        at = Some(release.at);
    }
    worst
}

/// One tick's worth and the fraction.
pub(super) fn tick(law: RateLaw, stock: u64) -> f64 {
    law.rate(stock) * 0.010 + 1.0 + 1e-6
}

#[tokio::test(start_paused = true)]
async fn the_judge_of_the_pace_sees_a_burst() {
    let mut world = World::with(&[("a", 100_000)], json!({})).await;
    let _running = world.dispatcher("one").await;
    world.crowd(500, &[("a", 1)]).await;
    world.until_released(500).await;
    let mut releases = world.log.releases();
    let honest = worst_excess(LAW, 100_000, &releases);
    assert!(honest <= tick(LAW, 100_000), "{honest}");
    // The same turns, a tenth of them a quarter second late and all at once.
    let late = releases[50].at + Duration::from_millis(250);
    for release in &mut releases {
        release.at = release.at.max(late);
    }
    assert!(worst_excess(LAW, 100_000, &releases) > tick(LAW, 100_000) * 2.0);
}

#[tokio::test(start_paused = true)]
async fn the_line_follows_the_laws_integral() {
    let stock = 20_000;
    let mut world = World::with(&[("a", stock)], json!({})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world.crowd(18_000, &[("a", 1)]).await;
    let start = Instant::now();
    for seconds in [5_u32, 15, 30, 60] {
        sleep((start + Duration::from_secs(seconds.into())).duration_since(Instant::now())).await;
        let released = exact(u64::try_from(world.log.count()).unwrap());
        let integral = exact(stock) * (1.0 - (-0.02 * f64::from(seconds)).exp());
        assert!(
            (released - integral).abs() <= 0.02 * integral,
            "after {seconds} s: {released} of {integral}"
        );
    }
    let worst = worst_excess(LAW, stock, &world.log.releases());
    assert!(worst <= tick(LAW, stock), "{worst}");
}

#[tokio::test(start_paused = true)]
async fn the_ceiling_is_reached_and_kept() {
    let mut world = World::with(&[("a", 1_000_000)], json!({})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world.crowd(21_000, &[("a", 1)]).await;
    let before = world.log.count();
    sleep(Duration::from_secs(10)).await;
    let released = world.log.count() - before;
    assert!((19_600..=20_021).contains(&released), "{released}");
    let worst = worst_excess(LAW, 1_000_000, &world.log.releases());
    assert!(worst <= tick(LAW, 1_000_000), "{worst}");
}

#[tokio::test(start_paused = true)]
async fn a_stock_of_sixty_sells_to_the_last_unit_and_the_rest_hear_it() {
    let mut world = World::with(&[("a", 60)], json!({})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Sell);
    let entries = world.crowd(80, &[("a", 1)]).await;
    let (buyers, rest) = entries.split_at(60);
    let start = Instant::now();
    world.until_all(buyers, Outcome::Reserved).await;
    let seconds = start.elapsed().as_secs();
    // The sum of 50 ÷ r for r from 60 to 1.
    assert!((229..=240).contains(&seconds), "{seconds}");
    let sold = Instant::now();
    world.until_all(rest, Outcome::SoldOut).await;
    assert!(sold.elapsed() < Duration::from_secs(2), "{:?}", sold.elapsed());
    assert_eq!(world.log.first_releases().len(), 60, "nobody is called for nothing");
}

#[tokio::test(start_paused = true)]
async fn neither_a_pause_nor_a_standing_line_saves_credit() {
    let stock = 100_000;
    let mut world = World::with(&[("a", stock)], json!({})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world.crowd(10_000, &[("a", 1)]).await;
    world.until_released(100).await;
    world.change(SaleChange::Pause).await;
    sleep(Duration::from_millis(250)).await;
    let paused = world.log.count();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.log.count(), paused, "paused");
    world.change(SaleChange::Resume).await;
    world.until_released(paused + 400).await;
    world.tune(json!({"multiplier": 0.0})).await;
    sleep(Duration::from_millis(250)).await;
    let stopped = world.log.count();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.log.count(), stopped, "slowed to nothing");
    world.tune(json!({"multiplier": 1.0})).await;
    world.until_released(stopped + 400).await;
    world.change(SaleChange::Freeze).await;
    sleep(Duration::from_millis(250)).await;
    let frozen = world.log.count();
    sleep(Duration::from_secs(30)).await;
    assert_eq!(world.log.count(), frozen, "frozen");
    world.change(SaleChange::Resume).await;
    world.until_released(frozen + 400).await;
    let worst = worst_excess(LAW, stock, &world.log.releases());
    assert!(worst <= tick(LAW, stock), "{worst}");
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_saves_one_tick_of_credit() {
    let stock = 100_000;
    let mut world = World::with(&[("a", stock)], json!({})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    sleep(Duration::from_secs(60)).await;
    world.crowd(2_000, &[("a", 1)]).await;
    world.until_released(2_000).await;
    let worst = worst_excess(LAW, stock, &world.log.releases());
    assert!(worst <= tick(LAW, stock), "{worst}");
    assert!(worst > 1.5, "the tap must be able to see a burst: {worst}");
}

#[tokio::test(start_paused = true)]
async fn a_policy_bites_within_a_quarter_second() {
    let mut world = World::with(&[("a", 1_000_000)], json!({"multiplier": 0.0})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world.crowd(5_000, &[("a", 1)]).await;
    sleep(Duration::from_secs(3)).await;
    assert_eq!(world.log.count(), 0);
    world.tune(json!({"multiplier": 1.0})).await;
    sleep(Duration::from_millis(250)).await;
    let released = world.log.count();
    assert!(released > 400, "{released}");
    world.tune(json!({"ceiling_per_second": 10.0})).await;
    sleep(Duration::from_millis(50)).await;
    let before = world.log.count();
    sleep(Duration::from_secs(2)).await;
    let slowed = world.log.count() - before;
    assert!((19..=21).contains(&slowed), "{slowed}");
}

#[tokio::test(start_paused = true)]
async fn a_change_the_bulletin_lost_is_read_again() {
    let mut world = World::with(&[("a", 1_000_000)], json!({"multiplier": 0.0})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world.crowd(100, &[("a", 1)]).await;
    let author = sluice_core::ports::Author { name: "test".into(), address: None };
    let patch = serde_json::from_value(json!({"multiplier": 1.0})).unwrap();
    let change = SaleChange::Policy(patch);
    world.ports.ledger.change_sale(&world.sale, None, change, &author, None).await.unwrap();
    let start = Instant::now();
    world.until_released(100).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_long_turn_queue_closes_the_tap_and_opens_it_again() {
    let mut world = World::with(&[("a", 1_000_000)], json!({})).await;
    let _running = world.dispatcher("one").await;
    let everybody = world.crowd(12_000, &[("a", 1)]).await.len();
    sleep(Duration::from_secs(60)).await;
    let stuck = world.log.count();
    // 2 s of the law's rate is free, twice that is the end, and the depth is looked at each quarter second.
    assert!((4_000..=8_500).contains(&stuck), "{stuck}");
    let before = world.log.count();
    sleep(Duration::from_secs(10)).await;
    assert!(world.log.count() - before < 10, "the tap is closed");
    world.workers(Workers::Swallow);
    world.until_released(everybody).await;
    let worst = worst_excess(LAW, 1_000_000, &world.log.releases());
    assert!(worst <= tick(LAW, 1_000_000), "{worst}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_broker_costs_no_pace_while_releases_overlap() {
    let mut world = World::with(&[("a", 1_000_000)], json!({"ceiling_per_second": 1000.0})).await;
    let _running = world.dispatcher("one").await;
    world.workers(Workers::Swallow);
    world.log.delay(Duration::from_millis(40));
    world.crowd(12_000, &[("a", 1)]).await;
    sleep(Duration::from_secs(1)).await;
    let before = world.log.count();
    sleep(Duration::from_secs(5)).await;
    let released = world.log.count() - before;
    assert!((4_900..=5_020).contains(&released), "{released}");
    assert!(world.log.first_numbers().is_sorted(), "overlapping releases keep their order");
}
