//! The places of one line: numbers, one live place per buyer, who is called and not yet settled. A state machine without
//! I/O; the line port is its shell.

use std::collections::{HashMap, VecDeque};

use foldhash::fast::RandomState;
use sluice_core::{
    clock::UnixMillis,
    ids::{BuyerId, EntryId, Epoch, Seq, SkuId},
    line::{Caps, Cursor, Hole, LineEntry},
    ports::{
        Join, JoinReply, LineSnapshot, Place, PlaceState, PortError, PortResult, Restore,
        Settlement, Standing,
    },
    seats::Stretch,
};

use super::flight::Flight;

/// A place, and whether a worker has it in hand.
#[derive(Debug)]
struct Record {
    place: Place,
    flight: InFlight,
}

/// Where the goods of an entry stand between its call and its reservation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum InFlight {
    No,
    /// Called, and no worker has asked the gate yet.
    Yes,
    /// A worker has asked the gate: it never counts as in flight again, unless it is made another offer.
    Over,
}

/// A place that the journal or the ledger knows: what a line is restored from.
#[derive(Debug)]
pub(in crate::embedded) struct Known {
    pub(in crate::embedded) line_entry: LineEntry,
    pub(in crate::embedded) state: PlaceState,
    /// It stands by: being called means to be made an offer.
    pub(in crate::embedded) standby: bool,
}

/// See the module.
#[derive(Debug)]
pub(in crate::embedded) struct Places {
    epoch: Epoch,
    cursor: Cursor,
    last: Seq,
    high_water: Seq,
    called: u64,
    standby: u64,
    /// Boxed: a table that grows moves its entries, and a crowd makes it grow.
    places: HashMap<EntryId, Box<Record>, RandomState>,
    /// The live place of each buyer; of several, the one with the lowest number.
    buyers: HashMap<BuyerId, EntryId, RandomState>,
    /// Settlements of entries whose place is not known: a late call must not revive them. Oldest first.
    strangers: super::Fifo<EntryId, Settlement>,
    /// Settled places whose buyer is free, oldest first.
    over: VecDeque<EntryId>,
    over_max: usize,
    flight: Flight,
}

impl Places {
    /// A line that remembers nothing of its own. `proven` is the highest number that was given out: the next is the one
    /// above it. If nothing is proven it is the first of the block, and what is skipped so is a hole.
    pub(in crate::embedded) fn restored(
        epoch: Epoch,
        restore: Restore,
        proven: Seq,
        over_max: usize,
    ) -> Self {
        let Restore { block, mut cursor, last } = restore;
        let reached = proven.max(last).max(cursor.serving);
        let before = Seq(block.from.0.saturating_sub(1));
        let last = if proven > Seq(0) { reached } else { reached.max(before) };
        cursor.holes.push(Hole { from: reached.next(), to: last });
        Self {
            epoch,
            cursor,
            last,
            high_water: block.to,
            called: 0,
            standby: 0,
            places: HashMap::default(),
            buyers: HashMap::default(),
            strangers: super::Fifo::default(),
            over: VecDeque::new(),
            over_max,
            flight: Flight::default(),
        }
    }

    /// Takes in a place from the journal. `worked` tells whether a worker has it in hand already.
    pub(in crate::embedded) fn restore(&mut self, known: Known, now: UnixMillis, worked: bool) {
        let Known { line_entry, state, standby } = known;
        let id = line_entry.entry;
        self.last = self.last.max(line_entry.seq);
        let place = Place { line_entry, state, durable: true, seen_at: now, in_flight: false };
        if !is_live(state) {
            // It must not take the buyer from a live place with a higher number.
            self.places.insert(id, Box::new(Record { place, flight: InFlight::Over }));
            self.bury(id);
            return;
        }
        let standby = standby || place.line_entry.stands_by();
        let unsettled = if standby { PlaceState::Standby } else { PlaceState::Waiting };
        self.register(Place { state: unsettled, ..place });
        if worked {
            self.work(id);
        }
        match state {
            PlaceState::Waiting | PlaceState::Standby => {}
            PlaceState::Called if standby && worked => {}
            PlaceState::Called if standby => self.begin_offer(id),
            PlaceState::Called => self.begin_call(id),
            PlaceState::Settled(settlement) => self.settle_one(id, settlement),
        }
    }

    pub(in crate::embedded) fn warm(&mut self, epoch: Epoch) -> PortResult<()> {
        self.check(epoch)?;
        self.epoch = epoch;
        Ok(())
    }

    pub(in crate::embedded) fn extend(&mut self, epoch: Epoch, to: Seq) -> PortResult<()> {
        self.check(epoch)?;
        self.high_water = self.high_water.max(to);
        Ok(())
    }

