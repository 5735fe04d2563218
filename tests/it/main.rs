//! Whole-system tests, in one binary so that they link once.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it stands")]

mod callbacks;
mod commands;
mod contract;
mod crash;
mod dependencies;
mod distributed;
mod documents;
mod external;
mod frames;
mod house;
mod layering;
mod manners;
mod planning;
mod seats;
mod sim;
mod standby;
mod stores;
mod upkeep;
