//! The simulator: whole sales on paused time, with crashes, lost answers, repeats and slow stores drawn from a seed.
//!
//! One seed is one crowd and one set of faults. Faults stop after a minute of virtual time; then everything must drain. Each kind of sabotage shows
//! that the checker can see what it looks for. A seed that ever failed is kept in `KEPT`.

mod buyer;
mod decorated;
mod faults;
mod history;
mod queues;
mod world;

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::json;
use sluice_core::random::Random;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    buyer::{Buyer, Habit},
    faults::{Chances, Faults, Sabotage},
    history::Story,
    world::World,
};

const SEEDS: std::ops::Range<u64> = 0..100;
/// Seeds that failed once and are among `SEEDS` or added here, so that they are never lost.
const KEPT: &[u64] = &[10, 13];
/// Turns per second.
const CEILING: f64 = 20.0;
const FAULTS_FOR: Duration = Duration::from_secs(60);
/// Once nothing goes wrong any more, everything must be over within this.
const DRAINED_WITHIN: Duration = Duration::from_secs(600);

/// What a process can meet, with answers lost as stores across a network lose them.
const HARSH: Chances = Chances { crash: 0.002, lost: 0.02, slow: 0.05, twice: 0.05, unheard: 0.1 };
const CALM: Chances = Chances { crash: 0.0, lost: 0.0, slow: 0.0, twice: 0.0, unheard: 0.0 };

struct Run {
    broken: Vec<String>,
    crashes: u64,
    reserved: usize,
    /// The same for two runs in which the same things happened at the same times.
    fingerprint: u64,
    /// How the stores stood at the end.
    end: String,
}

/// One whole sale.
fn run(seed: u64, chances: Chances, sabotage: Sabotage) -> Run {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let folder = in_memory_folder();
        let faults = Arc::new(Faults::new(seed, chances, sabotage));
        let mut world = World::new(folder.path().join("sim.sqlite"), seed, Arc::clone(&faults));
        let plan = Random::seeded(seed ^ 0x9ea);
        let (stock, n_buyers) = (20 + plan.below(40), 40 + u32::try_from(plan.below(40)).unwrap());
        // In every other sale most of the crowd comes beyond the cap, and stands by.
        let line_cap = if seed.is_multiple_of(2) { 50_000 } else { 1 + Random::seeded(seed).below(20) };
        let sale = json!({
            "id": "sim",
            "skus": [{ "sku": "standard", "stock": stock, "amount_fen": 100, "currency": "CNY" }],
            "policy": {
                "fraction": 1, "ceiling_per_second": CEILING, "tail_per_second": CEILING,
                "payment_window_seconds": 30, "expire_silent_after_seconds": 0, "line_cap": line_cap,
            },
        });
        world.open_sale(serde_json::from_value(sale).unwrap()).await;
        let diaries: Vec<Arc<Mutex<Story>>> = (0..n_buyers).map(|_| Arc::default()).collect();
        let buyers = send_buyers(&world, &diaries, &plan);
        let over = CancellationToken::new();
        faults.turn(true);
        let calm = async {
            sleep(FAULTS_FOR).await;
            faults.turn(false);
        };
        let collected = async {
            tokio::join!(wait_for(buyers), calm);
            // What was let lapse must have come back before the books are read.
            sleep(Duration::from_secs(45)).await;
            over.cancel();
        };
        tokio::join!(collected, world.live(over.clone()));
        let stories: Vec<Story> =
            diaries.iter().map(|diary| diary.lock().unwrap().clone()).collect();
        let balances = world.balances().await;
        let broken = world.history.judge(&stories, &balances, CEILING);
        let reserved =
            stories.iter().filter(|story| story.outcome.as_deref() == Some("reserved")).count();
        let mut fingerprint = DefaultHasher::new();
        (format!("{stories:?}"), world.history.trace()).hash(&mut fingerprint);
        Run {
            broken,
            crashes: world.crashes(),
            reserved,
            fingerprint: fingerprint.finish(),
            end: std::mem::take(&mut world.end),
        }
    })
}

