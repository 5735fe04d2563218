//! What a batch of turns is decided on: the sale, its stock under a lock, what is known of the entries and their buyers.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use sluice_core::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, SaleId, SkuId},
    ports::HoldRequest,
    sale::Sale,
};
use sqlx::{PgConnection, Row};

use super::entries::{self, Known};
use crate::postgres::{
    codec::{damaged, json, text, time, whole},
    fault::Fault,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Books {
    pub(super) sale: Sale,
    pub(super) now: UnixMillis,
    /// Outcomes that were there before.
    pub(super) known: HashMap<EntryId, Known>,
    /// Buyers with a live order in this sale.
    pub(super) live: HashSet<BuyerId>,
    /// Units that can be held, of the SKUs that are asked for. Nobody else takes of them until the transaction ends.
    pub(super) available: BTreeMap<SkuId, u64>,
}

/// Locks the stock that is asked for, in key order; then reads, so that everything is as the last holder of the lock left it.
/// `None` when there is no such sale.
pub(super) async fn read(
    connection: &mut PgConnection,
    sale: &SaleId,
    requests: &[HoldRequest],
) -> Result<Option<Books>, Fault> {
    let available = lock_stock(connection, sale, requests).await?;
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
    Ok(Some(Books {
        sale: json(&row, 0)?,
        now: time(&row, 1)?,
        live: live.collect::<Result<_, _>>().map_err(|error| damaged(2, error))?,
        known: known(connection, requests).await?,
        available,
    }))
}

async fn lock_stock(
    connection: &mut PgConnection,
    sale: &SaleId,
    requests: &[HoldRequest],
) -> Result<BTreeMap<SkuId, u64>, Fault> {
    let items = requests.iter().flat_map(|request| request.line_entry.basket.items());
    let skus: BTreeSet<&str> = items.map(|item| item.sku.as_str()).collect();
    let locked = sqlx::query(sql!("hold/lock_stock"))
        .bind(sale.as_str())
        .bind(Vec::from_iter(skus))
        .fetch_all(connection)
        .await?;
    let available = locked.iter().map(|row| Ok((text(row, 0)?, whole(row, 1)?)));
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
