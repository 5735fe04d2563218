//! What each sale sells, remembered by a consumer, so that a turn for foreign goods is told from one that came too late.

use std::{collections::HashMap, sync::Arc};

use sluice_core::{basket::Basket, ids::SaleId, ports::PortResult, sale::Sale};

use super::fault::Fault;
use crate::shared::Shared;

/// Most sales remembered; beyond it all are forgotten and read again as they are needed.
const SALES_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Goods(HashMap<SaleId, Arc<Sale>>);

impl Goods {
    /// What is wrong with a basket, if anything is. Reads the sale when it is new here or seems to lack the goods.
    pub(crate) async fn check(
        &mut self,
        shared: &Shared,
        sale: &SaleId,
        basket: &Basket,
    ) -> PortResult<Result<(), Fault>> {
        if self.has_all(sale, basket) {
            return Ok(Ok(()));
        }
        let Some(read) = shared.ask(|| shared.ports.ledger.sale(sale)).await? else {
            self.0.remove(sale);
            return Ok(Err(Fault::NoSuchSale));
        };
        if self.0.len() >= SALES_MAX {
            self.0.clear();
        }
        self.0.insert(sale.clone(), read);
        Ok(if self.has_all(sale, basket) { Ok(()) } else { Err(Fault::ForeignGoods) })
    }

    /// Forgets a sale that may have been deleted.
    pub(crate) fn forget(&mut self, sale: &SaleId) {
        self.0.remove(sale);
    }

    fn has_all(&self, sale: &SaleId, basket: &Basket) -> bool {
        self.0.get(sale).is_some_and(|known| known.has_goods_of(basket))
    }
}