/// On a file system in memory where there is one: thousands of commits, and power does not fail here.
fn in_memory_folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn send_buyers(world: &World, diaries: &[Arc<Mutex<Story>>], plan: &Random) -> JoinSet<()> {
    let mut buyers = JoinSet::new();
    for (n, diary) in (0..).zip(diaries) {
        let habit = match plan.below(10) {
            0 => Habit::Leaves,
            1 => Habit::Cancels,
            2 => Habit::Dawdles,
            3 => Habit::Repeats,
            _ => Habit::Pays,
        };
        let after = Duration::from_millis(plan.below(15_000));
        let buyer = Buyer {
            n,
            habit,
            door: Arc::clone(&world.door),
            history: Arc::clone(&world.history),
            random: Arc::new(Random::seeded(plan.below(u64::MAX))),
            story: Story::default(),
            diary: Arc::clone(diary),
            token: String::new(),
        };
        buyers.spawn(async move {
            sleep(after).await;
            buyer.visit().await
        });
    }
    buyers
}

/// Until everybody has gone home, or the time is up: the judge misses who is not done.
async fn wait_for(mut buyers: JoinSet<()>) {
    let all = async {
        while let Some(visit) = buyers.join_next().await {
            visit.unwrap();
        }
    };
    let _ = timeout(FAULTS_FOR + DRAINED_WITHIN, all).await;
}

#[test]
fn a_calm_sale_keeps_every_promise() {
    let run = run(7, CALM, Sabotage::None);
    assert!(run.broken.is_empty(), "{:#?}", run.broken);
    assert!(run.reserved >= 20);
    assert_eq!(run.crashes, 0);
}

/// One seed by itself, to look into it: `SIM_SEED=7 cargo test --test it sim::one_seed`.
#[test]
#[expect(clippy::print_stdout, reason = "two runs of a seed can be compared")]
fn one_seed() {
    #[expect(clippy::disallowed_methods, reason = "for whoever looks into a seed")]
    let seed = std::env::var("SIM_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let run = run(seed, HARSH, Sabotage::None);
    println!("seed {seed} went as {:016x}", run.fingerprint);
    assert!(run.broken.is_empty(), "seed {seed}: {:#?}\nat the end: {}", run.broken, run.end);
}

/// Otherwise a seed that failed could not be looked into.
#[test]
fn a_seed_goes_the_same_way_every_time() {
    for seed in 0..3 {
        let runs = [(); 3].map(|()| run(seed, HARSH, Sabotage::None));
        let first = runs[0].fingerprint;
        assert!(runs.iter().all(|run| run.fingerprint == first), "seed {seed} went several ways");
    }
}

#[test]
fn a_hundred_seeds_keep_every_promise() {
    let next = Mutex::new(SEEDS.chain(KEPT.iter().copied()));
    let runs = Mutex::new(Vec::new());
    let work = || {
        loop {
            let Some(seed) = next.lock().unwrap().next() else { return };
            let run = run(seed, HARSH, Sabotage::None);
            runs.lock().unwrap().push((seed, run));
        }
    };
    // Each world is single-threaded; as many at a time as there are processors.
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let runs = runs.into_inner().unwrap();
    let failed: Vec<_> = runs
        .iter()
        .filter(|(_, run)| !run.broken.is_empty())
        .map(|(seed, run)| (seed, &run.broken))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
    let crashes: u64 = runs.iter().map(|(_, run)| run.crashes).sum();
    assert!(crashes > SEEDS.end, "the seeds must crash more often than not: {crashes}");
}

#[test]
fn a_forgotten_offer_is_noticed() {
    is_noticed(Sabotage::ForgottenOffers, "no-lost-place");
}

#[test]
fn a_forgotten_turn_is_noticed() {
    is_noticed(Sabotage::ForgottenTurns, "no-lost-place");
}

#[test]
fn a_shuffled_line_is_noticed() {
    is_noticed(Sabotage::Shuffled, "in-order");
}

#[test]
fn books_that_do_not_add_up_are_noticed() {
    is_noticed(Sabotage::Oversold, "no-oversell");
}

/// Within a few seeds the broken promise shows, by name.
#[track_caller]
fn is_noticed(sabotage: Sabotage, promise: &str) {
    let noticed = (0..10)
        .any(|seed| run(seed, CALM, sabotage).broken.iter().any(|what| what.contains(promise)));
    assert!(noticed, "{sabotage:?} went unnoticed");
}
