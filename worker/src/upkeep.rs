//! Upkeep: reconciles every sale, one worker at a time for each, and lets idempotency keys grow old.
//!
//! The duty is there so that work is not done twice; nothing goes wrong if it is. The shop's goods are the shop's to count.

use std::{collections::HashMap, sync::Arc};

use sluice_core::{
    event::SettledBy,
    ids::SaleId,
    ports::{Duty, PortResult},
    reconcile::{Hand, Reconciler, Reconciliation},
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::{metrics, shared::Shared};

/// Sweeps of keys in a row.
const SWEEPS_MAX: u32 = 100;

/// Looks after everything until `shutdown`. What was begun is left as it is: all of it may be repeated.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let config = &shared.config;
    let mut reconcile = every(config.reconcile_interval);
    let mut sweep = every(config.keys_interval);
    let holder = holder(&shared);
    loop {
        let looked = tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            _ = reconcile.tick(), if config.settled_by == SettledBy::Worker => {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    done = reconcile_all(&shared, &holder) => done,
                }
            }
            _ = sweep.tick() => {
                tokio::select! {
                    biased;
                    () = shutdown.cancelled() => return,
                    done = sweep_keys(&shared) => done,
                }
            }
        };
        if let Err(error) = looked {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a store is away: the books are looked after later"
            );
        }
    }
}

/// Not at once: whoever speaks for a line warms its gate first.
fn every(period: std::time::Duration) -> Interval {
    let mut tick = interval_at(Instant::now() + period, period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// A name that no other process has.
fn holder(shared: &Shared) -> String {
    let bytes = shared.ports.random.bytes();
    let number: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("worker-{number}")
}

async fn reconcile_all(shared: &Shared, holder: &str) -> PortResult<()> {
    let (ports, config) = (&shared.ports, &shared.config);
    let reconciler = Reconciler {
        ledger: Arc::clone(&ports.ledger),
        gate: Arc::clone(&ports.gate),
        bulletin: Arc::clone(&ports.bulletin),
        clock: Arc::clone(&ports.clock),
        settings: config.reconcile.clone(),
    };
    let before = shared.once(ports.ledger.reconciliations()).await?;
    let before: HashMap<SaleId, Reconciliation> =
        before.into_iter().map(|found| (found.sale.clone(), found)).collect();
    for sale in shared.once(ports.ledger.sales()).await? {
        // Kept until after the next tick, so that the others leave the sale alone.
        let ttl = config.reconcile_interval * 2;
        let duty = ports.ledger.take_duty(&sale.id, Duty::Reconciliation, holder, ttl);
        if !shared.once(duty).await? {
            continue;
        }
        match reconciler.run(&sale, Hand::Continuous, before.get(&sale.id)).await {
            Ok(found) => metrics::reconciled(&found),
            Err(error) => tracing::warn!(
                sale = %sale.id,
                error = &error as &dyn std::error::Error,
                "a sale could not be reconciled; trying again at the next look"
            ),
        }
    }
    Ok(())
}

async fn sweep_keys(shared: &Shared) -> PortResult<()> {
    let most = shared.config.keys_max.max(1);
    for _ in 0..SWEEPS_MAX {
        let swept = shared.once(shared.ports.ledger.sweep_keys(most)).await?;
        if swept.archived.max(swept.dropped) < u64::from(most) {
            return Ok(());
        }
    }
    Ok(())
}
