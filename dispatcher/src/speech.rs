//! Speaking for a line: one task that takes messages in, calls, passes, tells, and keeps its lease, until something ends
//! it.
//!
//! What must be exact is asked inline, between two ticks: the line and the gate, which are fast and which nobody else
//! moves meanwhile. What must be durable (releases, outcomes, acknowledgements, the cursor, the lease) is under way
//! beside the ticks as a [`Job`](jobs::Done), a limited number of each. Any port that fails ends the speech: the drain
//! is dropped, the queue gives everything unacknowledged to the next one, and what was in hand is repeated, never lost.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use sluice_core::{
    clock::UnixMillis,
    ids::{Seq, Version},
    line::{Cursor, LineEntry},
    ports::{
        BanList, Drain, DrainIntake, DrainOutlet, EntryNotice, NewOutcome, PortError, PortResult,
        WaitingMessage,
    },
    sale::{Sale, SaleState},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    drain_loop::{Held, Memory},
    metrics::LineMetrics,
    pace::{Pace, Speed},
    ports::{Feed, Shared, within},
    standby::{FIRST_MAX, Standby},
    stock::Stock,
    waits::Waits,
    window::{Arrival, Window},
};

mod books;
mod calling;
mod jobs;
mod passing;
mod standing;
mod taking_in;
mod telling;

use jobs::{Done, UnderWay};

/// Longest sleep while somebody waits to be called.
const NAP_MAX: Duration = Duration::from_millis(50);

/// Why a speech ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Told to stop; what was in hand is finished.
    Stopped,
    /// Somebody else speaks, or the lease ran out unrenewed: nothing may be done any more.
    Fenced,
    /// The line or the gate has forgotten the sale.
    Cold,
    /// A port failed; its effect is unknown.
    Failed(PortError),
    /// The window was given back while the line could not move; now it may.
    MayMoveAgain,
}

impl From<PortError> for End {
    fn from(error: PortError) -> Self {
        match error {
            PortError::Fenced => Self::Fenced,
            PortError::Cold => Self::Cold,
            PortError::Unavailable(_) | PortError::Full => Self::Failed(error),
        }
    }
}

/// The drain's halves; both are dropped when the window is given back.
struct Queue {
    intake: Box<dyn DrainIntake>,
    outlet: Arc<dyn DrainOutlet>,
}

/// See the module.
pub(crate) struct Speech<'a> {
    shared: Arc<Shared>,
    feed: Feed,
    bans: watch::Receiver<Arc<BanList>>,
    held: Held,
    memory: &'a mut Memory,
    metrics: &'a mut LineMetrics,
    /// `None` while the window is given back.
    queue: Option<Queue>,
    jobs: FuturesUnordered<BoxFuture<'static, Done>>,
    under_way: UnderWay,

    sale: Arc<Sale>,
    window: Window,
    stock: Stock,
    standby: Standby,
    standing: standing::Standing,
    /// The highest number given out when this speech began.
    begun_with: Seq,
    /// The last message of the queue, or the beginning.
    heard_at: Instant,
    pace: Pace,
    speed: Speed,
    waits: Waits,
    /// Called, and to be written down before they are released to the shop.
    handing: Vec<LineEntry>,
    /// Outcomes to be written for entries in hand.
    passing: VecDeque<NewOutcome>,
    /// What entries became, not told yet.
    notices: Vec<(Seq, EntryNotice)>,
    /// The highest number given out, when it has not come: since when, and who came last.
    absent: Option<(Seq, Arrival, Instant)>,
    acks: Vec<u64>,
    /// The cursor as everybody may know it, and as the ledger does: never behind.
    cursor: Cursor,
    saved: Cursor,
    /// The highest number given out, as the ledger knows it.
    saved_given_out: Seq,
    /// Entries joined before this moment may have been called by an earlier speaker.
    recall_before: UnixMillis,
    books: books::Books,
    telling: telling::Telling,
    ending: passing::Ending,
    ticked_at: Instant,
    /// At the last tick there was credit, but nobody whose goods were free.
    nobody_servable: bool,
    was_open: bool,
    cannot_move_since: Option<Instant>,
    behind_when_given_back: u64,
}

/// What wakes a speech.
enum Event {
    Stop,
    SaleChanged,
    StockReturned,
    BansChanged,
    Done(Done),
    Time,
    Message(PortResult<WaitingMessage>),
}

