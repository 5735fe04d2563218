//! Looking entries up: many at once, few calls at a time, each under a deadline.
//!
//! Unlike a poll, a look always asks the stores: a notice may be ahead of the cursor this node knows, and then memory
//! would say that the entry still waits. The ledger is asked first, because it decides; the line is asked about what
//! the ledger has no outcome of.

use std::{collections::BTreeMap, sync::Arc};

use sluice_core::{
    entry::EntryState,
    ids::{EntryId, SaleId},
    order::OrderState,
    ports::{EntryRecord, PlaceState, PortResult},
    sale::SaleState,
    view::{
        lookup::{LineSays, Lookup},
        object::EntryObject,
    },
};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use crate::{
    config::{Config, millis},
    hub::{Asked, Hub},
    look::Finding,
};

/// What a look found of one entry; `None` when the stores could not say.
type Found = Option<(Arc<EntryObject>, Finding)>;

/// Looks up what the hub asks for. Never returns; drop it to stop.
pub(crate) async fn run(
    hub: Arc<Hub>,
    lookup: Lookup,
    config: Arc<Config>,
    mut queue: mpsc::Receiver<EntryId>,
) {
    let mut calls = JoinSet::new();
    let mut entries = Vec::new();
    loop {
        // Natural batches: while all calls are under way, what is asked meanwhile shares the next one.
        if calls.len() >= config.lookups_concurrent_max.max(1) {
            calls.join_next().await;
            continue;
        }
        tokio::select! {
            taken = queue.recv_many(&mut entries, config.lookup_batch_max.max(1)) => {
                if taken == 0 {
                    return;
                }
                for (sale, asked) in by_sale(hub.asked(&entries)) {
                    let (hub, lookup) = (Arc::clone(&hub), lookup.clone());
                    let config = Arc::clone(&config);
                    calls.spawn(async move { look_up(&hub, &lookup, &config, &sale, asked).await });
                }
                entries.clear();
            }
            Some(_) = calls.join_next() => {}
        }
    }
}

fn by_sale(asked: Vec<Asked>) -> BTreeMap<SaleId, Vec<Asked>> {
    let mut sales: BTreeMap<SaleId, Vec<Asked>> = BTreeMap::new();
    for one in asked {
        sales.entry(one.claims.sale.clone()).or_default().push(one);
    }
    sales
}

async fn look_up(hub: &Hub, lookup: &Lookup, config: &Config, sale: &SaleId, asked: Vec<Asked>) {
    let found = timeout(millis(config.lookup_timeout_ms), find(lookup, sale, &asked)).await;
    let found = found.unwrap_or_else(|_elapsed| {
        tracing::warn!(%sale, entries = asked.len(), "the stores did not answer a look in time");
        vec![None; asked.len()]
    });
    for (one, found) in asked.iter().zip(found) {
        hub.found(one.claims.entry, found);
    }
}

/// Where these entries of one sale stand, in order.
async fn find(lookup: &Lookup, sale: &SaleId, asked: &[Asked]) -> Vec<Found> {
    let ids: Vec<EntryId> = asked.iter().map(|one| one.claims.entry).collect();
    let records = lookup.ledger.entries(&ids).await;
    log_fault(&records, "ledger", sale);
    let unsettled: Vec<EntryId> = match &records {
        Ok(records) => {
            let open = ids.iter().zip(records).filter(|(_, record)| record.is_none());
            open.map(|(id, _)| *id).collect()
        }
        Err(_) => ids,
    };
    let places = if unsettled.is_empty() {
        Ok(Vec::new())
    } else {
        lookup.line.find(sale, &unsettled).await
    };
    log_fault(&places, "line", sale);
    let mut said = (0..unsettled.len()).map(|n| LineSays::of(&places, n));
    let mut said = || said.next().unwrap_or(LineSays::Nothing);
    let mut records = records.ok().map(Vec::into_iter);
    let found = asked.iter().map(|one| {
        let record = records.as_mut().map(|records| records.next().flatten());
        match record {
            Some(Some(record)) => Some(settled(lookup, one, &record)),
            Some(None) => open(lookup, one, said()),
            // The ledger is away: only what the line says for certain is told.
            None => match said() {
                says @ LineSays::State(
                    PlaceState::Waiting | PlaceState::Called | PlaceState::Standby,
                ) => open(lookup, one, says),
                LineSays::State(PlaceState::Settled(_)) | LineSays::Unknown | LineSays::Nothing => {
                    None
                }
            },
        }
    });
    let mut found: Vec<Found> = found.collect();
    find_standing(lookup, sale, asked, &mut found).await;
    found
}

