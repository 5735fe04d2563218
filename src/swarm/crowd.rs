//! The crowd: who comes when, and everything that was seen when all have gone.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use serde_json::json;
use sluice_core::random::Random;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    client::{Client, Target},
    manners::Manners,
    observer::{self, Sample},
    progress::Progress,
    record::Record,
    shopper::{self, Crowd, Habits},
};

/// A rehearsal, as planned.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) targets: Vec<Target>,
    pub(crate) sale: String,
    pub(crate) shoppers: u32,
    pub(crate) arrive_over: Duration,
    /// Share that waits by push.
    pub(crate) push: f64,
    /// What the served do with their orders.
    pub(crate) manners: Manners,
    pub(crate) sku: Option<String>,
    pub(crate) quantity: u32,
    pub(crate) seed: u64,
    /// How long nothing may happen to anybody before the rest is called off.
    pub(crate) patience: Duration,
}

/// Everything that was seen.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) records: Vec<Record>,
    /// What the public was told, over time.
    pub(crate) samples: Vec<Sample>,
    /// Before the first shopper came.
    pub(crate) before: Sample,
    pub(crate) sku: String,
    pub(crate) took: Duration,
    /// Whether the rest was called off because nothing happened any more.
    pub(crate) called_off: bool,
    /// Forged tokens that were tried, and those that were let through.
    pub(crate) forgeries: u32,
    pub(crate) forgeries_accepted: u32,
}

/// Sends the crowd and waits until the last has gone.
pub(crate) async fn run(plan: &Plan, progress: Arc<Progress>) -> anyhow::Result<Seen> {
    let client = Client::new(&plan.targets, plan.shoppers).await?;
    let watcher = Arc::new(Client::new(&plan.targets, 1).await?);
    let before = observer::look(&watcher, &plan.sale).await?;
    let sku = match &plan.sku {
        Some(sku) => sku.clone(),
        None => before.skus.first().context("the sale has no SKU")?.0.clone(),
    };
    ensure!(before.skus.iter().any(|(known, _)| *known == sku), "the sale has no SKU `{sku}`");
    let crowd = Arc::new(Crowd {
        client,
        sale: plan.sale.clone(),
        items: json!([{ "sku": sku, "quantity": plan.quantity }]),
        progress: Arc::clone(&progress),
        random: Random::seeded(plan.seed),
        began: Instant::now(),
        called_off: CancellationToken::new(),
    });
    let samples = Arc::new(Mutex::new(Vec::new()));
    let mut around = JoinSet::new();
    around.spawn(observer::watch(
        watcher,
        plan.sale.clone(),
        Arc::clone(&progress),
        Arc::clone(&samples),
    ));
    around.spawn(call_off_when_still(Arc::clone(&crowd), plan.patience + plan.arrive_over));
    let records = send(plan, &crowd).await;
    // One more look, so that the end is in the samples.
    sleep(Duration::from_millis(300)).await;
    around.shutdown().await;
    let (forgeries, forgeries_accepted) = super::judge::try_forgeries(&crowd, &records).await;
    let samples = std::mem::take(&mut *samples.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(Seen {
        records,
        samples,
        before,
        sku,
        took: crowd.began.elapsed(),
        called_off: crowd.called_off.is_cancelled(),
        forgeries,
        forgeries_accepted,
    })
}

/// Lets everybody in at their time, and collects what they saw.
async fn send(plan: &Plan, crowd: &Arc<Crowd>) -> Vec<Record> {
    let (random, manners) =
        (Random::seeded(plan.seed ^ 0x5eed), Random::seeded(plan.seed ^ 0x9a1d));
    let mut arrivals: Vec<Duration> =
        (0..plan.shoppers).map(|_| plan.arrive_over.mul_f64(random.unit())).collect();
    arrivals.sort_unstable();
    let mut visits = JoinSet::new();
    for (n, after) in (0..plan.shoppers).zip(arrivals) {
        let due = crowd.began + after;
        if Instant::now() < due {
            sleep_until(due).await;
        }
        let habits = Habits {
            n,
            pushes: random.unit() < plan.push,
            manner: plan.manners.draw(&manners),
            refunds: manners.unit() < plan.manners.refund,
            pay_within: plan.manners.pay_within,
        };
        visits.spawn(shopper::visit(Arc::clone(crowd), habits));
    }
    let mut records = Vec::with_capacity(plan.shoppers as usize);
    while let Some(visit) = visits.join_next().await {
        if let Ok(record) = visit {
            records.push(record);
        }
    }
    records
}

async fn call_off_when_still(crowd: Arc<Crowd>, patience: Duration) {
    let (mut pulse, mut since) = (0, Instant::now());
    loop {
        sleep(Duration::from_secs(1)).await;
        let now = crowd.progress.pulse();
        // Whoever lets time pass on purpose comes back.
        if now != pulse || crowd.progress.somebody_bides(Instant::now()) {
            (pulse, since) = (now, Instant::now());
        } else if since.elapsed() > patience {
            crowd.called_off.cancel();
            return;
        }
    }
}