/// Clocks of two machines may differ by this much.
const CLOCKS_APART_MAX: Duration = Duration::from_secs(5);

impl<'a> Speech<'a> {
    /// Reads how the line and the stock stand.
    pub(crate) async fn open(
        shared: Arc<Shared>,
        mut feed: Feed,
        held: Held,
        drain: Drain,
        memory: &'a mut Memory,
        metrics: &'a mut LineMetrics,
    ) -> PortResult<Self> {
        let (config, ports) = (&shared.config, &shared.ports);
        let snapshot = within(config.port_timeout, ports.line.snapshot(&feed.id)).await?;
        let mut stock = Stock::default();
        books::read_stock(&shared, &feed.id, &mut stock).await?;
        if memory.reported.0 != held.epoch {
            memory.reported = (held.epoch, Version(0));
        }
        memory.given_out = memory.given_out.max(snapshot.last);
        metrics.took_over();
        let now = Instant::now();
        let standing = ports.ledger.standing(&feed.id, FIRST_MAX, &[]);
        let mut standby =
            Standby::of(config.settled_by, feed.sale.borrow().policy.outcome_timeout());
        standby.learn(within(config.port_timeout, standing).await?, now);
        let first: Vec<_> = standby.first().collect();
        let places = within(config.port_timeout, ports.line.find(&feed.id, &first)).await?;
        for place in places.into_iter().flatten().filter(|place| place.in_flight) {
            standby.recall(place.line_entry.entry);
        }
        let sale = feed.sale.borrow_and_update().clone();
        let mut bans = shared.bans.clone();
        bans.mark_unchanged();
        Ok(Self {
            bans,
            window: Window::new(&snapshot.cursor, config.window_entries_max),
            saved: Cursor::default(),
            saved_given_out: Seq(0),
            recall_before: ports.clock.now().plus(CLOCKS_APART_MAX),
            queue: Some(Queue { intake: drain.intake, outlet: drain.outlet }),
            jobs: FuturesUnordered::new(),
            under_way: UnderWay::default(),
            pace: Pace::starting(now),
            speed: Speed::starting(now),
            waits: Waits::default(),
            handing: Vec::new(),
            passing: VecDeque::new(),
            notices: Vec::new(),
            absent: None,
            acks: Vec::new(),
            books: books::Books::starting(now),
            telling: telling::Telling::starting(now),
            ending: passing::Ending::default(),
            standby,
            standing: standing::Standing::beginning(now),
            begun_with: memory.given_out,
            heard_at: now,
            ticked_at: now,
            nobody_servable: false,
            was_open: false,
            cannot_move_since: None,
            behind_when_given_back: 0,
            cursor: snapshot.cursor,
            shared,
            feed,
            held,
            memory,
            metrics,
            sale,
            stock,
        })
    }

    /// Speaks until told to stop, or until it must not or cannot any more.
    pub(crate) async fn run(mut self, stop: &CancellationToken) -> End {
        loop {
            let turned = match self.turn().await {
                Ok(wake) => {
                    let event = self.next_event(stop, wake).await;
                    self.take(event).await
                }
                Err(end) => Err(end),
            };
            match turned {
                Ok(()) => {}
                Err(End::Stopped) => {
                    self.finish().await;
                    return End::Stopped;
                }
                Err(end) => return end,
            }
        }
    }

    /// Everything that is due now, in order; returns when to look again at the latest.
    async fn turn(&mut self) -> Result<Instant, End> {
        let now = Instant::now();
        // A process that slept too long has nothing to say: not one call more.
        if now >= self.held.until {
            return Err(End::Fenced);
        }
        let open = self.is_open();
        if open != std::mem::replace(&mut self.was_open, open) {
            self.telling.hasten();
        }
        self.renew_lease(now).await;
        self.refresh_levels(now).await?;
        self.metrics.gaps(self.window.pass_gaps(now, self.shared.config.reorder_wait));
        self.end_what_is_over(now).await;
        self.call_whom_credit_allows(now).await?;
        self.settle_passing().await;
        self.write_down_standing().await;
        self.read_standby(now).await;
        self.checkpoint(now).await?;
        self.report(now).await?;
        self.give_back_or_take_up(now)?;
        Ok(self.wake_at(now))
    }