    pub(in crate::embedded) fn advance(&mut self, epoch: Epoch, cursor: &Cursor) -> PortResult<()> {
        self.check(epoch)?;
        if cursor.serving >= self.cursor.serving {
            self.cursor.clone_from(cursor);
            self.last = self.last.max(cursor.serving);
        }
        Ok(())
    }

    pub(in crate::embedded) fn snapshot(&self) -> LineSnapshot {
        LineSnapshot {
            epoch: self.epoch,
            cursor: self.cursor.clone(),
            last: self.last,
            high_water: self.high_water,
            called: self.called,
            standby: self.standby,
        }
    }

    pub(in crate::embedded) fn join(&mut self, caps: Caps, join: Join) -> JoinReply {
        let at = join.candidate.joined_at;
        if let Some(proven) = join.proven
            && let Some(place) = self.prove(proven, at)
        {
            return JoinReply::Found(place);
        }
        if let Some(place) = self.live_of(&join.candidate.buyer) {
            self.seen(place.line_entry.entry, at);
            return JoinReply::Found(Place { seen_at: place.seen_at.max(at), ..place });
        }
        let full = self.cursor.waiting(self.last) >= caps.line;
        let room = self.standby < caps.standby;
        if full && !room {
            return JoinReply::Full;
        }
        if full || (join.stand_by && room) {
            let (line_entry, state) = (join.candidate.standing_by(), PlaceState::Standby);
            let place = Place { line_entry, state, durable: false, seen_at: at, in_flight: false };
            self.register(place.clone());
            return JoinReply::New(place);
        }
        if self.last >= self.high_water {
            return JoinReply::OutOfNumbers;
        }
        self.last = self.last.next();
        let mut line_entry = join.candidate;
        line_entry.seq = self.last;
        line_entry.holes_below = self.cursor.holes.upto(self.last);
        let place = Place {
            line_entry,
            state: PlaceState::Waiting,
            durable: false,
            seen_at: at,
            in_flight: false,
        };
        self.register(place.clone());
        JoinReply::New(place)
    }

    /// The place a token proves: as it is known, or registered again. `None` when its buyer is free of it.
    fn prove(&mut self, proven: LineEntry, at: UnixMillis) -> Option<Place> {
        let id = proven.entry;
        if !self.places.contains_key(&id) {
            let settled = self.strangers.get(&id).copied();
            if settled.is_some_and(|settlement| !settlement.live) {
                return None;
            }
            self.last = self.last.max(proven.seq);
            let state = if proven.stands_by() { PlaceState::Standby } else { PlaceState::Waiting };
            self.register(Place {
                line_entry: proven,
                state,
                durable: false,
                seen_at: at,
                in_flight: false,
            });
            if let Some(settlement) = settled {
                self.settle_one(id, settlement);
            }
        }
        self.seen(id, at);
        self.find(id).filter(|place| is_live(place.state))
    }

    pub(in crate::embedded) fn confirm(&mut self, entry: EntryId) {
        if let Some(record) = self.places.get_mut(&entry) {
            record.place.durable = true;
        }
    }

    pub(in crate::embedded) fn find(&self, entry: EntryId) -> Option<Place> {
        let record = self.places.get(&entry)?;
        Some(Place { in_flight: record.flight == InFlight::Yes, ..record.place.clone() })
    }

    pub(in crate::embedded) fn live_of(&self, buyer: &BuyerId) -> Option<Place> {
        self.find(*self.buyers.get(buyer)?)
    }

    pub(in crate::embedded) fn seen(&mut self, entry: EntryId, at: UnixMillis) {
        if let Some(record) = self.places.get_mut(&entry) {
            record.place.seen_at = record.place.seen_at.max(at);
        }
    }

    /// Fails on an old epoch: nobody is called then.
    pub(in crate::embedded) fn check(&self, epoch: Epoch) -> PortResult<()> {
        if epoch < self.epoch { Err(PortError::Fenced) } else { Ok(()) }
    }

    /// Calls one entry. `worked` tells whether a worker had it in hand before the line knew it.
    pub(in crate::embedded) fn call(
        &mut self,
        silent_before: Option<UnixMillis>,
        line_entry: &LineEntry,
        worked: bool,
    ) -> Standing {
        let id = line_entry.entry;
        let (state, seen_at) = match self.places.get(&id) {
            Some(record) => (record.place.state, record.place.seen_at),
            None => (PlaceState::Waiting, line_entry.joined_at),
        };
        match state {
            PlaceState::Settled(settlement) => return Standing::Settled(settlement),
            PlaceState::Called => return Standing::Called,
            PlaceState::Waiting | PlaceState::Standby => {}
        }
        if let Some(settlement) = self.strangers.get(&id) {
            return Standing::Settled(*settlement);
        }
        if let Some(of) = self.lower_of(line_entry) {
            return Standing::Twin { of };
        }
        if !self.places.contains_key(&id) {
            let (line_entry, state) = (line_entry.clone(), PlaceState::Waiting);
            self.register(Place { line_entry, state, durable: true, seen_at, in_flight: false });
            if worked {
                self.work(id);
            }
        }
        if state == PlaceState::Standby || line_entry.stands_by() {
            self.stand_by(id);
            self.begin_offer(id);
            return Standing::Called;
        }
        if silent_before.is_some_and(|limit| seen_at < limit) {
            return Standing::Silent { seen_at };
        }
        self.begin_call(id);
        Standing::Called
    }

