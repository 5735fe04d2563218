//! What is told of PostgreSQL: how long operations take, whether it answers, and how its connections are used.

use std::time::Duration;

use metrics::Unit;

use crate::metrics::{SECONDS, UP};

const BACKEND: &str = "postgres";
const CONNECTIONS: &str = "sluice_backend_connections";
const REPEATS: &str = "sluice_backend_repeats_total";

pub(crate) fn describe() {
    metrics::describe_gauge!(
        CONNECTIONS,
        Unit::Count,
        "Connections to a backend, by backend and state: busy, idle, or awaited by an operation."
    );
    metrics::describe_counter!(
        REPEATS,
        Unit::Count,
        "Operations that a backend rolled back and that were done again, by backend."
    );
}

/// Notes how long one operation took, from the call to the answer.
pub(super) fn record(op: &'static str, took: Duration) {
    metrics::histogram!(SECONDS, "backend" => BACKEND, "op" => op).record(took);
}

pub(super) fn set_up(up: bool) {
    metrics::gauge!(UP, "backend" => BACKEND).set(if up { 1.0 } else { 0.0 });
}

pub(super) fn count_repeat() {
    metrics::counter!(REPEATS, "backend" => BACKEND).increment(1);
}

/// How the connections are used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Usage {
    pub(super) busy: u32,
    pub(super) idle: u32,
    pub(super) awaited: u32,
}

pub(super) fn set_usage(usage: Usage) {
    let states = [("busy", usage.busy), ("idle", usage.idle), ("awaited", usage.awaited)];
    for (state, count) in states {
        metrics::gauge!(CONNECTIONS, "backend" => BACKEND, "state" => state).set(f64::from(count));
    }
}

#[cfg(test)]
mod tests {
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn names_and_labels_are_those_of_the_contract() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            describe();
            record("ledger.hold", Duration::from_millis(2));
            set_up(true);
            count_repeat();
            set_usage(Usage { busy: 3, idle: 2, awaited: 1 });
        });
        let text = handle.render();
        for line in [
            r#"sluice_backend_seconds_count{backend="postgres",op="ledger.hold"} 1"#,
            r#"sluice_backend_up{backend="postgres"} 1"#,
            r#"sluice_backend_repeats_total{backend="postgres"} 1"#,
            r#"sluice_backend_connections{backend="postgres",state="awaited"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
