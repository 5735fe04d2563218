//! The metrics of this crate: how long each backend takes for each kind of call, and whether it is up.

use std::time::Duration;

use metrics::Unit;

pub(crate) const SECONDS: &str = "sluice_backend_seconds";
pub(crate) const UP: &str = "sluice_backend_up";
const EMBEDDED: &str = "embedded";

/// Help texts. Repeating it is harmless; call it once a recorder is installed.
pub fn describe() {
    metrics::describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "Time from a call to a backend to its answer, by backend and operation."
    );
    metrics::describe_gauge!(
        UP,
        Unit::Count,
        "1 while the backend answers, 0 while it is away or has stopped."
    );
    crate::postgres::metrics::describe();
    crate::rabbitmq::describe_metrics();
}

/// Notes how long one call to the embedded store took.
pub(crate) fn record(op: &'static str, took: Duration) {
    record_of(EMBEDDED, op, took);
}

/// Notes how long one call to a backend took, however it ended.
pub(crate) fn record_of(backend: &'static str, op: &'static str, took: Duration) {
    metrics::histogram!(SECONDS, "backend" => backend, "op" => op).record(took);
}

/// Notes whether the embedded store answers.
pub(crate) fn set_up(up: Up) {
    set_up_of(EMBEDDED, up);
}

/// Notes whether a backend answers.
pub(crate) fn set_up_of(backend: &'static str, up: Up) {
    let value = match up {
        Up::Yes => 1.0,
        Up::No => 0.0,
    };
    metrics::gauge!(UP, "backend" => backend).set(value);
}

/// Whether a backend answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Up {
    Yes,
    No,
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
            record("waiting.offer", Duration::from_millis(2));
            set_up(Up::Yes);
        });
        let text = handle.render();
        for line in [
            r#"sluice_backend_seconds_count{backend="embedded",op="waiting.offer"} 1"#,
            r#"sluice_backend_up{backend="embedded"} 1"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
