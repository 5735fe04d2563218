//! The ports with faults around every call: a crash before or after the effect, a lost answer, an effect done twice.
//!
//! Written out once per method, so that the ports themselves need no hooks.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    event::Turn,
    ids::{
        BuyerId, EntryId, Epoch, HoldId, OrderId, PaymentId, RefundId, SaleId, Seq, ShopOrderId,
        SkuId, Version,
    },
    line::{Caps, Cursor, LineEntry},
    order::{ClosingCause, Order},
    ports::*,
    reconcile::Reconciliation,
    refund::{Refund, RefundAsked},
    sale::{Sale, SaleChange},
};

use super::faults::Faults;

/// A port behind faults.
#[derive(Debug)]
pub(crate) struct Faulty<P: ?Sized> {
    pub(crate) inner: Arc<P>,
    pub(crate) faults: Arc<Faults>,
}

macro_rules! faulty {
    ($port:ident over $inner:ty { $( $kind:ident fn $name:ident($($argument:ident: $type:ty),*) -> $reply:ty; )* }) => {
        #[async_trait]
        impl $port for Faulty<$inner> {
            $(
                async fn $name(&self, $($argument: $type),*) -> PortResult<$reply> {
                    self.faults.$kind(stringify!($name), self.inner.$name($($argument),*)).await
                }
            )*
        }
    };
}

faulty!(Line over dyn Line {
    effect fn warm(sale: &SaleId, epoch: Epoch, restore: Option<Restore>) -> ();
    effect fn extend(sale: &SaleId, epoch: Epoch, to: Seq) -> ();
    effect fn join(sale: &SaleId, caps: Caps, joins: Vec<Join>) -> Vec<JoinReply>;
    effect fn confirm(sale: &SaleId, entries: &[EntryId]) -> ();
    read fn find(sale: &SaleId, entries: &[EntryId]) -> Vec<Option<Place>>;
    read fn find_buyer(sale: &SaleId, buyer: &BuyerId) -> Option<Place>;
    effect fn seen(sale: &SaleId, entries: &[EntryId], at: UnixMillis) -> ();
    effect fn call(sale: &SaleId, epoch: Epoch, silent_before: Option<UnixMillis>, entries: &[LineEntry]) -> Vec<Standing>;
    effect fn stand_by(sale: &SaleId, entries: &[EntryId]) -> ();
    effect fn settle(sale: &SaleId, settled: &[(EntryId, Settlement)]) -> ();
    effect fn advance(sale: &SaleId, epoch: Epoch, cursor: &Cursor) -> ();
    read fn snapshot(sale: &SaleId) -> LineSnapshot;
    effect fn forget(sale: &SaleId) -> ();
});

faulty!(StockGate over dyn StockGate {
    effect fn rebuild(sale: &SaleId, epoch: Epoch, image: GateImage) -> ();
    effect fn reserve(sale: &SaleId, wants: &[Want]) -> Vec<Reserved>;
    effect fn set(sale: &SaleId, updates: &[HoldUpdate]) -> ();
    effect fn restock(sale: &SaleId, restock: &Restock) -> ();
    read fn levels(sale: &SaleId) -> Vec<SkuLevel>;
    read fn holds(sale: &SaleId, from: Option<&HoldsPlace>) -> GateHolds;
    effect fn forget(sale: &SaleId) -> ();
});

faulty!(StandbyBook over dyn Ledger {
    effect fn stand_by(sale: &SaleId, entries: Vec<LineEntry>) -> Vec<StandReply>;
    read fn standing(sale: &SaleId, limit: u32, but: &[Basket]) -> StandbyList;
    read fn stand(entries: &[EntryId]) -> Vec<bool>;
});

faulty!(MoveBook over dyn Ledger {
    effect fn move_place(sale: &SaleId, entry: EntryId, held_since: UnixMillis, name: MoveName) -> Option<UnixMillis>;
    read fn moved_at(entry: EntryId) -> Option<UnixMillis>;
    read fn moves(after: UnixMillis, limit: u32) -> Vec<PlaceMove>;
});

faulty!(SaleBook over dyn Ledger {
    read fn sales() -> Vec<Arc<Sale>>;
    read fn sale(sale: &SaleId) -> Option<Arc<Sale>>;
    effect fn create_sale(sale: Sale, author: &Author) -> Created;
    effect fn change_sale(sale: &SaleId, expected: Option<Version>, change: SaleChange, author: &Author, reason: Option<String>) -> Changed;
    effect fn delete_sale(sale: &SaleId, author: &Author, reason: Option<String>) -> Deleted;
    read fn audit(before: Option<u64>, limit: u32) -> Vec<AuditRow>;
    read fn bans() -> BanList;
    effect fn add_ban(rule: BanRule, reason: Option<String>, author: &Author) -> Ban;
    effect fn remove_ban(id: u64, author: &Author, reason: Option<String>) -> bool;
    effect fn record(audit: Audit) -> ();
});

