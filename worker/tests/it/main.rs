//! The worker from outside: over the embedded backend, with turns as the dispatcher releases them, and over real HTTP.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod aftersales;
mod breaker;
mod callbacks;
mod crashes;
mod fulfilment;
mod fuse;
mod house;
mod inbox;
mod knobs;
mod lies;
mod money;
mod notify;
mod provider;
mod recorder;
mod shaky;
mod shop;
mod silence;
mod sweeping;
mod telling;
mod turns;
mod upkeep;
