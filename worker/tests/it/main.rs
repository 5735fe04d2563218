//! The worker from outside: over the embedded backend, with turns as the dispatcher releases them, and over real HTTP.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod crashes;
mod fuse;
mod house;
mod inbox;
mod lies;
mod money;
mod provider;
mod shaky;
mod shop;
mod silence;
mod sweeping;
mod turns;