    /// The buyer's live place with a lower number, if there is one. Any number is lower than none.
    fn lower_of(&self, line_entry: &LineEntry) -> Option<EntryId> {
        let live = self.live_of(&line_entry.buyer)?.line_entry;
        let lower = match (live.stands_by(), line_entry.stands_by()) {
            (true, _) => false,
            (false, true) => true,
            (false, false) => live.seq < line_entry.seq,
        };
        (live.entry != line_entry.entry && lower).then_some(live.entry)
    }

    /// A waiting place waits no longer: it stands by.
    pub(in crate::embedded) fn stand_by(&mut self, entry: EntryId) {
        let Some(record) = self.places.get_mut(&entry) else { return };
        if record.place.state == PlaceState::Waiting {
            record.place.state = PlaceState::Standby;
            self.standby += 1;
        }
    }

    /// What it wants is in flight, whatever became of its last offer.
    fn begin_offer(&mut self, entry: EntryId) {
        let Some(record) = self.places.get_mut(&entry) else { return };
        if record.flight != InFlight::Yes {
            record.flight = InFlight::Yes;
            self.flight.add(&record.place.line_entry.basket);
        }
    }

    pub(in crate::embedded) fn settle_one(&mut self, entry: EntryId, settlement: Settlement) {
        let Some(record) = self.places.get_mut(&entry) else {
            let freed = self.strangers.get(&entry).is_some_and(|known| !known.live);
            if !freed {
                self.strangers.insert(entry, settlement, self.over_max);
            }
            return;
        };
        match record.place.state {
            // A buyer who was freed is not bound again.
            PlaceState::Settled(Settlement { live: false, .. }) => return,
            PlaceState::Settled(Settlement { live: true, .. }) | PlaceState::Waiting => {}
            PlaceState::Called => self.called -= 1,
            PlaceState::Standby => self.standby -= 1,
        }
        record.place.state = PlaceState::Settled(settlement);
        if record.flight == InFlight::Yes {
            self.flight.take(&record.place.line_entry.basket);
        }
        record.flight = InFlight::Over;
        if !settlement.live {
            let buyer = &record.place.line_entry.buyer;
            if self.buyers.get(buyer) == Some(&entry) {
                self.buyers.remove(buyer);
            }
            self.bury(entry);
        }
    }

    /// A worker has asked the gate for this entry. Whether the line knows it.
    pub(in crate::embedded) fn work(&mut self, entry: EntryId) -> bool {
        let Some(record) = self.places.get_mut(&entry) else { return false };
        if record.flight == InFlight::Yes {
            self.flight.take(&record.place.line_entry.basket);
        }
        record.flight = InFlight::Over;
        true
    }

    pub(in crate::embedded) fn in_flight(&self, sku: &SkuId) -> u64 {
        self.flight.of(sku)
    }

    pub(in crate::embedded) fn passengers_in_flight(&self, sku: &SkuId) -> Vec<(Stretch, u32)> {
        self.flight.passengers(sku)
    }

    fn begin_call(&mut self, entry: EntryId) {
        let Some(record) = self.places.get_mut(&entry) else { return };
        if record.place.state != PlaceState::Waiting {
            return;
        }
        record.place.state = PlaceState::Called;
        self.called += 1;
        if record.flight == InFlight::No {
            record.flight = InFlight::Yes;
            self.flight.add(&record.place.line_entry.basket);
        }
    }

    /// Records a waiting place; its buyer is bound to it unless they have one with a lower number.
    fn register(&mut self, place: Place) {
        let entry = &place.line_entry;
        if self.lower_of(entry).is_none() {
            self.buyers.insert(entry.buyer.clone(), entry.entry);
        }
        self.standby += u64::from(place.state == PlaceState::Standby);
        self.places.insert(entry.entry, Box::new(Record { place, flight: InFlight::No }));
    }

    /// Remembers a settled place for a while.
    fn bury(&mut self, entry: EntryId) {
        self.over.push_back(entry);
        while self.over.len() > self.over_max {
            if let Some(oldest) = self.over.pop_front() {
                self.places.remove(&oldest);
            }
        }
    }
}

fn is_live(state: PlaceState) -> bool {
    match state {
        PlaceState::Waiting | PlaceState::Called | PlaceState::Standby => true,
        PlaceState::Settled(settlement) => settlement.live,
    }
}

#[cfg(test)]
mod tests;
