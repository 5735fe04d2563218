//! A ledger that fails: for one turn, or altogether. Only the former costs a turn its tries.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    entry::Outcome,
    event::Turn,
    ids::{
        EntryId, Epoch, HoldId, OrderId, PaymentId, RefundId, SaleId, Seq, ShopOrderId, SkuId,
        Version,
    },
    line::{Cursor, LineEntry},
    order::{ClosingCause, Order},
    ports::*,
    reconcile::Reconciliation,
    refund::{Refund, RefundAsked},
    sale::{Sale, SaleChange},
};
use sluice_worker::{Config, WorkerPorts};

use crate::house::{House, Running, until};

#[derive(Debug)]
pub(crate) struct Shaky {
    ledger: Arc<dyn Ledger>,
    /// A batch with this entry fails.
    poison: Option<EntryId>,
    /// Every write of a turn's outcome or of a payment fails, and so does every probe.
    pub(crate) down: AtomicBool,
    /// So many words on payments are not taken, though all else is.
    pub(crate) words_rejected: AtomicU64,
    /// So many words on payments are taken, and the answers are lost.
    pub(crate) words_lost: AtomicU64,
    /// Words on payments are taken, and the answers held back.
    pub(crate) words_held: AtomicBool,
    pub(crate) refused: AtomicU64,
    /// One unit more is told to be sold than there is.
    pub(crate) miscounts: AtomicU64,
}

/// Takes one, if there is one.
fn take_one(of: &AtomicU64) -> bool {
    of.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok()
}

impl Shaky {
    fn takes(&self, call: &str) -> bool {
        if call != "apply_payments" {
            return true;
        }
        !take_one(&self.words_rejected) && !self.down.load(Ordering::SeqCst)
    }

    /// On the way back from the ledger, which has done it.
    async fn answers(&self, call: &str) -> PortResult<()> {
        if call != "apply_payments" {
            return Ok(());
        }
        while self.words_held.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if take_one(&self.words_lost) {
            Err(PortError::silent("as the test wants it"))
        } else {
            Ok(())
        }
    }

    fn refusal(&self) -> PortError {
        self.refused.fetch_add(1, Ordering::SeqCst);
        PortError::unavailable("as the test wants it")
    }
}

