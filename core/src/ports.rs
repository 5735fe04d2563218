//! The ports: what the roles ask of the world, in the domain's words. Each says what it promises about delivery, order
//! and repeats, and each has one conformance suite that every backend runs.
//!
//! The promises are written for RabbitMQ, Redis and PostgreSQL to keep: a call may time out after it took effect, a
//! message may come twice, a store may forget. So every effect is keyed and may be repeated.

use std::error::Error as StdError;

mod bulletin;
mod callbacks;
mod gate;
mod ledger;
mod letters;
mod line;
mod notify;
mod outlet;
mod payment;
mod turns;
mod waiting;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

pub use bulletin::{
    Bulletin, EntryNotice, Heard, LineReport, Notice, PUSH_REPORT_EVERY, PushReport, SkuReport,
    Subscription,
};
pub use callbacks::{CallbackDeliveries, CallbackDelivery, CallbackInbox, CallbackIntake};
pub use gate::{
    GateHold, GateHolds, GateImage, HeldStock, HoldPhase, HoldUpdate, HoldsPlace, Reserved,
    Restock, SeatImage, SeatLevel, SeatsSold, SkuLevel, StockGate, Want,
};
pub use ledger::{
    AfterSales, Audit, AuditRow, Author, Ban, BanList, BanRule, Books, ChangeEnd, ChangeReply,
    Changed, Created, CursorSaved, Deleted, Duty, EntryBook, EntryRecord, GateSaid, HoldReply,
    HoldRequest, HoldWord, IdempotencyKey, KeysSwept, Lease, LeaseReply, Ledger, MoneyBalance,
    MoveBook, MoveName, NewOutcome, NewPayment, OncePaid, OrderBook, OrderCount, OrderRef,
    OrderStep, OutcomeReason, Payment, PaymentState, PaymentStep, PaymentUpdate, PlaceMove,
    RefundReply, Replay, SaleBook, SaleMinute, ShopBook, ShopOutcome, ShopReply, ShopReport,
    ShopWord, SimulatedPayment, SimulatedRefund, SimulatedState, Speaker, StandReply, StandbyBook,
    StandbyList, StepReply, StockBalance, UpkeepBook,
};
pub use letters::{
    DeadLetter, DeadLetters, FOREIGN_CHARS_MAX, LetterContent, LetterOrder, LetterPage,
    LetterReplay, LetterSource,
};
pub use line::{
    Block, DeviceKey, Join, JoinLimits, JoinReply, LimitedBy, Line, LineSnapshot, Place,
    PlaceState, Restore, Settlement, Standing,
};
pub use notify::{
    BadContact, Contact, Notification, NotificationId, Notifier, NotifyError, Occasion, Reach,
};
pub use outlet::WorkOutlet;
pub use payment::{
    PaymentProvider, PaymentRequest, ProviderError, ProviderPayment, ProviderStatus, RefundStatus,
};
pub use turns::{QueueDepths, TurnDeliveries, TurnDelivery, TurnIntake, TurnQueue};
pub use waiting::{Drain, DrainIntake, DrainOutlet, WaitingMessage, WaitingQueue};

/// Whatever a backend's library said; kept for the log, never shown.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// What a port could not do, told as what the caller should do about it.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Unknown or nothing recorded: the effect may or may not have happened. Never compensate; repeat the same call.
    #[error("the store did not answer")]
    Unavailable(#[source] Cause),
    /// The backend is at its limit and took nothing: shed the load.
    #[error("the store is at its limit")]
    Full,
    /// The line's or the gate's memory of this sale is gone or never was: nothing was done. The sale's speaker warms it
    /// again; everybody else tries later.
    #[error("the sale is not warm here")]
    Cold,
    /// Somebody with a higher epoch speaks for this sale, or the drain this handle belongs to is over: nothing was done.
    /// Stop speaking.
    #[error("somebody else speaks for this sale")]
    Fenced,
}

impl PortError {
    /// Wraps a library's error.
    pub fn unavailable(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(cause.into())
    }

    /// Wraps a library's error where the store itself said nothing: a deadline passed, or it was not to be reached.
    pub fn silent(cause: impl Into<Cause>) -> Self {
        Self::Unavailable(Silence(cause.into()).into())
    }

    /// Whether the store said nothing, as against an error that it answered.
    #[must_use]
    pub fn is_silence(&self) -> bool {
        matches!(self, Self::Unavailable(cause) if cause.is::<Silence>())
    }
}

/// Marks the cause of a [`PortError::Unavailable`] as one that the store did not answer.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Silence(Cause);

/// The result of a port's call.
pub type PortResult<T> = Result<T, PortError>;

/// One of each, as a backend hands them out: what the composition root wires the roles with.
#[derive(Clone, Debug)]
pub struct Ports {
    pub line: std::sync::Arc<dyn Line>,
    pub waiting: std::sync::Arc<dyn WaitingQueue>,
    pub turns: std::sync::Arc<dyn TurnQueue>,
    pub bulletin: std::sync::Arc<dyn Bulletin>,
    pub gate: std::sync::Arc<dyn StockGate>,
    pub ledger: std::sync::Arc<dyn Ledger>,
    pub letters: std::sync::Arc<dyn DeadLetters>,
    /// `None` where nothing outlives the ledger: a callback it cannot store is the provider's to repeat.
    pub inbox: Option<std::sync::Arc<dyn CallbackInbox>>,
}
