//! A consumer's desk: the turns in hand, by sale, each lot with the time it is due. A sale whose gate is cold waits here
//! without keeping other sales from their turns; the intake's prefetch bounds what can lie on the desk.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sluice_core::{
    event::Turn,
    ids::SaleId,
    ports::{HoldUpdate, Notice, PortResult, TurnDelivery, WorkOutlet},
};
use tokio::time::Instant;

use super::{
    batch::{self, Through, Worked},
    fault::{Fault, Remedy},
    goods::Goods,
    in_hand::{InHand, in_order},
};
use crate::{backoff::Backoff, shared::Shared};

/// While gate or line is cold.
const COLD: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(2) };
/// While the gate refuses what the ledger still has; usually another worker's hold is just being committed.
const DISAGREEMENT: Backoff =
    Backoff { first: Duration::from_millis(20), most: Duration::from_secs(1) };
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// How long turns of a frozen sale are kept in hand before they go to the end of the queue: others must get by.
const FROZEN_IN_HAND: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(crate) struct Desk<'a> {
    shared: &'a Shared,
    outlet: Arc<dyn WorkOutlet>,
    lots: Vec<Lot>,
    goods: Goods,
}

/// What is to be done with a lot when it is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    Work,
    /// Its sale is frozen: back to the queue with it.
    PutBack,
}

/// Turns of one sale that are due together.
#[derive(Debug)]
pub(crate) struct Lot {
    sale: SaleId,
    turns: Vec<InHand>,
    due: Instant,
    /// How often the sale was found cold in a row; new turns join a cold lot instead of asking by themselves.
    cold: u32,
    next: Next,
}

impl Lot {
    fn to_work(sale: SaleId, turns: Vec<InHand>, due: Instant, cold: u32) -> Self {
        Self { sale, turns, due, cold, next: Next::Work }
    }
}

impl<'a> Desk<'a> {
    pub(crate) fn new(shared: &'a Shared, outlet: Arc<dyn WorkOutlet>) -> Self {
        Self { shared, outlet, lots: Vec::new(), goods: Goods::default() }
    }

    /// Lays new turns on the desk, due at once unless their sale is known to be cold.
    pub(crate) fn take(&mut self, deliveries: Vec<TurnDelivery>) {
        let mut sales: BTreeMap<SaleId, Vec<InHand>> = BTreeMap::new();
        for delivery in deliveries {
            sales.entry(delivery.turn.sale.clone()).or_default().push(delivery.into());
        }
        for (sale, turns) in sales {
            match self.lots.iter_mut().find(|lot| lot.cold > 0 && lot.sale == sale) {
                Some(cold) => cold.turns.extend(turns),
                None => self.lots.push(Lot::to_work(sale, turns, Instant::now(), 0)),
            }
        }
    }

    pub(crate) fn wakes_at(&self) -> Option<Instant> {
        self.lots.iter().map(|lot| lot.due).min()
    }

