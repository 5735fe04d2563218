//! What the unit tests of this crate are made of.

use sluice_core::{
    basket::{Basket, Item},
    clock::UnixMillis,
    ids::{BuyerId, EntryId, Seq, SkuId},
    line::LineEntry,
    ports::SkuLevel,
};

pub(crate) fn basket(items: &[(&str, u32)]) -> Basket {
    let item = |(sku, quantity): &(&str, u32)| Item::counted(SkuId::new(sku).unwrap(), *quantity);
    Basket::new(items.iter().map(item).collect()).unwrap()
}

pub(crate) fn level(sku: &str, available: u64, held: u64, in_flight: u64) -> SkuLevel {
    SkuLevel { sku: SkuId::new(sku).unwrap(), available, held, in_flight, seats: None }
}

/// The entry with this number: its id and buyer follow from it.
pub(crate) fn entry(seq: u64, basket: Basket) -> LineEntry {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&seq.to_be_bytes());
    LineEntry {
        entry: EntryId::from_bytes(bytes),
        buyer: BuyerId::new(&format!("buyer-{seq}")).unwrap(),
        seq: Seq(seq),
        holes_below: 0,
        basket,
        joined_at: UnixMillis(0),
        address: None,
        reach: None,
        stands_since: None,
    }
}
