//! The turn queue in the journal: called entries on their way to order workers, which compete for them. What is not
//! settled is held in memory too, in the order of release; the journal is what survives.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use rusqlite::{Connection, params};
use sluice_core::{
    clock::{Clock, UnixMillis},
    event::Turn,
    ports::{PortError, PortResult, QueueDepths, TurnIntake, TurnQueue},
};
use tokio::sync::Notify;

use super::{
    codec::{Baskets, address_text, int, json_or_null, reach_text, small, turn, whole},
    store::Store,
    sync::locked,
};

mod consumer;
mod letters;

pub(super) use letters::LetterPort;

/// See the module.
pub(super) struct Turns {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    /// Turns in the queue; beyond it a release is `Full`.
    turns_max: u64,
    /// Turns in the queue, those included that were inserted but not committed yet. Changed on the writer only.
    stored: AtomicU64,
    state: Mutex<State>,
    /// Something became ready, or somebody has a hand free.
    news: Notify,
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turns").finish_non_exhaustive()
    }
}

/// Every turn that is not settled.
#[derive(Debug, Default)]
struct State {
    items: HashMap<u64, Item>,
    ready: BTreeSet<u64>,
    delayed: BTreeSet<(UnixMillis, u64)>,
    dead: u64,
    last_tag: u64,
}

#[derive(Debug)]
struct Item {
    turn: Turn,
    tries: u32,
    lies: Lies,
}

/// Where a turn lies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lies {
    Ready,
    /// Until then.
    Delayed(UnixMillis),
    /// In a worker's hands.
    Out,
}

impl State {
    fn put(&mut self, id: u64, lies: Lies) {
        let Some(item) = self.items.get_mut(&id) else { return };
        match item.lies {
            Lies::Ready => drop(self.ready.remove(&id)),
            Lies::Delayed(due) => drop(self.delayed.remove(&(due, id))),
            Lies::Out => {}
        }
        item.lies = lies;
        match lies {
            Lies::Ready => drop(self.ready.insert(id)),
            Lies::Delayed(due) => drop(self.delayed.insert((due, id))),
            Lies::Out => {}
        }
    }

    fn add(&mut self, id: u64, turn: Turn, tries: u32, lies: Lies) {
        self.items.insert(id, Item { turn, tries, lies: Lies::Out });
        self.put(id, lies);
    }

    fn remove(&mut self, id: u64) -> Option<Item> {
        self.put(id, Lies::Out);
        self.items.remove(&id)
    }

    /// Makes ready what has waited out its delay.
    fn ripen(&mut self, now: UnixMillis) {
        while let Some((due, id)) = self.delayed.first().copied()
            && due <= now
        {
            self.put(id, Lies::Ready);
        }
    }
}

/// What became of a release.
enum Released {
    /// The ids of the turns, in order.
    Stored(Vec<u64>),
    Full,
    /// Whoever released has lost the right to.
    Refused(PortError),
}

