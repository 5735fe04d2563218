//! What a batch of turns is decided on: the sale, its stock, what is known of the entries and their buyers.
//!
//! While there is plenty of everything a batch asks for, a glance at the stock is enough: nobody is refused for want of goods,
//! and the balance is taken at the very end, if it is still there. So batches of one sale run side by side and queue only for
//! their commits. When stock gets scarce, it is locked before it is looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sluice_core::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, SaleId, SkuId},
    ports::HoldRequest,
    sale::Sale,
};
use sqlx::{PgConnection, Row};

use super::{
    entries::{self, Known},
    seats::{self, Seats},
};
use crate::postgres::{
    codec::{damaged, json, text, time, whole},
    fault::Fault,
};

/// Stock is plenty when it would do for so many batches like this one.
const PLENTY: u64 = 32;

/// How the stock is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Look {
    /// At a glance if there is plenty.
    Glance,
    /// Under a lock: nobody else takes of it until the transaction ends.
    Lock,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) sale: Sale,
    pub(super) now: UnixMillis,
    /// When orders that are granted now are to be paid.
    pub(super) pay_by: UnixMillis,
    /// Outcomes that were there before.
    pub(super) known: HashMap<EntryId, Known>,
    /// Buyers with a live order in this sale.
    pub(super) live: HashSet<BuyerId>,
    /// Units that can be held, of the SKUs that are asked for.
    pub(super) available: BTreeMap<SkuId, u64>,
    pub(super) seating: SeatedBy,
}

/// Who says where buyers sit.
#[derive(Debug)]
pub(super) enum SeatedBy {
    /// The gate has chosen; this is what the ledger knows of it.
    Gate(Seats),
    /// The shop, of whose seats nothing is known here.
    Shop,
}

/// Looks at the stock that is asked for, locking it in key order unless there is plenty; then reads the rest, so that it is as
/// the last holder of the lock left it. `None` when there is no such sale.
pub(super) async fn read(
    connection: &mut PgConnection,
    sale: &SaleId,
    requests: &[HoldRequest],
    look: Look,
) -> Result<Option<Books>, Fault> {
    let wanted = wanted(requests);
    let seen = match look {
        Look::Glance => stock(connection, sql!("hold/stock"), sale, &wanted).await?,
        Look::Lock => BTreeMap::new(),
    };
    let available = if look == Look::Glance && is_plenty(&seen, &wanted) {
        seen
    } else {
        stock(connection, sql!("hold/lock_stock"), sale, &wanted).await?
    };
    let buyers: BTreeSet<&str> =
        requests.iter().map(|request| request.line_entry.buyer.as_str()).collect();
    let looked = sqlx::query(sql!("hold/look"))
        .bind(sale.as_str())
        .bind(Vec::from_iter(buyers))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = looked else { return Ok(None) };
    let live: Vec<String> = row.try_get(2)?;
    let live = live.iter().map(|buyer| buyer.parse::<BuyerId>());
    let (sale, now): (Sale, UnixMillis) = (json(&row, 0)?, time(&row, 1)?);
    let seats = seats::look(connection, &sale, requests).await?;
    Ok(Some(Books {
        seating: SeatedBy::Gate(seats),
        pay_by: now.plus(sale.policy.payment_window()),
        sale,
        now,
        live: live.collect::<Result<_, _>>().map_err(|error| damaged(2, error))?,
        known: known(connection, requests).await?,
        available,
    }))
}

/// Locks the stock that is asked for, in key order: for what is settled in parts, each of which would lock its own.
pub(super) async fn lock(
    connection: &mut PgConnection,
    sale: &SaleId,
    requests: &[HoldRequest],
) -> Result<(), Fault> {
    stock(connection, sql!("hold/lock_stock"), sale, &wanted(requests)).await.map(drop)
}

/// Units that are asked for, by SKU.
fn wanted(requests: &[HoldRequest]) -> BTreeMap<&SkuId, u64> {
    let mut wanted = BTreeMap::new();
    for item in requests.iter().flat_map(|request| request.line_entry.basket.items()) {
        *wanted.entry(&item.sku).or_default() += item.units();
    }
    wanted
}

fn is_plenty(seen: &BTreeMap<SkuId, u64>, wanted: &BTreeMap<&SkuId, u64>) -> bool {
    wanted.iter().all(|(sku, units)| {
        seen.get(*sku).is_some_and(|available| *available >= units.saturating_mul(PLENTY))
    })
}

/// What is available of the SKUs that are wanted; foreign ones are left out.
async fn stock(
    connection: &mut PgConnection,
    statement: &'static str,
    sale: &SaleId,
    wanted: &BTreeMap<&SkuId, u64>,
) -> Result<BTreeMap<SkuId, u64>, Fault> {
    let skus: Vec<&str> = wanted.keys().map(|sku| sku.as_str()).collect();
    let asked = sqlx::query(statement).bind(sale.as_str()).bind(skus);
    let rows = asked.fetch_all(connection).await?;
    let available = rows.iter().map(|row| Ok((text(row, 0)?, whole(row, 1)?)));
    Ok(available.collect::<sqlx::Result<_>>()?)
}

/// What is recorded of the entries of these requests.
pub(super) async fn known(
    connection: &mut PgConnection,
    requests: &[HoldRequest],
) -> Result<HashMap<EntryId, Known>, Fault> {
    let asked: Vec<EntryId> = requests.iter().map(|request| request.line_entry.entry).collect();
    entries::records(connection, &asked).await
}
