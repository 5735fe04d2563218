//! Taking messages in: into the window, and past it for the banned and for those an earlier speaker has dealt with.

use std::sync::Arc;

use sluice_core::{
    entry::Outcome,
    ids::Seq,
    line::LineEntry,
    ports::{
        EntryRecord, NewOutcome, OutcomeReason, PlaceState, PortError, Settlement, WaitingMessage,
    },
};
use tokio::time::Instant;

use super::{End, Speech};
use crate::{
    ports::within,
    window::{Place, place},
};

/// Messages taken at once, so that ticks are not kept waiting.
const MESSAGES_MAX: usize = 16;

impl Speech<'_> {
    /// Takes in a message and what else is ready.
    pub(super) async fn take_in(&mut self, first: WaitingMessage) -> Result<(), End> {
        let now = Instant::now();
        if self.window.waiting() == 0 {
            // Levels are read seldom while nobody waits.
            self.books.levels_due();
        }
        let mut recalled = self.admit(first, now);
        for _ in 1..MESSAGES_MAX {
            let ready = match &mut self.queue {
                Some(queue) if self.window.has_room() => queue.intake.try_next()?,
                Some(_) | None => None,
            };
            let Some(message) = ready else { break };
            recalled.extend(self.admit(message, now));
        }
        self.ending.look_again();
        if !recalled.is_empty() {
            self.recall(&recalled).await?;
        }
        Ok(())
    }

    /// Returns those whom an earlier speaker may have dealt with.
    fn admit(&mut self, message: WaitingMessage, now: Instant) -> Vec<Place> {
        if message.entries.iter().all(|entry| entry.joined_at > self.recall_before) {
            // What was there before has come.
            self.begun_with = Seq(0);
        } else {
            self.heard_at = now;
        }
        let bans = Arc::clone(&self.bans.borrow());
        let covered = |entry: &&LineEntry| bans.covers(&entry.buyer, entry.address);
        let banned: Vec<Place> = message.entries.iter().filter(covered).map(place).collect();
        let old = |entry: &&LineEntry| !entry.stands_by() && entry.joined_at <= self.recall_before;
        let recalled = message.entries.iter().filter(old).map(place).collect();
        self.metrics.twins(self.window.take_in(message, now));
        for entry in self.window.take_standing() {
            self.take_in_standby(entry, &bans);
        }
        for place in banned {
            if let Some(candidate) = self.window.take_in_hand(place) {
                self.pass(candidate.entry, Outcome::Refused, OutcomeReason::Banned);
            }
        }
        recalled
    }

    /// Asks the line, and where it has forgotten the ledger, what became of entries that an earlier speaker may have
    /// called: those that are settled are dropped, those that are called go out again whatever the stock.
    async fn recall(&mut self, places: &[Place]) -> Result<(), End> {
        let shared = Arc::clone(&self.shared);
        let (config, ports) = (&shared.config, &shared.ports);
        let ids = super::jobs::ids(places);
        let found = within(config.port_timeout, ports.line.find(&self.feed.id, &ids)).await?;
        expect_one_each(found.len(), places.len())?;
        let (mut waiting, mut forgotten) = (Vec::new(), Vec::new());
        for (place, found) in places.iter().zip(found) {
            match found.map(|found| found.state) {
                Some(PlaceState::Waiting) => waiting.push(*place),
                Some(PlaceState::Called) => self.window.recall(*place),
                Some(PlaceState::Settled(_) | PlaceState::Standby) => self.drop_settled(*place),
                None => forgotten.push(*place),
            }
        }
        self.recall_standing(&waiting).await?;
        if forgotten.is_empty() {
            return Ok(());
        }
        let ids = super::jobs::ids(&forgotten);
        let records = within(config.port_timeout, ports.ledger.entries(&ids)).await?;
        let standing = within(config.port_timeout, ports.ledger.stand(&ids)).await?;
        expect_one_each(records.len(), forgotten.len())?;
        expect_one_each(standing.len(), forgotten.len())?;
        let mut settled = Vec::new();
        for ((place, record), stands) in forgotten.iter().zip(records).zip(standing) {
            if let Some(record) = &record {
                settled.push((record.entry, settlement(record)));
            }
            if record.is_some() || stands {
                self.drop_settled(*place);
            }
        }
        if !settled.is_empty() {
            within(config.port_timeout, ports.line.settle(&self.feed.id, &settled)).await?;
        }
        Ok(())
    }

    /// Those who wait by the line's word may stand by in the ledger: an earlier speaker came no further.
    async fn recall_standing(&mut self, places: &[Place]) -> Result<(), End> {
        if places.is_empty() {
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let (config, ports) = (&shared.config, &shared.ports);
        let ids = super::jobs::ids(places);
        let standing = within(config.port_timeout, ports.ledger.stand(&ids)).await?;
        expect_one_each(standing.len(), places.len())?;
        let stand = ids.iter().zip(&standing).filter(|(_, stands)| **stands);
        let stand: Vec<_> = stand.map(|(entry, _)| *entry).collect();
        if !stand.is_empty() {
            within(config.port_timeout, ports.line.stand_by(&self.feed.id, &stand)).await?;
        }
        for (place, stands) in places.iter().zip(standing) {
            if stands {
                self.drop_settled(*place);
            }
        }
        Ok(())
    }

    /// The entry has its outcome, or stands by, durably: nothing is left to do for it here.
    fn drop_settled(&mut self, place: Place) {
        if self.window.take_in_hand(place).is_some() {
            self.window.finish(place);
        }
    }

    /// The list of bans changed: whoever waits and is on it is refused.
    pub(super) fn pass_the_banned(&mut self) {
        let bans = Arc::clone(&self.bans.borrow_and_update());
        for entry in self.window.take_all(|entry| bans.covers(&entry.buyer, entry.address)) {
            self.pass(entry, Outcome::Refused, OutcomeReason::Banned);
        }
        self.pass_the_banned_on_standby(&bans);
    }

    /// An entry in hand gets its outcome without a turn.
    pub(super) fn pass(&mut self, line_entry: LineEntry, outcome: Outcome, reason: OutcomeReason) {
        self.metrics.passed(outcome, reason);
        self.passing.push_back(NewOutcome { line_entry, outcome, reason });
    }
}

/// What the line is told of a recorded outcome.
pub(super) fn settlement(record: &EntryRecord) -> Settlement {
    Settlement { outcome: record.outcome, live: record.is_live() }
}

/// A port answered for more or fewer entries than it was asked about.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{answered} answers for {asked} entries")]
struct WrongCount {
    answered: usize,
    asked: usize,
}

/// Answers are matched by order, so their number must be right.
pub(super) fn expect_one_each(answered: usize, asked: usize) -> Result<(), End> {
    if answered == asked {
        Ok(())
    } else {
        Err(PortError::unavailable(WrongCount { answered, asked }).into())
    }
}
