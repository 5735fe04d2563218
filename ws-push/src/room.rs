//! One sale on this node: its `line` frame, encoded once and handed to every connection through one-slot mailboxes.
//!
//! Connections are spread over a few lanes that are told one after the other: a frame for a crowd then never makes
//! every task of the process ready at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::metrics::Gauge;
use sluice_core::{
    clock::{Clock, UnixMillis},
    ids::EntryId,
    sale::SaleState,
    view::{Change, SaleView},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    config::{Config, millis},
    frame::{LineFrame, Standing},
    metrics,
};

const LANES: usize = 8;
/// From this many connections on, the lanes are told apart in time.
const CROWD: usize = 512;

/// See the module.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) view: Arc<SaleView>,
    lanes: [watch::Sender<LineFrame>; LANES],
    connections: AtomicUsize,
    gauge: Gauge,
}

/// Why a room stopped telling.
#[derive(Debug)]
pub(crate) struct SaleGone;

impl Room {
    /// A room whose frame shows how the line stands, which is now.
    pub(crate) fn new(view: Arc<SaleView>, standing: &Standing, now: UnixMillis) -> Self {
        let frame = standing.encode(now);
        Self {
            gauge: metrics::connections(&view.sale().id),
            view,
            lanes: std::array::from_fn(|_| watch::Sender::new(frame.clone())),
            connections: AtomicUsize::new(0),
        }
    }

    /// Connections open now.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed) as u64
    }

    /// The mailbox of `line` frames for a connection of `entry`.
    pub(crate) fn listen(&self, entry: EntryId) -> watch::Receiver<LineFrame> {
        let lane = usize::from(entry.as_bytes()[15]) % LANES;
        self.lanes[lane].subscribe()
    }

    /// One connection more; [`left`](Self::left) undoes it.
    pub(crate) fn entered(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
        self.gauge.increment(1.0);
    }

    pub(crate) fn left(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
        self.gauge.decrement(1.0);
    }

    /// Tells the room how the line stands, beginning after `told`: on change at most once per interval, and at least once
    /// per idle time. Calls `over` when the sale has closed. Returns when the sale is gone.
    pub(crate) async fn tell(
        &self,
        told: Standing,
        config: &Config,
        clock: &dyn Clock,
        over: impl Fn(),
    ) -> SaleGone {
        let mut changes = self.view.watch();
        let (mut told, mut told_at) = (told, Instant::now());
        let idle = millis(config.line_idle_ms);
        loop {
            if *changes.borrow_and_update() == Change::Gone {
                return SaleGone;
            }
            let now = clock.now();
            let standing = Standing::of(&self.view.read(), now);
            if told != standing || told_at.elapsed() >= idle {
                self.send(&standing.encode(now), config).await;
                if standing.state == SaleState::Closed && told.state != SaleState::Closed {
                    over();
                }
                (told, told_at) = (standing, Instant::now());
            }
            // Counted from the last lane, so that no lane ever hears twice within an interval.
            sleep(self.interval(config)).await;
            let turn = Instant::now() + self.next_turn(clock).unwrap_or(idle);
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return SaleGone },
                () = sleep_until(turn.min(told_at + idle)) => {}
            }
        }
    }

    /// How long until the clock opens or closes the sale: that is a change nobody reports.
    fn next_turn(&self, clock: &dyn Clock) -> Option<Duration> {
        let (sale, now) = (self.view.sale(), clock.now());
        let turns = [sale.opens_at, sale.closes_at].into_iter().flatten();
        turns.map(|at| at.since(now)).filter(|wait| !wait.is_zero()).min()
    }

    /// Stretched so that a crowd gets no more frames per second than configured.
    fn interval(&self, config: &Config) -> Duration {
        let connections =
            u32::try_from(self.connections.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        let crowded = Duration::from_secs(1)
            .mul_f64(f64::from(connections) / f64::from(config.line_frames_per_second_max.max(1)));
        millis(config.line_interval_ms).max(crowded)
    }

    async fn send(&self, frame: &LineFrame, config: &Config) {
        let crowd = self.connections.load(Ordering::Relaxed) >= CROWD;
        let pause = self.interval(config) / (2 * u32::try_from(LANES).unwrap_or(u32::MAX));
        for (n, lane) in self.lanes.iter().enumerate() {
            if crowd && n > 0 {
                sleep(pause).await;
            }
            lane.send_replace(frame.clone());
        }
    }
}
