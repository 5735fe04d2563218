//! A gate that lies, either way: the ledger decides.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use sluice_core::{
    entry::Outcome,
    ids::{Epoch, SaleId},
    ports::{
        GateHolds, GateImage, HoldUpdate, HoldsPlace, PortResult, Reserved, Restock, SkuLevel,
        StockGate, Want,
    },
};
use sluice_worker::{Config, WorkerPorts};

use crate::house::{House, Running, until};

/// Says no to the first demands, whatever there is.
#[derive(Debug)]
struct Mean {
    gate: Arc<dyn StockGate>,
    noes: AtomicU64,
}

#[async_trait]
impl StockGate for Mean {
    async fn rebuild(&self, sale: &SaleId, epoch: Epoch, image: GateImage) -> PortResult<()> {
        self.gate.rebuild(sale, epoch, image).await
    }

    async fn reserve(&self, sale: &SaleId, wants: &[Want]) -> PortResult<Vec<Reserved>> {
        let left = self.noes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        if left.is_ok() {
            return Ok(vec![Reserved::Short; wants.len()]);
        }
        self.gate.reserve(sale, wants).await
    }

    async fn set(&self, sale: &SaleId, updates: &[HoldUpdate]) -> PortResult<()> {
        self.gate.set(sale, updates).await
    }

    async fn restock(&self, sale: &SaleId, restock: &Restock) -> PortResult<()> {
        self.gate.restock(sale, restock).await
    }

    async fn levels(&self, sale: &SaleId) -> PortResult<Vec<SkuLevel>> {
        self.gate.levels(sale).await
    }

    async fn holds(&self, sale: &SaleId, from: Option<&HoldsPlace>) -> PortResult<GateHolds> {
        self.gate.holds(sale, from).await
    }

    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        self.gate.forget(sale).await
    }
}

fn mean(house: &House, noes: u64) -> WorkerPorts {
    let ports = house.worker_ports();
    let gate = Arc::new(Mean { gate: Arc::clone(&ports.gate), noes: AtomicU64::new(noes) });
    WorkerPorts { gate, ..ports }
}

#[tokio::test]
async fn a_no_that_the_ledger_does_not_share_is_asked_again() {
    let house = House::open(2).await;
    let entries = house.entries(3);
    house.release(&entries).await;
    let worker = Running::start(house.worker_over(mean(&house, 3), Config::default()));
    house.drained().await;
    let outcomes = house.outcomes(&entries).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::Reserved).count(), 2);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Outcome::SoldOut).count(), 1);
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_gate_that_never_gives_in_gets_its_turns_buried_not_sold_out() {
    let house = House::open(2).await;
    let entries = house.entries(1);
    house.release(&entries).await;
    let config = Config { tries_max: 1, disagreements_max: 2, ..Config::default() };
    let worker = Running::start(house.worker_over(mean(&house, u64::MAX), config));
    until("the turn is buried", async || house.ports.turns.depths().await.unwrap().dead == 1).await;
    assert_eq!(house.ports.ledger.entries(&[entries[0].entry]).await.unwrap(), [None]);
    assert_eq!(house.balance().await.available, 2);
    worker.stop().await;
}

#[tokio::test]
async fn a_hold_the_gate_has_written_off_is_asked_for_under_another_id() {
    let house = House::open(2).await;
    let entries = house.entries(1);
    let hold = sluice_core::ids::HoldId::of_entry(entries[0].entry, 0);
    let over = HoldUpdate::unrecorded(hold, entries[0].basket.clone());
    house.ports.gate.set(&house.sale, &[over]).await.unwrap();
    house.release(&entries).await;
    let worker = Running::start(house.worker());
    house.drained().await;
    assert_eq!(house.outcomes(&entries).await, [Outcome::Reserved]);
    house.assert_balanced().await;
    worker.stop().await;
}

#[tokio::test]
async fn a_yes_beyond_the_stock_sells_nothing_twice() {
    let house = House::open(10).await;
    let mut image = house.ports.ledger.gate_image(&house.sale).await.unwrap();
    image.skus[0].1 = 1_000;
    house.ports.gate.rebuild(&house.sale, Epoch(1), image).await.unwrap();
    let entries = house.entries(25);
    house.release(&entries).await;
    let worker = Running::start(house.worker());
    house.drained().await;
    let outcomes = house.outcomes(&entries).await;
    assert!(outcomes[..10].iter().all(|outcome| *outcome == Outcome::Reserved));
    assert!(outcomes[10..].iter().all(|outcome| *outcome == Outcome::SoldOut));
    assert_eq!(house.balance().await.held, 10);
    let levels = house.ports.gate.levels(&house.sale).await.unwrap();
    assert_eq!(levels[0].held, 10, "what was not granted was given back");
    worker.stop().await;
}
