//! The ledger's nine books: only what a look needs is answered.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    event::Turn,
    ids::{
        EntryId, Epoch, HoldId, OrderId, PaymentId, RefundId, SaleId, Seq, ShopOrderId, SkuId,
        Version,
    },
    line::{Cursor, LineEntry},
    order::{ClosingCause, Order},
    ports::{
        AfterSales, Audit, AuditRow, Author, Ban, BanList, BanRule, Block, Books, ChangeEnd,
        ChangeReply, Changed, Created, CursorSaved, Deleted, Duty, EntryBook, EntryRecord,
        GateImage, HoldReply, HoldRequest, HoldUpdate, HoldWord, IdempotencyKey, KeysSwept,
        LeaseReply, MoveBook, MoveName, NewOutcome, NewPayment, OncePaid, OrderBook, OrderCount,
        OrderStep, Payment, PaymentStep, PaymentUpdate, PlaceMove, PortError, PortResult,
        RefundReply, Replay, SaleBook, SaleMinute, ShopBook, ShopReply, ShopReport, ShopWord,
        SimulatedPayment, SimulatedRefund, SimulatedState, Speaker, StandReply, StandbyBook,
        StandbyList, StepReply, StockBalance, UpkeepBook,
    },
    reconcile::Reconciliation,
    refund::{Refund, RefundAsked},
    sale::{Sale, SaleChange},
};

use super::Stores;

#[async_trait]
impl SaleBook for Stores {
    async fn sales(&self) -> PortResult<Vec<Arc<Sale>>> {
        self.answer(|state| state.sales.clone())
    }

    async fn sale(&self, sale: &SaleId) -> PortResult<Option<Arc<Sale>>> {
        let sale = sale.clone();
        self.answer(|state| state.sales.iter().find(|known| known.id == sale).cloned())
    }

    async fn create_sale(&self, _: Sale, _: &Author) -> PortResult<Created> {
        Err(PortError::Full)
    }

    async fn change_sale(
        &self,
        _: &SaleId,
        _: Option<Version>,
        _: SaleChange,
        _: &Author,
        _: Option<String>,
    ) -> PortResult<Changed> {
        Err(PortError::Full)
    }

    async fn delete_sale(&self, _: &SaleId, _: &Author, _: Option<String>) -> PortResult<Deleted> {
        Err(PortError::Full)
    }

    async fn audit(&self, _: Option<u64>, _: u32) -> PortResult<Vec<AuditRow>> {
        Err(PortError::Full)
    }

    async fn bans(&self) -> PortResult<BanList> {
        Err(PortError::Full)
    }

    async fn add_ban(&self, _: BanRule, _: Option<String>, _: &Author) -> PortResult<Ban> {
        Err(PortError::Full)
    }

    async fn remove_ban(&self, _: u64, _: &Author, _: Option<String>) -> PortResult<bool> {
        Err(PortError::Full)
    }

    async fn record(&self, _: Audit) -> PortResult<()> {
        Err(PortError::Full)
    }
}

#[async_trait]
impl Speaker for Stores {
    async fn lease(&self, _: &SaleId, _: &str, _: Duration) -> PortResult<LeaseReply> {
        Err(PortError::Full)
    }

    async fn release_lease(&self, _: &SaleId, _: &str) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn renew_epoch(&self, _: &SaleId, _: &str) -> PortResult<Option<Epoch>> {
        Err(PortError::Full)
    }

    async fn next_block(&self, _: &SaleId, _: u64) -> PortResult<Block> {
        Err(PortError::Full)
    }

    async fn high_water(&self, _: &SaleId) -> PortResult<Seq> {
        Err(PortError::Full)
    }

    async fn cursor(&self, _: &SaleId) -> PortResult<Cursor> {
        Err(PortError::Full)
    }

    async fn given_out(&self, _: &SaleId) -> PortResult<Seq> {
        Err(PortError::Full)
    }

    async fn save_cursor(
        &self,
        _: &SaleId,
        _: Epoch,
        _: &Cursor,
        _: Seq,
    ) -> PortResult<CursorSaved> {
        Err(PortError::Full)
    }
}

