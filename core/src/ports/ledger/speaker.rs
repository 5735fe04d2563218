//! The ledger's book of who speaks for a line: leases, epochs, number blocks and the cursor. Epochs fence writes to the
//! cursor, the credit and the gate's rebuild; they never decide whether a turn is honoured.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    clock::UnixMillis,
    ids::{Epoch, SaleId, Seq},
    line::Cursor,
    ports::{PortResult, line::Block},
};

/// The right to speak for a sale's line for a while.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lease {
    pub epoch: Epoch,
    pub until: UnixMillis,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LeaseReply {
    Held(Lease),
    /// Somebody else holds it until then.
    Taken {
        until: UnixMillis,
    },
}

/// Whether a cursor was saved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CursorSaved {
    Saved,
    /// A higher epoch has spoken: stop.
    Fenced,
}

/// See the module.
#[async_trait]
pub trait Speaker {
    /// Takes or renews the lease of a sale for `holder`. A lease that is free or has run out is taken under a new,
    /// higher epoch; one that `holder` holds is prolonged under the same epoch.
    async fn lease(&self, sale: &SaleId, holder: &str, ttl: Duration) -> PortResult<LeaseReply>;

    /// Gives a lease back, so that the next one need not wait. Nothing happens if `holder` does not hold it.
    async fn release_lease(&self, sale: &SaleId, holder: &str) -> PortResult<()>;

    /// A higher epoch for the holder of a lease, when the line or the gate has gone cold under the present one. `None`
    /// if `holder` no longer holds it.
    async fn renew_epoch(&self, sale: &SaleId, holder: &str) -> PortResult<Option<Epoch>>;

    /// Hands out the next `count` sequence numbers: each number once, ascending, for ever. The first block begins at 1.
    async fn next_block(&self, sale: &SaleId, count: u64) -> PortResult<Block>;

    /// The last number of the last block handed out; 0 if none was.
    async fn high_water(&self, sale: &SaleId) -> PortResult<Seq>;

    async fn cursor(&self, sale: &SaleId) -> PortResult<Cursor>;

    /// The highest number that had been given out when a cursor was saved; 0 if none was.
    async fn given_out(&self, sale: &SaleId) -> PortResult<Seq>;

    /// Saves a cursor under an epoch, and with it the highest number given out; one behind what is saved changes nothing.
    async fn save_cursor(
        &self,
        sale: &SaleId,
        epoch: Epoch,
        cursor: &Cursor,
        given_out: Seq,
    ) -> PortResult<CursorSaved>;
}
