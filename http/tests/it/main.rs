//! The HTTP house from outside: real sockets, bytes in, bytes out.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod bodies;
mod capacity;
mod client;
mod drain;
mod house;
mod measured;
mod origins;
mod peers;
mod routing;
mod slow;
mod streams;
mod tls;
