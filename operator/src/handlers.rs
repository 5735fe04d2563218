//! The handlers, one file per noun.

pub(crate) mod audit;
pub(crate) mod bans;
pub(crate) mod letters;
pub(crate) mod me;
pub(crate) mod preview;
pub(crate) mod reconciliation;
pub(crate) mod report;
pub(crate) mod sales;
pub(crate) mod shop;
pub(crate) mod stats;
pub(crate) mod tune;
