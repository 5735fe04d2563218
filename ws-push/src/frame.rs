//! The frames of the contract (interface, section 4), as WebSocket text and as Server-Sent Events. `type` comes first.

use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use sluice_core::{
    clock::UnixMillis,
    ids::Seq,
    sale::{Notice, SaleState},
    view::{Reading, object::EntryObject},
};
use tokio_tungstenite::tungstenite::Utf8Bytes;

/// One `line` frame, encoded once and shared by everybody in the sale. Cloning copies no byte.
#[derive(Clone, Debug, Default)]
pub(crate) struct LineFrame {
    pub(crate) text: Utf8Bytes,
    /// The same text as a Server-Sent Event.
    pub(crate) event: Bytes,
}

/// How a line stands, as the public is told: what makes one `line` frame differ from the next.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Standing {
    serving: Seq,
    waiting: u64,
    rate_per_second: f64,
    remaining: u64,
    pub(crate) state: SaleState,
    notice: Option<Notice>,
    policy_version: u64,
}

#[derive(Serialize)]
struct Line<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    standing: &'a Standing,
    at: UnixMillis,
}

#[derive(Serialize)]
struct Entry<'a> {
    r#type: &'static str,
    #[serde(flatten)]
    object: &'a EntryObject,
}

#[derive(Serialize)]
struct Bye {
    r#type: &'static str,
    reconnect_after_ms: u64,
}

impl Standing {
    pub(crate) fn of(reading: &Reading, now: UnixMillis) -> Self {
        Self {
            serving: reading.cursor().serving,
            waiting: reading.report().map_or(0, |report| report.waiting),
            rate_per_second: reading.rate_per_second(),
            remaining: reading.remaining(),
            state: reading.state(now),
            notice: reading.sale.notice.clone(),
            policy_version: reading.sale.version.0,
        }
    }

    pub(crate) fn encode(&self, at: UnixMillis) -> LineFrame {
        let text = json(&Line { r#type: "line", standing: self, at });
        LineFrame { event: event("line", None, &text).into(), text: text.into() }
    }
}

/// An `entry` frame.
pub(crate) fn entry(object: &EntryObject) -> String {
    json(&Entry { r#type: "entry", object })
}

/// A `bye` frame.
pub(crate) fn bye(reconnect_after: Duration) -> String {
    let reconnect_after_ms = u64::try_from(reconnect_after.as_millis()).unwrap_or(u64::MAX);
    json(&Bye { r#type: "bye", reconnect_after_ms })
}

/// A Server-Sent Event. JSON text has no raw line break, so one `data:` line carries it.
pub(crate) fn event(kind: &str, id: Option<u64>, json: &str) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {kind}\n{id}data: {json}\n\n")
}

/// Our own plain types always serialise; an empty object keeps the stream well-formed if one ever does not.
fn json(frame: &impl Serialize) -> String {
    serde_json::to_string(frame).unwrap_or_else(|error| {
        tracing::error!(%error, "a push frame could not be encoded");
        "{}".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing() -> Standing {
        Standing {
            serving: Seq(8041),
            waiting: 1203,
            rate_per_second: 200.0,
            remaining: 10_000,
            state: SaleState::Open,
            notice: None,
            policy_version: 7,
        }
    }

    #[test]
    fn a_line_frame_is_the_contracts() {
        let frame = standing().encode(UnixMillis(0));
        assert_eq!(
            frame.text.as_str(),
            r#"{"type":"line","serving":8041,"waiting":1203,"rate_per_second":200.0,"remaining":10000,"state":"open","notice":null,"policy_version":7,"at":"1970-01-01T00:00:00.000Z"}"#
        );
        assert_eq!(frame.event, format!("event: line\ndata: {}\n\n", frame.text.as_str()));
    }

    #[test]
    fn a_notice_with_line_breaks_stays_one_event() {
        let notice = [("en".to_owned(), "one\ntwo\r\nthree".to_owned())].into();
        let frame = Standing { notice: Some(notice), ..standing() }.encode(UnixMillis(0));
        let event = std::str::from_utf8(&frame.event).unwrap();
        assert_eq!(event.lines().count(), 3, "{event:?}");
        assert!(!event.contains('\r'));
    }

    #[test]
    fn a_bye_frame_is_the_contracts() {
        assert_eq!(bye(Duration::from_millis(1234)), r#"{"type":"bye","reconnect_after_ms":1234}"#);
    }

    #[test]
    fn an_event_carries_its_version_as_id() {
        assert_eq!(event("entry", Some(3), "{}"), "event: entry\nid: 3\ndata: {}\n\n");
    }
}
