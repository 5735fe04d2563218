//! Standing by: whoever comes beyond the cap, or lost their turn when stock ran out, is written down; the first of them are
//! made offers, under the same law and by the same turns as the line. An offer is an ordinary hold, and who is made one stands
//! by until it is settled.

use std::{collections::VecDeque, time::Duration};

use sluice_core::{
    clock::UnixMillis,
    entry::{EntryState, Outcome},
    ids::SkuId,
    line::LineEntry,
    policy::OnSoldOut,
    ports::{
        BanList, EntryNotice, GateImage, OutcomeReason, PortResult, StandReply, StandbyList,
        Standing as Stands, StockBalance,
    },
};
use tokio::time::Instant;

use super::{
    End, Speech,
    jobs::{Done, Hands},
    taking_in::{expect_one_each, settlement},
};
use crate::{
    ending,
    ports::within,
    standby::FIRST_MAX,
    window::{Candidate, place},
};

/// How often the ledger is asked who stands by, when something has changed and when nothing has.
const READ_EVERY_MIN: Duration = Duration::from_millis(100);
const READ_EVERY_MAX: Duration = Duration::from_secs(1);

/// A queue that says nothing for so long after a speech has begun has said what it had.
const QUIET_MIN: Duration = Duration::from_secs(1);

/// Who is to be written down, and what is known to have changed.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// In hand, to be written down.
    new: VecDeque<LineEntry>,
    /// When those joined who are being written down.
    writing: Vec<UnixMillis>,
    known: bool,
    read_at: Option<Instant>,
}

impl Standing {
    pub(super) fn is_idle(&self) -> bool {
        self.new.is_empty()
    }

    /// What the ledger had when the speech began is known.
    pub(super) fn beginning(now: Instant) -> Self {
        Self { known: true, read_at: Some(now), ..Self::default() }
    }

    /// When the first joined who is not written down yet.
    fn first_unwritten(&self) -> Option<UnixMillis> {
        let new = self.new.iter().map(|entry| entry.joined_at);
        new.chain(self.writing.iter().copied()).min()
    }

    /// What was read is no longer true.
    pub(super) fn read_again(&mut self) {
        self.known = false;
    }

    pub(super) fn next_due(&self, count: u64, now: Instant) -> Instant {
        let Some(read_at) = self.read_at else { return now };
        match (self.known, count) {
            (false, _) => read_at + READ_EVERY_MIN,
            (true, 1..) => read_at + READ_EVERY_MAX,
            (true, 0) => now + READ_EVERY_MAX,
        }
    }

    fn is_due(&self, count: u64, now: Instant) -> bool {
        (!self.known || count > 0) && now >= self.next_due(count, now)
    }
}

