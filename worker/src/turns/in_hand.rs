//! A turn in a worker's hands, with all the deliveries of it that came together.

use std::collections::HashMap;

use sluice_core::{
    basket::Basket,
    event::Turn,
    ids::{EntryId, HoldId},
    ports::TurnDelivery,
};

#[derive(Clone, Debug)]
pub(crate) struct InHand {
    pub(crate) turn: Turn,
    /// Its deliveries; the first came first.
    pub(crate) tags: Vec<u64>,
    /// How often it was retried for faults of its own.
    pub(crate) tries: u32,
    /// Which hold of its entry it asks for: a hold the gate knows to be over is never asked for again.
    pub(crate) hold: u32,
    /// How often the gate refused what the ledger still had.
    pub(crate) disagreements: u32,
}

impl From<TurnDelivery> for InHand {
    fn from(delivery: TurnDelivery) -> Self {
        Self {
            turn: delivery.turn,
            tags: vec![delivery.tag],
            tries: delivery.tries,
            hold: 0,
            disagreements: 0,
        }
    }
}

impl InHand {
    pub(crate) fn entry(&self) -> EntryId {
        self.turn.line_entry.entry
    }

    pub(crate) fn basket(&self) -> &Basket {
        &self.turn.line_entry.basket
    }

    pub(crate) fn hold_id(&self) -> HoldId {
        HoldId::of_entry(self.entry(), self.hold)
    }
}

/// One for each entry, in order of `seq`: what a batch is worked in.
pub(crate) fn in_order(turns: Vec<InHand>) -> Vec<InHand> {
    let mut places: HashMap<EntryId, usize> = HashMap::with_capacity(turns.len());
    let mut single: Vec<InHand> = Vec::with_capacity(turns.len());
    for turn in turns {
        match places.get(&turn.entry()) {
            Some(place) => {
                let first = &mut single[*place];
                first.tries = first.tries.max(turn.tries);
                first.hold = first.hold.max(turn.hold);
                first.disagreements = first.disagreements.max(turn.disagreements);
                first.tags.extend(turn.tags);
            }
            None => {
                places.insert(turn.entry(), single.len());
                single.push(turn);
            }
        }
    }
    single.sort_by_key(|turn| turn.turn.line_entry.turn_order());
    single
}
