//! A store in a folder of its own, on a clock that is moved by hand; and what the tests put into it.

use std::{path::PathBuf, sync::Arc};

use rusqlite::Connection;
use sluice_backends::embedded::{Embedded, EmbeddedSettings, OpenError};
use sluice_core::{
    basket::{Basket, Item},
    clock::{ManualClock, UnixMillis},
    event::Turn,
    ids::{BuyerId, EntryId, Epoch, HoldId, OrderId, SaleId, Seq, SkuId},
    line::LineEntry,
    ports::{Author, Created, GateSaid, HoldRequest, Ports},
    random::Random,
    sale::NewSale,
};
use tempfile::TempDir;

pub(crate) const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) clock: ManualClock,
    random: Random,
}

impl House {
    pub(crate) fn new() -> Self {
        let (folder, clock) = (TempDir::new().unwrap(), ManualClock::at(NOW));
        Self { folder, clock, random: Random::seeded(7) }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("sluice.sqlite")
    }

    pub(crate) fn try_open(&self, settings: EmbeddedSettings) -> Result<Embedded, OpenError> {
        Embedded::open(&self.file(), Arc::new(self.clock.clone()), settings)
    }

    pub(crate) fn open(&self) -> Embedded {
        self.try_open(EmbeddedSettings::default()).unwrap()
    }

    /// Another program that has the file open, such as an operator's shell.
    pub(crate) fn shell(&self) -> Connection {
        let shell = Connection::open(self.file()).unwrap();
        shell.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        shell
    }

    pub(crate) fn entry(&self, seq: u64, buyer: &str) -> LineEntry {
        LineEntry {
            entry: EntryId::generate(NOW, &self.random),
            buyer: BuyerId::new(buyer).unwrap(),
            seq: Seq(seq),
            holes_below: 0,
            basket: Basket::new(vec![Item::counted(sku(), 1)]).unwrap(),
            joined_at: NOW,
            address: None,
            reach: None,
            stands_since: None,
        }
    }

    pub(crate) fn turn(&self, line_entry: LineEntry) -> Turn {
        Turn { sale: sale(), line_entry, epoch: Epoch(1), attempt: 1, called_at: NOW }
    }

    pub(crate) fn request(&self, line_entry: LineEntry) -> HoldRequest {
        HoldRequest {
            hold: HoldId::of_entry(line_entry.entry, 0),
            order: OrderId::generate(NOW, &self.random),
            line_entry,
            gate: GateSaid::Held,
        }
    }
}

pub(crate) fn sale() -> SaleId {
    SaleId::new("drop").unwrap()
}

pub(crate) fn sku() -> SkuId {
    SkuId::new("a").unwrap()
}

pub(crate) fn author() -> Author {
    Author { name: "ops".into(), address: None }
}

/// Makes the sale `drop` with so many units of `a`, and declares its queue.
pub(crate) async fn make_sale(ports: &Ports, stock: u64) {
    let new = serde_json::json!({
        "id": "drop",
        "skus": [{ "sku": "a", "stock": stock, "amount_fen": 9900, "currency": "CNY" }],
    });
    let new: NewSale = serde_json::from_value(new).unwrap();
    let created = ports.ledger.create_sale(new.build(NOW).unwrap(), &author()).await.unwrap();
    assert!(matches!(created, Created::New(_)));
    ports.waiting.declare(&sale()).await.unwrap();
}
