//! The rules of `metrics`, each as a test.

use std::sync::{Mutex, PoisonError};

use ::metrics::{Counter, Gauge, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::*;

/// Writes down every metric that is touched.
#[derive(Default)]
struct Names(Mutex<Vec<String>>);

impl Names {
    fn note(&self, key: &Key) {
        let labels: Vec<_> =
            key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(name);
    }
}

impl Recorder for Names {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.note(key);
        Counter::noop()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.note(key);
        Gauge::noop()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.note(key);
        Histogram::noop()
    }
}

#[test]
fn names_and_labels_are_the_contracts() {
    let names = Names::default();
    ::metrics::with_local_recorder(&names, || {
        describe();
        Frames::new();
        connections(&SaleId::new("demo").unwrap()).set(1.0);
        closed("4410");
    });
    assert_eq!(
        names.0.into_inner().unwrap(),
        [
            "sluice_push_frames_total{kind=line}",
            "sluice_push_frames_total{kind=entry}",
            "sluice_push_frames_total{kind=bye}",
            "sluice_push_connections{sale=demo}",
            "sluice_push_closes_total{code=4410}",
        ]
    );
}