/// Those whom the line has forgotten may stand by: the ledger knows.
async fn find_standing(lookup: &Lookup, sale: &SaleId, asked: &[Asked], found: &mut [Found]) {
    let lost: Vec<usize> = (0..asked.len()).filter(|n| found[*n].is_none()).collect();
    if lost.is_empty() {
        return;
    }
    let ids: Vec<EntryId> = lost.iter().map(|n| asked[*n].claims.entry).collect();
    let standing = lookup.ledger.stand(&ids).await;
    log_fault(&standing, "ledger", sale);
    for (n, stands) in lost.into_iter().zip(standing.unwrap_or_default()) {
        if stands {
            let Asked { claims, room, .. } = &asked[n];
            let (reading, now) = (room.view.read(), lookup.clock.now());
            let object = EntryObject::standby(&reading, claims, now, &lookup.urls);
            found[n] = Some((Arc::new(object), Finding::Standby));
        }
    }
}

fn log_fault<T>(answer: &PortResult<T>, store: &'static str, sale: &SaleId) {
    if let Err(error) = answer {
        let error: &dyn std::error::Error = error;
        tracing::warn!(%sale, store, error, "entries could not be looked up");
    }
}

/// An entry without an outcome; `None` when nobody can say where it stands.
fn open(lookup: &Lookup, asked: &Asked, says: LineSays) -> Found {
    let Asked { claims, seen, room } = asked;
    let object = lookup.unsettled(&room.view, claims, *seen, says)?;
    let passed = claims.seq <= room.view.read().cursor().serving;
    let finding = match object.state {
        EntryState::Waiting if passed => Finding::Parked,
        EntryState::Waiting => Finding::Ahead,
        EntryState::Standby => Finding::Standby,
        EntryState::Called
        | EntryState::Reserved
        | EntryState::SoldOut
        | EntryState::Left
        | EntryState::Expired
        | EntryState::Refused => Finding::Called,
    };
    Some((Arc::new(object), finding))
}

fn settled(lookup: &Lookup, asked: &Asked, record: &EntryRecord) -> (Arc<EntryObject>, Finding) {
    let reading = asked.room.view.read();
    let object = EntryObject::settled(&reading, &asked.claims, record, &lookup.urls);
    let over = reading.state(lookup.clock.now()) == SaleState::Closed;
    let order = record.order.map(|order| order.state);
    (Arc::new(object), ending(order, over))
}

/// Whether more will come for an entry that has its outcome.
fn ending(order: Option<OrderState>, sale_over: bool) -> Finding {
    match order {
        Some(order) if order.is_live() && !(sale_over && order.is_final()) => Finding::Reserved,
        Some(_) | None => Finding::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_order_keeps_the_connection_and_nothing_else_does() {
        assert_eq!(ending(None, false), Finding::Final);
        assert_eq!(ending(Some(OrderState::AwaitingPayment), true), Finding::Reserved);
        assert_eq!(ending(Some(OrderState::Paid), true), Finding::Reserved);
        assert_eq!(ending(Some(OrderState::Fulfilled), false), Finding::Reserved);
        assert_eq!(ending(Some(OrderState::Fulfilled), true), Finding::Final);
        assert_eq!(ending(Some(OrderState::Closed), false), Finding::Final);
        assert_eq!(ending(Some(OrderState::Refunded), false), Finding::Final);
    }
}
