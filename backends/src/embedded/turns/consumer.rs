//! One consumer of the turn queue, in two halves. Dropping its deliveries returns what it has in hand, at once and in the
//! order of release.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use rusqlite::{Connection, params};
use sluice_core::{
    clock::UnixMillis,
    ports::{PortError, PortResult, TurnDeliveries, TurnDelivery, TurnIntake, WorkOutlet},
};
use tokio::time::sleep;

use super::{Lies, State, Turns};
use crate::embedded::{codec::int, sync::locked};

/// The longest sleep before the clock is looked at again: it may have been set.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The longest reason that is kept with a buried turn, in characters.
const REASON_CHARS_MAX: usize = 500;

/// What both halves know.
#[derive(Debug)]
struct Consumer {
    turns: Arc<Turns>,
    prefetch: usize,
    hands: Mutex<Hands>,
}

/// Locked after the queue's state, never before it.
#[derive(Debug, Default)]
struct Hands {
    /// By tag: the turn's id, and its tries when it was delivered.
    held: HashMap<u64, (u64, u32)>,
    closed: bool,
}

pub(super) fn begin(turns: Arc<Turns>, prefetch: usize) -> TurnIntake {
    let consumer = Arc::new(Consumer { turns, prefetch, hands: Mutex::default() });
    TurnIntake {
        deliveries: Box::new(Deliveries(Arc::clone(&consumer))),
        outlet: Arc::new(Outlet(consumer)),
    }
}

impl Consumer {
    /// Takes what is ready, and tells how long to sleep if there is nothing.
    fn take(&self, most: usize) -> Result<Vec<TurnDelivery>, Option<Duration>> {
        let now = self.turns.clock.now();
        let mut state = locked(&self.turns.state);
        state.ripen(now);
        let mut hands = locked(&self.hands);
        let free = self.prefetch.saturating_sub(hands.held.len());
        let ids: Vec<u64> = state.ready.iter().take(free.min(most)).copied().collect();
        let mut deliveries = Vec::with_capacity(ids.len());
        for id in ids {
            state.put(id, Lies::Out);
            state.last_tag += 1;
            let tag = state.last_tag;
            let Some(item) = state.items.get(&id) else { continue };
            hands.held.insert(tag, (id, item.tries));
            deliveries.push(TurnDelivery { tag, turn: item.turn.clone(), tries: item.tries });
        }
        if deliveries.is_empty() { Err(next_look(&state, now)) } else { Ok(deliveries) }
    }

    fn check(&self) -> PortResult<()> {
        if locked(&self.hands).closed { Err(PortError::Fenced) } else { Ok(()) }
    }

    /// What the tags stand for; those that are settled are left out.
    fn held(&self, tags: &[u64]) -> PortResult<Vec<(u64, u64, u32)>> {
        let hands = locked(&self.hands);
        if hands.closed {
            return Err(PortError::Fenced);
        }
        let held = |tag: &u64| hands.held.get(tag).map(|(id, tries)| (*tag, *id, *tries));
        Ok(tags.iter().filter_map(held).collect())
    }

    /// Takes a turn out of the hands. Whether it was still there.
    fn let_go(&self, tag: u64) -> bool {
        locked(&self.hands).held.remove(&tag).is_some()
    }
}

fn next_look(state: &State, now: UnixMillis) -> Option<Duration> {
    let (due, _) = state.delayed.first()?;
    Some(due.since(now).clamp(Duration::from_millis(1), LOOK_EVERY))
}

#[derive(Debug)]
struct Deliveries(Arc<Consumer>);

impl Drop for Deliveries {
    fn drop(&mut self) {
        let held = {
            let mut hands = locked(&self.0.hands);
            hands.closed = true;
            std::mem::take(&mut hands.held)
        };
        {
            let mut state = locked(&self.0.turns.state);
            for (id, _) in held.into_values() {
                // One that was settled meanwhile is gone, or lies where its retry put it.
                if state.items.get(&id).is_some_and(|item| item.lies == Lies::Out) {
                    state.put(id, Lies::Ready);
                }
            }
        }
        self.0.turns.news.notify_waiters();
    }
}

