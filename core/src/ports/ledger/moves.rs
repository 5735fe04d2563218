//! The ledger's book of moves: when a place was last taken to another device. One instant per place that ever was; it goes with
//! its sale.
//!
//! Every token says since when its holder has had the place ([`Claims`](crate::token::Claims)), and its renewals say the same.
//! One that says an earlier instant than the place's last move proves nothing any more.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{
    clock::UnixMillis,
    ids::{EntryId, SaleId},
    ports::PortResult,
};

/// A place was moved: tokens held since before `at` prove nothing any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct PlaceMove {
    pub entry: EntryId,
    pub at: UnixMillis,
}

/// Names one move, so that a repeat of it is known from another: sixteen bytes that nobody else can guess.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct MoveName(pub [u8; 16]);

/// See the module.
#[async_trait]
pub trait MoveBook {
    /// Moves a place away from whoever has held it since `held_since`. Answers when it was moved, by this call or by one of the same
    /// name before: not earlier than the ledger's clock, and later than `held_since`. `None` when another has moved it since
    /// then; nothing changed. Of several at once one wins.
    async fn move_place(
        &self,
        sale: &SaleId,
        entry: EntryId,
        held_since: UnixMillis,
        name: MoveName,
    ) -> PortResult<Option<UnixMillis>>;

    /// When a place was last moved, if it ever was.
    async fn moved_at(&self, entry: EntryId) -> PortResult<Option<UnixMillis>>;

    /// The last moves of all places that were moved after `after`, the newest `limit` of them, newest first.
    async fn moves(&self, after: UnixMillis, limit: u32) -> PortResult<Vec<PlaceMove>>;
}
