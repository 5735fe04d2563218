//! A turn as others read it: CloudEvents 1.0 in structured JSON (`application/cloudevents+json`).

use serde::{Deserialize, Serialize};

use crate::{
    basket::Item,
    clock::UnixMillis,
    ids::{BuyerId, EntryId, Epoch, SaleId, Seq},
    line::LineEntry,
};

pub const CONTENT_TYPE: &str = "application/cloudevents+json";
const TURN_TYPE: &str = "sluice.turn.v1";

/// An entry that has been called: what an order worker consumes. Delivered at least once; the effect is made once, by
/// `entry`. `epoch` is for diagnosis: a turn is honoured whatever its epoch.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Turn {
    pub sale: SaleId,
    pub line_entry: LineEntry,
    pub epoch: Epoch,
    /// How often it was released, from 1.
    pub attempt: u32,
    pub called_at: UnixMillis,
}

/// Who settles turns, and so who knows what can be sold.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SettledBy {
    /// Our own workers: the stock gate and the ledger know.
    Worker,
    /// The shop's own order backend, which takes them from the broker. The ledger keeps what it last said, and every turn
    /// is written down there before it is released, so that the shop's silence is noticed.
    Shop,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    specversion: String,
    id: EntryId,
    #[serde(rename = "type")]
    kind: String,
    source: String,
    subject: EntryId,
    time: UnixMillis,
    data: Data,
}

#[derive(Serialize, Deserialize)]
struct Data {
    sale: SaleId,
    entry: EntryId,
    seq: Seq,
    buyer: BuyerId,
    items: Vec<Item>,
    epoch: Epoch,
    attempt: u32,
    called_at: UnixMillis,
    joined_at: UnixMillis,
}

/// The bytes are not a turn of ours. They are buried with this reason, never retried.
#[derive(Debug, thiserror::Error)]
pub enum NotATurn {
    #[error("not a turn in CloudEvents JSON")]
    Json(#[source] serde_json::Error),
    #[error("not a CloudEvents 1.0 event of type {TURN_TYPE}")]
    Kind,
    #[error("the items are not a basket")]
    Basket(#[source] crate::basket::BadBasket),
}

impl Turn {
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        let entry = &self.line_entry;
        serde_json::to_vec(&Envelope {
            specversion: "1.0".into(),
            id: entry.entry,
            kind: TURN_TYPE.into(),
            source: format!("/sales/{}", self.sale),
            subject: entry.entry,
            time: self.called_at,
            data: Data {
                sale: self.sale.clone(),
                entry: entry.entry,
                seq: entry.seq,
                buyer: entry.buyer.clone(),
                items: entry.basket.items().to_vec(),
                epoch: self.epoch,
                attempt: self.attempt,
                called_at: self.called_at,
                joined_at: entry.joined_at,
            },
        })
    }

    pub fn from_json(bytes: &[u8]) -> Result<Self, NotATurn> {
        let envelope: Envelope = serde_json::from_slice(bytes).map_err(NotATurn::Json)?;
        if envelope.specversion != "1.0" || envelope.kind != TURN_TYPE {
            return Err(NotATurn::Kind);
        }
        let data = envelope.data;
        Ok(Self {
            sale: data.sale,
            line_entry: LineEntry {
                entry: data.entry,
                buyer: data.buyer,
                seq: data.seq,
                holes_below: 0,
                basket: crate::basket::Basket::new(data.items).map_err(NotATurn::Basket)?,
                joined_at: data.joined_at,
                address: None,
                reach: None,
                stands_since: None,
            },
            epoch: data.epoch,
            attempt: data.attempt,
            called_at: data.called_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn turn() -> Turn {
        Turn {
            sale: SaleId::new("drop").unwrap(),
            line_entry: LineEntry {
                entry: EntryId::generate(UnixMillis(1_700_000_000_000), &Random::seeded(1)),
                buyer: BuyerId::new("b-1").unwrap(),
                seq: Seq(7),
                holes_below: 0,
                basket: serde_json::from_str(r#"[{"sku":"a","quantity":2}]"#).unwrap(),
                joined_at: UnixMillis(1_700_000_000_000),
                address: None,
                reach: None,
                stands_since: None,
            },
            epoch: Epoch(3),
            attempt: 1,
            called_at: UnixMillis(1_700_000_000_500),
        }
    }

    #[test]
    fn a_turn_is_a_cloud_event() {
        let json: serde_json::Value = serde_json::from_slice(&turn().to_json().unwrap()).unwrap();
        assert_eq!(json["specversion"], "1.0");
        assert_eq!(json["type"], "sluice.turn.v1");
        assert_eq!(json["source"], "/sales/drop");
        assert_eq!(json["id"], json["subject"]);
        assert_eq!(json["time"], "2023-11-14T22:13:20.500Z");
        assert_eq!(json["data"]["items"][0]["quantity"], 2);
    }

    #[test]
    fn it_reads_back_as_it_was() {
        assert_eq!(Turn::from_json(&turn().to_json().unwrap()).unwrap(), turn());
        assert!(matches!(Turn::from_json(b"{}"), Err(NotATurn::Json(_))));
        let other =
            String::from_utf8(turn().to_json().unwrap()).unwrap().replace("turn.v1", "other");
        assert!(matches!(Turn::from_json(other.as_bytes()), Err(NotATurn::Kind)));
    }
}
