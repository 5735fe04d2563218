//! Admission from outside: real sockets, a real embedded backend, no dispatcher. What a test needs of a dispatcher (call
//! an entry, reserve its goods, move the cursor) the stage does through the same ports.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of tests are tests too")]

mod amnesia;
mod bad_input;
mod client;
mod holding;
mod identity;
mod joining;
mod leaving;
mod limits;
mod moving;
mod page;
mod polling;
mod selling;
mod shared_limits;
mod stage;
