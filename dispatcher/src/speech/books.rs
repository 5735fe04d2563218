//! Keeping the books: the lease, the stock levels, the cursor in the line and in the ledger, the acknowledgements, the
//! blocks of numbers. Each at its own pace.

use std::time::Duration;

use sluice_core::{
    event::SettledBy,
    ids::{SaleId, Seq},
    line::Cursor,
    ports::{CursorSaved, LineSnapshot, PortResult},
};
use tokio::time::{Instant, timeout_at};

use super::{
    End, Speech, is_news,
    jobs::{Done, Hands},
};
use crate::{
    Config,
    ports::{Shared, within},
    stock::Stock,
    takeover::block_numbers,
};

/// When each was last done.
#[derive(Debug)]
pub(super) struct Books {
    levels_read: Option<Instant>,
    /// When turns were last released: what they take is seen in the levels soon after.
    released_at: Option<Instant>,
    checkpoint_at: Instant,
    /// Something is finished that the line, the queue or the buyers have not heard of.
    unheard: bool,
}

impl Books {
    pub(super) fn starting(now: Instant) -> Self {
        Self { levels_read: Some(now), released_at: None, checkpoint_at: now, unheard: false }
    }

    /// The levels must be read before the next tick.
    pub(super) fn levels_due(&mut self) {
        self.levels_read = None;
    }

    /// Turns were released.
    pub(super) fn released(&mut self, now: Instant) {
        self.released_at = Some(now);
    }

    pub(super) fn next_due(&self, config: &Config, somebody_waits: bool, now: Instant) -> Instant {
        let checkpoint = self.checkpoint_at + config.cursor_every;
        let levels_every = self.levels_every(config, somebody_waits, now);
        let levels = self.levels_read.map_or(self.checkpoint_at, |read| read + levels_every);
        if self.unheard { checkpoint.min(levels) } else { levels }
    }

    /// Often while somebody waits, and while what was called last is being reserved.
    fn levels_every(&self, config: &Config, somebody_waits: bool, now: Instant) -> Duration {
        let lately = |at: Instant| now.duration_since(at) < 2 * config.report_every_max;
        let moving = somebody_waits || self.released_at.is_some_and(lately);
        if moving { config.levels_every } else { config.report_every_max }
    }
}

