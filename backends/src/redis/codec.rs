//! How the domain's values stand in the keys and in the scripts' arguments and answers. Whole numbers are 8 bytes, highest
//! first; the scripts reckon with doubles, so numbers are exact up to 2^53. The scripts say how a place is laid
//! out: `lua/flight.lua`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use redis::Value;
use sluice_core::{
    basket::Basket,
    clock::UnixMillis,
    entry::Outcome,
    ids::{BuyerId, EntryId, Seq},
    line::{Cursor, Hole, Holes, LineEntry},
    policy::RateLimit,
    ports::{JoinLimits, Place, PlaceState, PortResult, Settlement},
};

use super::fault::CallFault;

/// The field of the line's hash that has a buyer's live place.
pub(super) fn buyer_field(buyer: &BuyerId) -> Vec<u8> {
    [b"b", buyer.as_str().as_bytes()].concat()
}

/// The field of the line's hash that has an entry's place.
pub(super) fn place_field(entry: EntryId) -> [u8; 17] {
    let mut field = [b'p'; 17];
    field[1..].copy_from_slice(entry.as_bytes());
    field
}

/// An entry's body: what of it never changes but its number.
pub(super) fn body(entry: &LineEntry) -> Vec<u8> {
    let buyer = entry.buyer.as_str().as_bytes();
    let mut bytes = Vec::with_capacity(48 + buyer.len());
    bytes.extend(entry.joined_at.0.to_be_bytes());
    bytes.push(u8::try_from(buyer.len()).unwrap_or(u8::MAX));
    bytes.extend(buyer);
    match entry.address {
        None => bytes.push(0),
        Some(IpAddr::V4(address)) => {
            bytes.push(4);
            bytes.extend(address.octets());
        }
        Some(IpAddr::V6(address)) => {
            bytes.push(16);
            bytes.extend(address.octets());
        }
    }
    bytes.extend(entry.basket.to_string().as_bytes());
    bytes
}

/// An entry's number, the holes below it, and its body.
pub(super) fn numbered(entry: &LineEntry) -> Vec<u8> {
    let mut bytes = entry.seq.0.to_be_bytes().to_vec();
    bytes.extend(entry.holes_below.to_be_bytes());
    bytes.extend(body(entry));
    bytes
}

/// The buyer's rate and burst, and perhaps a device and its own.
pub(super) fn limits(limits: &JoinLimits) -> Vec<u8> {
    let both = |limit: RateLimit| [limit.per_second, limit.burst].map(u64::from);
    let mut bytes: Vec<u8> = both(limits.buyer).into_iter().flat_map(u64::to_be_bytes).collect();
    if let Some((device, limit)) = limits.device {
        bytes.extend(device.0);
        bytes.extend(both(limit).into_iter().flat_map(u64::to_be_bytes));
    }
    bytes
}

/// An outcome and whether it is live: two bytes.
pub(super) fn settlement_bytes(settlement: Settlement) -> [u8; 2] {
    let outcome = match settlement.outcome {
        Outcome::Reserved => b'r',
        Outcome::SoldOut => b's',
        Outcome::Left => b'l',
        Outcome::Expired => b'e',
        Outcome::Refused => b'f',
    };
    [outcome, if settlement.live { b'1' } else { b'0' }]
}

pub(super) fn read_settlement(bytes: &[u8]) -> Option<Settlement> {
    let [outcome, live] = bytes else { return None };
    let outcome = match outcome {
        b'r' => Outcome::Reserved,
        b's' => Outcome::SoldOut,
        b'l' => Outcome::Left,
        b'e' => Outcome::Expired,
        b'f' => Outcome::Refused,
        _ => return None,
    };
    Some(Settlement { outcome, live: *live == b'1' })
}

/// The holes of a cursor, 16 bytes each, ascending.
pub(super) fn hole_bytes(cursor: &Cursor) -> Vec<u8> {
    let bounds = cursor.holes.iter().flat_map(|hole| [hole.from.0, hole.to.0]);
    bounds.flat_map(u64::to_be_bytes).collect()
}

pub(super) fn read_holes(bytes: &[u8]) -> Option<Holes> {
    let mut holes = Holes::default();
    let mut reader = Reader(bytes);
    while !reader.0.is_empty() {
        holes.push(Hole { from: Seq(reader.number()?), to: Seq(reader.number()?) });
    }
    Some(holes)
}

/// A place as the line keeps it.
pub(super) fn read_place(entry: EntryId, bytes: &[u8]) -> Option<Place> {
    let mut reader = Reader(bytes);
    let state = reader.take(1)?[0];
    let settled = reader.take(2)?;
    let state = match state {
        b'W' => PlaceState::Waiting,
        b'C' => PlaceState::Called,
        b'B' => PlaceState::Standby,
        b'S' => PlaceState::Settled(read_settlement(settled)?),
        _ => return None,
    };
    let durable = reader.take(1)? == b"1";
    let in_flight = reader.take(1)? == b"y";
    let seen_at = reader.time()?;
    let (seq, holes_below) = (Seq(reader.number()?), reader.number()?);
    let joined_at = reader.time()?;
    let buyer = BuyerId::new(std::str::from_utf8(reader.counted()?).ok()?).ok()?;
    let address = match reader.counted()? {
        [] => None,
        octets => Some(read_address(octets)?),
    };
    let basket: Basket = std::str::from_utf8(reader.0).ok()?.parse().ok()?;
    let line_entry = LineEntry {
        entry,
        buyer,
        seq,
        holes_below,
        basket,
        joined_at,
        address,
        reach: None,
        stands_since: None,
    };
    Some(Place { line_entry, state, durable, seen_at, in_flight })
}

