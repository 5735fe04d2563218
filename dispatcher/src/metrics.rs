//! The dispatcher's metrics, all of them. Labels never carry a buyer, an entry or an order.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use sluice_core::{
    law::exact,
    ports::{LineReport, OutcomeReason},
};

const WAITING: &str = "sluice_line_waiting";
const SERVING: &str = "sluice_line_serving";
const PARKED: &str = "sluice_line_parked";
const GAPS: &str = "sluice_line_gaps_total";
const TWINS: &str = "sluice_line_twins_total";
const STANDBY: &str = "sluice_standby";
const PASSED: &str = "sluice_line_passed_total";
const TAKEOVERS: &str = "sluice_line_takeovers_total";
const TURNS: &str = "sluice_turns_total";
const RATE_WANTED: &str = "sluice_rate_wanted_per_second";
const WAIT: &str = "sluice_wait_seconds";
const REMAINING: &str = "sluice_stock_remaining";

/// Tells the recorder what each metric means.
pub(crate) fn describe() {
    describe_gauge!(WAITING, "Entries that wait in line, parked ones included");
    describe_gauge!(SERVING, "The cursor: the highest number that was called, passed or parked");
    describe_gauge!(PARKED, "Entries the cursor passed because others hold their goods");
    describe_gauge!(STANDBY, "Entries that stand by: an offer comes when goods are there for them");
    describe_counter!(GAPS, "Numbers that were waited for in vain and passed");
    describe_counter!(TWINS, "Entries that were delivered again and dropped");
    describe_counter!(PASSED, "Entries settled in passing, without a turn, by reason");
    describe_counter!(TAKEOVERS, "How often this process became the one that speaks for a line");
    describe_counter!(TURNS, "Turns released");
    describe_gauge!(RATE_WANTED, "Turns per second by the law as it is applied now");
    describe_histogram!(WAIT, Unit::Seconds, "From join to call");
    describe_gauge!(REMAINING, "Units that can be sold now, less what called entries want");
}

/// The metrics of one sale's line.
#[derive(Debug)]
pub(crate) struct LineMetrics {
    sale: String,
    turns: metrics::Counter,
    gaps: metrics::Counter,
    twins: metrics::Counter,
    takeovers: metrics::Counter,
    wait: WaitHistogram,
    skus: Vec<String>,
}

/// `metrics::Histogram` in a struct that prints.
struct WaitHistogram(metrics::Histogram);

impl std::fmt::Debug for WaitHistogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(WAIT)
    }
}

impl LineMetrics {
    pub(crate) fn of(sale: &sluice_core::ids::SaleId) -> Self {
        let sale = sale.to_string();
        Self {
            turns: counter!(TURNS, "sale" => sale.clone()),
            gaps: counter!(GAPS, "sale" => sale.clone()),
            twins: counter!(TWINS, "sale" => sale.clone()),
            takeovers: counter!(TAKEOVERS, "sale" => sale.clone()),
            wait: WaitHistogram(histogram!(WAIT, "sale" => sale.clone())),
            skus: Vec::new(),
            sale,
        }
    }

    pub(crate) fn took_over(&self) {
        self.takeovers.increment(1);
    }

    pub(crate) fn released(&self, turns: u64) {
        self.turns.increment(turns);
    }

    pub(crate) fn waited(&self, waited: Duration) {
        self.wait.0.record(waited.as_secs_f64());
    }

    pub(crate) fn gaps(&self, gaps: u64) {
        self.gaps.increment(gaps);
    }

    pub(crate) fn twins(&self, twins: u64) {
        self.twins.increment(twins);
    }

    pub(crate) fn passed(&self, outcome: sluice_core::entry::Outcome, reason: OutcomeReason) {
        let reason = match reason {
            OutcomeReason::Plain => outcome.as_str(),
            OutcomeReason::Duplicate
            | OutcomeReason::OverLimit
            | OutcomeReason::Banned
            | OutcomeReason::Closed => reason.as_str(),
        };
        counter!(PASSED, "sale" => self.sale.clone(), "reason" => reason).increment(1);
    }

    /// Shows what the line's report says.
    pub(crate) fn show(&mut self, report: &LineReport, parked: usize) {
        self.gauge(WAITING, exact(report.waiting));
        self.gauge(SERVING, exact(report.cursor.serving.0));
        self.gauge(PARKED, exact(u64::try_from(parked).unwrap_or(u64::MAX)));
        self.gauge(RATE_WANTED, report.rate_per_second);
        self.gauge(STANDBY, exact(report.standby));
        self.skus = report.skus.iter().map(|sku| sku.sku.to_string()).collect();
        for sku in &report.skus {
            gauge!(REMAINING, "sale" => self.sale.clone(), "sku" => sku.sku.to_string())
                .set(exact(sku.remaining));
        }
    }

    /// Somebody else speaks for the line now, or nobody: what is shown here must not add to what they show.
    pub(crate) fn clear(&self) {
        for name in [WAITING, SERVING, PARKED, RATE_WANTED, STANDBY] {
            self.gauge(name, 0.0);
        }
        for sku in &self.skus {
            gauge!(REMAINING, "sale" => self.sale.clone(), "sku" => sku.clone()).set(0.0);
        }
    }

    fn gauge(&self, name: &'static str, value: f64) {
        gauge!(name, "sale" => self.sale.clone()).set(value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use metrics::{
        Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    };

    use super::*;

    /// Writes down what is described.
    #[derive(Debug, Default)]
    struct Names(Arc<Mutex<Vec<String>>>);

    impl Names {
        fn note(&self, kind: &str, name: &KeyName) {
            self.0.lock().unwrap().push(format!("{kind} {}", name.as_str()));
        }
    }

    impl Recorder for Names {
        fn describe_counter(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.note("counter", &name);
        }
        fn describe_gauge(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.note("gauge", &name);
        }
        fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
            self.note("histogram", &name);
        }
        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, _: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::noop()
        }
    }

    #[test]
    fn the_names_are_a_contract() {
        let names = Names::default();
        metrics::with_local_recorder(&names, describe);
        assert_eq!(
            *names.0.lock().unwrap(),
            [
                "gauge sluice_line_waiting",
                "gauge sluice_line_serving",
                "gauge sluice_line_parked",
                "gauge sluice_standby",
                "counter sluice_line_gaps_total",
                "counter sluice_line_twins_total",
                "counter sluice_line_passed_total",
                "counter sluice_line_takeovers_total",
                "counter sluice_turns_total",
                "gauge sluice_rate_wanted_per_second",
                "histogram sluice_wait_seconds",
                "gauge sluice_stock_remaining",
            ]
        );
    }
}
