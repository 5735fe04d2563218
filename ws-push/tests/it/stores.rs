//! A line and a ledger that answer what the test set, count how they are asked, and can be away. Everything the push
//! service has no business with is `Full`.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use sluice_core::{
    basket::{Basket, Item},
    clock::UnixMillis,
    entry::Outcome,
    ids::{BuyerId, EntryId, Epoch, OrderId, SaleId, Seq, SkuId, Version},
    line::{Caps, Cursor, LineEntry},
    order::OrderState,
    ports::{
        EntryRecord, Join, JoinReply, Line, LineSnapshot, OrderRef, OutcomeReason, Place,
        PlaceMove, PlaceState, PortError, PortResult, Restore, Settlement, Standing,
    },
    sale::Sale,
    token::Claims,
};

mod ledger;

#[derive(Debug, Default)]
pub(crate) struct Stores(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    sales: Vec<Arc<Sale>>,
    places: HashMap<EntryId, PlaceState>,
    records: HashMap<EntryId, EntryRecord>,
    standing: HashSet<EntryId>,
    moves: Vec<PlaceMove>,
    away: bool,
    looks: Vec<usize>,
    seen: Vec<EntryId>,
}

impl Stores {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn answer<T>(&self, answer: impl FnOnce(&mut State) -> T) -> PortResult<T> {
        let mut state = self.state();
        if state.away {
            return Err(PortError::unavailable("cut off by the test"));
        }
        Ok(answer(&mut state))
    }

    pub(crate) fn set_away(&self, away: bool) {
        self.state().away = away;
    }

    pub(crate) fn add_sale(&self, sale: Arc<Sale>) {
        self.state().sales.push(sale);
    }

    pub(crate) fn place(&self, entry: EntryId, place: PlaceState) {
        self.state().places.insert(entry, place);
    }

    /// The ledger has it that a place was moved.
    pub(crate) fn moved(&self, told: PlaceMove) {
        self.state().moves.push(told);
    }

    /// The ledger has it that this entry stands by.
    pub(crate) fn stand(&self, entry: EntryId) {
        self.state().standing.insert(entry);
    }

    /// Records an outcome, with an order if it is `reserved`.
    pub(crate) fn settle(&self, claims: &Claims, outcome: Outcome, order: Option<OrderRef>) {
        let record = EntryRecord {
            sale: claims.sale.clone(),
            entry: claims.entry,
            buyer: BuyerId::new("ada").unwrap(),
            seq: claims.seq,
            outcome,
            reason: OutcomeReason::Plain,
            at: UnixMillis(0),
            order,
            shop: None,
            changed_at: UnixMillis(0),
        };
        self.state().records.insert(claims.entry, record);
    }

    pub(crate) fn order(&self, order: OrderId, state: OrderState, version: u64) -> OrderRef {
        OrderRef { order, state, version: Version(version), pay_by: UnixMillis(9_000_000) }
    }

    /// How many entries each look at the ledger asked for, since the last call.
    pub(crate) fn take_looks(&self) -> Vec<usize> {
        std::mem::take(&mut self.state().looks)
    }

    /// Whom the line was told of.
    pub(crate) fn seen(&self) -> Vec<EntryId> {
        self.state().seen.clone()
    }
}

#[async_trait]
impl Line for Stores {
    async fn find(&self, _: &SaleId, entries: &[EntryId]) -> PortResult<Vec<Option<Place>>> {
        self.answer(|state| {
            let place = |entry: &EntryId| {
                let state = *state.places.get(entry)?;
                let line_entry = line_entry(*entry);
                Some(Place {
                    line_entry,
                    state,
                    durable: true,
                    seen_at: UnixMillis(0),
                    in_flight: false,
                })
            };
            entries.iter().map(place).collect()
        })
    }

    async fn seen(&self, _: &SaleId, entries: &[EntryId], _: UnixMillis) -> PortResult<()> {
        self.answer(|state| state.seen.extend(entries))
    }

    async fn warm(&self, _: &SaleId, _: Epoch, _: Option<Restore>) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn extend(&self, _: &SaleId, _: Epoch, _: Seq) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn join(&self, _: &SaleId, _: Caps, _: Vec<Join>) -> PortResult<Vec<JoinReply>> {
        Err(PortError::Full)
    }

    async fn confirm(&self, _: &SaleId, _: &[EntryId]) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn find_buyer(&self, _: &SaleId, _: &BuyerId) -> PortResult<Option<Place>> {
        Err(PortError::Full)
    }

    async fn call(
        &self,
        _: &SaleId,
        _: Epoch,
        _: Option<UnixMillis>,
        _: &[LineEntry],
    ) -> PortResult<Vec<Standing>> {
        Err(PortError::Full)
    }

    async fn settle(&self, _: &SaleId, _: &[(EntryId, Settlement)]) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn advance(&self, _: &SaleId, _: Epoch, _: &Cursor) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn snapshot(&self, _: &SaleId) -> PortResult<LineSnapshot> {
        Err(PortError::Full)
    }

    async fn stand_by(&self, _: &SaleId, _: &[EntryId]) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn forget(&self, _: &SaleId) -> PortResult<()> {
        Err(PortError::Full)
    }
}

fn line_entry(entry: EntryId) -> LineEntry {
    let item = Item::counted(SkuId::new("standard").unwrap(), 1);
    LineEntry {
        entry,
        buyer: BuyerId::new("ada").unwrap(),
        seq: Seq(1),
        holes_below: 0,
        basket: Basket::new(vec![item]).unwrap(),
        joined_at: UnixMillis(0),
        address: None,
        reach: None,
        stands_since: None,
    }
}