#[async_trait]
impl EntryBook for Stores {
    async fn entries(&self, entries: &[EntryId]) -> PortResult<Vec<Option<EntryRecord>>> {
        self.answer(|state| {
            state.looks.push(entries.len());
            entries.iter().map(|entry| state.records.get(entry).cloned()).collect()
        })
    }

    async fn settle(&self, _: &SaleId, _: Vec<NewOutcome>) -> PortResult<Vec<EntryRecord>> {
        Err(PortError::Full)
    }

    async fn hold(&self, _: &SaleId, _: Vec<HoldRequest>) -> PortResult<Vec<HoldReply>> {
        Err(PortError::Full)
    }

    async fn replay(&self, _: &IdempotencyKey) -> PortResult<Replay> {
        Err(PortError::Full)
    }

    async fn untold(&self, _: u32) -> PortResult<Vec<EntryRecord>> {
        Err(PortError::Full)
    }

    async fn told(&self, _: &[EntryId]) -> PortResult<()> {
        Err(PortError::Full)
    }
}

#[async_trait]
impl OrderBook for Stores {
    async fn order(&self, _: OrderId) -> PortResult<Option<Order>> {
        Err(PortError::Full)
    }

    async fn begin_closing(&self, _: OrderId, _: ClosingCause) -> PortResult<StepReply> {
        Err(PortError::Full)
    }

    async fn step_orders(&self, _: Vec<(OrderId, OrderStep)>) -> PortResult<Vec<StepReply>> {
        Err(PortError::Full)
    }

    async fn sweep_deadlines(&self, _: u32) -> PortResult<Vec<Order>> {
        Err(PortError::Full)
    }

    async fn unfinished(&self, _: Duration, _: u32) -> PortResult<Vec<Order>> {
        Err(PortError::Full)
    }

    async fn begun(&self, _: u32) -> PortResult<Vec<Order>> {
        Err(PortError::Full)
    }

    async fn begin_payment(&self, _: OrderId, _: PaymentId, _: &str) -> PortResult<NewPayment> {
        Err(PortError::Full)
    }

    async fn payment(&self, _: PaymentId) -> PortResult<Option<Payment>> {
        Err(PortError::Full)
    }

    async fn apply_payments(
        &self,
        _: Vec<PaymentUpdate>,
        _: OncePaid,
    ) -> PortResult<Vec<PaymentStep>> {
        Err(PortError::Full)
    }

    async fn stock(&self, _: &SaleId) -> PortResult<Vec<StockBalance>> {
        Err(PortError::Full)
    }

    async fn gate_image(&self, _: &SaleId) -> PortResult<GateImage> {
        Err(PortError::Full)
    }

    async fn words(&self, _: &[OrderId]) -> PortResult<Vec<HoldUpdate>> {
        Err(PortError::Full)
    }

    async fn order_counts(&self, _: &SaleId) -> PortResult<Vec<OrderCount>> {
        Err(PortError::Full)
    }

    async fn simulated_payment(&self, _: PaymentId) -> PortResult<Option<SimulatedPayment>> {
        Err(PortError::Full)
    }

    async fn open_simulated(&self, _: SimulatedPayment) -> PortResult<SimulatedPayment> {
        Err(PortError::Full)
    }

    async fn step_simulated(
        &self,
        _: PaymentId,
        _: SimulatedState,
        _: SimulatedState,
    ) -> PortResult<Option<SimulatedPayment>> {
        Err(PortError::Full)
    }

    async fn refund_simulated(&self, _: SimulatedRefund) -> PortResult<Option<SimulatedPayment>> {
        Err(PortError::Full)
    }

    async fn told_simulated(&self, _: PaymentId, _: SimulatedState) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn untold_simulated(&self, _: Duration, _: u32) -> PortResult<Vec<SimulatedPayment>> {
        Err(PortError::Full)
    }
}

#[async_trait]
impl AfterSales for Stores {
    async fn begin_refund(
        &self,
        _: OrderId,
        _: RefundId,
        _: &RefundAsked,
    ) -> PortResult<RefundReply> {
        Err(PortError::Full)
    }

