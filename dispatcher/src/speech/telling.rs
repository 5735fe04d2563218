//! Telling: how the line stands, who was called, what became of those who were passed. The bulletin is lossy and nobody
//! waits for it.

use sluice_core::{
    ids::Seq,
    law::exact,
    line::Cursor,
    ports::{EntryNotice, EntryRecord, LineReport, LineSnapshot, Notice},
};
use tokio::time::Instant;

use super::{
    End, Speech,
    jobs::{Done, Hands},
};
use crate::{Config, ports::within};

/// Entries in one notice.
const NOTICE_ENTRIES_MAX: usize = 1_000;

/// What was told last, and when.
#[derive(Debug)]
pub(super) struct Telling {
    looked_at: Instant,
    told_at: Option<Instant>,
    last: Option<LineReport>,
    /// Something happened that a report may show.
    touched: bool,
    /// Something happened that must be told at once: an operator's change.
    hastened: bool,
}

impl Telling {
    pub(super) fn starting(now: Instant) -> Self {
        Self { looked_at: now, told_at: None, last: None, touched: true, hastened: true }
    }

    pub(super) fn touch(&mut self) {
        self.touched = true;
    }

    pub(super) fn hasten(&mut self) {
        self.hastened = true;
    }

    pub(super) fn next_due(&self, config: &Config) -> Instant {
        let look = self.touched.then(|| self.looked_at + config.report_every_min);
        let tell = self.told_at.map_or(self.looked_at, |told| told + config.report_every_max);
        look.map_or(tell, |look| look.min(tell))
    }

    fn is_due(&self, now: Instant, config: &Config) -> bool {
        self.hastened || now >= self.next_due(config)
    }

    /// Whether a report must be published: it says something new, or the last one is old.
    fn is_worth_telling(&self, report: &LineReport, now: Instant, config: &Config) -> bool {
        let old =
            self.told_at.is_none_or(|told| now.duration_since(told) >= config.report_every_max);
        old || self.last.as_ref().is_none_or(|last| says_more(report, last))
    }
}

/// Whether a report differs in more than its time, its number and its measurements.
fn says_more(report: &LineReport, last: &LineReport) -> bool {
    let comparable = LineReport {
        version: last.version,
        at: last.at,
        rate_actual: last.rate_actual,
        wait_p50_ms: last.wait_p50_ms,
        wait_p95_ms: last.wait_p95_ms,
        ..report.clone()
    };
    comparable != *last
}

