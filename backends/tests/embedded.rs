//! The embedded backend keeps every port's rules, with a writer thread and inline.
//!
//! A crash is what `kill -9` leaves: the files as they lie on the disk at that very instant, copied beside and opened by
//! another process. Whatever the old one still had in its hands, an unfinished commit included, is not in the copy.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use sluice_backends::embedded::{Embedded, EmbeddedSettings, OpenError};
use sluice_core::{
    clock::{Clock, ManualClock, UnixMillis},
    ports::{
        Bulletin, Ledger, Line, Ports, StockGate,
        conformance::{House, Narrowed, Queues, Stage, letters::Buried},
    },
};
use tempfile::TempDir;

const FILE: &str = "sluice.db";
const LOG: &str = "sluice.db-wal";

/// How the file is opened.
type Open = fn(&Path, Arc<dyn Clock>, EmbeddedSettings) -> Result<Embedded, OpenError>;

/// An embedded backend in a folder of its own, on a clock that rules move.
#[derive(Debug)]
struct Home {
    folder: TempDir,
    crashes: u32,
    clock: ManualClock,
    open: Open,
    backend: Embedded,
}

impl Home {
    fn new(open: Open) -> Self {
        let folder = TempDir::new().unwrap();
        let clock = ManualClock::at(UnixMillis(1_767_225_600_000));
        let file = life(folder.path(), 0).join(FILE);
        let settings = EmbeddedSettings::default();
        let backend = open(&file, Arc::new(clock.clone()), settings).unwrap();
        Self { folder, crashes: 0, clock, open, backend }
    }
}

/// The folder of the process that came after so many crashes.
fn life(folder: &Path, crashes: u32) -> PathBuf {
    let life = folder.join(format!("life-{crashes}"));
    fs::create_dir_all(&life).unwrap();
    life
}

/// The file and its log as they are now. Looks again when the log was written back into the file meanwhile.
fn seize(from: &Path, to: &Path) {
    loop {
        let before = fs::read(from.join(FILE)).unwrap();
        let log = fs::read(from.join(LOG)).unwrap_or_default();
        if fs::read(from.join(FILE)).unwrap() == before {
            fs::write(to.join(FILE), before).unwrap();
            fs::write(to.join(LOG), log).unwrap();
            return;
        }
    }
}

#[async_trait]
impl House for Home {
    type Port = Ports;

    fn port(&self) -> Ports {
        self.backend.ports()
    }

    async fn crash(&mut self) {
        let (old, new) =
            (life(self.folder.path(), self.crashes), life(self.folder.path(), self.crashes + 1));
        seize(&old, &new);
        self.crashes += 1;
        let clock = Arc::new(self.clock.clone());
        self.backend = (self.open)(&new.join(FILE), clock, EmbeddedSettings::default()).unwrap();
    }

    async fn pass(&self, by: Duration) {
        self.clock.advance(by);
    }
}

macro_rules! suites {
    ($($name:ident: $suite:ident over $house:ident),+ $(,)?) => {
        $(
            mod $name {
                sluice_core::$suite!(super::$house);
            }
        )+
    };
}

/// Every suite over one way to open the file.
macro_rules! every_suite {
    ($engine:ident, $open:path) => {
        mod $engine {
            use super::*;

            async fn whole() -> Home {
                Home::new($open)
            }

            async fn line() -> Narrowed<Home, Arc<dyn Line>> {
                Narrowed::new(whole().await, |ports| ports.line)
            }

            async fn gate() -> Narrowed<Home, Arc<dyn StockGate>> {
                Narrowed::new(whole().await, |ports| ports.gate)
            }

            async fn stage() -> Narrowed<Home, Stage> {
                Narrowed::new(whole().await, |Ports { line, gate, .. }| Stage { line, gate })
            }

            async fn queues() -> Narrowed<Home, Queues> {
                Narrowed::new(whole().await, |Ports { waiting, turns, .. }| Queues {
                    waiting,
                    turns,
                })
            }

            async fn buried() -> Narrowed<Home, Buried> {
                Narrowed::new(whole().await, |Ports { waiting, turns, letters, .. }| Buried {
                    queues: Queues { waiting, turns },
                    letters,
                })
            }

            async fn bulletin() -> Narrowed<Home, Arc<dyn Bulletin>> {
                Narrowed::new(whole().await, |ports| ports.bulletin)
            }

            async fn ledger() -> Narrowed<Home, Arc<dyn Ledger>> {
                Narrowed::new(whole().await, |ports| ports.ledger)
            }

            suites! {
                line_places: line_conformance over line,
                line_numbers: numbers_conformance over line,
                line_calls: calls_conformance over line,
                gate_stock: gate_conformance over gate,
                gate_holds: gate_holds_conformance over gate,
                gate_rebuilds: rebuilds_conformance over gate,
                gate_walk: gate_walk_conformance over gate,
                gate_flight: flight_conformance over stage,
                line_standing: standing_conformance over stage,
                gate_seats: seats_conformance over gate,
                waiting_queue: waiting_conformance over queues,
                waiting_drains: drains_conformance over queues,
                turn_queue: turns_conformance over queues,
                dead_letters: letters_conformance over buried,
                bulletin_board: bulletin_conformance over bulletin,
                ledger_sales: sales_conformance over ledger,
                ledger_audit: audit_conformance over ledger,
                ledger_speaker: speaker_conformance over ledger,
                ledger_entries: entries_conformance over ledger,
                ledger_holds: holds_conformance over ledger,
                ledger_seats: seat_holds_conformance over ledger,
                ledger_seat_returns: seat_returns_conformance over ledger,
                ledger_images: images_conformance over ledger,
                ledger_orders: orders_conformance over ledger,
                ledger_payments: payments_conformance over ledger,
                ledger_batches: batches_conformance over ledger,
                ledger_aftersales: aftersales_conformance over ledger,
                ledger_changes: changes_conformance over ledger,
                ledger_shop: shop_conformance over ledger,
                ledger_simulated: simulated_conformance over ledger,
                ledger_moves: moves_conformance over ledger,
                ledger_standby: standby_conformance over ledger,
                ledger_upkeep: upkeep_conformance over ledger,
                ledger_walk: ledger_walk_conformance over ledger,
                journey: journey_conformance over whole,
            }
        }
    };
}

every_suite!(threads, Embedded::open);
every_suite!(inline, Embedded::open_inline);
