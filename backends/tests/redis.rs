//! The Redis backend keeps the rules of its ports, on one server and on a cluster; and what is its own, from outside: what
//! it says of servers it cannot use, what becomes of calls while a server is away, and that a memory which may have lost
//! its last moments is never trusted. Real servers, which the tests start and break themselves.

#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "redis/bounds.rs"]
mod bounds;
#[path = "redis/cold.rs"]
mod cold;
#[path = "redis/failover.rs"]
mod failover;
#[path = "redis/full.rs"]
mod full;
#[path = "redis/home.rs"]
mod home;
#[path = "redis/opening.rs"]
mod opening;
#[path = "redis/proxy.rs"]
mod proxy;
#[path = "redis/raw.rs"]
mod raw;
#[path = "redis/samples.rs"]
mod samples;
#[path = "redis/servers.rs"]
mod servers;
#[path = "redis/silence.rs"]
mod silence;
#[path = "redis/suites.rs"]
mod suites;
