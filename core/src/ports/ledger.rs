//! Port: the ledger. The SQL database; it decides. Every promise is a constraint or a compare-and-swap here, so that it
//! holds when all else lies.
//!
//! Nine books, one database. Each method is one transaction: all of it or nothing, durable when it returns. The ledger's
//! own clock stamps and compares every time. Reads see all that was committed before they began.

use std::fmt::Debug;

mod aftersales;
mod entries;
mod moves;
mod orders;
mod sales;
mod shop;
mod speaker;
mod standby;
mod upkeep;

pub use aftersales::{AfterSales, ChangeEnd, ChangeReply, MoneyBalance, RefundReply};
pub use entries::{
    EntryBook, EntryRecord, GateSaid, HoldReply, HoldRequest, IdempotencyKey, NewOutcome, OrderRef,
    OutcomeReason, Replay,
};
pub use moves::{MoveBook, MoveName, PlaceMove};
pub use orders::{
    NewPayment, OncePaid, OrderBook, OrderCount, OrderStep, Payment, PaymentState, PaymentStep,
    PaymentUpdate, SimulatedPayment, SimulatedRefund, SimulatedState, StepReply, StockBalance,
};
pub use sales::{
    Audit, AuditRow, Author, Ban, BanList, BanRule, Changed, Created, Deleted, SaleBook,
};
pub use shop::{ShopBook, ShopOutcome, ShopReply, ShopReport, ShopWord};
pub use speaker::{CursorSaved, Lease, LeaseReply, Speaker};
pub use standby::{StandReply, StandbyBook, StandbyList};
pub use upkeep::{Books, Duty, HoldWord, KeysSwept, SaleMinute, UpkeepBook};

/// All nine books.
pub trait Ledger:
    SaleBook
    + Speaker
    + EntryBook
    + OrderBook
    + ShopBook
    + AfterSales
    + StandbyBook
    + MoveBook
    + UpkeepBook
    + Debug
    + Send
    + Sync
{
}

impl<T> Ledger for T where
    T: SaleBook
        + Speaker
        + EntryBook
        + OrderBook
        + ShopBook
        + AfterSales
        + StandbyBook
        + MoveBook
        + UpkeepBook
        + Debug
        + Send
        + Sync
{
}
