//! The shop's silence: turns that were left to its own order backend, and of which it has said nothing in time, are released
//! again; one that was released too often is buried for an operator. Its word still counts whenever it comes.
//!
//! A turn that lies in the queue is nobody's silence: those that were released last, as many as lie there, are left alone.
//! So a backend that is away finds its turns as it left them, and not eight times over.

use std::sync::Arc;

use sluice_core::{
    event::Turn,
    ids::{HoldId, SaleId},
    ports::{HoldUpdate, PortError, PortResult, Want},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::{metrics, shared::Shared};

/// Listens for it until `shutdown`.
pub(crate) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut tick = interval(shared.config.silence_interval);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = tick.tick() => {}
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            looked = look(&shared) => if let Err(error) = looked {
                tracing::warn!(error = &error as &dyn std::error::Error,
                    "a store is away: turns that the shop says nothing about are looked for later");
            }
        }
    }
}

async fn look(shared: &Shared) -> PortResult<()> {
    let ports = &shared.ports;
    let mut queued = shared.once(ports.turns.depths()).await?.turns;
    let most = shared.config.silence_max.max(1);
    for sale in shared.once(ports.ledger.sales()).await? {
        loop {
            let silence = sale.policy.outcome_timeout();
            let unheard = ports.ledger.unheard(&sale.id, silence, queued, most);
            let turns = shared.once(unheard).await?;
            let found = turns.len();
            let releases_max = shared.config.silence_releases_max;
            let (again, over): (Vec<Turn>, Vec<Turn>) =
                turns.into_iter().partition(|turn| turn.attempt <= releases_max);
            if !again.is_empty() {
                tracing::warn!(sale = %sale.id, turns = again.len(),
                    "the shop said nothing about these turns in time: they are released again");
                shared.ask(|| ports.turns.release_again(&again)).await?;
                metrics::released_again(&sale.id, again.len());
                queued = queued.saturating_add(again.len() as u64);
            }
            for turn in over {
                bury(shared, &sale.id, &turn).await?;
            }
            if found < most as usize {
                break;
            }
        }
    }
    Ok(())
}

/// Buried first, noted second: a crash between the two buries it twice, and never forgets it.
async fn bury(shared: &Shared, sale: &SaleId, turn: &Turn) -> PortResult<()> {
    let (ports, entry) = (&shared.ports, turn.line_entry.entry);
    let released = turn.attempt.saturating_sub(1);
    let reason = format!("the shop said nothing about it, though it was released {released} times");
    tracing::error!(%sale, %entry, released, "a turn is buried: the shop says nothing about it");
    shared.ask(|| ports.turns.bury_unheard(turn, &reason)).await?;
    match out_of_flight(shared, sale, turn).await {
        Ok(()) | Err(PortError::Cold) => {}
        Err(error) => return Err(error),
    }
    let buried = [entry];
    shared.ask(|| ports.ledger.give_up(&buried)).await
}

/// A buried turn keeps nobody waiting for its goods. The gate takes it out of flight with a reservation, which goes back at
/// once.
async fn out_of_flight(shared: &Shared, sale: &SaleId, turn: &Turn) -> PortResult<()> {
    let (gate, entry) = (&shared.ports.gate, turn.line_entry.entry);
    let (hold, basket) = (HoldId::of_entry(entry, 0), turn.line_entry.basket.clone());
    let wants = [Want { hold, entry, basket: basket.clone() }];
    shared.once(gate.reserve(sale, &wants)).await?;
    shared.once(gate.set(sale, &[HoldUpdate::unrecorded(hold, basket)])).await
}
