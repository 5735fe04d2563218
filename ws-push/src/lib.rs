//! Push: every buyer is told, all the time, where they stand and what became of them. WebSocket and Server-Sent Events,
//! as the contract has them in section 4.
//!
//! A hint, never the only carrier: every frame is a whole snapshot, versions heal what was lost, and a connected entry
//! that heard nothing is looked up. What is *not* here: joining, polling, deciding; this crate reads and tells.
//!
//! Reading order: [`Push`] (life cycle), `service` (the way in), `socket` and `events` (one connection), `hub` (who
//! watches what), `look` and `looks` (asking the stores), `room` (the `line` frame),
//! `tally` (how many there are).

mod close;
mod config;
mod credentials;
mod events;
mod frame;
mod handshake;
mod hub;
mod look;
mod looks;
mod metrics;
mod presence;
mod push;
mod room;
mod service;
mod socket;
mod tally;
mod watcher;

pub use config::{Config, Cookies};
pub use push::{Push, PushPorts};