impl Speech<'_> {
    pub(super) async fn report(&mut self, now: Instant) -> Result<(), End> {
        let config = &self.shared.config;
        if !self.telling.is_due(now, config) {
            return Ok(());
        }
        let snapshot = self.shared.ports.line.snapshot(&self.feed.id);
        let snapshot = within(config.port_timeout, snapshot).await?;
        self.memory.given_out = self.memory.given_out.max(snapshot.last);
        self.extend_numbers(&snapshot).await;
        self.pass_the_absent(snapshot.last, now);
        self.telling.looked_at = now;
        self.telling.touched = false;
        self.telling.hastened = false;
        let report = self.line_report(&snapshot, now);
        self.metrics.show(&report, self.window.parked());
        if !self.telling.is_worth_telling(&report, now, &self.shared.config) {
            return Ok(());
        }
        self.memory.reported.1 = report.version;
        self.telling.told_at = Some(now);
        self.telling.last = Some(report.clone());
        self.publish(Notice::Line(report), Vec::new()).await;
        Ok(())
    }

    /// Numbers at the end of the line that never come: their messages were acknowledged just before a crash that kept the
    /// cursor from passing them. Nobody higher comes to show them as missing, so the line's own count does, once nothing
    /// has come for long enough that a silent broker would have been noticed.
    fn pass_the_absent(&mut self, last: Seq, now: Instant) {
        // A queue holds messages back while others are unacknowledged: only when nothing is in hand is silence a sign.
        let in_hand = self.window.waiting() > 0 || self.under_way.is_something_owed();
        let may_come = in_hand || !self.acks.is_empty() || self.queue.is_none();
        if may_come || last <= self.window.highest() {
            self.absent = None;
            return;
        }
        let arrival = self.window.last_arrival();
        match self.absent {
            Some((seq, before, since)) if seq == last && before == arrival => {
                if now.duration_since(since) >= self.shared.config.absent_wait {
                    self.absent = None;
                    self.window.nobody_comes_upto(last, now);
                }
            }
            Some(_) | None => self.absent = Some((last, arrival, now)),
        }
    }

    fn line_report(&mut self, snapshot: &LineSnapshot, now: Instant) -> LineReport {
        let cursor: Cursor = self.cursor.clone();
        let behind = self.window.waiting_behind(cursor.serving) + self.behind_when_given_back;
        let waits = self.waits.quantiles(now);
        let last: Seq = snapshot.last.max(cursor.serving);
        let owed = self.stock.owed(|sku| self.kept(sku));
        LineReport {
            sale: self.feed.id.clone(),
            epoch: self.held.epoch,
            version: self.memory.reported.1.next(),
            waiting: cursor.waiting(last) + behind,
            cursor,
            rate_per_second: self.rate(),
            rate_actual: self.speed.per_second(now),
            remaining: self.stock.remaining().saturating_sub(owed),
            unpaid: self.stock.unpaid(),
            standby: self.standby_count(),
            owed,
            units_per_turn: units_per_turn(self.memory.units, self.memory.turns),
            skus: self.stock.reports(|sku| self.kept(sku)),
            sold_out: self.ending.sold_out,
            wait_p50_ms: waits.map(|waits| waits.p50_ms),
            wait_p95_ms: waits.map(|waits| waits.p95_ms),
            turns: self.memory.turns,
            sale_version: self.sale.version,
            at: self.shared.ports.clock.now(),
        }
    }

    /// Tells that entries were called, once the cursor has passed them: whoever starts anew would say that they wait. With
    /// too many notices under way these are lost, and looked up instead.
    pub(super) async fn tell_called(&mut self) {
        let serving = self.cursor.serving;
        let (passed, ahead): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.notices).into_iter().partition(|(seq, _)| *seq <= serving);
        self.notices = ahead;
        let mut notices: Vec<EntryNotice> = passed.into_iter().map(|(_, notice)| notice).collect();
        while !notices.is_empty() && self.under_way.notices < self.shared.config.notices_max {
            let rest = notices.split_off(notices.len().min(NOTICE_ENTRIES_MAX));
            self.publish_entries(std::mem::replace(&mut notices, rest), Vec::new()).await;
        }
    }

    /// Tells what became of passed entries, and marks them as told in the ledger. What is lost here the relay of
    /// outcomes tells later.
    pub(super) async fn tell_outcomes(&mut self, records: Vec<EntryRecord>) {
        if self.under_way.notices < self.shared.config.notices_max {
            let notices = records.iter().map(EntryNotice::of).collect();
            self.publish_entries(notices, records).await;
        }
    }

    async fn publish_entries(&mut self, entries: Vec<EntryNotice>, records: Vec<EntryRecord>) {
        let sale = self.feed.id.clone();
        self.publish(Notice::Entries { sale, entries }, records).await;
    }

    /// Publishes; then marks `told` as told.
    async fn publish(&mut self, notice: Notice, told: Vec<EntryRecord>) {
        self.under_way.notices += 1;
        let Hands { shared, sale, .. } = self.hands();
        let job = async move {
            let limit = shared.config.port_timeout;
            let published = within(limit, shared.ports.bulletin.publish(notice)).await;
            let entries: Vec<_> = told.iter().map(|record| record.entry).collect();
            let marked = match published {
                Ok(()) if entries.is_empty() => Ok(()),
                Ok(()) => within(limit, shared.ports.ledger.told(&entries)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = marked {
                tracing::debug!(
                    %sale,
                    error = &error as &dyn std::error::Error,
                    "a notice was lost; whoever misses it looks it up"
                );
            }
            Done::Told
        };
        self.begin(job).await;
    }
}

/// The running mean, at least 1.
fn units_per_turn(units: u64, turns: u64) -> f64 {
    if turns == 0 { 1.0 } else { (exact(units) / exact(turns)).max(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_basket_is_one_unit_at_least() {
        assert!((units_per_turn(0, 0) - 1.0).abs() < 1e-9);
        assert!((units_per_turn(30, 10) - 3.0).abs() < 1e-9);
    }
}
