//! Metrics of the push service. Handles are taken once: counting a frame costs one addition.

use metrics::{Counter, Gauge, Unit};
use sluice_core::ids::SaleId;

/// Connections open now, by sale.
const CONNECTIONS: &str = "sluice_push_connections";
/// Frames written, by kind: `line`, `entry`, `bye`.
const FRAMES: &str = "sluice_push_frames_total";
/// Connections ended, by close code; `gone` when the client left by itself.
const CLOSES: &str = "sluice_push_closes_total";

/// Names the metrics for whoever scrapes them.
pub(crate) fn describe() {
    metrics::describe_gauge!(CONNECTIONS, Unit::Count, "Push connections open now, by sale.");
    metrics::describe_counter!(
        FRAMES,
        Unit::Count,
        "Push frames written, by kind: line, entry, bye."
    );
    metrics::describe_counter!(
        CLOSES,
        Unit::Count,
        "Push connections ended, by close code; `gone` when the client left by itself."
    );
}

/// Frames written, one counter per kind.
#[derive(Clone, Debug)]
pub(crate) struct Frames {
    pub(crate) line: Counter,
    pub(crate) entry: Counter,
    pub(crate) bye: Counter,
}

impl Frames {
    pub(crate) fn new() -> Self {
        let counter = |kind| metrics::counter!(FRAMES, "kind" => kind);
        Self { line: counter("line"), entry: counter("entry"), bye: counter("bye") }
    }
}

/// Shows a sale that nobody is connected to yet; one that somebody is connected to keeps its count.
pub(crate) fn known(sale: &SaleId) {
    connections(sale).increment(0.0);
}

/// The gauge of one sale's connections.
pub(crate) fn connections(sale: &SaleId) -> Gauge {
    metrics::gauge!(CONNECTIONS, "sale" => sale.to_string())
}

/// One connection ended.
pub(crate) fn closed(code: &'static str) {
    metrics::counter!(CLOSES, "code" => code).increment(1);
}

#[cfg(test)]
mod tests;
