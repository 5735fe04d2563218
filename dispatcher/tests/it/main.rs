//! The dispatcher from outside, over the embedded backend on paused time: what leaves through the queue, what the ledger
//! says, what the bulletin tells.

#[cfg(test)]
mod endings;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod order;
#[cfg(test)]
mod pace;
#[cfg(test)]
mod shop;
#[cfg(test)]
mod standby;
#[cfg(test)]
mod takeovers;
#[cfg(test)]
mod tap;
#[cfg(test)]
mod telling;
#[cfg(test)]
mod workers;
#[cfg(test)]
mod world;
