//! The operator API from outside: a real server on a real socket, over the embedded backend.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on should say so and stop"
)]

mod audit;
mod auth;
mod bans;
mod body;
mod console;
mod deletion;
mod house;
mod letters;
mod preview;
mod reasons;
mod reconciliation;
mod roles;
mod sales;
mod shop;
mod stats;
mod stream;
mod tuning;
