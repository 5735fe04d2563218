//! Sees orders through: closes those whose deadline has passed or whose buyer cancelled, fulfils those that are paid, ends changes,
//! finishes what a crash left half done. One loop finds them; [`finish`](crate::finish) takes the steps.

use std::{sync::Arc, time::Duration};

use sluice_core::{
    ids::OrderId,
    order::{Order, OrderState},
    ports::PortResult,
};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    agenda::{Agenda, until},
    backoff::Backoff,
    finish::{Finished, finish},
    shared::Shared,
};

const PAUSE: Backoff = Backoff { first: Duration::from_millis(500), most: Duration::from_secs(8) };

/// Sweeps until `shutdown`; steps under way are finished, the rest is found again by anybody.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut handed: mpsc::Receiver<Order>,
    shutdown: CancellationToken,
) {
    let (config, ledger) = (&shared.config, &shared.ports.ledger);
    let mut agenda = Agenda::new(config.agenda_max.max(1));
    let mut tasks: JoinSet<(OrderId, u32, Finished)> = JoinSet::new();
    let mut deadlines = every(config.sweep_interval);
    let mut closing = every(config.closing_interval);
    let mut left_behind = every(config.idle_after);
    loop {
        let room = tasks.len() < config.finishing_max.max(1);
        let found = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            _ = deadlines.tick() => passed(&shared).await,
            _ = closing.tick() => shared.once(ledger.begun(config.sweep_max)).await,
            _ = left_behind.tick() => {
                shared.once(ledger.unfinished(config.idle_after, config.sweep_max)).await
            }
            Some(ended) = tasks.join_next() => {
                let Ok((order, tries, finished)) = ended else {
                    tracing::error!("a step of an order ended in a panic: the sweeper ends");
                    shutdown.cancel();
                    break;
                };
                match finished {
                    Finished::Done => agenda.done(order),
                    Finished::Later => {
                        agenda.again(order, Instant::now() + PAUSE.after(tries, &shared.ports.random));
                    }
                }
                Ok(Vec::new())
            }
            () = until(agenda.wakes_at()), if room => Ok(Vec::new()),
            Some(order) = handed.recv() => Ok(vec![order]),
        };
        match found {
            Ok(orders) => {
                for order in orders {
                    if begun_elsewhere(order.state) {
                        agenda.add_pressing(order.id, order, Instant::now());
                    } else {
                        agenda.add(order.id, order, Instant::now());
                    }
                }
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the ledger is away: orders to close or fulfil are looked for later"
            ),
        }
        while tasks.len() < config.finishing_max.max(1)
            && let Some(due) = agenda.next_due(Instant::now())
        {
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                let finished = finish(&shared, due.value, due.since, due.tries).await;
                (due.key, due.tries, finished)
            });
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// What a request may have begun at another process, for anybody to see through at once.
fn begun_elsewhere(state: OrderState) -> bool {
    matches!(state, OrderState::Closing | OrderState::Changing)
}

fn every(period: Duration) -> Interval {
    let mut tick = interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Moves orders past their deadline to `closing` and answers them.
async fn passed(shared: &Shared) -> PortResult<Vec<Order>> {
    let orders = shared.once(shared.ports.ledger.sweep_deadlines(shared.config.sweep_max)).await?;
    for order in &orders {
        shared.entered(order, None);
    }
    Ok(orders)
}