faulty!(Speaker over dyn Ledger {
    effect fn lease(sale: &SaleId, holder: &str, ttl: Duration) -> LeaseReply;
    effect fn release_lease(sale: &SaleId, holder: &str) -> ();
    effect fn renew_epoch(sale: &SaleId, holder: &str) -> Option<Epoch>;
    effect fn next_block(sale: &SaleId, count: u64) -> Block;
    read fn high_water(sale: &SaleId) -> Seq;
    read fn cursor(sale: &SaleId) -> Cursor;
    read fn given_out(sale: &SaleId) -> Seq;
    effect fn save_cursor(sale: &SaleId, epoch: Epoch, cursor: &Cursor, given_out: Seq) -> CursorSaved;
});

faulty!(EntryBook over dyn Ledger {
    read fn entries(entries: &[EntryId]) -> Vec<Option<EntryRecord>>;
    effect fn settle(sale: &SaleId, outcomes: Vec<NewOutcome>) -> Vec<EntryRecord>;
    effect fn hold(sale: &SaleId, requests: Vec<HoldRequest>) -> Vec<HoldReply>;
    effect fn replay(key: &IdempotencyKey) -> Replay;
    read fn untold(limit: u32) -> Vec<EntryRecord>;
    effect fn told(entries: &[EntryId]) -> ();
});

faulty!(OrderBook over dyn Ledger {
    read fn order(order: OrderId) -> Option<Order>;
    effect fn begin_closing(order: OrderId, cause: ClosingCause) -> StepReply;
    effect fn step_orders(steps: Vec<(OrderId, OrderStep)>) -> Vec<StepReply>;
    effect fn sweep_deadlines(limit: u32) -> Vec<Order>;
    read fn unfinished(idle: Duration, limit: u32) -> Vec<Order>;
    read fn begun(limit: u32) -> Vec<Order>;
    effect fn begin_payment(order: OrderId, payment: PaymentId, provider: &str) -> NewPayment;
    read fn payment(payment: PaymentId) -> Option<Payment>;
    effect fn apply_payments(updates: Vec<PaymentUpdate>, once_paid: OncePaid) -> Vec<PaymentStep>;
    read fn stock(sale: &SaleId) -> Vec<StockBalance>;
    read fn gate_image(sale: &SaleId) -> GateImage;
    read fn words(orders: &[OrderId]) -> Vec<HoldUpdate>;
    read fn order_counts(sale: &SaleId) -> Vec<OrderCount>;
    read fn simulated_payment(payment: PaymentId) -> Option<SimulatedPayment>;
    effect fn open_simulated(payment: SimulatedPayment) -> SimulatedPayment;
    effect fn step_simulated(payment: PaymentId, from: SimulatedState, to: SimulatedState) -> Option<SimulatedPayment>;
    effect fn refund_simulated(refund: SimulatedRefund) -> Option<SimulatedPayment>;
    effect fn told_simulated(payment: PaymentId, state: SimulatedState) -> ();
    read fn untold_simulated(idle: Duration, limit: u32) -> Vec<SimulatedPayment>;
});

faulty!(AfterSales over dyn Ledger {
    effect fn begin_refund(order: OrderId, refund: RefundId, asked: &RefundAsked) -> RefundReply;
    effect fn fail_fulfilment(order: OrderId) -> RefundReply;
    read fn refunds(order: OrderId) -> Vec<Refund>;
    effect fn claim_refunds(lease: Duration, limit: u32) -> Vec<Refund>;
    effect fn postpone_refund(refund: RefundId, delay: Duration) -> ();
    effect fn finish_refund(refund: RefundId) -> Option<(Refund, Order)>;
    effect fn begin_change(order: OrderId, wish: Option<HoldId>, basket: &Basket) -> ChangeReply;
    read fn changed(order: OrderId) -> Option<Order>;
    effect fn end_change(order: OrderId, end: ChangeEnd) -> ChangeReply;
});

faulty!(ShopBook over dyn Ledger {
    effect fn hand_over(turns: &[Turn]) -> ();
    effect fn unheard(sale: &SaleId, silence: Duration, queued: u64, limit: u32) -> Vec<Turn>;
    effect fn give_up(entries: &[EntryId]) -> ();
    effect fn report(report: &ShopReport) -> ShopReply;
    effect fn hear(entry: EntryId, order: &ShopOrderId, word: ShopWord) -> StepReply;
    effect fn tell_remaining(sale: &SaleId, sku: &SkuId, units: u64) -> bool;
});

faulty!(UpkeepBook over dyn Ledger {
    effect fn take_duty(sale: &SaleId, duty: Duty, holder: &str, ttl: Duration) -> bool;
    read fn books(sale: &SaleId) -> Books;
    read fn hold_words(holds: &[HoldId]) -> Vec<Option<HoldWord>>;
    effect fn keep_reconciliation(found: &Reconciliation) -> ();
    read fn reconciliations() -> Vec<Reconciliation>;
    effect fn sweep_keys(limit: u32) -> KeysSwept;
    read fn minutes(sale: &SaleId, limit: u32) -> Vec<SaleMinute>;
});
