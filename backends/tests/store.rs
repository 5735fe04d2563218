//! What is the embedded backend's own, from outside: the file and who may open it, what is in it when an answer comes,
//! its limits, and the constraints that hold when all else lies. The ports' rules are in `embedded.rs`.

#![expect(clippy::unwrap_used, reason = "test code")]

#[path = "store/constraints.rs"]
mod constraints;
#[path = "store/durability.rs"]
mod durability;
#[path = "store/house.rs"]
mod house;
#[path = "store/limits.rs"]
mod limits;
#[path = "store/opening.rs"]
mod opening;
