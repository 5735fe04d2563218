//! Ports with a fuse: at one chosen call, before or after its effect, everything stands still for ever, as if the process
//! had died there.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use sluice_core::{
    clock::UnixMillis,
    event::Turn,
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq},
    line::{Caps, Cursor, LineEntry},
    ports::{
        Bulletin, GateHolds, GateImage, HoldUpdate, HoldsPlace, Join, JoinReply, Line,
        LineSnapshot, Notice, Place, PortResult, QueueDepths, Reserved, Restock, Restore,
        Settlement, SkuLevel, Standing, StockGate, Subscription, TurnIntake, TurnQueue, Want,
        WorkOutlet,
    },
};
use sluice_worker::WorkerPorts;
use tokio_util::sync::CancellationToken;

/// Blows at the n-th point, counted over all fused calls: two points each, before and after the effect.
#[derive(Debug)]
pub(crate) struct Fuse {
    left: AtomicU64,
    pub(crate) blown: CancellationToken,
}

impl Fuse {
    pub(crate) fn at(point: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(point), blown: CancellationToken::new() })
    }

    async fn point(&self) {
        let before =
            self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match before {
            Ok(left) if left > 1 => {}
            Ok(_) | Err(_) => {
                self.blown.cancel();
                std::future::pending::<()>().await;
            }
        }
    }

    async fn around<T>(&self, call: impl Future<Output = T>) -> T {
        self.point().await;
        let answer = call.await;
        self.point().await;
        answer
    }
}

#[derive(Debug)]
struct Fused<T: ?Sized> {
    fuse: Arc<Fuse>,
    port: Arc<T>,
}

/// The same ports, fused.
pub(crate) fn fused(ports: WorkerPorts, fuse: &Arc<Fuse>) -> WorkerPorts {
    WorkerPorts {
        line: Arc::new(Fused { fuse: Arc::clone(fuse), port: ports.line }),
        turns: Arc::new(Fused { fuse: Arc::clone(fuse), port: ports.turns }),
        gate: Arc::new(Fused { fuse: Arc::clone(fuse), port: ports.gate }),
        bulletin: Arc::new(Fused { fuse: Arc::clone(fuse), port: ports.bulletin }),
        ..ports
    }
}

#[async_trait]
impl StockGate for Fused<dyn StockGate> {
    async fn rebuild(&self, sale: &SaleId, epoch: Epoch, image: GateImage) -> PortResult<()> {
        self.port.rebuild(sale, epoch, image).await
    }

    async fn reserve(&self, sale: &SaleId, wants: &[Want]) -> PortResult<Vec<Reserved>> {
        self.fuse.around(self.port.reserve(sale, wants)).await
    }

    async fn set(&self, sale: &SaleId, updates: &[HoldUpdate]) -> PortResult<()> {
        self.fuse.around(self.port.set(sale, updates)).await
    }

    async fn restock(&self, sale: &SaleId, restock: &Restock) -> PortResult<()> {
        self.port.restock(sale, restock).await
    }

    async fn levels(&self, sale: &SaleId) -> PortResult<Vec<SkuLevel>> {
        self.port.levels(sale).await
    }

    async fn holds(&self, sale: &SaleId, from: Option<&HoldsPlace>) -> PortResult<GateHolds> {
        self.port.holds(sale, from).await
    }

    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        self.port.forget(sale).await
    }
}

#[async_trait]
impl Line for Fused<dyn Line> {
    async fn warm(&self, sale: &SaleId, epoch: Epoch, restore: Option<Restore>) -> PortResult<()> {
        self.port.warm(sale, epoch, restore).await
    }

    async fn extend(&self, sale: &SaleId, epoch: Epoch, to: Seq) -> PortResult<()> {
        self.port.extend(sale, epoch, to).await
    }

    async fn join(
        &self,
        sale: &SaleId,
        caps: Caps,
        joins: Vec<Join>,
    ) -> PortResult<Vec<JoinReply>> {
        self.port.join(sale, caps, joins).await
    }

    async fn confirm(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        self.port.confirm(sale, entries).await
    }

    async fn find(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<Vec<Option<Place>>> {
        self.port.find(sale, entries).await
    }

    async fn find_buyer(&self, sale: &SaleId, buyer: &BuyerId) -> PortResult<Option<Place>> {
        self.port.find_buyer(sale, buyer).await
    }

    async fn seen(&self, sale: &SaleId, entries: &[EntryId], at: UnixMillis) -> PortResult<()> {
        self.port.seen(sale, entries, at).await
    }

    async fn call(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        silent_before: Option<UnixMillis>,
        entries: &[LineEntry],
    ) -> PortResult<Vec<Standing>> {
        self.port.call(sale, epoch, silent_before, entries).await
    }

    async fn stand_by(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        self.port.stand_by(sale, entries).await
    }
    async fn settle(&self, sale: &SaleId, settled: &[(EntryId, Settlement)]) -> PortResult<()> {
        self.fuse.around(self.port.settle(sale, settled)).await
    }

    async fn advance(&self, sale: &SaleId, epoch: Epoch, cursor: &Cursor) -> PortResult<()> {
        self.port.advance(sale, epoch, cursor).await
    }

    async fn snapshot(&self, sale: &SaleId) -> PortResult<LineSnapshot> {
        self.port.snapshot(sale).await
    }

    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        self.port.forget(sale).await
    }
}

#[async_trait]
impl Bulletin for Fused<dyn Bulletin> {
    async fn publish(&self, notice: Notice) -> PortResult<()> {
        self.fuse.around(self.port.publish(notice)).await
    }

    async fn subscribe(&self) -> PortResult<Box<dyn Subscription>> {
        self.port.subscribe().await
    }
}

#[async_trait]
impl TurnQueue for Fused<dyn TurnQueue> {
    async fn consume(&self, prefetch: usize) -> PortResult<TurnIntake> {
        let TurnIntake { deliveries, outlet } = self.port.consume(prefetch).await?;
        let outlet = Arc::new(Fused { fuse: Arc::clone(&self.fuse), port: outlet });
        Ok(TurnIntake { deliveries, outlet })
    }

    async fn depths(&self) -> PortResult<QueueDepths> {
        self.port.depths().await
    }

    async fn release_again(&self, turns: &[Turn]) -> PortResult<()> {
        self.fuse.around(self.port.release_again(turns)).await
    }

    async fn bury_unheard(&self, turn: &Turn, reason: &str) -> PortResult<()> {
        self.fuse.around(self.port.bury_unheard(turn, reason)).await
    }
}

#[async_trait]
impl WorkOutlet for Fused<dyn WorkOutlet> {
    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        self.fuse.around(self.port.ack(tags)).await
    }

    async fn retry(&self, tag: u64, delay: std::time::Duration) -> PortResult<()> {
        self.fuse.around(self.port.retry(tag, delay)).await
    }

    async fn bury(&self, tag: u64, reason: &str) -> PortResult<()> {
        self.fuse.around(self.port.bury(tag, reason)).await
    }
}
