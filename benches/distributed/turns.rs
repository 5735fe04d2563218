//! Turns of buyers who each come once and want one unit.

use sluice_backends::clock::SystemClock;
use sluice_core::{
    basket::{Basket, Item},
    clock::Clock,
    event::Turn,
    ids::{BuyerId, EntryId, Epoch, HoldId, OrderId, Seq},
    line::LineEntry,
    ports::{GateSaid, HoldRequest},
    random::Random,
};

use super::sale::SALE;

/// What identities are drawn from.
pub(crate) struct Names {
    pub(crate) clock: SystemClock,
    pub(crate) random: Random,
}

impl Names {
    pub(crate) fn system() -> Self {
        Self { clock: SystemClock, random: Random::system() }
    }

    /// The turn of the buyer with this number; `kind` sets the buyers of one measurement apart from those of another.
    pub(crate) fn turn(&self, kind: &str, n: u32) -> Turn {
        let now = self.clock.now();
        let item = Item::counted("a".parse().unwrap(), 1);
        let line_entry = LineEntry {
            entry: EntryId::generate(now, &self.random),
            buyer: BuyerId::new(&format!("{kind}-{n}")).unwrap(),
            seq: Seq(n.into()),
            holes_below: 0,
            basket: Basket::new(vec![item]).unwrap(),
            joined_at: now,
            address: None,
            reach: None,
            stands_since: None,
        };
        Turn {
            sale: SALE.parse().unwrap(),
            line_entry,
            epoch: Epoch(1),
            attempt: 1,
            called_at: now,
        }
    }

    /// That turn as a worker asks the ledger about it, once the gate has held its unit.
    pub(crate) fn held(&self, kind: &str, n: u32) -> HoldRequest {
        let Turn { line_entry, .. } = self.turn(kind, n);
        HoldRequest {
            hold: HoldId::of_entry(line_entry.entry, 0),
            order: OrderId::generate(self.clock.now(), &self.random),
            line_entry,
            gate: GateSaid::Held,
        }
    }
}
