//! How a simulated sale went, as it is told.

use std::collections::BTreeMap;

use serde::Serialize;

/// A crowd is told of in so many parts.
pub const TENTHS: usize = 10;

/// Milliseconds; the smallest value that so many in a hundred do not exceed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Percentiles {
    #[must_use]
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |permille: usize| {
            let place = (values.len() * permille / 1000).min(values.len().saturating_sub(1));
            values.get(place).copied().unwrap_or(0.0)
        };
        Self { p50: at(500), p95: at(950), p99: at(990), max: at(1000) }
    }
}

/// The sale at one moment, as the public sees it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Moment {
    pub seconds: f64,
    pub waiting: u64,
    /// Those who stand by; left out while there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub standby: u64,
    pub serving: u64,
    pub remaining: u64,
    pub rate_per_second: f64,
    /// How long those who were called in the last second had waited, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<f64>,
}

/// How it went. Serialises as a crowd's report does, as far as both have the same to tell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    pub shoppers: u64,
    pub joined: u64,
    /// Came when the line was full or everything was sold, and could not stand by.
    pub turned_away: u64,
    pub outcomes: BTreeMap<&'static str, u64>,
    pub orders: u64,
    pub paid: u64,
    /// Paid after the deadline, when the goods were gone.
    pub refunded: u64,
    pub sold_units: u64,
    /// When the last unit was sold; absent when some were left.
    pub sold_out_seconds: Option<f64>,
    /// The odds: of each tenth of the crowd, in the order in which it came, the share that was called. 0 to 1.
    pub odds_by_tenth: [f64; TENTHS],
    /// From the join to the call, of those who got something.
    pub waits_ms: Percentiles,
    pub took_seconds: f64,
    pub timeline: Vec<Moment>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}
