//! The backends: each keeps the ports of `sluice-core` with one technology. Roles never name one; the composition root
//! picks.

pub mod clock;
pub mod embedded;
pub mod metrics;
pub mod postgres;
pub mod rabbitmq;
pub mod redis;
mod shifts;
mod tls;
