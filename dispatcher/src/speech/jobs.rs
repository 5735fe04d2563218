//! What is under way beside the ticks, and what follows when it is done.

use std::{sync::Arc, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use sluice_core::{
    event::Turn,
    ids::{EntryId, Epoch, Seq},
    line::{Cursor, LineEntry},
    ports::{
        CursorSaved, EntryRecord, GateImage, LeaseReply, PortError, PortResult, StandReply,
        StandbyList, StockBalance,
    },
};
use tokio::time::Instant;

use super::{End, Speech};
use crate::{drain_loop::Held, window::Place};

/// A call that came back.
#[derive(Debug)]
pub(super) enum Done {
    /// Turns for the shop are written down, or nobody knows.
    HandedOver {
        turns: Vec<Turn>,
        result: PortResult<()>,
    },
    /// Turns are durable, or nobody knows.
    Released {
        turns: Vec<ReleasedTurn>,
        result: PortResult<()>,
    },
    /// Outcomes are in the ledger and the line has heard of them, or nobody knows.
    Settled {
        places: Vec<Place>,
        result: PortResult<Vec<EntryRecord>>,
    },
    /// Entries stand by in the ledger and the line has heard of it, or nobody knows.
    Stood {
        entries: Vec<LineEntry>,
        result: PortResult<Vec<StandReply>>,
    },
    /// Who stands by, as the ledger has it.
    Standing(PortResult<StandbyList>),
    Acknowledged(PortResult<()>),
    Lease {
        asked: Instant,
        result: PortResult<LeaseReply>,
    },
    CursorSaved {
        cursor: Cursor,
        given_out: Seq,
        result: PortResult<CursorSaved>,
    },
    Extended(PortResult<()>),
    Stock(PortResult<LedgerStock>),
    GateRebuilt(PortResult<()>),
    /// A notice was published, or lost: both are fine.
    Told,
}

/// What the ledger says of the stock; with its seats where somebody's stretch seems to be gone.
#[derive(Debug)]
pub(super) struct LedgerStock {
    pub(super) balances: Vec<StockBalance>,
    pub(super) seats: Option<GateImage>,
}

/// A turn on its way out.
#[derive(Debug)]
pub(super) struct ReleasedTurn {
    pub(super) place: Place,
    pub(super) units: u64,
    /// From join to call.
    pub(super) waited: Duration,
}

/// How many of each are under way.
#[derive(Debug, Default)]
pub(super) struct UnderWay {
    /// One at a time, so that turns leave in order.
    pub(super) hand_over: bool,
    pub(super) releases: usize,
    pub(super) settlements: usize,
    pub(super) standings: usize,
    pub(super) standby: bool,
    pub(super) acks: usize,
    pub(super) notices: usize,
    pub(super) lease: bool,
    pub(super) cursor: bool,
    pub(super) block: bool,
    pub(super) stock: bool,
    pub(super) gate: bool,
}

impl UnderWay {
    /// Turns, outcomes or acknowledgements that the queue and the buyers are owed.
    pub(super) fn is_something_owed(&self) -> bool {
        self.hand_over || self.releases + self.settlements + self.standings + self.acks > 0
    }

    pub(super) fn is_nothing_owed(&self) -> bool {
        !self.is_something_owed()
    }
}

impl Speech<'_> {
    /// Begins a job. It is polled once here: calls that overlap have begun in the order they were made.
    pub(super) async fn begin(&mut self, job: impl Future<Output = Done> + Send + 'static) {
        let mut job: BoxFuture<'static, Done> = job.boxed();
        let first = futures_util::poll!(&mut job);
        self.jobs.push(match first {
            std::task::Poll::Ready(done) => std::future::ready(done).boxed(),
            std::task::Poll::Pending => job,
        });
    }

    pub(super) async fn apply(&mut self, done: Done) -> Result<(), End> {
        match done {
            Done::HandedOver { turns, result } => {
                self.under_way.hand_over = false;
                result?;
                self.send_out(turns).await?;
                self.hand_over().await;
            }
            Done::Released { turns, result } => {
                self.under_way.releases -= 1;
                // Unknown is not failed: the drain is dropped, and its turns are released again.
                result?;
                self.released(&turns);
            }
            Done::Settled { places, result } => {
                self.under_way.settlements -= 1;
                self.settled(&places, result?).await;
            }
            Done::Stood { entries, result } => {
                self.under_way.standings -= 1;
                self.stood(entries, result?).await;
            }
            Done::Standing(result) => {
                self.under_way.standby = false;
                if let Some(list) = self.or_later(result, "who stands by could not be read")? {
                    self.standby_read(list);
                }
            }
            Done::Acknowledged(result) => {
                self.under_way.acks -= 1;
                result?;
            }
            Done::Lease { asked, result } => {
                self.under_way.lease = false;
                self.leased(asked, result)?;
            }
            Done::CursorSaved { cursor, given_out, result } => {
                self.under_way.cursor = false;
                self.cursor_saved(cursor, given_out, result).await?;
            }
            Done::Extended(result) => {
                self.under_way.block = false;
                self.or_later(result, "no more sequence numbers for now")?;
            }
            Done::Stock(result) => {
                self.under_way.stock = false;
                let stock = self.or_later(result, "the ledger's stock could not be read")?;
                match stock {
                    Some(stock) => self.stock_read(&stock).await,
                    None => self.ending.ask_later(Instant::now()),
                }
            }
            Done::GateRebuilt(result) => {
                self.under_way.gate = false;
                self.or_later(result, "the stock gate could not be set right")?;
                self.books.levels_due();
            }
            Done::Told => self.under_way.notices -= 1,
        }
        Ok(())
    }

    /// For calls whose failure can wait for the next try: `None` then.
    fn or_later<T>(&self, result: PortResult<T>, what: &'static str) -> Result<Option<T>, End> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error @ (PortError::Fenced | PortError::Cold)) => Err(error.into()),
            Err(error @ (PortError::Unavailable(_) | PortError::Full)) => {
                tracing::warn!(
                    sale = %self.feed.id,
                    error = &error as &dyn std::error::Error,
                    "{what}; trying again"
                );
                Ok(None)
            }
        }
    }

    /// The lease was prolonged, or not. A lease under another epoch ran out in between: what this speech knows is stale.
    fn leased(&mut self, asked: Instant, result: PortResult<LeaseReply>) -> Result<(), End> {
        let ttl = self.shared.config.lease_ttl;
        match self.or_later(result, "the lease could not be renewed")? {
            Some(LeaseReply::Held(lease)) if lease.epoch == self.held.epoch => {
                self.held = Held::asked_at(asked, lease.epoch, ttl);
                Ok(())
            }
            Some(LeaseReply::Held(_) | LeaseReply::Taken { .. }) => Err(End::Fenced),
            None => {
                self.held.renew_at = Instant::now() + ttl / 6;
                Ok(())
            }
        }
    }

    async fn cursor_saved(
        &mut self,
        cursor: Cursor,
        given_out: Seq,
        result: PortResult<CursorSaved>,
    ) -> Result<(), End> {
        match self.or_later(result, "the cursor could not be saved")? {
            Some(CursorSaved::Saved) => self.reached(cursor, given_out).await,
            Some(CursorSaved::Fenced) => Err(End::Fenced),
            None => Ok(()),
        }
    }
}

/// What jobs close over.
#[derive(Clone, Debug)]
pub(super) struct Hands {
    pub(super) shared: Arc<crate::ports::Shared>,
    pub(super) sale: sluice_core::ids::SaleId,
    pub(super) epoch: Epoch,
}

impl Speech<'_> {
    pub(super) fn hands(&self) -> Hands {
        Hands {
            shared: Arc::clone(&self.shared),
            sale: self.feed.id.clone(),
            epoch: self.held.epoch,
        }
    }
}

/// The ids of some places.
pub(super) fn ids(places: &[Place]) -> Vec<EntryId> {
    places.iter().map(|(_, entry)| *entry).collect()
}