    /// Takes a lot that is due, at most a batch of it.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<Lot> {
        let place = self.lots.iter().position(|lot| lot.due <= now)?;
        let mut lot = self.lots.swap_remove(place);
        if lot.next == Next::PutBack {
            return Some(lot);
        }
        let most = self.shared.config.batch_max.max(1);
        lot.turns = in_order(lot.turns);
        if lot.turns.len() > most {
            let turns = lot.turns.split_off(most);
            self.lots.push(Lot::to_work(lot.sale.clone(), turns, now, lot.cold));
        }
        Some(lot)
    }

    /// Works a lot and settles its deliveries. An error means that a store is away: everything in hand goes back to the
    /// queue with the intake.
    pub(crate) async fn work(&mut self, lot: Lot) -> PortResult<()> {
        let Lot { sale, turns, cold, next, .. } = lot;
        if next == Next::PutBack {
            return self.put_back(turns).await;
        }
        let mut wholesome = Vec::with_capacity(turns.len());
        for turn in turns {
            match self.goods.check(self.shared, &sale, turn.basket()).await? {
                Ok(()) => wholesome.push(turn),
                Err(fault) => self.mend(&sale, turn, fault).await?,
            }
        }
        if wholesome.is_empty() {
            return Ok(());
        }
        match batch::work(self.shared, &sale, wholesome).await? {
            Worked::Cold(turns) => {
                self.wait_for_warmth(sale, turns, cold);
                Ok(())
            }
            Worked::Through(through) => self.settle(&sale, through).await,
        }
    }

    fn wait_for_warmth(&mut self, sale: SaleId, turns: Vec<InHand>, cold: u32) {
        if cold == 10 {
            tracing::warn!(%sale, turns = turns.len(), "the sale has been cold for a while: its turns wait for its speaker");
        }
        // It may be cold because it was deleted: then its turns are found without a sale next time.
        self.goods.forget(&sale);
        let due = Instant::now() + COLD.after(cold, &self.shared.ports.random);
        let cold = cold.saturating_add(1);
        match self.lots.iter_mut().find(|lot| lot.cold > 0 && lot.sale == sale) {
            Some(lot) => {
                lot.turns.extend(turns);
                (lot.due, lot.cold) = (due, cold);
            }
            None => self.lots.push(Lot::to_work(sale, turns, due, cold)),
        }
    }

    async fn settle(&mut self, sale: &SaleId, through: Through) -> PortResult<()> {
        for (turn, fault) in through.faulty {
            self.mend(sale, turn, fault).await?;
        }
        for turn in through.again {
            self.ask_again(sale, turn).await?;
        }
        if !through.frozen.is_empty() {
            let (turns, due) = (through.frozen, Instant::now() + FROZEN_IN_HAND);
            self.lots.push(Lot { sale: sale.clone(), turns, due, cold: 0, next: Next::PutBack });
        }
        let shared = self.shared;
        let tags: Vec<u64> = through.done.into_iter().flat_map(|turn| turn.tags).collect();
        // Both come after the outcome and may be lost: the one is told again, the other delivered again.
        let told = async {
            if !through.told.is_empty()
                && let Err(error) = shared.once(shared.ports.ledger.told(&through.told)).await
            {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "outcomes will be told twice"
                );
            }
        };
        let acked = async {
            if tags.is_empty() { Ok(()) } else { shared.ask(|| self.outlet.ack(&tags)).await }
        };
        tokio::join!(told, acked).1
    }

    /// Puts turns at the end of the queue, with no try counted: it is no fault of theirs.
    async fn put_back(&self, turns: Vec<InHand>) -> PortResult<()> {
        let shared = self.shared;
        let tags: Vec<u64> = turns.iter().flat_map(|turn| turn.tags.iter().copied()).collect();
        let turns: Vec<Turn> = turns.into_iter().map(|turn| turn.turn).collect();
        shared.ask(|| shared.ports.turns.release_again(&turns)).await?;
        shared.ask(|| self.outlet.ack(&tags)).await
    }

    /// Lays a turn back for a moment, or counts a try when the gate has disagreed too often.
    async fn ask_again(&mut self, sale: &SaleId, turn: InHand) -> PortResult<()> {
        let random = &self.shared.ports.random;
        if turn.disagreements > self.shared.config.disagreements_max {
            return self.mend(sale, turn, Fault::GateDisagrees).await;
        }
        let due = Instant::now() + DISAGREEMENT.after(turn.disagreements - 1, random);
        self.lots.push(Lot::to_work(sale.clone(), vec![turn], due, 0));
        Ok(())
    }

    /// Puts a faulty turn back with a try counted, or sets it aside for an operator. Its twins are acknowledged.
    async fn mend(&mut self, sale: &SaleId, turn: InHand, fault: Fault) -> PortResult<()> {
        let (shared, config) = (self.shared, &self.shared.config);
        let Some((first, twins)) = turn.tags.split_first() else { return Ok(()) };
        match fault.remedy(turn.tries, config.tries_max) {
            Remedy::Retry => {
                let backoff = Backoff { first: RETRY_FIRST, most: config.retry_delay_max };
                let delay = backoff.after(turn.tries, &shared.ports.random);
                tracing::warn!(%sale, entry = %turn.entry(), tries = turn.tries + 1, %fault, "a turn is retried");
                shared.ask(|| self.outlet.retry(*first, delay)).await?;
            }
            Remedy::Bury => {
                tracing::error!(%sale, entry = %turn.entry(), tries = turn.tries + 1, %fault, "a turn is buried");
                self.give_back(sale, &turn, fault).await?;
                let reason = fault.to_string();
                shared.ask(|| self.outlet.bury(*first, &reason)).await?;
            }
        }
        if twins.is_empty() { Ok(()) } else { shared.ask(|| self.outlet.ack(twins)).await }
    }

    /// A buried turn keeps no goods: what the gate set aside for it goes back. A replay asks for another hold.
    async fn give_back(&self, sale: &SaleId, turn: &InHand, fault: Fault) -> PortResult<()> {
        match fault {
            Fault::NoSuchSale | Fault::ForeignGoods => Ok(()),
            Fault::LedgerRejects | Fault::GateDisagrees => {
                let ports = &self.shared.ports;
                let update = [HoldUpdate::unrecorded(turn.hold_id(), turn.basket().clone())];
                self.shared.ask(|| ports.gate.set(sale, &update)).await?;
                let notice = Notice::StockReturned { sale: sale.clone() };
                if let Err(error) = self.shared.once(ports.bulletin.publish(notice)).await {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "the dispatcher was not woken; it looks by itself"
                    );
                }
                Ok(())
            }
        }
    }
}
