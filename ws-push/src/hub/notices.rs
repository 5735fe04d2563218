//! What the bulletin says of entries, and of places that were moved.

use std::sync::Arc;

use sluice_core::{
    entry::EntryState,
    ports::{EntryNotice, PlaceMove},
    view::object::EntryObject,
};
use tokio::time::Instant;

use super::Hub;
use crate::{close::Close, look::Finding};

impl Hub {
    /// Ends the connections of whoever held a place before it was moved.
    pub(crate) fn moved(&self, told: PlaceMove) {
        let shard = self.shard(told.entry);
        let Some(watched) = shard.entries.get(&told.entry) else { return };
        let before = watched.watchers.iter().filter(|watcher| watcher.held_since() < told.at);
        before.for_each(|watcher| watcher.end(Close::MOVED));
    }

    /// Takes in a notice. `called` is told at once: the notice says all there is to say. An outcome is looked up, so that
    /// its object is whole.
    pub(crate) fn notice(&self, notice: &EntryNotice) {
        let mut shard = self.shard(notice.entry);
        let Some(watched) = shard.entries.get_mut(&notice.entry) else { return };
        if notice.version <= watched.known {
            return;
        }
        watched.known = notice.version;
        watched.schedule.looks = 0;
        match notice.state {
            EntryState::Waiting => {}
            EntryState::Called => {
                let reading = watched.room.view.read();
                let urls = &self.parts.lookup.urls;
                let object = EntryObject::called(&reading, &watched.claims, urls);
                self.offer(watched, &Arc::new(object));
                watched.schedule.passed = true;
                let pause = self.pace.next(Finding::Called, 0);
                watched.schedule.due = pause.map(|pause| self.about(pause));
            }
            EntryState::Standby
            | EntryState::Reserved
            | EntryState::SoldOut
            | EntryState::Left
            | EntryState::Expired
            | EntryState::Refused => {
                // One that is being looked up already may have been read too early: `found` sees that it is behind.
                watched.schedule.due = Some(Instant::now());
                self.ask_if_due(notice.entry, &mut watched.schedule);
            }
        }
    }
}
