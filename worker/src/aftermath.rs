//! What follows a step of an order that the ledger has committed: the gate is set to the ledger's word, the line frees the
//! buyer of a closed order, everybody hears of it, and freed stock wakes the dispatcher.
//!
//! In that order, in batches, repeated until it is done: a gate or line that is away or cold is waited for, each sale for
//! itself. Should the process end before, a gate is reconciled or rebuilt from the ledger; nothing here is the only record.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use sluice_core::{
    entry::{EntryState, Outcome},
    ids::{EntryId, SaleId, SkuId},
    order::Order,
    ports::{
        EntryNotice, HoldPhase, HoldUpdate, Notice, PortError, PortResult, Restock, SeatImage,
        SeatsSold, Settlement, StockBalance,
    },
};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{agenda::until, backoff::Backoff, shared::Shared};

/// Most steps taken in at a time.
const TAKEN_MAX: usize = 256;
const PAUSE: Backoff = Backoff { first: Duration::from_millis(100), most: Duration::from_secs(2) };

/// What became of goods that had been sold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Goods {
    Stay,
    /// They are available again: the gate hears the ledger's new totals, and of seats which are sold still.
    CameBack,
}

/// What one step means for the others.
#[derive(Clone, Debug)]
pub(crate) struct Aftermath {
    sale: SaleId,
    gate: Option<HoldUpdate>,
    goods: Goods,
    seated: bool,
    /// The entry whose order is over: its buyer may join again.
    freed: Option<EntryId>,
    notice: EntryNotice,
}

impl Aftermath {
    pub(crate) fn of(order: &Order, gate: Option<HoldUpdate>, goods: Goods) -> Self {
        Self {
            sale: order.sale.clone(),
            gate,
            goods,
            seated: order.lines.iter().any(|line| line.seat.is_some()),
            freed: (!order.state.is_live()).then_some(order.entry),
            notice: EntryNotice {
                entry: order.entry,
                version: EntryState::Reserved.version(Some(order.version)),
                state: EntryState::Reserved,
                order: Some(order.id),
                pay_by: Some(order.pay_by),
            },
        }
    }
}

/// The steps of one sale that have not been followed yet.
#[derive(Debug)]
struct Behind {
    steps: Vec<Aftermath>,
    at: Instant,
    tries: u32,
}

/// Follows until `ended`, then once more for what is left.
pub(crate) async fn run(
    shared: Arc<Shared>,
    mut steps: mpsc::Receiver<Aftermath>,
    ended: CancellationToken,
) {
    let mut behind: BTreeMap<SaleId, Behind> = BTreeMap::new();
    let mut taken = Vec::new();
    loop {
        let wakes_at = behind.values().map(|sale| sale.at).min();
        let held: usize = behind.values().map(|sale| sale.steps.len()).sum();
        tokio::select! {
            biased;
            () = ended.cancelled() => break,
            () = until(wakes_at) => {}
            _ = steps.recv_many(&mut taken, TAKEN_MAX), if held < shared.config.aftermath_max => {}
        }
        take_in(&mut behind, &mut taken);
        catch_up(&shared, &mut behind, Instant::now()).await;
    }
    steps.close();
    while let Ok(step) = steps.try_recv() {
        taken.push(step);
    }
    take_in(&mut behind, &mut taken);
    for sale in behind.values_mut() {
        sale.at = Instant::now();
    }
    catch_up(&shared, &mut behind, Instant::now()).await;
    let left: usize = behind.values().map(|sale| sale.steps.len()).sum();
    if left > 0 {
        tracing::warn!(left, "steps of orders are left to reconciliation: gate or line is away");
    }
}

fn take_in(behind: &mut BTreeMap<SaleId, Behind>, taken: &mut Vec<Aftermath>) {
    for step in taken.drain(..) {
        behind
            .entry(step.sale.clone())
            .or_insert_with(|| Behind { steps: Vec::new(), at: Instant::now(), tries: 0 })
            .steps
            .push(step);
    }
}

