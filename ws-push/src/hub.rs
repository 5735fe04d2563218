//! The hub: which connections watch which entry, and what they have heard. Many shards, each behind a lock that is held
//! for moments and never across an await.
//!
//! It decides nothing about an entry: notices and looks bring what is true, the hub passes on what is news to each
//! connection and remembers when to look again.

use std::{
    collections::HashMap,
    fmt::{self, Debug},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use sluice_core::{
    clock::{Clock, UnixMillis},
    ids::{EntryId, SaleId, Seq, Version},
    random::Random,
    token::{Claims, Keyring},
    view::{Directory, lookup::Lookup, object::EntryObject},
};
use tokio::{sync::mpsc, time::Instant};

use crate::{
    close::Close,
    config::{Config, millis},
    look::{Finding, Pace},
    room::Room,
    watcher::Watcher,
};

mod notices;
mod sweep;

/// What the hub is made of.
pub(crate) struct Parts {
    pub(crate) config: Arc<Config>,
    pub(crate) lookup: Lookup,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<Random>,
    /// Knows which places were moved.
    pub(crate) directory: Arc<Directory>,
    /// Entries to look up; bounded.
    pub(crate) looks: mpsc::Sender<EntryId>,
    /// Entries whose buyer is known to be there; bounded.
    pub(crate) presence: mpsc::Sender<(SaleId, EntryId)>,
}

/// See the module.
pub(crate) struct Hub {
    shards: Box<[Mutex<Shard>]>,
    pace: Pace,
    parts: Parts,
}

#[derive(Debug)]
struct Shard {
    entries: HashMap<EntryId, Watched>,
    /// When its connections are swept next.
    sweep_at: Instant,
}

/// An entry that is watched by at least one connection.
#[derive(Debug)]
struct Watched {
    claims: Claims,
    /// The highest `serving` its clients said they have seen.
    seen: Option<Seq>,
    room: Arc<Room>,
    watchers: Vec<Arc<Watcher>>,
    /// The highest version heard of, by notice or by look.
    known: Version,
    schedule: Schedule,
}

/// When an entry is looked up.
#[derive(Debug, Default)]
struct Schedule {
    /// The cursor has passed it.
    passed: bool,
    due: Option<Instant>,
    /// It waits for an answer since then.
    asked: Option<Instant>,
    /// Looks in a row that found nothing new.
    looks: u32,
}

/// Who asks where an entry stands.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) claims: Claims,
    pub(crate) seen: Option<Seq>,
    pub(crate) room: Arc<Room>,
}

/// The entry has as many connections as it may have.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("shards", &self.shards.len()).finish_non_exhaustive()
    }
}

impl Hub {
    pub(crate) fn new(parts: Parts) -> Self {
        // The sweeps are spread: who joined in one second would else be renewed in one moment.
        let count = u32::try_from(parts.config.shards.max(1)).unwrap_or(u32::MAX);
        let apart = millis(parts.config.sweep_interval_ms) / count;
        let now = Instant::now();
        let shard = |n| Mutex::new(Shard { entries: HashMap::new(), sweep_at: now + apart * n });
        let shards = (0..count).map(shard).collect();
        Self { shards, pace: Pace::new(&parts.config), parts }
    }

    /// Adds a connection and offers it the entry's object: from memory while the entry waits, else it is asked for.
    pub(crate) fn enter(&self, asked: Asked, watcher: &Arc<Watcher>) -> Result<(), TooMany> {
        let entry = asked.claims.entry;
        let mut shard = self.shard(entry);
        shard.sweep_at = shard.sweep_at.min(Instant::now() + self.sweep_every(&asked.room));
        let watched = shard.entries.entry(entry).or_insert_with(|| Watched::new(&asked));
        if watched.watchers.len() >= self.parts.config.connections_per_entry_max.max(1) {
            return Err(TooMany);
        }
        watched.seen = watched.seen.max(asked.seen);
        watched.watchers.push(Arc::clone(watcher));
        match self.parts.lookup.waiting(&asked.room.view, &asked.claims, watched.seen) {
            // A notice can be ahead of the cursor.
            Some(object) if watched.known <= object.version => {
                self.offer_to(watched, watcher, &Arc::new(object));
            }
            Some(_) | None => {
                watched.schedule.due = Some(Instant::now());
                self.ask_if_due(entry, &mut watched.schedule);
            }
        }
        Ok(())
    }

    /// Takes a connection away; [`enter`](Self::enter) added it.
    pub(crate) fn leave(&self, entry: EntryId, watcher: &Arc<Watcher>) {
        let mut shard = self.shard(entry);
        let Some(watched) = shard.entries.get_mut(&entry) else { return };
        watched.watchers.retain(|known| !Arc::ptr_eq(known, watcher));
        if watched.watchers.is_empty() {
            shard.entries.remove(&entry);
            // After a crowd has left, its table goes too.
            if shard.entries.capacity() > 64 && shard.entries.len() < shard.entries.capacity() / 8 {
                shard.entries.shrink_to_fit();
            }
        }
    }

    /// What is known of those who asked to be looked up; entries nobody watches any more are left out.
    pub(crate) fn asked(&self, entries: &[EntryId]) -> Vec<Asked> {
        let known = entries.iter().filter_map(|entry| {
            let shard = self.shard(*entry);
            shard.entries.get(entry).map(|watched| Asked {
                claims: watched.claims.clone(),
                seen: watched.seen,
                room: Arc::clone(&watched.room),
            })
        });
        known.collect()
    }