    async fn next_event(&mut self, stop: &CancellationToken, wake: Instant) -> Event {
        let room = self.window.has_room();
        let Self { queue, jobs, feed, bans, .. } = self;
        let message = async {
            match queue {
                Some(queue) if room => queue.intake.next().await,
                Some(_) | None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => Event::Stop,
            Ok(()) = feed.sale.changed() => Event::SaleChanged,
            Ok(()) = feed.stock_returned.changed() => Event::StockReturned,
            Ok(()) = bans.changed() => Event::BansChanged,
            Some(done) = jobs.next() => Event::Done(done),
            () = sleep_until(wake) => Event::Time,
            message = message => Event::Message(message),
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), End> {
        match event {
            Event::Stop => return Err(End::Stopped),
            Event::SaleChanged => {
                self.sale = self.feed.sale.borrow_and_update().clone();
                self.telling.hasten();
            }
            Event::StockReturned => {
                self.books.levels_due();
                self.ending.look_again();
            }
            Event::BansChanged => self.pass_the_banned(),
            Event::Done(done) => self.apply(done).await?,
            // Nothing happened: that alone is not worth a report.
            Event::Time => return Ok(()),
            Event::Message(message) => self.take_in(message?).await?,
        }
        self.telling.touch();
        Ok(())
    }

    /// Whether turns may be released: the sale is open (sold out or not, which is for the stock to say).
    fn is_open(&self) -> bool {
        match self.sale.state(self.shared.ports.clock.now(), false) {
            SaleState::Open | SaleState::SoldOut => true,
            SaleState::Scheduled | SaleState::Paused | SaleState::Closed | SaleState::Frozen => {
                false
            }
        }
    }

    fn is_over(&self) -> bool {
        self.sale.is_over(self.shared.ports.clock.now())
    }

    /// Gives the window back to the queue when the line has not been allowed to move for long, and ends the speech when
    /// it may again.
    fn give_back_or_take_up(&mut self, now: Instant) -> Result<(), End> {
        let may_move = self.is_over() || (self.is_open() && self.sale.policy.multiplier > 0.0);
        if may_move {
            self.cannot_move_since = None;
            return if self.queue.is_none() { Err(End::MayMoveAgain) } else { Ok(()) };
        }
        let since = *self.cannot_move_since.get_or_insert(now);
        let long = now.duration_since(since) >= self.shared.config.give_back_after;
        let idle = self.under_way.is_nothing_owed() && self.standing.is_idle();
        if long && self.queue.is_some() && idle && self.acks.is_empty() {
            self.behind_when_given_back = self.window.waiting_behind(self.cursor.serving);
            self.queue = None;
            self.window = Window::new(&self.cursor, self.shared.config.window_entries_max);
            tracing::info!(sale = %self.feed.id, "the line has stood for long; its window is given back");
        }
        Ok(())
    }

    /// When something is due at the latest.
    fn wake_at(&self, now: Instant) -> Instant {
        let config = &self.shared.config;
        let gap = self.window.gap_deadline(config.reorder_wait);
        let due = [
            self.ticked_at + self.nap(),
            self.books.next_due(config, self.somebody_waits(), now),
            self.standing.next_due(self.standby.count(), now),
            self.telling.next_due(config),
            self.held.renew_at,
            self.held.until,
        ];
        // Never at once: whatever could not be done for lack of a free hand is tried again a tick later.
        due.into_iter().chain(gap).min().unwrap_or(now).max(now + Duration::from_millis(1))
    }

    fn nap(&self) -> Duration {
        let config = &self.shared.config;
        if !self.somebody_waits() {
            return config.idle_tick;
        }
        if self.nobody_servable {
            return NAP_MAX;
        }
        self.pace.nap(self.pace_rate(), config.tick, NAP_MAX)
    }

    /// Finishes what is in hand, as far as that is possible in time, and leaves the cursor where the next speaker looks.
    async fn finish(&mut self) {
        let deadline = Instant::now() + self.shared.config.finish_timeout;
        self.checkpoint_now().await;
        while self.under_way.is_something_owed() {
            let Ok(Some(done)) = timeout_at(deadline, self.jobs.next()).await else { break };
            if self.apply(done).await.is_err() {
                return;
            }
            self.checkpoint_now().await;
        }
        self.save_last_cursor(deadline).await;
    }
}

/// Whether `ahead` says more than `behind`.
fn is_news(ahead: &Cursor, behind: &Cursor) -> bool {
    ahead.serving > behind.serving || ahead.holes != behind.holes
}
