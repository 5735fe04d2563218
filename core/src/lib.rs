//! The vocabulary of sluice: domain types, pure decisions, and the ports its services are written against.
//!
//! Nothing here opens a socket, a file or a thread, spawns a task, or reads a clock of its own: decisions take their
//! state and the time as values. `tokio` is used for its runtime-free parts only (channels, and sleeping inside
//! futures that a service drives), so the whole crate runs on paused time.

pub mod basket;
pub mod change;
pub mod clock;
pub mod entry;
pub mod event;
pub mod forecast;
pub mod ids;
pub mod late;
pub mod law;
pub mod line;
pub mod money;
pub mod order;
pub mod policy;
pub mod ports;
pub mod random;
pub mod reconcile;
pub mod refund;
pub mod sale;
pub mod seats;
pub mod simulation;
mod text;
pub mod token;
pub mod view;
pub mod webhook;
