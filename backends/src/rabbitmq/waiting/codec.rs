//! How joined entries travel: a JSON list of them, several to a message. The message's type says so, with a version; a
//! format that changes gets a new type, so that dispatchers can learn it before anybody writes it.

use lapin::{BasicProperties, message::Delivery};
use sluice_core::{ids::SaleId, line::LineEntry};

use crate::rabbitmq::{fault::Fault, notes::DURABLE, topology, writer::Outgoing};

/// A list of joined entries.
const JOINS_V1: &str = "sluice.joins.v1";
/// The baton; see [`drain`](super::drain).
const BATON_V1: &str = "sluice.baton.v1";
/// Most entries in one message; an offer of more is several messages.
const ENTRIES_MAX: usize = 256;

/// What a message in a waiting queue is.
#[derive(Debug)]
pub(super) enum Read {
    Joins(Vec<LineEntry>),
    Baton,
    /// Not ours, or damaged: why.
    Foreign(String),
}

/// The messages that carry these entries, in order.
pub(super) fn joins(sale: &SaleId, entries: &[LineEntry]) -> Result<Vec<Outgoing>, Fault> {
    let message = |some: &[LineEntry]| {
        let body = serde_json::to_vec(some).map_err(Fault::Json)?;
        Ok(outgoing(sale, JOINS_V1, body))
    };
    entries.chunks(ENTRIES_MAX).map(message).collect()
}

pub(super) fn baton(sale: &SaleId) -> Outgoing {
    outgoing(sale, BATON_V1, Vec::new())
}

fn outgoing(sale: &SaleId, kind: &str, body: Vec<u8>) -> Outgoing {
    let properties = BasicProperties::default()
        .with_delivery_mode(DURABLE)
        .with_content_type("application/json".into())
        .with_type(kind.into());
    Outgoing {
        exchange: topology::JOINS.into(),
        key: topology::waiting_queue(sale),
        properties,
        body,
    }
}

pub(super) fn read(delivery: &Delivery) -> Read {
    let kind = delivery.properties.kind().as_ref().map_or("", |kind| kind.as_str());
    match kind {
        BATON_V1 => Read::Baton,
        JOINS_V1 => match serde_json::from_slice::<Vec<LineEntry>>(&delivery.data) {
            Ok(entries) if entries.is_empty() => Read::Foreign("joins without an entry".into()),
            Ok(entries) => Read::Joins(entries),
            Err(error) => Read::Foreign(format!("not a list of joined entries: {error}")),
        },
        _ => Read::Foreign("not a message of the waiting queue, or of a newer version".into()),
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::{
        clock::UnixMillis,
        ids::{BuyerId, EntryId, Seq},
        random::Random,
    };

    use super::*;

    fn entry(seq: u64) -> LineEntry {
        LineEntry {
            entry: EntryId::generate(UnixMillis(1_700_000_000_000), &Random::seeded(seq)),
            buyer: BuyerId::new("b-1").unwrap(),
            seq: Seq(seq),
            holes_below: seq,
            basket: serde_json::from_str(r#"[{"sku":"a","quantity":2}]"#).unwrap(),
            joined_at: UnixMillis(1_700_000_000_123),
            address: Some("2001:db8::7".parse().unwrap()),
            reach: None,
            stands_since: None,
        }
    }

    fn delivered(outgoing: Outgoing) -> Delivery {
        let mut delivery = Delivery::mock(1, "".into(), outgoing.key, false, outgoing.body);
        delivery.properties = outgoing.properties;
        delivery
    }

    #[test]
    fn entries_read_back_as_they_were_in_messages_of_bounded_length() {
        let sale = SaleId::new("drop").unwrap();
        let all: Vec<LineEntry> = (1..=600).map(entry).collect();
        let messages = joins(&sale, &all).unwrap();
        assert_eq!(messages.len(), 3);
        let mut back = Vec::new();
        for message in messages {
            assert_eq!(message.key.as_str(), "sluice.waiting.drop");
            match read(&delivered(message)) {
                Read::Joins(entries) => back.extend(entries),
                other @ (Read::Baton | Read::Foreign(_)) => panic!("{other:?}"),
            }
        }
        assert_eq!(back, all);
        assert!(matches!(read(&delivered(baton(&sale))), Read::Baton));
    }

    #[test]
    fn what_is_not_ours_is_foreign_and_says_why() {
        let with = |kind: Option<&str>, body: &[u8]| {
            let mut delivery = Delivery::mock(1, "".into(), "".into(), false, body.to_vec());
            if let Some(kind) = kind {
                delivery.properties = BasicProperties::default().with_type(kind.into());
            }
            read(&delivery)
        };
        for (kind, body) in [
            (None, &b"hello"[..]),
            (Some("sluice.joins.v2"), b"[]"),
            (Some(JOINS_V1), b"[]"),
            (Some(JOINS_V1), b"{}"),
            (Some(JOINS_V1), b"[{\"entry\":1}]"),
            (Some(JOINS_V1), b"\xff\xfe"),
        ] {
            assert!(matches!(with(kind, body), Read::Foreign(_)), "{kind:?} {body:?}");
        }
    }
}
