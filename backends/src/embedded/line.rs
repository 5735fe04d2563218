//! The line in memory, rebuilt from the journal. It is cold after a start until the sale's speaker warms it; what it is
//! rebuilt from is read on the writer, so that no outcome falls between the reading and the memory.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use sluice_core::{
    clock::{Clock, UnixMillis},
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq},
    line::{Caps, Cursor, LineEntry},
    ports::{
        Join, JoinReply, Line, LineSnapshot, Place, PortError, PortResult, Restore, Settlement,
        Standing,
    },
};

use super::{
    memory::{Memory, Places},
    store::Store,
    sync::locked,
};

mod journal;

/// See the module.
#[derive(Debug)]
pub(super) struct MemoryLine {
    memory: Arc<Memory>,
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
}

impl MemoryLine {
    pub(super) fn new(memory: Arc<Memory>, store: Arc<Store>, clock: Arc<dyn Clock>) -> Self {
        Self { memory, store, clock }
    }

    fn on<T>(
        &self,
        sale: &SaleId,
        look: impl FnOnce(&mut Places) -> PortResult<T>,
    ) -> PortResult<T> {
        self.memory.known(sale, |memory| look(memory.line()?))
    }

    async fn restore(&self, sale: &SaleId, epoch: Epoch, restore: Restore) -> PortResult<()> {
        let (memory, sale, now) = (Arc::clone(&self.memory), sale.clone(), self.clock.now());
        let (read, asked) = (sale.clone(), Mutex::new(None));
        let outcome = Arc::new(asked);
        let told = Arc::clone(&outcome);
        let work = move |connection: &rusqlite::Connection| {
            journal::read(connection, &read).map(|journal| Mutex::new(Some(journal)))
        };
        let then = move |read: &Mutex<Option<journal::Journal>>| {
            let Some(journal) = locked(read).take() else { return };
            let warmed = memory.with(&sale, |of_sale| {
                if let Some(line) = of_sale.line.as_mut() {
                    return line.warm(epoch);
                }
                let most = memory.remembered.settled_places_max;
                let mut line = Places::restored(epoch, restore, journal.proven, most);
                for known in journal.places {
                    let worked = of_sale.was_worked(known.line_entry.entry);
                    line.restore(known, now, worked);
                }
                of_sale.line = Some(line);
                Ok(())
            });
            *locked(&told) = Some(warmed);
        };
        self.store.write("line.warm", work, then).await?;
        let warmed = locked(&outcome).take();
        warmed.unwrap_or(Err(PortError::Cold))
    }
}

#[async_trait]
impl Line for MemoryLine {
    async fn warm(&self, sale: &SaleId, epoch: Epoch, restore: Option<Restore>) -> PortResult<()> {
        match (self.on(sale, |line| line.warm(epoch)), restore) {
            (Err(PortError::Cold), Some(restore)) => self.restore(sale, epoch, restore).await,
            (warmed, _) => warmed,
        }
    }

    async fn extend(&self, sale: &SaleId, epoch: Epoch, to: Seq) -> PortResult<()> {
        self.on(sale, |line| line.extend(epoch, to))
    }

    async fn join(
        &self,
        sale: &SaleId,
        caps: Caps,
        joins: Vec<Join>,
    ) -> PortResult<Vec<JoinReply>> {
        self.on(sale, |line| Ok(joins.into_iter().map(|join| line.join(caps, join)).collect()))
    }

    async fn confirm(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        self.on(sale, |line| {
            entries.iter().for_each(|entry| line.confirm(*entry));
            Ok(())
        })
    }

    async fn find(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<Vec<Option<Place>>> {
        self.on(sale, |line| Ok(entries.iter().map(|entry| line.find(*entry)).collect()))
    }

    async fn find_buyer(&self, sale: &SaleId, buyer: &BuyerId) -> PortResult<Option<Place>> {
        self.on(sale, |line| Ok(line.live_of(buyer)))
    }

    async fn seen(&self, sale: &SaleId, entries: &[EntryId], at: UnixMillis) -> PortResult<()> {
        self.on(sale, |line| {
            entries.iter().for_each(|entry| line.seen(*entry, at));
            Ok(())
        })
    }

    async fn call(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        silent_before: Option<UnixMillis>,
        entries: &[LineEntry],
    ) -> PortResult<Vec<Standing>> {
        self.memory.known(sale, |memory| {
            memory.line()?.check(epoch)?;
            let mut standings = Vec::with_capacity(entries.len());
            for line_entry in entries {
                let worked = memory.was_worked(line_entry.entry);
                standings.push(memory.line()?.call(silent_before, line_entry, worked));
            }
            Ok(standings)
        })
    }

    async fn stand_by(&self, sale: &SaleId, entries: &[EntryId]) -> PortResult<()> {
        self.on(sale, |line| {
            entries.iter().for_each(|entry| line.stand_by(*entry));
            Ok(())
        })
    }

    async fn settle(&self, sale: &SaleId, settled: &[(EntryId, Settlement)]) -> PortResult<()> {
        self.on(sale, |line| {
            for (entry, settlement) in settled {
                line.settle_one(*entry, *settlement);
            }
            Ok(())
        })
    }

    async fn advance(&self, sale: &SaleId, epoch: Epoch, cursor: &Cursor) -> PortResult<()> {
        self.on(sale, |line| line.advance(epoch, cursor))
    }

    async fn snapshot(&self, sale: &SaleId) -> PortResult<LineSnapshot> {
        self.on(sale, |line| Ok(line.snapshot()))
    }

    async fn forget(&self, sale: &SaleId) -> PortResult<()> {
        self.memory.forget(sale, |memory| memory.line = None);
        Ok(())
    }
}
