//! What is done by time, one shard after the other instead of a timer per connection: looks that are due, tokens to
//! renew, presence to tell, idle connections to ping.

use std::{sync::Arc, time::Duration};

use sluice_core::{
    clock::UnixMillis,
    ids::{EntryId, Seq},
    token::TOKEN_LIFE,
};
use tokio::time::Instant;

use super::{Hub, Watched, lock};
use crate::{close::Close, config::millis, room::Room};

/// An answer to a look that has not come after this many lookup timeouts never will.
const LOST_AFTER: u32 = 4;

impl Hub {
    pub(crate) fn shard_count(&self) -> usize {
        self.shards.len()
    }

    /// Visits one shard: plans a look at what the cursor passed, asks for what is due, and sweeps now and then.
    pub(crate) fn visit(&self, shard: usize) {
        let config = &self.parts.config;
        let now = Instant::now();
        let lost_after = millis(config.lookup_timeout_ms) * LOST_AFTER;
        let mut shard = lock(&self.shards[shard % self.shards.len()]);
        let sweep = now >= shard.sweep_at;
        let mut sweep_every = millis(config.sweep_interval_ms);
        let mut servings = Servings::default();
        for (entry, watched) in &mut shard.entries {
            let serving = servings.of(&watched.room, |room| {
                sweep_every = sweep_every.min(self.sweep_every(room));
            });
            let schedule = &mut watched.schedule;
            if !schedule.passed && watched.claims.seq <= serving {
                schedule.passed = true;
                schedule.due.get_or_insert(now + self.pace.first);
            }
            if schedule.asked.is_some_and(|at| now >= at + lost_after) {
                schedule.asked = None;
                schedule.due = Some(now);
            }
            if sweep {
                self.sweep(*entry, watched, self.parts.clock.now());
            }
            self.ask_if_due(*entry, &mut watched.schedule);
        }
        // A policy may have lost patience since this was planned.
        let next = now + sweep_every;
        shard.sweep_at = if sweep { next } else { shard.sweep_at.min(next) };
    }

    /// As configured, and often enough for a sale that bears little silence.
    pub(super) fn sweep_every(&self, room: &Room) -> Duration {
        let every = millis(self.parts.config.sweep_interval_ms);
        let allowed = room.view.sale().policy.silence_allowed();
        allowed.map_or(every, |allowed| every.min(allowed / 4))
    }

    fn sweep(&self, entry: EntryId, watched: &mut Watched, now: UnixMillis) {
        let config = &self.parts.config;
        let every = presence_every(watched.room.view.sale().policy.silence_allowed());
        let mut token = false;
        for watcher in &watched.watchers {
            // Of a move that the bulletin lost, the directory hears later.
            let claims = &watched.claims;
            if self.parts.directory.has_moved_since(claims.entry, watcher.held_since()) {
                watcher.end(Close::MOVED);
            }
            watcher.sweep_silence(millis(config.ping_after_ms), millis(config.ping_timeout_ms));
            let chores = watcher.chores(now, every);
            token |= chores.token;
            if chores.presence {
                let told = (watched.claims.sale.clone(), entry);
                // A full queue: the next sweep tries again.
                if self.parts.presence.try_send(told).is_ok() {
                    watcher.presence_told(now);
                }
            }
        }
        if !token {
            return;
        }
        let lookup = &self.parts.lookup;
        match lookup.waiting(&watched.room.view, &watched.claims, watched.seen) {
            Some(object) if watched.known <= object.version => {
                self.offer(watched, &Arc::new(object));
            }
            Some(_) | None => {
                watched.schedule.due = Some(Instant::now());
            }
        }
    }
}

/// How often the line is told of a connected buyer: with each token, and often enough for the sale's patience.
fn presence_every(silence_allowed: Option<Duration>) -> Duration {
    let with_tokens = TOKEN_LIFE * 2 / 3;
    silence_allowed.map_or(with_tokens, |allowed| with_tokens.min(allowed / 2))
}

/// The cursors of one visit: neighbours are mostly of one sale.
#[derive(Default)]
struct Servings(Option<(*const Room, Seq)>);

impl Servings {
    /// The cursor of a room; `first` is told of each that is not the last one's.
    fn of(&mut self, room: &Arc<Room>, first: impl FnOnce(&Room)) -> Seq {
        match self.0 {
            Some((known, serving)) if std::ptr::eq(known, Arc::as_ptr(room)) => serving,
            _ => {
                first(room);
                let serving = room.view.read().cursor().serving;
                self.0 = Some((Arc::as_ptr(room), serving));
                serving
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presence_is_told_before_the_line_loses_patience() {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        assert_eq!(presence_every(None), minutes(10));
        assert_eq!(presence_every(Some(minutes(15))), Duration::from_secs(450));
        assert_eq!(presence_every(Some(minutes(2))), minutes(1));
    }
}
