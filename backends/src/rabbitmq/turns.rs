//! The turn queue: one quorum queue that order workers compete for, delays beside it, and the queue of the buried.

use std::{
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use lapin::types::ShortString;
use sluice_core::ports::{PortResult, QueueDepths, TurnIntake, TurnQueue};

use super::{
    Shared,
    link::{Bare, Link},
    metrics::watch,
    press::Press,
    sync::locked,
    topology::{self, DELAYS},
};

mod consumer;

use consumer::Held;

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    shared: Arc<Shared>,
    press: Link<Press>,
    consumers: Link<Bare>,
    /// What the consumers of this process have in hand.
    held: Mutex<Vec<Weak<Held>>>,
}

impl Turns {
    pub(super) fn new(shared: Arc<Shared>, press: Link<Press>, consumers: Link<Bare>) -> Self {
        Self { shared, press, consumers, held: Mutex::default() }
    }

    fn in_hand(&self) -> u64 {
        let mut held = locked(&self.held);
        held.retain(|one| one.strong_count() > 0);
        let count = |one: &Weak<Held>| one.upgrade().map_or(0, |held| locked(&held).count());
        held.iter().map(count).sum::<usize>() as u64
    }
}

#[async_trait]
impl TurnQueue for Turns {
    async fn consume(&self, prefetch: usize) -> PortResult<TurnIntake> {
        let limit: Duration = self.shared.options.answer_timeout;
        let live = self.consumers.soon(limit).await?;
        let held = Arc::new(Held::default());
        let (press, hands) = (self.press.clone(), Arc::clone(&held));
        let intake = consumer::begin(&self.shared, &live.wire, press, hands, prefetch).await?;
        let mut all = locked(&self.held);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(&held));
        Ok(intake)
    }

    async fn depths(&self) -> PortResult<QueueDepths> {
        let _watch = watch("turns.depths");
        let live = self.press.live()?;
        let mut queues: Vec<ShortString> = vec![topology::DEAD.into(), topology::TURNS.into()];
        queues.extend(DELAYS.map(topology::retry));
        let limit = self.shared.options.answer_timeout;
        let counts = topology::ready(&live.wire, &queues, limit).await?;
        let mut counts = counts.into_iter().map(Option::unwrap_or_default);
        let dead = counts.next().unwrap_or_default();
        // The broker tells what lies ready; what is in hand it tells nobody.
        Ok(QueueDepths { turns: counts.sum::<u64>() + self.in_hand(), dead })
    }
}
