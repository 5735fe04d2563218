//! The push service from outside: real sockets, a real HTTP server, stores and a bulletin in the test's hands.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod board;
mod client;
mod embedded;
mod ending;
mod entries;
mod events;
mod line;
mod moving;
mod opening;
mod stores;
mod world;