#[async_trait]
impl TurnDeliveries for Deliveries {
    async fn next(&mut self, most: usize) -> PortResult<Vec<TurnDelivery>> {
        let turns = &self.0.turns;
        loop {
            let mut news = std::pin::pin!(turns.news.notified());
            news.as_mut().enable();
            let ripe = match self.0.take(most.max(1)) {
                Ok(deliveries) => return Ok(deliveries),
                Err(look_in) => {
                    async move {
                        match look_in {
                            Some(time) => sleep(time).await,
                            None => std::future::pending().await,
                        }
                    }
                }
            };
            tokio::select! {
                biased;
                error = turns.store.stopped() => return Err(error),
                () = news => {}
                () = ripe => {}
            }
        }
    }
}

#[derive(Debug)]
struct Outlet(Arc<Consumer>);

#[async_trait]
impl WorkOutlet for Outlet {
    async fn ack(&self, tags: &[u64]) -> PortResult<()> {
        let held = self.0.held(tags)?;
        if held.is_empty() {
            return Ok(());
        }
        let (consumer, done, ids) = (Arc::clone(&self.0), Arc::clone(&self.0), held.clone());
        let work = move |connection: &Connection| {
            if consumer.check().is_err() {
                return Ok(false);
            }
            let mut statement = connection.prepare_cached(sql!("turns/ack"))?;
            for (_, id, _) in &ids {
                statement.execute([int(*id)])?;
            }
            Ok(true)
        };
        let then = move |gone: &bool| {
            if !gone {
                return;
            }
            for (tag, id, _) in held {
                done.let_go(tag);
                done.forget(id);
            }
            done.turns.news.notify_waiters();
        };
        let gone = self.0.turns.store.write("turns.ack", work, then).await?;
        if gone { Ok(()) } else { Err(PortError::Fenced) }
    }

    async fn retry(&self, tag: u64, delay: Duration) -> PortResult<()> {
        let Some((_, id, tries)) = self.0.held(&[tag])?.pop() else { return Ok(()) };
        let (consumer, done) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let work = move |connection: &Connection| {
            if consumer.check().is_err() {
                return Ok(None);
            }
            let due = consumer.turns.clock.now().plus(delay);
            let mut statement = connection.prepare_cached(sql!("turns/retry"))?;
            let counted = statement.execute(params![int(id), tries, due.0])?;
            Ok(Some((due, counted > 0)))
        };
        let then = move |retried: &Option<(UnixMillis, bool)>| {
            let Some((due, true)) = *retried else { return };
            let mine = done.let_go(tag);
            {
                let mut state = locked(&done.turns.state);
                if let Some(item) = state.items.get_mut(&id) {
                    item.tries = tries + 1;
                    // In other hands meanwhile: they settle it.
                    if mine || item.lies != Lies::Out {
                        state.put(id, Lies::Delayed(due));
                    }
                }
            }
            done.turns.news.notify_waiters();
        };
        let retried = self.0.turns.store.write("turns.retry", work, then).await?;
        retried.map(drop).ok_or(PortError::Fenced)
    }

    async fn bury(&self, tag: u64, reason: &str) -> PortResult<()> {
        let Some((_, id, _)) = self.0.held(&[tag])?.pop() else { return Ok(()) };
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let (consumer, done) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let work = move |connection: &Connection| {
            if consumer.check().is_err() {
                return Ok(None);
            }
            let now = consumer.turns.clock.now();
            let mut statement = connection.prepare_cached(sql!("turns/bury"))?;
            Ok(Some(statement.execute(params![int(id), now.0, reason])? > 0))
        };
        let then = move |buried: &Option<bool>| {
            let Some(true) = *buried else { return };
            done.let_go(tag);
            done.forget(id);
            locked(&done.turns.state).dead += 1;
            done.turns.news.notify_waiters();
        };
        let buried = self.0.turns.store.write("turns.bury", work, then).await?;
        buried.map(drop).ok_or(PortError::Fenced)
    }
}

impl Consumer {
    /// The turn is no longer in the queue.
    fn forget(&self, id: u64) {
        if locked(&self.turns.state).remove(id).is_some() {
            self.turns.stored.fetch_sub(1, Ordering::AcqRel);
        }
    }
}