impl Turns {
    /// The turns the file has; `connection` is used for this reading only.
    pub(super) fn load(
        connection: &Connection,
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        turns_max: u64,
    ) -> rusqlite::Result<Self> {
        let mut state = State::default();
        let mut baskets = Baskets::default();
        let mut statement = connection.prepare(sql!("turns/load"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let due: Option<i64> = row.get(13)?;
            let lies = due.map_or(Lies::Ready, |due| Lies::Delayed(UnixMillis(due)));
            let mut turn = turn(row, 1, &mut baskets)?;
            turn.line_entry.reach = json_or_null(row, 14)?;
            state.add(whole(row, 0)?, turn, small(row, 12)?, lies);
        }
        state.dead = connection.query_row(sql!("turns/dead"), [], |row| whole(row, 0))?;
        let stored = AtomicU64::new(state.items.len() as u64);
        let (state, news) = (Mutex::new(state), Notify::new());
        Ok(Self { store, clock, turns_max, stored, state, news })
    }

    /// Buried turns were deleted with their sale.
    pub(super) fn buried_gone(&self, count: u64) {
        let mut state = locked(&self.state);
        state.dead = state.dead.saturating_sub(count);
    }

    /// Stores turns, in order, if `check` still allows it when the writer comes to it.
    pub(super) async fn release(
        self: &Arc<Self>,
        turns: Vec<Turn>,
        check: impl Fn() -> PortResult<()> + Send + 'static,
    ) -> PortResult<()> {
        let turns = Arc::new(turns);
        let (inserted, queue, counted) = (Arc::clone(&turns), Arc::clone(self), Arc::clone(self));
        let work = move |connection: &Connection| {
            if let Err(error) = check() {
                return Ok(Released::Refused(error));
            }
            let there = counted.stored.load(Ordering::Acquire);
            if there.saturating_add(inserted.len() as u64) > counted.turns_max {
                return Ok(Released::Full);
            }
            let ids = insert(connection, &inserted)?;
            counted.stored.fetch_add(ids.len() as u64, Ordering::AcqRel);
            Ok(Released::Stored(ids))
        };
        let then = move |released: &Released| {
            let Released::Stored(ids) = released else { return };
            {
                let mut state = locked(&queue.state);
                for (id, turn) in ids.iter().zip(turns.iter()) {
                    state.add(*id, turn.clone(), 0, Lies::Ready);
                }
            }
            queue.news.notify_waiters();
        };
        match self.store.write("turns.release", work, then).await? {
            Released::Stored(_) => Ok(()),
            Released::Full => Err(PortError::Full),
            Released::Refused(error) => Err(error),
        }
    }
}

impl Turns {
    /// Stores a turn among the buried.
    async fn bury_unheard(self: &Arc<Self>, turn: Turn, reason: String) -> PortResult<()> {
        let (clock, queue) = (Arc::clone(&self.clock), Arc::clone(self));
        let work = move |connection: &Connection| {
            let now = clock.now().0;
            let mut bury = connection.prepare_cached(sql!("turns/bury"))?;
            for id in insert(connection, &[turn])? {
                bury.execute(params![int(id), now, reason])?;
            }
            Ok(())
        };
        let then = move |&(): &()| locked(&queue.state).dead += 1;
        self.store.write("turns.bury_unheard", work, then).await
    }
}

fn insert(connection: &Connection, turns: &[Turn]) -> rusqlite::Result<Vec<u64>> {
    let mut statement = connection.prepare_cached(sql!("turns/release"))?;
    let mut ids = Vec::with_capacity(turns.len());
    for turn in turns {
        let entry = &turn.line_entry;
        statement.execute(params![
            turn.sale.as_str(),
            entry.entry.as_bytes().as_slice(),
            entry.buyer.as_str(),
            int(entry.seq.0),
            int(entry.holes_below),
            entry.basket.to_string(),
            entry.joined_at.0,
            address_text(entry.address),
            int(turn.epoch.0),
            turn.attempt,
            turn.called_at.0,
            reach_text(entry)?,
        ])?;
        ids.push(u64::try_from(connection.last_insert_rowid()).unwrap_or_default());
    }
    Ok(ids)
}

/// The port over the shared queue.
#[derive(Debug)]
pub(super) struct TurnPort(pub(super) Arc<Turns>);

#[async_trait]
impl TurnQueue for TurnPort {
    async fn consume(&self, prefetch: usize) -> PortResult<TurnIntake> {
        Ok(consumer::begin(Arc::clone(&self.0), prefetch.max(1)))
    }

    async fn depths(&self) -> PortResult<QueueDepths> {
        let state = locked(&self.0.state);
        Ok(QueueDepths { turns: state.items.len() as u64, dead: state.dead })
    }

    async fn release_again(&self, turns: &[Turn]) -> PortResult<()> {
        self.0.release(turns.to_vec(), || Ok(())).await
    }

    async fn bury_unheard(&self, turn: &Turn, reason: &str) -> PortResult<()> {
        self.0.bury_unheard(turn.clone(), reason.to_owned()).await
    }
}