fn read_address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(octets).ok().map(|octets| Ipv4Addr::from(octets).into());
    let v6 = || <[u8; 16]>::try_from(octets).ok().map(|octets| Ipv6Addr::from(octets).into());
    v4().or_else(v6)
}

/// An entry's id, 16 bytes.
pub(super) fn read_entry(bytes: &[u8]) -> Option<EntryId> {
    bytes.try_into().ok().map(EntryId::from_bytes)
}

/// What is left to read.
#[derive(Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count)?;
        self.0 = left;
        Some(taken)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }

    pub(super) fn time(&mut self) -> Option<UnixMillis> {
        self.take(8)?.try_into().ok().map(|bytes| UnixMillis(i64::from_be_bytes(bytes)))
    }

    /// Bytes with their count before them.
    fn counted(&mut self) -> Option<&'a [u8]> {
        let count = self.take(1)?[0];
        self.take(usize::from(count))
    }
}

/// A script's answer that is a list.
pub(super) fn list(answer: Value) -> PortResult<Vec<Value>> {
    let Value::Array(values) = answer else { return Err(CallFault::Damaged.into()) };
    Ok(values)
}

/// A script's answer that is bytes.
pub(super) fn bytes(answer: &Value) -> PortResult<&[u8]> {
    let Value::BulkString(bytes) = answer else { return Err(CallFault::Damaged.into()) };
    Ok(bytes)
}

/// A script's answer that is a whole number.
pub(super) fn number(answer: &Value) -> PortResult<u64> {
    let Value::Int(number) = answer else { return Err(CallFault::Damaged.into()) };
    u64::try_from(*number).map_err(|_| CallFault::Damaged.into())
}

/// The same, of fewer bits.
pub(super) fn small<T: TryFrom<u64>>(answer: &Value) -> PortResult<T> {
    T::try_from(number(answer)?).map_err(|_| CallFault::Damaged.into())
}

/// What could be read of an answer, or that it was not one of ours.
pub(super) fn sound<T>(read: Option<T>) -> PortResult<T> {
    read.ok_or_else(|| CallFault::Damaged.into())
}

#[cfg(test)]
mod tests {
    use sluice_core::{basket::Item, ids::SkuId, random::Random};

    use super::*;

    fn entry(address: Option<&str>) -> LineEntry {
        let items = [("a", 2), ("vip-1", 1_000)];
        let items = items.map(|(sku, quantity)| Item::counted(SkuId::new(sku).unwrap(), quantity));
        LineEntry {
            entry: EntryId::generate(UnixMillis(1_767_225_600_000), &Random::seeded(1)),
            buyer: BuyerId::new(&"b".repeat(128)).unwrap(),
            seq: Seq(1 << 50),
            holes_below: 77,
            basket: Basket::new(items.to_vec()).unwrap(),
            joined_at: UnixMillis(-5),
            address: address.map(|address| address.parse().unwrap()),
            reach: None,
            stands_since: None,
        }
    }

    #[test]
    fn a_place_reads_back_as_it_was() {
        for address in [None, Some("192.0.2.7"), Some("2001:db8::7")] {
            let line_entry = entry(address);
            let mut kept = b"Sr11o".to_vec();
            kept.extend(9_i64.to_be_bytes());
            kept.extend(numbered(&line_entry));
            let settlement = Settlement { outcome: Outcome::Reserved, live: true };
            let state = PlaceState::Settled(settlement);
            let place = Place {
                line_entry,
                state,
                durable: true,
                seen_at: UnixMillis(9),
                in_flight: false,
            };
            assert_eq!(read_place(place.line_entry.entry, &kept), Some(place));
            for short in 0..kept.len() - 1 {
                let cut = read_place(entry(None).entry, &kept[..short]);
                assert!(cut.is_none_or(|cut| cut.line_entry.basket != entry(None).basket));
            }
        }
    }

    #[test]
    fn settlements_and_holes_read_back_as_they_were() {
        for outcome in Outcome::ALL {
            for live in [false, true] {
                let settlement = Settlement { outcome, live };
                assert_eq!(read_settlement(&settlement_bytes(settlement)), Some(settlement));
            }
        }
        let mut cursor = Cursor::default();
        cursor.holes.push(Hole { from: Seq(3), to: Seq(9) });
        cursor.holes.push(Hole { from: Seq(11), to: Seq(11) });
        assert_eq!(read_holes(&hole_bytes(&cursor)), Some(cursor.holes));
        assert_eq!(read_holes(&[0; 17]), None);
    }
}