impl Speech<'_> {
    /// Somebody to whom goods may be given: in line or standing by.
    pub(super) fn somebody_waits(&self) -> bool {
        self.window.waiting() > 0 || self.standby.count() > 0
    }

    pub(super) fn standby_count(&self) -> u64 {
        let unwritten = self.standing.new.len() + self.standing.writing.len();
        self.standby.count() + u64::try_from(unwritten).unwrap_or(u64::MAX)
    }

    /// One who came to stand by.
    pub(super) fn take_in_standby(&mut self, entry: LineEntry, bans: &BanList) {
        if bans.covers(&entry.buyer, entry.address) {
            self.pass(entry, Outcome::Refused, OutcomeReason::Banned);
        } else if self.is_over() {
            self.pass(entry, Outcome::SoldOut, OutcomeReason::Closed);
        } else {
            self.standing.new.push_back(entry);
        }
    }

    /// One whose goods are gone: they stand by if the sale says so and has room for it.
    pub(super) fn end_or_stand(&mut self, entry: LineEntry) {
        let policy = &self.sale.policy;
        if policy.on_sold_out == OnSoldOut::Standby && self.standby_count() < policy.standby_cap {
            self.standing.new.push_back(entry);
        } else {
            self.pass(entry, Outcome::SoldOut, OutcomeReason::Plain);
        }
    }

    /// The sale is over: so it is for those who stand by.
    pub(super) fn end_standby(&mut self, now: Instant) {
        for entry in self.standby.take_all(now, |_| true) {
            self.pass(entry, Outcome::SoldOut, OutcomeReason::Closed);
        }
    }

    /// Those who stand by for goods that cannot come back, unless the sale lets them wait for what is returned.
    pub(super) fn end_standby_without_goods(
        &mut self,
        balances: &[StockBalance],
        seats: Option<&GateImage>,
    ) {
        if self.sale.policy.on_sold_out == OnSoldOut::Standby {
            return;
        }
        let stock = &self.stock;
        let ended = self.standby.take_all(Instant::now(), |entry| {
            !stock.may_come_to_fit(&entry.basket) && ending::is_gone(&entry.basket, balances, seats)
        });
        for entry in ended {
            self.pass(entry, Outcome::SoldOut, OutcomeReason::Plain);
        }
    }

    pub(super) fn pass_the_banned_on_standby(&mut self, bans: &BanList) {
        let covered = |entry: &LineEntry| bans.covers(&entry.buyer, entry.address);
        for entry in self.standby.take_all(Instant::now(), covered) {
            self.pass(entry, Outcome::Refused, OutcomeReason::Banned);
        }
    }

    /// By the gate's word somebody waits whose goods cannot come back.
    pub(super) fn somebody_lost(&self) -> bool {
        let lost = |basket: &_| !self.stock.may_come_to_fit(basket);
        let settles = self.sale.policy.on_sold_out == OnSoldOut::Settle;
        self.window.any_kind(lost) || (settles && self.standby.any(lost))
    }

    /// When the first joined who stands by and can be served, or is still to be written down: nobody in line who came after
    /// them goes before.
    pub(super) fn first_on_standby(&self, now: Instant) -> Option<UnixMillis> {
        let next = self.standby.first_since(&self.stock, now);
        next.into_iter().chain(self.standing.first_unwritten()).min()
    }

    /// Whoever was in the queue when this speech began has come: who was answered before somebody asked is ahead of them
    /// there, so nobody is on the way who comes before those who stand by. Numbers that were lost are not waited for.
    fn the_line_is_here(&self) -> bool {
        let come = self.window.highest() >= self.begun_with;
        self.queue.is_some() && (come || self.heard_at.elapsed() >= QUIET_MIN)
    }

    pub(super) fn pick_offers(&mut self, most: usize, now: Instant) -> Vec<Candidate> {
        if !self.the_line_is_here() {
            return Vec::new();
        }
        let stock = &self.stock;
        // The line goes by number: numbers and times of those who asked at once may disagree.
        let in_line = self.window.first_fitting(|basket| stock.fits(basket));
        let in_line = in_line.and_then(|place| self.window.joined_at(place));
        let before = in_line.into_iter().chain(self.standing.first_unwritten()).min();
        self.standby.pick(&mut self.stock, most, before, now)
    }

    /// Makes offers; returns those that are made.
    pub(super) async fn offer(&mut self, offers: Vec<Candidate>) -> Result<Vec<LineEntry>, End> {
        let (config, ports) = (&self.shared.config, &self.shared.ports);
        let entries: Vec<LineEntry> = offers.iter().map(|offer| offer.entry.clone()).collect();
        let call = ports.line.call(&self.feed.id, self.held.epoch, None, &entries);
        let standings = within(config.port_timeout, call).await?;
        expect_one_each(standings.len(), offers.len())?;
        let mut made = Vec::new();
        for (Candidate { entry, recalled }, standing) in offers.into_iter().zip(standings) {
            if standing == Stands::Called {
                self.pace.spend(1);
                made.push(entry);
                continue;
            }
            if !recalled {
                self.stock.put_back(&entry.basket);
            }
            match standing {
                Stands::Settled(_) => self.standing.read_again(),
                Stands::Twin { .. } => self.pass(entry, Outcome::Refused, OutcomeReason::Duplicate),
                // Nobody is silent while they stand by.
                Stands::Silent { .. } | Stands::Called => {}
            }
        }
        Ok(made)
    }

    /// Units of a SKU that are kept for those who stand by: nobody in line wants them.
    pub(super) fn kept(&self, sku: &SkuId) -> u64 {
        let in_line = self.window.any_kind(|basket| basket.items().iter().any(|i| i.sku == *sku));
        if self.the_line_is_here() && !in_line && self.is_open() {
            self.standby.wanted(sku, Instant::now())
        } else {
            0
        }
    }

    /// Writes down who came to stand by, as many at once as is allowed.
    pub(super) async fn write_down_standing(&mut self) {
        let (most, at_once) =
            (self.shared.config.settlement_entries_max, self.shared.config.settlements_max);
        while !self.standing.new.is_empty() && self.under_way.standings < at_once {
            let count = self.standing.new.len().min(most);
            let entries: Vec<LineEntry> = self.standing.new.drain(..count).collect();
            self.under_way.standings += 1;
            self.standing.writing.extend(entries.iter().map(|entry| entry.joined_at));
            let hands = self.hands();
            self.begin(async move {
                let result = stand_by(hands, entries.clone()).await;
                Done::Stood { entries, result }
            })
            .await;
        }
    }

    /// The ledger has them.
    pub(super) async fn stood(&mut self, entries: Vec<LineEntry>, replies: Vec<StandReply>) {
        let mut known = Vec::new();
        for (entry, reply) in entries.into_iter().zip(replies) {
            let writing = &mut self.standing.writing;
            if let Some(n) = writing.iter().position(|joined| *joined == entry.joined_at) {
                writing.swap_remove(n);
            }
            match reply {
                StandReply::Stands => {
                    self.window.finish(place(&entry));
                    self.standby.add(entry.clone().standing_by());
                    let notice = EntryNotice {
                        entry: entry.entry,
                        version: EntryState::Standby.version(None),
                        state: EntryState::Standby,
                        order: None,
                        pay_by: None,
                    };
                    self.notices.push((entry.seq, notice));
                }
                StandReply::Known(record) => {
                    self.window.finish(place(&entry));
                    known.push(record);
                }
                StandReply::Twin { .. } => {
                    self.pass(entry, Outcome::Refused, OutcomeReason::Duplicate);
                }
            }
        }
        self.standing.read_again();
        if !known.is_empty() {
            self.tell_outcomes(known).await;
        }
    }

    /// Asks the ledger who stands by.
    pub(super) async fn read_standby(&mut self, now: Instant) {
        if self.under_way.standby || !self.standing.is_due(self.standby.count(), now) {
            return;
        }
        (self.under_way.standby, self.standing.known) = (true, true);
        self.standing.read_at = Some(now);
        self.standby.reading();
        let hiding = self.standby.hiding(&self.stock);
        let Hands { shared, sale, .. } = self.hands();
        self.begin(async move {
            let standing = shared.ports.ledger.standing(&sale, FIRST_MAX, &hiding);
            Done::Standing(within(shared.config.port_timeout, standing).await)
        })
        .await;
    }

    pub(super) fn standby_read(&mut self, list: StandbyList) {
        let counted = self.standby.count() != list.count;
        self.standby.learn(list, Instant::now());
        if counted {
            self.telling.touch();
        }
        let bans = std::sync::Arc::clone(&self.bans.borrow());
        self.pass_the_banned_on_standby(&bans);
        self.ending.look_again();
    }
}

/// The ledger first, then the line.
async fn stand_by(hands: Hands, entries: Vec<LineEntry>) -> PortResult<Vec<StandReply>> {
    let Hands { shared, sale, .. } = hands;
    let (limit, ports) = (shared.config.port_timeout, &shared.ports);
    let ids: Vec<_> = entries.iter().map(|entry| entry.entry).collect();
    let replies = within(limit, ports.ledger.stand_by(&sale, entries)).await?;
    let (mut standing, mut settled) = (Vec::new(), Vec::new());
    for (entry, reply) in ids.into_iter().zip(&replies) {
        match reply {
            StandReply::Stands => standing.push(entry),
            StandReply::Known(record) => settled.push((record.entry, settlement(record))),
            StandReply::Twin { .. } => {}
        }
    }
    within(limit, ports.line.stand_by(&sale, &standing)).await?;
    if !settled.is_empty() {
        within(limit, ports.line.settle(&sale, &settled)).await?;
    }
    Ok(replies)
}