/// Passes calls on to the ledger.
macro_rules! book {
    ($book:ident { $(fn $name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl $book for Shaky {
            $(async fn $name(&self, $($argument: $kind),*) -> PortResult<$answer> {
                if !self.takes(stringify!($name)) {
                    return Err(self.refusal());
                }
                let answer = self.ledger.$name($($argument),*).await;
                self.answers(stringify!($name)).await?;
                answer
            })*
        }
    };
}

book!(SaleBook {
    fn sales() -> Vec<Arc<Sale>>;
    fn sale(sale: &SaleId) -> Option<Arc<Sale>>;
    fn create_sale(sale: Sale, author: &Author) -> Created;
    fn change_sale(sale: &SaleId, expected: Option<Version>, change: SaleChange, author: &Author, reason: Option<String>) -> Changed;
    fn delete_sale(sale: &SaleId, author: &Author, reason: Option<String>) -> Deleted;
    fn audit(before: Option<u64>, limit: u32) -> Vec<AuditRow>;
    fn bans() -> BanList;
    fn add_ban(rule: BanRule, reason: Option<String>, author: &Author) -> Ban;
    fn remove_ban(id: u64, author: &Author, reason: Option<String>) -> bool;
    fn record(audit: Audit) -> ();
});

book!(Speaker {
    fn lease(sale: &SaleId, holder: &str, ttl: Duration) -> LeaseReply;
    fn release_lease(sale: &SaleId, holder: &str) -> ();
    fn renew_epoch(sale: &SaleId, holder: &str) -> Option<Epoch>;
    fn next_block(sale: &SaleId, count: u64) -> Block;
    fn high_water(sale: &SaleId) -> Seq;
    fn cursor(sale: &SaleId) -> Cursor;
    fn given_out(sale: &SaleId) -> Seq;
    fn save_cursor(sale: &SaleId, epoch: Epoch, cursor: &Cursor, given_out: Seq) -> CursorSaved;
});

book!(OrderBook {
    fn order(order: OrderId) -> Option<Order>;
    fn begin_closing(order: OrderId, cause: ClosingCause) -> StepReply;
    fn step_orders(steps: Vec<(OrderId, OrderStep)>) -> Vec<StepReply>;
    fn sweep_deadlines(limit: u32) -> Vec<Order>;
    fn unfinished(idle: Duration, limit: u32) -> Vec<Order>;
    fn begun(limit: u32) -> Vec<Order>;
    fn begin_payment(order: OrderId, payment: PaymentId, provider: &str) -> NewPayment;
    fn payment(payment: PaymentId) -> Option<Payment>;
    fn apply_payments(updates: Vec<PaymentUpdate>, once_paid: OncePaid) -> Vec<PaymentStep>;
    fn stock(sale: &SaleId) -> Vec<StockBalance>;
    fn gate_image(sale: &SaleId) -> GateImage;
    fn words(orders: &[OrderId]) -> Vec<HoldUpdate>;
    fn order_counts(sale: &SaleId) -> Vec<OrderCount>;
    fn simulated_payment(payment: PaymentId) -> Option<SimulatedPayment>;
    fn open_simulated(payment: SimulatedPayment) -> SimulatedPayment;
    fn step_simulated(payment: PaymentId, from: SimulatedState, to: SimulatedState) -> Option<SimulatedPayment>;
    fn refund_simulated(refund: SimulatedRefund) -> Option<SimulatedPayment>;
    fn told_simulated(payment: PaymentId, state: SimulatedState) -> ();
    fn untold_simulated(idle: Duration, limit: u32) -> Vec<SimulatedPayment>;
});

book!(AfterSales {
    fn begin_refund(order: OrderId, refund: RefundId, asked: &RefundAsked) -> RefundReply;
    fn fail_fulfilment(order: OrderId) -> RefundReply;
    fn refunds(order: OrderId) -> Vec<Refund>;
    fn claim_refunds(lease: Duration, limit: u32) -> Vec<Refund>;
    fn postpone_refund(refund: RefundId, delay: Duration) -> ();
    fn finish_refund(refund: RefundId) -> Option<(Refund, Order)>;
    fn begin_change(order: OrderId, wish: Option<HoldId>, basket: &Basket) -> ChangeReply;
    fn changed(order: OrderId) -> Option<Order>;
    fn end_change(order: OrderId, end: ChangeEnd) -> ChangeReply;
});

book!(ShopBook {
    fn hand_over(turns: &[Turn]) -> ();
    fn unheard(sale: &SaleId, silence: Duration, queued: u64, limit: u32) -> Vec<Turn>;
    fn give_up(entries: &[EntryId]) -> ();
    fn report(report: &ShopReport) -> ShopReply;
    fn hear(entry: EntryId, order: &ShopOrderId, word: ShopWord) -> StepReply;
    fn tell_remaining(sale: &SaleId, sku: &SkuId, units: u64) -> bool;
});

book!(MoveBook {
    fn move_place(sale: &SaleId, entry: EntryId, held_since: UnixMillis, name: MoveName) -> Option<UnixMillis>;
    fn moved_at(entry: EntryId) -> Option<UnixMillis>;
    fn moves(after: UnixMillis, limit: u32) -> Vec<PlaceMove>;
});

#[async_trait]
impl StandbyBook for Shaky {
    async fn stand_by(
        &self,
        sale: &SaleId,
        entries: Vec<LineEntry>,
    ) -> PortResult<Vec<StandReply>> {
        self.ledger.stand_by(sale, entries).await
    }

    async fn standing(&self, sale: &SaleId, limit: u32, but: &[Basket]) -> PortResult<StandbyList> {
        self.ledger.standing(sale, limit, but).await
    }

    async fn stand(&self, entries: &[EntryId]) -> PortResult<Vec<bool>> {
        self.ledger.stand(entries).await
    }
}

#[async_trait]
impl UpkeepBook for Shaky {
    async fn take_duty(
        &self,
        sale: &SaleId,
        duty: Duty,
        holder: &str,
        ttl: Duration,
    ) -> PortResult<bool> {
        self.ledger.take_duty(sale, duty, holder, ttl).await
    }

    async fn books(&self, sale: &SaleId) -> PortResult<Books> {
        let mut books = self.ledger.books(sale).await?;
        books.balances[0].sold += self.miscounts.load(Ordering::SeqCst);
        Ok(books)
    }

    async fn hold_words(&self, holds: &[HoldId]) -> PortResult<Vec<Option<HoldWord>>> {
        self.ledger.hold_words(holds).await
    }

    async fn keep_reconciliation(&self, found: &Reconciliation) -> PortResult<()> {
        self.ledger.keep_reconciliation(found).await
    }

    async fn reconciliations(&self) -> PortResult<Vec<Reconciliation>> {
        self.ledger.reconciliations().await
    }

    async fn sweep_keys(&self, limit: u32) -> PortResult<KeysSwept> {
        self.ledger.sweep_keys(limit).await
    }

    async fn minutes(&self, sale: &SaleId, limit: u32) -> PortResult<Vec<SaleMinute>> {
        self.ledger.minutes(sale, limit).await
    }
}

#[async_trait]
impl EntryBook for Shaky {
    async fn entries(&self, entries: &[EntryId]) -> PortResult<Vec<Option<EntryRecord>>> {
        self.ledger.entries(entries).await
    }

    async fn settle(
        &self,
        sale: &SaleId,
        outcomes: Vec<NewOutcome>,
    ) -> PortResult<Vec<EntryRecord>> {
        self.ledger.settle(sale, outcomes).await
    }

    async fn hold(&self, sale: &SaleId, requests: Vec<HoldRequest>) -> PortResult<Vec<HoldReply>> {
        let poisoned = |request: &HoldRequest| Some(request.line_entry.entry) == self.poison;
        if self.down.load(Ordering::SeqCst) || requests.iter().any(poisoned) {
            return Err(self.refusal());
        }
        self.ledger.hold(sale, requests).await
    }

    async fn replay(&self, key: &IdempotencyKey) -> PortResult<Replay> {
        if self.down.load(Ordering::SeqCst) {
            return Err(self.refusal());
        }
        self.ledger.replay(key).await
    }

    async fn untold(&self, limit: u32) -> PortResult<Vec<EntryRecord>> {
        self.ledger.untold(limit).await
    }

    async fn told(&self, entries: &[EntryId]) -> PortResult<()> {
        self.ledger.told(entries).await
    }
}

pub(crate) fn shaky(
    house: &House,
    poison: Option<EntryId>,
    down: bool,
) -> (WorkerPorts, Arc<Shaky>) {
    let ports = house.worker_ports();
    let ledger = Arc::clone(&ports.ledger);
    let ledger = Arc::new(Shaky {
        ledger,
        poison,
        down: AtomicBool::new(down),
        words_rejected: AtomicU64::new(0),
        words_lost: AtomicU64::new(0),
        words_held: AtomicBool::new(false),
        refused: AtomicU64::new(0),
        miscounts: AtomicU64::new(0),
    });
    (WorkerPorts { ledger: Arc::clone(&ledger) as Arc<dyn Ledger>, ..ports }, ledger)
}

#[tokio::test]
async fn one_turn_the_ledger_rejects_does_not_take_the_batch_with_it() {
    let house = House::open(20).await;
    let entries = house.entries(11);
    let poison = entries[4].entry;
    house.release(&entries).await;
    let (ports, _) = shaky(&house, Some(poison), false);
    let config = Config { tries_max: 1, port_tries_max: 1, ..Config::default() };
    let worker = Running::start(house.worker_over(ports, config));
    until("the poison is buried", async || house.ports.turns.depths().await.unwrap().dead == 1)
        .await;
    house.drained().await;
    let ids: Vec<EntryId> = entries.iter().map(|entry| entry.entry).collect();
    let records = house.ports.ledger.entries(&ids).await.unwrap();
    for (id, record) in ids.iter().zip(&records) {
        let outcome = record.as_ref().map(|record| record.outcome);
        assert_eq!(outcome, (*id != poison).then_some(Outcome::Reserved));
    }
    let levels = house.ports.gate.levels(&house.sale).await.unwrap();
    assert_eq!((levels[0].available, levels[0].held), (10, 10), "its goods were given back");
    worker.stop().await;
}

#[tokio::test]
async fn a_ledger_that_is_away_costs_no_tries() {
    let house = House::open(20).await;
    let entries = house.entries(5);
    house.release(&entries).await;
    let (ports, ledger) = shaky(&house, None, true);
    let config = Config { tries_max: 1, port_tries_max: 1, ..Config::default() };
    let worker = Running::start(house.worker_over(ports, config));
    until("it was refused in several rounds", async || ledger.refused.load(Ordering::SeqCst) >= 6)
        .await;
    let depths = house.ports.turns.depths().await.unwrap();
    assert_eq!((depths.turns, depths.dead), (5, 0));
    ledger.down.store(false, Ordering::SeqCst);
    house.drained().await;
    assert_eq!(house.outcomes(&entries).await, [Outcome::Reserved; 5]);
    house.assert_balanced().await;
    worker.stop().await;
}