impl Speech<'_> {
    pub(super) async fn renew_lease(&mut self, now: Instant) {
        if self.under_way.lease || now < self.held.renew_at {
            return;
        }
        self.under_way.lease = true;
        // Asked again a while after this answer, whatever it is.
        self.held.renew_at = self.held.until;
        let Hands { shared, sale, .. } = self.hands();
        let job = async move {
            let config = &shared.config;
            let lease = shared.ports.ledger.lease(&sale, &config.holder, config.lease_ttl);
            Done::Lease { asked: now, result: within(config.port_timeout, lease).await }
        };
        self.begin(job).await;
    }

    /// Reads the gate's levels. Nothing else is asked of the line or the gate meanwhile, so what is read is exact.
    pub(super) async fn refresh_levels(&mut self, now: Instant) -> Result<(), End> {
        let config = &self.shared.config;
        let every = self.books.levels_every(config, self.somebody_waits(), now);
        let due = self.books.levels_read.is_none_or(|read| now.duration_since(read) >= every);
        if !due {
            return Ok(());
        }
        read_stock(&self.shared, &self.feed.id, &mut self.stock).await?;
        self.books.levels_read = Some(now);
        self.ending.look_again();
        Ok(())
    }

    /// Tells the line, the queue and the buyers what was finished, not more often than need be.
    pub(super) async fn checkpoint(&mut self, now: Instant) -> Result<(), End> {
        self.acks.extend(self.window.take_acks());
        let serving = self.window.serving();
        self.books.unheard = serving > self.cursor.serving
            || self.given_out() > self.saved_given_out
            || !self.notices.is_empty()
            || (!self.acks.is_empty() && self.under_way.acks == 0);
        if now < self.books.checkpoint_at + self.shared.config.cursor_every {
            return Ok(());
        }
        self.books.checkpoint_at = now;
        self.checkpoint_now().await;
        Ok(())
    }

    pub(super) async fn checkpoint_now(&mut self) {
        self.acks.extend(self.window.take_acks());
        self.save_cursor().await;
        self.tell_called().await;
        self.acknowledge().await;
    }

    /// The ledger knows this cursor: the line's store may hear of it, and then everybody. In this order, or whoever starts
    /// anew from the ledger would serve, and show, less than was shown before.
    pub(super) async fn reached(&mut self, cursor: Cursor, given_out: Seq) -> Result<(), End> {
        self.saved = cursor.clone();
        self.saved_given_out = given_out;
        if cursor.serving <= self.cursor.serving {
            return Ok(());
        }
        let advance = self.shared.ports.line.advance(&self.feed.id, self.held.epoch, &cursor);
        within(self.shared.config.port_timeout, advance).await?;
        self.memory.cursor = Some(cursor.clone());
        self.cursor = cursor;
        self.telling.touch();
        self.tell_called().await;
        Ok(())
    }

    /// How far everybody is released or settled.
    fn furthest(&mut self) -> Cursor {
        let serving = self.window.serving().max(self.cursor.serving);
        Cursor { serving, holes: self.cursor.holes.clone() }
    }

    /// The highest number that was given out, as far as is known here: who came off the queue has one, too.
    fn given_out(&mut self) -> Seq {
        self.memory.given_out = self.memory.given_out.max(self.window.highest());
        self.memory.given_out
    }

    /// Whether the ledger does not know this yet.
    fn is_unsaved(&self, cursor: &Cursor, given_out: Seq) -> bool {
        is_news(cursor, &self.saved) || given_out > self.saved_given_out
    }

    async fn acknowledge(&mut self) {
        let Some(queue) = &self.queue else { return };
        if self.acks.is_empty() || self.under_way.acks > 0 {
            return;
        }
        let (outlet, tags) = (queue.outlet.clone(), std::mem::take(&mut self.acks));
        let limit = self.shared.config.port_timeout;
        self.under_way.acks += 1;
        self.begin(async move { Done::Acknowledged(within(limit, outlet.ack(&tags)).await) }).await;
    }

    /// Saves the cursor in the ledger, and the highest number with it: what a line that forgets everything starts from.
    async fn save_cursor(&mut self) {
        let (cursor, given_out) = (self.furthest(), self.given_out());
        if self.under_way.cursor || !self.is_unsaved(&cursor, given_out) {
            return;
        }
        self.under_way.cursor = true;
        let Hands { shared, sale, epoch } = self.hands();
        let job = async move {
            let saved = shared.ports.ledger.save_cursor(&sale, epoch, &cursor, given_out);
            let result = within(shared.config.port_timeout, saved).await;
            Done::CursorSaved { cursor, given_out, result }
        };
        self.begin(job).await;
    }

    /// The same, at the end of a speech.
    pub(super) async fn save_last_cursor(&mut self, deadline: Instant) {
        let (cursor, given_out) = (self.furthest(), self.given_out());
        if !self.is_unsaved(&cursor, given_out) {
            return;
        }
        let (ledger, epoch) = (&self.shared.ports.ledger, self.held.epoch);
        let save = ledger.save_cursor(&self.feed.id, epoch, &cursor, given_out);
        match timeout_at(deadline, save).await {
            Ok(Ok(CursorSaved::Saved)) => {
                let _ = self.reached(cursor, given_out).await; // the next speaker reads the ledger
            }
            Ok(Ok(CursorSaved::Fenced)) | Err(_) => {}
            Ok(Err(error)) => tracing::info!(
                sale = %self.feed.id,
                error = &error as &dyn std::error::Error,
                "the last cursor was not saved; the next speaker repeats a little"
            ),
        }
    }

    /// Has another block of numbers ready before the line needs it.
    pub(super) async fn extend_numbers(&mut self, snapshot: &LineSnapshot) {
        let count = block_numbers(&self.shared.config, &self.sale);
        let left = snapshot.high_water.0.saturating_sub(snapshot.last.0);
        if self.under_way.block || left >= self.sale.policy.line_cap.max(count / 2) {
            return;
        }
        self.under_way.block = true;
        let hands = self.hands();
        self.begin(async move { Done::Extended(extend(hands, count).await) }).await;
    }
}

/// Reads how much there is, where whoever settles turns keeps it.
pub(super) async fn read_stock(
    shared: &Shared,
    sale: &SaleId,
    stock: &mut Stock,
) -> PortResult<()> {
    let limit = shared.config.port_timeout;
    let levels = within(limit, shared.ports.gate.levels(sale));
    match shared.config.settled_by {
        SettledBy::Worker => stock.learn(levels.await?),
        SettledBy::Shop => {
            let balances = within(limit, shared.ports.ledger.stock(sale));
            let (levels, balances) = tokio::try_join!(levels, balances)?;
            stock.learn_from_shop(balances, &levels);
        }
    }
    Ok(())
}

/// Numbers that a fenced speaker took and never gave out may lie between: they are used like any others.
async fn extend(hands: Hands, count: u64) -> PortResult<()> {
    let Hands { shared, sale, epoch } = hands;
    let limit = shared.config.port_timeout;
    let block = within(limit, shared.ports.ledger.next_block(&sale, count)).await?;
    within(limit, shared.ports.line.extend(&sale, epoch, block.to)).await
}
