//! What this backend tells about itself, beside what every backend does.

use std::time::Instant;

use metrics::Unit;

use crate::metrics::{Up, record_of, set_up_of};

const BACKEND: &str = "rabbitmq";
const UNROUTED: &str = "sluice_unrouted_messages";
const FOREIGN: &str = "sluice_foreign_messages_total";
const RETURNED: &str = "sluice_returned_messages_total";

/// Help texts. Repeating it is harmless.
pub(crate) fn describe() {
    metrics::describe_gauge!(
        UNROUTED,
        Unit::Count,
        "Messages that found no queue. Anything but 0 is an alarm: a queue is missing."
    );
    metrics::describe_counter!(
        FOREIGN,
        Unit::Count,
        "Messages set aside because they are not ours or damaged, by kind of queue."
    );
    metrics::describe_counter!(
        RETURNED,
        Unit::Count,
        "Messages the broker returned although none asks to be. Anything but 0 is an alarm."
    );
}

/// Measures one call, from its making to its dropping.
pub(super) struct Watch {
    op: &'static str,
    began: Instant,
}

pub(super) fn watch(op: &'static str) -> Watch {
    Watch { op, began: Instant::now() }
}

impl Drop for Watch {
    fn drop(&mut self) {
        record_of(BACKEND, self.op, self.began.elapsed());
    }
}

pub(super) fn set_up(up: Up) {
    set_up_of(BACKEND, up);
}

pub(super) fn unrouted(count: u64) {
    #[expect(clippy::cast_precision_loss, reason = "a gauge is a float")]
    metrics::gauge!(UNROUTED).set(count as f64);
}

/// A queue's name has the sale in it; the label does not.
pub(super) fn foreign(queue: &str) {
    let kind = match queue {
        super::topology::TURNS => "turns",
        super::topology::CALLBACKS => "callbacks",
        _ => "waiting",
    };
    metrics::counter!(FOREIGN, "queue" => kind).increment(1);
}

pub(super) fn returned() {
    metrics::counter!(RETURNED).increment(1);
}
