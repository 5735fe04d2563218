//! Calling: credit accrues, the next candidates are called, those who are called are released as turns.

use std::sync::Arc;

use sluice_core::{
    clock::UnixMillis,
    entry::{EntryState, Outcome},
    event::{SettledBy, Turn},
    ids::Seq,
    line::LineEntry,
    ports::{EntryNotice, OutcomeReason, PortError, Standing},
};
use tokio::time::Instant;

use super::{
    End, Speech,
    jobs::{Done, ReleasedTurn},
    taking_in::expect_one_each,
};
use crate::{
    ports::within,
    pressure, release,
    window::{Candidate, place},
};

/// Turns in one release.
const RELEASE_TURNS_MAX: usize = 256;
/// How often in one tick new candidates are taken for those who were passed: a silent head does not stall the line, and
/// a long one does not stall the loop.
const ROUNDS_MAX: usize = 64;

impl Speech<'_> {
    /// Turns per second by the law as it is applied now, when this many units remain.
    fn rate_with(&self, remaining: u64) -> f64 {
        if !self.is_open() {
            return 0.0;
        }
        let config = &self.shared.config;
        let rate = self.sale.policy.law().rate(remaining);
        let depth = *self.shared.depth.borrow();
        rate * pressure::factor(depth, rate, config.backlog_seconds, config.backlog_turns_min)
    }

    /// Turns per second by the law as it is applied now.
    pub(super) fn rate(&self) -> f64 {
        self.rate_with(self.stock.remaining())
    }

    /// The same, with what recalled entries want: it is reckoned as in flight, but their turns are still to be released.
    pub(super) fn pace_rate(&self) -> f64 {
        let recalled = self.window.recalled_units().saturating_add(self.standby.recalled_units());
        self.rate_with(self.stock.remaining().saturating_add(recalled))
    }

    pub(super) async fn call_whom_credit_allows(&mut self, now: Instant) -> Result<(), End> {
        if now < self.ticked_at + self.shared.config.tick {
            return Ok(());
        }
        self.ticked_at = now;
        self.nobody_servable = false;
        let rate = self.pace_rate();
        self.pace.accrue(rate, now);
        // No hand free: the broker is slow, and the line waits for it. Credit does not pile up meanwhile.
        let handing = self.handing.len() >= RELEASE_TURNS_MAX;
        if rate <= 0.0 || handing || self.under_way.releases >= self.shared.config.releases_max {
            return Ok(());
        }
        let mut called = Vec::new();
        for _ in 0..ROUNDS_MAX {
            let credit = usize::try_from(self.pace.whole()).unwrap_or(usize::MAX);
            let most = credit.min(RELEASE_TURNS_MAX - called.len());
            let parked_max = self.shared.config.parked_max;
            let standby = self.first_on_standby(now);
            let picked =
                release::pick(&mut self.window, &mut self.stock, most, parked_max, standby);
            if !picked.is_empty() {
                called.extend(self.call(picked).await?);
                continue;
            }
            let offers = if standby.is_some() { self.pick_offers(most, now) } else { Vec::new() };
            if offers.is_empty() {
                self.nobody_servable = most > 0;
                break;
            }
            called.extend(self.offer(offers).await?);
        }
        if !called.is_empty() {
            self.books.released(now);
            self.release(called).await?;
        }
        Ok(())
    }

    /// Calls candidates; returns those who are called. The others are passed, free of the law.
    async fn call(&mut self, picked: Vec<Candidate>) -> Result<Vec<LineEntry>, End> {
        let (config, ports) = (&self.shared.config, &self.shared.ports);
        let entries: Vec<LineEntry> = picked.iter().map(|one| one.entry.clone()).collect();
        let silence = self.sale.policy.silence_allowed();
        let silent_before = silence.map(|allowed| ports.clock.now().minus(allowed));
        let call = ports.line.call(&self.feed.id, self.held.epoch, silent_before, &entries);
        let standings = within(config.port_timeout, call).await?;
        expect_one_each(standings.len(), picked.len())?;
        let mut called = Vec::new();
        for (candidate, standing) in picked.into_iter().zip(standings) {
            let Candidate { entry, recalled } = candidate;
            if standing == Standing::Called {
                self.pace.spend(1);
                called.push(entry);
                continue;
            }
            if !recalled {
                self.stock.put_back(&entry.basket);
            }
            match standing {
                Standing::Settled(_) => self.window.finish(place(&entry)),
                Standing::Silent { .. } => self.pass(entry, Outcome::Expired, OutcomeReason::Plain),
                Standing::Twin { .. } => {
                    self.pass(entry, Outcome::Refused, OutcomeReason::Duplicate);
                }
                Standing::Called => {}
            }
        }
        Ok(called)
    }

    /// Releases called entries: at once, or through the book of the shop.
    async fn release(&mut self, called: Vec<LineEntry>) -> Result<(), End> {
        match self.shared.config.settled_by {
            SettledBy::Worker => {
                let now = self.shared.ports.clock.now();
                let turns = called.into_iter().map(|entry| self.turn_of(entry, now)).collect();
                self.send_out(turns).await
            }
            SettledBy::Shop => {
                self.handing.extend(called);
                self.hand_over().await;
                Ok(())
            }
        }
    }

    /// Writes down who is about to be released to the shop: whoever it never answers for is known from there.
    pub(super) async fn hand_over(&mut self) {
        if self.under_way.hand_over || self.handing.is_empty() {
            return;
        }
        self.under_way.hand_over = true;
        let now = self.shared.ports.clock.now();
        let count = self.handing.len().min(RELEASE_TURNS_MAX);
        let called: Vec<LineEntry> = self.handing.drain(..count).collect();
        let turns: Vec<Turn> = called.into_iter().map(|entry| self.turn_of(entry, now)).collect();
        let shared = Arc::clone(&self.shared);
        self.begin(async move {
            let handed = shared.ports.ledger.hand_over(&turns);
            let result = within(shared.config.port_timeout, handed).await;
            Done::HandedOver { turns, result }
        })
        .await;
    }

    fn turn_of(&self, line_entry: LineEntry, called_at: UnixMillis) -> Turn {
        let (sale, epoch) = (self.feed.id.clone(), self.held.epoch);
        Turn { sale, line_entry, epoch, attempt: 1, called_at }
    }

    /// Sends turns out through the drain.
    pub(super) async fn send_out(&mut self, out: Vec<Turn>) -> Result<(), End> {
        let Some(queue) = &self.queue else { return Err(PortError::Fenced.into()) };
        let outlet = queue.outlet.clone();
        let limit = self.shared.config.port_timeout;
        let turns = out.iter().map(released_turn).collect();
        self.under_way.releases += 1;
        self.begin(async move {
            Done::Released { turns, result: within(limit, outlet.release(out)).await }
        })
        .await;
        Ok(())
    }

    /// Turns are durable.
    pub(super) fn released(&mut self, turns: &[ReleasedTurn]) {
        let now = Instant::now();
        let count = u64::try_from(turns.len()).unwrap_or(u64::MAX);
        self.speed.released(count, now);
        self.metrics.released(count);
        self.memory.turns += count;
        for turn in turns {
            self.memory.units += turn.units;
            let (seq, entry) = turn.place;
            if seq == Seq(0) {
                self.standing.read_again();
                continue; // It goes on standing by, until it has its outcome.
            }
            self.waits.record(turn.waited, now);
            self.metrics.waited(turn.waited);
            self.window.finish(turn.place);
            let called = EntryNotice {
                entry,
                version: EntryState::Called.version(None),
                state: EntryState::Called,
                order: None,
                pay_by: None,
            };
            self.notices.push((seq, called));
        }
    }
}

fn released_turn(turn: &Turn) -> ReleasedTurn {
    let entry = &turn.line_entry;
    ReleasedTurn {
        place: place(entry),
        units: entry.basket.units().into(),
        waited: turn.called_at.since(entry.joined_at),
    }
}
