//! The dispatcher: one drain loop per sale, which lets its line move exactly as fast as the rate law allows.
//!
//! [`Dispatcher`] finds the sales and keeps a loop for each (`drain_loop`): take the lease, warm the line under its
//! epoch, become the one that drains the waiting queue, then speak for the line (`speech`) until something ends that.
//! The decisions are pure and in files of their own: `reorder` and `window` (who is here, in which order, what is owed
//! to the queue), `stock`, `release` and `standby` (who goes now), `pace` (when), `pressure` (how much slower), `ending` (who can
//! no longer be served), `waits` (what is told of it).
//!
//! It is not the judge of anything: the ledger decides outcomes, and a turn it releases twice takes effect once.

mod config;
mod dispatcher;
mod drain_loop;
mod ending;
#[cfg(test)]
mod fixtures;
mod metrics;
mod pace;
mod ports;
mod pressure;
mod release;
mod reorder;
mod sales;
mod speech;
mod standby;
mod stock;
mod takeover;
mod unacked;
mod waits;
mod window;

pub use config::{BadConfig, Config};
pub use dispatcher::Dispatcher;
pub use ports::DispatcherPorts;