    async fn fail_fulfilment(&self, _: OrderId) -> PortResult<RefundReply> {
        Err(PortError::Full)
    }

    async fn refunds(&self, _: OrderId) -> PortResult<Vec<Refund>> {
        Err(PortError::Full)
    }

    async fn claim_refunds(&self, _: Duration, _: u32) -> PortResult<Vec<Refund>> {
        Err(PortError::Full)
    }

    async fn postpone_refund(&self, _: RefundId, _: Duration) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn finish_refund(&self, _: RefundId) -> PortResult<Option<(Refund, Order)>> {
        Err(PortError::Full)
    }

    async fn begin_change(
        &self,
        _: OrderId,
        _: Option<HoldId>,
        _: &Basket,
    ) -> PortResult<ChangeReply> {
        Err(PortError::Full)
    }

    async fn changed(&self, _: OrderId) -> PortResult<Option<Order>> {
        Err(PortError::Full)
    }

    async fn end_change(&self, _: OrderId, _: ChangeEnd) -> PortResult<ChangeReply> {
        Err(PortError::Full)
    }
}

#[async_trait]
impl ShopBook for Stores {
    async fn hand_over(&self, _: &[Turn]) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn unheard(&self, _: &SaleId, _: Duration, _: u64, _: u32) -> PortResult<Vec<Turn>> {
        Err(PortError::Full)
    }

    async fn give_up(&self, _: &[EntryId]) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn report(&self, _: &ShopReport) -> PortResult<ShopReply> {
        Err(PortError::Full)
    }

    async fn hear(&self, _: EntryId, _: &ShopOrderId, _: ShopWord) -> PortResult<StepReply> {
        Err(PortError::Full)
    }

    async fn tell_remaining(&self, _: &SaleId, _: &SkuId, _: u64) -> PortResult<bool> {
        Err(PortError::Full)
    }
}

#[async_trait]
impl UpkeepBook for Stores {
    async fn take_duty(&self, _: &SaleId, _: Duty, _: &str, _: Duration) -> PortResult<bool> {
        Err(PortError::Full)
    }

    async fn books(&self, _: &SaleId) -> PortResult<Books> {
        Err(PortError::Full)
    }

    async fn hold_words(&self, _: &[HoldId]) -> PortResult<Vec<Option<HoldWord>>> {
        Err(PortError::Full)
    }

    async fn keep_reconciliation(&self, _: &Reconciliation) -> PortResult<()> {
        Err(PortError::Full)
    }

    async fn reconciliations(&self) -> PortResult<Vec<Reconciliation>> {
        Err(PortError::Full)
    }

    async fn sweep_keys(&self, _: u32) -> PortResult<KeysSwept> {
        Err(PortError::Full)
    }

    async fn minutes(&self, _: &SaleId, _: u32) -> PortResult<Vec<SaleMinute>> {
        Err(PortError::Full)
    }
}

#[async_trait]
impl MoveBook for Stores {
    async fn move_place(
        &self,
        _: &SaleId,
        _: EntryId,
        _: UnixMillis,
        _: MoveName,
    ) -> PortResult<Option<UnixMillis>> {
        Err(PortError::Full)
    }

    async fn moved_at(&self, _: EntryId) -> PortResult<Option<UnixMillis>> {
        Err(PortError::Full)
    }

    async fn moves(&self, _: UnixMillis, _: u32) -> PortResult<Vec<PlaceMove>> {
        self.answer(|state| state.moves.clone())
    }
}

#[async_trait]
impl StandbyBook for Stores {
    async fn stand(&self, entries: &[EntryId]) -> PortResult<Vec<bool>> {
        self.answer(|state| entries.iter().map(|entry| state.standing.contains(entry)).collect())
    }

    async fn stand_by(&self, _: &SaleId, _: Vec<LineEntry>) -> PortResult<Vec<StandReply>> {
        Err(PortError::Full)
    }

    async fn standing(&self, _: &SaleId, _: u32, _: &[Basket]) -> PortResult<StandbyList> {
        Err(PortError::Full)
    }
}