    /// Takes in what a look found: news go to the entry's connections, and the next look is planned.
    pub(crate) fn found(&self, entry: EntryId, found: Option<(Arc<EntryObject>, Finding)>) {
        let mut shard = self.shard(entry);
        let Some(watched) = shard.entries.get_mut(&entry) else { return };
        watched.schedule.asked = None;
        let mut finding = Finding::Behind;
        if let Some((object, said)) = found {
            self.offer(watched, &object);
            if watched.known < object.version {
                watched.known = object.version;
                watched.schedule.looks = 0;
            }
            // What was read before a notice's commit is behind it.
            finding = if object.version < watched.known { Finding::Behind } else { said };
        }
        let planned = self.pace.next(finding, watched.schedule.looks);
        watched.schedule.looks = watched.schedule.looks.saturating_add(1);
        if finding == Finding::Final {
            watched.schedule.due = None;
            watched.watchers.iter().for_each(|watcher| watcher.end(Close::NothingLeft));
            return;
        }
        // What became due while this look was under way stays due.
        let planned = planned.map(|pause| self.about(pause));
        let due = &mut watched.schedule.due;
        *due = match (*due, planned) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.ask_if_due(entry, &mut watched.schedule);
    }

    /// Ends every connection; `close` is asked for each, so that each may get a time of its own to come back.
    pub(crate) fn end_all(&self, close: impl Fn() -> Close) {
        self.each_watcher(|_, watcher| watcher.end(close()));
    }

    /// Ends every connection of a sale that is gone.
    pub(crate) fn end_room(&self, room: &Arc<Room>) {
        self.each_watcher(|watched, watcher| {
            if Arc::ptr_eq(&watched.room, room) {
                watcher.end(Close::NothingLeft);
            }
        });
    }

    /// Something was lost on the way: every entry is looked up again, spread out.
    pub(crate) fn look_at_all(&self) {
        self.look_at(self.parts.config.resync_spread_ms, |_| true);
    }

    /// The sale has closed: its entries may have nothing left to hear. A millisecond apart, so that a crowd is spread out.
    pub(crate) fn look_at_room(&self, room: &Arc<Room>) {
        let spread = self.parts.config.resync_spread_ms.min(room.connections());
        self.look_at(spread, |watched| Arc::ptr_eq(&watched.room, room));
    }

    fn look_at(&self, spread_ms: u64, concerns: impl Fn(&Watched) -> bool) {
        let now = Instant::now();
        for shard in &self.shards {
            for watched in lock(shard).entries.values_mut().filter(|watched| concerns(watched)) {
                let at = now + Duration::from_millis(self.parts.random.below(spread_ms + 1));
                let due = &mut watched.schedule.due;
                *due = Some(due.map_or(at, |planned| planned.min(at)));
            }
        }
    }

    fn each_watcher(&self, mut act: impl FnMut(&Watched, &Watcher)) {
        for shard in &self.shards {
            for watched in lock(shard).entries.values() {
                watched.watchers.iter().for_each(|watcher| act(watched, watcher));
            }
        }
    }

    fn offer(&self, watched: &Watched, object: &Arc<EntryObject>) {
        for watcher in &watched.watchers {
            self.offer_to(watched, watcher, object);
        }
    }

    fn offer_to(&self, watched: &Watched, watcher: &Watcher, object: &Arc<EntryObject>) {
        let sign = |expires_at: UnixMillis| {
            // The connections of one place may have come by different hands: each renews what it came with.
            let held_since = watcher.held_since();
            let claims = Claims { expires_at, held_since, ..watched.claims.clone() };
            self.parts.keyring.sign_claims(&claims)
        };
        watcher.offer(object, self.parts.clock.now(), sign);
    }

    /// Queues a look that is due. A full queue postpones it.
    fn ask_if_due(&self, entry: EntryId, schedule: &mut Schedule) {
        let now = Instant::now();
        if schedule.asked.is_some() || schedule.due.is_none_or(|due| now < due) {
            return;
        }
        if self.parts.looks.try_send(entry).is_ok() {
            schedule.asked = Some(now);
            schedule.due = None;
        } else {
            schedule.due = Some(self.about(self.pace.first));
        }
    }

    /// A moment about `pause` from now: up to a fifth later, so that looks do not march in step.
    fn about(&self, pause: Duration) -> Instant {
        Instant::now() + pause.mul_f64(1.0 + self.parts.random.unit() / 5.0)
    }

    fn shard(&self, entry: EntryId) -> MutexGuard<'_, Shard> {
        // The last bytes of a UUIDv7 are random.
        let bytes = entry.as_bytes();
        let n = usize::from(u16::from_be_bytes([bytes[13], bytes[14]]));
        lock(&self.shards[n % self.shards.len()])
    }
}

impl Watched {
    fn new(asked: &Asked) -> Self {
        Self {
            claims: asked.claims.clone(),
            seen: asked.seen,
            room: Arc::clone(&asked.room),
            watchers: Vec::with_capacity(1),
            known: Version(0),
            schedule: Schedule::default(),
        }
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
