//! The order worker: turns become outcomes, holds and orders; orders are paid, cancelled, closed, fulfilled, changed or refunded.
//!
//! [`Worker`] is the role: it consumes turns in micro-batches, answers the order routes and the payment callback, sweeps
//! payment deadlines, applies callbacks that were kept while the ledger was away, announces again what a crash kept from the
//! bulletin, reconciles gate and ledger, and archives old idempotency keys. [`Simulated`] is a payment provider of our
//! own, as unruly as is wished, for demonstrations, rehearsals and tests; [`Webhook`] leaves what follows a payment to the shop;
//! [`notify`] tells buyers who are not looking.
//!
//! It decides nothing that two workers could decide differently: outcomes and states are the ledger's, each effect is keyed
//! and may be repeated, and a turn is acknowledged last. It never rebuilds the stock gate; that is for who speaks for a line.

mod aftermath;
mod agenda;
mod asking;
mod away;
mod backoff;
mod breaker;
mod callback;
mod config;
mod finish;
mod fulfilment;
mod gather;
mod guarded;
mod inbox;
mod metrics;
pub mod notify;
mod orders;
mod refunds;
mod relay;
mod shared;
mod signed;
mod silence;
mod simulated;
mod sweeper;
mod telling;
mod tills;
mod turns;
mod upkeep;
mod word;
mod worker;

pub use config::Config;
pub use fulfilment::{Fulfilment, FulfilmentError, Immediate, Webhook, WebhookSettings};
pub use simulated::{Simulated, SimulatedKnobs, SimulatedPorts, SimulatedSettings};
pub use worker::{Worker, WorkerPorts};