/// Follows the steps of every sale that is due, and forgets those that are done.
async fn catch_up(shared: &Shared, behind: &mut BTreeMap<SaleId, Behind>, now: Instant) {
    let due: Vec<SaleId> =
        behind.iter().filter(|(_, sale)| sale.at <= now).map(|(id, _)| id.clone()).collect();
    for id in due {
        let Some(sale) = behind.get_mut(&id) else { continue };
        match apply(shared, &id, &sale.steps).await {
            Ok(()) => {
                behind.remove(&id);
            }
            Err(PortError::Cold) if is_gone(shared, &id).await => {
                behind.remove(&id);
            }
            Err(error) => {
                // A cold sale is waited for quietly at first: it warms in a moment after a start.
                if sale.tries == 0 && !matches!(error, PortError::Cold) || sale.tries == 10 {
                    tracing::warn!(sale = %id, steps = sale.steps.len(), error = &error as &dyn std::error::Error,
                        "gate or line cannot follow the orders yet; trying again");
                }
                sale.at = Instant::now() + PAUSE.after(sale.tries, &shared.ports.random);
                sale.tries = sale.tries.saturating_add(1);
            }
        }
    }
}

/// Whether the sale was deleted: then there is nobody left to follow.
async fn is_gone(shared: &Shared, sale: &SaleId) -> bool {
    matches!(shared.once(shared.ports.ledger.sale(sale)).await, Ok(None))
}

async fn apply(shared: &Shared, sale: &SaleId, steps: &[Aftermath]) -> PortResult<()> {
    let ports = &shared.ports;
    let updates: Vec<HoldUpdate> = steps.iter().filter_map(|step| step.gate.clone()).collect();
    if !updates.is_empty() {
        shared.once(ports.gate.set(sale, &updates)).await?;
    }
    let came_back = steps.iter().any(|step| step.goods == Goods::CameBack);
    if came_back {
        let seated = steps.iter().any(|step| step.goods == Goods::CameBack && step.seated);
        restock(shared, sale, seated).await?;
    }
    let over = Settlement { outcome: Outcome::Reserved, live: false };
    let freed: Vec<_> =
        steps.iter().filter_map(|step| step.freed).map(|entry| (entry, over)).collect();
    if !freed.is_empty() {
        shared.once(ports.line.settle(sale, &freed)).await?;
    }
    let released = came_back || updates.iter().any(|update| update.phase == HoldPhase::Released);
    let told = publish(shared, Notice::Entries { sale: sale.clone(), entries: newest(steps) });
    told.await;
    if released {
        publish(shared, Notice::StockReturned { sale: sale.clone() }).await;
    }
    Ok(())
}

/// Tells the gate of goods that came back.
pub(crate) async fn restock(shared: &Shared, sale: &SaleId, seated: bool) -> PortResult<()> {
    for restock in restocks(shared, sale, seated).await? {
        shared.once(shared.ports.gate.restock(sale, &restock)).await?;
    }
    Ok(())
}

/// What the gate must hear of goods that came back. Seats are told by a whole reading of the ledger: a seat that is free in it
/// may have been sold since.
async fn restocks(shared: &Shared, sale: &SaleId, seated: bool) -> PortResult<Vec<Restock>> {
    let ledger = &shared.ports.ledger;
    if !seated {
        let balances = shared.once(ledger.stock(sale)).await?;
        return Ok(balances.iter().map(StockBalance::restock).collect());
    }
    let image = shared.once(ledger.gate_image(sale)).await?;
    let mut seats: BTreeMap<SkuId, SeatImage> =
        image.seats.into_iter().map(|image| (image.sku.clone(), image)).collect();
    let moved = image.moved;
    let restocks = image.skus.into_iter().map(|(sku, total, _)| {
        let seats = seats.remove(&sku).map(|image| SeatsSold { moved, image });
        Restock { sku, total, seats }
    });
    Ok(restocks.collect())
}

/// One notice per entry: the one with the highest version.
fn newest(steps: &[Aftermath]) -> Vec<EntryNotice> {
    let mut newest: BTreeMap<EntryId, &EntryNotice> = BTreeMap::new();
    for step in steps {
        let known = newest.entry(step.notice.entry).or_insert(&step.notice);
        if known.version < step.notice.version {
            *known = &step.notice;
        }
    }
    newest.into_values().cloned().collect()
}

/// The bulletin is lossy: what it could not say now is found by a poll.
async fn publish(shared: &Shared, notice: Notice) {
    if let Err(error) = shared.once(shared.ports.bulletin.publish(notice)).await {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "the bulletin did not take a notice"
        );
    }
}
